from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest

from asr.score import statistics
from asr.score.statistics import Interval, interval, paired_permutation, t_quantile, upper_without_errors


def _ends(found: Interval) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def _simulated(generator: np.random.Generator, utterances: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    words = generator.integers(1, 20, utterances)
    return generator.binomial(words, rate), words


def _coverage(hits: list[bool]) -> float:
    return sum(hits) / len(hits)


def _clustered(generator: np.random.Generator, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Utterances of about 11 words with these expected rates, whose words share their fate with correlation 0.05."""
    words = np.minimum(1 + generator.gamma(2, 6, len(rates)).astype(int), 60)
    return generator.binomial(words, generator.beta(19 * rates, 19 * (1 - rates))), words


@pytest.mark.parametrize(("utterances", "rate"), [(130, 0.1), (130, 0.3)])
def test_covers_the_true_rate_about_95_times_in_100(utterances: int, rate: float) -> None:
    generator = np.random.default_rng(1)
    hits = []
    for trial in range(1000):
        corpus = _clustered(generator, np.full(utterances, rate))
        low, high = _ends(interval(*corpus, seed=trial, resamples=500))
        hits.append(low <= rate <= high)
    assert 0.93 <= _coverage(hits) <= 0.97


@pytest.mark.parametrize("speakers", [5, 10])
def test_with_few_speakers_percentiles_cover_too_little_and_the_interval_enough(speakers: int) -> None:
    generator = np.random.default_rng(2)
    percentiles, chosen = [], []
    for trial in range(1000):
        rates = np.clip(generator.beta(1.8, 16.2, size=speakers), 1e-6, None)  # mean 0.1, deviation 0.07
        counts = generator.integers(10, 40, speakers)
        errors, words = _clustered(generator, np.repeat(rates, counts))
        begins = np.cumsum(counts) - counts
        corpus = np.add.reduceat(errors, begins), np.add.reduceat(words, begins)
        low, high = _ends(interval(*corpus, trial, "group", resamples=500))
        percentiles.append(low <= 0.1 <= high)
        low, high = _ends(interval(*corpus, trial, "speaker"))
        chosen.append(low <= 0.1 <= high)
    assert _coverage(percentiles) < 0.91
    assert 0.92 <= _coverage(chosen) <= 0.97


def test_speakers_of_equal_length_give_students_interval_of_the_logarithm() -> None:
    """There the jackknife's standard error is that of a mean."""
    rates = np.array([0.05, 0.1, 0.08, 0.2, 0.12])
    found = interval((rates * 1000).round().astype(int), np.full(5, 1000), 1, "speaker")
    spread = 2.776 * rates.std(ddof=1) / math.sqrt(5) / rates.mean()  # 97.5 % of Student's t with 4 degrees of freedom
    expected = rates.mean() * math.exp(-spread), rates.mean() * math.exp(spread)
    assert _ends(found) == pytest.approx(expected, rel=1e-3)
    assert "5 speakers" in found.basis


def test_the_interval_over_speakers_needs_no_seed_and_knows_no_order() -> None:
    errors, words = np.array([5, 9, 1, 20]), np.array([100, 150, 80, 120])
    once = interval(errors, words, 1, "speaker")
    assert interval(errors, words, 2, "speaker") == once
    assert _ends(interval(errors[::-1], words[::-1], 1, "speaker")) == pytest.approx(_ends(once))
    low, high = _ends(once)
    assert low < 35 / 450 < high


# Printed in any book's table of Student's t.
@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (120, 1.980)]
)
def test_quantiles_of_students_t(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=0.0005)


def test_students_t_becomes_normal() -> None:
    quantiles = [t_quantile(freedom) for freedom in (*range(1, 40), 100, 101, 1000, 10_000)]
    assert quantiles == sorted(quantiles, reverse=True)
    assert quantiles[-1] == pytest.approx(1.96, abs=0.001)


def test_a_seed_gives_the_same_interval_for_ever() -> None:
    """Receipts hold intervals: the drawing may become quicker, but not other, for corpora of their size."""
    generator = np.random.default_rng(9)
    errors, words = _clustered(generator, np.full(300, 0.2))
    pairs, occurrences = np.unique(np.stack([errors, words], axis=1), axis=0, return_counts=True)
    drawn = np.random.default_rng(3).multinomial(300, occurrences / 300, size=10_000) @ pairs
    expected = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    assert _ends(interval(errors, words, seed=3)) == tuple(expected)


