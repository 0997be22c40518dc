from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.transcribe.segment import quiet_pieces

_RATE = 1000


def _noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(3).uniform(0.5, 1, round(seconds * _RATE)).astype(np.float32)


@given(st.lists(st.integers(0, 4000), max_size=8), st.floats(1, 3))
def test_pieces_are_the_stream_and_short_enough_however_it_comes(lengths: list[int], longest: float) -> None:
    samples = np.random.default_rng(0).standard_normal(sum(lengths)).astype(np.float32)
    blocks = np.split(samples, np.cumsum(lengths)[:-1]) if lengths else []
    pieces = list(quiet_pieces(blocks, _RATE, longest))
    assert all(0 < len(piece) <= longest * _RATE for piece in pieces)
    np.testing.assert_array_equal(np.concatenate([samples[:0], *pieces]), samples)
    assert [len(piece) for piece in pieces] == [len(piece) for piece in quiet_pieces([samples], _RATE, longest)]


def test_every_cut_lies_in_a_pause() -> None:
    samples = _noise(60)
    pauses = [(start, start + 300) for start in range(2500, 60000, 2800)]  # one at least in every last third
    for start, end in pauses:
        samples[start:end] *= 0.01
    cuts = np.cumsum([len(piece) for piece in quiet_pieces([samples], _RATE, 10.0)])[:-1].tolist()
    assert len(cuts) >= 6
    for cut in cuts:
        assert any(start + 90 <= cut <= end - 90 for start, end in pauses), cut  # the window's half and rounding
    assert all(6600 <= after - before <= 10000 for before, after in pairwise([0, *cuts]))


def test_the_quieter_of_two_pauses_wins() -> None:
    samples = _noise(12)
    samples[7000:7300] *= 0.1
    samples[8500:8800] *= 0.01
    samples[3000:3400] = 0  # quieter still, but cutting there would waste what may be taken
    first = next(quiet_pieces([samples], _RATE, 10.0))
    assert 8590 <= len(first) <= 8710


@pytest.mark.parametrize("level", [0.0, 1e30])
def test_silence_and_absurd_samples_are_cut_all_the_same(level: float) -> None:
    samples = np.full(25 * _RATE, level, np.float32)
    pieces = list(quiet_pieces([samples], _RATE, 10.0))
    assert sum(map(len, pieces)) == len(samples)
    assert max(map(len, pieces)) <= 10 * _RATE


def test_what_fits_is_not_cut_and_nothing_gives_nothing() -> None:
    assert [len(piece) for piece in quiet_pieces([_noise(10)], _RATE, 10.0)] == [10 * _RATE]
    assert list(quiet_pieces([], _RATE, 10.0)) == []


def test_pieces_too_short_to_choose_a_cut_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 s"):
        list(quiet_pieces([_noise(1)], _RATE, 0.5))
