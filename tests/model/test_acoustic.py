from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.errors import AsrError, UsageError
from asr.files import sha256
from asr.model.acoustic import AcousticModel, load_model, save_model
from asr.tokens import Tokenizer, train_tokenizer
from tests.tones import PITCHES, tiny_config, tone

FILES = ["MODEL_CARD.md", "config.yaml", "model.safetensors", "tokens.txt"]
TRAINED = {"train_minutes": 1.5, "failed": {"1e3": "ein Grund – ünd: 'noch' einer"}, "config": "tiny", "seen": [1, 2]}


@pytest.fixture
def tokenizer() -> Tokenizer:
    return train_tokenizer(tiny_config().tokens, PITCHES)


@pytest.fixture
def model(tokenizer: Tokenizer) -> AcousticModel:
    torch.manual_seed(7)
    model = AcousticModel(tiny_config("encoder.layers=2", "encoder.projection=5"), len(tokenizer)).eval()
    model.features.set_global(torch.randn(12), torch.rand(12) + 1)
    return model


@pytest.fixture
def folder(tmp_path: Path, model: AcousticModel, tokenizer: Tokenizer) -> Path:
    save_model(tmp_path / "model", model, tokenizer, TRAINED, "# A card\n")
    return tmp_path / "model"


def _sign_again(folder: Path) -> None:
    """SHA256SUMS of whatever the files hold now, so that it is not the checksums that speak."""
    names = sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
    (folder / "SHA256SUMS").write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names))


def test_the_folder_holds_what_it_promises(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "SHA256SUMS"])
    for line in (folder / "SHA256SUMS").read_text().splitlines():  # as `sha256sum -c` reads it
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    loaded = load_model(folder)
    assert loaded.trained == TRAINED
    assert loaded.sha256 == sha256(folder / "SHA256SUMS")
    assert not loaded.model.training


def test_a_fresh_process_gives_identical_log_probs(folder: Path, model: AcousticModel, tmp_path: Path) -> None:
    waveform = tone(["do", "mi"], np.random.default_rng(1))
    np.save(tmp_path / "waveform.npy", waveform)
    code = """if True:
        import sys, numpy, torch
        from pathlib import Path
        from asr.model.acoustic import load_model
        torch.set_num_threads(1)
        folder = Path(sys.argv[1])
        waveform = torch.from_numpy(numpy.load(folder / "waveform.npy"))
        numpy.save(folder / "log_probs.npy", load_model(folder / "model").model.log_probs([waveform])[0].numpy())
    """
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    (here,) = model.log_probs([torch.from_numpy(waveform)])
    assert np.array_equal(np.load(tmp_path / "log_probs.npy"), here.numpy())


def test_saving_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    loaded = load_model(folder)
    save_model(tmp_path / "again", loaded.model, loaded.tokenizer, loaded.trained, "# A card\n")
    for name in [*FILES, "SHA256SUMS"]:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_nothing_is_unpickled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was opened")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    assert load_model(folder).sha256 == sha256(folder / "SHA256SUMS")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(AsrError, match=f"{name}: is missing from the model folder"):
        load_model(folder)


@pytest.mark.parametrize("name", FILES)
def test_one_altered_byte_is_told(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(AsrError, match=rf"{name}: was altered since the model was saved"):
        load_model(folder)


def test_not_a_model_folder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(AsrError, match="nowhere: there is no such model folder"):
        load_model(tmp_path / "nowhere")
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(AsrError, match="SHA256SUMS is missing"):
        load_model(folder)


@pytest.mark.parametrize("left", ["config.yaml", "model.safetensors", "tokens.txt"])
def test_every_file_that_is_loaded_needs_its_sum(folder: Path, left: str) -> None:
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(line for line in sums.read_text().splitlines(True) if left not in line))
    with pytest.raises(AsrError, match=rf"SHA256SUMS: holds no sum of .*{left}"):
        load_model(folder)


