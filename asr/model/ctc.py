"""Connectionist temporal classification (Graves et al. 2006): the loss, what it can align at all, what smooths it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from asr.tokens import BLANK


def required_frames(labels: Sequence[int]) -> int:
    """Fewest encoder frames that can spell ``labels``: one each, and a blank between two that are equal."""
    return len(labels) + sum(first == second for first, second in pairwise(labels))


def ctc_loss(log_probs: Tensor, lengths: Tensor, labels: Sequence[Sequence[int]]) -> Tensor:
    """Negative log-likelihood of each utterance's transcript, summed over all alignments, in float32.

    Args:
        log_probs: shape (N, S, V), normalised over V; blank is 0.
        lengths: shape (N,), encoder frames of each utterance.
        labels: N transcripts as token ids.

    Returns:
        Shape (N,) [nats]; infinite where a transcript needs more frames than there are: never silently zero.
    """
    targets = torch.tensor([token for transcript in labels for token in transcript], dtype=torch.long)
    counts = torch.tensor([len(transcript) for transcript in labels], dtype=torch.long)
    return functional.ctc_loss(
        log_probs.float().transpose(0, 1),  # (S, N, V)
        targets.to(log_probs.device),
        lengths.to(log_probs.device),
        counts.to(log_probs.device),
        blank=BLANK,
        reduction="none",
        zero_infinity=False,
    )


def uniform_divergence(log_probs: Tensor, lengths: Tensor) -> Tensor:
    """Kullback–Leibler divergence of the uniform distribution to the model's output, summed over the frames.

    The label smoothing of Kim et al. (2018), "Improved training for online end-to-end speech recognition systems": CTC
    has no label for a frame that could be smoothed, so its output itself is kept from becoming too sure.

    Args:
        log_probs: shape (N, S, V), normalised over V.
        lengths: shape (N,), encoder frames of each utterance; what lies behind them counts for nothing.

    Returns:
        Shape (N,) [nats], at least 0.
    """
    divergences = -log_probs.float().mean(dim=2) - math.log(log_probs.shape[2])  # (N, S)
    behind = torch.arange(log_probs.shape[1], device=log_probs.device) >= lengths[:, None]  # (N, S)
    return divergences.masked_fill(behind, 0).sum(dim=1)
