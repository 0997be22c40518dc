"""The table of a model's card: every set under every condition, and what cannot be transcribed."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from asr.cli.main import run
from asr.manifest import read_manifest, write_manifest
from scripts.measure_card import CHANGES, Line, main, table
from tests.tones import Learned, learned


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return learned(tmp_path_factory)


def _call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["measure_card.py", *map(str, arguments)])
    try:
        run(main)
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def test_a_row_a_set_and_a_column_a_condition() -> None:
    lines = [
        Line("readers", "as recorded", 1200, 120, 0, 10.0, 9.0, 11.0),
        Line("readers", "in noise", 1200, 240, 0, 20.0, 19.0, 21.0),
        Line("digits", "as recorded", 300, 3, 0, 1.0, 0.5, 2.0),
        Line("digits", "in noise", 300, 6, 0, 2.0, 1.5, 3.0),
    ]
    assert table(lines).splitlines() == [
        "| WER % | as recorded | in noise |",
        "| --- | --- | --- |",
        "| readers, 1,200 words | 10.00 (9.00–11.00) | 20.00 (19.00–21.00) |",
        "| digits, 300 words | 1.00 (0.50–2.00) | 2.00 (1.50–3.00) |",
    ]


def test_it_measures_every_condition(
    tones: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tones.out / "model", tmp_path / "card.json"
    assert _call(monkeypatch, model, f"tones={tones.test}", f"more={tones.dev}", "--threads", 1, "--json", out) == 0
    kept = json.loads(out.read_text())
    assert capsys.readouterr().out.count("\n") == 4
    conditions = [*CHANGES, "as spoken, 1 s"]
    assert [(line["set"], line["condition"]) for line in kept["lines"]] == [
        (name, condition) for name in ("tones", "more") for condition in conditions
    ]
    words = sum(len(one.text.split()) for one in read_manifest(tones.test))
    clean, *others = kept["lines"][: len(conditions)]
    assert (clean["words"], clean["errors"], clean["failed"]) == (words, 0, 0)
    assert max(one["errors"] for one in others) > 0  # noise of 10 dB is much for tones


def test_what_cannot_be_transcribed_is_named_and_counted(
    tones: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(monkeypatch, tones.out / "model", "no equals sign") == 2
    assert "needed is NAME=MANIFEST" in capsys.readouterr().err
    first, *others = read_manifest(tones.test)
    write_manifest(tmp_path / "test.jsonl", [replace(first, audio=tmp_path / "gone.wav"), *others])
    out = tmp_path / "card.json"
    assert _call(monkeypatch, tones.out / "model", f"tones={tmp_path / 'test.jsonl'}", "--json", out) == 1
    assert f"not transcribed, as recorded: {first.id}: " in capsys.readouterr().err
    clean = json.loads(out.read_text())["lines"][0]
    assert (clean["errors"], clean["failed"]) == (len(first.text.split()), 1)
