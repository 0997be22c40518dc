"""Reading sound from a pipe: as it comes where it is uncompressed, and otherwise once it has ended."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from asr.audio import DURATION_TOLERANCE, RATES, STREAMED, mono, resampled, stream_audio
from asr.errors import AsrError, UsageError

_NAME = "standard input"
_PIECE = 1 << 16  # [bytes] at most at once
_LONGEST_HEADER = 1 << 20  # [bytes] of what may stand before the samples
_WIDTHS = {"PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8, "ULAW": 1, "ALAW": 1}
_CODINGS = {  # a WAV header's format tag and bits a sample
    (1, 8): "PCM_U8",
    (1, 16): "PCM_16",
    (1, 24): "PCM_24",
    (1, 32): "PCM_32",
    (3, 32): "FLOAT",
    (3, 64): "DOUBLE",
    (6, 8): "ALAW",
    (7, 8): "ULAW",
}
_EXTENSIBLE = 0xFFFE
_EXTENDED = bytes.fromhex("000000001000800000aa00389b71")  # behind the format tag in an extensible header

Read = Callable[[int], bytes]


@dataclass(frozen=True)
class Pcm:
    """How the samples behind a header are to be read; the first byte of each is its lowest.

    Attributes:
        rate: of each channel [Hz].
        channels: whose samples follow each other.
        coding: a key of `_WIDTHS`.
    """

    rate: int
    channels: int
    coding: str

    @property
    def frame(self) -> int:
        """Size of one sample of every channel [bytes]."""
        return _WIDTHS[self.coding] * self.channels


def standard_input() -> BinaryIO:
    """What is piped into the program.

    Raises:
        UsageError: nothing is, it is a terminal or closed.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("-: standard input is no recording but a terminal; pipe or redirect one into the program")
    return sys.stdin.buffer


def stream_pipe(file: BinaryIO, rate: int) -> Iterator[np.ndarray]:
    """Reads sound to the end of a pipe.

    Uncompressed samples of WAV come out as soon as they are there (of a resampled stream the last
    few milliseconds follow with the next), also where the header does not know how many will come. Every other format
    is first written to a temporary file.

    Args:
        file: open for reading; need not be able to seek.
        rate: to resample to [Hz].

    Yields:
        float32, shape (samples,) each, none empty; end to end they are what `asr.audio.read_audio` gives for the same
        bytes in a file.

    Raises:
        AsrError: not audio, less than the header promises, no sound at all, or samples that are not finite.
    """
    read: Read = getattr(file, "read1", file.read)  # what is there, instead of as much as was asked for
    try:
        head = _Head(read)
        found = head.wav()
        if found is None:
            yield from _spooled(head, read, rate)
            return
        form, promised = found
        yield from resampled(_samples(read, form, promised, _NAME), form.rate, rate)
        while read(_PIECE):  # the tags behind the samples, or whoever sends them would find the pipe broken
            pass
    except OSError as error:
        raise AsrError(f"{_NAME}: could not be read ({error.strerror or error})") from error


def stream_unfinished(path: Path, rate: int, error: AsrError) -> Iterator[np.ndarray]:
    """Reads a WAV file whose header says that nothing follows, to its end, as if it came through a pipe.

    Raises:
        AsrError: ``error``, if its samples cannot be read one by one; or as `stream_pipe`.
    """
    with path.open("rb") as file:
        found = _Head(file.read).wav()
        if found is None:
            raise error
        form, promised = found
        yield from resampled(_samples(file.read, form, promised, str(path)), form.rate, rate)


class _Head:
    """The beginning of a stream, kept as far as it was looked at."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.seen = bytearray()

    def _upto(self, end: int) -> bool:
        while len(self.seen) < end:
            piece = self._read(end - len(self.seen))
            if not piece:
                return False
            self.seen += piece
        return True

    def wav(self) -> tuple[Pcm, int | None] | None:
        """Reads as far as a WAV file's first sample.

        Returns:
            How to read the samples, and how many bytes of them are promised (None: as many as come); None: this is
            nothing that can be read without seeking.
        """
        if not self._upto(12) or self.seen[:4] != b"RIFF" or self.seen[8:12] != b"WAVE":
            return None
        form, at = None, 12
        while at < _LONGEST_HEADER and self._upto(at + 8):
            kind, size = bytes(self.seen[at : at + 4]), int.from_bytes(self.seen[at + 4 : at + 8], "little")
            at += 8
            if kind == b"data":
                return (form, size if 0 < size < STREAMED else None) if form else None
            if kind == b"fmt " and size < _LONGEST_HEADER and self._upto(at + size):
                form = _wav_form(bytes(self.seen[at : at + size]))
            at += size + size % 2
        return None


def _wav_form(chunk: bytes) -> Pcm | None:
    """What a WAV file's format chunk says, if those are samples that can be read one by one."""
    if len(chunk) < 16:
        return None
    tag, channels = int.from_bytes(chunk[:2], "little"), int.from_bytes(chunk[2:4], "little")
    rate, align = int.from_bytes(chunk[4:8], "little"), int.from_bytes(chunk[12:14], "little")
    bits = int.from_bytes(chunk[14:16], "little")
    if tag == _EXTENSIBLE and chunk[26:40] == _EXTENDED and int.from_bytes(chunk[18:20], "little") == bits:
        tag = int.from_bytes(chunk[24:26], "little")
    coding = _CODINGS.get((tag, bits))
    if coding is None or rate not in RATES or align != channels * _WIDTHS[coding] or not 1 <= channels <= 1024:
        return None
    return Pcm(rate, channels, coding)


def _samples(read: Read, form: Pcm, promised: int | None, name: str) -> Iterator[np.ndarray]:
    """The mean of the channels, float32 of shape (frames,), as it comes; up to ``promised`` bytes."""
    rest, taken = b"", 0
    while piece := read(_PIECE if promised is None else min(_PIECE, promised - taken)):
        taken += len(piece)
        rest += piece
        whole = len(rest) // form.frame * form.frame
        if whole:
            yield mono(_decoded(rest[:whole], form, name))
            rest = rest[whole:]
    if taken < form.frame:
        raise AsrError(f"{name}: holds no audio samples")
    second = form.frame * form.rate
    if promised is not None and promised - taken > DURATION_TOLERANCE * second:
        raise AsrError(f"{name}: truncated, {taken / second:.2f} s of {promised / second:.2f} s came")


def _decoded(data: bytes, form: Pcm, name: str) -> np.ndarray:
    """Whole frames → finite float32 of shape (frames, channels), as libsndfile has them."""
    samples, _ = soundfile.read(
        io.BytesIO(data),
        dtype="float32",
        always_2d=True,
        samplerate=form.rate,
        channels=form.channels,
        format="RAW",
        subtype=form.coding,
        endian="LITTLE",
    )
    if not np.isfinite(samples).all():
        raise AsrError(f"{name}: {np.count_nonzero(~np.isfinite(samples))} samples are NaN or infinite")
    return samples


def _spooled(head: _Head, read: Read, rate: int) -> Iterator[np.ndarray]:
    """What must be sought in, from a temporary file."""
    with tempfile.NamedTemporaryFile(prefix="asr-") as spool:
        piece: bytes = bytes(head.seen)
        try:
            while piece:
                spool.write(piece)
                piece = read(_PIECE)
            spool.flush()
        except OSError as error:
            raise AsrError(f"{_NAME}: could not be kept in {spool.name} ({error.strerror or error})") from error
        path = Path(spool.name)
        try:
            yield from stream_audio(path, rate)
        except AsrError as error:
            raise AsrError(f"{_NAME}{str(error).removeprefix(str(path))}") from error
