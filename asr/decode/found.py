"""What a search found in several utterances, in arrays that are made before it begins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from asr.compiled import inlined, kernel

ACOUSTIC, LM_SCORE, TOTAL = range(3)


class Found(NamedTuple):
    """Of each of U utterances at most K prefixes, the best first.

    An utterance of S frames that begins at frame f of all has its tokens from K · f on, S for each prefix.

    Attributes:
        counts: int64, shape (U,): how many prefixes.
        values: float64, shape (U, K, 3): acoustic score, LM score, total.
        sizes: int64, shape (U, K, 2): how many tokens and how many words.
        tokens: int32, shape (K · frames,): from the left.
        labels: int32, shape (K · frames,): of each token, the word of the lexicon that ends with it, or −1.
        words: int32, shape (K · frames,): these words, and that which ends with the utterance.
    """

    counts: np.ndarray
    values: np.ndarray
    sizes: np.ndarray
    tokens: np.ndarray
    labels: np.ndarray
    words: np.ndarray


def new_found(utterances: int, most: int, frames: int, words: bool) -> Found:
    """Arrays for U utterances of so many frames together and K = ``most`` prefixes each; ``words``: for words, too."""
    spelled = most * frames if words else 0
    return Found(
        np.zeros(utterances, np.int64),
        np.empty((utterances, most, 3)),
        np.empty((utterances, most, 2), np.int64),
        np.empty(most * frames, np.int32),
        np.empty(spelled, np.int32),
        np.empty(spelled, np.int32),
    )


@kernel
def rank(values, count, most, order):  # type: ignore[no-untyped-def]
    """Fills ``order`` with the places of the greatest of the first ``count`` values, the greatest first, stably.

    Returns how many those are: ``count``, and no more than ``most``. (Insertion sort.)
    """
    kept = 0
    for one in range(count):
        value = values[one]
        if kept == most:
            if value <= values[order[kept - 1]]:
                continue
            kept -= 1
        place = kept
        while place > 0 and values[order[place - 1]] < value:
            order[place] = order[place - 1]
            place -= 1
        order[place] = one
        kept += 1
    return kept


@inlined
def note(found, utterance, place, acoustic, lm, total, tokens, words):  # type: ignore[no-untyped-def]
    """Writes down one prefix, but for what it spells."""
    values, sizes = found.values[utterance, place], found.sizes[utterance, place]
    values[ACOUSTIC], values[LM_SCORE], values[TOTAL] = acoustic, lm, total
    sizes[0], sizes[1] = tokens, words
