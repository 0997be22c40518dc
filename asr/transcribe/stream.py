"""Speech as it comes in: samples in blocks of any size, text while it is still being spoken, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from asr.decode.greedy import greedy_decoder
from asr.decode.hypothesis import Decoder, unfit
from asr.errors import AsrError, UsageError
from asr.tokens import BLANK
from asr.transcribe.backend import Backend
from asr.transcribe.transcript import Segment


@dataclass(frozen=True)
class Event:
    """What a stream has to tell.

    Attributes:
        segment: what was said since the last pause, as far as it is known; times are the stream's.
        final: it has ended, and the next event is of another segment; else the next tells of this one anew.
    """

    segment: Segment
    final: bool


class Stream:
    """Recognises speech from a microphone, a pipe or a connection while it is spoken.

    A segment ends with a pause, or where it is cut because it grows too long; until then its text is told anew, from
    its beginning, whenever a chunk changes it. How samples are divided into blocks has no influence on the events.

        stream = load_model(folder).stream(latency=1.0)
        for block in microphone:
            for event in stream.accept(block):
                print(event.segment.text, end="\\n" if event.final else "\\r")
        for event in stream.finish():
            print(event.segment.text)

    Args:
        backend: a loaded model.
        latency: how long the first sound of a chunk waits for its text, at most [s]; see `asr.latency.divide`.
        decode: log-probs → hypotheses, as `asr.decode.system.System.decode`; None: greedy.
        pause: a segment ends when no token is heard for so long [s].
        longest: a segment is cut, in its second half at the longest pause, when it is so long [s].

    Raises:
        UsageError: the model hears whole recordings only, or the latency, pause or longest segment is too short.
    """

    def __init__(
        self,
        backend: Backend,
        latency: float,
        decode: Decoder | None = None,
        pause: float = 0.8,
        longest: float = 20.0,
    ) -> None:
        self.model = backend.streamed(latency)
        self.rate, self.frame_seconds = backend.rate, backend.frame_seconds
        self.decode = decode or greedy_decoder(BLANK, backend.tokenizer, self.frame_seconds)
        if not (math.isfinite(longest) and self.frame_seconds <= pause < longest):
            raise UsageError(
                f"a pause must last at least a frame, {self.frame_seconds:g} s, and less than the longest segment: "
                f"{pause:g} and {longest:g} s"
            )
        self._pause, self._longest = (round(seconds / self.frame_seconds) for seconds in (pause, longest))
        self._rows = np.empty((0, len(backend.tokenizer)), np.float32)  # log-probs behind the last segment
        self._begin = 0  # the frame they begin with
        self._told: list[str] = []  # the words of this segment that the last event told
        self._samples = 0
        self._limit = math.inf  # the stream's end, beyond which its last frame may reach [s]

    def accept(self, samples: np.ndarray) -> list[Event]:
        """What these samples bring about.

        Args:
            samples: shape (samples,), full scale ±1, at the model's rate; any number of them.

        Raises:
            AsrError: the model gives no numbers for them: they are of absurd size.
            ValueError: samples of another shape or type, or the stream was finished.
        """
        if self._limit < math.inf:
            raise ValueError("this stream was finished: begin another")
        found = self.model.accept(samples)
        self._samples += len(samples)
        return [event for log_probs in found for event in self._add(log_probs)]

    def finish(self) -> list[Event]:
        """What is still to be told when nothing more comes; ends the last segment."""
        self._limit = self._samples / self.rate
        events = [event for log_probs in self.model.finish() for event in self._add(log_probs)]
        return [*events, *self._end(len(self._rows))]

    def _add(self, log_probs: np.ndarray) -> list[Event]:
        """Takes a chunk's log-probs, shape (C, V)."""
        if reason := unfit(log_probs):
            raise AsrError(f"at {self._time(len(self._rows)):.1f} s of the stream: {reason}")
        self._rows = np.concatenate([self._rows, log_probs])
        events = []
        while cut := first_cut(self._rows.argmax(axis=1) == BLANK, self._pause, self._longest):
            events += self._end(cut)
        return [*events, *self._partial()]

    def _time(self, frame: int) -> float:
        """Where a row begins [s]."""
        return (self._begin + frame) * self.frame_seconds

    def _end(self, frames: int) -> list[Event]:
        """Ends a segment with so many rows; tells of it if there are words, or were."""
        segment, told = self._segment(self._rows[:frames]), self._told
        self._rows, self._begin, self._told = self._rows[frames:], self._begin + frames, []
        return [Event(segment, True)] if segment.words or told else []

    def _partial(self) -> list[Event]:
        """Tells of a segment that goes on, if its text has changed."""
        segment = self._segment(self._rows)
        spelled = [word.word for word in segment.words]
        if spelled == self._told:
            return []
        self._told = spelled
        return [Event(segment, False)]

    def _segment(self, rows: np.ndarray) -> Segment:
        """What is said in the first rows, in the stream's time."""

        def moved(seconds: float) -> float:
            return round(min(self._time(0) + seconds, self._limit), 3)

        heard = self.decode([rows])[0].words if (rows.argmax(axis=1) != BLANK).any() else []
        words = tuple(replace(word, start=moved(word.start), end=moved(word.end)) for word in heard)
        return Segment(words[0].start, words[-1].end, words) if words else Segment(moved(0), moved(0), ())


def first_cut(blank: np.ndarray, pause: int, longest: int) -> int:
    """Behind how many rows the first segment ends; 0: it goes on.

    Silence before the first token is a segment of its own, in which nothing is said; the last half of a pause of it is
    left to the next one.

    Args:
        blank: whether the best token of each row is the blank, bool, shape (S,).
        pause: so many blank rows end a segment, which keeps the first half of a pause of them.
        longest: rows of a segment, at most.
    """
    kept = max(pause // 2, 1)
    runs = np.flatnonzero(np.diff(blank, prepend=False, append=False)).reshape(-1, 2).tolist()  # of blanks
    for start, end in runs:
        if start and end - start >= pause and start + kept <= longest:
            return int(start + kept)
        if not start and end > pause:
            return int(end - (pause - kept))
    if len(blank) < longest:
        return 0
    inside = [(max(start, longest // 2), min(end, longest)) for start, end in runs]
    start, end = max(inside, key=lambda run: run[1] - run[0], default=(longest, longest))
    return max((start + end) // 2, 1) if start < end else longest
