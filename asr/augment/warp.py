"""Vocal tracts of other lengths: the words of one speaker with the resonances of a longer or a shorter throat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from asr.config import AugmentConfig, FeatureConfig

if TYPE_CHECKING:
    from torch import Tensor

_KNEE = 0.6  # of the highest frequency, or of where that came from: above it the warping leads to the highest itself


def draw_factor(random: np.random.Generator, augment: AugmentConfig) -> float:
    """What an utterance's frequencies are multiplied by, evenly on a scale of logarithms, in steps of 0.01."""
    low, high = augment.vocal_tract
    return round(math.exp(random.uniform(math.log(low), math.log(high))), 2)


@lru_cache(1024)
def warping(bands: int, low: float, high: float, factor: float) -> np.ndarray:
    """Takes each mel band from where it lay before frequencies were multiplied.

    Args:
        bands: of the filterbank, equally spaced in mel.
        low, high: its edges [Hz].
        factor: 1.1 moves to 1,100 Hz what was at 1,000 Hz; above a knee less and less, and the highest stays.

    Returns:
        float32, shape (bands, bands): a column for each new band, its two weights those of the old ones around it.
    """

    def mel(hertz: np.ndarray | float) -> np.ndarray:
        return 1127 * np.log1p(np.asarray(hertz) / 700)

    step = (mel(high) - mel(low)) / (bands + 1)
    centres = 700 * np.expm1((mel(low) + step * np.arange(1, bands + 1)) / 1127)  # [Hz]
    knee = _KNEE * high * min(factor, 1)
    above = high - (high - knee / factor) / (high - knee) * (high - centres)
    place = (mel(np.where(centres <= knee, centres / factor, above)) - mel(low)) / step - 1
    place = np.clip(place, 0, bands - 1)
    below = np.minimum(place.astype(int), bands - 2)
    matrix = np.zeros((bands, bands), np.float32)
    columns = np.arange(bands)
    matrix[below, columns] = 1 - (place - below)
    matrix[below + 1, columns] = place - below
    return matrix


def warp_bands(features: Tensor, factors: Sequence[float], front_end: FeatureConfig) -> Tensor:
    """Moves the mel bands of each utterance as a vocal tract of another length would.

    Source: Jaitly and Hinton, "Vocal tract length perturbation (VTLP) improves speech recognition", ICML workshop 2013;
    here between the bands of the filterbank instead of within it, so that it costs a product of small matrices.

    Args:
        features: shape (N, T, F), of kind ``fbank``; differences are moved as their bands are.
        factors: of the frequencies of each utterance, see `draw_factor`.
        front_end: what the features are.

    Returns:
        shape (N, T, F), a new tensor.
    """
    import torch

    matrices = np.stack([warping(front_end.mels, *front_end.band, factor) for factor in factors])
    parts = features.unflatten(2, (-1, front_end.mels))  # (N, T, 1 + differences, mels)
    return (parts @ torch.from_numpy(matrices).to(features.device)[:, None]).flatten(2)
