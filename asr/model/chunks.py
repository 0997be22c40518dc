"""How an utterance is cut into chunks, each with what follows it, so that a bidirectional model can hear a stream.

Latency-controlled bidirectional recurrence (Zhang et al. 2016, "Highway long short-term memory RNNs for distant speech
recognition"; Xue and Yan 2017, "Improving latency-controlled BLSTM acoustic models for online speech recognition"): the
forward direction's state goes from the end of a chunk to the next chunk, the backward direction begins anew at the end
of each chunk's context. A chunk and its context are a view; what stands in the context is computed by each view for
itself, and thrown away at the end.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from asr.latency import Chunking
from asr.model.padding import reversal


class Views(NamedTuple):
    """The views of a batch of N utterances of at most S frames, M = N · K of K chunks each.

    Attributes:
        number: N.
        chunks: K, of the longest.
        chunk: C, frames of a chunk.
        context: R, frames of a context.
        order: the `reversal` of the views, each by its own length.
    """

    number: int
    chunks: int
    chunk: int
    context: int
    order: Tensor


def single_view(chunk: int, context: int, device: torch.device) -> Views:
    """One chunk of one utterance, and its context."""
    steps = chunk + context
    return Views(1, 1, chunk, context, reversal(torch.tensor([steps], device=device), steps))


def lay_out(x: Tensor, lengths: Tensor, chunking: Chunking) -> tuple[Tensor, Views]:
    """Cuts padded utterances into views, chunks counted from an utterance's own beginning.

    Args:
        x: shape (N, S, D), padding zero.
        lengths: shape (N,).
        chunking: C and R; no more than S frames are laid out of either.

    Returns:
        Shape (M, C + R, D), zero behind each view's own end, and what tells where the views lie.
    """
    number, steps, width = x.shape
    chunk = min(chunking.chunk, steps)
    context = min(chunking.context, steps - chunk)
    chunks = -(-steps // chunk)
    x = nn.functional.pad(x, (0, 0, 0, chunks * chunk + context - steps))  # (N, K · C + R, D)
    x = x.unfold(1, chunk + context, chunk).transpose(2, 3)  # (N, K, C + R, D)
    begins = chunk * torch.arange(chunks, device=x.device)  # (K,)
    own = (lengths[:, None] - begins).clamp(0, chunk + context).reshape(-1)  # (M,)
    views = Views(number, chunks, chunk, context, reversal(own, chunk + context))
    return x.reshape(number * chunks, chunk + context, width), views


def chunks_of(x: Tensor, chunking: Chunking, number: int, steps: int) -> Tensor:
    """The ``number`` utterances of ``steps`` frames again, without contexts. Shape (M, C or C + R, D) → (N, S, D)."""
    return x[:, : min(chunking.chunk, steps)].reshape(number, -1, x.shape[2])[:, :steps]
