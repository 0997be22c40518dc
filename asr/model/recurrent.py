"""Recurrent layers over padded batches, the same numbers whatever an utterance is batched with.

In a bidirectional layer each direction is a unidirectional layer of its own; the backward one reads every utterance
reversed by its own length, so that padding lies at the end for both and no state ever comes out of it. Packed sequences
give the same numbers, but keep PyTorch off oneDNN's fused kernel and train several times slower on a CPU
(scripts/bench_train.py measures it).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


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


class BidirectionalLayer(nn.Module):
    """One layer that reads each utterance in both directions (Graves and Schmidhuber 2005)."""

    def __init__(self, cell: str, inputs: int, hidden: int) -> None:
        super().__init__()
        self.forwards = _direction(cell, inputs, hidden)
        self.backwards = _direction(cell, inputs, hidden)

    def forward(self, x: Tensor, order: Tensor) -> Tensor:
        """Shape (N, S, D) → (N, S, 2H); ``order`` is the batch's `reversal`."""
        ahead, _ = self.forwards(x)  # (N, S, H)
        back, _ = self.backwards(reverse(x, order))  # (N, S, H)
        return torch.cat([ahead, reverse(back, order)], dim=2)


def _direction(cell: str, inputs: int, hidden: int) -> nn.LSTM | nn.GRU:
    """A layer that reads forwards; an LSTM's forget gate starts open, so that gradients reach far back."""
    layer = CELLS[cell](inputs, hidden, batch_first=True)
    if cell == "lstm":
        _open_forget_gate(layer, hidden)
    return layer


def _open_forget_gate(lstm: nn.LSTM | nn.GRU, hidden: int) -> None:
    """A forget gate's bias of 1 from the first step (Gers et al. 2000)."""
    with torch.no_grad():
        lstm.get_parameter("bias_ih_l0")[hidden : 2 * hidden] = 1.0
        lstm.get_parameter("bias_hh_l0")[hidden : 2 * hidden] = 0.0


class BidirectionalStack(nn.Module):
    """Bidirectional layers on top of each other, with dropout, optional projection and layer norm between them."""

    def __init__(
        self, cell: str, inputs: int, hidden: int, layers: int, dropout: float, projection: int, layer_norm: bool
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        self.norms = nn.ModuleList()
        self.projections = nn.ModuleList()
        for number in range(layers):
            self.layers.append(BidirectionalLayer(cell, inputs, hidden))
            self.norms.append(nn.LayerNorm(2 * hidden) if layer_norm else nn.Identity())
            last = number == layers - 1
            self.projections.append(nn.Linear(2 * hidden, projection) if projection and not last else nn.Identity())
            inputs = projection or 2 * hidden
        self.dropout = nn.Dropout(dropout)
        self.outputs = 2 * hidden

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Shape (N, S, D), lengths (N,) → (N, S, 2H). Rows behind an utterance's end hold no meaning."""
        order = reversal(lengths, x.shape[1])
        for layer, norm, projection in zip(self.layers, self.norms, self.projections, strict=True):
            x = self.dropout(projection(norm(layer(x, order))))
        return x


class UnidirectionalStack(nn.Module):
    """Layers that read forwards only, on top of each other, with dropout behind each: for language models."""

    def __init__(self, cell: str, inputs: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_direction(cell, hidden if number else inputs, hidden) for number in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.outputs = hidden

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, S, D) → (N, S, H), from a state of zeros. Rows behind a sequence's end hold no meaning."""
        for layer in self.layers:
            x, _ = layer(x)
            x = self.dropout(x)
        return x
