"""Reading audio: any format, rate and channel count that libsndfile knows, as mono float32 at the rate asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr

from asr.errors import AsrError

if TYPE_CHECKING:
    from asr.manifest import Utterance

# A manifest's duration and the file's may differ by rounding and by a codec's padding, not by more.
DURATION_TOLERANCE = 0.1

# libsndfile shortens a file whose header promises more than is there, and says so only in its log.
_PROMISE = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_RF64_PROMISE = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
_NIST_PROMISE = re.compile(rb"^sample_count -i (\d+)", re.MULTILINE)
_STREAMED = 0x7FFFF000  # programs that write to a pipe promise this much or more, for want of the length
_UNKNOWN = 1 << 60  # libsndfile's frame count where the header gives none
_BLOCK = 1 << 20


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says.

    Attributes:
        rate: samples a second of each channel.
        channels: number of channels.
        frames: samples of each channel.
    """

    rate: int
    channels: int
    frames: int

    @property
    def duration(self) -> float:
        """Length [s]."""
        return self.frames / self.rate


def open_audio(path: Path) -> soundfile.SoundFile:
    """Opens a file that is whole, as far as its header tells; the caller closes it.

    Raises:
        AsrError: missing, not audio, or truncated.
    """
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, OSError, TypeError, UnicodeEncodeError) as error:
        raise AsrError(f"{path}: {_why_not_opened(path)}") from error
    try:
        _check_complete(file, path)
    except AsrError:
        file.close()
        raise
    return file


def _why_not_opened(path: Path) -> str:
    try:
        if path.is_dir():
            return "is a folder, not an audio file"
        empty = path.stat().st_size == 0
        path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        return "there is no such file"
    except OSError as refused:
        return f"could not be read ({refused.strerror})"
    return "the file is empty (0 bytes)" if empty else "not audio that libsndfile reads; convert it to WAV or FLAC"


def _promised_frames(file: soundfile.SoundFile, path: Path) -> float:
    """The frames that the header promises, where that is more than libsndfile found; otherwise those found."""
    log = file.extra_info
    if promise := _PROMISE.search(log):
        promised, there = int(promise[1]), int(promise[2])
        return file.frames * promised / there if there < promised < _STREAMED else file.frames
    if promise := _RF64_PROMISE.search(log):
        return int(promise[2])
    if file.format == "NIST":
        with path.open("rb") as raw:
            count = _NIST_PROMISE.search(raw.read(1024))
        return int(count[1]) if count else file.frames
    return file.frames


def _check_complete(file: soundfile.SoundFile, path: Path) -> None:
    if file.frames <= 0:
        raise AsrError(f"{path}: holds no audio samples")
    if file.frames >= _UNKNOWN:
        raise AsrError(
            f"{path}: its header does not say how long it is (written to a pipe?); convert it to WAV or FLAC"
        )
    lost = (_promised_frames(file, path) - file.frames) / file.samplerate
    log = file.extra_info
    page_cut = "Last page lacks an end-of-stream bit" in log and "Junk after the last page" in log
    if lost > DURATION_TOLERANCE or page_cut or "\nSeems to be a truncated file" in log:
        length = file.frames / file.samplerate
        promised = f" of {length + lost:.2f} s" if lost > DURATION_TOLERANCE else ""
        raise AsrError(f"{path}: truncated, {length:.2f} s{promised} are there; copy or record it again")


def probe(path: Path) -> AudioInfo:
    """Reads the header only.

    Raises:
        AsrError: no such file, empty, not audio, or shorter than its header promises (WAV, AIFF, AU, SPHERE, Ogg; a
            truncated FLAC or MP3 shows only when it is read).
    """
    with open_audio(path) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames)


def read_audio(path: Path, rate: int, offset: float = 0.0, duration: float | None = None) -> np.ndarray:
    """Reads a file, or ``duration`` seconds of it from ``offset`` on, without decoding the rest.

    Channels are averaged; another rate is resampled with soxr's "HQ" filter (band-limited, linear phase). A segment is
    that slice of the whole file, but for Ogg: an Opus decoder needs some 0.1 s to settle (differences of 1e-3), and
    in a Vorbis file's last page libsndfile can land one block (at most 64 ms) off. Of an MP3 with a variable bit rate
    but no Xing header, which encoders do write, libsndfile takes the first frame's bit rate for all and may end early.

    Returns:
        float32, shape (samples,), at ``rate`` Hz, full scale ±1.

    Raises:
        AsrError: unreadable, cut short, ``offset`` behind the end, or samples that are not finite.
    """
    with open_audio(path) as file:
        return _read(file, path, rate, offset, duration)


def span(file: soundfile.SoundFile, path: Path, offset: float, duration: float | None) -> tuple[int, int]:
    """First frame and number of frames of a segment (``offset`` and ``duration`` in s), cut off at the file's end.

    Raises:
        AsrError: the segment begins behind the file's end.
    """
    begin = round(offset * file.samplerate)
    want = file.frames - begin if duration is None else round(duration * file.samplerate)
    want = min(want, file.frames - begin)
    if begin < 0 or want <= 0:
        length = "" if duration is None else f"{duration:.2f} s "
        end = file.frames / file.samplerate
        raise AsrError(f"{path}: a segment {length}from {offset:.2f} s on was asked for, the file ends at {end:.2f} s")
    return begin, want


