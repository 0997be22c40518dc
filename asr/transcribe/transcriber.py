"""Recordings to text: many at once, in batches over the speech of all of them, long ones without being held whole."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from asr.audio import resample, stream_audio
from asr.decode.hypothesis import Decoder, Hypothesis, unfit
from asr.decode.system import System, greedy_system
from asr.errors import AsrError
from asr.loading import by_length, prefetch
from asr.transcribe.backend import Backend
from asr.transcribe.inputs import check_local
from asr.transcribe.level import Leveller
from asr.transcribe.segment import Window, speech_windows
from asr.transcribe.stitch import join, widest_gap
from asr.transcribe.transcript import Segment, Transcript

if TYPE_CHECKING:
    from asr.transcribe.stream import Stream

BATCH_SECONDS = 60.0  # [s] of padded audio at once; more takes more memory and is no faster
LONGEST_SEGMENT = 15.0  # [s] that are decoded at once; a beam search loses more words in longer ones
_LOAD_SECONDS = 240.0  # [s] of speech that is gathered over recordings before the network runs
_LOAD_EVENTS = 1000  # windows and ends of recordings, however short, that are gathered at most
_SAMPLES = "the samples"  # what errors call a recording that is no file

Item = TypeVar("Item")


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        audio: the file.
        transcript: what is said in it; None if it failed.
        error: why it failed; None if it did not.
    """

    audio: Path
    transcript: Transcript | None = None
    error: str | None = None


@dataclass(frozen=True)
class _Source:
    """A recording: its name in errors, its file if it is one, and how to read it in blocks of samples."""

    name: str
    audio: Path | None
    blocks: Callable[[], Iterable[np.ndarray]]


@dataclass(frozen=True)
class _End:
    """A recording has been read: its samples, or why not."""

    source: _Source
    samples: int
    error: str | None


_Event = Window | _End


@dataclass
class _Recording:
    """A recording on its way through the decoder.

    Attributes:
        segments: recognised so far.
        begin: encoder frame of the recording at which ``rows`` begin.
        rows: log-probs of the present stretch that are not decoded yet, shape (S, V).
        error: what went wrong.
    """

    segments: list[Segment] = field(default_factory=list)
    begin: int = 0
    rows: np.ndarray | None = None
    error: str | None = None


@dataclass(frozen=True)
class _Piece:
    """Log-probs to decode, shape (S, V), and what part of their recording they are, ``begin`` to ``end`` [s]."""

    recording: _Recording
    rows: np.ndarray
    begin: float
    end: float


