"""How much audio one core augments, kind by kind, and what that does to the speed of training.

    python scripts/bench_augment.py data/an4/train.jsonl [--config recipes/an4/conf/blstm.yaml] [--utterances 200]
        [--steps 12] [--rounds 5] [--threads 1]

First, from samples in memory to samples, in processor time: each kind with probability 1, all of them, and all with
probability 0.5. The noise folder holds two minutes of noise made here, half of it WAV at 16 kHz, half of it stereo FLAC
at 44.1 kHz. Then training steps, the loader in the background as ever, with nothing but what the config says and with
augmentation beside it. Each round measures everything once; medians are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import soundfile
import torch

from asr.audio import read_utterance
from asr.augment import Augmenter
from asr.augment.noise import coloured_noise
from asr.config import AugmentConfig, Codec, Config, read_config
from asr.manifest import Utterance, read_manifest
from asr.model.acoustic import AcousticModel
from asr.runtime import cpu_name, keep_freed_memory
from asr.tokens import train_tokenizer
from asr.train.select import select
from asr.train.trainer import Trainer

KINDS = ("reverberation", "coloured_noise", "noise", "gain", "codec")


def write_noise(folder: Path) -> None:
    random = np.random.default_rng(1)
    for number in range(2):
        soundfile.write(folder / f"{number}.wav", 0.05 * coloured_noise(16000 * 30, 16000, -3.0, random), 16000)
        stereo = np.stack([coloured_noise(44100 * 30, 44100, -6.0, random) for _ in range(2)], axis=1)
        soundfile.write(folder / f"{number}.flac", 0.02 * stereo, 44100)


def settings(folder: Path) -> dict[str, dict[str, Any]]:
    """What is measured, by name."""
    quiet = {"noise": str(folder), "noise_probability": 0.0}
    one = {kind: {**quiet, f"{kind}_probability": 1.0} for kind in KINDS if kind != "codec"}
    codecs = {codec: {**quiet, "codec_probability": 1.0, "codecs": [codec]} for codec in get_args(Codec)}
    every = {
        f"everything, probability {share}": {**quiet, **{f"{kind}_probability": share for kind in KINDS}}
        for share in (1.0, 0.5)
    }
    return {**one, **codecs, **every}


def augmented(augment: AugmentConfig, speech: list[np.ndarray], rate: int) -> float:
    """Seconds of processor time that it takes, so that other programs count little."""
    augmenter = Augmenter(augment, rate, 1)
    augmenter(speech[0], 1, "warm", 0)
    begin = time.process_time()
    for number, samples in enumerate(speech):
        augmenter(samples, 0, f"{number}", 0)
    return time.process_time() - begin


def trained(config: Config, utterances: list[Utterance], steps: int) -> float:
    """Audio hours an hour over so many steps, the first three left out."""
    tokenizer = train_tokenizer(config.tokens, [one.text for one in utterances])
    torch.manual_seed(1)
    model = AcousticModel(config, len(tokenizer))
    trainer = Trainer(config, model, select(utterances, tokenizer, config, model)[0], {}, bfloat16=True)
    begin, done, groups = 0.0, 0.0, trainer.groups(0)[: steps + 3]
    for number, (batches, group) in enumerate(zip(trainer.load(groups), groups, strict=True)):
        if number == 3:
            begin, done = time.perf_counter(), trainer.progress.audio
        trainer.step(trainer.hear(batches), group, 0.1)
    return (trainer.progress.audio - done) / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--config", type=Path, default=Path("recipes/an4/conf/blstm.yaml"))
    parser.add_argument("--utterances", type=int, default=200)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of the training steps")
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    config = read_config(arguments.config, ["features.cmvn=utterance"])
    utterances, rate = read_manifest(arguments.manifest), config.features.rate
    speech = [read_utterance(one, rate) for one in utterances[: arguments.utterances]]
    seconds = sum(len(samples) for samples in speech) / rate
    print(f"{cpu_name()}, {os.cpu_count()} cores, load average before: {os.getloadavg()[0]:.2f}")
    print(f"{len(speech)} utterances, {seconds / 60:.1f} minutes at {rate} Hz; medians of {arguments.rounds} rounds")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_noise(folder)
        measured: dict[str, list[float]] = {}
        speeds: dict[str, list[float]] = {}
        half = settings(folder)["everything, probability 0.5"]
        both = {
            "as the config says": config,
            "and everything, probability 0.5": config.model_copy(
                update={"augment": AugmentConfig(**{**config.augment.model_dump(), **half})}
            ),
        }
        for _ in range(arguments.rounds):
            for what, values in settings(folder).items():
                measured.setdefault(what, []).append(seconds / augmented(AugmentConfig(**values), speech, rate))
            for what, one in both.items():
                speeds.setdefault(what, []).append(trained(one, utterances, arguments.steps))
        print("\naudio hours that one core augments in an hour of its time")
        for what, values in measured.items():
            print(f"{what:<32} {statistics.median(values):>8,.0f} ({min(values):,.0f}–{max(values):,.0f})")
        print(
            f"\naudio hours trained in an hour, {arguments.steps} steps of {arguments.config}, bfloat16, "
            f"{arguments.threads} threads"
        )
        for what, values in speeds.items():
            print(f"{what:<32} {statistics.median(values):>8,.0f} ({min(values):,.0f}–{max(values):,.0f})")


if __name__ == "__main__":
    main()
