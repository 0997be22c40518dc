"""The beam search of `asr.decode.kernel` for sound alone: no language model, lexicon, hotwords or word bonus.

What a prefix scores is then its mass, so the search can multiply probabilities where the general one adds logarithms,
which costs an exponential and a logarithm each time. All masses share one scale, whose logarithm is kept aside. That
loses nothing: a row sums to one and the best of its tokens is always tried, so that from frame to frame the best mass
shrinks at most by 2 V, and what underflows beside it is far below any beam threshold up to `MOST_THRESHOLD`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from asr.compiled import inlined, kernel, making_kernel
from asr.decode.found import note, rank
from asr.decode.kernel import best_tokens, highest, keep_best

MOST_THRESHOLD = 100.0  # the greatest beam threshold that masses on one scale can hold [nats]
LEAST_SKIP = 1e-6  # the least probability of a blank to skip frames by, for the same reason
_SMALL = (
    1e-20  # a best mass below this is brought back to 1; so is one above its inverse, as rows sum to 1 only roughly
)
_NOTHING = 1e-290  # what is less is taken for 0: numbers below the smallest normal one are slow to multiply
_ROUNDING = 1e-9  # more than the error of a row's sum

_NONE = -1
# Columns of a node: the prefix without its last token, that token, the list of its extensions, its place in the beam.
_PARENT, _TOKEN, _CHILD, _SIBLING, _SLOT = range(5)
_NODE = 5
# Columns of an entry's masses: what ends in either, in blank, in its last token; always 0, to add without a question.
_MASS, _QUIET, _SPOKEN, _ZERO = range(4)
# Counters: entries of the beam, which half of ``masses`` is the present beam's.
_SIZE, _SIDE = range(2)


class _Work(NamedTuple):
    """The arrays of one search over a beam of B, with room for C candidates besides the beam.

    Attributes:
        counts: int64, shape (2,): the counters above.
        scale: float64, shape (1,): ln of what all masses are to be multiplied by.
        entries, last, shorter: uint32, shape (B,): each entry's node, its last token, the entry that it extends.
        child, following: int32, shape (B,): an entry that extends this one by a token, and the next that does.
        column: uint32, shape (B,): see `_relate`.
        masses: float64, shape (2, B, 4): of each entry, in this frame and in the next.
        tokens: uint32: the tokens that a frame tries.
        keys: float64, shape (B + C,): what is chosen by, of each entry as it is, then of each candidate.
        serials: int64, shape (B + C,): what decides between equals, the less first.
        order: int64, shape (C,): a permutation of B, …, B + C − 1; those in use come first.
        picked: int64, shape (B + C,): what is chosen among.
        made: int32, shape (C, 2): of a candidate, the node that it extends and the token.
        kept: uint8, shape (B,): whether an entry stays.
    """

    counts: np.ndarray
    scale: np.ndarray
    entries: np.ndarray
    last: np.ndarray
    shorter: np.ndarray
    child: np.ndarray
    following: np.ndarray
    column: np.ndarray
    masses: np.ndarray
    tokens: np.ndarray
    keys: np.ndarray
    serials: np.ndarray
    order: np.ndarray
    picked: np.ndarray
    made: np.ndarray
    kept: np.ndarray


@inlined
def _node(nodes, used, parent, token):  # type: ignore[no-untyped-def]
    """The node of a prefix and a token, the one it had before or a new one, and how many nodes there are now."""
    node = nodes[parent, _CHILD]
    while node != _NONE and nodes[node, _TOKEN] != token:
        node = nodes[node, _SIBLING]
    if node == _NONE:
        node = np.int32(used)
        used += 1
        nodes[node, _PARENT], nodes[node, _TOKEN], nodes[node, _CHILD] = parent, token, _NONE
        nodes[node, _SIBLING], nodes[node, _SLOT] = nodes[parent, _CHILD], _NONE
        nodes[parent, _CHILD] = node
    return node, used


@inlined
def _relate(nodes, size, entries, last, shorter, column, child, following):  # type: ignore[no-untyped-def]
    """Notes for each entry its last token, its place, and which entry it extends by a token, if that is in the beam.

    ``column``: which mass of ``shorter`` the entry is fed by: after a repeated token it is what ends in blank, and
    nothing where the shorter prefix is not in the beam.
    """
    for entry in range(size):
        nodes[entries[entry], _SLOT] = entry
        child[entry] = _NONE
    for entry in range(size):
        node = entries[entry]
        parent = nodes[node, _PARENT]
        shorter[entry], column[entry] = entry, _ZERO
        if parent != _NONE:
            last[entry] = nodes[node, _TOKEN]
            other = nodes[parent, _SLOT]
            if other != _NONE:
                shorter[entry], column[entry] = other, _QUIET if nodes[parent, _TOKEN] == last[entry] else _MASS
                following[entry] = child[other]
                child[other] = entry


@inlined
def _stay(row, silent, size, last, shorter, column, masses, fresh):  # type: ignore[no-untyped-def]
    """Carries every entry on as it is: a blank, a repeat, or one more token after a shorter entry.

    Returns:
        The best mass and the least.
    """
    best, least = 0.0, np.inf
    for entry in range(size):
        heard = row[last[entry]]
        spoken = (masses[entry, _SPOKEN] + masses[shorter[entry], column[entry]]) * heard
        if spoken < _NOTHING:
            spoken = 0.0
        quiet = masses[entry, _MASS] * silent
        mass = quiet + spoken
        fresh[entry, _MASS], fresh[entry, _QUIET], fresh[entry, _SPOKEN] = mass, quiet, spoken
        if mass > best:
            best = mass
        if mass < least:
            least = mass
    return best, least


@inlined
def _choose(size, count, beam, bar, nodes, entries, fresh, keys, serials, order, picked, kept):  # type: ignore[no-untyped-def] # fmt: skip
    """Chooses the new beam among the entries as they are and ``count`` candidates; closes the gaps between entries.

    Returns:
        How many are picked, and how many of them are entries.
    """
    several = 0
    for entry in range(size):
        nodes[entries[entry], _SLOT] = _NONE
        kept[entry] = False
        if fresh[entry, _MASS] >= bar:
            keys[entry] = fresh[entry, _MASS]
            picked[several] = entry
            several += 1
    for place in range(count):
        if keys[order[place]] >= bar:
            picked[several] = order[place]
            several += 1
    if several > beam:
        keep_best(keys, serials, picked, several, beam)
        several = beam
    for place in range(several):
        if picked[place] < beam:
            kept[picked[place]] = True
    end = 0
    for entry in range(size):
        if kept[entry]:
            if end != entry:
                entries[end] = entries[entry]
                for one in range(3):
                    fresh[end, one] = fresh[entry, one]
            end += 1
    return several, end


@kernel
def _rescale(masses, size, best):  # type: ignore[no-untyped-def]
    """Divides all masses by the best one's, before they become too small or too great; returns its logarithm."""
    for entry in range(size):
        for one in range(3):
            masses[entry, one] /= best
    return math.log(best)


