from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from asr.model.between import Highway
from asr.model.cells import NATIVE
from asr.model.config import Cell, EncoderConfig
from asr.model.padding import reversal, reverse
from asr.model.recurrent import RecurrentLayer, RecurrentStack


def test_reversal_turns_each_utterance_by_its_own_length() -> None:
    x = torch.arange(1, 13.0).reshape(3, 4, 1)
    order = reversal(torch.tensor([4, 2, 1]), 4)
    turned = reverse(x, order)
    assert turned[:, :, 0].tolist() == [[4, 3, 2, 1], [6, 5, 7, 8], [9, 10, 11, 12]]
    assert torch.equal(reverse(turned, order), x)


def test_reverse_has_the_gradient_of_a_gather() -> None:
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    order = reversal(torch.tensor([5, 3]), 5)
    assert torch.autograd.gradcheck(lambda rows: reverse(rows, order), x)


def _packed_twin(layer: RecurrentLayer, cell: str, inputs: int, hidden: int) -> nn.LSTM | nn.GRU | nn.RNN:
    """PyTorch's own bidirectional layer with the same weights."""
    twin = NATIVE[cell](inputs, hidden, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for name, _ in layer.forwards.named_parameters():
            twin.get_parameter(name).copy_(layer.forwards.get_parameter(name))
            twin.get_parameter(f"{name}_reverse").copy_(layer.backwards.get_parameter(name))
    return twin


def _through_packed(twin: nn.LSTM | nn.GRU | nn.RNN, x: Tensor, lengths: Tensor) -> Tensor:
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return nn.utils.rnn.pad_packed_sequence(twin(packed)[0], batch_first=True, total_length=x.shape[1])[0]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("seed", range(4))
def test_equals_pytorchs_bidirectional_layer_over_packed_sequences(cell: str, seed: int) -> None:
    torch.manual_seed(seed)
    number, steps, inputs, hidden = [(1, 1, 3, 2), (5, 17, 4, 6), (3, 40, 8, 5), (8, 9, 2, 12)][seed]
    lengths = torch.randint(1, steps + 1, (number,))
    layer = RecurrentLayer(cell, inputs, hidden)
    twin = _packed_twin(layer, cell, inputs, hidden)
    inside = torch.arange(steps)[None, :, None] < lengths[:, None, None]  # (N, S, 1)
    x = torch.randn(number, steps, inputs) * inside
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    weight = torch.randn(number, steps, 2 * hidden) * inside
    ours = layer(mine, reversal(lengths, steps)) * inside
    oracle = _through_packed(twin, theirs, lengths)
    torch.testing.assert_close(ours, oracle, atol=1e-5, rtol=0)
    (ours * weight).sum().backward()
    (oracle * weight).sum().backward()
    assert mine.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-5, rtol=1e-5)
    for name, parameter in layer.forwards.named_parameters():
        torch.testing.assert_close(parameter.grad, twin.get_parameter(name).grad, atol=1e-5, rtol=1e-4)
    for name, parameter in layer.backwards.named_parameters():
        torch.testing.assert_close(parameter.grad, twin.get_parameter(f"{name}_reverse").grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("cell", get_args(Cell))
def test_a_layer_of_one_direction_is_that_half_of_one_of_both(cell: str) -> None:
    torch.manual_seed(1)
    both = RecurrentLayer(cell, 4, 6)
    x, order = torch.randn(3, 9, 4), reversal(torch.tensor([9, 4, 1]), 9)
    whole = both(x, order)
    forwards, backwards = (RecurrentLayer(cell, 4, 6, direction=one) for one in ("forwards", "backwards"))
    assert forwards.backwards is None
    assert backwards.forwards is None
    for layer in (forwards, backwards):
        layer.load_state_dict({name: one for name, one in both.state_dict().items() if name in layer.state_dict()})
    torch.testing.assert_close(forwards(x, order), whole[:, :, :6])
    torch.testing.assert_close(backwards(x, order), whole[:, :, 6:])


def test_dropout_is_between_the_layers_and_before_the_head() -> None:
    torch.manual_seed(1)
    stack = RecurrentStack(EncoderConfig(cell="gru", hidden=32, layers=2, dropout=0.5), 3)
    x, lengths = torch.randn(2, 20, 3), torch.tensor([20, 20])
    out, _ = stack.train()(x, lengths)
    assert 0.4 < (out == 0).float().mean() < 0.6
    assert not (stack.eval()(x, lengths)[0] == 0).any()
    assert torch.equal(stack(x, lengths)[0], stack(x, lengths)[0])


@pytest.mark.parametrize(("layers", "projection", "widths"), [(3, 5, [4, 5, 5]), (3, 0, [4, 12, 12]), (1, 5, [4])])
def test_projection_narrows_what_the_next_layer_reads(layers: int, projection: int, widths: list[int]) -> None:
    config = EncoderConfig(hidden=6, layers=layers, dropout=0, projection=projection, layer_norm=True)
    stack = RecurrentStack(config, 4)
    read = [layer.forwards.input_size for layer in stack.layers if isinstance(layer, RecurrentLayer)]
    assert read == widths
    assert stack(torch.randn(2, 7, 4), torch.tensor([7, 3]))[0].shape == (2, 7, stack.outputs) == (2, 7, 12)


def test_weights_keep_their_names() -> None:
    """Models that were trained before there were connections and pyramids load on."""
    stack = RecurrentStack(EncoderConfig(hidden=6, layers=2, projection=5, layer_norm=True), 4)
    layers = [
        f"layers.{number}.{way}.{name}_l0"
        for number in range(2)
        for way in ("forwards", "backwards")
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    rest = ["norms.0.weight", "norms.0.bias", "norms.1.weight", "norms.1.bias", "projections.0.weight"]
    assert sorted(stack.state_dict()) == sorted([*layers, *rest, "projections.0.bias"])


@pytest.mark.parametrize(
    ("settings", "spanned"),
    [
        ({"layers": 3}, [False, True, True]),
        ({"layers": 3, "projection": 5}, [False, True, False]),
        ({"layers": 3, "projection": 12}, [False, True, True]),
        ({"layers": 3, "pyramid": 1}, [False, False, True]),
        ({"layers": 2, "pyramid": 1, "projection": 6}, [False, True]),
        ({"layers": 2, "cell": "projected", "recurrent_projection": 4, "projection": 8}, [False, True]),
    ],
)
def test_connections_span_the_layers_that_are_as_wide_as_what_they_read(
    settings: dict[str, object], spanned: list[bool]
) -> None:
    config = EncoderConfig.model_validate({"hidden": 6, "connection": "highway", **settings})
    stack = RecurrentStack(config, 4).eval()
    assert [isinstance(one, Highway) for one in stack.connections] == spanned == config.spanned_layers
    out, _ = stack(torch.randn(2, 7, 4), torch.tensor([7, 3]))
    assert out.shape[2] == stack.outputs == 2 * config.direction_width


def test_a_closed_highway_leads_past_a_layer() -> None:
    torch.manual_seed(3)
    stack = RecurrentStack(EncoderConfig(hidden=6, layers=2, dropout=0, connection="highway"), 4)
    x, lengths = torch.randn(2, 7, 4), torch.tensor([7, 7])
    first = stack.layers[0](x, reversal(lengths, 7))
    assert not torch.allclose(stack(x, lengths)[0], first, atol=1e-3)
    with torch.no_grad():
        stack.get_parameter("connections.1.gate.bias").fill_(-50.0)
    torch.testing.assert_close(stack(x, lengths)[0], first)


def test_a_pyramid_joins_pairs_and_leaves_nothing_behind_an_odd_end() -> None:
    torch.manual_seed(4)
    stack = RecurrentStack(EncoderConfig(hidden=6, layers=2, dropout=0, pyramid=1), 4)
    lengths = torch.tensor([7, 5, 4, 1])
    x = torch.randn(4, 7, 4)
    out, halved = stack(x, lengths)
    assert halved.tolist() == [4, 3, 2, 1]
    assert out.shape == (4, 4, 12)
    for row, found, length, after in zip(x, out, lengths.tolist(), halved.tolist(), strict=True):
        read = stack.layers[0](row[None, :length], reversal(torch.tensor([length]), length))[0].detach()  # (S, 12)
        pairs = torch.zeros(after, 2, 12)
        for frame in range(length):
            pairs[frame // 2, frame % 2] = read[frame]
        joined = pairs.reshape(1, after, 24)
        expected = stack.layers[1](joined, reversal(torch.tensor([after]), after))[0]
        torch.testing.assert_close(found[:after], expected, atol=1e-6, rtol=0)