class Transcriber:
    """Transcribes with a model, whatever computes for it.

    Reading, the network and the search run beside each other, each in a thread of its own. Memory grows neither with
    the length of a recording nor with their number, but for the words.
    """

    def __init__(self, backend: Backend, system: System | None = None) -> None:
        """Takes a loaded model, and what makes hypotheses of its log-probs; None: the best token of each frame."""
        self.backend = backend
        self.system = system or greedy_system(backend)

    def transcribe(self, recording: Path | str | np.ndarray, rate: int | None = None) -> Transcript:
        """Transcribes one recording.

        Args:
            recording: an audio file; or samples, floating-point, full scale ±1, shape (samples,).
            rate: of samples [Hz]; default: the model's.

        Returns:
            Its transcript, which holds nothing if nobody speaks.

        Raises:
            AsrError: it cannot be read, is too short for speech, or holds nothing but zeros.
            UsageError: an address instead of a file.
            ValueError: samples of another shape or type, a rate below 1000 Hz, or one for a file, which has its own.
        """
        if isinstance(recording, np.ndarray):
            samples = self._samples(recording, rate)
            source = _Source(_SAMPLES, None, lambda: [samples])
        elif rate is not None:
            raise ValueError(f"{recording}: a file has its own rate; none can be given")
        else:
            check_local(str(recording))
            source = self._file(Path(recording))
        ((_, outcome),) = self._run([source])
        if isinstance(outcome, str):
            raise AsrError(outcome)
        return outcome

    def transcribe_files(
        self, paths: Iterable[Path | str], report: Callable[[float], None] | None = None
    ) -> Iterator[Outcome]:
        """Transcribes files, in their order; one that cannot be read to its end comes out with its error.

        Args:
            paths: the files.
            report: is told now and then how much audio has gone through the network, of all files together [s].
        """
        for source, outcome in self._run((self._file(Path(path)) for path in paths), report):
            assert source.audio is not None
            if isinstance(outcome, str):
                yield Outcome(source.audio, error=outcome)
            else:
                yield Outcome(source.audio, outcome)

    def stream(self, latency: float = 1.0) -> Stream:
        """Recognises speech while it is spoken.

        Args:
            latency: how long a sound waits for its text, at most [s].

        Raises:
            UsageError: the model hears whole recordings only, or the latency is too short for it.
        """
        from asr.transcribe.stream import Stream

        return Stream(self.backend, latency, self.system.decode)

    def _file(self, path: Path) -> _Source:
        return _Source(str(path), path, lambda: stream_audio(path, self.backend.rate))

    def _samples(self, samples: np.ndarray, rate: int | None) -> np.ndarray:
        """Checked, and at the model's rate."""
        if samples.ndim != 1 or samples.dtype.kind != "f":
            seen = f"shape {samples.shape}, {samples.dtype}"
            raise ValueError(f"samples must be a floating-point array of shape (samples,), this is {seen}")
        if not np.isfinite(samples).all():
            raise AsrError(f"{_SAMPLES}: {np.count_nonzero(~np.isfinite(samples))} of them are NaN or infinite")
        if rate is not None and rate < 1000:
            raise ValueError(f"a rate must be at least 1000 Hz, this is {rate}")
        return resample(samples, rate or self.backend.rate, self.backend.rate)

    def _run(
        self, sources: Iterable[_Source], report: Callable[[float], None] | None = None
    ) -> Iterator[tuple[_Source, Transcript | str]]:
        """Each recording with its transcript, or with the reason why there is none."""
        ended = 0.0  # [s] of the recordings before this one
        waiting: deque[Future[list[tuple[_Source, Transcript | str]]]] = deque()
        assembler = _Assembler(self.backend, self.system.decode)
        with ThreadPoolExecutor(1) as pool:
            for load in _in_background(_loads(self._events(sources), self.backend.rate)):
                rows = self._log_probs([event for event in load if isinstance(event, Window)])
                waiting.append(pool.submit(assembler.take, load, rows))
                ends = [event.samples for event in load if isinstance(event, _End)]
                ended += sum(ends) / self.backend.rate
                if report is not None:
                    last = load[-1]
                    begun = last.begin + len(last.samples) if isinstance(last, Window) else 0
                    report(ended + begun / self.backend.rate)
                if len(waiting) > 1:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    def _events(self, sources: Iterable[_Source]) -> Iterator[_Event]:
        """The windows of each recording that are long enough for the network, and its end behind them."""
        frame = self.backend.shift * self.backend.factor
        for source in sources:
            seen, levelled = _Seen(source.blocks), Leveller(self.backend.level, self.backend.rate)
            try:
                for window in speech_windows(seen, self.backend.rate, frame):
                    if self.backend.output_length(len(window.samples)):
                        yield replace(window, samples=levelled(window.samples))
            except AsrError as error:
                yield _End(source, seen.samples, str(error))
                continue
            reason = None
            if not seen.sound:
                reason = f"{source.name}: holds nothing but zeros; was it muted, or do its channels cancel each other?"
            elif not self.backend.output_length(seen.samples):
                seconds = seen.samples / self.backend.rate
                reason = f"{source.name}: {seconds:.3f} s are too short to hold speech"
            yield _End(source, seen.samples, reason)

    def _log_probs(self, windows: Sequence[Window]) -> list[np.ndarray]:
        """Runs windows of several recordings through the network together. Shape (S, V) each."""
        rows: list[np.ndarray] = [np.empty((0, 0))] * len(windows)
        seconds = [len(window.samples) / self.backend.rate for window in windows]
        for batch in by_length(seconds, BATCH_SECONDS):
            made = self.backend.log_probs([windows[index].samples for index in batch])
            for index, row in zip(batch, made, strict=True):
                rows[index] = row
        return rows


class _Seen:
    """Blocks of samples that are counted as they pass.

    Attributes:
        samples: so far.
        sound: whether any of them was not zero.
    """

    def __init__(self, blocks: Callable[[], Iterable[np.ndarray]]) -> None:
        self.blocks = blocks
        self.samples, self.sound = 0, False

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self.blocks():
            self.samples += len(block)
            self.sound = self.sound or bool(block.any())
            yield block


