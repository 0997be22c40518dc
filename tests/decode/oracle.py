"""What the exhaustive tests of the beam search share: settings that prune nothing, and scores word by word."""

from __future__ import annotations

import math

from asr.lm.ngram import NgramModel
from tests.decode.models import tokenizer

WIDE = {
    "beam": 3000,
    "token_limit": 10,
    "token_threshold": math.inf,
    "beam_threshold": math.inf,
    "nbest": 5000,
}
ALPHA, BETA, UNKNOWN = 0.7, 0.9, -1.5
FUSED = {**WIDE, "lm_weight": ALPHA, "word_bonus": BETA, "unknown_penalty": UNKNOWN}
CHARACTERS = tokenizer("char", ["<space>", "a", "b"])


def lm_score(lm: NgramModel, units: list[str]) -> tuple[float, float]:
    """ln P of the units and the sentence's end; what is added for those outside the vocabulary."""
    state, total = lm.begin, 0.0
    for unit in [*units, "</s>"]:
        score, state = lm.advance(state, unit)
        total += score
    return total, UNKNOWN * sum(unit not in lm.ids for unit in units)


def boost(words: list[str], hotwords: list[tuple[str, float]]) -> float:
    total = 0.0
    for phrase, weight in hotwords:
        wanted = phrase.split()
        total += sum(weight * len(wanted) for at in range(len(words)) if words[at : at + len(wanted)] == wanted)
    return total


def parses(
    ids: tuple[int, ...], spellings: list[tuple[str, tuple[int, ...]]], space: int | None
) -> set[tuple[str, ...]]:
    """Every sequence of words that these tokens spell."""
    if not ids:
        return {()}
    found = set()
    for word, spelling in spellings:
        ends = [spelling] if space is None else [(*spelling, space)]
        for end in ends:
            if ids[: len(end)] == end:
                found |= {(word, *rest) for rest in parses(ids[len(end) :], spellings, space)}
        if ids == spelling:
            found.add((word,))
    return found
