"""Pruning by relative entropy: drop the n-grams that change the model least (Stolcke 1998), down to a given size.

The measure is that of SRILM's ``ngram -prune``: an n-gram goes if the training set's perplexity, as far as the model
itself foretells it, rises by less than the threshold, relatively. Histories of n-grams that stay are kept.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from asr.compiled import kernel
from asr.errors import UsageError
from asr.lm.ngram import BEGIN, END, NgramModel, Tables, advance, levels
from asr.lm.quantise import LEVELS, narrow_size
from asr.lm.trie import link

_HEADER = 4096  # [bytes] about what a model file takes beside its tensors
_CANDIDATES = 1_000_000
_LEAST = 1e-12  # a left-over mass below it is rounding


@kernel
def _joint(tables, joint, begin, end):  # type: ignore[no-untyped-def]
    """ln P of the children of these nodes as n-grams, all their words together; those of the nodes are known."""
    for parent in range(begin, end):
        for node in range(tables.first[parent], tables.first[parent + 1]):
            joint[node] = joint[parent] + tables.log_probs[node]
    if begin == 0:
        # Nothing predicts <s>, but it is met as often as </s>.
        joint[1 + BEGIN] = tables.log_probs[1 + END]


@kernel
def _rises(tables, joint, rises, begin, end):  # type: ignore[no-untyped-def]
    """The relative rise of the perplexity if one child of these nodes were dropped (Stolcke 1998, eq. 3 and 5)."""
    for history in range(begin, end):
        first, behind = tables.first[history], tables.first[history + 1]
        suffix = np.int64(tables.suffixes[history])
        left, left_below = 1.0, 1.0
        for node in range(first, behind):
            below, _ = advance(tables, suffix, np.int64(tables.words[node]))
            rises[node] = below
            left -= np.exp(tables.log_probs[node])
            left_below -= np.exp(below)
        left, left_below = max(left, 0.0), max(left_below, 0.0)
        for node in range(first, behind):
            below, own = rises[node], np.float64(tables.log_probs[node])
            probability = np.exp(own)
            if probability == 0 or joint[history] == -np.inf:
                rises[node] = 0.0
                continue
            if below == -np.inf:
                rises[node] = np.inf  # without it the word would be impossible here
                continue
            backoff = np.log(left + probability) - np.log(left_below + np.exp(below))
            change = probability * (below + backoff - own)
            if left > _LEAST:
                change += left * (backoff - tables.backoffs[history])
            rises[node] = np.expm1(-np.exp(joint[history]) * change)


@kernel
def _lift(first, rises, begin, end):  # type: ignore[no-untyped-def]
    """An n-gram must stay as long as one that it begins."""
    for node in range(begin, end):
        for longer in range(first[node], first[node + 1]):
            rises[node] = max(rises[node], rises[longer])


@kernel
def _normalise(tables, begin, end):  # type: ignore[no-untyped-def]
    """Sets the backoff weights of these nodes so that the probabilities behind each sum to one."""
    for history in range(begin, end):
        left, left_below = 1.0, 1.0
        suffix = np.int64(tables.suffixes[history])
        for node in range(tables.first[history], tables.first[history + 1]):
            below, _ = advance(tables, suffix, np.int64(tables.words[node]))
            left -= np.exp(tables.log_probs[node])
            left_below -= np.exp(below)
        if tables.first[history] == tables.first[history + 1] or (left < _LEAST and left_below < _LEAST):
            tables.backoffs[history] = 0.0
        else:
            tables.backoffs[history] = np.log(max(left, _LEAST)) - np.log(max(left_below, _LEAST))


def perplexity_rises(tables: Tables) -> np.ndarray:
    """The threshold above which each n-gram is pruned.

    Args:
        tables: the model's.

    Returns:
        float64, shape (M,): for every n-gram from length 2 on the relative rise of the perplexity if it alone were
        dropped, or that of the n-gram it begins that is dropped last, whichever is more. Infinity for unigrams.
    """
    bounds = levels(tables)
    joint, rises = np.zeros(len(tables.words)), np.full(len(tables.words), np.inf)
    inner = [(begin, min(end, len(tables.backoffs))) for begin, end in itertools.pairwise(bounds[:-1])]
    for begin, end in inner:
        _joint(tables, joint, begin, end)
    for begin, end in inner[1:]:
        _rises(tables, joint, rises, begin, end)
    for begin, end in reversed(inner[2:]):
        _lift(tables.first, rises, begin, end)
    return rises


def _keep(model: NgramModel, keep: np.ndarray, note: str) -> NgramModel:
    """The model of the n-grams that are kept, bool, shape (M,), with new backoff weights."""
    tables = model.tables
    before = np.concatenate([[0], np.cumsum(keep)])  # (M + 1,): how many kept ones stand before each
    histories = keep[: len(tables.backoffs)]
    first = np.append(before[tables.first[:-1][histories]], before[-1]).astype(np.int32)
    kept = Tables(
        tables.words[keep],
        tables.log_probs[keep],
        tables.backoffs[histories],
        np.zeros(int(before[-1]), np.int32),
        first,
    )
    bounds = levels(kept)
    longest = len(bounds) - 2
    # Where the longest n-grams are all gone, those before them are nobody's history any more.
    inner = bounds[longest]
    kept = kept._replace(backoffs=kept.backoffs[:inner].copy(), first=kept.first[: inner + 1].copy())
    for begin, end in itertools.pairwise(bounds[: longest + 1]):
        link(kept.words, kept.first, kept.suffixes, begin, end)
    for begin, end in itertools.pairwise(bounds[1 : longest + 1]):
        _normalise(kept, begin, end)
    return replace(model, order=longest, tables=kept, notes=(*model.notes, note))


def prune(model: NgramModel, threshold: float) -> NgramModel:
    """Drops every n-gram whose absence raises the perplexity by less than the threshold.

    Args:
        model: is left as it is.
        threshold: relative rise of the perplexity, 1e-8 say.

    Raises:
        UsageError: the threshold is negative or not a number.
    """
    if not 0 <= threshold < np.inf:
        raise UsageError(f"the threshold of entropy pruning must be a small number such as 1e-8, this is {threshold}")
    keep = perplexity_rises(model.tables) >= threshold
    keep[0] = True
    if threshold == 0 or keep.all():
        return model
    return _keep(
        model, keep, f"entropy pruning at {threshold:.3g} kept {keep.sum() - 1:,} of {len(keep) - 1:,} n-grams"
    )


def _size(model: NgramModel, keep: np.ndarray) -> int:
    """The bytes of the 8-bit file of the n-grams that are kept."""
    tables, bounds = model.tables, levels(model.tables)
    before = np.concatenate([[0], np.cumsum(keep)])
    size = _HEADER + sum(len(word.encode()) + 1 for word in model.vocabulary)
    for length, (begin, end) in enumerate(itertools.pairwise(bounds)):
        kept = keep[begin:end]
        if length >= 1:
            size += int(kept.sum()) + 4 * LEVELS
        if length >= 2:
            size += narrow_size(tables.words[begin:end][kept])
        if begin < len(tables.backoffs):
            children = np.diff(before[tables.first[begin : end + 1]])[kept]
            size += narrow_size(children) + int((children > 0).sum()) + 4 * LEVELS
    return size


def prune_to_size(model: NgramModel, size: float) -> NgramModel:
    """Prunes by entropy until the model's 8-bit file is no larger than a size; what fits already is left as it is.

    Args:
        model: is left as it is.
        size: [bytes].

    Raises:
        UsageError: the words alone are larger.
    """
    if _size(model, np.ones(len(model.tables.words), bool)) <= size:
        return model
    rises = perplexity_rises(model.tables)
    rises[0] = np.inf
    least = _size(model, rises == np.inf)
    if least > size:
        raise UsageError(
            f"a size of {size / 1e6:g} MB is too little: its {len(model.vocabulary):,} words alone need "
            f"{least / 1e6:.3g} MB; allow that, or fewer words (--vocabulary)"
        )
    finite = rises[rises < np.inf]
    # Any threshold between two neighbours of a million gives nearly the same model.
    candidates = np.append(np.unique(finite[:: -(-len(finite) // _CANDIDATES)]), np.finfo(np.float64).max)
    low, high = 0, len(candidates) - 1  # the last of them fits
    while low < high:
        middle = (low + high) // 2
        if _size(model, rises >= candidates[middle]) <= size:
            high = middle
        else:
            low = middle + 1
    keep = rises >= candidates[high]
    note = f"entropy pruning at {candidates[high]:.3g} kept {keep.sum() - 1:,} of {len(keep) - 1:,} n-grams"
    return _keep(model, keep, note)
