"""The exported graph of a stream says what PyTorch says chunk by chunk, and takes its weights out of the other file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import UsageError
from asr.export.folder import export
from asr.model.acoustic import AcousticModel, load_model, save_model
from asr.tokens import Tokenizer
from asr.transcribe.backend import TorchBackend
from asr.transcribe.onnx_backend import OnnxBackend
from asr.transcribe.streamed import Streamed
from tests.tones import tiny_config

CPU = torch.device("cpu")


def _saved(folder: Path, *overrides: str) -> AcousticModel:
    """An untrained model, and its folder."""
    torch.manual_seed(1)
    config = tiny_config("features.mels=23", "encoder.layers=2", "encoder.hidden=12", *overrides)
    model = AcousticModel(config, 5).eval()
    if model.config.features.cmvn == "global":
        size = model.features.dimension
        model.features.set_global(torch.full((size,), -3.0), torch.full((size,), 3.0))
    save_model(folder, model, Tokenizer("char", ["<blank>", *"abcd"]), {}, "")
    return model


def _noise(samples: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (0.1 * random.standard_normal(samples)).astype(np.float32)


def _read(streamed: Streamed, waveform: np.ndarray, block: int = 1000) -> np.ndarray:
    """All of its log-probs, (S, V)."""
    blocks = [waveform[begin : begin + block] for begin in range(0, len(waveform), block)]
    rows = [row for one in blocks for row in streamed.accept(one)] + streamed.finish()
    return np.concatenate(rows) if rows else np.empty((0, 5), np.float32)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize(
    "override",
    [
        "features.cmvn=none",
        "encoder.connection=residual",
        "encoder.connection=highway",
        "encoder.projection=7",
        "encoder.layer_norm=true",
        "features.kind=mfcc",
        "encoder.direction=forwards",
    ],
)
def test_float32_says_what_pytorch_says(cell: str, override: str, tmp_path: Path) -> None:
    _saved(tmp_path / "model", f"encoder.cell={cell}", override)
    export(tmp_path / "model", tmp_path / "exported", False)
    trained, found = TorchBackend(load_model(tmp_path / "model"), CPU), OnnxBackend(tmp_path / "exported", 1)
    for latency, samples in ((0.06, 2100), (0.3, 9000), (0.3, 100), (1.0, 8000)):
        waveform = _noise(samples)
        wanted, read = (_read(one.streamed(latency), waveform) for one in (trained, found))
        assert len(read) == found.output_length(samples)
        np.testing.assert_allclose(read, wanted, rtol=0, atol=1e-4)


@pytest.fixture(scope="module", params=[False, True], ids=["float32", "int8"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    _saved(folder / "model", "encoder.hidden=96")
    export(folder / "model", folder / "exported", request.param)
    return folder / "exported"


@settings(max_examples=20, deadline=None)
@given(
    samples=st.integers(min_value=0, max_value=9000),
    block=st.integers(min_value=1, max_value=9000),
    latency=st.sampled_from([0.06, 0.3, 0.5]),
)
def test_blocks_make_no_difference(exported: Path, samples: int, block: int, latency: float) -> None:
    backend, waveform = OnnxBackend(exported, 1), _noise(samples, samples)
    one, other = (_read(backend.streamed(latency), waveform, size) for size in (max(samples, 1), block))
    np.testing.assert_array_equal(one, other)


def test_a_latency_as_long_as_the_recording_gives_what_the_whole_gives(exported: Path) -> None:
    backend, waveform = OnnxBackend(exported, 1), _noise(8000)
    (whole,) = backend.log_probs([waveform])
    np.testing.assert_allclose(_read(backend.streamed(3.0), waveform), whole, rtol=0, atol=1e-5)


def test_its_weights_are_in_the_other_file(exported: Path, tmp_path: Path) -> None:
    weights = next(path for path in exported.iterdir() if path.name in ("model.onnx", "model.int8.onnx"))
    stream = exported / "stream.onnx"
    assert stream.name in (exported / "SHA256SUMS").read_text()
    assert stream.stat().st_size < 40_000 < weights.stat().st_size
    elsewhere = [one for one in onnx.load(stream, load_external_data=False).graph.initializer if one.external_data]
    places = [{entry.key: entry.value for entry in one.external_data} for one in elsewhere]
    assert {place["location"] for place in places} == {weights.name}
    assert sum(int(place["length"]) for place in places) > 0.9 * weights.stat().st_size


def test_exporting_again_leaves_nothing_of_before(exported: Path, tmp_path: Path) -> None:
    _saved(tmp_path / "model", "features.cmvn=utterance")
    for name in ("stream.onnx", "model.onnx", "model.int8.onnx"):
        (tmp_path / name).write_bytes(b"of another day")
    export(tmp_path / "model", tmp_path, False)
    assert sorted(path.name for path in tmp_path.glob("*.onnx")) == ["model.onnx"]
    with pytest.raises(UsageError, match=r"features.cmvn=utterance needs all of a recording"):
        OnnxBackend(tmp_path, 1).streamed(1.0)


def test_it_is_found_wherever_the_program_goes(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exported.parent)
    backend = OnnxBackend(Path(exported.name), 1)
    monkeypatch.chdir(tmp_path)
    assert len(_read(backend.streamed(0.3), _noise(3000))) == backend.output_length(3000)


def test_a_folder_without_it_says_what_to_do(exported: Path, tmp_path: Path) -> None:
    for path in exported.iterdir():
        if path.name != "stream.onnx":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    sums = tmp_path / "SHA256SUMS"
    (tmp_path / "stream.onnx").write_bytes(b"of another day")
    sums.write_text("".join(line for line in sums.read_text().splitlines(True) if "stream.onnx" not in line))
    with pytest.raises(UsageError, match=r"was exported without stream.onnx, which streams need; export it again"):
        OnnxBackend(tmp_path, 1).streamed(1.0)
