"""The LSTMs that PyTorch has no fast kernel for, in one pass over time with a backward pass written by hand.

The products with the input are done for all steps by one matrix product beforehand; a step does only what needs the
step before it, in place and in memory that is there already. Backwards, whatever does not need the step after it is
computed for all steps at once: the factors between gradients before the loop, the gradients of the weights behind it.
Plain tensor operations, so that it runs wherever PyTorch does; scripts/bench_train.py measures it beside `nn.LSTM`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_EPSILON = 1e-5  # of both norms, as in nn.LayerNorm


@dataclass(frozen=True)
class Recurrence:
    """What a step does with the state that the step before left; R is H, or the projection's width.

    Attributes:
        weight_hh: recurrent weights of the input, forget, cell and output gates, shape (4H, R).
        peepholes: from the memory to the input, forget and output gates (Gers and Schmidhuber 2000), shape (3, H).
        weight_hr: recurrent projection (Sak et al. 2014), shape (R, H).
        gain_hh: of the layer norm over the recurrent products (Ba et al. 2016, eq. 20), shape (4H,).
        gain_c: of the layer norm over the memory (eq. 22), shape (H,); goes with ``gain_hh``, not with peepholes.
        bias_c: of the same, shape (H,).
    """

    weight_hh: Tensor
    peepholes: Tensor | None = None
    weight_hr: Tensor | None = None
    gain_hh: Tensor | None = None
    gain_c: Tensor | None = None
    bias_c: Tensor | None = None


def scan(gates: Tensor, recurrence: Recurrence) -> Tensor:
    """Runs an LSTM over time, from a state of zeros; in float32 but for autocast's products with the recurrent weights.

    ``i, f, o = σ(z)``, ``g = tanh(z)``, ``c = f c' + i g``, ``h = o tanh(c)``, where z are the gates' inputs, c' is the
    memory of the step before, and peepholes, projection and norms come in as `Recurrence` says.

    Args:
        gates: what the gates get from the input, biases included, in the order of `nn.LSTM`; shape (S, N, 4H).
        recurrence: the weights.

    Returns:
        Shape (S, N, R), of the type of ``gates``.
    """
    return scan_memory(gates, recurrence)[0].to(gates.dtype)


def scan_memory(gates: Tensor, recurrence: Recurrence) -> tuple[Tensor, Tensor]:
    """As `scan`, and the memory c behind each step, shape (S, N, H); both in float32, or float64 if the gates are."""
    device, precise = gates.device.type, torch.promote_types(gates.dtype, torch.float32)
    weights = {name: None if one is None else one.to(precise) for name, one in vars(recurrence).items()}
    if precise == torch.float32 and torch.is_autocast_enabled(device):
        for name in ("weight_hh", "weight_hr"):
            one = weights[name]
            weights[name] = None if one is None else one.to(torch.get_autocast_dtype(device))
    with torch.autocast(device, enabled=False):
        output: tuple[Tensor, Tensor] = _Scan.apply(gates.to(precise), *weights.values())
    return output


def normalise(x: Tensor, gain: Tensor) -> Tensor:
    """Layer norm over the last axis, as in the scan: in float32 also under autocast. Shapes (…, D), (D,) → (…, D)."""
    precise = torch.promote_types(x.dtype, torch.float32)
    return torch.nn.functional.layer_norm(x.to(precise), gain.shape, gain.to(precise), None, _EPSILON)


def _multiply(x: Tensor, weight: Tensor, out: Tensor, add: bool = False) -> None:
    """``out = x @ weight`` in the weight's precision, or ``out += x @ weight``. Shapes (N, A), (A, B), (N, B)."""
    if x.dtype == weight.dtype:
        out.addmm_(x, weight, beta=int(add))
    elif add:
        out += torch.mm(x.to(weight.dtype), weight)
    else:
        out.copy_(torch.mm(x.to(weight.dtype), weight))


