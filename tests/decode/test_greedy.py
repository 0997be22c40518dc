from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.config import TokenConfig
from asr.decode.greedy import best_path, greedy
from asr.decode.hypothesis import unfit
from asr.tokens import Tokenizer, train_tokenizer


def _random(seed: int, steps: int, tokens: int) -> np.ndarray:
    """Log-probs of shape (steps, tokens), peaky enough for runs of equal tokens."""
    logits = np.random.default_rng(seed).normal(0, 3, (steps, tokens))
    if steps > 2:
        logits[1::3] = logits[: len(logits[1::3])]
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


def _certain(path: list[int], tokens: int, probability: float = 0.9) -> np.ndarray:
    """Log-probs whose best token of each frame is that of ``path``."""
    rest = (1 - probability) / (tokens - 1)
    return np.log(np.where(np.array(path)[:, None] == np.arange(tokens), probability, rest))


@pytest.fixture
def tokenizer() -> Tokenizer:
    return train_tokenizer(TokenConfig(), ["ab c"])  # <blank> <space> a b c


@given(
    seed=st.integers(min_value=0, max_value=9999),
    steps=st.integers(min_value=0, max_value=30),
    tokens=st.integers(min_value=1, max_value=4),
    data=st.data(),
)
def test_the_best_path_collapsed(seed: int, steps: int, tokens: int, data: st.DataObject) -> None:
    blank = data.draw(st.integers(min_value=0, max_value=tokens - 1))
    log_probs = _random(seed, steps, tokens)
    path = best_path(log_probs, blank)
    frames = [int(row.argmax()) for row in log_probs]
    runs = [(token, len(list(run))) for token, run in itertools.groupby(frames)]
    assert [token for token, _, _ in path] == [token for token, _ in runs if token != blank]
    for token, start, end in path:
        assert frames[start:end] == [token] * (end - start)
        assert end > start
        assert start == 0 or frames[start - 1] != token
        assert end == steps or frames[end] != token


def test_repeats_need_a_blank_between() -> None:
    log_probs = _certain([2, 2, 0, 2, 3, 3, 0], 5)
    assert best_path(log_probs, 0) == [(2, 0, 2), (2, 3, 4), (3, 4, 6)]
    assert best_path(log_probs, 3) == [(2, 0, 2), (0, 2, 3), (2, 3, 4), (0, 6, 7)]


def test_times_confidences_and_score(tokenizer: Tokenizer) -> None:
    log_probs = _certain([0, 2, 2, 0, 3, 1, 0, 4, 4, 4], 5)  # _ a a _ b ␣ _ c c c
    log_probs[1] = _certain([2], 5, probability=0.4)[0]
    hypothesis = greedy(log_probs, 0, tokenizer, frame_seconds=0.03)
    assert hypothesis.text == "ab c"
    first, second = hypothesis.words
    assert (first.word, first.start, first.end) == ("ab", 0.03, 0.15)
    assert (second.word, second.start, second.end) == ("c", 0.21, 0.3)
    assert first.confidence == second.confidence == pytest.approx(0.9)  # the peak of the run counts
    assert hypothesis.score == pytest.approx(9 * np.log(0.9) + np.log(0.4))


def test_the_confidence_is_the_geometric_mean_of_the_tokens(tokenizer: Tokenizer) -> None:
    log_probs = np.concatenate([_certain([2], 5, 0.9), _certain([3], 5, 0.4)])
    (word,) = greedy(log_probs, 0, tokenizer, 0.03).words
    assert word.confidence == pytest.approx(0.6, abs=1e-4)


@given(seed=st.integers(min_value=0, max_value=9999), steps=st.integers(min_value=0, max_value=40))
def test_words_are_in_order_and_inside_the_utterance(seed: int, steps: int) -> None:
    tokenizer = train_tokenizer(TokenConfig(), ["ab c"])
    hypothesis = greedy(_random(seed, steps, 5), 0, tokenizer, 0.04)
    assert hypothesis.text == " ".join(word.word for word in hypothesis.words)
    clock = 0.0
    for word in hypothesis.words:
        assert clock <= word.start < word.end <= round(steps * 0.04, 3)
        assert 0 < word.confidence <= 1
        clock = word.end
    assert hypothesis.score <= 0


@pytest.mark.parametrize("log_probs", [np.zeros((0, 5), np.float32), _certain([0, 0, 0], 5), _certain([1, 0, 1], 5)])
def test_nothing_said(log_probs: np.ndarray, tokenizer: Tokenizer) -> None:
    hypothesis = greedy(log_probs, 0, tokenizer, 0.03)
    assert (hypothesis.text, hypothesis.words) == ("", [])


def test_minus_infinity_is_a_log_probability() -> None:
    log_probs = np.array([[-np.inf, 0.0], [0.0, -np.inf]])
    assert best_path(log_probs, 0) == [(1, 0, 1)]


@pytest.mark.parametrize(
    ("log_probs", "blank", "seen"),
    [
        (np.exp(_certain([0, 1], 3)), 0, r"at most 0, this is an array of shape \(2, 3\) whose largest is 0\.9"),
        (_certain([0, 1], 3) * 0.2, 0, r"sum to 1, this is an array of shape \(2, 3\) with sums of"),
        (np.log(np.full((4, 3), 0.5)), 0, r"shape \(4, 3\) with sums of 1\.5 to 1\.5"),
        (_certain([0, 1], 3)[None], 0, r"shape \(S, V\), this is shape \(1, 2, 3\), float64"),
        (_certain([0, 1], 3)[0], 0, r"this is shape \(3,\), float64"),
        (np.zeros((2, 3), dtype=int), 0, r"this is shape \(2, 3\), int64"),
        (torch.zeros(2, 3), 0, r"this is <class 'torch\.Tensor'>"),
        ([[0.0]], 0, r"this is <class 'list'>"),
        (np.full((2, 3), np.nan), 0, r"shape \(2, 3\) whose largest is nan"),
        (np.full((2, 3), np.inf), 0, "whose largest is inf"),
        (_certain([0, 1], 3), 3, "one of the 3 tokens, this is 3"),
        (_certain([0, 1], 3), -1, "one of the 3 tokens, this is -1"),
        (np.zeros((2, 0)), 0, "one of the 0 tokens"),
    ],
)
def test_what_is_no_matrix_of_log_probs_is_refused_with_what_was_seen(
    log_probs: np.ndarray, blank: int, seen: str
) -> None:
    with pytest.raises(ValueError, match=seen):
        best_path(log_probs, blank)


def test_unfit() -> None:
    assert unfit(_certain([0], 3)) is None
    assert unfit(np.zeros((0, 3))) is None
    assert "no numbers" in str(unfit(np.array([[np.nan, 0.0]])))
