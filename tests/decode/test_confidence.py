"""Confidences: what they are made of, what calibrating restores, and the calibration error by its definition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from asr.decode.confidence import (
    Calibration,
    Evidence,
    calibrate,
    evidence,
    word_confidences,
)
from asr.score.calibration import expected_calibration_error


@dataclass(frozen=True)
class One:
    tokens: list[int]
    words: list[str]
    total: float


def _frames(path: list[int], probabilities: list[float], tokens: int = 4) -> np.ndarray:
    """Log-probs whose frames give ``probabilities`` to the tokens of ``path``."""
    given = np.array(probabilities)[:, None]
    return np.log(np.where(np.array(path)[:, None] == np.arange(tokens), given, (1 - given) / (tokens - 1)))


def test_the_share_of_candidates_that_hold_the_word_and_the_peaks() -> None:
    log_probs = _frames([1, 0, 2, 3], [0.9, 0.9, 0.8, 0.5])
    candidates = [
        One([1, 2, 3], ["a", "bc"], np.log(0.6)),
        One([1, 3], ["a", "c"], np.log(0.3)),
        One([2, 3], ["bc"], np.log(0.1)),
    ]
    found = evidence(candidates, [[0], [1, 2]], log_probs, 0)
    assert found.holds.tolist() == [[True, True], [True, False], [False, True]]
    assert np.exp(found.peaks) == pytest.approx([0.9, 0.4])
    assert word_confidences(found, Calibration()) == pytest.approx([0.9 * 0.9, 0.7 * 0.4])
    # A high temperature makes the candidates equal, and the map is a logistic of log-odds.
    hot = word_confidences(found, Calibration(temperature=1e9))
    assert hot == pytest.approx([0.9 * 2 / 3, 0.4 * 2 / 3], rel=1e-6)
    mapped = word_confidences(found, Calibration(scale=0.5, offset=1.0))
    odds = 0.5 * np.log(0.81 / 0.19) + 1
    assert mapped[0] == pytest.approx(1 / (1 + np.exp(-odds)))


def test_a_word_in_another_place_does_not_count() -> None:
    log_probs = _frames([1, 2], [0.9, 0.9])
    candidates = [One([1, 2], ["a", "b"], 0.0), One([2, 1], ["b", "a"], 0.0)]
    found = evidence(candidates, [[0], [1]], log_probs, 0)
    assert found.holds[1].sum() == 1


def test_one_candidate_is_judged_by_the_frames() -> None:
    found = evidence([One([1, 2], ["a", "b"], -3.0)], [[0], [1]], _frames([1, 2], [0.7, 0.6]), 0)
    assert word_confidences(found, Calibration()) == pytest.approx([0.7, 0.6])


def test_no_words_and_frames_that_exclude_them() -> None:
    assert word_confidences(evidence([One([], [], -1.0)], [], np.zeros((0, 4)), 0), Calibration()) == []
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.array([[1.0, 0.0], [1.0, 0.0]]))
    (sure,) = word_confidences(evidence([One([1], ["a"], -np.inf)], [[0]], log_probs, 0), Calibration())
    assert 0 <= sure < 1e-3


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one candidate"):
        evidence([], [], np.zeros((0, 4)), 0)
    with pytest.raises(ValueError, match="has 1 words, but tokens are given for 2"):
        evidence([One([1], ["a"], 0.0)], [[0], [0]], _frames([1], [0.9]), 0)
    with pytest.raises(ValueError, match="at least one word"):
        calibrate([], [])
    with pytest.raises(ValueError, match="whether it is right"):
        calibrate([Evidence(np.zeros(1), np.ones((1, 1), bool), np.zeros(1))], [[]])


def _words(seed: int, count: int, scale: float, offset: float) -> tuple[list[Evidence], list[list[bool]]]:
    """Words whose probability of being right is the logistic map of their peak posterior."""
    generator = np.random.default_rng(seed)
    p = generator.uniform(0.02, 0.98, count)
    chance = 1 / (1 + np.exp(-(scale * np.log(p / (1 - p)) + offset)))
    right = generator.uniform(size=count) < chance
    return [Evidence(np.zeros(1), np.ones((1, 1), bool), np.log([one])) for one in p], [[bool(one)] for one in right]


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (0.4, 0.5), (2.0, -1.0)])
def test_calibrating_restores_the_map(scale: float, offset: float) -> None:
    learned = calibrate(*_words(1, 6000, scale, offset))
    assert (learned.scale, learned.offset) == (pytest.approx(scale, abs=0.12), pytest.approx(offset, abs=0.12))
    others, right = _words(2, 3000, scale, offset)
    truths = [one for ones in right for one in ones]

    def error(calibration: Calibration) -> float:
        confidences = [sure for one in others for sure in word_confidences(one, calibration)]
        return expected_calibration_error(confidences, truths)

    assert error(learned) < 0.04  # 0.02 to 0.03 is the error of a perfect map, by the chance of 200 words a bin
    if scale != 1:
        assert error(Calibration()) > 0.06


def test_the_temperature_is_found() -> None:
    generator = np.random.default_rng(3)
    utterances, correct = [], []
    for _ in range(4000):
        totals = np.sort(generator.normal(0, 1.5, 3))[::-1]
        share = np.exp(totals[0]) / np.exp(totals).sum()
        holds = np.array([[True], [False], [False]])
        utterances.append(Evidence(4.0 * totals, holds, np.zeros(1)))  # as if the scores were four times as sharp
        correct.append([bool(generator.uniform() < share)])
    learned = calibrate(utterances, correct)
    confidences = [sure for one in utterances for sure in word_confidences(one, learned)]
    assert expected_calibration_error(confidences, [one for ones in correct for one in ones]) < 0.03


@pytest.mark.parametrize("right", [True, False])
def test_words_all_right_or_all_wrong_end_short_of_certainty(right: bool) -> None:
    utterances, _ = _words(4, 60, 1.0, 0.0)
    learned = calibrate(utterances, [[right]] * 60)
    confidences = [sure for one in utterances for sure in word_confidences(one, learned)]
    assert all(0 < one < 1 for one in confidences)
    assert np.mean(confidences) == pytest.approx((61 if right else 1) / 62, abs=0.03)


def test_more_evidence_never_means_less_confidence() -> None:
    utterances, correct = _words(5, 400, -1.0, 0.0)
    learned = calibrate(utterances, correct)
    assert learned.scale == 0
    share = np.mean([one for ones in correct for one in ones])
    assert word_confidences(utterances[0], learned)[0] == pytest.approx(share, abs=0.01)
