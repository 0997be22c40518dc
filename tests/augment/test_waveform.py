"""All kinds together: seeded, independent of each other, of the batch and of the order; lengths and numbers kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.augment import Augmenter, generator
from asr.config import AugmentConfig

RATE = 16000
KINDS = ("reverberation", "coloured_noise", "noise", "gain", "codec")
SAID = {
    "reverberation": "room ",
    "coloured_noise": "coloured noise ",
    "noise": "noise ",
    "gain": "gain ",
    "codec": "codec ",
}
SPEECH = (0.1 * np.random.default_rng(1).standard_normal(RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise")
    for name, rate, seconds in (("a", 8000, 0.3), ("b", 16000, 3), ("c", 44100, 2)):
        soundfile.write(
            folder / f"{name}.wav", 0.1 * np.random.default_rng(2).standard_normal(int(seconds * rate)), rate
        )
    return folder


def everything(folder: Path, probability: float = 1.0, *kinds: str) -> AugmentConfig:
    """All kinds, or those named, with that probability."""
    values: dict[str, Any] = {f"{kind}_probability": probability for kind in kinds or KINDS}
    return AugmentConfig(noise=str(folder), **{"noise_probability": 0.0, **values})


def test_without_a_kind_the_samples_are_the_same_object() -> None:
    done = Augmenter(AugmentConfig(), RATE, 1)(SPEECH, 0, "a", 0)
    assert done.samples is SPEECH
    assert done.drawn == ()


def test_each_part_of_the_key_draws_otherwise_and_the_same_key_the_same(folder: Path) -> None:
    keys = [(1, 0, "a", 0), (2, 0, "a", 0), (1, 1, "a", 0), (1, 0, "b", 0), (1, 0, "a", 1)]
    config = everything(folder)
    for kind in range(len(KINDS)):
        drawn = [Augmenter(config, RATE, key[0])(SPEECH, *key[1:]) for key in keys]
        assert kind == 4 or len({one.drawn[kind] for one in drawn}) == len(keys)
    again = Augmenter(config, RATE, 1)(SPEECH, 0, "a", 0)
    np.testing.assert_array_equal(again.samples, drawn[0].samples)
    assert again.drawn == drawn[0].drawn


def test_order_and_company_change_nothing(folder: Path) -> None:
    augmenter = Augmenter(everything(folder, 0.5), RATE, 1)
    names = [f"{number}" for number in range(12)]
    forwards = {name: augmenter(SPEECH, 0, name, 0) for name in names}
    for name in reversed(names):
        again = augmenter(SPEECH, 0, name, 0)
        np.testing.assert_array_equal(again.samples, forwards[name].samples)
        assert again.drawn == forwards[name].drawn


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_draws_the_same_with_and_without_the_others(kind: str, folder: Path) -> None:
    alone, among = (Augmenter(everything(folder, 1.0, *kinds), RATE, 1) for kinds in ((kind,), KINDS))
    for number in range(5):
        (said,) = alone(SPEECH, 3, f"{number}", 0).drawn
        assert said.startswith(SAID[kind])
        assert said in among(SPEECH, 3, f"{number}", 0).drawn


def test_each_kind_draws_from_a_stream_that_is_neither_anothers_nor_specaugments(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    firsts = [generator(1, 0, "a", 0).random()]  # SpecAugment's

    def watched(*key: Any) -> np.random.Generator:
        firsts.append(generator(*key).random())
        return generator(*key)

    monkeypatch.setattr("asr.augment.waveform.generator", watched)
    Augmenter(everything(folder), RATE, 1)(SPEECH, 0, "a", 0)
    assert len(set(firsts)) == len(firsts) == 1 + len(KINDS)


def test_probabilities_are_shares(folder: Path) -> None:
    short = SPEECH[:100]
    augmenter = Augmenter(everything(folder, 0.3), RATE, 1)
    drawn = [augmenter(short, 0, f"{number}", 0).drawn for number in range(250)]
    for kind in KINDS:
        share = np.mean([any(said.startswith(SAID[kind]) for said in one) for one in drawn])
        assert share == pytest.approx(0.3, abs=0.1)
    assert np.mean([len(one) == 5 for one in drawn]) < 0.05  # one by one, not all or none


def test_the_order_is_that_in_which_sound_meets_them(folder: Path) -> None:
    drawn = Augmenter(everything(folder), RATE, 1)(SPEECH, 0, "a", 0).drawn
    assert [said.split()[0] for said in drawn] == ["room", "coloured", "noise", "gain", "codec"]


@settings(deadline=None, max_examples=30)
@given(samples=st.integers(1, 3000), loud=st.sampled_from([0.0, 1e-30, 1e-6, 0.1, 1.0, 30.0]), name=st.text(max_size=5))
def test_lengths_stay_and_numbers_stay_finite(folder: Path, samples: int, loud: float, name: str) -> None:
    """CTC feasibility is checked by the length before; whatever the sound, what comes out can be learned from."""
    speech = (loud * np.random.default_rng(3).standard_normal(samples)).astype(np.float32)
    untouched = speech.copy()
    for rate in (8000, 16000):
        done = Augmenter(everything(folder), rate, 1)(speech, 0, name, 0).samples
        assert done.shape == (samples,)
        assert done.dtype == np.float32
        assert np.isfinite(done).all()
    np.testing.assert_array_equal(speech, untouched)


def test_values_lie_in_their_ranges(folder: Path) -> None:
    config = AugmentConfig(gain_probability=1.0, gain=[3.0, 4.0], noise=str(folder), noise_snr=[7.0, 8.0])
    augmenter = Augmenter(config, RATE, 1)
    drawn = [augmenter(SPEECH[:800], 0, f"{number}", 0).drawn for number in range(100)]
    gains = [float(said.split()[1]) for one in drawn for said in one if said.startswith("gain")]
    ratios = [float(said.split()[-2]) for one in drawn for said in one if said.startswith("noise")]
    assert len(gains) == 100 and 3 <= min(gains) < 3.2 and 3.8 < max(gains) <= 4
    assert 30 < len(ratios) < 70 and 7 <= min(ratios) < 7.2 and 7.8 < max(ratios) <= 8


def test_with_probability_0_a_folder_is_not_even_looked_for() -> None:
    assert Augmenter(AugmentConfig(noise="nowhere", noise_probability=0.0), RATE, 1).noises == []
