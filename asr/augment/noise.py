"""Noise and music from a folder of recordings, coloured noise out of nothing, and mixing at a ratio to the speech."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.audio import open_audio, read_audio
from asr.augment.spectrum import shape_spectrum
from asr.errors import AsrError
from asr.importers import AUDIO_SUFFIXES
from asr.loudness import root_mean_square, speech_level

_FLAT_BELOW = 20.0  # [Hz] a slope that went on to 0 Hz would put all of the power where nothing is heard
_OCTAVE = 20 * math.log10(2)  # [dB] what halving a frequency does to an amplitude of 1 / f
_TRIED = 0.1  # [s] of a recording's end that is read beforehand: what is cut short shows there


@dataclass(frozen=True)
class NoiseRecording:
    """One file of a noise folder.

    Attributes:
        path: the file.
        name: its path within the folder.
        rate: its sample rate [Hz].
        frames: samples of each channel.
    """

    path: Path
    name: str
    rate: int
    frames: int


def noise_recordings(folder: Path) -> list[NoiseRecording]:
    """The recordings of a folder and its subfolders, sorted by name; other files are passed over.

    Of each the header and the end are read, so that what is damaged or cut short is told before anything begins.

    Raises:
        AsrError: no such folder, no audio file in it, or one that cannot be read.
    """
    if not folder.is_dir():
        raise AsrError(f"augment.noise: {folder}: there is no such folder; name one of noise or music recordings")
    named = sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*"))
    found = [(name, path) for name, path in named if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()]
    if not found:
        raise AsrError(f"augment.noise: {folder}: holds no audio files; put noise or music there (WAV, FLAC, MP3, …)")
    recordings = []
    for name, path in found:
        try:
            with open_audio(path) as file:
                one = NoiseRecording(path, name, file.samplerate, file.frames)
            read_audio(path, one.rate, max(0.0, one.frames / one.rate - _TRIED))
        except AsrError as error:
            raise AsrError(f"augment.noise: {error}, or take it out of the folder") from error
        recordings.append(one)
    return recordings


def read_noise(one: NoiseRecording, rate: int, length: int, random: np.random.Generator) -> np.ndarray:
    """A stretch from anywhere in a recording; one that is too short is repeated, from anywhere in it on.

    Only what is needed is read. Channels are averaged, another rate is resampled.

    Args:
        one: the recording.
        rate: that of the speech [Hz].
        length: samples needed at that rate.
        random: draws where it begins.

    Returns:
        float32, shape (length,).

    Raises:
        AsrError: the file has changed, or is damaged in its middle.
    """
    needed = -(-length * one.rate // rate) + 1  # one more, as resampling may round down
    if needed <= one.frames:
        begin = int(random.integers(0, one.frames - needed, endpoint=True))
        samples = read_audio(one.path, rate, begin / one.rate, needed / one.rate)
    else:
        samples = read_audio(one.path, rate)
        samples = np.roll(samples, -int(random.integers(0, len(samples))))
    return np.resize(samples, length)  # repeats what is too short


def coloured_noise(length: int, rate: int, slope: float, random: np.random.Generator) -> np.ndarray:
    """Gaussian noise whose spectrum falls by a constant number of decibels an octave, flat below 20 Hz.

    Args:
        length: samples.
        rate: of the samples [Hz].
        slope: 0 is white, −3 pink, −6 brown [dB an octave].
        random: draws the samples.

    Returns:
        float32, shape (length,).
    """
    white = random.standard_normal(length, dtype=np.float32)
    if slope == 0:
        return white
    return shape_spectrum(white, rate, lambda hertz: (np.maximum(hertz, _FLAT_BELOW) / 1000) ** (slope / _OCTAVE))


def mix(samples: np.ndarray, noise: np.ndarray, snr: float, rate: int) -> np.ndarray:
    """Adds noise so that the speech's level over its active frames is ``snr`` dB above the noise's over all of it.

    Args:
        samples: speech, float32, shape (samples,).
        noise: float32, shape (samples,).
        snr: signal-to-noise ratio [dB].
        rate: of both [Hz].

    Returns:
        float32, shape (samples,); the speech as it is where either of the two is silent.
    """
    loudness = root_mean_square(noise)
    if not loudness:
        return samples
    factor = speech_level(samples, rate) / loudness * 10 ** (-snr / 20)
    return samples + (noise * np.float64(factor)).astype(np.float32)  # noise near silence: factors beyond float32