@pytest.mark.parametrize("line", ["nonsense\n", "0  ../../etc/passwd\n", "0  /etc/passwd\n"])
def test_a_malformed_list_of_sums(folder: Path, line: str) -> None:
    with (folder / "SHA256SUMS").open("a") as sums:
        sums.write(line)
    with pytest.raises(AsrError, match="SHA256SUMS:5: must be a SHA-256 sum"):
        load_model(folder)


def _break_yaml(folder: Path) -> None:
    (folder / "config.yaml").write_text("encoder: [")


def _misspell(folder: Path) -> None:
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("hidden:", "hiden:"))


def _widen(folder: Path) -> None:
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("hidden: 16", "hidden: 17"))


def _add_token(folder: Path) -> None:
    with (folder / "tokens.txt").open("a") as tokens:
        tokens.write("more\n")


def _double_token(folder: Path) -> None:
    with (folder / "tokens.txt").open("a") as tokens:
        tokens.write("do\n")


def _cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-7])


def _scribble(folder: Path) -> None:
    (folder / "tokens.txt").write_bytes(b"<blank>\n\xff\xfe\n")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_break_yaml, r"config\.yaml:1: not YAML"),
        (_misspell, r"config\.yaml: there is no key 'encoder.hiden'; did you mean 'encoder.hidden'\?"),
        (_widen, r"model\.safetensors: does not fit config\.yaml"),
        (_add_token, r"model\.safetensors: does not fit config\.yaml"),
        (_double_token, r"tokens\.txt: must begin with <blank> and hold each token once"),
        (_cut_weights, r"model\.safetensors: not a safetensors file"),
        (_scribble, r"tokens\.txt: not UTF-8 text"),
    ],
)
def test_files_that_do_not_fit_each_other(folder: Path, spoil: Callable[[Path], None], sentence: str) -> None:
    spoil(folder)
    _sign_again(folder)
    with pytest.raises(AsrError, match=sentence) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, (AsrError, UsageError))


def test_tokens_that_are_no_sentencepiece_model(tmp_path: Path) -> None:
    config = tiny_config("tokens.kind=bpe", "tokens.size=10")
    tokenizer = train_tokenizer(config.tokens, ["do re mi fa", "do re do re", "mi mi mi fa"])
    save_model(tmp_path, AcousticModel(config, len(tokenizer)), tokenizer, {}, "")
    for content in (b"", b"not a model", pickle.dumps({"a": 1})):
        (tmp_path / "tokens.model").write_bytes(content)
        _sign_again(tmp_path)
        with pytest.raises(AsrError, match=r"tokens\.model: "):
            load_model(tmp_path)


def test_weights_that_are_not_numbers_are_refused(folder: Path, model: AcousticModel, tokenizer: Tokenizer) -> None:
    with torch.no_grad():
        model.head.bias[1] = float("nan")
    save_model(folder, model, tokenizer, TRAINED, "")
    with pytest.raises(AsrError, match=r"model\.safetensors: head\.bias holds values that are not finite"):
        load_model(folder)


def test_an_unfinished_folder_is_not_taken_for_a_model(
    folder: Path, model: AcousticModel, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Path:
        raise AsrError("the disk is full")

    monkeypatch.setattr(tokenizer, "save", full)
    with pytest.raises(AsrError):
        save_model(folder, model, tokenizer, TRAINED, "")
    with pytest.raises(AsrError, match="not a finished model folder"):
        load_model(folder)


def test_what_it_says_of_itself(model: AcousticModel) -> None:
    assert model.frame_seconds == pytest.approx(0.03)
    assert model.parameters_count == sum(len(one.reshape(-1)) for one in model.parameters())
    for samples in (199, 200, 279, 280, 440, 8000):
        waveform = torch.randn(samples)
        if model.output_length(samples):
            assert len(model.log_probs([waveform])[0]) == model.output_length(samples)
        else:
            assert samples < 200
    assert json.dumps(model.config.model_dump())
