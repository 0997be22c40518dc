from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from asr.manifest import Utterance
from asr.score.media import (
    BASE64,
    MediaSettings,
    Recording,
    compress,
    front_end,
    link,
    playing_rate,
    posterior_bytes,
    recordings,
    resolution,
    spectrogram,
)


def _noise(seconds: float, rate: int, seed: int = 1) -> np.ndarray:
    """Noise that has energy where MP3 keeps it."""
    raw = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    smooth = np.convolve(raw, np.hanning(9), mode="same")
    return (0.2 * smooth / np.abs(smooth).max()).astype(np.float32)


def _recorded(folder: Path, names: list[str], seconds: float = 0.5) -> list[Utterance]:
    for number, name in enumerate(names):
        soundfile.write(folder / f"{name}.wav", _noise(seconds, 16000, number), 16000)
    return [Utterance(name, folder / f"{name}.wav", seconds, "") for name in names]


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000])
@pytest.mark.parametrize("seconds", [0.01, 0.3, 2.0])
def test_compressed_audio_is_as_long_and_in_step(rate: int, seconds: float) -> None:
    samples = _noise(seconds, rate)
    heard, at = soundfile.read(io.BytesIO(compress(samples, rate)), dtype="float32")
    assert at == rate
    assert len(heard) == len(samples)
    if seconds > 1:  # the best match is found where it was, to the sample
        part = samples[rate // 2 : rate]
        lags = np.correlate(heard[rate // 2 - 200 : rate + 200], part, mode="valid")
        assert int(np.argmax(lags)) == 200


def test_compressed_audio_is_small() -> None:
    assert len(compress(_noise(10, 16000), 16000)) < 10 * 6000


@pytest.mark.parametrize(
    ("rate", "played"), [(8000, 8000), (16000, 16000), (44100, 16000), (48000, 16000), (6000, 16000)]
)
def test_rates_that_are_played(rate: int, played: int) -> None:
    assert playing_rate(rate) == played


def _shades(blob: bytes, bands: int) -> np.ndarray:
    """What the page's script makes of it, shape (T, bands)."""
    differences = np.frombuffer(zlib.decompress(blob), np.uint8).reshape(-1, bands)
    return np.cumsum(differences, axis=1, dtype=np.uint8)


@pytest.mark.parametrize("hours", [0.1, 2, 4, 8, 20])
@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_spectrogram_shows_a_tone_where_it_is(hours: float, rate: int) -> None:
    kept = resolution(3600 * hours)
    assert kept is not None
    features = front_end(rate, kept)
    seconds = 1.6
    time = np.arange(round(seconds * rate)) / rate
    loudest = []
    for hertz in (300, 1200, 3000):
        tone = np.where(time < seconds / 2, 0.5 * np.sin(2 * np.pi * hertz * time), 1e-4 * _noise(seconds, rate))
        shades = _shades(spectrogram(tone.astype(np.float32), features, kept), kept.bands)
        assert abs(len(shades) - seconds * 1000 / kept.shift) <= 1
        assert shades.max() == kept.levels - 1
        first, second = shades[: len(shades) // 2 - 1], shades[len(shades) // 2 + 2 :]
        assert first.max(axis=1).min() > second.max()
        bands = first.argmax(axis=1)
        assert bands.max() - bands.min() <= 1
        loudest.append(int(bands[0]))
    assert loudest == sorted(set(loudest))


@pytest.mark.parametrize("samples", [np.zeros(16000, np.float32), np.zeros(1, np.float32), np.ones(50, np.float32)])
def test_silence_and_snippets_have_a_spectrogram_too(samples: np.ndarray) -> None:
    kept = resolution(1.0)
    assert kept is not None
    assert _shades(spectrogram(samples, front_end(16000, kept), kept), kept.bands).max(initial=0) < kept.levels


def test_more_audio_is_shown_more_coarsely_and_stays_within_bounds() -> None:
    previous = None
    for hours in np.arange(0.5, 40, 0.5):
        kept = resolution(3600 * hours)
        if kept is None:
            assert hours > 28
            continue
        assert 3600 * hours * kept.bytes_per_second * BASE64 <= 18e6
        assert previous is None or kept.bytes_per_second <= previous
        previous = kept.bytes_per_second
    kept = resolution(2620 * 7.4)
    assert kept is not None
    # Even noise, which no compression makes smaller, leaves room for the rest of the page's 30 MB.
    worst = 1000 / kept.shift * kept.bands * np.log2(kept.levels) / 8
    assert 2620 * 7.4 * worst * BASE64 < 20e6


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 65535), st.integers(0, 255)), max_size=40))
def test_posteriors_come_back(entries: list[tuple[int, int, int]]) -> None:
    entries.sort()
    frames, tokens, shades = (np.array([one[place] for one in entries], dtype=np.int64) for place in range(3))
    raw = zlib.decompress(posterior_bytes(frames, tokens, shades / 255))
    number = len(raw) // 5
    assert number == len(entries)
    steps = np.frombuffer(raw, "<u2", number)
    assert np.cumsum(steps).tolist() == frames.tolist()
    assert np.frombuffer(raw, "<u2", number, 2 * number).tolist() == tokens.tolist()
    assert np.frombuffer(raw, np.uint8, number, 4 * number).tolist() == shades.tolist()