def blocks(file: soundfile.SoundFile, path: Path, begin: int, want: int, block: int) -> Iterator[np.ndarray]:
    """Yields the segment as finite float32 of shape (at most ``block`` frames, channels).

    Raises:
        AsrError: samples are not finite, or there are fewer than the header says.
    """
    left = want
    try:
        if file.seekable():
            file.seek(begin)
        else:  # GSM 6.10: there is no other way to the segment
            file.read(begin, dtype="float32")
        while left:
            samples = file.read(min(block, left), dtype="float32", always_2d=True)
            if not len(samples):
                break
            left -= len(samples)
            if not np.isfinite(samples).all():
                raise AsrError(f"{path}: {np.count_nonzero(~np.isfinite(samples))} samples are NaN or infinite")
            yield samples
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise AsrError(f"{path}: damaged or truncated, decoding failed ({error})") from error
    if left and not (file.format == "MP3" and left < min(want, 2400)):  # an MP3's length is an estimate
        there, rate = want - left, file.samplerate
        raise AsrError(f"{path}: truncated, {there / rate:.2f} s of {want / rate:.2f} s could be read")


def _read(file: soundfile.SoundFile, path: Path, rate: int, offset: float, duration: float | None) -> np.ndarray:
    begin, want = span(file, path, offset, duration)
    mono = file.channels == 1
    parts = [samples[:, 0] if mono else samples.mean(axis=1) for samples in blocks(file, path, begin, want, _BLOCK)]
    return resample(parts[0] if len(parts) == 1 else np.concatenate(parts), file.samplerate, rate)


def stream_audio(path: Path, rate: int) -> Iterator[np.ndarray]:
    """Reads a whole file in blocks of about a minute, so that its length needs no memory.

    Yields:
        float32, shape (samples,) each, at ``rate`` Hz; end to end they are what `read_audio` gives.

    Raises:
        AsrError: as `read_audio`, but only when the fault is reached.
    """
    with open_audio(path) as file:
        stream = soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32", quality="HQ")
        for samples in blocks(file, path, *span(file, path, 0.0, None), _BLOCK):
            mono = samples.mean(axis=1)
            yield mono if file.samplerate == rate else stream.resample_chunk(mono)
        if file.samplerate != rate:
            yield stream.resample_chunk(np.empty(0, np.float32), last=True)


def examine(path: Path, offset: float = 0.0, duration: float | None = None) -> float:
    """Decodes a file or a segment of it from end to end, in pieces that fit the memory.

    Returns:
        Its true length [s].

    Raises:
        AsrError: whatever `read_audio` refuses, and audio that is nothing but zeros.
    """
    with open_audio(path) as file:
        frames, sound = 0, False
        for samples in blocks(file, path, *span(file, path, offset, duration), _BLOCK):
            frames += len(samples)
            sound = sound or bool(samples.any())
        if not sound:
            raise AsrError(f"{path}: holds nothing but zeros")
        return frames / file.samplerate


def resample(samples: np.ndarray, rate: float, to: float) -> np.ndarray:
    """Band-limited resampling (soxr). Float32, shape (samples,) → shape (samples · to / rate,)."""
    if rate == to:
        return np.ascontiguousarray(samples, dtype=np.float32)
    return soxr.resample(np.ascontiguousarray(samples, dtype=np.float32), rate, to, quality="HQ")


def check_duration(utterance: Utterance, info: AudioInfo) -> None:
    """Holds a manifest's offset and duration against the file's own length.

    Raises:
        AsrError: they disagree by more than 0.1 s; the sentence names the utterance, the file and both lengths.
    """
    end = (utterance.offset or 0.0) + utterance.duration
    beyond = end - info.duration
    if beyond > DURATION_TOLERANCE or (utterance.offset is None and beyond < -DURATION_TOLERANCE):
        what = "to be" if utterance.offset is None else f"(from {utterance.offset:.2f} s on) to end at"
        seen = f"{utterance.audio} has {info.duration:.2f} s"
        raise AsrError(f"{utterance.id}: the manifest says the audio is {what} {end:.2f} s, {seen}")


def read_utterance(utterance: Utterance, rate: int) -> np.ndarray:
    """An utterance's samples. Float32, shape (samples,), at ``rate`` Hz.

    Raises:
        AsrError: unreadable, shorter or longer than the manifest says, not finite, or nothing but zeros.
    """
    path = utterance.audio
    with open_audio(path) as file:
        check_duration(utterance, AudioInfo(file.samplerate, file.channels, file.frames))
        whole = utterance.offset is None
        samples = _read(file, path, rate, utterance.offset or 0.0, None if whole else utterance.duration)
    if not samples.any():
        raise AsrError(f"{utterance.id}: {utterance.audio} holds nothing but zeros there")
    return samples
