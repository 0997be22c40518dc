"""Cutting long recordings where it is quietest, so that memory stays bounded."""

from __future__ import annotations

import numpy as np

_WINDOW = 0.2  # [s] of loudness that decides where to cut


def quiet_cuts(samples: np.ndarray, rate: int, longest: float) -> list[tuple[int, int]]:
    """Pieces of at most ``longest`` seconds; each cut is the quietest moment in the last third of what may be taken.

    Args:
        samples: shape (samples,).
        rate: [Hz].
        longest: [s].

    Returns:
        (first sample, sample behind the last) of each piece; together they are the whole.
    """
    limit, window = int(longest * rate), int(_WINDOW * rate)
    pieces: list[tuple[int, int]] = []
    begin = 0
    while len(samples) - begin > limit:
        first = begin + limit * 2 // 3
        energy = np.cumsum(np.square(samples[first : begin + limit], dtype=np.float64))
        quietest = int(np.argmin(energy[window:] - energy[:-window]))
        cut = first + quietest + window // 2
        pieces.append((begin, cut))
        begin = cut
    pieces.append((begin, len(samples)))
    return pieces
