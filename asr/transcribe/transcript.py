"""What transcribing a recording gives: `Transcript` → `Segment` → `Word`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asr.decode.hypothesis import Word


@dataclass(frozen=True)
class Segment:
    """A stretch of speech between two pauses.

    Attributes:
        start, end: in the recording [s].
        words: in the order of their times, which are the recording's.
    """

    start: float
    end: float
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """The words, separated by single spaces."""
        return " ".join(word.word for word in self.words)


@dataclass(frozen=True)
class Transcript:
    """What is said in a recording.

    Attributes:
        audio: the file; None: samples, or a stream.
        duration: of the recording [s].
        segments: those in which words were recognised, in order.
    """

    audio: Path | None
    duration: float
    segments: tuple[Segment, ...]

    @property
    def words(self) -> tuple[Word, ...]:
        """Of all segments."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def text(self) -> str:
        """The words, separated by single spaces."""
        return " ".join(segment.text for segment in self.segments)
