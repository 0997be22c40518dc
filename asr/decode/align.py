"""When each word was said: the chosen tokens aligned to the frames, and words where people hear them.

The best path of given tokens through the CTC lattice (Viterbi; Graves et al. 2006, section 4, with the maximum for
the sum). By itself it tells little about times: CTC learns to write each token in one frame, anywhere in the word, and
blanks everywhere else, so that words would begin a quarter of a second late. But around its spike a token's posterior,
small as it is, stands far above what the same token has elsewhere, and does so for as long as the word is heard. So
each token's odds against the blank are divided by their background, the median of those odds over many frames, and a
factor of e: a token then holds every frame in which it is clearly more likely than usual, and the blank keeps the
others. (Dividing by priors, the mean posteriors, as Huang et al. 2024 do in training, corrects too little here: the
mean is made by the spikes, the median by the frames between them.) A word reaches from the first frame of its first
token to the last of its last; blanks and spaces around it belong to nobody. What then remains is a constant delay of
the model, which `fit_shifts` measures where boundaries are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from asr.compiled import making_kernel
from asr.decode.hypothesis import check_log_probs
from asr.score.align import align as align_words

_MARGIN = 1.0  # [nats] above the background; 0 to 2 serve about as well
_HIGHEST_BACKGROUND = -5.0  # ln of odds; a token likelier than that in half of the frames is heard there
_LOWEST = -60.0  # for ln 0, so that odds are numbers
_MOST_FRAMES = 20_000  # for a median that is steady to the second digit


@dataclass(frozen=True)
class Shifts:
    """A model's constant delays, to be added to what the alignment says.

    Attributes:
        start: of word starts [s].
        end: of word ends [s].
    """

    start: float = 0.0
    end: float = 0.0


@making_kernel
def best_states(scores, states, repeats):  # type: ignore[no-untyped-def]
    """The best path through a CTC lattice of the states 0 to 2U: even ones blanks, odd ones tokens.

    ``scores`` is float64, shape (S, V), S at least 1; ``states`` int64, shape (2U + 1,), the token of each state;
    ``repeats`` bool, shape (2U + 1,): true where the blank before the state must not be skipped. Returns the state of
    each frame, int64, shape (S,), and the sum of its scores; of equal paths that which goes ahead last.
    """
    frames, count = len(scores), len(states)
    best = np.full(count, -np.inf)
    step = np.zeros((frames, count), dtype=np.uint8)
    for state in range(min(count, 2)):
        best[state] = scores[0, states[state]]
    for frame in range(1, frames):
        # Downwards, so that the states before this one still hold the frame before.
        for state in range(count - 1, -1, -1):
            highest, taken = best[state], 0
            if state > 0 and best[state - 1] > highest:
                highest, taken = best[state - 1], 1
            if state > 1 and not repeats[state] and best[state - 2] > highest:
                highest, taken = best[state - 2], 2
            best[state] = highest + scores[frame, states[state]]
            step[frame, state] = taken
    state = count - 1
    if count > 1 and best[count - 2] > best[count - 1]:
        state = count - 2
    score = best[state]
    path = np.empty(frames, dtype=np.int64)
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= step[frame, state]
    return path, score


def _log_odds(log_probs: np.ndarray, blank: int) -> np.ndarray:
    """ln of each token's odds against the blank. Shape (S, V) → (S, V), float64, finite."""
    finite = np.maximum(log_probs.astype(np.float64), _LOWEST)
    return finite - finite[:, blank : blank + 1]