def test_drawing_in_parts_on_any_number_of_threads_is_still_the_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(10)
    errors, words = _clustered(generator, np.full(300, 0.2))
    whole = interval(errors, words, seed=1)
    monkeypatch.setattr(statistics, "_DRAWN_AT_ONCE", 50_000)
    monkeypatch.setattr(statistics, "_THREADS", 3)
    parts = interval(errors, words, seed=1)
    assert parts != whole
    assert _ends(parts) == pytest.approx(_ends(whole), abs=0.002)
    monkeypatch.setattr(statistics, "_THREADS", 1)
    assert interval(errors, words, seed=1) == parts
    assert "10,000 replicates" in parts.basis


def test_speakers_cover_what_utterances_do_not() -> None:
    """Speakers who differ make utterances dependent: only the interval over speakers knows."""
    generator = np.random.default_rng(2)
    by_utterance, by_speaker = [], []
    for trial in range(200):
        rates = generator.beta(2, 18, size=(40, 1))  # mean 0.1
        words = generator.integers(1, 20, size=(40, 25))
        errors = generator.binomial(words, rates)
        low, high = _ends(interval(errors.ravel(), words.ravel(), seed=trial, resamples=500))
        by_utterance.append(low <= 0.1 <= high)
        low, high = _ends(interval(errors.sum(axis=1), words.sum(axis=1), trial, "speaker"))
        by_speaker.append(low <= 0.1 <= high)
    assert _coverage(by_utterance) < 0.7
    assert _coverage(by_speaker) > 0.88


def test_is_the_plain_bootstrap() -> None:
    """Drawing how often each pair occurs is the same as drawing utterances one by one."""
    generator = np.random.default_rng(3)
    errors, words = _simulated(generator, 300, 0.2)
    chosen = generator.integers(0, 300, size=(10_000, 300))
    expected = np.quantile(errors[chosen].sum(axis=1) / words[chosen].sum(axis=1), [0.025, 0.975])
    assert _ends(interval(errors, words, seed=1)) == pytest.approx(tuple(expected), abs=0.002)


def test_weighs_utterances_by_their_words() -> None:
    """The rate is that of the corpus: the mean of the utterances' rates (0.5) is not even in the interval."""
    errors, words = np.array([1, 0] * 100), np.array([1, 99] * 100)
    low, high = _ends(interval(errors, words, seed=1))
    assert low < 0.01 < high < 0.02


def test_the_same_seed_gives_the_same_ends_in_any_order_and_another_nearly_the_same() -> None:
    generator = np.random.default_rng(4)
    errors, words = _simulated(generator, 500, 0.1)
    once = interval(errors, words, seed=7)
    shuffled = generator.permutation(500)
    assert interval(errors[shuffled], words[shuffled], seed=7) == once
    other = interval(errors, words, seed=8)
    assert other != once
    assert _ends(other) == pytest.approx(_ends(once), abs=0.002)


def test_ends_rise_with_the_errors_and_close_with_the_utterances() -> None:
    words = np.full(300, 10)
    previous = (-1.0, -1.0)
    for wrong in (0, 1, 2, 3, 5, 10, 50, 150, 300):
        ends = _ends(interval((np.arange(300) < wrong).astype(int), words, seed=1))
        assert ends[0] >= previous[0]
        assert ends[1] >= previous[1]
        assert ends[0] <= wrong / 3000 <= ends[1]
        previous = ends
    few, many = (_ends(interval(np.array([0, 1] * n), np.array([5, 5] * n), seed=1)) for n in (20, 2000))
    assert many[1] - many[0] < (few[1] - few[0]) / 5


def test_the_rate_may_exceed_one() -> None:
    low, high = _ends(interval(np.array([3, 2, 4] * 20), np.array([1, 1, 1] * 20), seed=1))
    assert 1 < low < 3 < high


@pytest.mark.parametrize("words", [2, 240, 773, 52_576, 10_000_000])
def test_no_errors_give_the_exact_binomial_bound(words: int) -> None:
    upper = upper_without_errors(words)
    # By definition: with this rate, no errors in so many words happen 2.5 times in 100.
    assert words * math.log1p(-upper) == pytest.approx(math.log(0.025))
    found = interval(np.array([0, 0]), np.array([words - 1, 1]), seed=1)
    assert (found.low, found.high) == (0.0, upper)
    assert "no errors" in found.basis


def test_known_bound() -> None:
    assert upper_without_errors(100) == pytest.approx(0.036217, abs=1e-6)  # tables of Clopper and Pearson


