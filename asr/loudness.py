"""How loud recordings are, and the speech in them."""

from __future__ import annotations

import math

import numpy as np

_FRAMES = 100  # a second, in which activity is told
_BELOW_LOUD = 35.0  # [dB] how far below its loud frames speech counts as a pause


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
    frame = max(1, rate // _FRAMES)
    whole = len(samples) // frame * frame
    powers = np.square(samples[:whole], dtype=np.float64).reshape(-1, frame).mean(axis=1)  # (frames,)
    if not powers.any():
        return root_mean_square(samples)
    loud = np.quantile(powers[powers > 0], 0.95) * 10 ** (-_BELOW_LOUD / 10)
    return math.sqrt(float(powers[powers >= loud].mean()))