@pytest.mark.parametrize("name", ["a b#c?d%e.wav", "ü/ß.wav", "&<img>.wav"])
def test_a_link_leads_from_the_page_to_the_file(tmp_path: Path, name: str) -> None:
    audio = tmp_path / "audio" / name
    audio.parent.mkdir(parents=True)
    audio.touch()
    folder = tmp_path / "exp" / "decode"
    folder.mkdir(parents=True)
    found = urlsplit(link(Utterance("a", audio, 1.5, "", offset=2.25), folder))
    assert (found.scheme, found.netloc, found.query) == ("", "", "")
    assert found.fragment == "t=2.250,3.750"
    assert not Path(found.path).is_absolute()
    assert (folder / unquote(found.path)).samefile(audio)
    assert urlsplit(link(Utterance("a", audio, 1.5, ""), folder)).fragment == ""


def _found(utterances: list[Utterance], limit: float, folder: Path) -> list[Recording]:
    return list(recordings(utterances, MediaSettings(limit), resolution(100.0), folder))


def test_audio_is_embedded_in_order_until_the_limit(tmp_path: Path) -> None:
    utterances = _recorded(tmp_path, [f"u{number:02}" for number in range(40)])
    everything = _found(utterances, 20, tmp_path)
    assert all(one.audio and one.link is None and one.error is None for one in everything)
    sizes = np.cumsum([BASE64 * len(one.audio or b"") for one in everything])
    limit = float(sizes[17] + 1) / 1e6
    found = _found(utterances, limit, tmp_path)
    assert [one.audio is not None for one in found] == [True] * 18 + [False] * 22
    assert [one.audio for one in found[:18]] == [one.audio for one in everything[:18]]
    assert [one.link for one in found[18:]] == [f"{one.id}.wav" for one in utterances[18:]]
    assert [one.spectrogram for one in found] == [one.spectrogram for one in everything]
    nothing = _found(utterances, 0, tmp_path)
    assert all(one.audio is None and one.link and one.spectrogram for one in nothing)


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    utterances = _recorded(tmp_path, ["a", "b", "c", "d"])
    (tmp_path / "b.wav").unlink()
    (tmp_path / "c.wav").write_bytes(b"")
    found = _found(utterances, 20, tmp_path)
    assert [one.error is None for one in found] == [True, False, False, True]
    assert "no such file" in str(found[1].error)
    assert "empty" in str(found[2].error)
    assert all(one.audio is None and one.link is None and one.spectrogram is None for one in found[1:3])


def test_only_the_utterances_stretch_is_embedded(tmp_path: Path) -> None:
    samples = np.stack([_noise(4, 44100, 1), _noise(4, 44100, 2)], axis=1)
    soundfile.write(tmp_path / "long.flac", samples, 44100)
    (found,) = _found([Utterance("a", tmp_path / "long.flac", 0.75, "", offset=2.0)], 20, tmp_path)
    heard, rate = soundfile.read(io.BytesIO(found.audio or b""))
    assert (rate, heard.ndim) == (16000, 1)
    assert len(heard) == pytest.approx(0.75 * 16000, abs=1)


def test_readers_stay_only_so_far_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import asr.audio as audio
    import asr.score.media as media

    utterances = _recorded(tmp_path, [f"u{number:03}" for number in range(60)], 0.02)
    opened: list[str] = []
    probe = audio.probe
    monkeypatch.setattr(audio, "probe", lambda path: opened.append(os.fspath(path)) or probe(path))
    stream = recordings(utterances, MediaSettings(), None, tmp_path)
    for taken in range(1, 20):
        next(stream)
        assert len(opened) <= taken + media._AHEAD
    stream.close()
    assert len(opened) < len(utterances)
