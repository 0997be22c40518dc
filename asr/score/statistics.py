"""How far to trust an error rate: 95 % intervals, by resampling utterances or speakers."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 10_000
_TAIL = 0.025  # of each side of a 95 % interval
# Counts that a thread holds at a time: 20 MB. Another number gives corpora of more than 250 utterances other draws.
_DRAWN_AT_ONCE = 2_500_000
_FEW_UTTERANCES = 20
_LEAST_SPEAKERS = 3
_WIDEST = 100.0  # an interval that reaches so many times the rate says nothing
_THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of an error rate.

    Attributes:
        low: its lower end, a fraction; None where there can be no interval.
        high: its upper end, which may lie above 1.
        basis: in words, what it rests on, or why there is none.
    """

    low: float | None
    high: float | None
    basis: str


def upper_without_errors(words: int) -> float:
    """The upper end of the exact 95 % interval (Clopper and Pearson, 1934) for no errors in ``words`` trials.

    The general bound is a quantile of a beta distribution; for no errors it has this closed form, and the lower end
    is 0.
    """
    return float(-np.expm1(np.log(_TAIL) / words))


def resampled_totals(values: np.ndarray, seed: int, resamples: int = _RESAMPLES) -> np.ndarray:
    """Column sums of resampled corpora, shape (resamples, 2), of whole numbers.

    A resample is known by how often it holds each distinct row. Those counts are multinomial, and drawing them costs as
    much for 100,000 utterances as for 1,000, since short utterances share few rows. They are drawn in parts, so that
    memory stays bounded, each with a generator of its own, so that parts can be drawn at the same time.

    Args:
        values: shape (units, 2), whole numbers, such as errors and words of each utterance.
        seed: of the drawing; the order of the units does not matter.
        resamples: how many corpora are drawn.
    """
    rows, occurrences = _distinct(values)  # (K, 2), (K,)
    shares = occurrences / occurrences.sum()
    part = max(1, _DRAWN_AT_ONCE // len(rows))
    sizes = [min(part, resamples - start) for start in range(0, resamples, part)]
    first = np.random.default_rng(seed)
    generators = [first, *first.spawn(len(sizes) - 1)]

    def draw(generator: np.random.Generator, size: int) -> np.ndarray:
        return np.asarray(generator.multinomial(len(values), shares, size=size) @ rows)  # (size, 2)

    with ThreadPoolExecutor(_THREADS) as pool:  # numpy draws without Python's lock
        return np.concatenate(list(pool.map(draw, generators, sizes)))


def _distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows in ascending order, and how often each occurs."""
    # One number a row sorts 30 times faster than rows do.
    least = values.min(axis=0)
    span = int(values[:, 1].max() - least[1]) + 1
    keys, occurrences = np.unique((values[:, 0] - least[0]) * span + values[:, 1] - least[1], return_counts=True)
    return np.stack([keys // span, keys % span], axis=1) + least, occurrences


def interval(
    errors: np.ndarray, words: np.ndarray, seed: int, unit: str = "utterance", resamples: int = _RESAMPLES
) -> Interval:
    """The 95 % interval of a corpus's error rate, sum of errors over sum of words.

    Utterances (or other units) are drawn anew with replacement, and the interval is that of percentiles (Bisani and
    Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004). Speakers are too
    few for that, see `_between_speakers`. Either way errors may cluster within a unit. Without errors there is nothing
    to resample: the exact binomial bound over words takes its place. It is also the least that the upper end can be,
    since one error must not leave more certainty than none.

    Args:
        errors: shape (units,), errors of each utterance or speaker.
        words: shape (units,), reference words of each.
        seed: of the resampling; the order of the units does not matter.
        unit: what is resampled, in the singular.
        resamples: how many corpora are drawn.
    """
    units, all_words = len(errors), int(np.sum(words))
    if all_words == 0:
        return Interval(None, None, "no interval: the references hold no words")
    if units < 2:
        return Interval(None, None, f"no interval: one {unit} is too few")
    bound = upper_without_errors(all_words)
    if not np.any(errors):
        return Interval(0.0, bound, f"exact (Clopper-Pearson) for no errors in {all_words:,} words")
    if unit == "speaker":
        return _between_speakers(errors, words, bound)
    totals = resampled_totals(np.stack([errors, words], axis=1), seed, resamples)
    totals = totals[totals[:, 1] > 0]
    low, high = np.quantile(totals[:, 0] / totals[:, 1], [_TAIL, 1 - _TAIL])
    basis = f"bootstrap over {units:,} {unit}s, {resamples:,} replicates"
    basis += "; so few leave it too sure of itself" if units < _FEW_UTTERANCES else ""
    return Interval(float(low), max(float(high), bound), basis)


def _between_speakers(errors: np.ndarray, words: np.ndarray, bound: float) -> Interval:
    """Student's t interval of the logarithm of the rate, with the jackknife's standard error over speakers.

    The rates of few speakers leave the bootstrap too sure of itself, and they are skewed, which the logarithm mends
    (docs/intervals.md has what was measured). Standard error: Efron and Tibshirani, "An Introduction to the Bootstrap",
    1993, equation 11.5, over the rate.

    Args:
        errors, words: shape (speakers,), at least two; some errors.
        bound: the least that the upper end can be.
    """
    speakers, all_errors, all_words = len(errors), int(np.sum(errors)), int(np.sum(words))
    too_few = Interval(None, None, f"no interval: {speakers:,} speakers are too few, or too unlike each other")
    if speakers < _LEAST_SPEAKERS or int(np.max(words)) == all_words:
        return too_few
    rate = all_errors / all_words
    without = (all_errors - errors) / (all_words - words)  # each speaker in turn
    standard_error = math.sqrt((speakers - 1) * float(np.var(without)))
    spread = t_quantile(speakers - 1) * standard_error / rate
    if spread > math.log(_WIDEST):
        return too_few
    basis = f"Student's t on the log rate, jackknife over {speakers:,} speakers"
    return Interval(rate * math.exp(-spread), max(rate * math.exp(spread), bound), basis)


def t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t distribution: 95 % lie between it and its negative.

    Found by bisection of the distribution's closed form for whole degrees of freedom (Abramowitz and Stegun, "Handbook
    of Mathematical Functions", equations 26.7.3 and 26.7.4).

    Args:
        freedom: degrees of freedom, at least 1.
    """
    low, high = 0.0, math.pi / 2  # of the angle whose tangent is t / sqrt(freedom)
    for _ in range(50):
        middle = (low + high) / 2
        if _share_within(middle, freedom) < 1 - 2 * _TAIL:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(freedom)


def _share_within(angle: float, freedom: int) -> float:
    """The probability that Student's t lies between plus and minus tan(angle) · sqrt(freedom)."""
    sine, odd = math.sin(angle), freedom % 2
    factors = np.arange(1 + odd, freedom, 2)
    first = math.cos(angle) if odd else 1.0
    terms = first * np.cumprod(np.concatenate([[1.0], math.cos(angle) ** 2 * factors / (factors + 1)]))
    total = float(terms[: freedom // 2].sum())
    return (angle + sine * total) * 2 / math.pi if odd else sine * total


def paired_permutation(errors: np.ndarray, other: np.ndarray, seed: int, permutations: int = _RESAMPLES) -> float:
    """How likely so great a difference between two systems' errors is if neither is better: a two-sided p-value.

    Under that hypothesis each utterance's two counts could as well stand the other way round: the signs of their
    differences are drawn at random (Noreen 1989, approximate randomisation). The observed signs count as one drawing,
    so the least p-value is 1 / (permutations + 1).

    Args:
        errors, other: shape (utterances,), errors of the two systems in the same utterances.
        seed: of the drawing.
        permutations: how many are drawn.
    """
    sizes, occurrences = np.unique(np.abs(errors - other)[errors != other], return_counts=True)
    if len(sizes) == 0:
        return 1.0
    # Of n differences of one size, k keep their sign: k is binomial, and their sum is the size times 2 k - n.
    kept = np.random.default_rng(seed).binomial(occurrences, 0.5, size=(permutations, len(sizes)))
    totals = (2 * kept - occurrences) @ sizes
    extreme = 1 + int(np.count_nonzero(np.abs(totals) >= abs(int(np.sum(errors - other)))))
    return extreme / (permutations + 1)
