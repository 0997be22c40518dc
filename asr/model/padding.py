"""Padded batches: what lies behind an utterance's end, turning each by its own length, and joining frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def mask_padding(x: Tensor, lengths: Tensor) -> Tensor:
    """Zeros behind each utterance's end. Shape (N, T, …), lengths (N,) → (N, T, …)."""
    behind = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]  # (N, T)
    return x.masked_fill(behind.view(*behind.shape, *[1] * (x.ndim - 2)), 0)  # a product would let NaN through


def shortened(lengths: Tensor, factor: int) -> Tensor:
    """⌈length / factor⌉ of each, shape (N,)."""
    return torch.div(lengths + factor - 1, factor, rounding_mode="floor")


def join_frames(x: Tensor, factor: int) -> Tensor:
    """Puts ``factor`` neighbouring frames side by side.

    Shape (N, T, D), padding zero → (N, ⌈T / factor⌉, factor · D).
    """
    x = nn.functional.pad(x, (0, 0, 0, -x.shape[1] % factor))
    return x.reshape(x.shape[0], -1, factor * x.shape[2])  # (N, ⌈T / factor⌉, D · factor)


def reversal(lengths: Tensor, steps: int) -> Tensor:
    """Where each row of a flattened (N, S) batch moves when each utterance is reversed by its own length.

    The map is its own inverse; padding stays where it is.

    Args:
        lengths: shape (N,), int64.
        steps: S.

    Returns:
        int64, shape (N · S,).
    """
    step = torch.arange(steps, device=lengths.device)  # (S,)
    ends = lengths[:, None]  # (N, 1)
    source = torch.where(step < ends, ends - 1 - step, step)  # (N, S)
    return (source + steps * torch.arange(len(lengths), device=lengths.device)[:, None]).reshape(-1)


class _Permute(torch.autograd.Function):
    """Takes rows by a permutation that is its own inverse: its gradient is the same gather, not a slow scatter-add."""

    @staticmethod
    def forward(ctx, rows: Tensor, order: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(order)
        return rows.index_select(0, order)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        (order,) = ctx.saved_tensors
        return gradient.index_select(0, order), None


def reverse(x: Tensor, order: Tensor) -> Tensor:
    """Reverses each utterance by its own length. Shape (N, S, D) → (N, S, D); ``order`` comes from `reversal`."""
    return _Permute.apply(x.reshape(-1, x.shape[2]), order).view(x.shape)
