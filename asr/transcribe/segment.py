"""Cutting long recordings where it is quietest, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

_WINDOW = 0.2  # [s] of loudness that decides where to cut


def quiet_pieces(blocks: Iterable[np.ndarray], rate: int, longest: float) -> Iterator[np.ndarray]:
    """Cuts a stream of samples; each cut is the quietest moment in the last third of what may be taken.

    Args:
        blocks: shape (samples,) each, of any lengths; how the stream is divided into them has no influence.
        rate: [Hz].
        longest: of a piece [s]; at least 1.

    Yields:
        Pieces of at most ``longest`` seconds, none of them empty; end to end they are the stream.

    Raises:
        ValueError: ``longest`` leaves no room to choose a cut.
    """
    if longest < 1:
        raise ValueError(f"pieces must be at least 1 s long, not {longest}")
    limit = int(longest * rate)
    rest = np.empty(0, dtype=np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block])
        begin = 0
        while len(rest) - begin > limit:
            cut = begin + _quietest(rest[begin : begin + limit], int(_WINDOW * rate))
            yield rest[begin:cut]
            begin = cut
        rest = rest[begin:]
    if len(rest):
        yield rest


def _quietest(samples: np.ndarray, window: int) -> int:
    """The middle of the ``window`` samples with the least energy, in the last third."""
    first = len(samples) * 2 // 3
    energy = np.cumsum(np.square(samples[first:], dtype=np.float64))
    return first + int(np.argmin(energy[window:] - energy[:-window])) + 1 + window // 2