def median_odds(log_probs: Iterable[np.ndarray], blank: int) -> np.ndarray:
    """The odds that each token has against the blank where it is not said: the median over frames.

    Args:
        log_probs: of the recordings to learn from, shape (S, V) each, in all at least one frame; the more, the better.
        blank: index of the blank.

    Returns:
        Natural logarithms, shape (V,), at most −5; 0 for the blank.

    Raises:
        ValueError: not log-probabilities, or no frame at all.
    """
    kept = []
    for one in log_probs:
        check_log_probs(one, blank)
        kept.append(one)
    total = sum(map(len, kept))
    if total == 0:
        raise ValueError("the background of the posteriors needs at least one frame, there is none")
    stride = -(-total // _MOST_FRAMES)
    median = np.median(_log_odds(np.concatenate([one[::stride] for one in kept]), blank), axis=0)  # (V,)
    median = np.minimum(median, _HIGHEST_BACKGROUND)
    median[blank] = 0.0
    return median


def align(
    log_probs: np.ndarray, tokens: Sequence[int], blank: int, background: np.ndarray | None = None
) -> list[tuple[int, int]]:
    """The frames of each token on the best path that spells ``tokens``.

    Args:
        log_probs: shape (S, V), natural logarithms, normalised over V.
        tokens: the U tokens to align, without blanks.
        blank: index of the blank.
        background: see `median_odds`, shape (V,); None: the most likely path by the posteriors as they are.

    Returns:
        (first frame, frame behind the last) of every token, in order.

    Raises:
        ValueError: not log-probabilities of that shape, a token that is none, fewer frames than the tokens need, or
            tokens that the log-probs exclude.
    """
    return _align(log_probs, tokens, blank, background)[0]


def best_path_score(log_probs: np.ndarray, tokens: Sequence[int], blank: int) -> float:
    """Log-probability of the most likely path that spells ``tokens``. Arguments and errors as `align`."""
    return _align(log_probs, tokens, blank, None)[1]


def _align(
    log_probs: np.ndarray, tokens: Sequence[int], blank: int, background: np.ndarray | None
) -> tuple[list[tuple[int, int]], float]:
    check_log_probs(log_probs, blank)
    frames, vocabulary = log_probs.shape
    for token in tokens:
        if not 0 <= token < vocabulary or token == blank:
            raise ValueError(f"tokens must be 0 to {vocabulary - 1} and not the blank, {blank}; there is a {token}")
    needed = len(tokens) + sum(one == other for one, other in pairwise(tokens))
    if frames < needed:
        raise ValueError(f"{len(tokens)} tokens need at least {needed} frames, there are {frames}")
    if frames == 0:
        return [], 0.0
    if background is None:
        scores = log_probs.astype(np.float64)
    else:
        if background.shape != (vocabulary,):
            raise ValueError(f"the background must have shape ({vocabulary},), this has {background.shape}")
        scores = _log_odds(log_probs, blank) - background - _MARGIN  # (S, V)
        scores[:, blank] = 0.0
    states = np.full(2 * len(tokens) + 1, blank, dtype=np.int64)
    states[1::2] = tokens
    repeats = np.ones(len(states), dtype=np.bool_)  # a blank must not skip the token before it either
    repeats[3::2] = states[3::2] == states[1:-2:2]
    path, score = best_states(scores, states, repeats)
    if score == -np.inf:
        raise ValueError(f"the log-probs exclude the tokens {list(tokens)}: every path that spells them has ln 0")
    odd = 2 * np.arange(len(tokens)) + 1
    firsts, behinds = np.searchsorted(path, odd), np.searchsorted(path, odd, side="right")
    return [(int(first), int(behind)) for first, behind in zip(firsts, behinds, strict=True)], float(score)


def word_times(
    log_probs: np.ndarray,
    tokens: Sequence[int],
    groups: Sequence[Sequence[int]],
    blank: int,
    frame_seconds: float,
    background: np.ndarray | None,
    shifts: Shifts = Shifts(),
    duration: float | None = None,
) -> list[tuple[float, float]]:
    """Where words are heard.

    Args:
        log_probs: shape (S, V), natural logarithms, normalised over V.
        tokens: the chosen tokens, without blanks.
        groups: for each word, the positions in ``tokens`` of its tokens; see `asr.tokens.Tokenizer.words`.
        blank: index of the blank.
        frame_seconds: distance between two frames [s].
        background: of the model, see `median_odds`; None: taken from this utterance, which is good enough where it
            holds several words.
        shifts: of the model, see `fit_shifts`.
        duration: of the utterance [s]; default: that of its frames.

    Returns:
        (start, end) of each word [s]: none ends before it starts, none overlap, all lie
        within 0 and ``duration``. Two words that would overlap meet half-way.

    Raises:
        ValueError: as `align`.
    """
    if len(groups) == 0:
        return []
    longest = len(log_probs) * frame_seconds
    limit = longest if duration is None else min(duration, longest)
    if background is None and len(log_probs):
        background = median_odds([log_probs], blank)
    spans = align(log_probs, tokens, blank, background)
    times: list[tuple[float, float]] = []
    for positions in groups:
        start = spans[positions[0]][0] * frame_seconds + shifts.start
        end = spans[positions[-1]][1] * frame_seconds + shifts.end
        times.append((min(start, end - frame_seconds), end))
    return _apart(times, limit)


def _apart(times: list[tuple[float, float]], limit: float) -> list[tuple[float, float]]:
    """Moves starts and ends so that words neither overlap nor leave 0 to ``limit`` [s]."""
    edges = np.array(times)  # (words, 2)
    for index in range(1, len(edges)):
        if edges[index, 0] < edges[index - 1, 1]:
            edges[index, 0] = edges[index - 1, 1] = (edges[index, 0] + edges[index - 1, 1]) / 2
    ordered = np.maximum.accumulate(edges.clip(0.0, limit).ravel()).reshape(-1, 2).round(3)
    return [(float(start), float(end)) for start, end in np.minimum(ordered, limit)]


def right_words(
    said: Sequence[str],
    spans: Sequence[tuple[float, float]],
    heard: Sequence[str],
    times: Sequence[tuple[float, float]],
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The (start, end) found and the true one [s] of each word that was recognised right.

    Args:
        said: words of the reference.
        spans: where they are.
        heard: words of the hypothesis.
        times: where they were found.
    """
    pairs, place, found = [], 0, 0
    for operation, reference, hypothesis in align_words(said, heard):
        if operation == "hit":
            pairs.append((times[found], spans[place]))
        place += reference is not None
        found += hypothesis is not None
    return pairs


def fit_shifts(measured: Sequence[tuple[float, float]], true: Sequence[tuple[float, float]]) -> Shifts:
    """The shifts after which half of the starts, and half of the ends, come early and half late.

    Args:
        measured: (start, end) of words [s], from `word_times` without shifts.
        true: the same where people hear them.

    Raises:
        ValueError: no words, or not as many of one as of the other.
    """
    if len(measured) != len(true) or not measured:
        raise ValueError(f"shifts need the same words twice, here are {len(measured)} and {len(true)}")
    start, end = np.median(np.array(true) - np.array(measured), axis=0)
    return Shifts(round(float(start), 4), round(float(end), 4))
