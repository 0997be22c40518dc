"""Augmentation: exact lengths, and randomness that knows nothing of the batch, the order or the process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.augment import generator, spec_augment, speed, speed_length
from asr.config import AugmentConfig, FeatureConfig

MASKS = AugmentConfig(frequency_masks=2, frequency_width=15, time_masks=2.0, time_width=10)
FBANK = FeatureConfig(mels=40)


@settings(deadline=None, max_examples=200)
@given(samples=st.integers(1, 50000), factor=st.floats(0.5, 2.0) | st.sampled_from([0.9, 1.0, 1.1]))
def test_length_is_known_beforehand(samples: int, factor: float) -> None:
    assert len(speed(np.zeros(samples, np.float32), factor)) == speed_length(samples, factor)


def test_length_is_exact_for_every_small_number_of_samples() -> None:
    for factor in (0.9, 1.1, 0.5, 2.0):
        for samples in range(1, 300):
            assert len(speed(np.zeros(samples, np.float32), factor)) == speed_length(samples, factor)
    assert speed_length(110, 1.1) == 100
    assert speed_length(90, 0.9) == 100


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_speed_raises_pitch_and_tempo_alike(factor: float) -> None:
    rate, pitch = 16000, 440.0
    tone = np.sin(2 * np.pi * pitch * np.arange(rate) / rate).astype(np.float32)
    faster = speed(tone, factor)
    assert faster.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(faster * np.hanning(len(faster))))
    assert np.argmax(spectrum) * rate / len(faster) == pytest.approx(pitch * factor, abs=1.5)
    assert np.abs(faster[1000:-1000]).max() == pytest.approx(1, abs=0.01)


def test_speed_of_one_is_the_same_audio() -> None:
    samples = np.linspace(-1, 1, 100, dtype=np.float32)
    np.testing.assert_array_equal(speed(samples, 1.0), samples)


def test_each_part_of_the_key_draws_otherwise() -> None:
    keys = [(1, 0, "a", 0), (2, 0, "a", 0), (1, 1, "a", 0), (1, 0, "b", 0), (1, 0, "a", 1)]
    draws = [tuple(generator(*key).integers(0, 2**32, 4)) for key in keys]
    assert len(set(draws)) == len(keys)
    assert draws == [tuple(generator(*key).integers(0, 2**32, 4)) for key in keys]


def test_a_generator_is_the_same_in_another_process() -> None:
    code = "from asr.augment import generator; print(generator(1, 2, 'fash-an251', 3).integers(0, 2**32, 4).tolist())"
    environment = {"PYTHONHASHSEED": "12345", "PYTHONPATH": ":".join(sys.path)}
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert printed.stdout.strip() == str(generator(1, 2, "fash-an251", 3).integers(0, 2**32, 4).tolist())


def masked(length: int, name: str, config: AugmentConfig = MASKS, front_end: FeatureConfig = FBANK) -> np.ndarray:
    """Where an utterance of ones became 0: bool (length, F)."""
    features = torch.ones(1, length, front_end.dimension)
    return (spec_augment(features, torch.tensor([length]), [generator(1, 0, name, 0)], config, front_end) == 0)[
        0
    ].numpy()


def runs(flags: np.ndarray) -> list[int]:
    """Lengths of the stretches of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return (edges[1::2] - edges[::2]).tolist()


@settings(deadline=None, max_examples=50)
@given(lengths=st.lists(st.integers(0, 400), min_size=1, max_size=6), padding=st.integers(0, 50))
def test_an_utterance_is_masked_alike_in_every_batch(lengths: list[int], padding: int) -> None:
    features = torch.ones(len(lengths), max(lengths) + padding, 40)
    generators = [generator(1, 3, f"utterance {row}", 0) for row in range(len(lengths))]
    together = spec_augment(features, torch.tensor(lengths), generators, MASKS, FBANK)
    for row, length in enumerate(lengths):
        alone = spec_augment(
            features[row : row + 1, :length],
            torch.tensor([length]),
            [generator(1, 3, f"utterance {row}", 0)],
            MASKS,
            FBANK,
        )
        assert torch.equal(together[row, :length], alone[0])
    assert (features == 1).all()  # the input is left as it was


def test_masks_are_whole_bands_and_whole_frames() -> None:
    for number in range(50):
        hidden = masked(300, f"{number}")
        bands, frames = hidden.all(0), hidden.all(1)
        np.testing.assert_array_equal(hidden, bands[None] | frames[:, None])
        assert bands.sum() <= 2 * 15
        assert frames.sum() <= 6 * 10  # two a second in three seconds
        assert len(runs(frames)) <= 6


def test_widths_and_places_cover_their_ranges() -> None:
    one = AugmentConfig(frequency_masks=1, frequency_width=5, time_masks=1.0, time_width=7)
    drawn = [masked(100, f"{number}", one) for number in range(2000)]
    assert {sum(runs(hidden.all(0))) for hidden in drawn} == set(range(6))
    assert {sum(runs(hidden.all(1))) for hidden in drawn} == set(range(8))
    assert np.any([hidden.all(0) for hidden in drawn], axis=0).all()
    assert np.any([hidden.all(1) for hidden in drawn], axis=0).all()


@pytest.mark.parametrize("length", [0, 1, 4, 9, 20, 49])
def test_no_mask_hides_more_than_a_fifth(length: int) -> None:
    config = AugmentConfig(time_masks=0.5 if length < 20 else 100 / length, time_width=1000)  # one mask, if any
    for number in range(100):
        assert masked(length, f"{number}", config).all(1).sum() <= length // 5 or length == 0


def test_the_number_of_masks_grows_with_time() -> None:
    narrow = AugmentConfig(time_masks=1.0, time_width=1)
    counts = [
        np.mean([masked(length, f"{number}", narrow).all(1).sum() for number in range(300)]) for length in (200, 800)
    ]
    assert counts[0] == pytest.approx(1.0, abs=0.15)  # two masks, of width 0 or 1
    assert counts[1] == pytest.approx(4.0, abs=0.3)


def test_frame_shift_is_heeded() -> None:
    narrow, slow = AugmentConfig(time_masks=1.0, time_width=1), FeatureConfig(mels=40, frame_shift=20.0)
    count = np.mean([masked(200, f"{number}", narrow, slow).all(1).sum() for number in range(300)])
    assert count == pytest.approx(2.0, abs=0.2)


def test_differences_are_masked_with_their_band() -> None:
    bands = masked(300, "one", MASKS, FeatureConfig(mels=40, deltas=2)).all(0).reshape(3, 40)
    assert bands.any()
    np.testing.assert_array_equal(bands[0], bands[1])
    np.testing.assert_array_equal(bands[0], bands[2])


def test_cepstra_are_masked_in_time_only() -> None:
    hidden = masked(300, "one", MASKS, FeatureConfig(kind="mfcc", mels=40))
    assert hidden.any()
    np.testing.assert_array_equal(hidden.all(1), hidden.any(1))


def test_no_masks_no_change() -> None:
    features = torch.randn(1, 50, 40)
    plain = spec_augment(features, torch.tensor([50]), [generator(1, 0, "a", 0)], AugmentConfig(), FBANK)
    assert torch.equal(plain, features)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="not \\(1, 50, 13\\)"):
        spec_augment(torch.ones(1, 50, 13), torch.tensor([50]), [generator(1, 0, "a", 0)], MASKS, FBANK)
    with pytest.raises(ValueError, match="and 0"):
        spec_augment(torch.ones(1, 50, 40), torch.tensor([50]), [], MASKS, FBANK)
