"""An exported folder in ONNX Runtime: the same as PyTorch, without PyTorch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.export.folder import export
from asr.files import sha256
from asr.lm.arpa import write_arpa
from asr.lm.kneser_ney import estimate
from asr.manifest import read_manifest
from asr.model.acoustic import load_model
from asr.transcribe.backend import TorchBackend
from asr.transcribe.onnx_backend import OnnxBackend, _shares
from tests.tones import PITCHES, Learned, learned, tone


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return learned(tmp_path_factory)


@pytest.fixture(scope="module", params=[False, True], ids=["float32", "int8"])
def exported(tones: Learned, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    export(tones.out / "model", folder, request.param)
    return folder


def test_it_is_the_trained_model(tones: Learned, exported: Path) -> None:
    trained, found = TorchBackend(load_model(tones.out / "model"), torch.device("cpu")), OnnxBackend(exported, 2)
    for name in ("rate", "shift", "factor", "frame_seconds", "level"):
        assert getattr(trained, name) == getattr(found, name)
    assert trained.tokenizer.symbols == found.tokenizer.symbols
    assert found.sha256 == sha256(exported / "SHA256SUMS")
    assert found.trained["train_minutes"] == load_model(tones.out / "model").trained["train_minutes"]
    random = np.random.default_rng(1)
    waveforms = [tone(list(PITCHES)[:words], random) for words in (3, 1, 4, 1, 2)]
    tolerance = 0.3 if (exported / "model.int8.onnx").exists() else 1e-4
    wanted, together = trained.log_probs(waveforms), found.log_probs(waveforms)
    for waveform, one, other in zip(waveforms, wanted, together, strict=True):
        assert len(other) == found.output_length(len(waveform)) == trained.output_length(len(waveform))
        np.testing.assert_allclose(other, one, rtol=0, atol=tolerance)
        np.testing.assert_array_equal(one.argmax(axis=1), other.argmax(axis=1))
        np.testing.assert_allclose(other, found.log_probs([waveform])[0], rtol=0, atol=1e-5)
    for samples in range(0, 1000, 13):
        assert found.output_length(samples) == trained.output_length(samples)


@given(lengths=st.lists(st.integers(min_value=1, max_value=99), min_size=1), threads=st.integers(1, 5))
def test_shares_hold_each_waveform_once(lengths: list[int], threads: int) -> None:
    shares = _shares(lengths, threads)
    assert sorted(index for share in shares for index in share) == list(range(len(lengths)))
    assert len(shares) <= threads and all(shares)


_WITHOUT_TORCH = """if True:
    import json, sys
    from pathlib import Path
    from asr.audio import read_audio
    from asr.decode.settings import SearchSettings
    from asr.decode.system import Search, greedy_system
    from asr.transcribe.onnx_backend import OnnxBackend
    folder, lm, *paths = sys.argv[1:]
    backend = OnnxBackend(Path(folder), 1)
    rows = backend.log_probs([read_audio(Path(path), backend.rate) for path in paths])
    search = Search(backend, SearchSettings(lm=lm, lm_weight=0.1), 1)
    texts = [[one.text for one in system.decode(rows)] for system in (greedy_system(backend), search.system())]
    print(json.dumps({"texts": texts, "torch": "torch" in sys.modules, "onnx": "onnx" in sys.modules}))
"""


def test_it_transcribes_without_pytorch(tones: Learned, exported: Path, tmp_path: Path) -> None:
    utterances = read_manifest(tones.test)[:4]
    lm = tmp_path / "words.arpa"
    write_arpa(estimate([one.text for one in read_manifest(tones.train)], 2, "word"), lm)
    arguments = [exported, lm, *(one.audio for one in utterances)]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    said = [one.text for one in utterances]
    assert json.loads(done.stdout) == {"texts": [said, said], "torch": False, "onnx": False}


def _sign_again(folder: Path) -> None:
    """SHA256SUMS of whatever the files hold now, so that it is not the checksums that speak."""
    names = sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
    (folder / "SHA256SUMS").write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names))


def test_a_folder_that_is_not_whole_gets_a_sentence(tones: Learned, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=r"holds model.safetensors, but model.onnx or model.int8.onnx is needed here"):
        OnnxBackend(tones.out / "model")
    with pytest.raises(AsrError, match=r"holds model(.int8)?.onnx, but model.safetensors is needed here"):
        load_model(exported)
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    network = next(folder.glob("*.onnx"))
    network.write_bytes(network.read_bytes()[:-9])
    with pytest.raises(AsrError, match="was altered since the model was saved"):
        OnnxBackend(folder)
    _sign_again(folder)
    with pytest.raises(AsrError, match="could not be loaded by ONNX Runtime"):
        OnnxBackend(folder)
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, 1, ["N"]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "other", values[:1], values[1:])
    onnx.save(onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)]), network)
    _sign_again(folder)
    with pytest.raises(AsrError, match="not a model that asr export wrote; it takes and gives x, y"):
        OnnxBackend(folder)
    shutil.copy(exported / network.name, network)
    (folder / "tokens.txt").write_text((folder / "tokens.txt").read_text() + "sol\n")
    _sign_again(folder)
    with pytest.raises(AsrError, match="writes 5 tokens, and beside it are 6; it is another model's"):
        OnnxBackend(folder)


def test_only_what_has_a_sum_is_loaded(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(exported, folder)
    for name in ("model.onnx", "model.int8.onnx"):
        if not (folder / name).exists():
            (folder / name).write_bytes(b"of another day")
    assert OnnxBackend(folder).rate == 8000
