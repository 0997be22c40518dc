"""A bidirectional model that is given a recording bit by bit, whatever computes for it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from asr.config import FeatureConfig
from asr.latency import Chunking
from asr.loudness import varies
from asr.transcribe.level import Leveller


class Reader(Protocol):
    """Reads a recording chunk by chunk, and keeps what the next chunk needs of those before it."""

    def __call__(self, view: np.ndarray, chunk: int) -> np.ndarray:
        """The log-probs of the next chunk, float32.

        Args:
            view: float32, (samples,), from where the chunk begins to where its context ends.
            chunk: C, encoder frames of the chunk.

        Returns:
            Shape (C, V).
        """


class Streamed:
    """The log-probs of a recording's chunks, as its samples come in.

    They are those of the offline pass with the same chunks. The same samples are always computed together, so how they
    are divided into blocks makes no difference, not even in rounding.

    Args:
        read: of a backend, at the beginning of a recording.
        chunking: how many frames it reads at once.
        features: of the model.
        factor: feature frames for each encoder frame.
        level: of the training speech, see `asr.transcribe.level.Leveller`; what is far from it is amplified or
            attenuated from the first view on whose loudness varies as speech does.
    """

    def __init__(
        self, read: Reader, chunking: Chunking, features: FeatureConfig, factor: int, level: float | None = None
    ) -> None:
        self.chunking = chunking
        self._levelled = Leveller(level, features.rate)
        self._read, self._features, self._factor = read, features, factor
        self._blocks: list[np.ndarray] = []  # from where the next chunk begins
        self._waiting = 0  # samples that they hold
        self._needed = self._samples(sum(chunking) * factor)

    def accept(self, samples: np.ndarray) -> list[np.ndarray]:
        """The log-probs of each chunk that these samples complete, shape (C, V) each.

        Args:
            samples: shape (samples,), full scale ±1, at the model's rate.

        Raises:
            ValueError: samples of another shape or type.
        """
        if samples.ndim != 1 or samples.dtype.kind != "f":
            raise ValueError(
                "samples must be floating-point numbers between -1 and 1 of shape (samples,), these are "
                f"{samples.dtype} of shape {samples.shape}"
            )
        self._blocks.append(samples.astype(np.float32))  # a copy: whoever records may use its memory again
        self._waiting += len(samples)
        found = []
        while self._waiting >= self._needed:
            found.append(self._next(self._needed, self.chunking.chunk))
        if found:
            self._blocks = [self._blocks[0].copy()]  # so that a long block is not kept for its end
        return found

    def finish(self) -> list[np.ndarray]:
        """The log-probs of the chunks that lacked some of their context, shape (C or less, V) each."""
        found = []
        while frames := self._features.frames(self._waiting):
            chunk = min(self.chunking.chunk, -(-frames // self._factor))
            found.append(self._next(min(self._samples(frames), self._needed), chunk))
        return found

    def _samples(self, frames: int) -> int:
        """That so many feature frames cover."""
        return (frames - 1) * self._features.shift_samples + self._features.frame_samples

    def _next(self, samples: int, chunk: int) -> np.ndarray:
        """Reads a chunk of so many frames, which with its context takes so many samples."""
        waiting = self._blocks[0] if len(self._blocks) == 1 else np.concatenate(self._blocks)
        self._blocks = [waiting[chunk * self._factor * self._features.shift_samples :]]
        self._waiting = len(self._blocks[0])
        view = waiting[:samples]
        return self._read(self._levelled(view, varies(view, self._features.rate)), chunk)
