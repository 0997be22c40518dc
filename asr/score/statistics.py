"""How far to trust an error rate: 95 % intervals, by resampling utterances or speakers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_RESAMPLES = 10_000
_TAIL = 0.025  # of each side of a 95 % interval
_DRAWN_AT_ONCE = 2_000_000  # counts held at a time: 16 MB


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


def _resampled_rates(errors: np.ndarray, words: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Corpus rates of resampled corpora, shape (resamples,), fewer where a resample holds no words.

    A resample is known by how often it holds each distinct pair (errors, words). Those counts are multinomial, and
    drawing them costs as much for 100,000 utterances as for 1,000, since short utterances share few pairs.
    """
    generator = np.random.default_rng(seed)
    pairs, occurrences = np.unique(np.stack([errors, words], axis=1), axis=0, return_counts=True)  # (K, 2), (K,)
    shares = occurrences / occurrences.sum()
    rows = max(1, _DRAWN_AT_ONCE // len(pairs))
    rates = []
    for start in range(0, resamples, rows):
        drawn = generator.multinomial(len(errors), shares, size=min(rows, resamples - start))  # (rows, K)
        totals = drawn @ pairs  # (rows, 2)
        totals = totals[totals[:, 1] > 0]
        rates.append(totals[:, 0] / totals[:, 1])
    return np.concatenate(rates)


def interval(
    errors: np.ndarray, words: np.ndarray, seed: int, unit: str = "utterance", resamples: int = _RESAMPLES
) -> Interval:
    """The 95 % interval of a corpus's error rate, sum of errors over sum of words, by the percentile bootstrap.

    Utterances (or speakers) are drawn anew with replacement, so that errors may cluster within one (Bisani and Ney,
    "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004). Without errors there is
    nothing to resample: the exact binomial bound over words takes its place. It is also the least that the upper end
    can be, since one error must not leave more certainty than none.

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
    low, high = np.quantile(_resampled_rates(errors, words, seed, resamples), [_TAIL, 1 - _TAIL])
    return Interval(float(low), max(float(high), bound), f"bootstrap over {units:,} {unit}s")


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
    differences = (errors - other)[errors != other]
    if len(differences) == 0:
        return 1.0
    generator = np.random.default_rng(seed)
    observed = abs(int(differences.sum()))
    extreme, rows = 1, max(1, _DRAWN_AT_ONCE // len(differences))
    for start in range(0, permutations, rows):
        signs = generator.choice(np.array([-1, 1]), size=(min(rows, permutations - start), len(differences)))
        extreme += int(np.count_nonzero(np.abs(signs @ differences) >= observed))
    return extreme / (permutations + 1)
