"""How fast beam search decodes, beside what people use: the same log-probs, the same 3-gram, WER beside every speed.

    python -m venv COMPETITORS
    COMPETITORS/bin/pip install "numpy<2" flashlight-text pyctcdecode fast-ctc-decode kenlm
    python scripts/bench_beam.py --model MODEL --manifest MANIFEST --lm WORDS.arpa --competitors COMPETITORS/bin/python

(kenlm is built from source in about a minute and needs cmake and a C++ compiler; without it pyctcdecode has no language
model. What is not installed is skipped, with the reason.) Without ``--lm`` only the search without a language model.

The model's log-probs are computed once and every decoder gets the same float32 arrays, one utterance at a time, in a
process of its own on one thread. After a pass to warm up, a measurement takes as many passes over all utterances as
last ``--seconds``, and the decoders take turns for ``--rounds`` rounds. Speeds are frames a second of the process's CPU
time, which other load on the machine disturbs less than the wall time that stands beside them.

"Same settings" are beam 16 and 100, the 16 best tokens of a frame, threshold 10, and the same weights of the language
model, as near as each tool has them:

- asr: no token further than 10 below its frame's best, no prefix further than 10 below the best prefix;
- flashlight: the threshold is the prefixes' alone. It sums alignments (``log_add``), as the others do. In the lexicon
  mode a word of characters ends in a space, so each utterance gets one more frame that is a space; among pieces the
  blank takes the part of its silence, and it cannot hold a word's last piece for a second frame;
- pyctcdecode: no token below ln p = −10, no prefix further than 10 below the best, and to limit the tokens all but the
  16 best of a frame are made impossible beforehand (not timed);
- fast-ctc-decode: no token below p = exp(−10), the 16 tokens like pyctcdecode, nothing against bad prefixes.

"Best settings" are tuned for each tool on the same utterances by a small grid, first the language model's weight and
the bonus of a word, then beam and pruning: the lowest WER, and of several the fastest. MANIFEST should therefore be a
development set.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from asr.decode.beam import BeamDecoder, BeamOptions
from asr.decode.greedy import best_path
from asr.decode.lexicon import from_words
from asr.errors import AsrError
from asr.lm.ngram import SPECIAL, load_lm
from asr.runtime import available_threads, cpu_name
from asr.score.align import texts_wer
from asr.tokens import BLANK

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
WORKER = Path(__file__).with_name("bench_beam_worker.py")
BEAMS = (16, 100)
SAME = {"tokens": 16, "token_threshold": 10.0, "beam_threshold": 10.0, "log_add": True, "unknown_penalty": -10.0}

Settings = dict[str, Any]
Grid = Mapping[str, Sequence[Any]]
Run = Callable[[int], tuple[float, float, list[str]]]  # passes → CPU and wall time of one [s], texts


class Unavailable(Exception):
    """A decoder that cannot run here, and why."""


@dataclass(frozen=True, eq=False)
class System:
    """A decoder and what it is tried with to find its best.

    Attributes:
        name: for the table.
        key: of the worker's ``SYSTEMS``, or ours.
        rival: the name of our system that it is held against; None for ours.
        lm: whether it has the language model.
        takes: the settings that it knows.
        grid: what else than `SAME` may be best for it: settings tried together, setting by setting.
    """

    name: str
    key: str
    rival: str | None
    lm: bool
    takes: tuple[str, ...]
    grid: Grid


@dataclass
class Row:
    """One line of the table.

    Attributes:
        system: what it is.
        run: decodes everything.
        settings: how.
        texts: what it made of the utterances.
        passes: over all of them in one measurement.
        cpu, wall: seconds of one pass, round by round.
    """

    system: System
    run: Run
    settings: Settings
    texts: list[str]
    passes: int
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


OURS = ("tokens", "token_threshold", "beam_threshold")
WEIGHTS = ("lm_weight", "word_bonus", "unknown_penalty")
FLASHLIGHT = ("tokens", "beam_threshold", "log_add")
PYCTCDECODE = ("tokens", "token_threshold", "beam_threshold")
OUR_GRID: Grid = {"beam": [8, 16, 100], "token_threshold": [5.0, 10.0], "blank_skip": [0.999, 1.0]}
FLASHLIGHT_GRID: Grid = {
    "beam": [8, 16, 100],
    "tokens": [4, 16],
    "beam_threshold": [10.0, 25.0],
    "log_add": [False, True],
}
PYCTCDECODE_GRID: Grid = {"beam": [8, 16, 100], "token_threshold": [5.0, 10.0]}
WEIGHTS_GRID: Grid = {"lm_weight": [0.2, 0.4, 0.7, 1.0], "word_bonus": [0.0, 1.0, 2.0]}
GREEDY = System("greedy", "greedy", None, False, (), {})
SYSTEMS = [
    System("asr lexicon-free", "asr", None, False, OURS, OUR_GRID),
    System("flashlight lexicon-free", "flashlight", "asr lexicon-free", False, FLASHLIGHT, FLASHLIGHT_GRID),
    System("pyctcdecode", "pyctcdecode", "asr lexicon-free", False, PYCTCDECODE, PYCTCDECODE_GRID),
    System(
        "fast-ctc-decode",
        "fast-ctc-decode",
        "asr lexicon-free",
        False,
        ("tokens", "token_threshold"),
        PYCTCDECODE_GRID,
    ),
    System("asr + LM", "asr lm", None, True, OURS + WEIGHTS, OUR_GRID),
    System("pyctcdecode + LM", "pyctcdecode", "asr + LM", True, PYCTCDECODE + WEIGHTS, PYCTCDECODE_GRID),
    System("asr lexicon + LM", "asr lexicon", None, True, OURS + WEIGHTS, OUR_GRID),
    System(
        "flashlight lexicon + LM",
        "flashlight lexicon",
        "asr lexicon + LM",
        True,
        (*FLASHLIGHT, "lm_weight", "word_bonus"),
        FLASHLIGHT_GRID,
    ),
]


class Bench:
    """The log-probs of a manifest and the decoders that take them."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        import torch

        from asr.decode.manifest import log_probs_of
        from asr.manifest import read_manifest
        from asr.model.acoustic import load_model

        torch.set_num_threads(1)
        recogniser = load_model(arguments.model)
        utterances = read_manifest(arguments.manifest)[: arguments.utterances]
        batches = log_probs_of(utterances, recogniser.model, torch.device("cpu"))
        made = {one.id: row for batch in batches for one, row in batch if not isinstance(row, str)}
        kept = [one for one in utterances if one.id in made]
        self.arrays = [np.ascontiguousarray(made[one.id]) for one in kept]
        self.references = [one.text for one in kept]
        self.audio = sum(one.duration for one in kept)
        self.frames = sum(map(len, self.arrays))
        self.tokenizer = recogniser.tokenizer
        self.lm = load_lm(arguments.lm) if arguments.lm else None
        vocabulary = self.lm.vocabulary[len(SPECIAL) :] if self.lm else []
        self.words = [word for word in vocabulary if not self.tokenizer.unknown(word)]
        self.lexicon = from_words(self.words, self.tokenizer) if self.lm else None
        self.competitors, self.folder = arguments.competitors, folder
        self.workers: list[subprocess.Popen] = []
        np.savez(folder / "log_probs.npz", *self.arrays)
        task = {
            "log_probs": str(folder / "log_probs.npz"),
            "kind": self.tokenizer.kind,
            "symbols": self.tokenizer.symbols,
            "blank": BLANK,
            "lm": str(arguments.lm) if arguments.lm else None,
            "lexicon": {word: self.tokenizer.encode(word) for word in self.words},
        }
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")

    def wer(self, texts: list[str]) -> float:
        """[%]."""
        return 100 * (texts_wer(self.references, texts)[0].rate or 0.0)

    def decoder(self, key: str, settings: Settings) -> BeamDecoder:
        """One of ours."""
        renamed = {"tokens": "token_limit"}
        options = BeamOptions(**{renamed.get(name, name): value for name, value in settings.items()})
        lm = None if key == "asr" else self.lm
        lexicon = self.lexicon if key == "asr lexicon" else None
        return BeamDecoder(self.tokenizer, BLANK, options, lm=lm, lexicon=lexicon)

    def make(self, key: str, settings: Settings) -> Run:
        """A decoder ready to run.

        Raises:
            Unavailable: it is not installed, or lacks something.
        """
        if key == "greedy":
            return self._here(lambda row: self.tokenizer.decode([token for token, _, _ in best_path(row, BLANK)]))
        if key.startswith("asr"):
            decoder = self.decoder(key, settings)
            return self._here(lambda row: " ".join(decoder.decode(row)[0].words))
        return self._there(key, settings)

    def _here(self, decode: Callable[[np.ndarray], str]) -> Run:
        def run(passes: int) -> tuple[float, float, list[str]]:
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(passes):
                texts = [decode(row) for row in self.arrays]
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            return cpu / passes, wall / passes, texts

        return run

    def _there(self, key: str, settings: Settings) -> Run:
        if not self.competitors:
            raise Unavailable("no --competitors PYTHON")
        log = (self.folder / f"worker{len(self.workers)}.log").open("w+")
        command = [self.competitors, WORKER, self.folder / "task.json"]
        environment, pipe = os.environ | ONE_THREAD, subprocess.PIPE
        try:
            worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True, env=environment)
        except OSError as error:
            raise Unavailable(f"{self.competitors}: {error.strerror}") from error
        self.workers.append(worker)

        def run(passes: int) -> tuple[float, float, list[str]]:
            assert worker.stdin and worker.stdout
            print(json.dumps({"system": key, "settings": settings, "passes": passes}), file=worker.stdin, flush=True)
            line = worker.stdout.readline()
            if not line:
                log.seek(0)
                raise Unavailable(f"ended: {' '.join(log.read().split())[-200:]}")
            answer = json.loads(line)
            if "error" in answer:
                raise Unavailable(answer["error"])
            return answer["cpu"], answer["wall"], answer["texts"]

        return run

    def stop(self) -> None:
        """Ends the competitors' processes."""
        for worker in self.workers:
            worker.communicate()
        self.workers.clear()


