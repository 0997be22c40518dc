"""`asr decode` with several models at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from asr.decode.settings import ENSEMBLES_FILE, FILE
from asr.files import sha256
from asr.yaml_files import read_yaml
from tests.cli.decoding import RECEIPT, call
from tests.tones import Learned


@pytest.fixture
def two(tones: Learned, tmp_path: Path) -> list[Path]:
    """A copy of the model, and one whose head is less sure."""
    import torch

    from asr.model.acoustic import load_model, save_model

    shutil.copytree(tones.out / "model", tmp_path / "one" / "model")
    recogniser = load_model(tones.out / "model")
    with torch.no_grad():
        recogniser.model.head.weight *= 0.7
    (tmp_path / "two" / "model").mkdir(parents=True)
    trained = recogniser.trained | {"train_minutes": 1.5}
    save_model(tmp_path / "two" / "model", recogniser.model, recogniser.tokenizer, trained, "another")
    return [tmp_path / "one" / "model", tmp_path / "two" / "model"]


def _models(folders: list[Path]) -> list[object]:
    return [argument for folder in folders for argument in ("--model", folder)]


def test_several_models_from_tuning_to_a_verified_receipt(
    tones: Learned, two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lm = tmp_path / "lm.safetensors"
    assert call("lm", "train", "--text", tones.train, "--order", 2, "--out", lm) == 0
    assert call("decode", *_models(two), "--manifest", tones.dev, "--lm", lm, "--tune") == 0
    assert f"stored: {two[0] / ENSEMBLES_FILE}" in capsys.readouterr().out
    assert not any((folder / FILE).exists() for folder in two)
    outs = [tmp_path / "out", tmp_path / "turned"]
    for out, folders in zip(outs, (two, two[::-1]), strict=True):
        assert call("decode", *_models(folders), "--manifest", tones.test, "--lm", lm, "--out", out) == 0
        assert "no weights were tuned" not in capsys.readouterr().err  # whichever is named first
    assert (outs[0] / "hyp.jsonl").read_bytes() == (outs[1] / "hyp.jsonl").read_bytes()
    assert call("score", tones.test, outs[0] / "hyp.jsonl") == 0
    receipt = outs[0] / "result.json"
    fields = json.loads(receipt.read_text())
    assert not set(RECEIPT) - set(fields)
    assert (fields["system"], fields["wer"]) == ("beam+2gram+2models", 0.0)
    assert fields["model"] == [folder.as_posix() for folder in two]
    assert fields["model_sha256"] == [sha256(folder / "SHA256SUMS") for folder in two]
    minutes = [read_yaml(folder / "config.yaml")["trained"]["train_minutes"] for folder in two]
    assert fields["train_minutes"] == pytest.approx(sum(minutes))
    assert (fields["parameters"], fields["seed"]) == (2 * 7077, 1)
    assert (outs[0] / "posteriors.safetensors").exists()
    assert call("verify", receipt) == 0
    assert call("verify", receipt, *_models(two)) == 0
    for folders, sentence in (
        (two[:1], "was made with 2 models, 1 are given; name as many"),
        (two[::-1], "model: not the model of this receipt"),
    ):
        assert call("verify", receipt, *_models(folders)) == 1
        assert sentence in capsys.readouterr().err


def test_several_models_greedily(tones: Learned, two: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call("decode", *_models(two), "--manifest", tones.test, "--out", out) == 0
    assert call("score", tones.test, out / "hyp.jsonl") == 0
    fields = json.loads((out / "result.json").read_text())
    assert (fields["system"], fields["wer"]) == ("greedy+2models", 0.0)
    assert call("verify", out / "result.json") == 0


def test_several_models_need_a_folder_and_a_single_ones_stays_its_own(
    tones: Learned, two: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("decode", *_models(two), "--manifest", tones.test) == 2
    assert "several models have no folder that is theirs: say with --out" in capsys.readouterr().err
    assert not (two[0].parent / "decode").exists()
