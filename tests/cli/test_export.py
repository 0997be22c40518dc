from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import pytest

from asr.cli.main import app, run
from asr.model.acoustic import load_model, save_model
from tests.tones import Learned, learned, tiny_config


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return learned(tmp_path_factory)


def _export(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        run(lambda: app(["export", *map(str, arguments)]))
    return int(left.value.code or 0)


def test_the_folder_holds_what_it_promises(tones: Learned, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tones.out / "model"
    for name, options in (("model.onnx", ()), ("model.int8.onnx", ("--int8",)), ("model.onnx", ())):
        assert _export("--model", model, "--out", tmp_path / "out", *options) == 0
        assert f"exported: {tmp_path / 'out' / name} (" in capsys.readouterr().out
        held = sorted(path.name for path in (tmp_path / "out").iterdir())
        assert held == sorted(["MODEL_CARD.md", "SHA256SUMS", "config.yaml", "stream.onnx", "tokens.txt", name])
        sums = (tmp_path / "out" / "SHA256SUMS").read_text().splitlines()
        assert sorted(line.split("  ")[1] for line in sums) == [one for one in held if one != "SHA256SUMS"]
        for line in sums:  # as `sha256sum -c` reads it
            digest, file = line.split("  ")
            assert hashlib.sha256((tmp_path / "out" / file).read_bytes()).hexdigest() == digest
        card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
        assert card.startswith((model / "MODEL_CARD.md").read_text())
        assert f"Exported to `{name}`, " in card and load_model(model).sha256 in card
        assert (tmp_path / "out" / "config.yaml").read_text() == (model / "config.yaml").read_text()


def test_an_attention_decoder_is_left_out_and_that_is_said(
    tones: Learned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = load_model(tones.out / "model")
    joint = type(found.model)(tiny_config("decoder.weight=0.3", "features.cmvn=utterance"), len(found.tokenizer))
    save_model(tmp_path / "joint", joint, found.tokenizer, found.trained, "# A card\n")
    assert _export("--model", tmp_path / "joint", "--out", tmp_path / "out") == 0
    assert "note: by CTC alone; the model's attention decoder is not exported" in capsys.readouterr().err
    assert "its attention decoder was left out" in (tmp_path / "out" / "MODEL_CARD.md").read_text()


def test_bad_input_gets_a_sentence(
    tones: Learned, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(status: int, *fragments: object, model: Path = tones.out / "model", out: Path = tmp_path / "x") -> None:
        assert _export("--model", model, "--out", out) == status
        told = capsys.readouterr().err
        assert told.startswith("error: ") and told.count("\n") == 1
        assert all(str(fragment) in told for fragment in fragments), told

    copy = tmp_path / "copy"
    shutil.copytree(tones.out / "model", copy)
    refused(2, copy, "holds a trained model, and an exported one needs a folder of its own", out=copy)
    refused(1, tmp_path / "no", "there is no such model folder", model=tmp_path / "no")
    (tmp_path / "file").write_text("")
    refused(1, tmp_path / "file", "File exists", out=tmp_path / "file")
    found = load_model(copy)
    projected = type(found.model)(tiny_config("encoder.cell=projected", "features.cmvn=none"), len(found.tokenizer))
    save_model(tmp_path / "projected", projected, found.tokenizer, found.trained, "")
    refused(1, "encoder.cell=projected: ONNX has no such layer", model=tmp_path / "projected")
    assert not (tmp_path / "x").exists()
    for name in [one for one in sys.modules if one.startswith("asr.export")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    refused(2, "asr export needs the package onnx: pip install 'asr[export]'")
