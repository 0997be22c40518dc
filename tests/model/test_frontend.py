from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from asr.model.config import EncoderConfig, SubsamplingConfig
from asr.model.encoder import Encoder
from asr.model.frontend import FrontEnd, make_front_end
from asr.model.padding import mask_padding

KINDS = ["stack", "conv", "conv1d", "vgg", "deepspeech2"]
FACTORS = [(kind, factor) for kind in KINDS for factor in range(1, 9) if kind != "vgg" or factor not in (5, 7, 8)]
BANDS = 10


def _front_end(kind: str, factor: int, channels: int = 8) -> FrontEnd:
    torch.manual_seed(1)
    fields = {"kind": kind, "factor": factor, "channels": 0 if kind == "stack" else channels}
    return make_front_end(SubsamplingConfig.model_validate(fields), BANDS, hidden=4)


def _alone(layer: FrontEnd, x: Tensor) -> Tensor:
    return layer(x[None], torch.tensor([len(x)]))[0]


def test_planes_are_masked_as_rows_are() -> None:
    planes = mask_padding(torch.full((2, 4, 2, 3), float("nan")), torch.tensor([0, 3]))
    assert planes.isnan().sum(dim=(1, 2, 3)).tolist() == [0, 18]


@pytest.mark.parametrize(("kind", "factor"), FACTORS)
def test_output_length_is_exact(kind: str, factor: int) -> None:
    layer = _front_end(kind, factor)
    subsampling = SubsamplingConfig.model_validate({"kind": kind, "factor": factor})
    encoder = Encoder(EncoderConfig(subsampling=subsampling, layers=1, hidden=2), BANDS)
    for frames in range(1, 3 * factor + 2):
        x, own = torch.randn(1, frames, BANDS), torch.tensor([frames])
        output, lengths = encoder(x, own)
        assert layer(x, own).shape == (1, -(-frames // factor), layer.outputs)
        assert output.shape[1] == int(lengths) == encoder.output_length(frames) == -(-frames // factor)


@pytest.mark.parametrize(("kind", "factor"), FACTORS)
def test_a_batch_changes_nothing(kind: str, factor: int) -> None:
    """Biases that shout, so that a convolution without a mask behind it would be heard."""
    layer = _front_end(kind, factor)
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.ndim == 1:
                parameter.normal_()
    counts = torch.tensor([1, 30, 17, 2, 23])
    utterances = [torch.randn(count, BANDS) for count in counts.tolist()]
    together = layer(nn.utils.rnn.pad_sequence(utterances, batch_first=True), counts)
    for row, x in zip(together, utterances, strict=True):
        alone = _alone(layer, x)
        torch.testing.assert_close(row[: len(alone)], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("kind", "factor"), FACTORS)
def test_a_batch_changes_no_gradient(kind: str, factor: int) -> None:
    layer = _front_end(kind, factor).double()
    counts = torch.tensor([4, 13, 1])
    utterances = [torch.randn(count, BANDS, dtype=torch.float64) for count in counts.tolist()]
    alone = torch.cat([_alone(layer, x) for x in utterances])
    padded = nn.utils.rnn.pad_sequence(utterances, batch_first=True)
    lengths = [-(-count // factor) for count in counts.tolist()]
    together = torch.cat([row[:length] for row, length in zip(layer(padded, counts), lengths, strict=True)])
    weights = torch.randn_like(alone)
    for name, parameter in layer.named_parameters():
        one, other = (
            torch.autograd.grad((x * weights).sum(), parameter, retain_graph=True)[0] for x in (alone, together)
        )
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9, msg=name)


@pytest.mark.parametrize(("kind", "factor"), FACTORS)
def test_every_frame_and_every_weight_takes_part(kind: str, factor: int) -> None:
    layer = _front_end(kind, factor)
    x = torch.randn(1, 3 * factor + 1, BANDS, requires_grad=True)
    layer(x, torch.tensor([x.shape[1]])).square().sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(dim=2) > 0).all()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoder_frame_hears_the_frames_around_it(kind: str) -> None:
    """Frame s of factor 3 stands for the feature frames around 3 s."""
    layer = _front_end(kind, 3)
    x = torch.randn(60, BANDS, requires_grad=True)
    _alone(layer, x)[10].sum().backward()
    assert x.grad is not None
    heard = x.grad.abs().sum(dim=1).nonzero().flatten()
    assert heard.min() <= 30 <= heard.max()
    assert heard.max() - heard.min() < 60 - 10
    assert abs((heard.min() + heard.max()).item() / 2 - 31) <= 1


def test_the_convolution_of_before_keeps_its_names_and_shape() -> None:
    state = make_front_end(SubsamplingConfig(kind="conv", factor=3), 80, hidden=256).state_dict()
    assert {name: tuple(one.shape) for name, one in state.items()} == {
        "convolution.weight": (512, 80, 7),
        "convolution.bias": (512,),
    }
    assert make_front_end(SubsamplingConfig(), 80, hidden=256).outputs == 240


def test_kernels_and_channels_are_those_asked_for() -> None:
    def shapes(**fields: object) -> list[tuple[int, ...]]:
        layer = make_front_end(SubsamplingConfig.model_validate(fields), 80, hidden=6)
        return [tuple(one.shape) for name, one in layer.named_parameters() if name.endswith("convolution.weight")]

    assert shapes(kind="conv", channels=5, kernel=9) == [(5, 80, 9)]
    assert shapes(kind="conv1d") == [(12, 80, 7), (12, 12, 3)]
    assert shapes(kind="conv1d", channels=5, kernel=5) == [(5, 80, 5), (5, 5, 5)]
    assert shapes(kind="vgg", channels=4) == [(4, 1, 3, 3), (4, 4, 3, 3), (8, 4, 3, 3), (8, 8, 3, 3)]
    assert shapes(kind="deepspeech2") == [(32, 1, 11, 41), (32, 32, 11, 21)]
    assert shapes(kind="deepspeech2", channels=3, kernel=5) == [(3, 1, 5, 41), (3, 3, 5, 21)]


@pytest.mark.parametrize("bands", [1, 2, 3])
def test_kernels_that_are_taller_than_the_picture(bands: int) -> None:
    torch.manual_seed(1)
    layer = make_front_end(SubsamplingConfig(kind="deepspeech2", factor=1, channels=12), bands, hidden=4)
    x, own = torch.randn(4, 37, bands), torch.full((4,), 37)
    precise = layer.double()(x.double(), own)
    torch.testing.assert_close(layer.float()(x, own).double(), precise, atol=1e-4, rtol=0)
