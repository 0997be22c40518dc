"""Paired tests: what they find on data whose truth is known, and that both systems are treated alike."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from asr.score.significance import mapsswe, mcnemar, paired_bootstrap

REFERENCE = list("abcdefghij")


def heard(*changes: tuple[int, str]) -> list[str]:
    """The reference with these places changed; several words insert, none delete."""
    words = [[word] for word in REFERENCE]
    for place, text in changes:
        words[place] = text.split()
    return [word for ones in words for word in ones]


@pytest.mark.parametrize(
    ("first", "second", "segments"),
    [
        (heard(), heard(), []),
        (heard((0, "x")), heard(), [(1, 0)]),
        (heard((2, "x"), (4, "x")), heard(), [(2, 0)]),  # one right word between errors does not part them
        (heard((2, "x"), (5, "x")), heard(), [(1, 0), (1, 0)]),  # two do
        (heard((2, "x"), (6, "x")), heard((4, "x")), [(2, 1)]),  # unless the other system errs there
        (heard((2, "x")), heard((5, "x")), [(1, 0), (0, 1)]),
        (heard((3, "d x")), heard(), [(1, 0)]),
        (heard((2, "x"), (3, "d y")), heard(), [(2, 0)]),  # an insertion parts right words
        (heard((9, "")), heard((9, "j x y")), [(1, 2)]),
        (heard(), heard((9, "j x")), [(0, 1)]),
        ([], heard((0, "")), [(10, 1)]),
    ],
)
def test_segments_end_where_both_have_two_words_right(
    first: list[str], second: list[str], segments: list[tuple[int, int]]
) -> None:
    for one, other, expected in ((first, second, segments), (second, first, [pair[::-1] for pair in segments])):
        found = mapsswe([REFERENCE], [one], [other])
        assert found.segments == len(expected)
        assert (found.errors, found.other_errors) == tuple(np.sum(expected, axis=0) if expected else (0, 0))


def test_segments_hold_every_error_and_do_not_cross_utterances() -> None:
    generator = random.Random(1)
    references = [generator.choices("abcdef", k=generator.randint(0, 12)) for _ in range(300)]
    first, second = ([generator.choices("abcdef", k=generator.randint(0, 12)) for _ in range(300)] for _ in range(2))
    whole = mapsswe(references, first, second)
    alone = [mapsswe([a], [b], [c]) for a, b, c in zip(references, first, second, strict=True)]
    for name in ("segments", "errors", "other_errors"):
        assert getattr(whole, name) == sum(getattr(one, name) for one in alone) > 0


def test_mapsswe_by_hand() -> None:
    """Differences of 1, 1, 1 and −1: mean 0.5, deviation 1, so Z = 0.5 / (1 / 2)."""
    first = [heard((4, "x"))] * 3 + [heard()]
    second = [heard()] * 3 + [heard((4, "x"))]
    found = mapsswe([REFERENCE] * 4, first, second)
    assert (found.segments, found.mean, found.deviation, found.z) == (4, 0.5, 1.0, 1.0)
    assert found.p_value == pytest.approx(0.3173, abs=1e-4)  # tables of the normal distribution
    turned = mapsswe([REFERENCE] * 4, second, first)
    assert turned == replace(found, errors=1, other_errors=3, mean=-0.5, z=-1.0)


def test_mapsswe_without_a_spread_is_no_difference() -> None:
    equal = mapsswe([REFERENCE] * 3, [heard((2, "x"))] * 3, [heard()] * 3)
    assert (equal.mean, equal.deviation, equal.z, equal.p_value) == (1.0, 0.0, 0.0, 1.0)
    none = mapsswe([REFERENCE], [REFERENCE], [REFERENCE])
    assert (none.segments, none.mean, none.p_value) == (0, 0.0, 1.0)


def _systems(seed: int, utterances: int, rate: float, other: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors of two systems that find the same utterances hard, and words."""
    generator = np.random.default_rng(seed)
    words = generator.integers(1, 20, utterances)
    hard = generator.gamma(2, 0.5, utterances)
    return (
        generator.binomial(words, np.minimum(1, rate * hard)),
        generator.binomial(words, np.minimum(1, other * hard)),
        words,
    )


def test_the_paired_bootstrap_is_the_plain_one() -> None:
    errors, other, words = _systems(1, 200, 0.1, 0.13)
    found = paired_bootstrap(errors, other, words, seed=1)
    assert found is not None
    chosen = np.random.default_rng(2).integers(0, 200, size=(10_000, 200))
    rates = (errors - other)[chosen].sum(axis=1) / words[chosen].sum(axis=1)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(rates, [0.025, 0.975])), abs=0.002)
    assert found.reversed == pytest.approx(np.mean(rates >= 0), abs=0.01)
    assert found.difference == (errors.sum() - other.sum()) / words.sum() < 0
    assert found.low < found.difference < found.high


def test_the_paired_bootstrap_treats_both_systems_alike_in_any_order() -> None:
    errors, other, words = _systems(3, 300, 0.1, 0.12)
    found, turned = paired_bootstrap(errors, other, words, 7), paired_bootstrap(other, errors, words, 7)
    assert found is not None and turned is not None
    assert turned.difference == -found.difference
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=0.002)
    assert turned.p_value == pytest.approx(found.p_value, abs=0.03)
    shuffled = np.random.default_rng(4).permutation(300)
    assert paired_bootstrap(errors[shuffled], other[shuffled], words[shuffled], 7) == found


