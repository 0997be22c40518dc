"""What a second process brings to training: whole steps, augmentation included, by one process a thread.

    python scripts/bench_processes.py MANIFEST [--config recipes/english/conf/blstm.yaml] [--processes 1 2] [--rounds 3]

Audio hours trained an hour with so many processes, which take turns in each round; medians over the rounds, their
range, and the ratio to the first. The last line is a single process whose matrix products PyTorch divides.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import torch

from asr.config import Config, read_config
from asr.manifest import Utterance, read_manifest
from asr.model.acoustic import AcousticModel
from asr.runtime import bfloat16_is_fast, cpu_name, keep_freed_memory
from asr.tokens import train_tokenizer
from asr.train import parallel
from asr.train.parallel import Helpers
from asr.train.select import select
from asr.train.trainer import Trainer

WARM = 3  # steps before the clock runs


def speed(config: Config, utterances: list[Utterance], processes: int, threads: int, steps: int) -> float:
    """Audio hours an hour."""
    tokenizer = train_tokenizer(config.tokens, [one.text for one in utterances])
    torch.manual_seed(1)
    model = AcousticModel(config, len(tokenizer))
    train = select(utterances, tokenizer, config, model)[0]
    trainer = Trainer(config, model, train, {}, bfloat16_is_fast(torch.device("cpu")))
    parallel._WORTHWHILE = 0.0 if processes > 1 else float("inf")
    torch.set_num_threads(threads)
    groups = trainer.groups(0)[: WARM + steps]
    begin, before = 0.0, 0.0
    with Helpers(trainer) as helpers:
        for number, (group, heard) in enumerate(zip(groups, helpers.hear(groups), strict=True), start=1):
            trainer.step(heard, group, 1.0)
            if number == WARM:
                begin, before = time.perf_counter(), trainer.progress.audio
    return (trainer.progress.audio - before) / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--config", type=Path, default=Path("recipes/english/conf/blstm.yaml"))
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if max(arguments.processes) > parallel._MOST:
        parser.error(f"--processes: at most {parallel._MOST} share a step")
    keep_freed_memory()
    config = read_config(arguments.config, ["tokens={kind: char}", "features.cmvn=none"])
    utterances = read_manifest(arguments.manifest)
    ways = {f"{count} process{'es' * (count > 1)}": (count, count) for count in arguments.processes}
    ways[f"one process, {max(arguments.processes)} threads"] = (1, max(arguments.processes))
    found: dict[str, list[float]] = {name: [] for name in ways}
    print(f"{cpu_name()}, {os.cpu_count()} cores, load average before: {os.getloadavg()[0]:.2f}")
    print(f"{arguments.config}, {arguments.manifest}: {arguments.steps} steps, {arguments.rounds} rounds")
    for number in range(arguments.rounds):
        for name in list(ways)[:: 1 if number % 2 == 0 else -1]:
            found[name].append(speed(config, utterances, *ways[name], arguments.steps))
    first = next(iter(found.values()))
    print(f"{'':24} audio h/h               ratio")
    for name, speeds in found.items():
        ratios = sorted(one / other for one, other in zip(speeds, first, strict=True))
        told = f"{statistics.median(speeds):4.0f} ({min(speeds):.0f}–{max(speeds):.0f})"
        print(f"{name:24} {told:20} {statistics.median(ratios):8.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
