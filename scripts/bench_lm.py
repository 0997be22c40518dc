"""An n-gram model of books: building, loading, querying and perplexity, ours beside KenLM's.

    python scripts/bench_lm.py [--text FILE] [--order 4] [--kenlm FOLDER] [--kenlm-python PYTHON] [--rounds 5]

Every 100th line is held out, the others are trained on. Ours is `asr lm train`. ``--kenlm`` is a folder with KenLM's
programs lmplz, build_binary and kenlm_benchmark, ``--kenlm-python`` an interpreter with the package kenlm; without them
their rows or numbers are missing. Seconds are of CPU time, user and system of all threads, unless it says wall, so that
other load on the machine matters little; memory is the largest resident set. Queries are of word ids along the held-out
text, in sentences, by one thread: `asr.lm.ngram.score_ids` and ``kenlm_benchmark``, the best of all rounds.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from program import run

from asr.runtime import cpu_name

EVERY = 100
LMPLZ_MEMORY = "4G"
# Perplexity by log10 of all held-out words and sentence ends; seconds to load.
KENLM_PERPLEXITY = """
import sys, time
import kenlm
begin = time.process_time()
model = kenlm.Model(sys.argv[1])
loaded = time.process_time() - begin
total = count = 0
with open(sys.argv[2], encoding="utf-8") as file:
    for line in file:
        total += model.score(line.strip())
        count += len(line.split()) + 1
