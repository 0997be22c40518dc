"""WER over latency: its table, its picture and its complaints."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from asr.cli.main import run
from asr.manifest import read_manifest, write_manifest
from scripts.measure_latency import Point, draw, main, table
from tests.tones import Learned, learned

POINTS = [Point(0.4, 12.5, 10.0, 15.0, 200), Point(2.0, 9.25, 8.0, 11.0, 300), Point(None, 9.0, 7.5, 10.5, 800)]


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return learned(tmp_path_factory)


def _call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["measure_latency.py", *map(str, arguments)])
    try:
        run(main)
    except SystemExit as left:
        return int(left.code or 0)
    return 0


def test_the_table() -> None:
    assert [line.split() for line in table(POINTS).splitlines()[1:]] == [
        ["0.4", "s", "12.50", "10.00", "–", "15.00", "200"],
        ["2", "s", "9.25", "8.00", "–", "11.00", "300"],
        ["whole", "9.00", "7.50", "–", "10.50", "800"],
    ]


def test_the_picture_shows_every_point_where_it_belongs() -> None:
    root = ElementTree.fromstring(draw(POINTS))
    name = "{http://www.w3.org/2000/svg}"
    (first, second), (one, other) = (
        [(float(dot.get("cx", 0)), float(dot.get("cy", 0))) for dot in root.iter(f"{name}circle")],
        [tuple(map(float, point.split(","))) for point in root.find(f"{name}polyline").get("points").split()],  # type: ignore[union-attr]
    )
    assert (first, second) == (one, other)
    assert first[0] < second[0]
    assert first[1] < second[1]  # a higher WER stands higher
    assert "whole 9.00 %" in [text.text for text in root.iter(f"{name}text")]


def test_it_measures_and_draws(
    tones: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--latencies", "0.3,0.12", "--svg", tmp_path / "latency.svg")
    assert _call(monkeypatch, tones.out / "model", tones.test, *options) == 0
    told = capsys.readouterr().out
    assert "12 utterances" in told
    assert re.findall(r"^(\S+ s|whole) +([0-9.]+)", told, re.MULTILINE) == [
        ("0.12 s", "0.00"),
        ("0.3 s", "0.00"),
        ("whole", "0.00"),
    ]
    assert ElementTree.parse(tmp_path / "latency.svg").getroot().tag.endswith("svg")


def test_what_it_cannot_do_is_said(
    tones: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for latencies, sentence in {
        "0.4;1": "error: --latencies 0.4;1: needed are numbers of seconds, as in 0.4,",
        "0.01": "error: a latency of 0.01 s is too short",
        "nan": "error: a latency must be a number of seconds",
    }.items():
        assert _call(monkeypatch, tones.out / "model", tones.test, "--latencies", latencies) == 2
        assert sentence in capsys.readouterr().err
    first, *others = read_manifest(tones.test)
    write_manifest(tmp_path / "test.jsonl", [replace(first, audio=tmp_path / "gone.wav"), *others])
    assert _call(monkeypatch, tones.out / "model", tmp_path / "test.jsonl", "--latencies", "0.3") == 1
    assert "gone.wav" in capsys.readouterr().err
