"""How loud recordings are, and the speech in them."""

from __future__ import annotations

import math

import numpy as np

_FRAMES = 100  # a second, in which activity is told
_BELOW_LOUD = 35.0  # [dB] how far below its loud frames speech counts as a pause
_VARIES = 10.0  # [dB] between soft and loud frames; those of steady noise lie nearer to each other


def root_mean_square(samples: np.ndarray) -> float:
    """Of all samples; 0 for none."""
    return math.sqrt(float(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def speech_level(samples: np.ndarray, rate: int) -> float:
    """Root mean square over the frames of 10 ms in which there is speech: those at most 35 dB below the loud ones.

    Args:
        samples: float32, shape (samples,).
        rate: of the samples [Hz].

    Returns:
        On the samples' scale; 0 for silence.
    """
    powers = np.square(_frames(samples, rate)).mean(axis=1)  # (frames,)
    if not powers.any():
        return root_mean_square(samples)
    loud = np.quantile(powers[powers > 0], 0.95) * 10 ** (-_BELOW_LOUD / 10)
    return math.sqrt(float(powers[powers >= loud].mean()))


def varies(samples: np.ndarray, rate: int) -> bool:
    """Whether loudness rises and falls as it does in speech, and does not in steady noise.

    Args:
        samples: float32, shape (samples,).
        rate: of the samples [Hz].
    """
    frames = _frames(samples, rate)
    with np.errstate(invalid="ignore"):  # absurd samples are for the network to refuse
        powers = frames.var(axis=1)  # what is slower than a frame is no speech
    if not len(powers) or not np.isfinite(powers).all():
        return False
    soft, loud = np.quantile(powers, [0.1, 0.95])
    return bool(loud > soft * 10 ** (_VARIES / 10))


def _frames(samples: np.ndarray, rate: int) -> np.ndarray:
    """Frames of 10 ms, float64, shape (frames, rate // 100)."""
    frame = max(1, rate // _FRAMES)
    return samples[: len(samples) // frame * frame].astype(np.float64).reshape(-1, frame)
