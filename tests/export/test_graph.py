"""The exported graph says what the trained model says, whatever it is made of and whatever lies beside an utterance."""

from __future__ import annotations

from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from asr.config import Config
from asr.errors import AsrError
from asr.export.features import add_features
from asr.export.graph import Graph
from asr.export.model import to_onnx
from asr.model.acoustic import AcousticModel
from asr.model.config import EncoderConfig
from tests.tones import tiny_config

VOCABULARY = 5


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Small models of everything that can be exported."""
    cell = draw(st.sampled_from(["lstm", "gru", "rnn", "peephole"]))
    direction = draw(st.sampled_from(["both", "both", "forwards", "backwards"]))
    layer_norm = draw(st.booleans())
    connection = draw(st.sampled_from(get_args(EncoderConfig.model_fields["connection"].annotation)))
    layers = draw(st.integers(min_value=1, max_value=3))
    pyramid = draw(st.integers(min_value=0, max_value=layers - 1))
    if connection != "none":  # needs a layer as wide as what it reads
        layers = max(layers, pyramid + 2)
    kind = draw(st.sampled_from(["stack", "conv", "conv1d", "vgg", "deepspeech2"]))
    attention = draw(st.integers(min_value=0, max_value=2))
    features = draw(st.sampled_from(["fbank", "mfcc"]))
    # Over the outputs of few hidden units layer norm divides by their difference: rounding is blown up.
    return tiny_config(
        f"seed={draw(st.integers(min_value=0, max_value=999))}",
        f"features.kind={features}",
        "features.mels=23",
        f"features.cepstra={draw(st.sampled_from([1, 2, 13]))}",
        f"features.deltas={draw(st.sampled_from([0, 1, 2]))}",
        f"features.cmvn={draw(st.sampled_from(['none', 'global', 'utterance']))}",
        *(["features.floor=15"] if features == "fbank" and draw(st.booleans()) else []),
        f"features.snip_edges={str(draw(st.booleans())).lower()}",
        f"features.preemphasis={draw(st.sampled_from([0, 0.97, 1]))}",
        f"features.frame_length={draw(st.sampled_from([25, 20.1, 32]))}",
        f"encoder.subsampling.kind={kind}",
        f"encoder.subsampling.factor={draw(st.sampled_from([1, 2, 3, 4, 6] if kind == 'vgg' else [1, 2, 3, 4, 5, 8]))}",
        f"encoder.subsampling.channels={0 if kind == 'stack' else draw(st.sampled_from([8, 12]))}",
        f"encoder.cell={cell}",
        f"encoder.direction={direction}",
        f"encoder.connection={connection}",
        f"encoder.pyramid={pyramid}",
        f"encoder.layers={layers}",
        f"encoder.hidden={draw(st.sampled_from([8, 11, 12] if direction == 'both' else [8, 12]))}",
        f"encoder.projection={draw(st.sampled_from([0, 3, 8])) if connection == 'none' else 0}",
        f"encoder.layer_norm={str(layer_norm).lower()}",
        f"encoder.attention={{layers: {attention}{', heads: 2' if attention else ''}}}",
    )


def made(config: Config) -> AcousticModel:
    """An untrained model, in evaluation mode."""
    torch.manual_seed(config.seed)
    model = AcousticModel(config, VOCABULARY).eval()
    if config.features.cmvn == "global":
        size = model.features.dimension
        model.features.set_global(torch.randn(size) - 3, 1 + 2 * torch.rand(size))
    return model


def loaded(graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """On one thread: several share out even a logarithm, and its last bit depends on where the shares meet."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph.SerializeToString(), options)


def session(model: AcousticModel, int8: bool = False) -> onnxruntime.InferenceSession:
    return loaded(to_onnx(model, int8))


def said(
    network: onnxruntime.InferenceSession, utterances: list[np.ndarray], padding: int = 0, garbage: float = 0.0
) -> list[np.ndarray]:
    """Log-probs of each, from one batch that is longer by ``padding`` and holds ``garbage`` behind the utterances."""
    lengths = np.array([len(one) for one in utterances])
    batch = np.full((len(utterances), lengths.max() + padding), garbage, np.float32)
    for row, one in zip(batch, utterances, strict=True):
        row[: len(one)] = one
    log_probs, frames = network.run(["log_probs", "frames"], {"waveforms": batch, "lengths": lengths})
    assert log_probs.dtype == np.float32
    assert np.isfinite(frames).all()
    return [row[:count] for row, count in zip(log_probs, frames, strict=True)]


def speech(model: AcousticModel, frames: list[int], seed: int) -> list[np.ndarray]:
    """Noise that rises and falls, of so many feature frames or a little more."""
    random, features = np.random.default_rng(seed), model.features
    utterances = []
    for count in frames:
        samples = features.frame_samples + count * features.shift_samples + random.integers(features.shift_samples)
        loudness = 0.1 * (1.1 + np.sin(np.arange(samples) / 500))
        utterances.append((loudness * random.standard_normal(samples) + 0.01).astype(np.float32))
    return utterances


LENGTHS = st.lists(st.integers(min_value=0, max_value=40), min_size=1, max_size=4)
GARBAGE = st.sampled_from([0.0, 1.0, -1e4, float("inf"), float("nan")])


