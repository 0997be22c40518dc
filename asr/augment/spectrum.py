"""Filtering a whole waveform at once through its spectrum, without delay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def fast_length(samples: int) -> int:
    """The smallest 2ᵃ · 3ᵇ · 5ᶜ that is not below ``samples``: a length that the Fourier transform is quick at."""
    best = 1 << max(samples - 1, 0).bit_length()
    five = 1
    while five < best:
        three = five
        while three < best:
            length = three << max(-(-samples // three) - 1, 0).bit_length()
            best = min(best, length)
            three *= 3
        five *= 5
    return best


def shape_spectrum(samples: np.ndarray, rate: int, gain: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Multiplies each frequency by a gain, phases kept, so that nothing is delayed.

    Args:
        samples: float32, shape (samples,).
        rate: of the samples [Hz].
        gain: frequencies [Hz] → gains, both of shape (frequencies,).

    Returns:
        float32, shape (samples,).
    """
    length = fast_length(len(samples) + rate // 20)  # what a filter smears beyond the end must not come in at the start
    spectrum = np.fft.rfft(samples, length)
    gains = gain(np.fft.rfftfreq(length, 1 / rate)).astype(np.float32)
    return np.fft.irfft(spectrum * gains, length)[: len(samples)].astype(np.float32)


def convolve(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """As many samples of the linear convolution as there are samples. Float32, shapes (samples,), (response,)."""
    length = fast_length(len(samples) + len(response) - 1)
    product = np.fft.rfft(samples, length) * np.fft.rfft(response, length)
    return np.fft.irfft(product, length)[: len(samples)].astype(np.float32)
