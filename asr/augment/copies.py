"""The copies of an utterance: the speed of each, and the generator that all of its augmentation is drawn from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from asr.audio import resample


def generator(seed: int, epoch: int, utterance: str, copy: int, kind: str = "") -> np.random.Generator:
    """A generator of its own for one copy of one utterance in one epoch, whatever else is drawn and in whatever order.

    Args:
        seed: of the training run.
        epoch: counted from any start, not negative.
        utterance: its id.
        copy: which of the epoch's copies of the utterance, as there is one for each speed.
        kind: of augmentation. Each has a child generator of its own, so that none changes what another draws;
            SpecAugment has the parent.
    """
    number = int.from_bytes(hashlib.blake2b(utterance.encode(), digest_size=8).digest(), "little")
    child = (int.from_bytes(kind.encode(), "little"),) if kind else ()
    return np.random.default_rng(np.random.SeedSequence([seed, epoch, number, copy], spawn_key=child))


def between(random: np.random.Generator, limits: Sequence[float]) -> float:
    """Drawn uniformly from the range of a config: its lowest and its highest value."""
    low, high = limits
    return random.uniform(low, high)


def _ratio(factor: float) -> Fraction:
    """The float 1.1 is not 11/10; the ratio that was meant makes lengths exact and the resampler's filter short."""
    return Fraction(factor).limit_denominator(1000)


def speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Plays faster by ``factor``, tempo and pitch alike, through band-limited resampling.

    Source: Ko, Peddinti, Povey, Khudanpur, "Audio augmentation for speech recognition", Interspeech 2015.

    Args:
        samples: float32, shape (samples,).
        factor: 1.1 makes the audio shorter by 1 / 1.1; precise to a thousandth's fraction.

    Returns:
        float32, shape (speed_length(samples, factor),).
    """
    ratio = _ratio(factor)
    return resample(samples, ratio.numerator, ratio.denominator)


def speed_length(samples: int, factor: float) -> int:
    """The exact number of samples that `speed` makes of so many: samples / factor, half a sample rounded up."""
    ratio = _ratio(factor)
    return (2 * samples * ratio.denominator + ratio.numerator) // (2 * ratio.numerator)
