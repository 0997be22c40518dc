"""Reading audio: any format, rate and channel count that libsndfile knows, as mono float32 at the rate asked for."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr

from asr.errors import AsrError
from asr.mp3 import is_of_unknown_length

if TYPE_CHECKING:
    from asr.manifest import Utterance

# What recordings that libsndfile reads are named.
# fmt: off
SUFFIXES = frozenset([
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".au", ".snd", ".sph", ".nist", ".caf",
    ".w64", ".rf64", ".voc", ".wv1", ".wv2", ".mp1", ".mp2",
])
# fmt: on

# A manifest's duration and the file's may differ by rounding and by a codec's padding, not by more.
DURATION_TOLERANCE = 0.1

# libsndfile shortens a file whose header promises more than is there, and says so only in its log.
_PROMISE = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_RF64_PROMISE = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
_NIST_PROMISE = re.compile(rb"^sample_count -i (\d+)", re.MULTILINE)
STREAMED = 0x7FFFF000  # [bytes] programs that write to a pipe promise this much or more, for want of the length
_UNKNOWN = 1 << 60  # libsndfile's frame count where the header gives none
# Where libsndfile lost its way behind the samples that the header declares.
_LOST = re.compile(r"(?:Unknown chunk marker|Have 0 marker).* at position (\d+)")
_TAGS = (b"ID3", b"TAG", b"APETAGEX")  # some programs append these to anything
RATES = range(1000, 1_000_001)  # [Hz] what is not absurd
_BLOCK = 1 << 20  # samples of all channels: a minute of mono at 16 kHz


class NotRead(AsrError):
    """Nothing for libsndfile; another reader may know the format."""


class Unfinished(NotRead):
    """A WAV file whose writer never came back to say how long it became; the sound is there."""


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
        NotRead: not audio that libsndfile reads, or not without a length in its header.
        AsrError: missing, not a regular file, truncated, or with a header that cannot be.
    """
    _check_regular(path)
    try:
        # As bytes, or soundfile would refuse a name that is not UTF-8.
        file = soundfile.SoundFile(os.fsencode(path) if os.name == "posix" else path)
    except (soundfile.LibsndfileError, OSError, TypeError, ValueError) as error:
        try:
            path.open("rb").close()
        except OSError as refused:
            raise AsrError(f"{path}: could not be read ({refused.strerror})") from refused
        raise NotRead(f"{path}: not audio that libsndfile reads; convert it to WAV or FLAC") from error
    try:
        _check_complete(file, path)
    except AsrError:
        file.close()
        raise
    except OSError as refused:
        file.close()
        raise AsrError(f"{path}: could not be read ({refused.strerror})") from refused
    return file


def _check_regular(path: Path) -> None:
    """Refuses what would be waited for, or read, for ever."""
    try:
        there = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise AsrError(f"{path}: there is no such file") from error
    except OSError as refused:
        raise AsrError(f"{path}: could not be read ({refused.strerror})") from refused
    if stat.S_ISDIR(there.st_mode):
        raise AsrError(f"{path}: is a folder, not an audio file")
    if not stat.S_ISREG(there.st_mode):
        raise AsrError(f"{path}: is a pipe or a device, not a file; sound can come by standard input (-) instead")
    if there.st_size == 0:
        raise AsrError(f"{path}: the file is empty (0 bytes)")


def _promised_frames(file: soundfile.SoundFile, path: Path) -> float:
    """The frames that the header promises, where that is more than libsndfile found; otherwise those found."""
    log = file.extra_info
    if promise := _PROMISE.search(log):
        promised, there = int(promise[1]), int(promise[2])
        if not there:  # libsndfile still makes a block of GSM of it
            raise AsrError(f"{path}: holds no audio samples")
        return file.frames * promised / there if there < promised < STREAMED else file.frames
    if promise := _RF64_PROMISE.search(log):
        return int(promise[2])
    if file.format == "NIST":
        with path.open("rb") as raw:
            count = _NIST_PROMISE.search(raw.read(1024))
        return int(count[1]) if count else file.frames
    return file.frames


def _check_complete(file: soundfile.SoundFile, path: Path) -> None:
    if file.samplerate not in RATES:
        raise AsrError(f"{path}: its header says {file.samplerate} samples a second; it is damaged or no recording")
    _check_declared(file, path)
    if file.frames <= 0:
        raise AsrError(f"{path}: holds no audio samples")
    if file.frames >= _UNKNOWN or (file.format == "MP3" and is_of_unknown_length(path)):
        raise NotRead(f"{path}: its header does not say how long it is (written to a pipe?); convert it to WAV or FLAC")
    lost = (_promised_frames(file, path) - file.frames) / file.samplerate
    log = file.extra_info
    page_cut = "Last page lacks an end-of-stream bit" in log and "Junk after the last page" in log
    if lost > DURATION_TOLERANCE or page_cut or "\nSeems to be a truncated file" in log:
        length = file.frames / file.samplerate
        promised = f" of {length + lost:.2f} s" if lost > DURATION_TOLERANCE else ""
        raise AsrError(f"{path}: truncated, {length:.2f} s{promised} are there; copy or record it again")


