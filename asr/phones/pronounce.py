"""Pronouncing words by their letters, whatever computes for it. Nothing here needs PyTorch; see `asr.phones.g2p`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr.decode.beam import BeamDecoder, BeamOptions
from asr.decode.hotwords import written_in
from asr.phones.dictionary import Phones
from asr.tokens import BLANK, Tokenizer

_BATCH = 256  # words that are pronounced at once
_OPTIONS = BeamOptions(beam=16, token_limit=16, token_threshold=12.0, beam_threshold=20.0)


@dataclass(frozen=True)
class Pronunciation:
    """One way to say a word.

    Attributes:
        phones: of which it is made.
        score: ln of its probability, by all alignments.
    """

    phones: Phones
    score: float


class Pronouncer(ABC):
    """Letters → phones.

    Attributes:
        letters: those it can read, in the order of their ids, which begin at 1.
        phones: those it can write, as tokens.
    """

    def __init__(self, letters: str, phones: Tokenizer) -> None:
        self.letters, self.phones = letters, phones
        self._ids = {letter: number for number, letter in enumerate(letters, 1)}

    @abstractmethod
    def log_probs(self, words: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Of each word as letter ids, float32, shape (S, V)."""

    def letter_ids(self, word: str) -> list[int] | None:
        """The word's letters: as written, else in upper, else in lower case; None if the model cannot read them."""
        spelling = written_in(self._ids)(word)
        return [self._ids[letter] for letter in spelling] if spelling and self._ids.keys() >= set(spelling) else None

    def foreign(self, word: str) -> list[str]:
        """Characters of a word that the model has never read, each once, sorted."""
        return sorted({one for one in word if not {one, one.upper(), one.lower()} & self._ids.keys()})

    def pronounce(self, words: Sequence[str], nbest: int = 1) -> list[list[Pronunciation]]:
        """The likeliest pronunciations of each word, the best first; none for a word that it cannot read.

        Found by a prefix beam search without a language model. What a word gets does not depend on the others.
        """
        found: list[list[Pronunciation]] = [[] for _ in words]
        decoder = BeamDecoder(self.phones, BLANK, BeamOptions(**{**vars(_OPTIONS), "nbest": nbest + 1}))
        read = [(place, ids) for place, word in enumerate(words) if (ids := self.letter_ids(word))]
        for batch in _by_length(read):
            rows = self.log_probs([ids for _, ids in batch])
            for (place, _), row in zip(batch, rows, strict=True):
                candidates = [one for one in decoder.decode(row) if one.tokens]  # silence says no word
                found[place] = [
                    Pronunciation(tuple(self.phones.symbols[token] for token in one.tokens), one.acoustic)
                    for one in candidates[:nbest]
                ]
        return found


def _by_length(read: list[tuple[int, list[int]]]) -> Iterator[list[tuple[int, list[int]]]]:
    ordered = sorted(read, key=lambda one: len(one[1]))
    for begin in range(0, len(ordered), _BATCH):
        yield ordered[begin : begin + _BATCH]
