"""A batch of N gives what N batches of 1 give: log-probs, losses and gradients, whatever stands in the padding."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from asr.config import Config
from asr.model.acoustic import AcousticModel
from asr.model.config import Cell, EncoderConfig
from asr.model.ctc import ctc_loss
from tests.tones import tiny_config

VOCABULARY = 5


@st.composite
def _configs(draw: st.DrawFn) -> Config:
    # Over the two outputs of one hidden unit, layer norm divides by their difference: rounding is blown up 300 times.
    layer_norm = draw(st.booleans())
    cell = draw(st.sampled_from(get_args(EncoderConfig.model_fields["cell"].annotation)))
    connection = draw(st.sampled_from(get_args(EncoderConfig.model_fields["connection"].annotation)))
    layers = draw(st.integers(min_value=1, max_value=3))
    pyramid = draw(st.integers(min_value=0, max_value=layers - 1))
    if connection != "none":  # needs a layer as wide as what it reads
        layers = max(layers, pyramid + 2)
    kind = draw(st.sampled_from(["stack", "conv", "conv1d", "vgg", "deepspeech2"]))
    attention = draw(st.integers(min_value=0, max_value=2))
    heads = f", heads: {draw(st.sampled_from([1, 2]))}" if attention else ""
    normed = layer_norm or cell == "layernorm" or attention
    factors = [1, 2, 3, 4, 6] if kind == "vgg" else [1, 2, 3, 4, 5, 8]
    channels = 0 if kind == "stack" else draw(st.integers(min_value=8, max_value=12))
    return tiny_config(
        f"seed={draw(st.integers(min_value=0, max_value=999))}",
        f"features.mels={draw(st.integers(min_value=4, max_value=12))}",
        f"encoder.subsampling.kind={kind}",
        f"encoder.subsampling.factor={draw(st.sampled_from(factors))}",
        f"encoder.subsampling.channels={channels}",
        f"encoder.cell={cell}",
        f"encoder.connection={connection}",
        f"encoder.pyramid={pyramid}",
        f"encoder.layers={layers}",
        f"encoder.hidden={draw(st.integers(min_value=8 if normed else 1, max_value=12))}",
        f"encoder.projection={draw(st.sampled_from([0, 3, 8])) if connection == 'none' else 0}",
        f"encoder.layer_norm={str(layer_norm).lower()}",
        f"encoder.attention={{layers: {attention}{heads}}}",
    )


def _padded(utterances: list[Tensor], padding: int, garbage: float) -> Tensor:
    longest = max(len(one) for one in utterances) + padding
    batch = torch.full((len(utterances), longest, *utterances[0].shape[1:]), garbage)
    for row, one in zip(batch, utterances, strict=True):
        row[: len(one)] = one
    return batch


def _labels(frames: int) -> list[int]:
    """A transcript that this many encoder frames can spell, repeats included."""
    return [[], [1], [2, 2], [3, 1, 1], [4, 4, 4, 2]][min((frames + 1) // 2, 4)]


def _gradients(model: AcousticModel, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}


@settings(max_examples=40, deadline=None)
@given(
    config=_configs(),
    frames=st.lists(st.integers(min_value=1, max_value=40), min_size=1, max_size=6),
    padding=st.integers(min_value=0, max_value=7),
    garbage=st.sampled_from([0.0, 1.0, -1e4, float("inf"), float("nan")]),
    training=st.booleans(),
)
def test_a_batch_gives_what_its_utterances_give_alone(
    config: Config, frames: list[int], padding: int, garbage: float, training: bool
) -> None:
    torch.manual_seed(config.seed)
    model = AcousticModel(config, VOCABULARY).train(training)
    utterances = [torch.randn(count, config.features.dimension) for count in frames]
    together, lengths = model(_padded(utterances, padding, garbage), torch.tensor(frames))
    labels = [_labels(length) for length in lengths.tolist()]
    alone = [model(one[None], torch.tensor([len(one)])) for one in utterances]
    for row, length, (log_probs, own) in zip(together, lengths.tolist(), alone, strict=True):
        assert log_probs.shape[1] == length == int(own)
        torch.testing.assert_close(row[:length], log_probs[0], atol=1e-5, rtol=0)
    batch_loss = ctc_loss(together, lengths, labels).sum()
    single_loss = torch.cat(
        [ctc_loss(one, own, [spelt]) for (one, own), spelt in zip(alone, labels, strict=True)]
    ).sum()
    torch.testing.assert_close(batch_loss, single_loss, atol=1e-5, rtol=1e-5)
    if config.encoder.subsampling.kind in ("vgg", "deepspeech2"):
        return  # so many ReLUs that rounding turns one over now and then; test_frontend.py looks at them in float64
    expected = _gradients(model, single_loss)
    # The norm of a row that is nearly even blows the rounding of gradients up, in a batch as well as alone.
    normed = config.encoder.layer_norm or config.encoder.cell == "layernorm" or config.encoder.attention.layers
    for name, gradient in _gradients(model, batch_loss).items():
        allowed = (1e-4 if normed else 1e-5) * max(1.0, float(expected[name].abs().max()))
        assert torch.allclose(gradient, expected[name], atol=allowed, rtol=1e-4), name


@pytest.mark.parametrize("cmvn", ["none", "utterance", "speaker", "global"])
@pytest.mark.parametrize("deltas", [0, 2])
def test_from_waveforms_on(cmvn: str, deltas: int) -> None:
    torch.manual_seed(1)
    config = tiny_config(f"features.cmvn={cmvn}", f"features.deltas={deltas}", "encoder.layers=2")
    model = AcousticModel(config, VOCABULARY).eval()
    dimension = config.features.dimension
    if cmvn == "global":
        model.features.set_global(torch.full((dimension,), 5.0), torch.full((dimension,), 2.0))
    waveforms = [0.1 * torch.randn(samples) for samples in (8000, 200, 3123, 4001)]
    statistics = torch.rand(4, 2, dimension) + 1 if cmvn == "speaker" else None
    together = model.log_probs(waveforms, statistics)
    for index, (waveform, rows) in enumerate(zip(waveforms, together, strict=True)):
        (alone,) = model.log_probs([waveform], statistics[index : index + 1] if statistics is not None else None)
        assert rows.shape == (model.output_length(len(waveform)), VOCABULARY)
        torch.testing.assert_close(rows, alone, atol=1e-5, rtol=0)
        torch.testing.assert_close(rows.exp().sum(dim=1), torch.ones(len(rows)))


@pytest.mark.parametrize("encoder", ["cell=projected", "pyramid=1", "subsampling={kind: conv1d, channels: 8}"])
def test_what_an_attention_decoder_makes_of_transcripts(encoder: str) -> None:
    torch.manual_seed(5)
    config = tiny_config("features.cmvn=none", "encoder.layers=2", f"encoder.{encoder}", "decoder.weight=0.5")
    model = AcousticModel(config, VOCABULARY).eval()
    assert model.decoder is not None
    counts, labels = [40, 1, 17], [[1, 2, 2], [], [4]]
    features = torch.randn(3, 40, config.features.dimension)
    together = model.decoder(*model.encoder(features, torch.tensor(counts)), labels)
    for row, (count, spelt) in enumerate(zip(counts, labels, strict=True)):
        alone = model.decoder(*model.encoder(features[row : row + 1, :count], torch.tensor([count])), [spelt])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)


def test_the_order_of_a_batch_does_not_matter() -> None:
    torch.manual_seed(2)
    model = AcousticModel(tiny_config("features.cmvn=none", "encoder.layers=2"), VOCABULARY).eval()
    waveforms = [0.1 * torch.randn(samples) for samples in (900, 5000, 2000)]
    forwards, backwards = model.log_probs(waveforms), model.log_probs(waveforms[::-1])[::-1]
    for one, other in zip(forwards, backwards, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("cell", get_args(Cell))
def test_rounding_does_not_grow_over_a_long_utterance(cell: str) -> None:
    """A recurrence that is chaotic when fresh makes of the last bit of one frame another output after a hundred."""
    torch.manual_seed(3)
    config = tiny_config("features.cmvn=none", f"encoder.cell={cell}", "encoder.layers=2", "encoder.hidden=96")
    model = AcousticModel(config, VOCABULARY).eval()
    utterances = [torch.randn(count, config.features.dimension) for count in (400, 270, 9)]
    together, lengths = model(_padded(utterances, 3, 0.0), torch.tensor([len(one) for one in utterances]))
    for row, length, one in zip(together, lengths.tolist(), utterances, strict=True):
        alone, _ = model(one[None], torch.tensor([len(one)]))
        torch.testing.assert_close(row[:length], alone[0], atol=1e-5, rtol=0)
