"""Every cell beside a step-by-step implementation in float64, PyTorch's own layers, and itself with dropped weights."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from asr.model.cells import NATIVE, ScanLSTM, make_direction, read
from asr.model.config import EncoderConfig
from asr.model.recurrent import UnidirectionalStack

CELLS: tuple[str, ...] = get_args(EncoderConfig.model_fields["cell"].annotation)
SCANNED = [cell for cell in CELLS if cell not in NATIVE]
INPUTS, HIDDEN, NARROW = 4, 5, 3


def _width(cell: str) -> int:
    return NARROW if cell == "projected" else HIDDEN


def _layer(cell: str, seed: int) -> ScanLSTM:
    """A layer in float64 whose every parameter, gains and biases too, is random."""
    torch.manual_seed(seed)
    layer = ScanLSTM(cell, INPUTS, HIDDEN, _width(cell)).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return layer


def _norm(x: Tensor, gain: Tensor | None, bias: Tensor | float = 0.0) -> Tensor:
    if gain is None:
        return x
    centred = x - x.mean(dim=-1, keepdim=True)
    return gain * centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt() + bias


def _step_by_step(layer: ScanLSTM, x: Tensor) -> Tensor:
    """The equations of the papers, one after the other. Shape (N, S, D) → (N, S, R)."""
    to_i, to_f, to_o = torch.zeros(3, HIDDEN, dtype=x.dtype) if layer.peepholes is None else layer.peepholes
    state, c = x.new_zeros(len(x), layer.weight_hh_l0.shape[1]), x.new_zeros(len(x), HIDDEN)
    outputs = []
    for frame in x.unbind(dim=1):
        z = _norm(frame @ layer.weight_ih_l0.T, layer.gain_ih) + _norm(state @ layer.weight_hh_l0.T, layer.gain_hh)
        z_i, z_f, z_g, z_o = (z + layer.bias_ih_l0 + layer.bias_hh_l0).split(HIDDEN, dim=1)
        i, f = torch.sigmoid(z_i + to_i * c), torch.sigmoid(z_f + to_f * c)
        c = f * c + i * torch.tanh(z_g)
        h = torch.sigmoid(z_o + to_o * c) * torch.tanh(_norm(c, layer.gain_c, layer.bias_c))
        state = h if layer.weight_hr_l0 is None else h @ layer.weight_hr_l0.T
        outputs.append(state)
    return torch.stack(outputs, dim=1)


@pytest.mark.parametrize("cell", SCANNED)
@pytest.mark.parametrize(("number", "steps"), [(1, 1), (3, 2), (2, 9)])
def test_the_scan_gives_the_numbers_and_gradients_of_the_equations(cell: str, number: int, steps: int) -> None:
    layer = _layer(cell, seed=steps)
    x = torch.randn(number, steps, INPUTS, dtype=torch.float64, requires_grad=True)
    ours, oracle = layer(x), _step_by_step(layer, x)
    torch.testing.assert_close(ours, oracle, atol=1e-10, rtol=0)
    weight = torch.randn_like(oracle)
    wanted = [x, *layer.parameters()]
    names = ["x", *dict(layer.named_parameters())]
    expected = torch.autograd.grad(oracle, wanted, weight, materialize_grads=True)
    for name, mine, theirs in zip(names, torch.autograd.grad(ours, wanted, weight), expected, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-9, rtol=1e-9), name


@pytest.mark.parametrize("cell", SCANNED)
def test_gradients_are_those_of_finite_differences(cell: str) -> None:
    layer = _layer(cell, seed=3)
    names, values = zip(*layer.named_parameters(), strict=True)

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        output: Tensor = torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))
        return output

    x = torch.randn(2, 4, INPUTS, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (x, *values))


def test_peepholes_of_zero_are_an_lstm() -> None:
    torch.manual_seed(1)
    lstm, layer = nn.LSTM(INPUTS, HIDDEN, batch_first=True), ScanLSTM("peephole", INPUTS, HIDDEN, HIDDEN)
    layer.load_state_dict({**lstm.state_dict(), "peepholes": torch.zeros(3, HIDDEN)})
    x = torch.randn(3, 20, INPUTS)
    torch.testing.assert_close(layer(x), lstm(x)[0], atol=1e-6, rtol=0)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_a_projected_lstm_is_pytorchs_with_its_weights() -> None:
    torch.manual_seed(2)
    lstm = nn.LSTM(INPUTS, HIDDEN, proj_size=NARROW, batch_first=True)
    layer = ScanLSTM("projected", INPUTS, HIDDEN, NARROW)
    layer.load_state_dict(lstm.state_dict())
    x = torch.randn(3, 20, INPUTS)
    torch.testing.assert_close(layer(x), lstm(x)[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_autocast_keeps_the_numbers_to_its_own_precision(cell: str) -> None:
    torch.manual_seed(4)
    layer = make_direction(cell, 16, 32, 20 if cell == "projected" else 32)
    x = torch.randn(3, 30, 16)
    precise = read(layer, x, 0.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = read(layer, x, 0.0)
    assert 0 < (rough.float() - precise).norm() < 0.03 * precise.norm()
    names, parameters = zip(*layer.named_parameters(), strict=True)
    expected = torch.autograd.grad(precise.sum(), parameters)
    found = torch.autograd.grad(rough.float().sum(), parameters)
    for name, gradient, exact in zip(names, found, expected, strict=True):
        assert gradient.dtype == torch.float32, name
        assert (gradient - exact).norm() < 0.1 * exact.norm(), name


@pytest.mark.parametrize("cell", SCANNED)
def test_double_precision_stays_what_it_is_under_autocast(cell: str) -> None:
    layer = _layer(cell, seed=6)
    x = torch.randn(2, 9, INPUTS, dtype=torch.float64)
    expected = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(x), expected)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell not in ("gru", "rnn")])
def test_the_forget_gate_starts_open(cell: str) -> None:
    lstm = make_direction(cell, 3, HIDDEN, _width(cell))
    total = lstm.get_parameter("bias_ih_l0") + lstm.get_parameter("bias_hh_l0")
    assert total[HIDDEN : 2 * HIDDEN].tolist() == [1.0] * HIDDEN
    assert total.abs().max() == 1.0


@pytest.mark.parametrize("cell", CELLS)
def test_weight_dropout_drops_recurrent_weights_in_training_alone(cell: str) -> None:
    torch.manual_seed(5)
    layer = make_direction(cell, INPUTS, HIDDEN, _width(cell))
    x = torch.randn(3, 12, INPUTS)
    assert torch.equal(read(layer.eval(), x, 0.5), read(layer, x, 0.0))
    layer.train()
    weight = layer.get_parameter("weight_hh_l0")
    torch.manual_seed(6)
    dropped = nn.functional.dropout(weight, 0.5).detach()
    torch.manual_seed(6)
    found = read(layer, x, 0.5)
    (gradient,) = torch.autograd.grad(found.square().sum(), weight)
    assert 0 < (dropped == 0).float().mean() < 1
    assert torch.equal(gradient == 0, dropped == 0)
    with torch.no_grad():
        before = weight.clone()
        weight.copy_(dropped)
        torch.testing.assert_close(found, read(layer, x, 0.0), atol=1e-6, rtol=0)
        weight.copy_(before)
    assert not torch.equal(found, read(layer, x, 0.0))


@pytest.mark.parametrize("cell", CELLS)
def test_a_stack_that_reads_forwards_never_looks_ahead(cell: str) -> None:
    torch.manual_seed(7)
    stack = UnidirectionalStack(cell, INPUTS, HIDDEN, layers=2, dropout=0, width=NARROW if cell == "projected" else 0)
    x = torch.randn(2, 8, INPUTS)
    changed = x.clone()
    changed[:, 5:] += 1
    before, after = stack(x), stack(changed)
    assert before.shape == (2, 8, stack.outputs) == (2, 8, _width(cell))
    torch.testing.assert_close(before[:, :5], after[:, :5], atol=1e-6, rtol=0)
    assert not torch.allclose(before[:, 5:], after[:, 5:], atol=1e-3)