print(loaded, 10 ** (-total / count))
"""


@dataclass
class Row:
    """One line of the table; None where it does not apply or was not measured."""

    name: str
    cpu: float | None = None  # [s]
    wall: float | None = None  # [s]
    peak: float | None = None  # [GB]
    size: float | None = None  # [MB]
    load: float | None = None  # [s]
    queries: float | None = None  # [1/s]
    perplexity: float | None = None


def split(text: Path, folder: Path) -> tuple[Path, Path, int]:
    """Writes the lines to train on and those held out; counts the words of the former."""
    train, held_out, words = folder / "train.txt", folder / "held-out.txt", 0
    with text.open(encoding="utf-8") as lines, train.open("w") as most, held_out.open("w") as few:
        for number, line in enumerate(lines, start=1):
            if number % EVERY:
                words += len(line.split())
            (most if number % EVERY else few).write(line)
    return train, held_out, words


def build_ours(train: Path, folder: Path, order: int) -> tuple[Row, Path]:
    model = folder / "lm.safetensors"
    program = [sys.executable, "-c", "from asr.cli.main import main; main()"]
    used = run([*program, "lm", "train", "--text", str(train), "--order", str(order), "--out", str(model)])
    return Row("asr lm train", *used[:3], model.stat().st_size / 1e6), model


def build_theirs(kenlm: Path, train: Path, folder: Path, order: int) -> list[tuple[Row, Path]]:
    arpa = folder / "lm.arpa"
    settings = ["-o", str(order), "-S", LMPLZ_MEMORY, "-T", str(folder)]
    used = run([str(kenlm / "lmplz"), *settings, "--text", str(train), "--arpa", str(arpa)])
    rows = [(Row("KenLM lmplz, ARPA", *used[:3], arpa.stat().st_size / 1e6), arpa)]
    for kind in ("probing", "trie"):
        binary = folder / f"lm.{kind}"
        used = run([str(kenlm / "build_binary"), "-T", str(folder), kind, str(arpa), str(binary)])
        rows.append((Row(f"  + build_binary {kind}", *used[:3], binary.stat().st_size / 1e6), binary))
    return rows


def query_ours(row: Row, model: Path, held_out: Path, rounds: int) -> None:
    import numpy as np

    from asr.lm.kneser_ney import estimate
    from asr.lm.ngram import END, UNKNOWN, load_lm
    from asr.lm.perplexity import perplexity

    with tempfile.TemporaryDirectory() as folder:  # compiling is no part of loading and querying
        small = Path(folder) / "small.safetensors"
        estimate(["a b"], 2).save(small)
        load_lm(small).score(["a"])
    begin = time.process_time()
    lm = load_lm(model)
    row.load = time.process_time() - begin
    lines = held_out.read_text(encoding="utf-8").splitlines()
    row.perplexity = perplexity(lm, lines, "held out").with_unknown
    known = lm.ids
    sentences = [[*(known.get(word, UNKNOWN) for word in line.split()), END] for line in lines]
    ids = np.array([word for sentence in sentences for word in sentence], np.uint32)
    for _ in range(rounds):
        begin = time.process_time()
        lm.score_sentences(ids)
        row.queries = max(row.queries or 0.0, len(ids) / (time.process_time() - begin))


def query_theirs(row: Row, model: Path, held_out: Path, kenlm: Path, python: str | None, rounds: int) -> None:
    ids = model.with_suffix(".ids")
    program = [str(kenlm / "kenlm_benchmark"), "-t", "1", "-m", str(model)]
    with held_out.open("rb") as text, ids.open("wb") as out:
        subprocess.run([*program, "-v"], stdin=text, stdout=out, stderr=subprocess.DEVNULL, check=True)
    for _ in range(rounds):
        with ids.open("rb") as words:
            done = subprocess.run([*program, "-q"], stdin=words, capture_output=True, text=True, check=True)
        found = re.search(r"Queries per second excluding load, CPU: (\S+)", done.stdout)
        row.queries = max(row.queries or 0.0, float(found[1]) if found else 0.0)
    if python is not None:
        command = [python, "-c", KENLM_PERPLEXITY, str(model), str(held_out)]
        loaded, perplexity = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        row.load, row.perplexity = float(loaded), float(perplexity)


def show(rows: list[Row]) -> None:
    def cell(value: float | None, width: int, digits: int) -> str:
        return f"{'–':>{width}}" if value is None else f"{value:{width},.{digits}f}"

    print(f"{'':24}{'build':>8}{'wall':>8}{'peak':>7}{'file':>8}{'load':>8}{'queries':>9}{'perplexity':>12}")
    print(f"{'':24}{'s':>8}{'s':>8}{'GB':>7}{'MB':>8}{'s':>8}{'M/s':>9}")
    for row in rows:
        queries = None if row.queries is None else row.queries / 1e6
        print(
            f"{row.name:24}{cell(row.cpu, 8, 1)}{cell(row.wall, 8, 1)}{cell(row.peak, 7, 2)}{cell(row.size, 8, 0)}"
            f"{cell(row.load, 8, 3)}{cell(queries, 9, 2)}{cell(row.perplexity, 12, 3)}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    books = Path(os.environ.get("ASR_CORPORA", "data/downloads")) / "public-domain-books.txt"
    parser.add_argument("--text", type=Path, default=books, help="sentences, one a line")
    parser.add_argument("--order", type=int, default=4)
    parser.add_argument("--kenlm", type=Path, help="folder with KenLM's programs")
    parser.add_argument("--kenlm-python", help="an interpreter that has the package kenlm")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train, held_out, words = split(arguments.text, folder)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        print(f"{arguments.text.name}: {words:,} words of training text, order {arguments.order}")
        print(f"{cpu_name()}, {cores} core(s), load average {os.getloadavg()[0]:.2f}; lmplz -S {LMPLZ_MEMORY}\n")
        # A program's largest resident set is at least that of this one when it starts it: build before loading.
        ours, model = build_ours(train, folder, arguments.order)
        theirs = build_theirs(arguments.kenlm, train, folder, arguments.order) if arguments.kenlm else []
        query_ours(ours, model, held_out, arguments.rounds)
        for row, binary in theirs[1:]:
            query_theirs(row, binary, held_out, arguments.kenlm, arguments.kenlm_python, arguments.rounds)
        show([ours, *(row for row, _ in theirs)])
        print(f"\nload average after: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
