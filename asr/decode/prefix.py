"""CTC as a scorer of prefixes: how likely an utterance begins with some tokens, and how likely that is all of it.

Source: Watanabe et al. 2017, "Hybrid CTC/attention architecture for end-to-end speech recognition", algorithm 2. Of
each prefix the masses after every frame are kept: ln of the summed probability of the alignments of the frames so far
that spell it, those that end in its last token and those that end in blank apart.
"""

from __future__ import annotations

import numpy as np

from asr.compiled import kernel
from asr.decode.kernel import add

SPOKEN, QUIET = range(2)  # columns of masses


def empty_masses(log_probs: np.ndarray, blank: int) -> np.ndarray:
    """Masses of the empty prefix: nothing but blanks. Shape (S, V) → (1, S + 1, 2)."""
    masses = np.full((1, len(log_probs) + 1, 2), -np.inf)
    masses[0, 0, QUIET] = 0.0
    np.cumsum(log_probs[:, blank], out=masses[0, 1:, QUIET])
    return masses


def prefix_scores(probabilities: np.ndarray, blank: int, masses: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """ln of the summed probability of all that begins with a prefix and one more token.

    Args:
        probabilities: of tokens in frames, float64, shape (S, V).
        blank: index of the blank.
        masses: of B prefixes, shape (B, S + 1, 2).
        lasts: int, shape (B,): their last tokens; of the empty prefix the blank.

    Returns:
        Float64, shape (B, V); −inf for the blank and for what no alignment spells.
    """
    before = masses[:, :-1]  # (B, S, 2): the new token begins in the frame behind
    scores = _log_sums(np.logaddexp(before[..., SPOKEN], before[..., QUIET]), probabilities)  # (B, V)
    # A token once more needs a blank between.
    weights, peaks = _scaled(before[..., QUIET])
    with np.errstate(divide="ignore"):
        again = np.log(np.einsum("bs,sb->b", weights, probabilities[:, lasts])) + peaks[:, 0]
    scores[np.arange(len(lasts)), lasts] = again
    scores[:, blank] = -np.inf
    return scores


def _scaled(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of which each row's greatest is 1, shape (B, S), and ln of what they were divided by, shape (B, 1)."""
    peaks = logs.max(axis=1, keepdims=True, initial=-np.inf)
    peaks[peaks == -np.inf] = 0.0
    return np.exp(logs - peaks), peaks


def _log_sums(logs: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """ln Σ exp(logs) · probabilities. Shapes (B, S), (S, V) → (B, V)."""
    weights, peaks = _scaled(logs)
    with np.errstate(divide="ignore"):
        sums: np.ndarray = np.log(weights @ probabilities) + peaks
    return sums


@kernel
def extend_masses(log_probs, blank, before, lasts, tokens, after):  # type: ignore[no-untyped-def]
    """Works out the masses of prefixes with one more token each.

    Args:
        log_probs: float64, shape (S, V).
        blank: index of the blank.
        before: masses of the prefixes without it, float64, shape (B, S + 1, 2).
        lasts: int64, shape (B,): their last tokens.
        tokens: int64, shape (B,): the tokens that are added.
        after: to be filled, like ``before``.
    """
    for one in range(len(tokens)):
        token, again = tokens[one], tokens[one] == lasts[one]
        spoken = quiet = -np.inf
        after[one, 0, SPOKEN] = after[one, 0, QUIET] = -np.inf
        for frame in range(len(log_probs)):
            new = before[one, frame, QUIET]
            if not again:
                new = add(new, before[one, frame, SPOKEN])
            quiet = add(quiet, spoken) + log_probs[frame, blank]
            spoken = add(spoken, new) + log_probs[frame, token]
            after[one, frame + 1, SPOKEN], after[one, frame + 1, QUIET] = spoken, quiet


def whole_scores(masses: np.ndarray) -> np.ndarray:
    """ln of the probability that a prefix is all that is said. Shape (B, S + 1, 2) → (B,)."""
    whole: np.ndarray = np.logaddexp(masses[:, -1, SPOKEN], masses[:, -1, QUIET])
    return whole