def test_pairing_finds_what_two_intervals_hide() -> None:
    """A system with one error less in each tenth utterance is surely better, though both rates are uncertain."""
    errors, _, words = _systems(5, 300, 0.3, 0.3)
    better = np.where((np.arange(300) % 10 == 0) & (errors > 0), errors - 1, errors)
    found = paired_bootstrap(better, errors, words, 1)
    assert found is not None
    assert found.reversed == 0 and found.high < 0
    assert found.p_value == 2 / 10_001


def test_equal_systems_are_equal() -> None:
    errors, _, words = _systems(6, 50, 0.2, 0.2)
    found = paired_bootstrap(errors, errors, words, 1)
    assert found is not None
    assert (found.difference, found.low, found.high, found.reversed, found.p_value) == (0, 0, 0, 1, 1)
    assert mcnemar(errors, errors).p_value == 1
    assert "are equal here" in found.sentence("x", "y")


def test_no_paired_bootstrap_of_one_unit_or_no_words() -> None:
    assert paired_bootstrap(np.array([1]), np.array([2]), np.array([3]), 1) is None
    assert paired_bootstrap(np.array([1, 0]), np.array([2, 0]), np.array([0, 0]), 1) is None


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (3, 3), (2, 13), (77, 91), (400, 500), (0, 1500)])
def test_mcnemar_is_the_sum_of_binomial_coefficients(first: int, second: int) -> None:
    right, wrong = np.zeros(first, int), np.ones(second, int)
    both = np.array([0, 1, 2])  # sentences in which the systems agree say nothing
    found = mcnemar(np.concatenate([right, wrong, both]), np.concatenate([right + 2, wrong - 1, both]))
    assert (found.only_first, found.only_second) == (first, second)
    trials = first + second
    exact = min(1.0, 2 * sum(math.comb(trials, k) for k in range(min(first, second) + 1)) / 2**trials)
    assert found.p_value == pytest.approx(exact, rel=1e-9)


def test_tests_raise_false_alarms_about_five_times_in_a_hundred() -> None:
    alarms = {"bootstrap": 0, "mcnemar": 0}
    for trial in range(400):
        errors, other, words = _systems(1000 + trial, 150, 0.08, 0.08)
        found = paired_bootstrap(errors, other, words, trial, resamples=500)
        assert found is not None
        alarms["bootstrap"] += found.p_value < 0.05
        alarms["mcnemar"] += mcnemar(errors, other).p_value < 0.05
    assert 8 <= alarms["bootstrap"] <= 36  # 5 % give or take 3 standard errors
    assert 1 <= alarms["mcnemar"] <= 36  # exact tests are on the safe side


def test_sentences_say_who_is_better_and_whether_that_is_chance() -> None:
    clear = mcnemar(np.repeat([0, 1], [30, 5]), np.repeat([1, 0], [30, 5]))
    assert "beam is better than greedy, by more than chance at the 5 % level" in clear.sentence("beam", "greedy")
    assert "beam is better than greedy" in mcnemar(np.repeat([1, 0], [30, 5]), np.repeat([0, 1], [30, 5])).sentence(
        "greedy", "beam"
    )
    unclear = mcnemar(np.repeat([0, 1], [6, 5]), np.repeat([1, 0], [6, 5]))
    assert "beam is ahead of greedy, but at the 5 % level that may be chance (p = 1.0000)" in unclear.sentence(
        "beam", "greedy"
    )
    few = paired_bootstrap(np.array([5, 4, 6]), np.array([9, 8, 9]), np.array([50, 50, 50]), 1, "speaker")
    assert few is not None
    assert "-7.33 points" in few.sentence("x", "y") and "only 3 speakers" in few.sentence("x", "y")
    segments = mapsswe([REFERENCE] * 4, [heard((4, "x"))] * 3 + [heard()], [heard()] * 3 + [heard((4, "x"))])
    assert "x makes 3 errors and y 1 in 4 segments, 0.500 more per segment; y is ahead of x" in segments.sentence(
        "x", "y"
    )


def test_sentences_of_equal_systems_and_of_few_segments() -> None:
    equal = mapsswe([REFERENCE] * 2, [heard((4, "x")), heard()], [heard(), heard((4, "x"))])
    assert equal.sentence("x", "y") == "MAPSSWE: x makes 1 errors and y 1 in 2 segments; x and y are equal here."
    few = mapsswe([REFERENCE] * 3, [heard((4, "x"))] * 2 + [heard((4, "x"), (5, "x"))], [heard()] * 3)
    assert few.p_value < 0.05
    assert few.sentence("x", "y").endswith("With fewer than 50 segments its p-value cannot be relied on.")
    many = mapsswe([REFERENCE] * 60, [heard((4, "x"))] * 60, [heard()] * 59 + [heard((4, "x"))])
    assert "cannot be relied on" not in many.sentence("x", "y")
    same = np.array([1, 0])
    bootstrap = paired_bootstrap(same, same[::-1], np.array([5, 5]), 1)
    assert bootstrap is not None and "do not have it so" not in bootstrap.sentence("x", "y")
    ahead = paired_bootstrap(np.array([0] * 5), np.array([1] * 5), np.array([9] * 5), 1)
    assert ahead is not None and "With only 5 utterances" in ahead.sentence("x", "y")
