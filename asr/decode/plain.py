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
# Columns of an entry's masses: what ends in either, in blank, in its last token; always 0, to add without a question.
_MASS, _QUIET, _SPOKEN, _ZERO = range(4)
# Counters: entries of the beam, nodes, which half of ``masses`` is the present beam's.
_SIZE, _USED, _SIDE = range(3)


class _Work(NamedTuple):
    """The arrays of one search over a beam of B, with room for C candidates besides the beam.

    Attributes:
        counts: int64, shape (3,): the counters above.
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


@inlined
def _ranked(masses, size, nbest):  # type: ignore[no-untyped-def]
    """The entries of the ``nbest`` greatest masses, the greatest first (insertion sort)."""
    best = np.empty(nbest, np.int64)
    count = 0
    for entry in range(size):
        if count == nbest:
            if masses[entry, _MASS] <= masses[best[count - 1], _MASS]:
                continue
            count -= 1
        place = count
        while place > 0 and masses[best[place - 1], _MASS] < masses[entry, _MASS]:
            best[place] = best[place - 1]
            place -= 1
        best[place] = entry
        count += 1
    return best


@inlined
def _spelled(nodes, entries, chosen):  # type: ignore[no-untyped-def]
    """The tokens of each chosen entry, int32, shape (E, longest), from the left, and how many each has."""
    lengths = np.zeros(len(chosen), np.int64)
    longest = 0
    for place in range(len(chosen)):
        node = entries[chosen[place]]
        while nodes[node, _PARENT] != _NONE:
            lengths[place] += 1
            node = nodes[node, _PARENT]
        longest = max(longest, lengths[place])
    tokens = np.empty((len(chosen), longest), np.int32)
    for place in range(len(chosen)):
        node = entries[chosen[place]]
        for position in range(lengths[place] - 1, -1, -1):
            tokens[place, position] = nodes[node, _TOKEN]
            node = nodes[node, _PARENT]
    return tokens, lengths


@kernel
def _carry(probabilities, sums, frame, nodes, work, blank, token_limit, token_ratio, beam_ratio, skip):  # type: ignore[no-untyped-def] # fmt: skip
    """Carries the beam on from ``frame``; returns the frame it stopped before: S, or where ``nodes`` lacks room."""
    entries, last, shorter, child, following, column = (
        work.entries, work.last, work.shorter, work.child, work.following, work.column,
    )  # fmt: skip
    tokens, keys, serials, order, made = work.tokens, work.keys, work.serials, work.order, work.made
    beam, room = len(entries), len(order)
    size, used, side, scale = work.counts[_SIZE], work.counts[_USED], work.counts[_SIDE], work.scale[0]

    while frame < len(probabilities) and used + beam <= len(nodes):
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
            for entry in range(size):
                for one in range(3):
                    work.masses[side, entry, one] /= best
            scale += math.log(best)
        frame += 1
    work.counts[_SIZE], work.counts[_USED], work.counts[_SIDE], work.scale[0] = size, used, side, scale
    return frame


@making_kernel
def search_plain(probabilities, sums, blank, beam, token_limit, token_ratio, beam_ratio, skip, nbest):  # type: ignore[no-untyped-def] # fmt: skip
    """Decodes one utterance.

    Args:
        probabilities: float64, shape (S, V).
        sums: float64, shape (S,): of each row.
        blank: index of the blank.
        beam: most prefixes kept from frame to frame.
        token_limit: most tokens tried in a frame.
        token_ratio: tokens of less than this share of the frame's best are not tried.
        beam_ratio: prefixes of less than this share of the best one's mass are not kept; not below exp(−100).
        skip: a frame whose blank has at least this probability is taken for blank at once.
        nbest: most prefixes returned.

    Returns:
        ln of the mass of each, float64, shape (E,), the best first; their tokens, int32, shape (E, longest); how many
        each has, int64, shape (E,).
    """
    room = 4 * beam + 64
    # Entries are unsigned, so that no index is asked whether it counts from the end.
    work = _Work(
        np.array([1, 1, 0]),
        np.zeros(1),
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
    nodes = np.empty((min(len(probabilities) * beam, 2048) + beam + 1, 5), np.int32)
    for one in range(5):
        nodes[0, one] = _NONE
    work.entries[0], work.last[0], work.shorter[0], work.child[0] = 0, blank, 0, _NONE
    work.masses[0, 0, _MASS], work.masses[0, 0, _QUIET] = 1.0, 1.0

    frame = np.int64(0)
    while frame < len(probabilities):
        if work.counts[_USED] + beam > len(nodes):
            more = np.empty((2 * len(nodes), 5), np.int32)
            for node in range(len(nodes)):
                for one in range(5):
                    more[node, one] = nodes[node, one]
            nodes = more
        frame = _carry(probabilities, sums, frame, nodes, work, blank, token_limit, token_ratio, beam_ratio, skip)

    masses = work.masses[work.counts[_SIDE]]
    chosen = _ranked(masses, work.counts[_SIZE], min(nbest, work.counts[_SIZE]))
    scores = np.empty(len(chosen))
    for place in range(len(chosen)):
        scores[place] = work.scale[0] + math.log(masses[chosen[place], _MASS])
    spelled, lengths = _spelled(nodes, work.entries, chosen)
    return scores, spelled, lengths