def same_settings(system: System, beam: int, arguments: argparse.Namespace) -> Settings:
    weights = {"lm_weight": arguments.lm_weight, "word_bonus": arguments.word_bonus}
    known = SAME | weights
    return {"beam": beam, **{name: known[name] for name in system.takes}}


def combinations(grid: Grid) -> list[Settings]:
    """Every combination of the values."""
    combined: list[Settings] = [{}]
    for name, values in grid.items():
        combined = [{**one, name: value} for one in combined for value in values]
    return combined


def best_settings(bench: Bench, system: System, arguments: argparse.Namespace) -> Settings:
    """The settings of the lowest WER; of several the fastest."""
    best = same_settings(system, BEAMS[0], arguments)
    for grid in [WEIGHTS_GRID, system.grid] if system.lm else [system.grid]:
        tried = []
        for number, change in enumerate(combinations(grid)):
            run = bench.make(system.key, best | change)
            run(1)
            cpu, _, texts = run(1)
            bench.stop()
            tried.append((bench.wer(texts), cpu, number, change))
        best |= min(tried)[-1]
    return best


def measure(bench: Bench, chosen: dict[System, Settings], arguments: argparse.Namespace) -> list[Row]:
    """Warms up, then lets the systems take turns, greedy too; returns those that can run here."""
    rows = []
    for system, settings in {GREEDY: {}, **chosen}.items():
        try:
            run = bench.make(system.key, settings)
            run(1)  # compiles, loads
            cpu, _, texts = run(1)
        except Unavailable as reason:
            print(f"{system.name:26} skipped: {reason}")
            continue
        rows.append(Row(system, run, settings, texts, max(1, ceil(arguments.seconds / max(cpu, 1e-4)))))
    for _ in range(arguments.rounds):
        for row in rows:
            cpu, wall, _ = row.run(row.passes)
            row.cpu.append(cpu)
            row.wall.append(wall)
    bench.stop()
    return rows


