from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from asr.errors import AsrError
from asr.manifest import read_manifest, write_manifest
from asr.model.acoustic import load_model
from asr.train.setup import Trained, train_model
from tests.tones import Learned, learned, tiny_config

CPU = torch.device("cpu")


def again(folder: Learned, out: Path, *overrides: str) -> Trained:
    """A run of one epoch that begins with what was learned, at a rate that hardly changes it."""
    settings = [f"train.initial={folder.out / 'model'}", "train.epochs=1", "train.average=1", *overrides]
    return train_model(tiny_config("train.learning_rate=1e-6", *settings), "test", folder.train, folder.dev, out, CPU)


def test_it_begins_with_what_was_learned(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = learned(tmp_path_factory)
    trained = again(folder, tmp_path / "again").trained
    former = load_model(folder.out / "model")
    assert trained["dev"]["dev_wer"] == 0
    assert trained["dev"]["dev_loss"] == pytest.approx(former.trained["dev"]["dev_loss"], rel=0.01)
    assert trained["initial"] == {"model": (folder.out / "model").as_posix(), "sha256": former.sha256, "anew": []}
    assert f"begun with the weights of {folder.out / 'model'}\n" in capsys.readouterr().out
    assert "begun with the weights of" in (tmp_path / "again" / "model" / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_other_words_get_a_head_of_their_own(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = learned(tmp_path_factory)
    for path in (folder.train, folder.dev):
        write_manifest(
            tmp_path / path.name, [replace(one, text=one.text.replace("do", "ut")) for one in read_manifest(path)]
        )
    renamed = replace(folder, train=tmp_path / folder.train.name, dev=tmp_path / folder.dev.name)
    again(renamed, tmp_path / "out")
    assert f"begun with the weights of {folder.out / 'model'}; head anew\n" in capsys.readouterr().out
    former, found = (load_model(one / "model").model for one in (folder.out, tmp_path / "out"))
    for one, other in zip(former.encoder.parameters(), found.encoder.parameters(), strict=True):
        torch.testing.assert_close(other, one, atol=1e-3, rtol=0)
    assert (former.head.weight - found.head.weight).abs().max() > 0.05


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("encoder.hidden=8", "encoder.hidden is 16 there and 8 here"),
        ("encoder.cell=gru", "encoder.cell is lstm there and gru here"),
        ("features.mels=13", "features.mels is 12 there and 13 here"),
    ],
)
def test_another_architecture_is_refused(
    override: str, named: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    folder = learned(tmp_path_factory)
    with pytest.raises(AsrError, match=f"model: a model of another architecture, whose weights do not fit: {named}$"):
        again(folder, tmp_path / "out", override)


def test_no_model_is_refused_before_anything_is_made(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    folder = learned(tmp_path_factory)
    with pytest.raises(AsrError, match=r"nowhere/SHA256SUMS: could not be read \(No such file"):
        again(folder, tmp_path / "out", f"train.initial={tmp_path / 'nowhere'}")
    assert not (tmp_path / "out").exists()


def test_a_finished_run_is_not_taken_for_one_that_began_otherwise(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    folder = learned(tmp_path_factory)
    first = again(folder, tmp_path / "out")
    assert again(folder, tmp_path / "out").trained == first.trained
    with pytest.raises(AsrError, match=r"trained with another .*initial"):
        again(folder, tmp_path / "out", f"train.initial={tmp_path / 'out' / 'model'}")
