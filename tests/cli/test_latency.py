"""`asr decode --latency`: chunk by chunk, as a stream is heard."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from asr.files import sha256
from tests.cli.decoding import call, search
from tests.tones import Learned


def test_it_decodes_scores_and_verifies(tones: Learned, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--model", tones.out / "model", "--manifest", tones.test)
    assert call("decode", *arguments, "--out", tmp_path, "--latency", "0.12") == 0
    assert "note: this model was trained on whole utterances alone" in capsys.readouterr().err
    assert call("score", tones.test, tmp_path / "hyp.jsonl") == 0
    receipt = tmp_path / "result.json"
    fields = json.loads(receipt.read_text())
    assert (fields["system"], fields["latency"], fields["failed"]) == ("greedy+latency0.12", 0.12, 0)
    assert call("verify", receipt) == 0
    receipt.write_text(json.dumps(fields | {"latency": "short"}))
    assert call("verify", receipt) == 1
    assert "result.json: latency must be a number of seconds such as 1.0, this is 'short'" in capsys.readouterr().err


def test_a_latency_as_long_as_the_utterances_changes_nothing_and_a_short_one_does(
    tones: Learned, tmp_path: Path
) -> None:
    sums = []
    for name, latency in (("whole", ()), ("long", ("--latency", 9)), ("short", ("--latency", 0.06))):
        arguments = ("--model", tones.out / "model", "--manifest", tones.test, "--out", tmp_path / name)
        assert call("decode", *arguments, *latency) == 0
        sums.append(sha256(tmp_path / name / "posteriors.safetensors"))
    assert sums[0] == sums[1] != sums[2]


def test_a_search_goes_by_chunks_too(tones: Learned, tmp_path: Path) -> None:
    shutil.copytree(tones.out / "model", tmp_path / "model")
    assert search(tones, tmp_path, tones.test, "--beam", 4, "--latency", 1) == 0
    assert json.loads((tmp_path / "decode" / "decode.json").read_text())["system"] == "beam+latency1.0"


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        (
            ("--latency", "0.05"),
            2,
            "a latency of 0.05 s is too short: this model's frames are 0.03 s apart",
        ),
        (("--latency", "-1"), 2, "a latency of -1 s is too short"),
        (("--latency", "nan"), 2, "a latency must be a number of seconds such as 1.0, not nan"),
        (("--latency", "1", "--lm", "lm", "--tune"), 2, "--tune tunes on whole utterances: leave out --latency"),
    ],
)
def test_a_latency_that_cannot_be(
    options: tuple[str, ...],
    status: int,
    sentence: str,
    tones: Learned,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ("--model", tones.out / "model", "--manifest", tones.test)
    assert call("decode", *arguments, "--out", tmp_path / "out", *options) == status
    assert f"error: {sentence}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
