"""How a latency becomes chunks, each heard with what follows it; see `asr.model.chunks`. Nothing here needs PyTorch."""

from __future__ import annotations

import math
from typing import NamedTuple

from asr.errors import UsageError


class Chunking(NamedTuple):
    """How many encoder frames a chunk has, and how many behind it are its context.

    The latency is that of both together: so long a chunk's first frame waits for its result. With one half each, every
    frame is computed twice, and waits for three quarters of the latency on average.
    """

    chunk: int
    context: int

    def laid_out(self, steps: int) -> int:
        """Frames that `lay_out` makes of an utterance of so many, the longest of its batch."""
        chunk = min(self.chunk, steps)
        return -(-steps // chunk) * (chunk + min(self.context, steps - chunk))


def divide(latency: float, frame_seconds: float) -> Chunking:
    """The chunk and context, one half each (of an odd number of frames the chunk gets the odd one), of a latency [s].

    Raises:
        UsageError: it is shorter than two frames, or no number.
    """
    if not math.isfinite(latency):
        raise UsageError(f"a latency must be a number of seconds such as 1.0, not {latency}")
    frames = int(latency / frame_seconds + 1e-6)  # no more than fit; 0.06 / 0.03 may fall short of 2
    if frames < 2:
        raise UsageError(
            f"a latency of {latency:g} s is too short: this model's frames are {frame_seconds:g} s apart, and a chunk "
            f"and its context need one each, so at least {2 * frame_seconds:g} s"
        )
    return Chunking(frames - frames // 2, frames // 2)
