from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.transcribe.segment import PADDING, Window, speech_frames, speech_windows

_RATE = 8000
_FRAME = 240  # samples of an encoder frame


def _noise(seconds: float, level: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (level * random.standard_normal(round(seconds * _RATE))).astype(np.float32)


def _pink(seconds: float, level: float) -> np.ndarray:
    """As a room sounds: the lower, the louder."""
    count = round(seconds * _RATE)
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(count))
    samples = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1.0)), count)
    return (level * samples / samples.std()).astype(np.float32)


def _voice(seconds: float, level: float = 0.1) -> np.ndarray:
    """Harmonics of 120 Hz whose loudness follows syllables, with a closure of 60 ms every 0.25 s."""
    at = np.arange(round(seconds * _RATE)) / _RATE
    tone = sum(np.sin(2 * np.pi * 120 * k * at) / k for k in range(1, 25))
    syllables = np.where(at % 0.25 < 0.06, 0.003, np.sin(np.pi * (at % 0.25 - 0.06) / 0.19).clip(0.003))
    return (level * tone * syllables).astype(np.float32)


def _hum(seconds: float) -> np.ndarray:
    at = np.arange(round(seconds * _RATE)) / _RATE
    return (0.02 * sum(np.sin(2 * np.pi * 50 * k * at + k) / k for k in range(1, 12))).astype(np.float32)


def _windows(samples: np.ndarray, longest: float = 30.0, overlap: float = 4.0) -> list[Window]:
    return list(speech_windows([samples], _RATE, _FRAME, longest, overlap))


def _kept(samples: np.ndarray) -> np.ndarray:
    """Which samples come in some window. Bool, (samples,)."""
    kept = np.zeros(len(samples), bool)
    for window in _windows(samples):
        kept[window.begin : window.begin + len(window.samples)] = True
    return kept


@pytest.mark.parametrize("seconds", [0.5, 3.0, 40.0])
@pytest.mark.parametrize("kind", ["zeros", "offset", "hiss", "loud hiss", "room", "hum", "last bit", "fan"])
def test_silence_is_not_handed_on(kind: str, seconds: float) -> None:
    count = round(seconds * _RATE)
    samples = {
        "zeros": lambda: np.zeros(count, np.float32),
        "offset": lambda: np.full(count, 0.1, np.float32),
        "hiss": lambda: _noise(seconds, 1e-3),
        "loud hiss": lambda: 0.05 + _noise(seconds, 0.03),
        "room": lambda: _pink(seconds, 3e-3),
        "hum": lambda: _hum(seconds) + _noise(seconds, 1e-4),
        "last bit": lambda: np.round(_noise(seconds, 0.4)) / np.float32(32768),
        "fan": lambda: _pink(seconds, 6e-3) * (1 + 0.2 * np.sin(44 * np.arange(count) / _RATE)).astype(np.float32),
    }[kind]()
    assert _windows(samples) == []


def test_noise_that_sets_in_and_stops_is_noise_all_along() -> None:
    samples = np.concatenate([_pink(12, 1e-3), _pink(15, 2e-2), _pink(12, 1e-3)])
    # The step itself is a sound; but not what comes before or after it.
    assert np.count_nonzero(_kept(samples)) < 2 * _RATE


@pytest.mark.parametrize("gain", [1.0, 0.1, 0.003])
@pytest.mark.parametrize("place", [0.0, 1.3, 9.95, 15.0])
def test_speech_is_kept_with_what_is_before_and_behind_it(place: float, gain: float) -> None:
    voice, behind = _voice(2.0), 7.0
    samples = np.concatenate([np.zeros(round(place * _RATE), np.float32), voice, np.zeros(round(behind * _RATE))])
    samples = (gain * (samples + _noise(len(samples) / _RATE, 1e-3))).astype(np.float32)
    begin, end = round((place + 0.06) * _RATE), round((place + 2.0 - 0.02) * _RATE)
    margin = round((PADDING - 0.04) * _RATE)  # a window begins at the next encoder frame
    kept = _kept(samples)
    assert kept[max(begin - margin, 0) : end + margin].all()
    assert np.count_nonzero(kept) < len(voice) + 1.0 * _RATE


def test_soft_speech_beside_loud_speech_is_kept() -> None:
    soft, loud, pause = _voice(2.0, 0.003), _voice(4.0, 0.3), np.zeros(2 * _RATE, np.float32)
    samples = np.concatenate([pause, loud, pause, soft, pause, loud, pause])
    kept = _kept(samples + _noise(len(samples) / _RATE, 2e-4))
    assert kept[8 * _RATE + 480 : 10 * _RATE].all()
    assert not kept[round(6.6 * _RATE) : round(7.4 * _RATE)].any()