@settings(max_examples=25, deadline=None)
@given(config=configs(), frames=LENGTHS, padding=st.integers(min_value=0, max_value=999), garbage=GARBAGE)
def test_float32_says_what_the_trained_model_says(
    config: Config, frames: list[int], padding: int, garbage: float
) -> None:
    model = made(config)
    utterances = speech(model, frames, config.seed)
    network = session(model)
    wanted = model.log_probs([torch.from_numpy(one) for one in utterances])
    for one, alone, found in zip(wanted, utterances, said(network, utterances, padding, garbage), strict=True):
        np.testing.assert_allclose(found, one.numpy(), rtol=0, atol=1e-4)
        np.testing.assert_allclose(found, said(network, [alone])[0], rtol=0, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(config=configs(), frames=LENGTHS, padding=st.integers(min_value=0, max_value=999), garbage=GARBAGE)
def test_int8_says_the_same_in_every_batch(config: Config, frames: list[int], padding: int, garbage: float) -> None:
    model = made(config)
    utterances = speech(model, frames, config.seed)
    network = session(model, int8=True)
    for alone, found in zip(utterances, said(network, utterances, padding, garbage), strict=True):
        np.testing.assert_allclose(found, said(network, [alone])[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("cell", ["lstm", "peephole"])
@pytest.mark.parametrize("weight", [1, 20])
def test_int8_is_the_same_in_every_batch_where_states_reach_the_ends_of_their_range(cell: str, weight: int) -> None:
    hidden = 32
    model = made(tiny_config(f"encoder.cell={cell}", "encoder.layers=2", f"encoder.hidden={hidden}"))
    model.features.set_global(torch.full((12,), 15.0), torch.full((12,), 3.0))
    with torch.no_grad():
        for name, parameter in model.encoder.named_parameters():
            if "weight" in name:
                parameter.mul_(weight)
            elif "bias_ih" in name:  # open gates, so that memories wander far from zero
                parameter[: 2 * hidden] = 30
                parameter[3 * hidden :] = 17.8
    utterances = speech(model, [900, 800, 299, 100, 7, 1, 250, 30], 1)
    network = session(model, int8=True)
    for alone, found in zip(utterances, said(network, utterances), strict=True):
        np.testing.assert_allclose(found, said(network, [alone])[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["features.kind=mfcc", "features.cepstra=1", "features.mels=23", "features.preemphasis=0"],
        ["features.kind=mfcc", "features.cepstra=13", "features.mels=23", "features.deltas=2"],
        ["features.cmvn=utterance", "features.deltas=1", "features.snip_edges=false"],
        ["features.floor=20"],
    ],
)
def test_features_are_the_same_to_the_bit_in_every_batch(overrides: list[str]) -> None:
    """In int8 a difference of rounding becomes one that can be seen."""
    model = made(tiny_config(*overrides))
    graph = Graph()
    x, frames = add_features(graph, model.features, "waveforms", "lengths")
    info = helper.make_tensor_value_info
    inputs = [info("waveforms", TensorProto.FLOAT, ["N", "L"]), info("lengths", TensorProto.INT64, ["N"])]
    outputs = {x: info("log_probs", TensorProto.FLOAT, ["N", "T", model.features.dimension])}
    outputs[frames] = info("frames", TensorProto.INT64, ["N"])
    network = loaded(graph.finish(inputs, outputs, {}))
    utterances = speech(model, [1500, 1400, 299, 100, 7, 1, 250, 30], 1)
    for alone, found in zip(utterances, said(network, utterances, 77, float("nan")), strict=True):
        np.testing.assert_array_equal(found, said(network, [alone])[0])
        wanted, _ = model.features(torch.from_numpy(alone)[None], torch.tensor([len(alone)]))
        np.testing.assert_allclose(found, wanted[0].numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "override", ["encoder.cell=lstm", "encoder.cell=gru", "encoder.cell=peephole", "encoder.connection=residual"]
)
def test_int8_is_near_float32_and_a_third_as_large(override: str) -> None:
    model = made(tiny_config("encoder.hidden=96", "encoder.layers=2", "features.cmvn=utterance", override))
    utterances = speech(model, [40, 20], 1)
    whole, small = to_onnx(model), to_onnx(model, int8=True)
    assert small.ByteSize() - whole.ByteSize() < -0.55 * 4 * sum(one.numel() for one in model.encoder.parameters())
    for one, other in zip(said(session(model), utterances), said(session(model, int8=True), utterances), strict=True):
        assert 0 < np.abs(one - other).max() < 0.05


@pytest.mark.parametrize("cell", ["projected", "layernorm"])
def test_what_has_no_operator_is_refused(cell: str) -> None:
    with pytest.raises(AsrError, match=f"encoder.cell={cell}: ONNX has no such layer"):
        to_onnx(made(tiny_config(f"encoder.cell={cell}")))


def test_a_model_that_needs_speakers_is_refused() -> None:
    with pytest.raises(AsrError, match="normalises by speaker, which needs a manifest: it cannot be exported"):
        to_onnx(made(tiny_config("features.cmvn=speaker")))
