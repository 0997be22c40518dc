"""Speech as it comes in: samples in blocks of any size, text while it is still being spoken, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from asr.decode.greedy import greedy_decoder
from asr.decode.hypothesis import Decoder, unfit
from asr.errors import AsrError, UsageError
from asr.model.acoustic import AcousticModel, Recogniser
from asr.model.cells import State
from asr.tokens import BLANK
from asr.transcribe.transcript import Segment


class StreamedModel:
    """A model that is given a recording bit by bit, and gives the log-probs of its chunks.

    They are those of `AcousticModel.log_probs` with the same chunks. The same numbers of frames are always computed
    together, so how the samples are divided into blocks makes no difference, not even in rounding.

    Args:
        model: in evaluation mode.
        latency: of a chunk and its context [s].

    Raises:
        UsageError: the model hears whole recordings only, or the latency is too short.
    """

    def __init__(self, model: AcousticModel, latency: float) -> None:
        self.model = model
        self.chunking = model.chunking(latency)
        self.device = next(model.parameters()).device
        self._samples: list[np.ndarray] = []  # those behind the features' last frame
        self._waiting = 0  # how many they are
        self._features = torch.empty(0, model.features.dimension, device=self.device)  # those behind the last chunk
        self._states: list[State] = []
        self._next = sum(self.chunking) * model.encoder.factor  # frames that the next chunk adds to the features

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
        self._samples.append(samples.astype(np.float32))  # a copy: whoever records may use its memory again
        self._waiting += len(samples)
        found = []
        while self._waiting >= self._needed():
            self._hear(self._needed(), self._next * self.model.features.shift_samples)
            self._next = self.chunking.chunk * self.model.encoder.factor  # the context is there already
            found.append(self._read(self.chunking.chunk))
        if found:
            self._samples = [self._samples[0].copy()]  # so that a long block is not kept for its end
        return found

    def finish(self) -> list[np.ndarray]:
        """The log-probs of the chunks that lacked some of their context, shape (C or less, V) each."""
        if self.model.features.frames(self._waiting):
            self._hear(self._waiting, self._waiting)
        found = []
        while len(self._features):
            found.append(self._read(min(self.chunking.chunk, self.model.encoder.output_length(len(self._features)))))
        return found

    def _needed(self) -> int:
        """Samples for the next chunk, and to go on behind its features' last frame."""
        features = self.model.features
        return (self._next - 1) * features.shift_samples + max(features.frame_samples, features.shift_samples)

    @torch.inference_mode()
    def _hear(self, samples: int, taken: int) -> None:
        """Adds the features of the first so many samples, of which some are done with then."""
        waiting = self._samples[0] if len(self._samples) == 1 else np.concatenate(self._samples)
        self._samples = [waiting[taken:]]
        self._waiting -= taken
        waveform = torch.from_numpy(waiting[:samples])[None].to(self.device)  # (1, L)
        features, _ = self.model.features(waveform, torch.tensor([samples], device=self.device))  # (1, T, F)
        self._features = torch.cat([self._features, features[0]])

    @torch.inference_mode()
    def _read(self, frames: int) -> np.ndarray:
        """The log-probs of a chunk of so many encoder frames, whose features are done with then. (``frames``, V)."""
        encoder = self.model.encoder
        view = self._features[: sum(self.chunking) * encoder.factor]
        encoded, self._states = encoder.read_chunk(view, frames, self._states)  # (frames, C)
        self._features = self._features[frames * encoder.factor :]
        log_probs: np.ndarray = self.model.ctc(encoded[None])[0].cpu().numpy()
        return log_probs


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

        stream = Stream(load_model(folder), latency=1.0)
        for block in microphone:
            for event in stream.accept(block):
                print(event.segment.text, end="\\n" if event.final else "\\r")
        for event in stream.finish():
            print(event.segment.text)

    Args:
        recogniser: a loaded model folder.
        latency: how long the first sound of a chunk waits for its text, at most [s]; see `asr.model.chunks.divide`.
        decode: log-probs → hypotheses, as `asr.decode.system.System.decode`; None: greedy.
        pause: a segment ends when no token is heard for so long [s].
        longest: a segment is cut, in its second half at the longest pause, when it is so long [s].

    Raises:
        UsageError: the model hears whole recordings only, or the latency, pause or longest segment is too short.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        latency: float,
        decode: Decoder | None = None,
        pause: float = 0.8,
        longest: float = 20.0,
    ) -> None:
        self.model = StreamedModel(recogniser.model, latency)
        self.rate = recogniser.model.config.features.rate
        self.frame_seconds = recogniser.model.frame_seconds
        self.decode = decode or greedy_decoder(BLANK, recogniser.tokenizer, self.frame_seconds)
        if not (math.isfinite(longest) and self.frame_seconds <= pause < longest):
            raise UsageError(
                f"a pause must last at least a frame, {self.frame_seconds:g} s, and less than the longest segment: "
                f"{pause:g} and {longest:g} s"
            )
        self._pause, self._longest = (round(seconds / self.frame_seconds) for seconds in (pause, longest))
        self._rows = np.empty((0, len(recogniser.tokenizer)), np.float32)  # log-probs behind the last segment
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