def spread(values: list[float], form: str) -> str:
    """Median (least–most)."""
    return f"{statistics.median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def show(bench: Bench, rows: list[Row], settings: bool) -> None:
    """Prints the table, with or without what each row was run with."""
    ours = {row.system.name: row.cpu for row in rows}
    heads = f"{'frames/s of CPU time':>32} {'× real time':>11} {'wall':>11} {'WER %':>6}"
    print(f"{'':26} {heads}  asr / this, round by round")
    for row in rows:
        speeds = spread([bench.frames / seconds for seconds in row.cpu], ",.0f")
        times = bench.audio / statistics.median(row.cpu)
        wall = bench.frames / statistics.median(row.wall)
        ratio = ""
        if row.system.rival in ours:
            ratio = spread([theirs / our for theirs, our in zip(row.cpu, ours[row.system.rival], strict=True)], ".1f")
        shown = ", ".join(f"{name} {value}" for name, value in row.settings.items()) if settings else ""
        line = f"{row.system.name:26} {speeds:>32} {times:>11,.0f} {wall:>11,.0f} {bench.wer(row.texts):>6.2f}"
        print(f"{line}  {ratio:18} {shown}".rstrip())
    print(flush=True)


def show_threads(bench: Bench, arguments: argparse.Namespace) -> None:
    """How much faster two threads are than one, in wall time."""
    print(f"{'asr, beam 16, wall time':26} {'1 thread':>12} {'2 threads':>12}   2 threads / 1, round by round")
    for system in SYSTEMS:
        if system.rival or (system.lm and not bench.lm):
            continue
        decoder = bench.decoder(system.key, same_settings(system, BEAMS[0], arguments))
        begin = time.perf_counter()
        decoder.decode_batch(bench.arrays, 2)
        rows = bench.arrays * ceil(arguments.seconds / (time.perf_counter() - begin))
        rounds = []
        for _ in range(arguments.rounds):
            walls = []
            for threads in (1, 2):
                begin = time.perf_counter()
                decoder.decode_batch(rows, threads)
                walls.append(time.perf_counter() - begin)
            rounds.append(walls)
        speeds = [sum(map(len, rows)) / statistics.median(column) for column in zip(*rounds, strict=True)]
        ratios = spread([one / two for one, two in rounds], ".2f")
        print(f"{system.name:26} {speeds[0]:>12,.0f} {speeds[1]:>12,.0f}   {ratios}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--lm", type=Path, help="ARPA file of words")
    parser.add_argument("--competitors", type=Path, metavar="PYTHON")
    parser.add_argument("--utterances", type=int, help="only so many, the first")
    parser.add_argument("--lm-weight", type=float, default=0.5)
    parser.add_argument("--word-bonus", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="least CPU time of one measurement")
    parser.add_argument("--same-only", action="store_true", help="do not tune")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, Path(folder))
        kind = f"{len(bench.tokenizer)} tokens ({bench.tokenizer.kind})"
        print(f"{cpu_name()}, {available_threads()} threads to run on, load {os.getloadavg()[0]:.1f} before the start")
        print(f"{arguments.model}, {arguments.manifest}: {len(bench.arrays)} utterances, {bench.audio:.0f} s, {kind}")
        if bench.lm:
            print(f"{arguments.lm.name}: {bench.lm.order}-gram, {len(bench.words):,} words that the tokens can spell")
        print()
        systems = [system for system in SYSTEMS if bench.lm or not system.lm]
        for beam in BEAMS:
            print(f"same settings, beam {beam}, 16 tokens, threshold 10")
            chosen = {system: same_settings(system, beam, arguments) for system in systems}
            show(bench, measure(bench, chosen, arguments), settings=False)
        if not arguments.same_only:
            print("best settings of each")
            chosen = {}
            for system in systems:
                with contextlib.suppress(Unavailable):
                    chosen[system] = best_settings(bench, system, arguments)
            show(bench, measure(bench, chosen, arguments), settings=True)
        show_threads(bench, arguments)


if __name__ == "__main__":
    try:
        main()
    except AsrError as error:
        sys.exit(f"error: {error}")
