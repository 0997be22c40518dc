"""CTC's prefix scores against sums over every alignment, one by one."""

from __future__ import annotations

import numpy as np
import pytest

from asr.decode.prefix import empty_masses, extend_masses, prefix_scores, whole_scores
from tests.decode.models import prefixes, random_log_probs

FRAMES, TOKENS = 5, 4


def _masses(log_probs: np.ndarray, blank: int, prefix: tuple[int, ...]) -> np.ndarray:
    masses, last = empty_masses(log_probs, blank), blank
    for token in prefix:
        after = np.empty_like(masses)
        extend_masses(log_probs, blank, masses, np.array([last]), np.array([token]), after)
        masses, last = after, token
    return masses


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("peak", [1.0, 8.0])
def test_prefixes_and_whole_transcripts_have_the_sums_of_all_their_alignments(blank: int, peak: float) -> None:
    log_probs = random_log_probs(FRAMES, TOKENS, seed=1, peak=peak)
    every = prefixes(log_probs, blank)
    for prefix in [one for one in every if len(one) < FRAMES]:
        masses = _masses(log_probs, blank, prefix)
        assert whole_scores(masses)[0] == pytest.approx(every[prefix])
        last = np.array([prefix[-1] if prefix else blank])
        scores = prefix_scores(np.exp(log_probs), blank, masses, last)[0]
        for token in range(TOKENS):
            longer = [score for one, score in every.items() if one[: len(prefix) + 1] == (*prefix, token)]
            assert scores[token] == pytest.approx(np.logaddexp.reduce(longer) if longer else -np.inf)


def test_many_prefixes_at_once_are_as_one_by_one() -> None:
    log_probs = random_log_probs(FRAMES, TOKENS, seed=2)
    pairs = [(1, 1), (1, 3), (3, 2)]
    before = np.concatenate([_masses(log_probs, 0, (first,)) for first, _ in pairs])
    lasts, tokens = (np.array(column) for column in zip(*pairs, strict=True))
    after = np.empty_like(before)
    extend_masses(log_probs, 0, before, lasts, tokens, after)
    scores = prefix_scores(np.exp(log_probs), 0, after, tokens)
    for row, pair in enumerate(pairs):
        alone = _masses(log_probs, 0, pair)
        np.testing.assert_array_equal(after[row], alone[0])
        np.testing.assert_allclose(scores[row], prefix_scores(np.exp(log_probs), 0, alone, tokens[row : row + 1])[0])


def test_a_thousand_sure_frames_neither_underflow_nor_lose_what_is_rare() -> None:
    log_probs = np.log(np.full((1000, 3), [0.98, 0.01, 0.01]))
    masses = _masses(log_probs, 0, (1,) * 200)
    with np.errstate(all="raise", under="ignore"):
        whole = whole_scores(masses)[0]
    # 200 tokens of 1 to 800 blanks between and around them: a lower bound counts those of one frame each.
    from math import lgamma, log

    least = lgamma(802) - lgamma(201) - lgamma(602) + 200 * log(0.01) + 800 * log(0.98)
    assert least < whole < least + 20


def test_frames_that_exclude_a_token_or_all_but_one_give_no_nan() -> None:
    log_probs = np.full((3, 3), -np.inf)
    log_probs[:, 1] = 0.0  # no blank at all, and nothing but token 1
    masses = empty_masses(log_probs, 0)
    assert whole_scores(masses)[0] == -np.inf
    first = prefix_scores(np.exp(log_probs), 0, masses, np.array([0]))[0]
    assert first.tolist() == [-np.inf, 0.0, -np.inf]
    again = prefix_scores(np.exp(log_probs), 0, _masses(log_probs, 0, (1,)), np.array([1]))[0]
    assert again.tolist() == [-np.inf] * 3
