"""Which steps are trained chunk by chunk, and with which latency: a function of (seed, epoch, step)."""

from __future__ import annotations

import numpy as np

from asr.augment.copies import between
from asr.config import TrainConfig
from asr.latency import Chunking, divide

_KIND = int.from_bytes(b"latency", "little")  # so that what else is drawn from the same numbers is another


def draw_chunking(config: TrainConfig, frame_seconds: float, seed: int, epoch: int, number: int) -> Chunking | None:
    """How a step of an epoch is trained chunk by chunk; None: from end to end.

    A share of the steps, ``chunk_share``, has a latency that is uniform in ``chunk_latency``, as wide a range as
    streams may ask for, so that one model serves them all, and whole recordings besides.
    """
    random = np.random.default_rng(np.random.SeedSequence([seed, epoch, number], spawn_key=(_KIND,)))
    if random.uniform() >= config.chunk_share:
        return None
    return divide(between(random, config.chunk_latency), frame_seconds)


def chunkings(config: TrainConfig, frame_seconds: float) -> list[Chunking | None]:
    """All that `draw_chunking` may give."""
    if not config.chunk_share:
        return [None]
    shortest, longest = (sum(divide(latency, frame_seconds)) for latency in config.chunk_latency)
    return [divide(frames * frame_seconds, frame_seconds) for frames in range(shortest, longest + 1)]
