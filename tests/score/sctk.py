"""NIST's sclite and sc_stats, run on trn files: oracles where they are installed (Debian's package sctk)."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from asr.score.hypotheses import to_trn

_FOLDER = "/usr/lib/sctk/bin"  # where Debian puts them, off the path
SCLITE, SC_STATS = (shutil.which(name) or shutil.which(name, path=_FOLDER) for name in ("sclite", "sc_stats"))
needs_sctk = pytest.mark.skipif(not (SCLITE and SC_STATS), reason="sclite and sc_stats (Debian's sctk) are not here")

Texts = Sequence[Sequence[str]]
_COLUMNS = "CSDI"


def write_trn(path: Path, texts: Texts) -> Path:
    """Utterances of one speaker, numbered in order."""
    path.write_text(to_trn({f"s-{number:06d}": " ".join(words) for number, words in enumerate(texts)}))
    return path


def sgml(folder: Path, references: Texts, *systems: Texts, options: Sequence[str] = ()) -> str:
    """sclite's alignments of every system, as its ``-o sgml`` writes them."""
    command = [str(SCLITE), "-i", "spu_id", "-s", *options, "-r", str(write_trn(folder / "ref.trn", references)), "trn"]
    for name, texts in zip("AB", systems, strict=False):
        command += ["-h", str(write_trn(folder / f"{name}.trn", texts)), "trn", name]
    return _run([*command, "-o", "sgml", "stdout"], "", folder)


def steps_of(output: str) -> list[str]:
    """Of one system the letters C, S, D, I of each utterance's steps, in the order of their numbers."""
    found = re.findall(r'<PATH id="\(s-(\d+)\)"[^>]*>\n(.*)\n</PATH>', output)
    assert [int(number) for number, _ in found] == list(range(len(found)))
    return ["".join(step[0] for step in line.split(":") if step) for _, line in found]


def counts_of(output: str) -> np.ndarray:
    """Hits, substitutions, deletions and insertions of each utterance, shape (N, 4)."""
    return np.array([[steps.count(column) for column in _COLUMNS] for steps in steps_of(output)])


def unified_p(report: str, abbreviation: str) -> float:
    """The p-value of a test in the table that ``-u`` prints."""
    row = re.search(rf"\| +{abbreviation} +\|\|[ A]*\| +\| +[AB~] +<?(\d\.\d+)", report)
    assert row is not None, report
    return float(row[1])


def sc_stats(folder: Path, output: str, *options: str) -> str:
    """What sc_stats says of sclite's alignments of two systems."""
    command = [str(SC_STATS), "-p", *options, "-n", "-"]
    return _run(command, output, folder)  # it leaves files where it runs


def _run(command: list[str], given: str, folder: Path) -> str:
    done = subprocess.run(command, input=given.encode(), capture_output=True, timeout=300, check=True, cwd=folder)
    return done.stdout.decode(errors="replace")  # sc_stats pads a headline with stray bytes
