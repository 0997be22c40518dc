"""SpecAugment: what is masked in the features of a training utterance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from asr.config import AugmentConfig, FeatureConfig

if TYPE_CHECKING:
    from torch import Tensor

# Of a short utterance a mask may hide this share at most, or nothing would be left to learn from.
LARGEST_SHARE = 5


def _draw(random: np.random.Generator, masks: int, widest: int, length: int) -> np.ndarray:
    """So many masks of width 0 … ``widest``, each anywhere in ``length``: bool, shape (length,)."""
    masked = np.zeros(length, dtype=bool)
    widths = random.integers(0, widest, size=masks, endpoint=True)
    begins = random.integers(0, length - widths, endpoint=True)
    for begin, width in zip(begins, widths, strict=True):
        masked[begin : begin + width] = True
    return masked


def spec_augment(
    features: Tensor,
    frames: Tensor,
    generators: Sequence[np.random.Generator],
    augment: AugmentConfig,
    front_end: FeatureConfig,
) -> Tensor:
    """SpecAugment without time warping: bands and stretches of time set to 0, the mean of features if normalised.

    A band is masked together with its differences; cepstral coefficients are no bands, so ``mfcc`` has masks in time
    only. An utterance has round(time_masks · seconds) masks in time, none of them longer than a fifth of it. What an
    utterance gets depends on its own generator and frames, not on the batch.

    Source: Park et al., "SpecAugment", Interspeech 2019; masks for each second as in Park et al., "SpecAugment on large
    scale datasets", ICASSP 2020.

    Args:
        features: normalised, shape (N, T, F), F = ``front_end.dimension``.
        frames: of each utterance, shape (N,).
        generators: one for each utterance, see `generator`.
        augment: numbers and widths of the masks.
        front_end: what the features are.

    Returns:
        shape (N, T, F), a new tensor.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    import torch

    if features.shape[2] != front_end.dimension or not len(features) == len(frames) == len(generators):
        raise ValueError(
            f"features of shape (N, T, {front_end.dimension}), N frames and N generators are needed, "
            f"not {tuple(features.shape)}, {tuple(frames.shape)} and {len(generators)}"
        )
    number, longest, dimension = features.shape
    bands = front_end.mels if front_end.kind == "fbank" else 0
    hidden_bands = np.zeros((number, dimension), dtype=bool)
    hidden_frames = np.zeros((number, longest), dtype=bool)
    for row, (random, length) in enumerate(zip(generators, frames.tolist(), strict=True)):
        if bands:
            hidden = _draw(random, augment.frequency_masks, min(augment.frequency_width, bands), bands)
            hidden_bands[row] = np.tile(hidden, dimension // bands)
        masks = round(augment.time_masks * length * front_end.frame_shift / 1000)
        widest = min(augment.time_width, length // LARGEST_SHARE)
        hidden_frames[row, :length] = _draw(random, masks, widest, length)
    in_band = torch.from_numpy(hidden_bands).to(features.device)[:, None, :]  # (N, 1, F)
    in_time = torch.from_numpy(hidden_frames).to(features.device)[:, :, None]  # (N, T, 1)
    return features.masked_fill(in_band | in_time, 0)
