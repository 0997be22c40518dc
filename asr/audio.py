"""Reading audio: any format, rate and channel count that libsndfile knows, as mono float32 at the rate asked for."""

from __future__ import annotations

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


def _open(path: Path) -> soundfile.SoundFile:
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, OSError, TypeError) as error:
        if not path.exists():
            raise AsrError(f"{path}: there is no such file") from error
        if path.is_dir():
            raise AsrError(f"{path}: is a folder, not an audio file") from error
        try:
            empty = path.stat().st_size == 0
            path.open("rb").close()
        except OSError as refused:
            raise AsrError(f"{path}: could not be read ({refused.strerror})") from refused
        reason = "the file is empty (0 bytes)" if empty else "not audio in a format that libsndfile reads"
        raise AsrError(f"{path}: {reason}") from error
    if file.frames <= 0:
        file.close()
        raise AsrError(f"{path}: holds no audio samples")
    return file


def probe(path: Path) -> AudioInfo:
    """Reads the header only.

    Raises:
        AsrError: no such file, empty, or not audio.
    """
    with _open(path) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames)


def read_audio(path: Path, rate: int, offset: float = 0.0, duration: float | None = None) -> np.ndarray:
    """Reads a file, or ``duration`` seconds of it from ``offset`` on, without decoding the rest.

    Channels are averaged; another rate is resampled with soxr's "HQ" filter (band-limited, linear phase).

    Returns:
        float32, shape (samples,), at ``rate`` Hz, full scale ±1.

    Raises:
        AsrError: unreadable, cut short, ``offset`` behind the end, or samples that are not finite.
    """
    with _open(path) as file:
        begin = round(offset * file.samplerate)
        want = file.frames - begin if duration is None else round(duration * file.samplerate)
        want = min(want, file.frames - begin)
        if begin < 0 or want <= 0:
            raise AsrError(
                f"{path}: a segment from {offset:.2f} s was asked for, the file ends at {file.frames / file.samplerate:.2f} s"
            )
        try:
            file.seek(begin)
            samples = file.read(want, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise AsrError(f"{path}: damaged, decoding failed ({error})") from error
        source_rate, name = file.samplerate, file.format
    if len(samples) < want and not (name == "MP3" and want - len(samples) < 2400):  # an MP3's length is an estimate
        raise AsrError(
            f"{path}: truncated, {len(samples) / source_rate:.2f} s could be read of {want / source_rate:.2f} s"
        )
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise AsrError(f"{path}: {np.count_nonzero(~np.isfinite(mono))} samples are NaN or infinite")
    return resample(mono, source_rate, rate)


def resample(samples: np.ndarray, rate: float, to: float, quality: str = "HQ") -> np.ndarray:
    """Band-limited resampling (soxr). Float32, shape (samples,) → shape (samples · to / rate,)."""
    if rate == to:
        return np.ascontiguousarray(samples, dtype=np.float32)
    return soxr.resample(np.ascontiguousarray(samples, dtype=np.float32), rate, to, quality=quality)


def check_duration(utterance: Utterance, info: AudioInfo) -> None:
    """Holds a manifest's offset and duration against the file's own length.

    Raises:
        AsrError: they disagree by more than 0.1 s; the sentence names the utterance, the file and both lengths.
    """
    end = (utterance.offset or 0.0) + utterance.duration
    beyond = end - info.duration
    if beyond > DURATION_TOLERANCE or (utterance.offset is None and beyond < -DURATION_TOLERANCE):
        what = "to be" if utterance.offset is None else f"(from {utterance.offset:.2f} s on) to end at"
        raise AsrError(
            f"{utterance.id}: the manifest says the audio is {what} {end:.2f} s, {utterance.audio} has {info.duration:.2f} s"
        )


def read_utterance(utterance: Utterance, rate: int) -> np.ndarray:
    """An utterance's samples. Float32, shape (samples,), at ``rate`` Hz.

    Raises:
        AsrError: unreadable, shorter or longer than the manifest says, not finite, or nothing but zeros.
    """
    check_duration(utterance, probe(utterance.audio))
    if utterance.offset is None:
        samples = read_audio(utterance.audio, rate)
    else:
        samples = read_audio(utterance.audio, rate, utterance.offset, utterance.duration)
    if not samples.any():
        raise AsrError(f"{utterance.id}: {utterance.audio} holds nothing but zeros there")
    return samples
