"""How sure the recogniser is of each word, as a probability that holds: of the words with 0.8, four in five are right.

Two things speak about a word. The posterior over the n best candidates: the share of those that hold the word in the
same place, each aligned to the best by edit distance. And the frames: the product of the posteriors of the word's
tokens, each at its peak within the frames that the best path gives it. The first knows the language model, the second
knows all that the n best do not hold; their product, ``p``, is turned into the confidence

    1 / (1 + exp(−scale · ln(p / (1 − p)) − offset)),

and the candidates' scores are divided by a temperature before they become a posterior (Guo et al. 2017, section 4.2;
the logistic map is Platt's, 1999). The three numbers are learned on words known to be right or wrong (`calibrate`).
Greedy decoding has one candidate, and all that speaks are the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from rapidfuzz.distance import Levenshtein

from asr.decode.align import align

_TEMPERATURES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
_LEAST = 1e-4  # p is kept within this of 0 and 1, where its logarithm of odds would be endless
_LOWEST = -60.0  # for ln 0, as of a word that a lexicon forced upon frames that exclude it
_PRIOR_WORDS = 5.0  # how many words the belief that scale is 1 weighs


class Scored(Protocol):
    """What is needed of a candidate: `asr.decode.beam.Candidate` has it."""

    @property
    def tokens(self) -> list[int]: ...

    @property
    def words(self) -> list[str]: ...

    @property
    def total(self) -> float: ...


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` learns; the default leaves ``p`` as it is.

    Attributes:
        temperature: of the candidates' scores, above 0.
        scale: of the log-odds of ``p``, at least 0.
        offset: added to them.
    """

    temperature: float = 1.0
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Evidence:
    """What speaks for the words of an utterance's best candidate: W words, C candidates, the best first.

    Attributes:
        totals: shape (C,), the candidates' scores [nats].
        holds: bool, shape (C, W): whether a candidate holds the word in that place.
        peaks: shape (W,), ln of the product of the peak posteriors of the word's tokens.
    """

    totals: np.ndarray
    holds: np.ndarray
    peaks: np.ndarray


def evidence(
    candidates: Sequence[Scored], groups: Sequence[Sequence[int]], log_probs: np.ndarray, blank: int
) -> Evidence:
    """Gathers what speaks for each word of the best candidate.

    Args:
        candidates: at least one, the best first.
        groups: for each word of the best, the positions of its tokens; see `asr.tokens.Tokenizer.words`.
        log_probs: shape (S, V), natural logarithms, normalised over V.
        blank: index of the blank.

    Raises:
        ValueError: no candidate, not a group for each word, or what `asr.decode.align.align` refuses.
    """
    if not candidates:
        raise ValueError("confidences need at least one candidate, there is none")
    best = candidates[0]
    if len(groups) != len(best.words):
        raise ValueError(f"the best candidate has {len(best.words)} words, but tokens are given for {len(groups)}")
    holds = np.zeros((len(candidates), len(best.words)), dtype=np.bool_)
    for row, candidate in zip(holds, candidates, strict=True):
        for step in Levenshtein.opcodes(best.words, candidate.words):
            if step.tag == "equal":
                row[step.src_start : step.src_end] = True
    possible = np.maximum(log_probs, _LOWEST)
    spans = align(possible, best.tokens, blank)
    peaks = [float(possible[slice(*span), token].max()) for token, span in zip(best.tokens, spans, strict=True)]
    words = [sum(peaks[position] for position in positions) for positions in groups]
    return Evidence(np.array([one.total for one in candidates], dtype=np.float64), holds, np.minimum(words, 0.0))


def _posterior(totals: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of the scores over a temperature. Shape (C,)."""
    if totals.max() == -np.inf:  # the frames rule out whatever there is
        return np.full(len(totals), 1 / len(totals))
    shares = np.exp((totals - totals.max()) / temperature)
    return shares / shares.sum()


def _log_odds(one: Evidence, temperature: float) -> np.ndarray:
    """ln(p / (1 − p)) of each word. Shape (W,)."""
    p = (_posterior(one.totals, temperature) @ one.holds) * np.exp(one.peaks)
    p = p.clip(_LEAST, 1 - _LEAST)
    return np.log(p / (1 - p))


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def word_confidences(one: Evidence, calibration: Calibration) -> list[float]:
    """The confidence of each word of the best candidate, 0 to 1."""
    odds = calibration.scale * _log_odds(one, calibration.temperature) + calibration.offset
    return [float(confidence) for confidence in _logistic(odds)]


def calibrate(utterances: Sequence[Evidence], correct: Sequence[Sequence[bool]]) -> Calibration:
    """Learns the map from evidence to confidence, by maximum likelihood over words known to be right or wrong.

    The words ought to be of speakers whom the model was not trained on; of others it makes hardly an error, and then
    is too sure of strangers. As in Platt's method the targets are a little off 0 and 1, so that a set without a single
    error ends in a confidence below 1.

    Args:
        utterances: what speaks for their words.
        correct: whether each word is right; see `asr.score.calibration.correct_words`.

    Raises:
        ValueError: no word at all, or not a truth for each word.
    """
    if [len(one.peaks) for one in utterances] != [len(one) for one in correct]:
        raise ValueError("calibrating needs for each word of each utterance whether it is right")
    right = np.array([one for ones in correct for one in ones], dtype=np.bool_)  # (words,)
    if len(right) == 0:
        raise ValueError("calibrating needs at least one word, there is none")
    targets = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))
    several = any(len(one.totals) > 1 for one in utterances)
    found = []
    for temperature in _TEMPERATURES if several else (1.0,):
        odds = np.concatenate([_log_odds(one, temperature) for one in utterances])
        loss, scale, offset = _fit_logistic(odds, targets)
        found.append((loss, Calibration(temperature, round(scale, 4), round(offset, 4))))
    return min(found, key=lambda pair: pair[0])[1]


def _fit_logistic(odds: np.ndarray, targets: np.ndarray) -> tuple[float, float, float]:
    """Newton's method for the cross-entropy, with a weak belief that the scale is 1; loss, scale and offset."""
    inputs = np.stack([odds, np.ones_like(odds)], axis=1)  # (words, 2)
    belief, weight = np.array([1.0, 0.0]), np.array([_PRIOR_WORDS, 1e-6])

    def loss(parameters: np.ndarray) -> float:
        x = inputs @ parameters
        fit = np.logaddexp(0, x) - targets * x
        return float(fit.sum() + (weight * (parameters - belief) ** 2).sum() / 2)

    parameters = belief
    for _ in range(100):
        p = _logistic(inputs @ parameters)
        slope = inputs.T @ (p - targets) + weight * (parameters - belief)
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs + np.diag(weight)
        step = np.linalg.solve(curvature, slope)
        while loss(parameters - step) > loss(parameters) and np.abs(step).max() > 1e-9:
            step = step / 2
        parameters = parameters - step
        if np.abs(step).max() < 1e-7:
            break
    if parameters[0] < 0:  # more evidence must not mean less confidence
        parameters = np.array([0.0, np.log(targets.mean() / (1 - targets.mean()))])
    return loss(parameters), float(parameters[0]), float(parameters[1])
