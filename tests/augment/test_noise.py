"""Noise: the ratio that was asked for, folders of every kind, colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.augment import noise as module
from asr.augment.noise import coloured_noise, mix, noise_recordings, read_noise
from asr.errors import AsrError
from asr.loudness import root_mean_square, speech_level

RATE = 16000


def random() -> np.random.Generator:
    return np.random.default_rng(1)


def speech(pause: float = 0.5) -> np.ndarray:
    """One second of a loud hum, and so many seconds of near silence on either side."""
    hum = 0.2 * np.sin(2 * np.pi * 150 * np.arange(RATE) / RATE)
    quiet = 1e-5 * random().standard_normal(round(pause * RATE))
    return np.concatenate([quiet, hum, quiet]).astype(np.float32)


@pytest.mark.parametrize("pause", [0.0, 0.5, 4.0])
def test_the_level_of_speech_does_not_count_the_pauses(pause: float) -> None:
    assert speech_level(speech(pause), RATE) == pytest.approx(0.2 / np.sqrt(2), rel=0.01)


@pytest.mark.parametrize("snr", [-5.0, 0.0, 12.3, 40.0])
def test_the_ratio_is_met(snr: float) -> None:
    """Measured by other means: the hum alone against what was added."""
    clean = speech()
    for noise in (coloured_noise(len(clean), RATE, -4.0, random()), np.full(len(clean), 1e-3, np.float32)):
        added = mix(clean, noise, snr, RATE) - clean
        hum = clean[RATE // 2 : RATE // 2 + RATE]
        assert 20 * np.log10(hum.std() / root_mean_square(added)) == pytest.approx(snr, abs=0.1)


def test_silence_stays_as_it_is() -> None:
    silence, noise = np.zeros(RATE, np.float32), coloured_noise(RATE, RATE, 0.0, random())
    np.testing.assert_array_equal(mix(silence, noise, 10.0, RATE), silence)
    np.testing.assert_array_equal(mix(noise, silence, 10.0, RATE), noise)
    assert np.isfinite(mix(noise[:5], noise[:5], 10.0, RATE)).all()  # shorter than a frame
    faint = noise * np.float32(1e-38) * np.float32(1e-4)
    assert faint.any()
    assert np.isfinite(mix(noise, faint, 10.0, RATE)).all()
    assert not len(mix(noise[:0], noise[:0], 10.0, RATE))


@pytest.mark.parametrize("slope", [0.0, -3.0, -6.0, 3.0])
def test_noise_has_the_slope_of_its_colour(slope: float) -> None:
    power = np.abs(np.fft.rfft(coloured_noise(60 * RATE, RATE, slope, random()))) ** 2
    hertz = np.fft.rfftfreq(60 * RATE, 1 / RATE)
    octaves = [10 * np.log10(power[(hertz >= low) & (hertz < 2 * low)].mean()) for low in (100, 200, 400, 800, 1600)]
    assert np.diff(octaves) == pytest.approx(slope, abs=0.3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Noise of several rates and channels, in subfolders, and what stands beside noise elsewhere."""
    (tmp_path / "music").mkdir()
    soundfile.write(tmp_path / "b.wav", 0.1 * random().standard_normal(3 * RATE), RATE)
    soundfile.write(tmp_path / "music" / "a.flac", 0.1 * random().standard_normal((3 * 44100, 2)), 44100)
    soundfile.write(tmp_path / "music" / "c.WAV", 0.1 * random().standard_normal(900), 8000)
    (tmp_path / "README").write_text("noise")
    (tmp_path / "LICENSE.txt").write_text("free")
    return tmp_path


def test_recordings_are_listed_sorted_and_other_files_passed_over(folder: Path) -> None:
    found = noise_recordings(folder)
    assert [one.name for one in found] == ["b.wav", "music/a.flac", "music/c.WAV"]
    assert [(one.rate, one.frames) for one in found] == [(RATE, 3 * RATE), (44100, 3 * 44100), (8000, 900)]


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("length", [1, 100, RATE, 3 * RATE - 1, 3 * RATE, 3 * RATE + 1, 10 * RATE])
def test_noise_of_any_rate_and_length_fills_the_utterance(folder: Path, number: int, length: int) -> None:
    one = noise_recordings(folder)[number]
    first, second = (read_noise(one, RATE, length, np.random.default_rng(seed)) for seed in (1, 2))
    assert first.shape == (length,)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    if length > 100:
        assert root_mean_square(first) > 0.03
        if length != 3 * RATE - 1:  # where the stretch fits in one place only
            assert not np.array_equal(first, second)
        repeated = read_noise(one, RATE, length, np.random.default_rng(1))
        np.testing.assert_array_equal(first, repeated)


def test_what_is_too_short_is_repeated(folder: Path) -> None:
    samples = read_noise(noise_recordings(folder)[2], RATE, 5400, random())
    np.testing.assert_array_equal(samples[:1800], samples[1800:3600])


def test_stereo_is_averaged_and_resampled(tmp_path: Path) -> None:
    time = np.arange(44100) / 44100
    tone = 0.4 * np.sin(2 * np.pi * 1000 * time)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, np.zeros_like(tone)], axis=1), 44100)
    samples = read_noise(noise_recordings(tmp_path)[0], RATE, 8000, random())
    assert samples.std() == pytest.approx(0.2 / np.sqrt(2), rel=0.01)
    assert np.argmax(np.abs(np.fft.rfft(samples))) == 500  # 1000 Hz in half a second


def test_only_what_is_needed_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, seen = noise_recordings(folder)[1], []
    monkeypatch.setattr(
        module, "read_audio", lambda path, rate, offset, duration: seen.append(duration) or np.ones(rate, np.float32)
    )
    read_noise(one, RATE, RATE, random())
    assert seen == [pytest.approx(1.0, abs=1e-3)]


def _refused(folder: Path) -> str:
    with pytest.raises(AsrError) as caught:
        noise_recordings(folder)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("augment.noise: ")
    return str(caught.value)


def test_folders_that_cannot_be_used(folder: Path, tmp_path: Path) -> None:
    assert "nowhere: there is no such folder" in _refused(tmp_path / "nowhere")
    assert "README: there is no such folder" in _refused(folder / "README")
    (tmp_path / "empty").mkdir()
    assert "empty: holds no audio files; put noise or music there" in _refused(tmp_path / "empty")
    (tmp_path / "empty" / "note.txt").write_text("no noise")
    assert "empty: holds no audio files" in _refused(tmp_path / "empty")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: b"", "the file is empty"),
        (lambda data: b"This is not audio.", "not audio that libsndfile reads"),
        (lambda data: data[: len(data) // 2], "truncated"),
    ],
)
@pytest.mark.parametrize("name", ["b.wav", "music/a.flac"])
def test_a_file_that_cannot_be_read_is_named(folder: Path, name: str, spoil: object, reason: str) -> None:
    path = folder / name
    path.write_bytes(spoil(path.read_bytes()))  # type: ignore[operator]
    sentence = _refused(folder)
    assert str(path) in sentence
    assert reason in sentence
    assert sentence.endswith("or take it out of the folder")
