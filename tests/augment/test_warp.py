"""Other throats: resonances lie where they should, the rest of the features stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.augment.copies import generator
from asr.augment.warp import draw_factor, warp_bands, warping
from asr.config import AugmentConfig, FeatureConfig
from asr.features import Features
from tests.tones import tiny_config

MELS, LOW, HIGH = 64, 20.0, 8000.0
FACTORS = st.floats(min_value=0.5, max_value=2.0)


@given(bands=st.integers(min_value=2, max_value=100), factor=FACTORS)
def test_each_new_band_is_a_mean_of_two_old_ones(bands: int, factor: float) -> None:
    matrix = warping(bands, LOW, HIGH, factor)
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=0), 1, rtol=0, atol=1e-6)
    assert (np.count_nonzero(matrix, axis=0) <= 2).all()
    places = np.arange(bands) @ matrix  # where each comes from
    assert (np.diff(places) >= -1e-4).all()  # none overtakes another


def test_a_factor_of_one_changes_nothing() -> None:
    np.testing.assert_allclose(warping(MELS, LOW, HIGH, 1.0), np.eye(MELS), rtol=0, atol=1e-6)


def _vowel(formants: list[float], rate: int = 16000) -> np.ndarray:
    """Noise through resonators 120 Hz wide."""
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(rate))
    turn = np.exp(-2j * np.pi * np.arange(len(spectrum)) / rate)  # z⁻¹ at each frequency
    for formant in formants:
        radius = np.exp(-np.pi * 120 / rate)
        spectrum /= 1 - 2 * radius * np.cos(2 * np.pi * formant / rate) * turn + radius**2 * turn**2
    samples = np.fft.irfft(spectrum)
    return (0.1 * samples / np.abs(samples).max()).astype(np.float32)


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.1, 1.25])
def test_it_sounds_to_the_model_as_resonances_that_were_moved(factor: float) -> None:
    config = FeatureConfig(mels=MELS, cmvn="none")

    def heard(formants: list[float]) -> torch.Tensor:
        samples = torch.from_numpy(_vowel(formants))[None]
        return Features(config).eval().raw(samples, torch.tensor([samples.shape[1]]))[0].mean(1, keepdim=True)

    formants = [700.0, 1300.0, 2600.0]
    before, wanted = heard(formants), heard([factor * one for one in formants])
    warped = warp_bands(before, [factor], config)

    def shape(features: torch.Tensor) -> torch.Tensor:  # what lies above the resonances has another slope
        low = features[0, 0, :48]
        return low - low.mean()

    far, near = ((shape(one) - shape(wanted)).square().mean() for one in (before, warped))
    assert near < 0.1 * far


def test_utterances_get_their_own_factor_and_differences_move_alike() -> None:
    config = FeatureConfig(mels=MELS, deltas=1)
    features = torch.randn(3, 7, 2 * MELS, generator=torch.Generator().manual_seed(1))
    warped = warp_bands(features, [0.9, 1.0, 1.2], config)
    torch.testing.assert_close(warped[1], features[1])
    for number, factor in ((0, 0.9), (2, 1.2)):
        alone = torch.from_numpy(warping(MELS, LOW, HIGH, factor))
        torch.testing.assert_close(warped[number, :, :MELS], features[number, :, :MELS] @ alone)
        torch.testing.assert_close(warped[number, :, MELS:], features[number, :, MELS:] @ alone)


def test_factors_are_even_on_a_scale_of_logarithms() -> None:
    augment = AugmentConfig(vocal_tract=[0.8, 1.25])
    drawn = [draw_factor(generator(1, 0, f"u{number}", 0, "throat"), augment) for number in range(400)]
    assert 0.8 <= min(drawn) < 0.82 and 1.22 < max(drawn) <= 1.25
    assert abs(np.log(drawn).mean()) < 0.02
    assert draw_factor(generator(1, 0, "u0", 0, "throat"), augment) == drawn[0]
    assert draw_factor(np.random.default_rng(1), AugmentConfig()) == 1


def test_coefficients_have_no_bands_to_move() -> None:
    with pytest.raises(Exception, match=r"augment.vocal_tract moves mel bands, and features.kind=mfcc has none"):
        tiny_config("features.kind=mfcc", "features.cepstra=7", "augment.vocal_tract=[0.9, 1.1]")