@pytest.mark.parametrize(
    ("errors", "words", "reason"),
    [
        ([3], [10], "one speaker is too few"),
        ([0], [10], "one speaker is too few"),
        ([2, 1], [0, 0], "hold no words"),
        ([2, 1], [20, 20], "2 speakers are too few"),
        ([2, 1, 1], [20, 0, 0], "3 speakers are too few, or too unlike"),
        ([10, 1, 0], [1000, 1, 1], "3 speakers are too few, or too unlike"),
    ],
)
def test_says_why_there_is_no_interval(errors: list[int], words: list[int], reason: str) -> None:
    found = interval(np.array(errors), np.array(words), seed=1, unit="speaker")
    assert (found.low, found.high) == (None, None)
    assert reason in found.basis


def test_resamples_without_words_are_left_out() -> None:
    low, high = _ends(interval(np.array([1, 1]), np.array([0, 2]), seed=1))
    assert (low, high) == (pytest.approx(0.5), pytest.approx(1.0))


def test_a_hundred_thousand_utterances_take_little_memory() -> None:
    generator = np.random.default_rng(5)
    errors, words = _simulated(generator, 100_000, 0.1)
    tracemalloc.start()
    low, high = _ends(interval(errors, words, seed=1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert low < 0.1 < high
    assert peak < 100e6


@pytest.mark.parametrize("seed", range(4))
def test_a_permutation_test_equals_the_enumeration_of_all_signs(seed: int) -> None:
    generator = np.random.default_rng(seed)
    errors, other = generator.poisson(1.5, 10), generator.poisson(0.8, 10)
    observed = abs(int((errors - other).sum()))
    totals = [np.dot(signs, errors - other) for signs in itertools.product((-1, 1), repeat=10)]
    exact = float(np.mean(np.abs(totals) >= observed))
    assert 0 < exact <= 1
    assert paired_permutation(errors, other, seed=seed) == pytest.approx(exact, abs=0.02)  # four standard errors


def test_a_permutation_test_treats_both_systems_alike_and_repeats_itself() -> None:
    generator = np.random.default_rng(6)
    errors, other = generator.poisson(1.0, 50), generator.poisson(0.7, 50)
    found = paired_permutation(errors, other, seed=3)
    assert paired_permutation(other, errors, seed=3) == found
    assert paired_permutation(errors, other, seed=3) == found
    assert paired_permutation(errors, other, seed=4) == pytest.approx(found, abs=0.03)
    # Utterances in which both err alike say nothing.
    alike = np.arange(20)
    assert paired_permutation(np.concatenate([errors, alike]), np.concatenate([other, alike]), seed=3) == found


def test_equal_systems_differ_by_chance_for_sure() -> None:
    errors = np.array([0, 1, 5, 2])
    assert paired_permutation(errors, errors, seed=1) == 1.0
    assert paired_permutation(np.array([1, 0]), np.array([0, 1]), seed=1) == 1.0
    assert paired_permutation(np.zeros(0, int), np.zeros(0, int), seed=1) == 1.0


def test_a_great_difference_has_the_least_p_value() -> None:
    assert paired_permutation(np.ones(100, int), np.zeros(100, int), seed=1) == 1 / 10_001
    assert paired_permutation(np.ones(100, int), np.zeros(100, int), seed=1, permutations=99) == 0.01


def test_without_a_difference_every_p_value_is_as_likely() -> None:
    """Under the null hypothesis P(p ≤ x) is about x, and never clearly more."""
    generator = np.random.default_rng(7)
    values = []
    for trial in range(400):
        errors, other = generator.poisson(2.0, (2, 60))
        values.append(paired_permutation(errors, other, seed=trial, permutations=400))
    for level in (0.05, 0.2, 0.5, 0.8):
        share = float(np.mean(np.array(values) <= level))
        assert abs(share - level) < 4 * math.sqrt(level * (1 - level) / 400)


def test_a_permutation_test_of_a_hundred_thousand_utterances_is_small() -> None:
    generator = np.random.default_rng(8)
    errors, other = generator.binomial(10, 0.1, (2, 100_000))
    tracemalloc.start()
    p_value = paired_permutation(errors, other, seed=1, permutations=60)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0 < p_value <= 1
    assert peak < 100e6


def test_of_few_utterances_the_interval_warns() -> None:
    errors, words = np.array([1, 0] * 10), np.full(20, 9)
    assert "too sure of itself" in interval(errors[:19], words[:19], 1).basis
    assert "too sure of itself" not in interval(errors, words, 1).basis
