"""What stands between recurrent layers: dropout of whole sequences, and ways around a layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LockedDropout(nn.Module):
    """Dropout that takes the same units from all frames of an utterance (Gal and Ghahramani 2016)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, S, D) → (N, S, D)."""
        if not (self.share and self.training):
            return x
        return x * nn.functional.dropout(torch.ones_like(x[:, :1]), self.share)  # (N, 1, D) in all S


DROPOUTS: dict[str, type[nn.Dropout] | type[LockedDropout]] = {"plain": nn.Dropout, "locked": LockedDropout}


class Plain(nn.Module):
    """No way around: the layer's output."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """What the layer reads and what it says, shapes (N, S, C) and (N, S, D) → (N, S, D)."""
        return y


class Residual(nn.Module):
    """The layer adds to what it reads."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """What the layer reads and what it says, both of shape (N, S, D) → (N, S, D)."""
        return x + y


class Highway(nn.Module):
    """A learned gate mixes what the layer reads and what it says (Srivastava et al. 2015, eq. 3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, -1.0)  # most goes past the layer at first, as section 2.2 advises

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """What the layer reads and what it says, both of shape (N, S, D) → (N, S, D)."""
        return torch.lerp(x, y.to(x.dtype), torch.sigmoid(self.gate(x)).to(x.dtype))


def make_connection(kind: str, width: int) -> Plain | Residual | Highway:
    """A way around a layer that reads and writes so many units; ``kind`` as in ``encoder.connection``."""
    if kind == "highway":
        return Highway(width)
    return Residual() if kind == "residual" else Plain()
