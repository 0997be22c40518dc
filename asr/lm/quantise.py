"""N-gram tables in few bytes: 256 values for the numbers of each length, and integers no wider than they must be.

The 256 values start from bins of equal population (Whittaker & Raj 2001, as in KenLM) and of equal width, and are then
moved to where the squared error is least (Lloyd 1982). Suffix links are not stored: they follow from the rest.
"""

from __future__ import annotations

import itertools

import numpy as np

from asr.lm.ngram import Tables, levels
from asr.lm.trie import link

LEVELS = 256
_FLOOR = -45.0  # ln; what is below is an "impossible" of one kind or another and keeps its value
_ROUNDS = 40
_MOST_SAMPLES = 1 << 21


def codebook(values: np.ndarray) -> np.ndarray:
    """At most 256 values that stand for many.

    Args:
        values: float32, shape (K,).

    Returns:
        float32, ascending, shape (at most 256,); the values themselves where there are no more of them.
    """
    distinct = np.unique(values)
    if len(distinct) <= LEVELS:
        return distinct
    exact = distinct[distinct < _FLOOR][:16]
    if (values == 0).any():  # the backoff weight 1 of what is nobody's history, and what has all of the probability
        exact = np.append(exact, np.float32(0))
    usual = np.sort(values[values >= _FLOOR][:: -(-len(values) // _MOST_SAMPLES)].astype(np.float64))
    if len(usual) == 0:
        return exact
    number = LEVELS - len(exact)
    middles = (np.arange(number // 2) + 0.5) * len(usual) / (number // 2)
    uniform = np.linspace(usual[0], usual[-1], number - number // 2)
    centres = np.unique(np.concatenate([usual[middles.astype(np.int64)], uniform]))
    sums, squares = (np.concatenate([[0.0], np.cumsum(usual**power)]) for power in (1, 2))
    for rounds_left in reversed(range(_ROUNDS)):
        edges = np.searchsorted(usual, (centres[1:] + centres[:-1]) / 2)
        begins, ends = np.append(0, edges), np.append(edges, len(usual))
        begins, ends = begins[ends > begins], ends[ends > begins]
        centres = (sums[ends] - sums[begins]) / (ends - begins)
        spare = number - len(centres)
        if spare and rounds_left > _ROUNDS // 4:  # bins that stood empty serve better where the error is greatest
            errors = np.maximum(squares[ends] - squares[begins] - (ends - begins) * centres**2, 0)
            worst = np.argsort(-errors)[:spare]
            centres = np.unique(np.append(centres, (centres + np.sqrt(errors / (ends - begins)))[worst]))
    return np.unique(np.concatenate([exact, centres.astype(np.float32)]))


def nearest(values: np.ndarray, book: np.ndarray) -> np.ndarray:
    """The index in an ascending codebook of the value nearest to each; uint8, shape (K,)."""
    with np.errstate(invalid="ignore"):  # −inf beside −inf
        edges = (book[1:] + book[:-1]) / 2
    return np.searchsorted(edges, values).astype(np.uint8)


def narrow(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers from 0 in as few bytes as serve them best.

    Returns:
        Their bytes, lowest first, uint8, shape (bytes, K), all ones where the number does not fit; and, in their order,
        the numbers that do not fit, uint32.
    """
    values = values.astype(np.int64)
    width = _best_width(values)
    marker = (1 << 8 * width) - 1
    kept = np.minimum(values, marker).astype("<u4")
    planes = np.ascontiguousarray(kept.view(np.uint8).reshape(-1, 4)[:, :width].T)
    return planes, values[values >= marker].astype(np.uint32)


def _width_size(values: np.ndarray, width: int) -> int:
    return len(values) * width + 4 * int((values >= (1 << 8 * width) - 1).sum())


def _best_width(values: np.ndarray) -> int:
    return min((1, 2, 3, 4), key=lambda width: _width_size(values, width))


def narrow_size(values: np.ndarray) -> int:
    """The bytes that `narrow` gives for these numbers."""
    return _width_size(values, _best_width(values))


def widen(planes: np.ndarray, large: np.ndarray) -> np.ndarray:
    """What `narrow` was given, as uint32.

    Raises:
        ValueError: the two parts do not belong together.
    """
    if planes.ndim != 2 or not 1 <= len(planes) <= 4 or planes.dtype != np.uint8:
        raise ValueError(f"narrow numbers must have one to four bytes, these have the shape {planes.shape}")
    values = np.zeros(planes.shape[1], np.uint32)
    for position, plane in enumerate(planes):
        values |= plane.astype(np.uint32) << np.uint32(8 * position)
    does_not_fit = values == (1 << 8 * len(planes)) - 1
    if int(does_not_fit.sum()) != len(large):
        raise ValueError(
            f"{int(does_not_fit.sum())} numbers do not fit their bytes, but {len(large)} are given in full"
        )
    values[does_not_fit] = large
    return values


def pack(tables: Tables) -> dict[str, np.ndarray]:
    """The tables in few bytes, by name; n stands for a length.

    ``words.n`` (from length 2 on) and ``children.n`` (how many of each node, from 0 on) as `narrow` gives them, with
    ``….large``; ``log_probs.n`` and ``backoffs.n``: indices into ``….book``. Backoff weights are stored of the nodes
    that have children, or of all of that length where a childless one has a weight other than 1.
    """
    packed: dict[str, np.ndarray] = {}
    bounds = levels(tables)
    for length, (begin, end) in enumerate(itertools.pairwise(bounds)):
        if length >= 2:
            packed[f"words.{length}"], packed[f"words.{length}.large"] = narrow(tables.words[begin:end])
        if length >= 1:
            _quantise(packed, f"log_probs.{length}", tables.log_probs[begin:end])
        if begin < len(tables.backoffs):
            children = np.diff(tables.first[begin : end + 1])
            packed[f"children.{length}"], packed[f"children.{length}.large"] = narrow(children)
            backoffs = tables.backoffs[begin:end]
            of_parents = backoffs[children > 0] if not backoffs[children == 0].any() else backoffs
            if length >= 1:
                _quantise(packed, f"backoffs.{length}", of_parents)
    return packed


def _quantise(packed: dict[str, np.ndarray], name: str, values: np.ndarray) -> None:
    packed[f"{name}.book"] = codebook(values)
    packed[name] = nearest(values, packed[f"{name}.book"])


def unpack(packed: dict[str, np.ndarray]) -> Tables:
    """What `pack` was given, up to the 256 values.

    Raises:
        ValueError: a part is missing or does not fit the others.
    """
    longest = 1
    while f"log_probs.{longest + 1}" in packed:
        longest += 1
    words, log_probs, backoffs, children = [np.zeros(1, np.uint32)], [np.zeros(1, np.float32)], [], []
    size = 1
    for length in range(longest + 1):
        if length >= 1:
            log_probs.append(_look_up(packed, f"log_probs.{length}"))
            in_order = np.arange(size, dtype=np.uint32)
            words.append(in_order if length == 1 else widen(*_both(packed, f"words.{length}")))
            if not len(words[-1]) == len(log_probs[-1]) == size:
                raise ValueError(f"there must be {size} {length}-grams, there are {len(words[-1])}")
        if length < longest or f"children.{length}" in packed:
            own = widen(*_both(packed, f"children.{length}")).astype(np.int64)
            if len(own) != size:
                raise ValueError(f"there must be numbers of children of {size} {length}-grams, there are {len(own)}")
            children.append(own)
            backoffs.append(_of_all(_look_up(packed, f"backoffs.{length}"), own) if length else np.zeros(1, np.float32))
            size = int(own.sum())
        else:
            size = 0
    if size:
        raise ValueError(f"the {longest}-grams have children, but there are no longer n-grams")
    total = sum(map(len, words))
    if max(int(own.max(initial=0)) for own in words) >= max(len(words[1]), 1):
        raise ValueError("n-grams hold words that have no unigram")
    if total >= 1 << 31:
        raise ValueError(f"there are {total} n-grams, more than {(1 << 31) - 1}")
    ends = 1 + np.cumsum(np.concatenate(children))
    first = np.concatenate([[1], ends]).astype(np.int32)
    tables = Tables(
        np.concatenate(words), np.concatenate(log_probs), np.concatenate(backoffs), np.zeros(total, np.int32), first
    )
    bounds = levels(tables)
    for begin, end in itertools.pairwise(bounds):
        link(tables.words, tables.first, tables.suffixes, begin, min(end, len(tables.backoffs)))
    return tables


def _both(packed: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    if name not in packed or f"{name}.large" not in packed:
        raise ValueError(f"{name!r} is missing")
    return packed[name], packed[f"{name}.large"]


def _look_up(packed: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name not in packed or f"{name}.book" not in packed:
        raise ValueError(f"{name!r} is missing")
    codes, book = packed[name], packed[f"{name}.book"]
    if codes.dtype != np.uint8 or codes.ndim != 1 or book.dtype != np.float32 or book.ndim != 1:
        raise ValueError(f"{name!r} must be bytes that point into a list of numbers")
    if len(codes) and int(codes.max()) >= len(book):
        raise ValueError(f"{name!r} points behind the end of its {len(book)} numbers")
    return book[codes] if len(codes) else np.zeros(0, np.float32)


def _of_all(backoffs: np.ndarray, children: np.ndarray) -> np.ndarray:
    """The backoff weights of all nodes of a length, given those of all or of those with children."""
    if len(backoffs) == len(children):
        return backoffs
    parents = children > 0
    if len(backoffs) != int(parents.sum()):
        raise ValueError(f"there must be {int(parents.sum())} backoff weights, there are {len(backoffs)}")
    spread = np.zeros(len(children), np.float32)
    spread[parents] = backoffs
    return spread
