"""Where somebody speaks in a recording: what a voice activity detector finds, in windows that fit the network.

Energy alone decides, in bands, against a noise floor that follows the recording. A band's floor at a moment is the
least smoothed energy in the seconds before it, or in those after it, whichever is more (minimum statistics; Martin,
"Noise power spectral density estimation based on optimal smoothing and minimum statistics", 2001, here with both sides
at hand): noise that sets in, or stops, is known as noise from its first moment on, and speech always has gaps of
milliseconds that show the floor. A frame's score is the mean over the bands of γ − ln γ − 1, where γ is its energy over
the floor: the likelihood ratio of speech against noise (Sohn, Kim and Sung, "A statistical model-based voice activity
detection", 1999, equation 9). Where it passes a high threshold somebody speaks, and as far around as it stays above a
low one. Hum and rumble are as steady as the floor that they make; a DC offset is in no band.

Everything looks so few seconds around itself that a recording is worked through in chunks of one length, each with its
two neighbours; so how its stream was divided can have no influence, and its length needs no memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

PADDING = 0.3  # [s] that is kept before and behind speech; what lies closer than two of them is one stretch
LONGEST = 30.0  # [s] of a window
OVERLAP = 4.0  # [s] that two neighbouring windows of one stretch share

FRAMES_PER_SECOND = 100
_CHUNK = 10 * FRAMES_PER_SECOND  # frames; more than the floor, the reach and the padding look to one side together
_FLOOR = 5 * FRAMES_PER_SECOND  # frames to each side in which the floor is sought
_REACH = FRAMES_PER_SECOND  # frames around a sure one that uncertain ones may still belong to it
_PADDING = round(PADDING * FRAMES_PER_SECOND)
_EDGES = (200, 400, 600, 900, 1300, 1800, 2500, 3400, 4000, 5500, 7000)  # of the bands [Hz]
_SILENCE = 1e-9  # power at −90 dB of full scale, what 16 bits round to; nothing below is speech
_ABSURD = 1e12  # power; more is no sound, but must not make the floor infinite
_BIAS = 1.6  # by how much the mean energy of noise is above its minimum
_HIGH, _LOW = 2.0, 0.7  # of the score; noise as such reaches 0.8 in minutes, and rarely 0.4


@dataclass(frozen=True)
class Window:
    """A stretch of speech, or as much of it as the network takes at once.

    Attributes:
        begin: sample of the recording at which it begins; a multiple of the encoder's frame.
        samples: float32, shape (samples,).
        next: sample at which the stretch's next window begins; None: the stretch ends here.
    """

    begin: int
    samples: np.ndarray
    next: int | None


def speech_windows(
    blocks: Iterable[np.ndarray], rate: int, frame: int, longest: float = LONGEST, overlap: float = OVERLAP
) -> Iterator[Window]:
    """The stretches of speech of a recording; those longer than ``longest`` in windows that overlap.

    Args:
        blocks: float32, shape (samples,) each, of any lengths; how the recording is divided into them has no influence.
        rate: [Hz], at least 1000.
        frame: samples of an encoder frame; windows begin at its multiples.
        longest: of a window [s].
        overlap: of two neighbouring windows [s].

    Yields:
        Windows in order; a stretch's last one is longer than the overlap.

    Raises:
        ValueError: the windows would not move on.
    """
    size = int(longest * rate) // frame * frame
    hop = int((longest - overlap) * rate) // frame * frame
    if not 0 < hop <= size:
        raise ValueError(f"windows of {longest} s that share {overlap} s do not move on by encoder frames")
    begin: int | None = None
    kept = np.empty(0, np.float32)
    for place, samples in _stretches(blocks, rate):
        if len(samples) == 0:  # the stretch has ended
            if begin is not None and len(kept):
                yield Window(begin, kept, None)
            begin, kept = None, kept[:0]
            continue
        if begin is None:
            begin = -(-place // frame) * frame  # up: there is padding enough
        kept = np.concatenate([kept, samples[max(begin - place, 0) if len(kept) == 0 else 0 :]])
        while len(kept) > size:
            yield Window(begin, kept[:size], begin + hop)
            begin, kept = begin + hop, kept[hop:]


def speech_frames(blocks: Iterable[np.ndarray], rate: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A recording in chunks of 10 s, each with what in it is speech or padding.

    Args:
        blocks, rate: as of `speech_windows`.

    Yields:
        Samples, float32, shape (samples,), and for each started hundredth of a second of them whether to keep it,
        bool, shape (⌈samples / (rate // 100)⌉,).
    """
    window = rate // FRAMES_PER_SECOND
    before = np.empty((0, 0))
    samples: np.ndarray | None = None
    for chunk in _regular(blocks, _CHUNK * window):
        energy = _band_energy(chunk, rate)
        if samples is None:
            before, samples, now = energy[:0], chunk, energy
            continue
        yield samples, _is_speech(np.concatenate([before, now, energy]))[len(before) : len(before) + len(now)]
        before, samples, now = now, chunk, energy
    if samples is not None:
        yield samples, _is_speech(np.concatenate([before, now]))[len(before) :]


