from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from asr.model.recurrent import BidirectionalLayer, BidirectionalStack, reversal, reverse


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


def _packed_twin(layer: BidirectionalLayer, cell: str, inputs: int, hidden: int) -> nn.LSTM | nn.GRU:
    """PyTorch's own bidirectional layer with the same weights."""
    twin = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](inputs, hidden, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for name, _ in layer.forwards.named_parameters():
            twin.get_parameter(name).copy_(layer.forwards.get_parameter(name))
            twin.get_parameter(f"{name}_reverse").copy_(layer.backwards.get_parameter(name))
    return twin


def _through_packed(twin: nn.LSTM | nn.GRU, x: Tensor, lengths: Tensor) -> Tensor:
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return nn.utils.rnn.pad_packed_sequence(twin(packed)[0], batch_first=True, total_length=x.shape[1])[0]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("seed", range(4))
def test_equals_pytorchs_bidirectional_layer_over_packed_sequences(cell: str, seed: int) -> None:
    torch.manual_seed(seed)
    number, steps, inputs, hidden = [(1, 1, 3, 2), (5, 17, 4, 6), (3, 40, 8, 5), (8, 9, 2, 12)][seed]
    lengths = torch.randint(1, steps + 1, (number,))
    layer = BidirectionalLayer(cell, inputs, hidden)
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


def test_the_forget_gate_starts_open() -> None:
    layer = BidirectionalLayer("lstm", 3, 4)
    for lstm in (layer.forwards, layer.backwards):
        total = lstm.get_parameter("bias_ih_l0") + lstm.get_parameter("bias_hh_l0")
        assert total[4:8].tolist() == [1.0] * 4
        assert total.abs().max() == 1.0


def test_dropout_is_between_the_layers_and_before_the_head() -> None:
    torch.manual_seed(1)
    stack = BidirectionalStack("gru", 3, 32, layers=2, dropout=0.5, projection=0, layer_norm=False)
    x, lengths = torch.randn(2, 20, 3), torch.tensor([20, 20])
    out = stack.train()(x, lengths)
    assert 0.4 < (out == 0).float().mean() < 0.6
    assert not (stack.eval()(x, lengths) == 0).any()
    assert torch.equal(stack(x, lengths), stack(x, lengths))


@pytest.mark.parametrize(("layers", "projection", "widths"), [(3, 5, [4, 5, 5]), (3, 0, [4, 12, 12]), (1, 5, [4])])
def test_projection_narrows_what_the_next_layer_reads(layers: int, projection: int, widths: list[int]) -> None:
    stack = BidirectionalStack("lstm", 4, 6, layers, dropout=0, projection=projection, layer_norm=True)
    read = [layer.forwards.input_size for layer in stack.layers if isinstance(layer, BidirectionalLayer)]
    assert read == widths
    assert stack(torch.randn(2, 7, 4), torch.tensor([7, 3])).shape == (2, 7, stack.outputs) == (2, 7, 12)