def _weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Of ``x @ weight.t()``, in the weight's precision. Shapes (S, N, B), (S, N, A), (B, A) → (B, A)."""
    rows, columns = gradient.flatten(0, 1).to(weight.dtype), x.flatten(0, 1).to(weight.dtype)  # (S · N, B), (S · N, A)
    return rows.t() @ columns


def _normalise(x: Tensor, gain: Tensor, bias: Tensor | None, moments: Tensor) -> Tensor:
    """Layer norm over the last axis; leaves the means and inverse deviations in ``moments``, shape (2, N, 1)."""
    result, moments[0], moments[1] = torch.native_layer_norm(x, gain.shape, gain, bias, _EPSILON)
    return result


def _norm_gradient(gradient: Tensor, x: Tensor, gain: Tensor, moments: Tensor) -> Tensor:
    """Of the norm's input."""
    backward = torch.ops.aten.native_layer_norm_backward
    found: Tensor = backward(gradient, x, gain.shape, *moments, gain, gain, [True, False, False])[0]
    return found


def _gain_gradients(gradient: Tensor, x: Tensor, gain: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
    """Of the norm's gain and bias."""
    backward = torch.ops.aten.native_layer_norm_backward
    _, of_gain, of_bias = backward(gradient, x, gain.shape, *moments, gain, gain, [False, True, True])
    return of_gain, of_bias


class _Scan(torch.autograd.Function):
    """The pass and its gradients."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx,
        inputs: Tensor,
        weight_hh: Tensor,
        peepholes: Tensor | None,
        weight_hr: Tensor | None,
        gain_hh: Tensor | None,
        gain_c: Tensor | None,
        bias_c: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)  # of the memory there is mostly none
        steps, number, _ = inputs.shape
        hidden = weight_hh.shape[0] // 4
        z = inputs.clone(memory_format=torch.contiguous_format).view(steps, number, 4, hidden)
        memory, squashed, out = (inputs.new_empty(steps, number, hidden) for _ in range(3))  # c, tanh(c), h
        state = out if weight_hr is None else inputs.new_empty(steps, number, len(weight_hr))
        normed = gain_hh is not None
        products = torch.empty_like(inputs[: normed * steps])  # before the norm
        products[:1] = 0
        moments = inputs.new_zeros(2 * normed, 2, steps, number, 1)  # of both norms
        for step in range(steps):
            input_forget, cell, output = z[step, :, :2], z[step, :, 2], z[step, :, 3]  # (N, 2, H), (N, H), (N, H)
            if step:
                rows = z[step].view(number, 4 * hidden)
                if gain_hh is not None:
                    _multiply(state[step - 1], weight_hh.t(), products[step])
                    rows += _normalise(products[step], gain_hh, None, moments[0, :, step])
                else:
                    _multiply(state[step - 1], weight_hh.t(), rows, add=True)
                if peepholes is not None:
                    input_forget.addcmul_(peepholes[:2], memory[step - 1, :, None])
            input_forget.sigmoid_()
            cell.tanh_()
            torch.mul(z[step, :, 0], cell, out=memory[step])
            if step:
                memory[step].addcmul_(z[step, :, 1], memory[step - 1])
            if peepholes is not None:
                output.addcmul_(peepholes[2], memory[step])
            output.sigmoid_()
            if gain_c is not None:
                torch.tanh(_normalise(memory[step], gain_c, bias_c, moments[1, :, step]), out=squashed[step])
            else:
                torch.tanh(memory[step], out=squashed[step])
            torch.mul(output, squashed[step], out=out[step])
            if weight_hr is not None:
                _multiply(out[step], weight_hr.t(), state[step])
        ctx.save_for_backward(
            weight_hh, peepholes, weight_hr, gain_hh, gain_c, z, memory, squashed, out, state, products, moments
        )
        return state, memory

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # type: ignore[no-untyped-def]
        ctx, gradient: Tensor | None, of_memory: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        (weight_hh, peepholes, weight_hr, gain_hh, gain_c, z, memory, squashed, out, state, products, moments) = (
            ctx.saved_tensors
        )
        if gradient is None:
            gradient = torch.zeros_like(state)
        steps, number, _, hidden = z.shape
        normed = gain_hh is not None
        dz, to_memory, kept = _factors(z, memory, squashed, peepholes)
        d_state = state if weight_hr is None else torch.empty_like(state)
        d_squashed = torch.empty_like(out) if normed else out  # of what tanh reads
        d_products = torch.empty_like(products) if normed else dz.view(steps, number, 4 * hidden)
        d_memory, d_out = torch.zeros_like(out[0]), torch.empty_like(out[0])
        for step in range(steps - 1, -1, -1):
            arriving = d_out if weight_hr is None else d_state[step]  # (N, R)
            arriving.copy_(gradient[step])
            if step + 1 < steps:
                _multiply(d_products[step + 1], weight_hh, arriving, add=True)
            if weight_hr is not None:
                _multiply(arriving, weight_hr, d_out)
            if normed:
                torch.mul(d_out, to_memory[step], out=d_squashed[step])
                d_memory += _norm_gradient(d_squashed[step], memory[step], gain_c, moments[1, :, step])
            else:
                d_memory.addcmul_(d_out, to_memory[step])
            if of_memory is not None:
                d_memory += of_memory[step]
            dz[step, :, :3].mul_(d_memory[:, None])  # *= would write it once more
            dz[step, :, 3].mul_(d_out)
            d_memory *= kept[step]
            if normed and step:
                rows = dz[step].view(number, 4 * hidden)
                d_products[step] = _norm_gradient(rows, products[step], gain_hh, moments[0, :, step])
        d_peepholes = d_weight_hr = d_gain_hh = d_gain_c = d_bias_c = None
        d_weight_hh = _weight_gradient(d_products[1:], state[:-1], weight_hh)  # (4H, R)
        if peepholes is not None:
            before = torch.einsum("snkh,snh->kh", dz[1:, :, :2], memory[:-1])  # (2, H)
            d_peepholes = torch.cat([before, (dz[:, :, 3] * memory).sum(dim=(0, 1))[None]])  # (3, H)
        if weight_hr is not None:
            d_weight_hr = _weight_gradient(d_state, out, weight_hr)  # (R, H)
        dz = dz.view(steps, number, 4 * hidden)
        if normed:
            d_gain_hh = _gain_gradients(dz, products, gain_hh, moments[0])[0]
            d_gain_c, d_bias_c = _gain_gradients(d_squashed, memory, gain_c, moments[1])
        return dz, d_weight_hh, d_peepholes, d_weight_hr, d_gain_hh, d_gain_c, d_bias_c


def _factors(z: Tensor, memory: Tensor, squashed: Tensor, peepholes: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """What the loop backwards multiplies with, for all steps.

    Args:
        z: the gates, shape (S, N, 4, H).
        memory: c, shape (S, N, H).
        squashed: tanh of it, or of its norm, shape (S, N, H).
        peepholes: shape (3, H).

    Returns:
        From c's gradient to those of z_i, z_f and z_g, and from h's to that of z_o, shape (S, N, 4, H); from h's
        gradient to c's (to its norm's, if there is one), shape (S, N, H); from c's to that of the step before, shape
        (S, N, H).
    """
    i, f, g, o = z.unbind(2)  # (S, N, H) each
    factors = torch.empty_like(z)
    torch.sub(1, i, out=factors[:, :, 0]).mul_(i).mul_(g)
    torch.sub(1, f, out=factors[:, :, 1]).mul_(f)
    factors[1:, :, 1] *= memory[:-1]
    factors[0, :, 1] = 0
    torch.mul(g, g, out=factors[:, :, 2]).neg_().add_(1).mul_(i)
    torch.sub(1, o, out=factors[:, :, 3]).mul_(o).mul_(squashed)
    to_memory = torch.mul(squashed, squashed).neg_().add_(1).mul_(o)
    if peepholes is None:
        return factors, to_memory, f
    to_memory.addcmul_(factors[:, :, 3], peepholes[2])
    kept = torch.addcmul(f, factors[:, :, 0], peepholes[0]).addcmul_(factors[:, :, 1], peepholes[1])
    return factors, to_memory, kept
