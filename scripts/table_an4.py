"""Prints a table of systems that differ from the first in one thing each: scripts/tables_an4.sh calls it.

    python scripts/table_an4.py RECEIPTS NAME [NAME ...]

RECEIPTS holds ref.trn, and RECEIPTS/NAME seed1.json, seed1.trn and so on. A rate is the mean over the seeds; its
interval and the paired permutation test draw utterances, each with the errors of all seeds together, since the seeds of
one system err on the same utterances. A difference is bold where that test gives p < 0.05: of twenty systems that are
worth no more than the first, one will be.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr.score.align import count_pairs
from asr.score.formats import trn
from asr.score.statistics import interval, paired_permutation


@dataclass(frozen=True)
class System:
    """Several seeds of one system.

    Attributes:
        name: its folder's.
        receipts: of its seeds.
        errors: shape (utterances,), of all seeds together.
        words: shape (utterances,), as often.
    """

    name: str
    receipts: list[dict[str, Any]]
    errors: np.ndarray
    words: np.ndarray

    @property
    def rate(self) -> float:
        """Mean WER over the seeds [%]."""
        return 100 * self.errors.sum() / self.words.sum()


def read_trn(path: Path) -> dict[str, list[str]]:
    """Words by id."""
    return {name: words.split() for _, name, words in trn(path, path.read_text(encoding="utf-8"))}


def load_system(folder: Path, references: dict[str, list[str]]) -> System:
    """Reads the receipts and the hypotheses beside them, which must agree with each other."""
    receipts, errors = [], []
    for path in sorted(folder.glob("seed*.json")):
        receipt = json.loads(path.read_text(encoding="utf-8"))
        said = read_trn(path.with_suffix(".trn"))
        counts = count_pairs(list(references.values()), [said[name] for name in references])
        errors.append(counts[:, 1:].sum(axis=1))
        if errors[-1].sum() != sum(receipt[kind] for kind in ("substitutions", "deletions", "insertions")):
            raise SystemExit(f"{path}: counts other errors than its hypotheses hold")
        receipts.append(receipt)
    if not receipts:
        raise SystemExit(f"{folder}: holds no receipts; scripts/tables_an4.sh makes them")
    words = np.array([len(words) for words in references.values()]) * len(receipts)
    return System(folder.name, receipts, np.sum(errors, axis=0), words)


def changed(system: System, base: System) -> str:
    """The overrides that the base does not have."""
    mine, theirs = (one.receipts[0]["config"].split() for one in (system, base))
    return " ".join(f"`{override}`" for override in mine if override not in theirs)


def row(system: System, base: System, receipts: Path) -> str:
    """One line of the table."""
    bounds = interval(system.errors, system.words, seed=1)
    around = f"{100 * (bounds.low or 0):.2f}–{100 * (bounds.high or 0):.2f}"
    seeds = " / ".join(
        f"[{one['wer']:.2f}](../{receipts}/{system.name}/seed{one['seed']}.json)" for one in system.receipts
    )
    difference, p_value = "", ""
    if system is not base:
        chance = paired_permutation(system.errors, base.errors, seed=1)
        mark = "**" if chance < 0.05 else ""
        difference, p_value = f"{mark}{system.rate - base.rate:+.2f}{mark}", f"{chance:.4f}"
    cells = [
        system.name,
        changed(system, base),
        f"{system.receipts[0]['parameters']:,}",
        f"{system.rate:.2f} %",
        around,
        seeds,
        difference,
        p_value,
    ]
    return "| " + " | ".join(cells) + " |"


def table(receipts: Path, names: list[str]) -> str:
    """The table of the systems called so, the first of which the others are held against."""
    references = read_trn(receipts / "ref.trn")
    systems = [load_system(receipts / name, references) for name in names]
    lines = [
        "| system | changed | parameters | WER on dev | 95 % interval | seeds 1 / 2 | difference | p |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(row(system, systems[0], receipts) for system in systems),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Path(sys.argv[1]), sys.argv[2:]))
