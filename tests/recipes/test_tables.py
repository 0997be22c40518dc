"""The tables of AN4 models say what the receipts and the hypotheses beside them hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
RECEIPTS = Path("recipes/an4/results/tables")
TABLES = sorted(ROOT.glob("docs/an4_*.md"))
FOLDS = ROOT / "docs" / "folds_an4.md"


def printed(receipts: Path, *names: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(ROOT / "scripts" / "table_an4.py"), str(receipts), *names]
    return subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", [*TABLES, FOLDS], ids=lambda path: path.stem)
def test_a_table_is_what_its_receipts_give(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    names = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][2:]
    assert len(names) > 1
    assert printed(Path("recipes/an4/results/folds") if path == FOLDS else RECEIPTS, *names).stdout == text


def test_the_picture_is_what_the_receipts_give() -> None:
    script = [sys.executable, "scripts/picture_tables.py", str(RECEIPTS), *(f"docs/{path.name}" for path in TABLES)]
    drawn = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert drawn == (ROOT / "docs" / "an4_tables.svg").read_text(encoding="utf-8")


@pytest.fixture
def receipts(tmp_path: Path) -> Path:
    """Two systems of two seeds; the second is worse by one word of ten in each."""
    lines = [f"one two three four five six seven eight nine ten (u{number})" for number in range(6)]
    (tmp_path / "ref.trn").write_text("\n".join(lines) + "\n")
    for name, errors in (("base", 0), ("worse", 6)):
        (tmp_path / name).mkdir()
        for seed in (1, 2):
            said = [line.replace("ten ", "tent ") if number < errors else line for number, line in enumerate(lines)]
            (tmp_path / name / f"seed{seed}.trn").write_text("\n".join(said) + "\n")
            receipt = {"config": f"conf.yaml seed={seed} size=1" + (" tail=long" if errors else ""), "seed": seed}
            receipt |= {"wer": 10.0 * errors / 6, "parameters": 1000}
            receipt |= {"substitutions": errors, "deletions": 0, "insertions": 0}
            (tmp_path / name / f"seed{seed}.json").write_text(json.dumps(receipt))
    return tmp_path


def test_a_difference_and_its_chance(receipts: Path) -> None:
    *_, base, worse = printed(receipts, "base", "worse").stdout.splitlines()
    cells = [cell.strip() for cell in worse.strip("|").split("|")]
    assert cells[:4] == ["worse", "`tail=long`", "1,000", "10.00 %"]
    assert cells[6] == "**+10.00**"
    assert float(cells[7]) == pytest.approx(2 / 2**6, abs=0.01)  # all six signs alike, either way round
    assert base.count("0.00 %") == 1


def test_a_receipt_that_its_hypotheses_belie_is_refused(receipts: Path) -> None:
    path = receipts / "worse" / "seed2.json"
    path.write_text(path.read_text().replace('"substitutions": 6', '"substitutions": 5'))
    done = printed(receipts, "base", "worse")
    assert done.returncode == 1
    assert "seed2.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_system_that_lacks_a_seed_is_not_compared(receipts: Path) -> None:
    (receipts / "worse" / "seed2.json").unlink()
    done = printed(receipts, "base", "worse")
    assert done.returncode == 1
    assert "worse: holds other seeds or folds than base" in done.stderr


def test_a_system_without_receipts_is_named(receipts: Path) -> None:
    done = printed(receipts, "base", "missing")
    assert done.returncode == 1
    assert "missing" in done.stderr


def test_folds_are_parts_of_what_is_said(receipts: Path) -> None:
    for name in ("base", "worse"):
        for fold, numbers in ((1, (0, 1)), (2, (2, 3, 4, 5))):
            old = receipts / name / f"seed{fold}"
            lines = old.with_suffix(".trn").read_text().splitlines()
            new = receipts / name / f"fold{fold}"
            new.with_suffix(".trn").write_text("\n".join(lines[number] for number in numbers) + "\n")
            receipt = json.loads(old.with_suffix(".json").read_text())
            receipt |= {"substitutions": len(numbers) if name == "worse" else 0, "seed": 1}
            new.with_suffix(".json").write_text(json.dumps(receipt))
            old.with_suffix(".json").unlink()
    head, _, base, worse = printed(receipts, "base", "worse").stdout.splitlines()
    assert "folds 1 / 2" in head
    assert "worse/fold2.json" in worse
    assert [line.split("|")[4].strip() for line in (base, worse)] == ["0.00 %", "10.00 %"]
    assert float(worse.split("|")[8]) == pytest.approx(2 / 2**6, abs=0.01)