def test_a_soft_onset_is_kept() -> None:
    fade = np.linspace(0, 1, _RATE, dtype=np.float32)
    samples = np.concatenate([np.zeros(5 * _RATE, np.float32), _voice(3.0), np.zeros(5 * _RATE, np.float32)])
    samples[5 * _RATE : 6 * _RATE] *= fade
    assert _kept(samples + _noise(13, 1e-3))[round(5.1 * _RATE) : 8 * _RATE].all()


_SPEECH = np.concatenate(
    [_voice(3), _noise(2, 1e-3), _voice(5.3), _noise(1.1, 1e-3), _voice(0.4), _noise(11, 1e-3), _voice(14.5)]
)


@given(st.lists(st.integers(0, len(_SPEECH)), max_size=30), st.integers(1, len(_SPEECH)))
def test_how_the_stream_is_divided_has_no_influence(cuts: list[int], end: int) -> None:
    samples = _SPEECH[:end]
    whole = _windows(samples, 6.0, 2.0)
    blocks = np.split(samples, sorted(cut for cut in cuts if cut <= end))
    found = list(speech_windows(blocks, _RATE, _FRAME, 6.0, 2.0))
    assert [(one.begin, one.next, len(one.samples)) for one in found] == [
        (one.begin, one.next, len(one.samples)) for one in whole
    ]
    for one in found:
        np.testing.assert_array_equal(one.samples, samples[one.begin : one.begin + len(one.samples)])


@settings(max_examples=30)
@given(st.integers(1, len(_SPEECH)), st.integers(0, 12))
def test_where_the_chunks_begin_has_no_influence(end: int, more: int) -> None:
    quiet = _noise(10 + more, 1e-3, 7)  # so long that nothing before it is within reach of what is behind it

    def decided(*before: np.ndarray) -> np.ndarray:
        decided = np.concatenate([keep for _, keep in speech_frames([*before, _SPEECH[:end]], _RATE)])
        return decided[sum(map(len, before)) // (_RATE // 100) :]

    np.testing.assert_array_equal(decided(quiet, quiet), decided(quiet))


@pytest.mark.parametrize("longest", [6.0, 8.0, 30.0])
def test_speech_without_pauses_comes_in_windows_that_overlap_by_whole_frames(longest: float) -> None:
    samples = _voice(47.0) + _noise(47, 1e-3)
    windows = _windows(samples, longest, 2.0)
    assert windows[0].begin == 0
    assert [one.next for one in windows] == [*(one.begin for one in windows[1:]), None]
    for one, after in pairwise(windows):
        assert one.begin % _FRAME == 0
        assert longest - 0.03 < len(one.samples) / _RATE <= longest
        shared = one.begin + len(one.samples) - after.begin
        assert 2.0 - 0.03 <= shared / _RATE <= 2.0 + 0.06
    last = windows[-1]
    assert 2.0 < len(last.samples) / _RATE <= longest
    assert last.begin + len(last.samples) == len(samples)


def test_absurd_samples_are_handed_on_and_hide_nothing() -> None:
    samples = np.concatenate([_noise(8, 1e-3), _voice(2), _noise(15, 1e-3), _voice(2), _noise(2, 1e-3)])
    samples[8 * _RATE + 1000] = 1e30
    kept = _kept(samples)
    assert kept[8 * _RATE + 500 : 10 * _RATE].all()
    assert kept[25 * _RATE + 500 : 27 * _RATE].all()


def test_nothing_gives_nothing() -> None:
    assert list(speech_windows([], _RATE, _FRAME)) == []
    assert list(speech_windows([np.empty(0, np.float32)], _RATE, _FRAME)) == []


@pytest.mark.parametrize(("longest", "overlap"), [(2.0, 2.0), (2.0, 3.0), (2.0, 1.99), (0.01, 0.0)])
def test_windows_that_would_not_move_on_are_refused(longest: float, overlap: float) -> None:
    with pytest.raises(ValueError, match="do not move on"):
        _windows(_voice(1), longest, overlap)


def test_it_is_far_faster_than_real_time() -> None:
    samples = np.tile(_SPEECH, 4)
    begin = time.process_time()
    assert _windows(samples)
    assert len(samples) / _RATE / (time.process_time() - begin) > 500  # thousands, on a core that is free
