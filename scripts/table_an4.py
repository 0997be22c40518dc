"""Prints a table of systems that differ from the first: scripts/tables_an4.sh and scripts/folds_an4.sh call it.

    python scripts/table_an4.py RECEIPTS NAME [NAME ...]

RECEIPTS holds ref.trn, and RECEIPTS/NAME seed1.json, seed1.trn and so on, each for all utterances; or ref1.trn,
ref2.trn and fold1.json, fold1.trn and so on, each for its part of them. A rate is over all that they hold; its
interval and the paired permutation test draw utterances, each with the errors of all seeds together, since the seeds
of one system err on the same utterances. A difference is bold where that test gives p < 0.05: of twenty systems that
are worth no more than the first, one will be.
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
    """Several seeds, or folds, of one system.

    Attributes:
        name: its folder's.
        receipts: path → what it holds.
        errors: shape (utterances,), of all seeds together.
        words: shape (utterances,), as often.
    """

    name: str
    receipts: dict[Path, dict[str, Any]]
    errors: np.ndarray
    words: np.ndarray

    @property
    def rate(self) -> float:
        """WER over all of them [%]."""
        return 100 * self.errors.sum() / self.words.sum()


def read_trn(path: Path) -> dict[str, list[str]]:
    """Words by id."""
    return {name: words.split() for _, name, words in trn(path, path.read_text(encoding="utf-8"))}


def load_system(folder: Path, references: dict[str, list[str]]) -> System:
    """Reads the receipts and the hypotheses beside them, which must agree with each other."""
    receipts = {}
    errors, words = dict.fromkeys(references, 0), dict.fromkeys(references, 0)
    for path in sorted(folder.glob("*[0-9].json")):
        receipt = json.loads(path.read_text(encoding="utf-8"))
        said = read_trn(path.with_suffix(".trn"))
        counts = count_pairs([references[name] for name in said], list(said.values()))[:, 1:].sum(axis=1)
        if counts.sum() != sum(receipt[kind] for kind in ("substitutions", "deletions", "insertions")):
            raise SystemExit(f"{path}: counts other errors than its hypotheses hold")
        for name, count in zip(said, counts, strict=True):
            errors[name] += count
            words[name] += len(references[name])
        receipts[path] = receipt
    if not receipts:
        raise SystemExit(f"{folder}: holds no receipts; scripts/tables_an4.sh and scripts/folds_an4.sh make them")
    return System(folder.name, receipts, np.array([*errors.values()]), np.array([*words.values()]))


def load_systems(receipts: Path, names: list[str]) -> list[System]:
    """The systems called so; all must hold the same seeds or folds."""
    references = {name: words for path in sorted(receipts.glob("ref*.trn")) for name, words in read_trn(path).items()}
    systems = [load_system(receipts / name, references) for name in names]
    for system in systems:
        held, wanted = ([path.name for path in one.receipts] for one in (system, systems[0]))
        if held != wanted or not np.array_equal(system.words, systems[0].words):
            raise SystemExit(f"{receipts / system.name}: holds other seeds or folds than {systems[0].name}")
    return systems


def changed(system: System, base: System) -> str:
    """The overrides that the base does not have."""
    mine, theirs = (next(iter(one.receipts.values()))["config"].split() for one in (system, base))
    return " ".join(f"`{override}`" for override in mine if "=" in override and override not in theirs)


def row(system: System, base: System, receipts: Path) -> str:
    """One line of the table."""
    bounds = interval(system.errors, system.words, seed=1)
    around = f"{100 * (bounds.low or 0):.2f}–{100 * (bounds.high or 0):.2f}"
    each = " / ".join(
        f"[{one['wer']:.2f}](../{receipts}/{system.name}/{path.name})" for path, one in system.receipts.items()
    )
    difference, p_value = "", ""
    if system is not base:
        chance = paired_permutation(system.errors, base.errors, seed=1)
        mark = "**" if chance < 0.05 else ""
        difference, p_value = f"{mark}{system.rate - base.rate:+.2f}{mark}", f"{chance:.4f}"
    cells = [
        system.name,
        changed(system, base),
        f"{next(iter(system.receipts.values()))['parameters']:,}",
        f"{system.rate:.2f} %",
        around,
        each,
        difference,
        p_value,
    ]
    return "| " + " | ".join(cells) + " |"


def table(receipts: Path, names: list[str]) -> str:
    """The table of the systems called so, the first of which the others are held against."""
    systems = load_systems(receipts, names)
    parts = [path.stem for path in systems[0].receipts]  # seed1, seed2
    kind = parts[0].rstrip("0123456789")
    each = f"{kind}s {' / '.join(part.removeprefix(kind) for part in parts)}"
    lines = [
        f"| system | changed | parameters | WER on dev | 95 % interval | {each} | difference | p |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(row(system, systems[0], receipts) for system in systems),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Path(sys.argv[1]), sys.argv[2:]))
