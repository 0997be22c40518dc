"""Estimating n-gram language models: interpolated modified Kneser–Ney, number for number as KenLM's lmplz does it.

Chen & Goodman 1998 (An Empirical Study of Smoothing Techniques for Language Modeling), equations 26 and following, in
the form of Heafield, Pouzyrevsky, Clark & Koehn 2013 (Scalable Modified Kneser-Ney Language Model Estimation), with
what lmplz's source says where the papers leave it open.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from asr.compiled import kernel
from asr.errors import AsrError, UsageError
from asr.lm.counts import Ngrams, count_ngrams
from asr.lm.ngram import BEGIN, SPECIAL, NgramModel, Tables

_FALLBACK = (0.0, 0.5, 1.0, 1.5)  # lmplz's --discount_fallback
_LEAST = 1e-99  # an ARPA file's 0: where a discount comes out as 0, backing off gets no mass


def estimate(
    lines: Iterable[str],
    order: int,
    unit: str = "word",
    vocabulary_limit: int | None = None,
    prune: Sequence[int] = (),
) -> NgramModel:
    """Estimates a language model from text: interpolated modified Kneser–Ney.

    With no limit and no pruning every probability and backoff weight is that of ``lmplz -o ORDER``, for orders whose
    discounts cannot be computed ``--discount_fallback``. Two differences: a line without a word is passed over, where
    lmplz counts an empty sentence, and where lmplz writes log10 0 as −inf, it is −99 here. ``<s>`` is never predicted;
    its own log-probability is 0, as lmplz writes it. The mass that unigrams set free is spread evenly over the words,
    ``</s>`` and ``<unk>``.

    Args:
        lines: one sentence each, words parted by white space.
        order: the longest n-gram, at least 1.
        unit: what the words are, ``word`` or ``token``.
        vocabulary_limit: only so many words stay, the most frequent ones (of equally frequent ones the first in the
            alphabet); n-grams that hold another word are pruned (``--limit_vocab_file``), which is then ``<unk>``.
        prune: for n = 1, 2, …: n-grams that stand in the text so often or less are left out, their mass going to
            backing off (``--prune``); the last number holds for the longer ones too; may not fall.

    Returns:
        The model; its words have the ids of their first sight in the text. Its notes say, a sentence each, for which
        orders the discounts are not the text's own, and that lines were empty.

    Raises:
        UsageError: an order below 1, a limit below 1, or thresholds that are negative, that fall or are too many.
        AsrError: the text holds no word, or one that is ``<s>``, ``</s>`` or ``<unk>``.
    """
    thresholds = _thresholds(order, vocabulary_limit, prune)
    vocabulary, levels, empty_lines = count_ngrams(lines, order)
    notes = [f"empty lines passed over: {empty_lines:,}"] if empty_lines else []
    _sort(levels)
    starts = [_starts(level.parents, size) for level, size in zip(levels, _sizes(levels), strict=False)]
    adjusted = _adjusted(levels)
    discounts, failed = _discounts(_counts_of_counts(levels, adjusted))
    if failed:
        notes.append(
            f"order {', '.join(map(str, failed))}: the text is too small or too regular for discounts of its own, so "
            "they are 0.5, 1 and 1.5"
        )
    kept = _kept(levels, thresholds, _allowed(vocabulary, levels[0].counts, vocabulary_limit))
    log_probs, backoffs = _smooth(levels, starts, adjusted, discounts, kept)
    del adjusted, starts
    if not all(some.all() for some in kept):
        vocabulary = [word for word, keep in zip(vocabulary, kept[0].tolist(), strict=True) if keep]
        levels = _select(levels, kept)
        log_probs = [values[keep] for values, keep in zip(log_probs, kept, strict=True)]
        backoffs = [values[keep] for values, keep in zip(backoffs, kept[:-1], strict=True)]
    return NgramModel(unit, order, vocabulary, _tables(levels, log_probs, backoffs), tuple(notes))


def _thresholds(order: int, vocabulary_limit: int | None, prune: Sequence[int]) -> list[int]:
    """The pruning threshold of each length."""
    if order < 1:
        raise UsageError(f"an n-gram model of order {order}: the order must be at least 1")
    if vocabulary_limit is not None and vocabulary_limit < 1:
        raise UsageError(f"a vocabulary limited to {vocabulary_limit} words: it must hold at least 1")
    thresholds = list(prune) or [0]
    shown = " ".join(map(str, thresholds))
    if len(thresholds) > order:
        raise UsageError(f"pruning thresholds {shown}: {len(thresholds)} of them, but the order is {order}")
    if min(thresholds) < 0 or thresholds != sorted(thresholds):
        raise UsageError(f"pruning thresholds {shown}: none may be negative or below the one before it")
    return thresholds + thresholds[-1:] * (order - len(thresholds))


def _sizes(levels: list[Ngrams]) -> list[int]:
    """How many histories the n-grams of each level have to choose from: one for unigrams."""
    return [1, *(len(level.words) for level in levels)]


def _sort(levels: list[Ngrams]) -> None:
    """Renumbers the n-grams of each level so that those of one history stand together, by their last word."""
    ranks = np.arange(len(levels[0].words), dtype=np.int32)
    for length in range(1, len(levels)):
        parents, words, suffixes, counts = levels[length]
        order = np.argsort((ranks[parents].astype(np.uint64) << np.uint64(32)) | words)
        levels[length] = Ngrams(ranks[parents[order]], words[order], ranks[suffixes[order]], counts[order])
        ranks = np.empty(len(order), np.int32)
        ranks[order] = np.arange(len(order), dtype=np.int32)


def _starts(parents: np.ndarray, histories: int) -> np.ndarray:
    """Where the n-grams of each history begin, shape (histories + 1,)."""
    starts = np.zeros(histories + 1, np.int64)
    np.cumsum(np.bincount(parents, minlength=histories), out=starts[1:])
    return starts


def _adjusted(levels: list[Ngrams]) -> list[np.ndarray]:
    """The adjusted counts of each level (Heafield 2013, section 3.2).

    How often an n-gram stands in the text if it has the full length or begins with ``<s>``; otherwise how many
    different words stand before it. ``<s>`` itself is never predicted: 0.
    """
    adjusted = []
    for level, longer in itertools.pairwise(levels):
        extensions = np.bincount(longer.suffixes, minlength=len(level.words))
        # Nothing stands before <s>; before everything else there is something.
        adjusted.append(np.where(extensions == 0, level.counts, extensions).astype(np.uint32))
    adjusted.append(levels[-1].counts.copy())
    adjusted[0][BEGIN] = 0
    return adjusted


def _counts_of_counts(levels: list[Ngrams], adjusted: list[np.ndarray]) -> list[np.ndarray]:
    """How many n-grams of each length have the adjusted count 0, 1, 2, 3, 4: shape (5,) each.

    lmplz reads the n-grams sorted by their last word, then the one before it, and so on, and enters the very last one
    of each length below the order with its plain count. It matters in small texts only, and is done here too.
    """
    histograms = [np.bincount(counts[counts < 5], minlength=5) for counts in adjusted]
    number = len(levels[0].words) - 1  # by first sight, as lmplz numbers words
    for length in range(len(levels) - 1):
        before, after = adjusted[length][number], levels[length].counts[number]
        histograms[length][before : before + 1] -= 1  # an empty slice where it is above 4
        histograms[length][after : after + 1] += 1
        longer = np.flatnonzero(levels[length + 1].suffixes == number)
        if not len(longer):  # it begins with <s>
            break
        heads = levels[length + 1].parents[longer]
        for level in reversed(levels[1 : length + 1]):
            heads = level.parents[heads]
        number = longer[np.argmax(heads)]  # the head of a bigram and its like is its first word
    return histograms


def _discounts(histograms: list[np.ndarray]) -> tuple[np.ndarray, list[int]]:
    """The discounts for adjusted counts of 0, 1, 2 and above, shape (order, 4), and the orders that lack their own.

    Equation 26 of Chen & Goodman. Where it cannot be computed, or leaves the range from 0 to the count, `_FALLBACK`.
    """
    discounts = np.zeros((len(histograms), 4))
    failed = []
    for length, histogram in enumerate(histograms):
        _, n1, n2, n3, n4 = histogram.tolist()
        if n1 and n2 and n3:
            y = n1 / (n1 + 2 * n2)
            discounts[length] = 0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
        if not (n1 and n2 and n3) or discounts[length].min() < 0:
            discounts[length] = _FALLBACK
            failed.append(length + 1)
    return discounts, failed


def _allowed(vocabulary: list[str], counts: np.ndarray, limit: int | None) -> np.ndarray:
    """Which words stay: bool, shape (V,)."""
    allowed = np.ones(len(vocabulary), np.bool_)
    words = range(len(SPECIAL), len(vocabulary))
    if limit is not None and len(words) > limit:
        ranked = sorted(words, key=lambda word: (-int(counts[word]), vocabulary[word]))
        allowed[ranked[limit:]] = False
    return allowed


def _kept(levels: list[Ngrams], thresholds: list[int], allowed: np.ndarray) -> list[np.ndarray]:
    """Which n-grams are not pruned: bool, one array a level."""
    kept = [allowed & (levels[0].counts > thresholds[0])]
    kept[0][: len(SPECIAL)] = True
    for level, threshold in zip(levels[1:], thresholds[1:], strict=True):
        kept.append(kept[-1][level.parents] & kept[0][level.words] & (level.counts > threshold))
    return kept


@kernel
def _smooth_level(starts, suffixes, counts, kept, discounts, lower, probs, gammas):  # type: ignore[no-untyped-def]
    """Sets P of all n-grams of one length and the backoff weights γ of their histories.

    Heafield 2013, sections 3.3 and 3.4; of a pruned n-gram, as lmplz has it, the whole count goes to backing off.
    """
    for history in range(len(gammas)):
        total, freed = 0.0, 0.0
        for number in range(starts[history], starts[history + 1]):
            total += counts[number]
            freed += discounts[min(counts[number], 3)] if kept[number] else counts[number]
        gammas[history] = gamma = freed / total if total else 1.0
        for number in range(starts[history], starts[history + 1]):
            own = (counts[number] - discounts[min(counts[number], 3)]) / total if total else 0.0
            probs[number] = own + gamma * lower[suffixes[number]]


def _smooth(
    levels: list[Ngrams],
    starts: list[np.ndarray],
    adjusted: list[np.ndarray],
    discounts: np.ndarray,
    kept: list[np.ndarray],
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """ln P of the n-grams of every level and ln of the backoff weights of all but the last: float32, (K,) each."""
    uniform = 1 / (int(kept[0].sum()) - 1)  # <unk> and </s> are predicted too, <s> is not
    lower = np.array([uniform])
    log_probs, backoffs = [], []
    for length, level in enumerate(levels):
        probs = np.empty(len(level.words))
        gammas = np.empty(len(lower))
        _smooth_level(
            starts[length], level.suffixes, adjusted[length], kept[length], discounts[length], lower, probs, gammas
        )
        if length == 0:
            probs[BEGIN] = 1.0
        else:
            backoffs.append(_ln(gammas))
        log_probs.append(_ln(probs))
        lower = probs
    return log_probs, backoffs


def _ln(values: np.ndarray) -> np.ndarray:
    """Natural logarithms in float32, none above 0, as lmplz has it against rounding."""
    return np.log(np.clip(values, _LEAST, 1.0)).astype(np.float32)


def _select(levels: list[Ngrams], kept: list[np.ndarray]) -> list[Ngrams]:
    """The levels without the pruned n-grams, all numbers set right.

    Thresholds do not fall, so that prefixes and suffixes of what stays stay too.
    """
    selected = []
    shorter = np.zeros(1, np.int32)  # new numbers of the level below
    words = np.cumsum(kept[0], dtype=np.uint32) - np.uint32(1)
    for level, keep in zip(levels, kept, strict=True):
        parents, last, suffixes, counts = (array[keep] for array in level)
        selected.append(Ngrams(shorter[parents], words[last], shorter[suffixes], counts))
        shorter = np.cumsum(keep, dtype=np.int32) - np.int32(1)
    return selected


def _tables(levels: list[Ngrams], log_probs: list[np.ndarray], backoffs: list[np.ndarray]) -> Tables:
    """The trie: sorted as they are, the levels only have to stand one behind the other."""
    ends = np.cumsum([1, *(len(level.words) for level in levels)]).tolist()  # level n: ends[n - 1] to ends[n] - 1
    total, inner = ends[-1], ends[-2]
    if total >= 1 << 31:
        raise AsrError(f"{total:,} n-grams are more than a model can hold; prune, lower the order or take less text")
    tables = Tables(
        np.zeros(total, np.uint32),
        np.zeros(total, np.float32),
        np.zeros(inner, np.float32),
        np.zeros(total, np.int32),
        np.empty(inner + 1, np.int32),
    )
    tables.first[0] = 1
    shorter = 0  # where the level below begins
    for begin, end, level, probs in zip(ends, ends[1:], levels, log_probs, strict=False):
        tables.words[begin:end] = level.words
        tables.log_probs[begin:end] = probs
        if shorter:  # the suffix of a unigram is node 0
            tables.suffixes[begin:end] = level.suffixes + np.int32(shorter)
        children = np.bincount(level.parents, minlength=begin - shorter)
        tables.first[shorter + 1 : begin + 1] = begin + np.cumsum(children)
        shorter = begin
    for begin, end, weights in zip(ends, ends[1:], backoffs, strict=False):
        tables.backoffs[begin:end] = weights
    return tables
