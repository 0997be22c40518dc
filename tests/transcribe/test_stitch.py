from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.decode.greedy import greedy
from asr.tokens import BLANK, Tokenizer
from asr.transcribe.stitch import join, widest_gap
from tests.transcribe.listener import FRAME, Listener, say

_WORDS = Tokenizer("word", ["<blank>", *"abcdefgh"])
_LETTERS = Tokenizer("char", ["<blank>", "<space>", *"abcdefg"])
_tokens = st.lists(st.integers(0, 8), min_size=1, max_size=400)


def _text(rows: np.ndarray, tokenizer: Tokenizer) -> str:
    return greedy(rows, BLANK, tokenizer, 0.03).text


def _log_probs(frames: int, seed: int) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, 3, (frames, 9))
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), np.float32)


@given(_tokens, st.integers(1, 3), st.integers(4, 60), st.floats(0.1, 0.9))
def test_windows_joined_are_the_whole_whatever_a_window_hears_at_its_edges(
    tokens: list[int], frames: int, size: int, share: float
) -> None:
    """No word is lost or doubled, and each is where it was."""
    overlap = max(1, int(share * size))
    samples = say([0] * 12 + [token or 1 for token in tokens] + [0] * 12, frames)
    rows = None
    for first in range(0, len(samples) // FRAME, size - overlap):
        (heard,) = Listener(_WORDS, edge=overlap // 4).log_probs([samples[first * FRAME : (first + size) * FRAME]])
        rows = heard if rows is None else join(rows, heard, len(rows) - first)
        if len(rows) == len(samples) // FRAME:
            break
    (whole,) = Listener(_WORDS).log_probs([samples])
    assert rows is not None
    np.testing.assert_allclose(rows, whole, atol=1e-5)
    assert _text(rows, _WORDS).split() == [_WORDS.symbols[token or 1] for token in tokens]


@given(st.integers(1, 40), st.integers(0, 30), st.integers(0, 30), st.integers(0, 99))
def test_a_join_is_each_of_its_windows_near_the_other_s_edge_and_between_them_in_between(
    shared: int, left: int, right: int, seed: int
) -> None:
    before, after = _log_probs(left + shared, seed), _log_probs(shared + right, seed + 100)
    joined = join(before, after, shared)
    assert joined.dtype == np.float32
    assert len(joined) == left + shared + right
    quarter = shared // 4
    np.testing.assert_allclose(joined[: left + quarter], before[: left + quarter], rtol=1e-6)
    np.testing.assert_allclose(joined[len(joined) - right - quarter :], after[shared - quarter :], rtol=1e-6)
    both = np.stack([before[left:], after[:shared]])
    assert (joined[left : left + shared] >= both.min(axis=0) - 1e-5).all()
    assert (joined[left : left + shared] <= both.max(axis=0) + 1e-5).all()
    np.testing.assert_allclose(np.exp(joined, dtype=np.float64).sum(axis=1), 1, atol=1e-5)


def test_windows_that_say_the_same_are_not_changed_and_impossible_stays_impossible() -> None:
    rows = _log_probs(50, 1)
    rows[:, 3] = -np.inf
    joined = join(rows[:30], rows[10:], 20)
    np.testing.assert_allclose(joined, rows, rtol=1e-6)
    assert (joined[:, 3] == -np.inf).all()


@pytest.mark.parametrize("tokenizer", [_WORDS, _LETTERS])
@given(_tokens, st.integers(0, 400), st.integers(1, 400), st.data())
def test_no_cut_goes_through_a_word_where_there_is_another_place(
    tokenizer: Tokenizer, tokens: list[int], first: int, more: int, data: st.DataObject
) -> None:
    repeats = data.draw(st.lists(st.integers(1, 3), min_size=len(tokens), max_size=len(tokens)))
    path = np.repeat(tokens, repeats)
    rows = np.full((len(path), 9), np.log(0.01), np.float32)
    rows[np.arange(len(path)), path] = np.log(0.92)
    first = min(first, len(path) - 1)
    behind = min(first + more, len(path))
    cut = widest_gap(rows, tokenizer, first, behind)
    assert first <= cut < behind
    halves = " ".join([_text(rows[:cut], tokenizer), _text(rows[cut:], tokenizer)]).split()
    whole = _text(rows, tokenizer).split()
    possible = [
        place
        for place in range(first, behind)
        if " ".join([_text(rows[:place], tokenizer), _text(rows[place:], tokenizer)]).split() == whole
    ]
    assert halves == whole or cut not in possible
    if possible:
        assert halves == whole


def test_the_cut_is_in_the_middle_of_the_longest_pause_that_may_be_cut() -> None:
    path = [2, 2, *[0] * 9, 1, *[0] * 30, 3, *[0] * 5, 4, 1, *[0] * 11, 5, *[0] * 40]  # letters, 1: a space
    rows = np.full((len(path), 9), np.log(0.01), np.float32)
    rows[np.arange(len(path)), path] = np.log(0.92)
    assert widest_gap(rows, _LETTERS, 0, len(path)) == 22  # with its space it is 40 frames long
    assert widest_gap(rows, _LETTERS, 30, 70) == 36  # what is left of it still is
    assert widest_gap(rows, _LETTERS, 40, 70) == 55
