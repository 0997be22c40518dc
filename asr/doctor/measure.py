"""What one pass over a recording's samples tells: is it readable, how loud, clipped, silent, and is it a copy."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from asr.audio import AudioInfo, blocks, check_duration, open_audio, span
from asr.errors import AsrError
from asr.manifest import Utterance

QUIETEST = -120.0  # [dB] what digital silence is given as, for want of minus infinity

_HOPS = 100  # a second: levels are taken over 10 ms
_BLOCK = 6000  # hops in memory at once
# Peaks below this are not taken for clipped: codecs of telephony reach no higher than 0.9804 (mu-law) of full scale.
_FULL_SCALE = 0.98
_STEP = 2.0**-15  # of 16-bit audio
# A loud 50 Hz wave sampled at 48 kHz stays within one step of its crest for three samples; clipping lasts longer.
_RUN = 4
_BELOW_LOUD = 35.0  # [dB] how far below its loud stretches a recording counts as a pause


@dataclass(frozen=True)
class Recording:
    """An utterance's stretch of its audio file, as found there.

    Attributes:
        fault: why it cannot be read to its end; empty if it can.
        misfit: how the manifest's offset and duration are not those of the file; empty if they are.
        container: libsndfile's name of the file's format; empty if it cannot be opened.
        rate: samples a second; 0 if the file cannot be opened, and so are all that follow.
        channels: number of channels.
        seconds: length of the stretch.
        peak: largest absolute sample of any channel, full scale 1.
        level: root mean square over all channels [dB, full scale 0].
        loudest: the same of the loudest 10 ms.
        clipped: share of samples that lie in a run at full scale, of all channels.
        offset: mean of the samples of the channel where it is largest, full scale 1.
        before, after: length of the pause before the first sound and behind the last [s].
        digest: of the channels' mean, sample by sample; empty if there is no sound.
    """

    fault: str = ""
    misfit: str = ""
    container: str = ""
    rate: int = 0
    channels: int = 0
    seconds: float = 0.0
    peak: float = 0.0
    level: float = QUIETEST
    loudest: float = QUIETEST
    clipped: float = 0.0
    offset: float = 0.0
    before: float = 0.0
    after: float = 0.0
    digest: str = ""


def decibel(power: float) -> float:
    """A mean square as a level [dB], full scale 0, not below `QUIETEST`."""
    return max(QUIETEST, 10 * math.log10(power)) if power > 0 else QUIETEST


def clipped_samples(samples: np.ndarray) -> int:
    """How many samples lie in runs of at least four at full scale, or above it.

    One sample at full scale, or a few, is what normalising to full scale leaves. A run is measured from the largest
    sample, which converters do not always put at exactly 1.

    Args:
        samples: one channel, shape (samples,), full scale ±1.
    """
    peak = min(1.0, float(np.abs(samples).max(initial=0.0)))
    if peak < _FULL_SCALE:
        return 0
    count = 0
    for signed in (samples, -samples):
        there = np.flatnonzero(signed >= peak - _STEP)
        runs = np.split(there, np.flatnonzero(np.diff(there) > 1) + 1)
        count += sum(len(run) for run in runs if len(run) >= _RUN)
    return count


def pauses(powers: np.ndarray) -> tuple[int, int]:
    """How many frames lie before the first and behind the last that is not far below the loud ones.

    Args:
        powers: mean square of each 10 ms, shape (frames,).
    """
    if not powers.any():
        return len(powers), 0
    loud = np.quantile(powers[powers > 0], 0.95) * 10 ** (-_BELOW_LOUD / 10)
    sound = np.flatnonzero(powers >= loud)
    return int(sound[0]), int(len(powers) - 1 - sound[-1])


def measure(utterance: Utterance) -> Recording:
    """Decodes an utterance's audio once, from end to end, in pieces that fit the memory."""
    path, offset = utterance.audio, utterance.offset or 0.0
    misfit = container = ""
    rate = channels = 0
    try:
        with open_audio(path) as file:
            container, rate, channels = file.format, file.samplerate, file.channels
            try:
                check_duration(utterance, AudioInfo(rate, channels, file.frames))
                begin, want = span(file, path, offset, None if utterance.offset is None else utterance.duration)
            except AsrError as error:
                misfit = str(error).removeprefix(f"{utterance.id}: ")
                begin, want = span(file, path, min(offset, file.frames / rate), None)
            hop = max(1, rate // _HOPS)
            digest = hashlib.blake2b(f"{rate}".encode(), digest_size=16)
            total, square, peak, clipped = np.zeros(channels), 0.0, 0.0, 0
            powers = []
            for block in blocks(file, path, begin, want, hop * _BLOCK):
                mono = block[:, 0] if channels == 1 else block.mean(axis=1)
                digest.update((mono + np.float32(0)).tobytes())  # minus zero becomes zero
                squares = np.square(block, dtype=np.float64).mean(axis=1)
                total += block.sum(axis=0, dtype=np.float64)
                square += float(squares.sum())
                peak = max(peak, float(np.abs(block).max()))
                clipped += sum(clipped_samples(channel) for channel in block.T)
                powers.append(np.add.reduceat(squares, np.arange(0, len(squares), hop)) / hop)
    except AsrError as error:
        fault = "" if misfit else str(error)
        return Recording(fault=fault, misfit=misfit, container=container, rate=rate, channels=channels)
    frames = np.concatenate(powers)
    before, after = pauses(frames)
    means = total / want
    return Recording(
        misfit=misfit,
        container=container,
        rate=rate,
        channels=channels,
        seconds=want / rate,
        peak=peak,
        level=decibel(square / want),
        loudest=decibel(float(frames.max())),
        clipped=clipped / (want * channels),
        offset=float(means[np.abs(means).argmax()]),
        before=min(before * hop, want) / rate,
        after=min(after * hop, want) / rate,
        digest=digest.hexdigest() if peak else "",
    )
