"""What a decoder returns, and what every decoder demands of its input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np


@dataclass(frozen=True)
class Word:
    """A recognised word.

    Attributes:
        word: its spelling.
        start: where its first token begins [s].
        end: where its last token ends [s].
        confidence: 0 to 1.
    """

    word: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Hypothesis:
    """What a decoder made of one utterance.

    Attributes:
        text: the words, separated by single spaces.
        words: the same with times and confidences.
        score: the decoder's own log-score.
    """

    text: str
    words: list[Word]
    score: float


class Heard(NamedTuple):
    """What a model with an attention decoder makes of an utterance.

    Attributes:
        log_probs: of CTC, shape (S, V).
        encoded: what the encoder says, float32, shape (S, C).
    """

    log_probs: np.ndarray
    encoded: np.ndarray


_LEAST_TOTAL, _MOST_TOTAL = 0.99, 1.01  # of a row's probabilities, which may have been rounded to half precision
_ROUNDING = 1e-3  # [nats] a log-probability of 1 may be above 0

# What was made of some utterances → a hypothesis of each. Log-probs of shape (S, V); of several models (M, S, V), see
# `asr.decode.ensemble`; or `Heard`, see `asr.decode.one_pass`.
Row: TypeAlias = Any
Decoder: TypeAlias = Callable[[Sequence[Row]], list[Hypothesis]]


def unfit(log_probs: np.ndarray) -> str | None:
    """Why what a model made of an utterance cannot be decoded; None if it can. Shape (S, V)."""
    if np.isnan(log_probs).any():
        return "the model gives no numbers for it; its samples are of absurd size, or the model's weights have diverged"
    return None


def check_log_probs(log_probs: np.ndarray, blank: int) -> tuple[np.ndarray, np.ndarray]:
    """Refuses anything but a matrix of log-probabilities and a blank that is one of its columns.

    Returns:
        What it worked out: the probabilities, float64, shape (S, V), and the sum of each row, float64, shape (S,).

    Raises:
        ValueError: says what was seen: shape, type, or sums of rows that differ from 1 by more than a hundredth.
    """
    if not isinstance(log_probs, np.ndarray) or log_probs.ndim != 2 or log_probs.dtype.kind != "f":
        seen = f"shape {log_probs.shape}, {log_probs.dtype}" if isinstance(log_probs, np.ndarray) else type(log_probs)
        raise ValueError(f"log-probs must be a floating-point array of shape (S, V), this is {seen}")
    if not 0 <= blank < log_probs.shape[1]:
        raise ValueError(f"the blank must be one of the {log_probs.shape[1]} tokens, this is {blank}")
    if len(log_probs) == 0:
        return np.empty(log_probs.shape), np.empty(0)
    # One pass each, by the bare ufuncs: this runs before every search, and the shortest of those take microseconds.
    with np.errstate(over="ignore"):
        probabilities = np.exp(log_probs, dtype=np.float64, order="C")
    totals = np.einsum("sv->s", probabilities)
    # A sum of NaN is neither above nor below anything.
    if not (np.maximum.reduce(totals) <= _MOST_TOTAL and np.minimum.reduce(totals) >= _LEAST_TOTAL):
        what = f"an array of shape {log_probs.shape}"
        if not log_probs.max() <= _ROUNDING:
            raise ValueError(
                f"log-probs must be finite or -inf and at most 0, this is {what} whose largest is {log_probs.max()}"
            )
        raise ValueError(
            f"each frame's probabilities must sum to 1, this is {what} with sums of {totals.min():.3g} to "
            f"{totals.max():.3g}"
        )
    return probabilities, totals
