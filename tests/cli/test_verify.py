"""`asr verify`: what it finds changed, and receipts that were spoiled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr.files import write_text
from asr.manifest import read_manifest, write_manifest
from asr.score import verify
from tests.cli.decoding import call, search
from tests.tones import Learned


def test_verify_compares_every_count_of_the_score() -> None:
    assert set(verify.COMPARED) >= {"wer", "substitutions", "deletions", "insertions", "utterances", "words", "failed"}


@pytest.mark.parametrize(("name", "value"), [("wer", 3.1), ("deletions", 1), ("utterances", 11), ("failed", 2)])
def test_verify_finds_a_changed_count(
    name: str, value: float, receipt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = json.loads(receipt.read_text())
    receipt.write_text(json.dumps(fields | {name: value}))
    capsys.readouterr()
    assert call("verify", receipt) == 1
    assert capsys.readouterr().out == f"{name}: the receipt says {value}, decoding again gives {fields[name]}\n"


def test_verify_finds_another_manifest_or_model(
    tones: Learned, receipt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "changed.jsonl"
    write_manifest(changed, read_manifest(tones.test)[1:])
    assert call("verify", receipt, "--manifest", changed) == 1
    assert "changed.jsonl: not the manifest of this receipt: its SHA-256 is" in capsys.readouterr().err
    fields = json.loads(receipt.read_text())
    receipt.write_text(json.dumps(fields | {"model_sha256": "0" * 64}))
    assert call("verify", receipt) == 1
    assert "model: not the model of this receipt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"wer": None}, 1, "wer: the receipt says None, decoding again gives"),
        ({"bootstrap_seed": None}, 1, "bootstrap_seed must be a whole number"),
        ({"bootstrap_seed": "one"}, 1, "bootstrap_seed must be a whole number"),
        ({"normalise": 3}, 1, "bootstrap_seed must be a whole number and normalise a name"),
        ({"normalise": "loud"}, 2, "no normaliser 'loud'"),
        ({"model": "nowhere"}, 1, "nowhere: there is no such model folder"),
        ({"manifest": "nowhere.jsonl"}, 1, "nowhere.jsonl: could not be read"),
    ],
)
def test_verify_a_receipt_that_was_spoiled(
    change: dict[str, object], status: int, sentence: str, receipt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt.write_text(json.dumps(json.loads(receipt.read_text()) | change))
    assert call("verify", receipt) == status
    assert sentence in "".join(capsys.readouterr())


def test_verify_what_is_no_receipt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_text(tmp_path / "result.json", '{"wer": 1.0}')
    assert call("verify", tmp_path / "result.json") == 1
    assert "not a full receipt, it lacks cer, ser" in capsys.readouterr().err


def test_a_receipt_whose_search_was_spoiled(tones: Learned, tuned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert search(tones, tuned, tones.test, "--lm", tuned / "lm.safetensors") == 0
    assert call("score", tones.test, tuned / "decode" / "hyp.jsonl") == 0
    receipt = tuned / "decode" / "result.json"
    fields = json.loads(receipt.read_text())
    for spoiled, sentence in (
        ({**fields["search"], "beam": "wide"}, "result.json: search: beam: Input should be a valid integer"),
        ("beam", "result.json: search: "),
        ({**fields["search"], "background": [0.0]}, "the background for word times has 1 numbers"),
        ({**fields["search"], "lm": "gone.arpa"}, "gone.arpa: could not be read"),
    ):
        receipt.write_text(json.dumps(fields | {"search": spoiled}))
        assert call("verify", receipt) == 1
        assert sentence in capsys.readouterr().err