@kernel
def _carry(probabilities, sums, nodes, work, blank, token_limit, token_ratio, beam_ratio, skip):  # type: ignore[no-untyped-def] # fmt: skip
    """Carries the empty prefix from the first frame to the last; returns whether ``nodes`` had room for all."""
    entries, last, shorter, child, following, column = (
        work.entries, work.last, work.shorter, work.child, work.following, work.column,
    )  # fmt: skip
    tokens, keys, serials, order, made = work.tokens, work.keys, work.serials, work.order, work.made
    beam, room = len(entries), len(order)
    size, used, side, scale = 1, 1, 0, 0.0
    for one in range(_NODE):
        nodes[0, one] = _NONE
    entries[0], last[0], shorter[0], column[0], child[0] = 0, blank, 0, _ZERO, _NONE
    for one in range(4):
        work.masses[0, 0, one] = 1.0 if one <= _QUIET else 0.0

    for frame in range(len(probabilities)):
        if used + beam > len(nodes):
            return False
        row = probabilities[frame]
        silent = row[blank]
        masses, fresh = work.masses[side], work.masses[1 - side]
        best = 0.0
        if silent >= skip:
            for entry in range(size):
                mass = masses[entry, _MASS] * silent
                masses[entry, _MASS], masses[entry, _QUIET], masses[entry, _SPOKEN] = mass, mass, 0.0
                best = max(best, mass)
        else:
            side = 1 - side
            best, least = _stay(row, silent, size, last, shorter, column, masses, fresh)
            count = 0
            # Where the blank leaves too little for any other token, there is no need to look at them.
            if sums[frame] - silent + _ROUNDING >= silent * token_ratio:
                tried = best_tokens(row, blank, token_limit, highest(row) * token_ratio, 0.0, tokens)
                # What is no better than the bar cannot survive: the worst entry where the beam is full of them.
                full = least if size == beam else 0.0
                bar = max(full, best * beam_ratio)
                serial = beam
                for entry in range(size):
                    for number in range(tried):
                        token = tokens[number]
                        if masses[entry, _MASS] * row[token] <= bar:
                            break  # nor do the tokens behind it, which are no better
                        mass = masses[entry, _QUIET if token == last[entry] else _MASS] * row[token]
                        if mass <= bar:
                            continue
                        other = child[entry]
                        while other != _NONE and last[other] != token:
                            other = following[other]
                        if other != _NONE:
                            continue
                        place = order[count]
                        keys[place], serials[place] = mass, serial
                        made[place - beam, 0], made[place - beam, 1] = entries[entry], token
                        count, serial = count + 1, serial + 1
                        best = max(best, mass)
                        if count == room:
                            full = max(full, keep_best(keys, serials, order, count, beam))
                            count = beam
                        bar = max(full, best * beam_ratio)

            bar = best * beam_ratio
            if count > 0 or least < bar:
                several, end = _choose(
                    size, count, beam, bar, nodes, entries, fresh, keys, serials, order, work.picked, work.kept
                )
                for place in range(several):
                    one = work.picked[place] - beam
                    if one >= 0:
                        mass = keys[one + beam]
                        entries[end], used = _node(nodes, used, made[one, 0], made[one, 1])
                        fresh[end, _MASS], fresh[end, _QUIET], fresh[end, _SPOKEN] = mass, 0.0, mass
                        end += 1
                size = end
                last[0] = blank  # of the empty prefix, should it stand there
                _relate(nodes, size, entries, last, shorter, column, child, following)
        if best < _SMALL or best > 1 / _SMALL:
            scale += _rescale(work.masses[side], size, best)
    work.counts[_SIZE], work.counts[_SIDE], work.scale[0] = size, side, scale
    return True


