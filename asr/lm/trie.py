"""From lists of n-grams to the trie that `asr.lm.ngram.advance` walks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from asr.compiled import kernel
from asr.lm.ngram import Tables, advance


class Level(NamedTuple):
    """The n-grams of one length n, in any order.

    Attributes:
        ngrams: uint32, shape (K, n): the ids of their words. Unigrams: row w is word w.
        log_probs: float32, shape (K,): ln P(last word | the words before it); NaN: what backing off gives.
        backoffs: float32, shape (K,): ln of the backoff weights; not read for the longest n-grams.
    """

    ngrams: np.ndarray
    log_probs: np.ndarray
    backoffs: np.ndarray


class DuplicateNgram(Exception):
    """An n-gram stands twice in a level: its order and its later row."""

    def __init__(self, order: int, row: int) -> None:
        super().__init__(f"the {order}-gram in row {row} is not the first of its kind")
        self.order, self.row = order, row


@kernel
def child(words, first, node, word):  # type: ignore[no-untyped-def]
    """The child of ``node`` for ``word``; −1 if there is none."""
    low, high = first[node], first[node + 1]
    while low < high:
        middle = (low + high) >> 1
        if words[middle] < word:
            low = middle + 1
        else:
            high = middle
    return low if low < first[node + 1] and words[low] == word else -1


@kernel
def _parents(words, first, ngrams, parents):  # type: ignore[no-untyped-def]
    """The node of each n-gram's prefix; −length of the longest prefix that is there if it is not. Counts the latter."""
    missing = 0
    for row in range(len(ngrams)):
        node = 1 + np.int64(ngrams[row, 0])
        for length in range(1, ngrams.shape[1] - 1):
            found = child(words, first, node, ngrams[row, length])
            if found < 0:
                node = -length
                missing += 1
                break
            node = found
        parents[row] = node
    return missing


@kernel
def link(words, first, suffixes, begin, end):  # type: ignore[no-untyped-def]
    """Sets the suffixes of the children of the nodes ``begin`` to ``end - 1``, whose own are set."""
    for parent in range(begin, end):
        for node in range(first[parent], first[parent + 1]):
            word = words[node]
            suffix = suffixes[parent] if parent else -1
            found = 0 if parent == 0 else 1 + np.int64(word)
            while suffix > 0:
                longer = child(words, first, suffix, word)
                if longer >= 0:
                    found = longer
                    break
                suffix = suffixes[suffix]
            suffixes[node] = found


@kernel
def _fill(tables, begin, end):  # type: ignore[no-untyped-def]
    """Gives the children of these nodes that have no probability of their own what backing off gives."""
    for parent in range(begin, end):
        for node in range(tables.first[parent], tables.first[parent + 1]):
            if np.isnan(tables.log_probs[node]):
                score, _ = advance(tables, np.int64(tables.suffixes[parent]), np.int64(tables.words[node]))
                tables.log_probs[node] = tables.backoffs[parent] + score


def build(levels: Sequence[Level]) -> Tables:
    """Sorts n-grams into a trie.

    Where the prefix of an n-gram is missing it is added, with the probability that backing off gives and the backoff
    weight 1, which changes no probability. A missing suffix is no trouble: the suffix links leap over it.

    Args:
        levels: the n-grams of length 1, 2, …; every word has a unigram. The highest may be empty.

    Raises:
        DuplicateNgram: an n-gram stands twice.
    """
    given = list(levels)
    while True:
        built = _build(given)
        if isinstance(built, Tables):
            return built
        given = built


def _build(given: list[Level]) -> Tables | list[Level]:
    """The trie, or what has to be added to the levels before there can be one."""
    sizes = [len(level.log_probs) for level in given]
    total, inner = 1 + sum(sizes), 1 + sum(sizes[:-1])
    words = np.zeros(total, np.uint32)
    log_probs = np.zeros(total, np.float32)
    backoffs = np.zeros(inner, np.float32)
    suffixes = np.zeros(total, np.int32)
    first = np.zeros(inner + 1, np.int32)
    first[0] = 1
    tables = Tables(words, log_probs, backoffs, suffixes, first)
    before, begin = 0, 1
    for order, level in enumerate(given, start=1):
        end = begin + len(level.log_probs)
        parents = np.zeros(len(level.log_probs), np.int64)
        if order > 1 and _parents(words, first, level.ngrams, parents):
            return _with_prefixes(given, order, parents)
        keys = (parents << 32) | level.ngrams[:, -1]
        if np.any(keys[1:] <= keys[:-1]):
            ordered = np.argsort(keys, kind="stable")
            keys = keys[ordered]
            if len(twice := np.flatnonzero(keys[1:] == keys[:-1])):
                raise DuplicateNgram(order, int(ordered[twice + 1].min()))
            words[begin:end] = level.ngrams[ordered, -1]
            log_probs[begin:end] = level.log_probs[ordered]
            own = level.backoffs[ordered] if order < len(given) else None
        else:
            words[begin:end] = level.ngrams[:, -1]
            log_probs[begin:end] = level.log_probs
            own = level.backoffs if order < len(given) else None
        if own is not None:
            backoffs[begin:end] = own
        children = np.bincount((keys >> 32) - before, minlength=begin - before)
        first[before + 1 : begin + 1] = begin + np.cumsum(children)
        link(words, first, suffixes, before, begin)
        if np.isnan(log_probs[begin:end]).any():
            _fill(tables, before, begin)
        before, begin = begin, end
    return tables


def _with_prefixes(given: list[Level], order: int, parents: np.ndarray) -> list[Level]:
    """The levels with the missing prefixes of the n-grams of one order added."""
    extended = list(given)
    for length in range(2, order):
        missing = np.unique(given[order - 1].ngrams[(parents < 0) & (-parents < length), :length], axis=0)
        level = given[length - 1]
        extended[length - 1] = Level(
            np.concatenate([level.ngrams, missing]),
            np.concatenate([level.log_probs, np.full(len(missing), np.nan, np.float32)]),
            np.concatenate([level.backoffs, np.zeros(len(missing), np.float32)]),
        )
    return extended
