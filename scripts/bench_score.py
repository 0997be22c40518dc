"""Scoring 100,000 utterances: `asr score` as a command, beside jiwer and rapidfuzz, each in a process of its own.

    python scripts/bench_score.py [--pairs 100000] [--rounds 3]

Sentences of 5 to 25 words drawn by Zipf's law from 10,000, one word in ten substituted, deleted or followed by another,
are written as Kaldi's text and read again by each. Seconds are wall time of the whole process (interpreter, imports,
reading), the median of the rounds and their range; memory is the largest resident set.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from program import Used, run

from asr.runtime import cpu_name

READ = """
import sys
sides = [[line.split(" ", 1)[1] for line in open(path).read().splitlines()] for path in sys.argv[1:3]]
"""
JIWER = READ + "import jiwer\nout = jiwer.process_words(*sides)\nprint(f'{100 * out.wer:.4f}')"
JIWER_WER = READ + "import jiwer\nprint(f'{100 * jiwer.wer(*sides):.4f}')"
RAPIDFUZZ = READ + (
    "from rapidfuzz.distance import Levenshtein\n"
    "said, heard = ([text.split() for text in side] for side in sides)\n"
    "errors = sum(len(Levenshtein.editops(*pair)) for pair in zip(said, heard))\n"
    "print(f'{100 * errors / sum(map(len, said)):.4f}')"
)


def write_corpus(folder: Path, pairs: int) -> list[Path]:
    """References and the hypotheses of two systems, each a line an utterance, of 200 speakers."""
    generator = np.random.default_rng(1)
    shares = 1 / np.arange(1, 10_001)
    shares /= shares.sum()
    said = [generator.choice(len(shares), size=length, p=shares) for length in generator.integers(5, 26, pairs)]
    paths = [folder / name for name in ("ref.txt", "hyp.txt", "other.txt")]
    for number, path in enumerate(paths):
        with path.open("w") as file:
            for row, words in enumerate(said):
                heard = _misheard(words, generator, shares) if number else words.tolist()
                file.write(" ".join([f"spk{row % 200:03d}-{row:06d}", *(f"w{word}" for word in heard)]) + "\n")
    return paths


def _misheard(words: np.ndarray, generator: np.random.Generator, shares: np.ndarray) -> list[int]:
    """Of 100 words three are left out, five taken for others, two followed by others."""
    chances = generator.random(len(words))
    others = generator.choice(len(shares), size=len(words), p=shares).tolist()
    heard: list[int] = []
    for word, chance, other in zip(words.tolist(), chances.tolist(), others, strict=True):
        if chance >= 0.03:
            heard.append(other if chance < 0.08 else word)
        if chance >= 0.98:
            heard.append(other)
    return heard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        *paths, other = map(str, write_corpus(folder, arguments.pairs))
        asr = [sys.executable, "-c", "from asr.cli.main import main; main()", "score", *paths]
        asr += ["--out", str(folder / "out")]
        commands = {
            "asr score --no-page": [*asr, "--no-page"],
            "  --alignment sclite": [*asr, "--no-page", "--alignment", "sclite"],
            "  --against HYP": [*asr, "--no-page", "--against", other],
            "asr score, with report.html": asr,
            "rapidfuzz, editops alone": [sys.executable, "-c", RAPIDFUZZ, *paths],
            "jiwer.wer": [sys.executable, "-c", JIWER_WER, *paths],
            "jiwer.process_words": [sys.executable, "-c", JIWER, *paths],
        }
        found: dict[str, list[Used]] = {what: [] for what in commands}
        load = os.getloadavg()[0]
        for _ in range(arguments.rounds):
            for what, command in commands.items():
                found[what].append(run(command))
    print(f"{arguments.pairs:,} pairs of 5 to 25 words, {arguments.rounds} rounds")
    print(f"{cpu_name()}, {os.cpu_count()} core(s), load average {load:.2f}\n")
    print(f"{'':29} {'seconds':>16} {'GB':>6}  WER %")
    for what, rounds in found.items():
        seconds = sorted(one.wall for one in rounds)
        span = f"{statistics.median(seconds):.2f} ({seconds[0]:.2f}–{seconds[-1]:.2f})"
        output = rounds[0].output
        rate = output.split("WER %")[1].split()[0] if "WER %" in output else output.strip()
        print(f"{what:29} {span:>16} {max(one.peak for one in rounds):6.2f}  {rate}")
    print(f"\nload average after: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
