"""Alignments against exhaustive search and torchaudio; word times against posteriors whose words are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.decode.align import Shifts, align, best_path_score, fit_shifts, median_odds, right_words, word_times


def _random(generator: np.random.Generator, frames: int, tokens: int) -> np.ndarray:
    logits = generator.normal(0, 2, (frames, tokens))
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def _collapse(path: tuple[int, ...], blank: int) -> list[int]:
    return [token for token, _ in itertools.groupby(path) if token != blank]


def _score_of(log_probs: np.ndarray, tokens: list[int], spans: list[tuple[int, int]], blank: int) -> float:
    path = np.full(len(log_probs), blank)
    for token, (first, behind) in zip(tokens, spans, strict=True):
        path[first:behind] = token
    assert _collapse(tuple(path.tolist()), blank) == tokens
    return float(log_probs[np.arange(len(path)), path].sum())


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("vocabulary", [2, 3, 4])
def test_the_best_of_all_paths(frames: int, vocabulary: int) -> None:
    generator = np.random.default_rng(frames * 10 + vocabulary)
    log_probs = _random(generator, frames, vocabulary)
    blank = int(generator.integers(vocabulary))
    best: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(vocabulary), repeat=frames):
        spelled = tuple(_collapse(path, blank))
        score = float(log_probs[np.arange(frames), list(path)].sum())
        best[spelled] = max(best.get(spelled, -np.inf), score)
    for spelled, score in best.items():
        spans = align(log_probs, spelled, blank)
        assert _score_of(log_probs, list(spelled), spans, blank) == pytest.approx(score)
        assert best_path_score(log_probs, spelled, blank) == pytest.approx(score)


@pytest.mark.parametrize("seed", range(8))
def test_scores_are_those_of_torchaudio(seed: int) -> None:
    functional = pytest.importorskip("torchaudio.functional", reason="the oracle of forced alignment")
    generator = np.random.default_rng(seed)
    log_probs = _random(generator, 80, 12)
    tokens = generator.integers(1, 5, size=int(generator.integers(1, 40))).tolist()  # few, so that many repeat
    _, scores = functional.forced_align(torch.from_numpy(log_probs)[None], torch.tensor([tokens]), blank=0)
    assert best_path_score(log_probs, tokens, 0) == pytest.approx(float(scores.sum()))
    assert _score_of(log_probs, tokens, align(log_probs, tokens, 0), 0) == pytest.approx(float(scores.sum()))


def test_minus_infinity_is_a_path_not_taken() -> None:
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.array([[0.5, 0.5, 0.0], [0.1, 0.9, 0.0], [0.0, 0.0, 1.0]]))
    assert align(log_probs, [1, 2], 0) == [(0, 2), (2, 3)]
    with pytest.raises(ValueError, match=r"exclude the tokens \[2, 1\]"):
        align(log_probs, [2, 1], 0)


@pytest.mark.parametrize(
    ("tokens", "blank", "message"),
    [
        ([1, 1, 2], 0, "3 tokens need at least 4 frames, there are 3"),
        ([1, 2, 1, 2], 0, "4 tokens need at least 4 frames, there are 3"),
        ([0], 0, "not the blank, 0; there is a 0"),
        ([3], 0, "tokens must be 0 to 2"),
        ([1], 3, "the blank must be one of the 3 tokens"),
    ],
)
def test_what_cannot_be_aligned_is_refused(tokens: list[int], blank: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        align(_random(np.random.default_rng(0), 3, 3), tokens, blank)


def test_nothing_to_align() -> None:
    log_probs = _random(np.random.default_rng(0), 4, 3)
    assert align(log_probs, [], 0) == []
    assert align(np.zeros((0, 3)), [], 0) == []
    assert word_times(np.zeros((0, 3)), [], [], 0, 0.03, None) == []
    with pytest.raises(ValueError, match="need at least 1 frames, there are 0"):
        align(np.zeros((0, 3)), [1], 0)
    with pytest.raises(ValueError, match="shape"):
        align(log_probs, [1], 0, np.zeros(2))


SPANS = [(1, 5, 14), (2, 16, 30), (2, 33, 41), (3, 60, 72)]  # token, first frame, frame behind the last


def peaky(frames: int = 90, vocabulary: int = 5) -> np.ndarray:
    """What CTC makes of words at `SPANS`: a spike near each end, faint odds elsewhere in the word, fainter outside."""
    generator = np.random.default_rng(5)
    odds = generator.normal(-16, 0.5, (frames, vocabulary))
    for token, first, behind in SPANS:
        odds[first:behind, token] = np.linspace(-13, -8, behind - first)
        odds[behind - 2, token] = 6.0
    odds[:, 0] = 0.0
    return odds - np.log(np.exp(odds).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("learned", [False, True])
def test_words_are_where_their_posterior_stands_out_not_at_its_spike(learned: bool) -> None:
    log_probs = peaky()
    tokens = [token for token, _, _ in SPANS]
    background = median_odds([log_probs], 0) if learned else None
    times = word_times(log_probs, tokens, [[0], [1], [2], [3]], 0, 0.03, background)
    for (start, end), (_, first, behind) in zip(times, SPANS, strict=True):
        assert abs(start - 0.03 * first) <= 0.031 and abs(end - 0.03 * behind) <= 0.031
    spikes = align(log_probs, tokens, 0)
    assert [behind - first for first, behind in spikes] == [1, 1, 1, 1]  # which is why that is needed


def test_words_of_several_tokens_and_what_stands_between_them() -> None:
    log_probs = peaky()
    ((start, end), last) = word_times(log_probs, [1, 2, 2, 3], [[0, 1, 2], [3]], 0, 0.03, None)
    assert start == pytest.approx(0.15, abs=0.031) and end == pytest.approx(41 * 0.03, abs=0.031)
    assert last == pytest.approx((1.8, 2.16), abs=0.031)


@given(
    seed=st.integers(min_value=0, max_value=9999),
    frames=st.integers(min_value=1, max_value=40),
    shifts=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    short=st.floats(0, 0.1),
)
def test_times_are_in_order_and_inside_the_utterance(
    seed: int, frames: int, shifts: tuple[float, float], short: float
) -> None:
    generator = np.random.default_rng(seed)
    log_probs = _random(generator, frames, 4)
    count = int(generator.integers(0, frames // 2 + 1))
    tokens = generator.integers(1, 4, size=count).tolist()
    duration = max(0.0, frames * 0.03 - short)
    times = word_times(log_probs, tokens, [[one] for one in range(count)], 0, 0.03, None, Shifts(*shifts), duration)
    assert len(times) == count
    clock = 0.0
    for start, end in times:
        assert clock <= start <= end <= duration
        clock = end


def test_words_that_would_overlap_meet_half_way() -> None:
    log_probs = peaky()
    tokens, groups = [1, 2, 2, 3], [[0], [1], [2], [3]]
    plain = word_times(log_probs, tokens, groups, 0, 0.03, None)
    moved = word_times(log_probs, tokens, groups, 0, 0.03, None, Shifts(-0.12, 0.12))
    assert moved[0] == pytest.approx((plain[0][0] - 0.12, (plain[0][1] + plain[1][0]) / 2), abs=2e-3)
    assert moved[0][1] == moved[1][0]
    assert moved[3] == pytest.approx((plain[3][0] - 0.12, plain[3][1] + 0.12))


def test_the_background_is_the_median_of_the_odds() -> None:
    generator = np.random.default_rng(1)
    rows = [peaky(), _random(generator, 1, 5)]
    odds = np.concatenate([row - row[:, :1] for row in rows])
    expected = np.minimum(np.median(odds, axis=0), -5)
    assert median_odds(rows, 0) == pytest.approx(np.append(0.0, expected[1:]))
    assert np.isfinite(median_odds([np.array([[0.0, -np.inf]])], 1)).all()
    likely = np.log(np.array([[0.1, 0.9]] * 3))
    assert median_odds([likely], 0).tolist() == [0.0, -5.0]
    with pytest.raises(ValueError, match="at least one frame"):
        median_odds([np.zeros((0, 3))], 0)


def test_shifts_are_what_is_missing_in_the_median() -> None:
    true = [(0.1, 0.5), (0.7, 0.9), (1.0, 2.0)]
    measured = [(0.15, 0.4), (0.75, 0.8), (9.0, 1.9)]
    assert fit_shifts(measured, true) == Shifts(-0.05, 0.1)
    with pytest.raises(ValueError, match="here are 0 and 0"):
        fit_shifts([], [])


def test_only_words_that_were_recognised_right_are_measured() -> None:
    said, spans = ["one", "two", "three", "two"], [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0)]
    heard, times = ["uh", "one", "too", "two"], [(0.0, 0.1), (0.2, 0.9), (1.1, 1.9), (3.2, 4.1)]
    # "three" was not heard, "uh" not said, and "too" is not "two".
    found = right_words(said, spans, heard, times)
    assert found == [((0.2, 0.9), (0.0, 1.0)), ((3.2, 4.1), (3.0, 4.0))]
    assert right_words(said, spans, said, spans) == [(span, span) for span in spans]
    assert right_words(said, spans, [], []) == right_words([], [], heard, times) == []
