"""How often 95 % intervals hold the true word error rate, and how often tests find a difference where there is none.

    python scripts/measure_coverage.py

Corpora are simulated, so that the truth is known: utterances of 1 to 60 words, about 11 in the median; the errors of an
utterance are beta-binomial, two of its words sharing their fate with correlation 0.05. Speakers have 10 to 39
utterances each and rates from a beta distribution, whose standard deviation is a share of its mean ("spread").
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from asr.cli.main import run
from asr.score.significance import mcnemar, paired_bootstrap
from asr.score.statistics import interval, t_quantile

CLUSTERING = 0.05
RATES = (0.03, 0.10, 0.30)
SPREADS = (0.4, 0.8)
SPEAKERS = (3, 5, 10, 20, 50)
RESAMPLES = 2_000

Corpus = tuple[np.ndarray, np.ndarray]  # errors and words of each unit
Ends = tuple[float | None, float | None]


def lengths(generator: np.random.Generator, utterances: int) -> np.ndarray:
    return np.minimum(1 + generator.gamma(2, 6, utterances).astype(int), 60)


def beta(generator: np.random.Generator, mean: np.ndarray, correlation: float) -> np.ndarray:
    """Probabilities around their mean such that two words drawn with the same one are correlated so."""
    total = 1 / correlation - 1
    mean = np.clip(mean, 1e-6, 1 - 1e-6)
    return generator.beta(mean * total, (1 - mean) * total)


def utterances(generator: np.random.Generator, rate: np.ndarray) -> Corpus:
    """Errors and words of utterances with these expected rates."""
    words = lengths(generator, len(rate))
    return generator.binomial(words, beta(generator, rate, CLUSTERING)), words


def speakers(generator: np.random.Generator, number: int, rate: float, spread: float) -> Corpus:
    """The same, summed over each of the speakers."""
    own = beta(generator, np.full(number, rate), min(0.5, spread**2 * rate / (1 - rate)))
    counts = generator.integers(10, 40, number)
    errors, words = utterances(generator, np.repeat(own, counts))
    begins = np.cumsum(counts) - counts
    return np.add.reduceat(errors, begins), np.add.reduceat(words, begins)


def percentile(rates: np.ndarray, _: Corpus) -> Ends:
    low, high = np.quantile(rates, [0.025, 0.975])
    return low, high


def bca(rates: np.ndarray, corpus: Corpus) -> Ends:
    """Bias-corrected and accelerated (Efron 1987)."""
    errors, words = corpus
    without = (errors.sum() - errors) / (words.sum() - words)
    centred = without.mean() - without
    acceleration = (centred**3).sum() / max(6 * (centred**2).sum() ** 1.5, 1e-300)
    normal = NormalDist()
    below = np.mean(rates < errors.sum() / words.sum())
    bias = normal.inv_cdf(float(np.clip(below, 1 / len(rates), 1 - 1 / len(rates))))
    ends = [bias + one for one in (normal.inv_cdf(0.025), normal.inv_cdf(0.975))]
    low, high = np.quantile(rates, [normal.cdf(bias + one / (1 - acceleration * one)) for one in ends])
    return low, high


def plain_t(_: np.ndarray, corpus: Corpus) -> Ends:
    """Student's t with the jackknife's standard error, on the rate itself."""
    errors, words = corpus
    rate = errors.sum() / words.sum()
    without = (errors.sum() - errors) / (words.sum() - words)
    spread = t_quantile(len(errors) - 1) * math.sqrt((len(errors) - 1) * np.var(without))
    return rate - spread, rate + spread


def bootstrap_t(generator: np.random.Generator, corpus: Corpus) -> Ends:
    """Studentised by the linearised standard error of the ratio (Efron 1981)."""
    errors, words = corpus
    chosen = generator.integers(0, len(errors), (RESAMPLES, len(errors)))
    drawn, drawn_words = errors[chosen], words[chosen]
    rates = drawn.sum(axis=1) / drawn_words.sum(axis=1)

    def error(some: np.ndarray, of: np.ndarray, rate: np.ndarray) -> np.ndarray:
        residuals = ((some - rate[..., None] * of) ** 2).sum(axis=-1)
        return np.asarray(np.maximum(np.sqrt(residuals), 1e-9) / of.sum(axis=-1))

    rate = np.asarray(errors.sum() / words.sum())
    students = (rates - rate) / error(drawn, drawn_words, rates)
    low, high = np.quantile(students, [0.025, 0.975])
    width = error(errors, words, rate)
    return float(rate - high * width), float(rate - low * width)


def coverage(ends: list[Ends], truth: float) -> str:
    """Per cent of the intervals that hold the truth, of those that lie above and below it; their median width."""
    low, high = (np.array([end for end in side if end is not None]) for side in zip(*ends, strict=True))
    above, below = 100 * np.mean(low > truth), 100 * np.mean(high < truth)
    width = 100 * np.median(high - low)
    return f"{100 - above - below:5.1f} ({above:4.1f} {below:4.1f}) {f'{width:.1f}' if width < 1000 else 'huge':>6}"


def ends_of(corpus: Corpus, seed: int, unit: str) -> Ends:
    found = interval(*corpus, seed, unit, resamples=RESAMPLES)
    return found.low, found.high


def print_utterances(trials: int) -> None:
    print(f"Utterances, percentile bootstrap of {RESAMPLES:,} replicates, {trials:,} trials")
    print("utterances  WER %   covered % (above, below) width")
    for number in (130, 500):
        for rate in RATES:
            generator = np.random.default_rng(1)
            corpora = (utterances(generator, np.full(number, rate)) for _ in range(trials))
            found = [ends_of(corpus, seed, "utterance") for seed, corpus in enumerate(corpora)]
            print(f"{number:10}  {100 * rate:5.0f}   {coverage(found, rate)}", flush=True)


def print_speakers(trials: int) -> None:
    print(f"\nSpeakers, {trials:,} trials: covered % (above, below) width [points]; the last is what `interval` gives")
    names = ("percentile", "BCa", "bootstrap-t", "t", "t of the logarithm")
    print("speakers  WER %  spread  " + "".join(f"{name:<26}" for name in names).rstrip())
    for number in SPEAKERS:
        for rate in RATES:
            for spread in SPREADS:
                print_methods(number, rate, spread, trials)


def print_methods(number: int, rate: float, spread: float, trials: int) -> None:
    generator = np.random.default_rng(1)
    plain: tuple[Callable[[np.ndarray, Corpus], Ends], ...] = (percentile, bca, plain_t)
    found: dict[str, list[Ends]] = {name: [] for name in ("percentile", "bca", "bootstrap_t", "plain_t", "chosen")}
    none = 0
    for seed in range(trials):
        corpus = speakers(generator, number, rate, spread)
        if not corpus[0].any():
            continue  # the exact bound, which is not of speakers
        chosen = ends_of(corpus, seed, "speaker")
        none += chosen[0] is None
        chosen_units = generator.integers(0, number, (RESAMPLES, number))
        rates = corpus[0][chosen_units].sum(axis=1) / corpus[1][chosen_units].sum(axis=1)
        for method in plain:
            found[method.__name__].append(method(rates, corpus))
        found["bootstrap_t"].append(bootstrap_t(generator, corpus))
        found["chosen"].append(chosen)
    row = "  ".join(f"{coverage(ends, rate):<24}" for ends in found.values()).rstrip()
    print(f"{number:8}  {100 * rate:5.0f}  {spread:6.1f}  {row}" + (f"  ({none} none)" if none else ""), flush=True)


def print_alarms(trials: int) -> None:
    print(f"\nTwo systems that are equally good, {trials:,} trials: p < 0.05, %")
    print("units            paired bootstrap  McNemar")
    for number, unit in ((130, "utterance"), (500, "utterance"), *((number, "speaker") for number in SPEAKERS)):
        generator = np.random.default_rng(1)
        bootstrap, sentences = 0, 0
        for seed in range(trials):
            errors, other, words = alike(generator, number, unit)
            found = paired_bootstrap(errors, other, words, seed, unit, RESAMPLES)
            bootstrap += found is not None and found.p_value < 0.05
            sentences += mcnemar(errors, other).p_value < 0.05
        second = f"{100 * sentences / trials:7.1f}" if unit == "utterance" else ""
        print(f"{number:4} {unit + 's':<11} {100 * bootstrap / trials:16.1f}  {second}".rstrip(), flush=True)


def alike(generator: np.random.Generator, number: int, unit: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors of two systems on the same utterances or speakers, and words; each is better on some, by chance."""
    counts = generator.integers(10, 40, number) if unit == "speaker" else np.ones(number, dtype=np.int64)
    words = lengths(generator, int(counts.sum()))
    rates = np.repeat(beta(generator, np.full((number, 2), 0.1), 0.02), counts, axis=0)  # (utterances, 2)
    errors = generator.binomial(words[:, None], beta(generator, rates, CLUSTERING))
    begins = np.cumsum(counts) - counts
    one, other = np.add.reduceat(errors, begins, axis=0).T
    return one, other, np.add.reduceat(words, begins)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    print("$ python scripts/measure_coverage.py" + ("" if trials == 1000 else f" --trials {trials}"))
    print_utterances(trials)
    print_speakers(trials)
    print_alarms(trials)


if __name__ == "__main__":
    run(main)
