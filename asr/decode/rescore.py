"""Rescoring an n-best list with a recurrent language model beside the n-gram model that the search used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from asr.decode.arrays import SPACE
from asr.decode.beam import BeamOptions, Candidate
from asr.decode.lexicon import Lexicon
from asr.errors import AsrError, UsageError
from asr.lm.units import UNKNOWN_WORD
from asr.tokens import BLANK, Tokenizer

if TYPE_CHECKING:
    from asr.lm.recurrent import RecurrentLm

_LEAST_SHARE = 0.5  # of a vocabulary of words that a search must be able to write, or of the lexicon, if that is less


@dataclass(frozen=True)
class Rescoring:
    """How the scores are put together; see `rescore`.

    Attributes:
        lm_weight: alpha, the weight of both language models together.
        mix: the recurrent model's share of it, 0 to 1.
        word_bonus: beta, added for each word [nats].
        unknown_penalty: added for each word that is ``<unk>`` to the recurrent model [nats], at most 0.

    Raises:
        UsageError: a value out of its range.
    """

    lm_weight: float = 0.5
    mix: float = 0.5
    word_bonus: float = 0.0
    unknown_penalty: float = -10.0

    def __post_init__(self) -> None:
        if not 0 <= self.lm_weight < math.inf:
            raise UsageError(f"lm_weight must be a number from 0 on, not {self.lm_weight}")
        if not 0 <= self.mix <= 1:
            raise UsageError(f"mix must lie between 0 and 1, not {self.mix}")
        if not math.isfinite(self.word_bonus):
            raise UsageError(f"word_bonus must be a number of nats, not {self.word_bonus}")
        if not -math.inf < self.unknown_penalty <= 0:
            raise UsageError(f"unknown_penalty must be a number of nats, at most 0, not {self.unknown_penalty}")


def recurrent_scores(
    nbests: Sequence[Sequence[Candidate]], lm: RecurrentLm, unknown_penalty: float
) -> list[np.ndarray]:
    """ln P of every candidate's words by the recurrent model, all utterances' together and each text once.

    Args:
        nbests: the candidates of each utterance.
        lm: the recurrent model.
        unknown_penalty: see `Rescoring`; times the mix and lm_weight it counts as the rest of the model's score does.

    Returns:
        For each utterance float64, shape (candidates,).

    Raises:
        AsrError: a word cannot be written in the model's units.
    """
    places: dict[str, int] = {}
    for candidates in nbests:
        for one in candidates:
            places.setdefault(one.text, len(places))
    scores = lm.score([text.split() for text in places], unknown_penalty)
    return [scores[[places[one.text] for one in candidates]] if candidates else np.zeros(0) for candidates in nbests]


def rescore(
    candidates: Sequence[Candidate], scores: np.ndarray, searched: BeamOptions, weights: Rescoring
) -> list[Candidate]:
    """Puts an utterance's candidates into a new order.

    The new total is acoustic + lm_weight · ((1 − mix) · n-gram + mix · recurrent) + word_bonus · words, the models
    interpolated in the log domain, plus whatever else the search had added: penalties of words outside the n-gram
    model's vocabulary and boosts of hotwords.

    Args:
        candidates: as the search returned them.
        scores: of the recurrent model, from `recurrent_scores`, shape (candidates,).
        searched: the options of that search, from which the rest of a total is known.
        weights: how to put the scores together.

    Returns:
        The candidates with their new ``lm`` (interpolated) and ``total``, the best first; ties keep their order.

    Raises:
        ValueError: not one score for each candidate.
    """
    if np.shape(scores) != (len(candidates),):
        raise ValueError(f"{len(candidates)} candidates need as many scores, their shape is {np.shape(scores)}")
    found = []
    for one, score in zip(candidates, np.asarray(scores, dtype=np.float64).tolist(), strict=True):
        lm = (1 - weights.mix) * one.lm + weights.mix * score
        total = -math.inf
        if math.isfinite(one.total):
            rest = one.total - one.acoustic - searched.lm_weight * one.lm - searched.word_bonus * len(one.words)
            total = one.acoustic + weights.lm_weight * lm + weights.word_bonus * len(one.words) + rest
        found.append(replace(one, lm=lm, total=total))
    return sorted(found, key=lambda one: -one.total)


def rescore_nbests(
    nbests: Sequence[Sequence[Candidate]], lm: RecurrentLm, searched: BeamOptions, weights: Rescoring
) -> list[list[Candidate]]:
    """`rescore` for many utterances, their sentences scored together in batches by length.

    Raises:
        AsrError: a word cannot be written in the recurrent model's units.
    """
    scores = recurrent_scores(nbests, lm, weights.unknown_penalty)
    return [rescore(one, found, searched, weights) for one, found in zip(nbests, scores, strict=True)]


def check_recurrent_fit(tokenizer: Tokenizer, lm: RecurrentLm, name: str, lexicon: Lexicon | None = None) -> None:
    """Refuses a recurrent model that cannot read what a search writes.

    Args:
        tokenizer: the acoustic model's.
        lm: the recurrent model.
        name: of the recurrent model, for the sentence.
        lexicon: of the search; its words are then what is written.

    Raises:
        AsrError: the search writes characters or words that the recurrent model cannot read, or (a model of words) it
            cannot write most of its vocabulary; names some.
    """
    units = lm.units.tokenizer
    advice = "train it on text that is written as the model's transcripts are, upper or lower case included"
    written = [word for token in range(BLANK + 1, len(tokenizer)) for word, _ in tokenizer.words([token])]
    if lexicon is not None:
        written = lexicon.words
        advice = "train it on text that is written as the lexicon is, or leave those words out of the lexicon"
    closed = lexicon is not None or tokenizer.token_words  # nothing but these words comes out
    if units.kind == "word":
        words = [word for word in units.symbols[BLANK + 1 :] if word != UNKNOWN_WORD]
        known = set(written)
        foreign = [word for word in words if (word not in known if closed else tokenizer.unknown(word))]
        most = min(len(words), len(known)) if closed else len(words)
        if len(words) - len(foreign) < _LEAST_SHARE * most:
            lost = "are not in the lexicon" if lexicon is not None else "cannot be written in the model's tokens"
            raise AsrError(f"{name}: {len(foreign)} of its {len(words)} words {lost} ({_listed(foreign)}); {advice}")
        if UNKNOWN_WORD in units.symbols:
            return
    one_word = not closed and tokenizer.kind == "char" and SPACE not in tokenizer.symbols
    lacking = units.unknown(("" if one_word else " ").join(written))
    if lacking:
        foreign = [word for word in written if units.unknown(word)] if lexicon is not None else []
        where = f" in {len(foreign)} of the lexicon's {len(written)} words ({_listed(foreign)})" if foreign else ""
        raise AsrError(f"{name}: it lacks {_listed(lacking)}, which the acoustic model writes{where}; {advice}")


def _listed(names: list[str], most: int = 5) -> str:
    return ", ".join(map(repr, names[:most])) + (" …" if len(names) > most else "")
