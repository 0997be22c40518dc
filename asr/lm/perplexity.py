"""Perplexity of a text under an n-gram model, as KenLM's ``query`` defines it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from asr.errors import AsrError
from asr.lm.ngram import BEGIN, END, UNKNOWN, NgramModel

_AT_ONCE = 1 << 18  # words scored in one call


@dataclass(frozen=True)
class Perplexity:
    """What a text's words and sentence ends are worth to a model.

    Attributes:
        sentences: lines that hold a word.
        words: without sentence ends.
        unknown: words that the model lacks.
        log_prob: ln P of all words and of a ``</s>`` behind each sentence.
        unknown_log_prob: the part of it that is the unknown words'.
    """

    sentences: int = 0
    words: int = 0
    unknown: int = 0
    log_prob: float = 0.0
    unknown_log_prob: float = 0.0

    def __add__(self, other: Perplexity) -> Perplexity:
        return Perplexity(
            self.sentences + other.sentences,
            self.words + other.words,
            self.unknown + other.unknown,
            self.log_prob + other.log_prob,
            self.unknown_log_prob + other.unknown_log_prob,
        )

    @property
    def bits(self) -> float:
        """Bits a word, sentence ends counted as words, unknown words included."""
        return -self.log_prob / (self.words + self.sentences) / math.log(2)

    @property
    def with_unknown(self) -> float:
        """exp(−mean ln P) over all words and sentence ends."""
        return _exp(-self.log_prob / (self.words + self.sentences))

    @property
    def without_unknown(self) -> float:
        """The same with the unknown words left out; they still stand in the histories of others."""
        return _exp((self.unknown_log_prob - self.log_prob) / (self.words + self.sentences - self.unknown))


def _exp(exponent: float) -> float:
    return math.exp(exponent) if exponent < 709 else math.inf


def _chunks(model: NgramModel, sentences: Iterable[list[str]]) -> Iterator[tuple[int, np.ndarray]]:
    """(sentences, ids of all their words and ends), some hundred thousand words at a time."""
    ids: list[int] = []
    count = 0
    known = model.ids
    for words in sentences:
        ids.extend(known.get(word, UNKNOWN) for word in words)
        ids.append(END)
        count += 1
        if len(ids) >= _AT_ONCE:
            yield count, np.array(ids, dtype=np.uint32)
            ids, count = [], 0
    yield count, np.array(ids, dtype=np.uint32)


def perplexity(model: NgramModel, lines: Iterable[str], what: str) -> Perplexity:
    """Scores a text.

    Args:
        model: the language model.
        lines: one sentence each, words parted by white space; empty ones are passed over.
        what: the text's name, for messages.

    Raises:
        AsrError: the text has no words, or holds ``<s>`` or ``</s>``, which are put there by the model.
    """
    total = Perplexity()
    for count, ids in _chunks(model, (words for line in lines if (words := line.split()))):
        if (ids == BEGIN).any() or int((ids == END).sum()) != count:
            raise AsrError(
                f"{what}: holds <s> or </s> as a word; give plain sentences, the model adds the marks itself"
            )
        scores = model.score_sentences(ids)
        unknown = ids == UNKNOWN
        total += Perplexity(
            count, len(ids) - count, int(unknown.sum()), float(scores.sum()), float(scores[unknown].sum())
        )
    if not total.words:
        raise AsrError(f"{what}: holds no words, so it has no perplexity")
    return total