def _check_declared(file: soundfile.SoundFile, path: Path) -> None:
    """Refuses a WAV or AIFF file that goes on with what is no chunk behind the samples that its header declares.

    So do recordings that were broken off, and those of more than 4 GB, whose length no longer fits the header.
    """
    lost = _LOST.search(file.extra_info)
    if not lost or file.format not in ("WAV", "WAVEX", "AIFF"):
        return
    with path.open("rb") as raw:
        size = raw.seek(0, os.SEEK_END)
        at = min(int(lost[1]), size)
        raw.seek(at)
        head = raw.read(1 << 16)
        begun = not head.startswith(_TAGS) and any(head)
    width = {"PCM_S8": 1, "PCM_U8": 1, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}.get(file.subtype, 2)
    more = (size - at) / (width * file.channels * file.samplerate)
    if not begun or more <= DURATION_TOLERANCE:
        return
    length = file.frames / file.samplerate
    said = f"{path}: its header says {length:.2f} s, but about {more:.2f} s more follow"
    kind = Unfinished if file.frames == 0 and file.format != "AIFF" else AsrError
    raise kind(f"{said}; was the recording broken off? A sound editor that imports raw data can rescue it")


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
    in a Vorbis file's last page libsndfile can land one block (at most 64 ms) off.

    Returns:
        float32, shape (samples,), at ``rate`` Hz, full scale ±1.

    Raises:
        AsrError: unreadable, cut short, ``offset`` behind the end, or samples that are not finite.
    """
    with open_audio(path) as file:
        return _read(file, path, rate, offset, duration)


def _block(file: soundfile.SoundFile) -> int:
    """Frames to read at once: the thousand channels that a header may claim would need gigabytes."""
    return max(1, _BLOCK // file.channels)


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
            if file.seek(begin) != begin:  # in a damaged MP3
                raise RuntimeError("another place was found than was sought")
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


def mono(samples: np.ndarray) -> np.ndarray:
    """The mean of the channels, shape (frames, channels) → (frames,)."""
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)


def _read(file: soundfile.SoundFile, path: Path, rate: int, offset: float, duration: float | None) -> np.ndarray:
    begin, want = span(file, path, offset, duration)
    parts = [mono(samples) for samples in blocks(file, path, begin, want, _block(file))]
    return resample(parts[0] if len(parts) == 1 else np.concatenate(parts), file.samplerate, rate)


def stream_audio(path: Path, rate: int) -> Iterator[np.ndarray]:
    """Reads a whole recording in blocks of about a minute, so that its length needs no memory.

    What libsndfile does not read goes through FFmpeg where that is installed; ``-`` is standard input.

    Yields:
        float32, shape (samples,) each, none empty, at ``rate`` Hz; end to end they are what `read_audio` gives.

    Raises:
        AsrError: as `read_audio`, but only when the fault is reached.
    """
    if path == Path("-"):
        from asr.pipe import standard_input, stream_pipe

        yield from stream_pipe(standard_input(), rate)
        return
    try:
        file = open_audio(path)
    except NotRead as error:
        yield from _read_otherwise(path, rate, error)
        return
    with file:
        read = blocks(file, path, *span(file, path, 0.0, None), _block(file))
        yield from resampled(map(mono, read), file.samplerate, rate)


def _read_otherwise(path: Path, rate: int, error: NotRead) -> Iterator[np.ndarray]:
    from asr import ffmpeg

    if isinstance(error, Unfinished):
        from asr.pipe import stream_unfinished

        yield from stream_unfinished(path, rate, error)
    elif ffmpeg.installed():
        yield from ffmpeg.decode(path, rate)
    elif path.suffix.lower() in ffmpeg.SUFFIXES:
        raise AsrError(f"{path}: libsndfile does not read this format; install FFmpeg and it will be read") from error
    else:
        raise AsrError(f"{error}, or install FFmpeg, which reads more formats") from error


def resampled(stretches: Iterable[np.ndarray], rate: int, to: int) -> Iterator[np.ndarray]:
    """`resample` for a stream: blocks of shape (samples,) at ``rate`` Hz; those that come out are not empty."""
    stream = soxr.ResampleStream(rate, to, 1, dtype="float32", quality="HQ")
    for samples in stretches:
        out = np.ascontiguousarray(samples) if rate == to else stream.resample_chunk(samples)
        if len(out):
            yield out
    if rate != to and len(out := stream.resample_chunk(np.empty(0, np.float32), last=True)):
        yield out


def examine(path: Path, offset: float = 0.0, duration: float | None = None) -> float:
    """Decodes a file or a segment of it from end to end, in pieces that fit the memory.

    Returns:
        Its true length [s].

    Raises:
        AsrError: whatever `read_audio` refuses, and audio that is nothing but zeros.
    """
    with open_audio(path) as file:
        frames, sound = 0, False
        for samples in blocks(file, path, *span(file, path, offset, duration), _block(file)):
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
