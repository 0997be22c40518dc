"""One matrix of log-probs out of overlapping windows, and where to cut it so that no search grows with a recording."""

from __future__ import annotations

import numpy as np

from asr.decode.greedy import best_path
from asr.tokens import BLANK, Tokenizer


def join(before: np.ndarray, after: np.ndarray, shared: int) -> np.ndarray:
    """Joins two windows of one stretch, whose neighbouring frames are the same moments.

    Near its edge a window lacks context, so of the frames that both have, the first quarter is that of ``before`` and
    the last quarter that of ``after``. Between them one fades into the other, in probability: this comes a little
    nearer to what the network says of the whole stretch at once than a change half-way (docs/long_recordings.md).

    Args:
        before: shape (S1, V).
        after: shape (S2, V).
        shared: frames at the end of one and the beginning of the other that are the same.

    Returns:
        Log-probs, float32, shape (S1 + S2 − shared, V).
    """
    begin = len(before) - shared
    share = ((np.arange(shared) + 0.5) / max(shared, 1) * 2 - 0.5).clip(0, 1)[:, None]  # of ``after``
    faded = np.exp(before[begin:], dtype=np.float64) * (1 - share) + np.exp(after[:shared], dtype=np.float64) * share
    with np.errstate(divide="ignore"):
        return np.concatenate([before[:begin], np.log(faded).astype(np.float32), after[shared:]])


def widest_gap(log_probs: np.ndarray, tokenizer: Tokenizer, first: int, behind: int) -> int:
    """The frame to cut at: the middle of the longest run in which no word is, by the best path.

    Args:
        log_probs: shape (S, V).
        tokenizer: of the model that made them.
        first, behind: the frames that may be cut at begin with ``first`` and end before ``behind``.
    """
    path = best_path(log_probs, BLANK)
    words = tokenizer.words([token for token, _, _ in path])
    ends = [0, *(path[positions[-1]][2] for _, positions in words)]
    starts = [*(path[positions[0]][1] for _, positions in words), len(log_probs)]
    gaps = [(max(end, first), min(start, behind - 1)) for end, start in zip(ends, starts, strict=True)]
    widest = max(gaps, key=lambda gap: gap[1] - gap[0])
    return sum(widest) // 2 if widest[0] <= widest[1] else behind - 1
