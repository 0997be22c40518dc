"""Whether one of two systems is better, or only luckier: paired tests on the same utterances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.score.statistics import resampled_totals

_LEVEL = 0.05
_RESAMPLES = 10_000
_FEW = 20  # utterances or speakers
_FEW_SEGMENTS = 50


def _verdict(first: float, second: float, p_value: float, names: tuple[str, str]) -> str:
    """Who is better, by numbers of which less is better, and whether that is more than chance."""
    if first == second:
        return f"{names[0]} and {names[1]} are equal here."
    better, worse = names if first < second else names[::-1]
    chance = f"p = {p_value:.4f}" if p_value >= 0.0001 else "p < 0.0001"
    if p_value < _LEVEL:
        return f"{better} is better than {worse}, by more than chance at the 5 % level ({chance})."
    return f"{better} is ahead of {worse}, but at the 5 % level that may be chance ({chance})."


@dataclass(frozen=True)
class Mapsswe:
    """Matched-pairs sentence-segment word error test of two systems.

    Attributes:
        segments: stretches in which at least one system errs, see `asr.score.segments`.
        errors, other_errors: of the two systems in them.
        mean: of the difference in errors, first less second, per segment; 0 if there are no segments.
        deviation: standard deviation of that difference, with segments − 1 in the divisor.
        z: the mean over its standard error; 0 if the deviation is 0.
        p_value: two-sided, by the normal distribution.
    """

    segments: int
    errors: int
    other_errors: int
    mean: float
    deviation: float
    z: float
    p_value: float

    def sentence(self, name: str, other: str) -> str:
        """What it means, of systems called so."""
        verdict = _verdict(self.errors, self.other_errors, self.p_value, (name, other))
        per_segment, caution = "", ""
        if self.errors != self.other_errors:
            per_segment = f", {abs(self.mean):.3f} {'fewer' if self.mean < 0 else 'more'} per segment"
            if self.segments < _FEW_SEGMENTS:
                caution = f" With fewer than {_FEW_SEGMENTS} segments its p-value cannot be relied on."
        return (
            f"MAPSSWE: {name} makes {self.errors:,} errors and {other} {self.other_errors:,} in {self.segments:,} "
            f"segments{per_segment}; {verdict}{caution}"
        )


def mapsswe(
    references: Sequence[Sequence[str]], first: Sequence[Sequence[str]], second: Sequence[Sequence[str]]
) -> Mapsswe:
    """The matched-pairs test of Gillick and Cox (ICASSP 1989), as NIST's sc_stats does it.

    The alignments are sclite's. The normal distribution wants some 50 segments or more. Where the difference is the
    same in every segment sc_stats sets Z to 0, and so does this.

    Args:
        references: words of each utterance.
        first, second: what the two systems recognised.

    Raises:
        ValueError: not as many hypotheses as references.
        AsrError: an utterance is too long, see `asr.score.sclite_align`.
    """
    from asr.score.sclite_align import sclite_steps  # these bring numba, which the other tests do without
    from asr.score.segments import segment_errors

    errors = segment_errors(sclite_steps(references, first), sclite_steps(references, second))
    differences = errors[:, 0] - errors[:, 1]
    segments = len(differences)
    mean = float(differences.mean()) if segments else 0.0
    deviation = float(differences.std(ddof=1)) if segments > 1 else 0.0
    z = mean / (deviation / math.sqrt(segments)) if deviation else 0.0
    one, other = errors.sum(axis=0).tolist()
    return Mapsswe(segments, one, other, mean, deviation, z, math.erfc(abs(z) / math.sqrt(2)))


@dataclass(frozen=True)
class PairedBootstrap:
    """Resampled differences of two systems' word error rates.

    Attributes:
        units: how many utterances or speakers were resampled.
        unit: which of them, in the singular.
        resamples: how many corpora were drawn.
        difference: first rate less second, a fraction.
        low, high: its 95 % interval, of percentiles.
        reversed: share of the resamples in which the system that is worse here is as good or better.
        p_value: two-sided, twice that share, what was seen counting as one resample; at most 1.
    """

    units: int
    unit: str
    resamples: int
    difference: float
    low: float
    high: float
    reversed: float
    p_value: float

    def sentence(self, name: str, other: str) -> str:
        """What it means, of systems called so."""
        against, caution = "", ""
        if self.difference:
            against = f"; {100 * self.reversed:.1f} % of them do not have it so"
        if self.difference and self.units < _FEW:
            caution = f" With only {self.units} {self.unit}s the bootstrap is too sure of itself."
        return (
            f"Paired bootstrap: the WER of {name} less that of {other} is {100 * self.difference:+.2f} points, 95 % "
            f"interval {100 * self.low:+.2f} to {100 * self.high:+.2f}, over {self.resamples:,} resamples of "
            f"{self.units:,} {self.unit}s{against}. "
            f"{_verdict(self.difference, 0, self.p_value, (name, other))}{caution}"
        )


def paired_bootstrap(
    errors: np.ndarray,
    other: np.ndarray,
    words: np.ndarray,
    seed: int,
    unit: str = "utterance",
    resamples: int = _RESAMPLES,
) -> PairedBootstrap | None:
    """Resamples utterances or speakers, the same ones for both systems (Bisani and Ney, ICASSP 2004, section 4).

    Args:
        errors, other: shape (units,), errors of the two systems in each utterance or speaker.
        words: shape (units,), reference words of each.
        seed: of the resampling; the order of the units does not matter.
        unit: what is resampled, in the singular.
        resamples: how many corpora are drawn.

    Returns:
        None for fewer than two units, or no words.
    """
    all_words = int(np.sum(words))
    if len(words) < 2 or all_words == 0:
        return None
    totals = resampled_totals(np.stack([errors - other, words], axis=1), seed, resamples)
    totals = totals[totals[:, 1] > 0]
    rates = totals[:, 0] / totals[:, 1]
    seen = int(np.sum(errors) - np.sum(other))
    turned = int(np.count_nonzero(rates * np.sign(seen) <= 0))
    low, high = np.quantile(rates, [_LEVEL / 2, 1 - _LEVEL / 2])
    p_value = min(1.0, 2 * (turned + 1) / (len(rates) + 1))
    return PairedBootstrap(
        len(words), unit, len(rates), seen / all_words, float(low), float(high), turned / len(rates), p_value
    )


@dataclass(frozen=True)
class McNemar:
    """Sentences that one system has right and the other has not.

    Attributes:
        only_first: sentences that only the first system has right.
        only_second: those that only the second has right.
        p_value: exact, two-sided.
    """

    only_first: int
    only_second: int
    p_value: float

    def sentence(self, name: str, other: str) -> str:
        """What it means, of systems called so."""
        verdict = _verdict(self.only_second, self.only_first, self.p_value, (name, other))
        return (
            f"McNemar: {self.only_first:,} sentences are right by {name} alone and {self.only_second:,} by {other} "
            f"alone; by whole sentences, {verdict}"
        )


def mcnemar(errors: np.ndarray, other: np.ndarray) -> McNemar:
    """The test of McNemar (1947) on sentences right or wrong, exact.

    Were the systems alike, a sentence that only one has right would be either's with probability 1/2: the p-value is
    that of a binomial count as far from the middle. (NIST's sc_stats agrees up to 20 such sentences. Above, that of
    SCTK 2.4.10 goes over to a normal distribution with a wrong mean, and prints far too small a p-value.)

    Args:
        errors, other: shape (utterances,), errors of the two systems in the same utterances.
    """
    only_first = int(np.count_nonzero((errors == 0) & (other != 0)))
    only_second = int(np.count_nonzero((errors != 0) & (other == 0)))
    return McNemar(only_first, only_second, _two_sided(min(only_first, only_second), only_first + only_second))


def _two_sided(fewer: int, trials: int) -> float:
    """Twice the probability of at most ``fewer`` heads in fair tosses, at most 1."""
    heads = np.arange(1, fewer + 1)
    ratios = np.log((trials - heads + 1) / heads)  # of neighbouring binomial coefficients
    logs = np.concatenate([[0.0], np.cumsum(ratios)]) - trials * math.log(2)
    return min(1.0, 2 * float(np.exp(logs).sum()))
