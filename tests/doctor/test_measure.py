from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from asr.doctor.measure import QUIETEST, clipped_samples, measure, pauses
from asr.manifest import Utterance
from tests.doctor.speech import RATE, babble


def _recorded(folder: Path, name: str, samples: np.ndarray, rate: int = RATE, **how: str) -> Utterance:
    path = folder / name
    soundfile.write(path, samples, rate, **how)
    return Utterance(path.stem, path, len(samples) / rate, "words")


@given(
    pitch=st.floats(min_value=50, max_value=4000),
    rate=st.sampled_from([8000, 16000, 48000]),
    scale=st.floats(min_value=0.5, max_value=1.0),
)
def test_a_wave_that_reaches_full_scale_is_not_clipped(pitch: float, rate: int, scale: float) -> None:
    if rate / pitch == round(rate / pitch) and rate / pitch < 8:
        return  # the samples of a crest can be equal where there are so few of them
    wave = scale * np.sin(2 * np.pi * pitch * np.arange(rate) / rate)
    rounded = np.round(wave / np.abs(wave).max() * 32767) / 32768
    assert clipped_samples(rounded) < 0.001 * rate


@pytest.mark.parametrize("ceiling", [1.0, 32767 / 32768, 0.985])
@given(gain=st.floats(min_value=1.5, max_value=50), seed=st.integers(0, 100))
def test_what_is_cut_off_is_counted(ceiling: float, gain: float, seed: int) -> None:
    # At 200 Hz the same few phases come again and again, and one a hair below the ceiling would count a hundred times.
    wave = gain * np.sin(2 * np.pi * 203.7 * np.arange(RATE) / RATE + seed)
    cut = np.clip(wave, -ceiling, ceiling)
    lost = int((np.abs(wave) >= ceiling).sum())
    assert abs(clipped_samples(cut) - lost) <= 0.005 * lost


def test_one_peak_at_full_scale_is_not_clipping() -> None:
    samples = 0.1 * np.random.default_rng(1).standard_normal(RATE)
    samples[[100, 5000, 5001]] = 1.0
    assert clipped_samples(samples) == 0


def test_pauses_are_the_quiet_ends() -> None:
    loud, quiet = np.full(50, 1e-2), np.full(30, 1e-8)
    assert pauses(np.concatenate([quiet, loud, quiet, loud, quiet[:7]])) == (30, 7)
    assert pauses(loud) == (0, 0)
    assert pauses(np.zeros(9)) == (9, 0)


def test_numbers_are_those_of_the_samples(tmp_path: Path) -> None:
    samples = np.concatenate([np.zeros(RATE), 0.25 * np.sin(np.arange(RATE) * 0.3), np.zeros(RATE // 2)]) + 0.1
    seen = measure(_recorded(tmp_path, "a.wav", samples, subtype="FLOAT"))
    assert (seen.rate, seen.channels, seen.seconds, seen.fault, seen.misfit) == (RATE, 1, 2.5, "", "")
    assert seen.peak == pytest.approx(np.abs(samples).max(), abs=1e-4)
    assert seen.level == pytest.approx(10 * np.log10(np.mean(samples**2)), abs=0.01)
    assert seen.offset == pytest.approx(np.mean(samples), abs=1e-4)
    centred = measure(_recorded(tmp_path, "b.wav", samples - 0.1, subtype="FLOAT"))
    assert (centred.before, centred.after) == (1.0, 0.5)


def test_length_in_memory_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utterance = _recorded(tmp_path, "a.wav", babble("several words that take their time to be said", 1))
    whole = measure(utterance)
    monkeypatch.setattr("asr.doctor.measure._BLOCK", 7)
    pieces = measure(utterance)
    assert pieces.digest == whole.digest
    assert pieces.level == pytest.approx(whole.level) and pieces.before == whole.before


def test_a_copy_in_another_container_has_the_same_digest(tmp_path: Path) -> None:
    samples = np.round(babble("the same", 1) * 32768).astype(np.int16)
    digests = {measure(_recorded(tmp_path, f"a.{suffix}", samples)).digest for suffix in ("wav", "flac", "aiff")}
    both = np.stack([samples, samples], axis=1)
    digests.add(measure(_recorded(tmp_path, "stereo.wav", both)).digest)
    assert len(digests) == 1
    assert measure(_recorded(tmp_path, "b.wav", samples[1:])).digest not in digests


def test_a_segment_is_measured_alone(tmp_path: Path) -> None:
    samples = np.concatenate([np.zeros(RATE), babble("abc", 1)])
    path = _recorded(tmp_path, "long.wav", samples).audio
    silent = measure(Utterance("s", path, 0.9, "", offset=0.0))
    assert (silent.level, silent.digest, silent.seconds) == (QUIETEST, "", 0.9)
    spoken = measure(Utterance("s", path, len(samples) / RATE - 1, "", offset=1.0))
    assert spoken.digest == measure(_recorded(tmp_path, "b.wav", babble("abc", 1))).digest
    assert "the manifest says" in measure(Utterance("s", path, 1.0, "", offset=50.0)).misfit
    assert "the manifest says" in measure(Utterance("s", path, 50.0, "", offset=1.0)).misfit


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file"), (b"", "0 bytes"), (b"not audio", "not audio")],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    seen = measure(Utterance("a", path, 1.0, "words"))
    assert reason in seen.fault and not seen.misfit and not seen.digest


def test_samples_that_are_no_numbers_are_a_fault(tmp_path: Path) -> None:
    samples = babble("abc", 1)
    samples[7] = np.nan
    assert "1 samples are NaN" in measure(_recorded(tmp_path, "a.wav", samples, subtype="FLOAT")).fault
