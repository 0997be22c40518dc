"""Words by their spelling, as the flat arrays that the beam search walks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from asr.decode.fusion import Trie


def frozen(array: np.ndarray | Sequence[float], dtype: DTypeLike) -> np.ndarray:
    """The same numbers as a contiguous, aligned array that cannot be written to.

    The kernels are compiled for exactly these properties; another layout would be compiled again, which takes seconds.
    """
    # A view of its own: the caller's array stays as writeable as it was, and a memory map becomes a plain array.
    view = np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED"]).view(np.ndarray)[...]
    view.flags.writeable = False
    return view


def build_trie(
    spellings: Sequence[Sequence[int]], labels: np.ndarray, lm: np.ndarray, unigrams: np.ndarray | None = None
) -> Trie:
    """Builds a trie level by level; its nodes are numbered in that order, so that children stand side by side.

    Args:
        spellings: units of each pronunciation, none empty, sorted.
        labels: int, shape (P,): the word of each pronunciation.
        lm: int: the language model's id of each label.
        unigrams: ln P of each of the language model's words, without regard to what stands before it; None: no word
            model is asked.
    """
    lengths = np.array([len(spelling) for spelling in spellings], np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(lengths) else lengths
    flat = np.array([unit for spelling in spellings for unit in spelling], np.int32)
    at = np.zeros(len(lengths), np.int64)  # the node that each spelling has reached
    units, parents = [np.zeros(1, np.int32)], [np.full(1, -1, np.int64)]
    nodes = 1
    active = np.arange(len(lengths))
    while len(active):
        unit = flat[offsets[active] + len(units) - 1]
        # Sorted spellings with the same beginning are neighbours, so a node begins wherever the beginning changes.
        new = np.concatenate([[True], (unit[1:] != unit[:-1]) | (at[active][1:] != at[active][:-1])])
        units.append(unit[new])
        parents.append(at[active][new])
        at[active] = nodes + np.cumsum(new) - 1
        nodes += int(new.sum())
        active = active[lengths[active] >= len(units)]
    parent = np.concatenate(parents)
    bounds = np.cumsum([0, *map(len, parents)])
    first = np.searchsorted(parent[1:], np.arange(nodes + 1)) + 1

    order = np.argsort(at, kind="stable")
    first_word = np.searchsorted(at[order], np.arange(nodes + 1))
    return Trie(
        frozen(np.concatenate(units), np.int32),
        frozen(first, np.int32),
        frozen(first_word, np.int32),
        frozen(np.asarray(labels)[order], np.int32),
        frozen(lm, np.int32),
        frozen(np.zeros(nodes) if unigrams is None else _ahead(parent, at, unigrams[lm][labels], bounds), np.float64),
    )


def _ahead(parent: np.ndarray, at: np.ndarray, scores: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """The greatest score among the words of each node and below; 0 at the root.

    Args:
        parent: shape (N,): of each node.
        at: shape (P,): the node that each pronunciation ends in.
        scores: shape (P,): of each pronunciation's word.
        bounds: where each level of nodes begins, and N.
    """
    best = np.full(len(parent), -np.inf)
    np.maximum.at(best, at, scores)
    for begin, end in reversed(list(itertools.pairwise(bounds[1:]))):
        np.maximum.at(best, parent[begin:end], best[begin:end])
    best[0] = 0.0
    return best