@kernel
def _write_out(nodes, work, bounds, utterance, found):  # type: ignore[no-untyped-def]
    """Writes down the best prefixes and what they spell."""
    most, first = found.values.shape[1], bounds[utterance]
    masses = work.masses[work.counts[_SIDE]]
    found.counts[utterance] = rank(masses[:, _MASS], work.counts[_SIZE], most, work.picked)
    for place in range(found.counts[utterance]):
        entry = work.picked[place]
        start = most * first + place * (bounds[utterance + 1] - first)
        length = 0
        node = np.int64(work.entries[entry])
        while nodes[node, _PARENT] != _NONE:
            length += 1
            node = np.int64(nodes[node, _PARENT])
        node = np.int64(work.entries[entry])
        for position in range(start + length - 1, start - 1, -1):
            found.tokens[position] = nodes[node, _TOKEN]
            node = np.int64(nodes[node, _PARENT])
        score = work.scale[0] + math.log(masses[entry, _MASS])
        note(found, utterance, place, score, 0.0, score, length, 0)


@making_kernel
def search_plain(probabilities, sums, bounds, blank, beam, token_limit, token_ratio, beam_ratio, skip, found):  # type: ignore[no-untyped-def] # fmt: skip
    """Searches utterances that stand one behind the other.

    Args:
        probabilities: float64, shape (frames, V).
        sums: float64, shape (frames,): of each row.
        bounds: int64, shape (U + 1,): utterance u has the frames ``bounds[u]`` to ``bounds[u + 1] - 1``.
        blank: index of the blank.
        beam: most prefixes kept from frame to frame.
        token_limit: most tokens tried in a frame.
        token_ratio: tokens of less than this share of the frame's best are not tried.
        beam_ratio: prefixes of less than this share of the best one's mass are not kept; not below exp(−100).
        skip: a frame whose blank has at least this probability is taken for blank at once.
        found: to be filled; its words and labels are left alone.
    """
    room = 4 * beam + 64
    work = _Work(
        np.empty(2, np.int64),
        np.empty(1),
        # Unsigned, so that no index is asked whether it counts from the end.
        np.empty(beam, np.uint32),
        np.empty(beam, np.uint32),
        np.empty(beam, np.uint32),
        np.empty(beam, np.int32),
        np.empty(beam, np.int32),
        np.full(beam, _ZERO, np.uint32),
        np.zeros((2, beam, 4)),
        np.empty(token_limit + 1, np.uint32),
        np.empty(beam + room),
        np.arange(beam + room),
        np.arange(beam, beam + room),
        np.empty(beam + room, np.int64),
        np.empty((room, 2), np.int32),
        np.empty(beam, np.uint8),
    )
    nodes = np.empty((min(len(probabilities) * beam, 2048) + beam + 1, _NODE), np.int32)
    utterance = 0
    while utterance < len(bounds) - 1:
        rows = probabilities[bounds[utterance] : bounds[utterance + 1]]
        totals = sums[bounds[utterance] : bounds[utterance + 1]]
        if _carry(rows, totals, nodes, work, blank, token_limit, token_ratio, beam_ratio, skip):
            _write_out(nodes, work, bounds, utterance, found)
            utterance += 1
        else:
            nodes = np.empty((2 * len(nodes), _NODE), np.int32)