def _loads(events: Iterable[_Event], rate: int) -> Iterator[list[_Event]]:
    """Events in the lists that go through the network together."""
    load: list[_Event] = []
    seconds = 0.0
    for event in events:
        load.append(event)
        seconds += len(event.samples) / rate if isinstance(event, Window) else 0.0
        if seconds >= _LOAD_SECONDS or len(load) >= _LOAD_EVENTS:
            yield load
            load, seconds = [], 0.0
    if load:
        yield load


def _in_background(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made in a thread while the one before it is in use."""
    end = object()
    for item in prefetch(lambda _: next(items, end), itertools.repeat(None), ahead=2):
        if item is end:
            return
        yield item  # type: ignore[misc]


class _Assembler:
    """Joins what the network says of windows, decodes it, and makes transcripts; takes loads in their order."""

    def __init__(self, backend: Backend, decode: Decoder) -> None:
        self.backend, self.decode = backend, decode
        self.recording = _Recording()  # that whose end has not come yet

    def take(self, load: Sequence[_Event], rows: Sequence[np.ndarray]) -> list[tuple[_Source, Transcript | str]]:
        """The recordings that end in a load. ``rows`` has the log-probs of each of its windows, shape (S, V)."""
        pieces: list[_Piece] = []
        ended: list[tuple[_End, _Recording]] = []
        row = iter(rows)
        for event in load:
            if isinstance(event, Window):
                pieces += self._window(event, next(row))
            else:
                ended.append((event, self.recording))
                self.recording = _Recording()
        pieces = [piece for piece in pieces if piece.recording.error is None]
        hypotheses = self.decode([piece.rows for piece in pieces]) if pieces else []
        for piece, hypothesis in zip(pieces, hypotheses, strict=True):
            if hypothesis.words:
                piece.recording.segments.append(_segment(piece, hypothesis))
        return [(end.source, self._outcome(end, recording)) for end, recording in ended]

    def _window(self, window: Window, rows: np.ndarray) -> list[_Piece]:
        """What can be decoded now that this window is there."""
        recording, rate = self.recording, self.backend.rate
        if reason := unfit(rows):
            recording.error = recording.error or reason
        if recording.error is not None:
            return []
        frame = self.backend.shift * self.backend.factor
        if recording.rows is None:
            recording.begin, recording.rows = window.begin // frame, rows
        else:
            shared = recording.begin + len(recording.rows) - window.begin // frame
            recording.rows = join(recording.rows, rows, shared)
        # What a window to come may still change is left for then.
        final = len(recording.rows) if window.next is None else window.next // frame - recording.begin
        longest = round(LONGEST_SEGMENT / self.backend.frame_seconds)
        pieces = []
        while final > longest:
            cut = widest_gap(recording.rows[:longest], self.backend.tokenizer, longest // 3, longest)
            begin, end = (frame * place / rate for place in (recording.begin, recording.begin + cut))
            pieces.append(_Piece(recording, recording.rows[:cut], begin, end))
            recording.begin, recording.rows, final = recording.begin + cut, recording.rows[cut:], final - cut
        if window.next is None:
            begin, end = frame * recording.begin / rate, (window.begin + len(window.samples)) / rate
            pieces.append(_Piece(recording, recording.rows, begin, end))
            recording.rows = None
        return pieces

    def _outcome(self, end: _End, recording: _Recording) -> Transcript | str:
        """A recording's transcript, or what went wrong with it."""
        if end.error is not None:
            return end.error
        if recording.error is not None:
            return f"{end.source.name}: {recording.error}"
        return Transcript(end.source.audio, end.samples / self.backend.rate, tuple(recording.segments))


def _segment(piece: _Piece, hypothesis: Hypothesis) -> Segment:
    """A piece's hypothesis in its recording's time; the last frame may reach beyond it, its words must not [s]."""

    def moved(time: float) -> float:
        return round(min(piece.begin + time, piece.end), 3)

    words = [replace(word, start=moved(word.start), end=moved(word.end)) for word in hypothesis.words]
    return Segment(round(piece.begin, 3), round(piece.end, 3), tuple(words))
