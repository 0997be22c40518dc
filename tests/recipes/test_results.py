"""Every figure that a README gives is the one on its receipt, and every receipt is complete and quoted."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import mean, stdev

import pytest

from asr.score.receipt import KEYS, OPTIONAL
from asr.score.statistics import t_quantile

ROOT = Path(__file__).resolve().parent.parent.parent
RECEIPTS = sorted(ROOT.glob("recipes/*/results/*.json"))
READMES = [ROOT / "README.md", ROOT / "RESULTS.md", *sorted(ROOT.glob("recipes/*/README.md"))]
_ROW = re.compile(r"^\|.*\]\(([^)]*results/[^)]*\.json)\).*$", re.MULTILINE)


def rows() -> list[tuple[Path, str, Path]]:
    return [
        (readme, match[0], (readme.parent / match[1]).resolve())
        for readme in READMES
        for match in _ROW.finditer(readme.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("receipt", RECEIPTS, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_a_receipt_is_complete_and_its_recipe_quotes_it(receipt: Path) -> None:
    fields = json.loads(receipt.read_text(encoding="utf-8"))
    assert [key for key in KEYS if key not in fields and key not in OPTIONAL] == []
    assert fields["system"].startswith("greedy") or fields["search"], "nobody could repeat this search"
    assert fields["commit"] and not fields["commit"].endswith("+"), "decoded with uncommitted changes in asr/"
    models = fields["model"] if isinstance(fields["model"], list) else [fields["model"]]
    named = [fields["manifest"], *models, fields.get("against", ""), (fields.get("search") or {}).get("lm", "")]
    assert not any(path.startswith("/") for path in named), "a path of one machine"
    quoted = {path for readme, _, path in rows() if readme.parent == receipt.parent.parent}
    assert receipt in quoted


@pytest.mark.parametrize(("readme", "row", "receipt"), rows(), ids=lambda value: getattr(value, "stem", None))
def test_a_row_says_what_its_receipt_says(readme: Path, row: str, receipt: Path) -> None:
    fields = json.loads(receipt.read_text(encoding="utf-8"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert f"{fields['wer']:.2f} %" in cells, row
    assert f"{fields['wer_low']:.2f}–{fields['wer_high']:.2f}" in cells, row
    assert f"{fields['train_minutes']:.1f}" in cells, row
    for cell in cells:
        if cell.startswith(("Intel", "AMD")):
            assert (fields.get("train_cpu") or fields["cpu"]).replace("(R)", "").startswith(cell.split(",")[0]), row


def _mean(pattern: str) -> tuple[str, str]:
    """As a table has the mean of several receipts, and Student's t over them."""
    receipts = [json.loads(path.read_text()) for path in sorted(ROOT.glob(f"recipes/{pattern}.json"))]
    kinds = ("substitutions", "deletions", "insertions")
    rates = [100 * sum(one[kind] for kind in kinds) / one["words"] for one in receipts]
    assert len(rates) in (5, 6)
    half = t_quantile(len(rates) - 1) * stdev(rates) / len(rates) ** 0.5
    return f"{mean(rates):.2f} %", f"{mean(rates) - half:.2f}–{mean(rates) + half:.2f}"


@pytest.mark.parametrize("page", ["README.md", "RESULTS.md", "recipes/an4/README.md"])
def test_the_mean_of_the_seeds_is_that_of_their_receipts(page: str) -> None:
    (row,) = re.findall(r"^\|.*mean of (?:the )?five seeds.*$", (ROOT / page).read_text(), re.MULTILINE)
    (spelled,) = re.findall(r"^\|.*mean of the same five.*$", (ROOT / page).read_text(), re.MULTILINE)
    for quoted, kind in ((row, "phones"), (spelled, "phones-spelled")):
        rate, interval = _mean(f"an4/results/{kind}-seed[1-5]")
        assert rate in quoted
        assert interval in quoted


@pytest.mark.parametrize("page", ["RESULTS.md", "recipes/an4/README.md"])
def test_the_mean_of_an_earlier_setting_is_that_of_its_receipts(page: str) -> None:
    (quoted,) = re.findall(r"^\|.*mean (?:of its five|\().*$", (ROOT / page).read_text(), re.MULTILINE)
    rate, interval = _mean("an4/results/phones-second-seed[1-5]")
    assert rate in quoted
    assert interval in quoted


def test_the_means_of_the_speakers_left_out_are_those_of_their_receipts() -> None:
    page = (ROOT / "recipes/fsdd/README.md").read_text()
    means = re.findall(r"^\| mean of the six left out \| (.*? %)", page, re.MULTILINE)
    kinds = ("greedy", "phones", "phones-first", "connected")
    assert means == [_mean(f"fsdd/results/{kind}-without-*")[0] for kind in kinds]
    for page in ("README.md", "RESULTS.md"):
        (row,) = re.findall(r"^\|.*mean of six.*$", (ROOT / page).read_text(), re.MULTILINE)
        assert means[1] in row


def test_there_are_receipts() -> None:
    assert {path.parent.parent.name for path in RECEIPTS} >= {"spoken-digits", "yesno", "fsdd", "an4"}
