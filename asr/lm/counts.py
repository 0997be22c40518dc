"""Counting n-grams in one pass over text, with memory for the different n-grams and never for the text.

The n-grams of each length have numbers, given by first sight; the unigrams' are the word ids. An n-gram is known by
one 64-bit key, the number of its prefix and its last word, in a hash table of its length. The text passes in chunks of
whole sentences, each chunk length after length: the numbers of the n-grams that end at each word are the prefixes of
the next length, and its suffixes too, so that neither is ever searched for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from asr.compiled import kernel
from asr.errors import AsrError
from asr.lm.ngram import BEGIN, END, SPECIAL

_CHUNK = 1 << 20  # [words] that pass at a time
_MOST = (1 << 31) - 1  # n-grams of one model: their numbers are int32
_FULLEST = 0.6  # share of a hash table that is in use at most; linear probing slows down steeply above it


class Ngrams(NamedTuple):
    """The K different n-grams of one length.

    Attributes:
        parents: int32, shape (K,): the number of each n-gram's prefix, one word shorter; of unigrams 0.
        words: uint32, shape (K,): its last word.
        suffixes: int32, shape (K,): the number of its suffix, one word shorter; of unigrams 0.
        counts: uint32, shape (K,): how often it stands in the text.
    """

    parents: np.ndarray
    words: np.ndarray
    suffixes: np.ndarray
    counts: np.ndarray


class Counts(NamedTuple):
    """What a text holds.

    Attributes:
        vocabulary: the words by id, `SPECIAL` first, then by first sight.
        levels: the n-grams of length 1, 2, …, order, those that begin with ``<s>`` included. The unigram of word w is
            number w; that of ``<s>`` counts the sentences.
        empty_lines: how many lines without a word were passed over.
    """

    vocabulary: list[str]
    levels: list[Ngrams]
    empty_lines: int


class _Ids(dict[str, int]):
    """Word → id; a word that was not there gets the next id."""

    def __missing__(self, word: str) -> int:
        if word in SPECIAL:
            raise ValueError(word)
        self[word] = number = len(self) + len(SPECIAL)
        return number


@kernel
def _slot(key, shift):  # type: ignore[no-untyped-def]
    """Where the search for a key begins: the top bits of a mix of all its bits (the finaliser of MurmurHash3)."""
    key ^= key >> np.uint64(33)
    key *= np.uint64(0xFF51AFD7ED558CCD)
    key ^= key >> np.uint64(33)
    key *= np.uint64(0xC4CEB9FE1A85EC53)
    return key >> shift


@kernel
def _rehash(keys, size, slots, shift):  # type: ignore[no-untyped-def]
    """Enters all keys into an empty table."""
    last = np.uint64(len(slots) - 1)
    for number in range(size):
        slot = _slot(keys[number], shift)
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & last
        slots[slot] = number


@kernel
def _count(chunk, shorter, longer, keys, suffixes, counts, size, slots, shift):  # type: ignore[no-untyped-def]
    """Counts the n-grams of one length; returns how many different ones there are now.

    Args:
        chunk: the words, each sentence begun by ``<s>``.
        shorter: for each word the number of the (n − 1)-gram that ends there; −1: none.
        longer: becomes the same for the n-grams.
    """
    last = np.uint64(len(slots) - 1)
    longer[0] = -1
    for position in range(1, len(chunk)):
        prefix = shorter[position - 1]
        if prefix < 0 or chunk[position] == BEGIN:
            longer[position] = -1
            continue
        key = (np.uint64(prefix) << np.uint64(32)) | np.uint64(chunk[position])
        slot = _slot(key, shift)
        number = slots[slot]
        while number >= 0 and keys[number] != key:
            slot = (slot + np.uint64(1)) & last
            number = slots[slot]
        if number < 0:
            number = np.int32(size)
            slots[slot] = number
            keys[number] = key
            suffixes[number] = shorter[position]
            counts[number] = 0
            size += 1
        counts[number] += np.uint32(1)
        longer[position] = number
    return size


def _longer(array: np.ndarray, size: int, capacity: int) -> np.ndarray:
    grown = np.empty(capacity, array.dtype)
    grown[:size] = array[:size]
    return grown


@dataclass
class _Table:
    """The n-grams of one length above 1, by number, and a hash table that finds the number of a key; −1 is empty."""

    size: int = 0
    keys: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    suffixes: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    counts: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint32))
    slots: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))

    @property
    def _shift(self) -> np.uint64:
        return np.uint64(64 - (len(self.slots).bit_length() - 1))

    def reserve(self, more: int) -> None:
        """Makes room for so many new n-grams."""
        needed = self.size + more
        if needed > len(self.keys):
            capacity = max(needed, self.size * 3 // 2)
            self.keys = _longer(self.keys, self.size, capacity)
            self.suffixes = _longer(self.suffixes, self.size, capacity)
            self.counts = _longer(self.counts, self.size, capacity)
        if needed > _FULLEST * len(self.slots):
            self.slots = np.full(1 << int(needed / _FULLEST).bit_length(), -1, np.int32)
            _rehash(self.keys, self.size, self.slots, self._shift)

    def count(self, chunk: np.ndarray, shorter: np.ndarray) -> np.ndarray:
        """Counts what `_count` says and returns its ``longer``."""
        self.reserve(len(chunk))
        longer = np.empty(len(chunk), np.int32)
        self.size = _count(
            chunk, shorter, longer, self.keys, self.suffixes, self.counts, self.size, self.slots, self._shift
        )
        return longer

    def ngrams(self) -> Ngrams:
        """The n-grams, and an end of this table."""
        self.slots = np.empty(0, np.int32)
        keys = self.keys[: self.size]
        parents, words = (keys >> np.uint64(32)).astype(np.int32), keys.astype(np.uint32)
        return Ngrams(parents, words, self.suffixes[: self.size], self.counts[: self.size])


def count_ngrams(lines: Iterable[str], order: int) -> Counts:
    """Counts all n-grams of length 1 to ``order`` in sentences, each read as ``<s> w1 … wn </s>``.

    Args:
        lines: one sentence each, words parted by white space. A line without a word is no sentence and passed over.
        order: at least 1.

    Raises:
        AsrError: a word is ``<s>``, ``</s>`` or ``<unk>`` (the sentence names the line, counted from 1), there is no
            word at all, or there are more different n-grams than a model can hold.
    """
    ids = _Ids()
    unigrams = np.zeros(len(SPECIAL), np.int64)
    tables = [_Table() for _ in range(2, order + 1)]
    chunk: list[int] = []
    empty = number = 0

    def flush() -> None:
        nonlocal unigrams
        words = np.array(chunk, np.uint32)
        chunk.clear()
        found = np.bincount(words, minlength=len(ids) + len(SPECIAL))
        found[: len(unigrams)] += unigrams
        unigrams = found
        if len(unigrams) + sum(table.size + len(words) for table in tables) > _MOST:
            raise AsrError(
                f"line {number}: up to here the text holds about {_MOST:,} different n-grams, the most that a model "
                "can hold; lower the order or take less text"
            )
        ends = words.view(np.int32)
        for table in tables:
            ends = table.count(words, ends)

    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            empty += 1
            continue
        chunk.append(BEGIN)
        try:
            chunk.extend(map(ids.__getitem__, words))
        except ValueError as error:
            raise AsrError(
                f"line {number}: the word {error} stands in the text, but it is the language model's own sign; "
                "write that word otherwise"
            ) from None
        chunk.append(END)
        if len(chunk) >= _CHUNK:
            flush()
    if not ids:
        raise AsrError(f"no word in {number} lines of text, so there is no language model to estimate")
    if chunk:
        flush()
    types = len(unigrams)
    zeros = np.zeros(types, np.int32)
    levels = [Ngrams(zeros, np.arange(types, dtype=np.uint32), zeros, unigrams.astype(np.uint32))]
    levels += [table.ngrams() for table in tables]
    return Counts([*SPECIAL, *ids], levels, empty)
