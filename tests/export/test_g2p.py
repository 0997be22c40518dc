"""An exported grapheme-to-phoneme model says what the trained one says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from asr.errors import AsrError, UsageError
from asr.export.folder import export
from asr.export.g2p import export_g2p
from asr.model.acoustic import AcousticModel, save_model
from asr.phones.g2p import G2pConfig, G2pModel, load_g2p, phone_tokens, save_g2p
from asr.phones.onnx_g2p import OnnxG2p
from asr.tokens import Tokenizer
from tests.tones import tiny_config

PHONES = ["AA", "D", "EY", "F", "IY", "M", "OW", "R"]
WORDS = ["SOL", "a", "ABRACADABRA", "Zoe", "dodo"]


@pytest.fixture(scope="module")
def g2p(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned nothing, but says something."""
    torch.manual_seed(1)
    folder, phones = tmp_path_factory.mktemp("g2p"), phone_tokens(PHONES)
    model = G2pModel(G2pConfig(layers=2, hidden=24, embedding=9), 26, len(phones)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    save_g2p(folder, model, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", phones, {})
    return folder


@pytest.mark.parametrize("int8", [False, True])
def test_it_says_what_the_trained_one_says(g2p: Path, int8: bool, tmp_path: Path) -> None:
    export_g2p(g2p, tmp_path, int8)
    trained, found = load_g2p(g2p), OnnxG2p(tmp_path)
    ids = [trained.letter_ids(word) or [] for word in WORDS]
    assert ids == [found.letter_ids(word) for word in WORDS]
    for one, wanted, together in zip(ids, trained.log_probs(ids), found.log_probs(ids), strict=True):
        assert together.shape == wanted.shape == (3 * len(one), 1 + len(PHONES))
        np.testing.assert_allclose(together, wanted, rtol=0, atol=0.3 if int8 else 1e-4)
        np.testing.assert_allclose(together, found.log_probs([one])[0], rtol=0, atol=1e-5)
    if not int8:
        assert [[one.phones for one in many] for many in found.pronounce(WORDS, 2)] == [
            [one.phones for one in many] for many in trained.pronounce(WORDS, 2)
        ]
    assert found.pronounce(["ré"]) == [[]]
    (tmp_path / "g2p.onnx").write_bytes(b"")
    with pytest.raises(AsrError, match="was altered since the model was saved"):
        OnnxG2p(tmp_path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An untrained recogniser of the same phones."""
    symbols = ["<blank>", *PHONES]
    model = AcousticModel(tiny_config(), len(symbols)).eval()
    model.features.set_global(torch.zeros(12), torch.ones(12))
    save_model(tmp_path / "model", model, Tokenizer("word", symbols), {}, "")
    return tmp_path / "model"


def test_it_must_write_what_the_recogniser_knows(g2p: Path, model: Path, tmp_path: Path) -> None:
    phones = phone_tokens([*PHONES, "ZH"])
    save_g2p(tmp_path / "g2p", G2pModel(G2pConfig(hidden=4), 3, len(phones)), "ABC", phones, {})
    with pytest.raises(UsageError, match=r"writes phones that .*model lacks, such as ZH"):
        export(model, tmp_path / "out", True, tmp_path / "g2p")
    assert not (tmp_path / "out").exists()


def test_it_comes_along_and_goes_again(g2p: Path, model: Path, tmp_path: Path) -> None:
    export(model, tmp_path / "out", True, g2p)
    assert OnnxG2p(tmp_path / "out" / "g2p").letters.startswith("ABC")
    export(model, tmp_path / "out", True)
    assert not (tmp_path / "out" / "g2p").exists()


def test_a_model_in_training_is_not_replaced(g2p: Path, model: Path, tmp_path: Path) -> None:
    """As in ``--out exp``, where ``exp/g2p`` is one."""
    (tmp_path / "exp" / "g2p" / "model").mkdir(parents=True)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "g2p").symlink_to(g2p)
    for out in ("exp", "linked"):
        with pytest.raises(UsageError, match=r"g2p: holds something else, and an exported model needs that place"):
            export(model, tmp_path / out, True, g2p)
        assert [path.name for path in (tmp_path / out).iterdir()] == ["g2p"]
    assert (tmp_path / "exp" / "g2p" / "model").is_dir()
    assert load_g2p(g2p).letters