def _stretches(blocks: Iterable[np.ndarray], rate: int) -> Iterator[tuple[int, np.ndarray]]:
    """(First sample, samples) of each piece of speech, and (sample, no samples) wherever a stretch has ended."""
    window = rate // FRAMES_PER_SECOND
    place, open_ = 0, False
    for samples, keep in speech_frames(blocks, rate):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], keep, [False]]))) * window
        starts, ends = edges[::2].tolist(), np.minimum(edges[1::2], len(samples)).tolist()
        if open_ and (not starts or starts[0] > 0):
            yield place, samples[:0]
            open_ = False
        for start, end in zip(starts, ends, strict=True):
            yield place + start, samples[start:end]
            open_ = end == len(samples)
            if not open_:
                yield place + end, samples[:0]
        place += len(samples)
    if open_:
        yield place, np.empty(0, np.float32)


def _regular(blocks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The same samples in blocks of exactly ``size``, but for the last one, which is not empty."""
    parts: list[np.ndarray] = []
    missing = size
    for block in blocks:
        while len(block) >= missing:
            yield np.concatenate([*parts, block[:missing]])
            block, parts, missing = block[missing:], [], size
        parts.append(block)
        missing -= len(block)
    if missing < size:
        yield np.concatenate(parts)


def _band_energy(samples: np.ndarray, rate: int) -> np.ndarray:
    """Power of each hundredth of a second in each band, on the scale of the samples' own: (samples,) → (frames, B)."""
    length = rate // FRAMES_PER_SECOND
    padded = np.concatenate([samples, np.zeros(-len(samples) % length, np.float32)])
    frames = padded.reshape(-1, length)
    window = np.hanning(length + 1)[:length].astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        spectrum = np.fft.rfft((frames - frames.mean(axis=1, keepdims=True)) * window)
        power = np.square(spectrum.real) + np.square(spectrum.imag)  # (frames, length / 2 + 1)
    bins = [round(edge * length / rate) for edge in _EDGES if edge <= rate / 2]
    bands = np.add.reduceat(power[:, : bins[-1]], bins[:-1], axis=1) / (np.diff(bins) * np.square(window).sum())
    return np.nan_to_num(bands, nan=_ABSURD, posinf=_ABSURD).clip(_SILENCE, _ABSURD)


def _is_speech(energy: np.ndarray) -> np.ndarray:
    """Which frames are speech or padding. (frames, B) → bool, (frames,)."""
    ratio = np.maximum(energy / (_noise_floor(energy) * _BIAS), 1.0)
    score = _smooth((ratio - np.log(ratio) - 1.0).mean(axis=1), 1)
    return _near(_with_uncertain(score > _HIGH, score > _LOW), _PADDING)


def _noise_floor(energy: np.ndarray) -> np.ndarray:
    """The greater of the minima to each side; where a side is cut short, the nearest whole one. (frames, B) → same."""
    lowest = _smooth(energy, 5)
    span = 1
    while span <= _FLOOR:  # to the minimum of this and the ``_FLOOR`` frames before it, by doubling
        step = min(span, _FLOOR + 1 - span)
        lowest[step:] = np.minimum(lowest[step:], lowest[:-step])
        span += step
    position = np.arange(len(energy))
    last = len(energy) - 1
    return np.maximum(lowest[position.clip(min(_FLOOR, last), last)], lowest[(position + _FLOOR).clip(max=last)])


def _smooth(values: np.ndarray, around: int) -> np.ndarray:
    """The mean over each frame and ``around`` of its neighbours to each side, as far as there are any."""
    total, count = values.copy(), np.ones((len(values), *[1] * (values.ndim - 1)))
    for shift in range(1, min(around, len(values) - 1) + 1):
        total[shift:] += values[:-shift]
        total[:-shift] += values[shift:]
        count[shift:] += 1
        count[:-shift] += 1
    return np.asarray(total / count)


def _with_uncertain(sure: np.ndarray, likely: np.ndarray) -> np.ndarray:
    """The sure frames, and the likely ones that likely ones join to a sure one not too far away. Bool, (frames,)."""

    def reached(sure: np.ndarray, likely: np.ndarray) -> np.ndarray:
        """From sure frames onwards."""
        position = np.arange(len(sure))
        last_sure = np.maximum.accumulate(np.where(sure, position, -len(sure) - _REACH))
        last_gap = np.maximum.accumulate(np.where(likely, -1, position))
        return (last_sure > last_gap) & (position - last_sure <= _REACH)

    return reached(sure, likely) | reached(sure[::-1], likely[::-1])[::-1]


def _near(frames: np.ndarray, around: int) -> np.ndarray:
    """Which frames have a true one at most ``around`` away. Bool, (frames,)."""
    total = np.concatenate([[0], np.cumsum(frames)])
    position = np.arange(len(frames))
    return np.asarray(total[(position + around + 1).clip(max=len(frames))] > total[(position - around).clip(min=0)])
