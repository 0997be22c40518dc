"""The arrays that a beam search works in, all made before its first frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from asr.compiled import inlined
from asr.decode.fusion import HOT, LEX, NODE_FLOATS, NODE_INTS, NONE, RANK, SLOT, STATE

# Columns of an entry's mass, float64: ln of what ends in blank, in the last token, in either.
BLANK_MASS, TOKEN_MASS, MASS = range(3)
# Columns of a candidate, int32, and float64.
ENTRY, ADDED, ADDED_LABEL, TO_STATE, TO_LEX, TO_HOT = range(6)
TO_MASS, TO_SCORE, TO_RANK, TO_LM = range(4)
# Counters. SIDE: which half of ``masses`` is the present beam's.
ENTRIES, NODES, SIDE, DEAD, CLOSED = range(5)


class Work(NamedTuple):
    """The arrays of one search over a beam of B, with room for M nodes and C candidates besides the beam.

    Attributes:
        counts: int64: the counters above.
        entries: int32, shape (B,): node of each entry of the beam.
        masses: float64, shape (2, B, 3): of each entry, in this frame and in the next.
        ints: int32, shape (M, NODE_INTS): nodes.
        floats: float64, shape (M, NODE_FLOATS): nodes.
        made: int32, shape (C, 6): candidates that add a token to an entry.
        scored: float64, shape (C, 4): the same.
        keys: float64, shape (B + C,): what is chosen by: of each entry as it is, then of each candidate.
        serial: int64, shape (B + C,): what decides between equal keys, the less the better.
        order: int32, shape (C,): a permutation of B, …, B + C − 1; those in use come first.
        picked: int32, shape (B + C,): what is chosen among.
        tokens: int32, shape (V,): the tokens that a frame tries, the best first.
        child: int32, shape (B,): an entry of the beam that extends this one by a token; the others follow in ``next``.
        next: int32, shape (B,).
    """

    counts: np.ndarray
    entries: np.ndarray
    masses: np.ndarray
    ints: np.ndarray
    floats: np.ndarray
    made: np.ndarray
    scored: np.ndarray
    keys: np.ndarray
    serial: np.ndarray
    order: np.ndarray
    picked: np.ndarray
    tokens: np.ndarray
    child: np.ndarray
    next: np.ndarray


class Closed(NamedTuple):
    """What can end with the utterance: E prefixes.

    Attributes:
        nodes: int32, shape (E,): the node of each.
        labels: int32, shape (E,): a word that ends with it and has no node; NONE: there is none.
        values: float64, shape (E, 3): acoustic, LM and total score.
        order: int64, shape (E,): to rank them.
    """

    nodes: np.ndarray
    labels: np.ndarray
    values: np.ndarray
    order: np.ndarray


def new_closed(most: int) -> Closed:
    """Arrays for so many prefixes."""
    return Closed(np.empty(most, np.int32), np.empty(most, np.int32), np.empty((most, 3)), np.empty(most, np.int64))


def new_work(beam: int, tokens: int, nodes: int) -> Work:
    """Arrays for one search after the other; `restart` begins one.

    Args:
        beam: width.
        tokens: V.
        nodes: room for that many prefixes of one utterance.
    """
    room = 4 * beam + 64
    serial = np.arange(beam + room)
    return Work(
        np.zeros(5, np.int64),
        np.empty(beam, np.int32),
        np.empty((2, beam, 3)),
        np.empty((nodes, NODE_INTS), np.int32),
        np.empty((nodes, NODE_FLOATS)),
        np.empty((room, 6), np.int32),
        np.empty((room, 4)),
        np.empty(beam + room),
        serial,
        serial[beam:].astype(np.int32),
        np.empty(beam + room, np.int32),
        np.empty(tokens, np.int32),
        np.empty(beam, np.int32),
        np.empty(beam, np.int32),
    )


@inlined
def restart(work, state, rank, hot):  # type: ignore[no-untyped-def]
    """Puts the empty prefix into the beam, and nothing else.

    ``state``: of the language model before the first word; ``rank``: score of the empty prefix; ``hot``: state of the
    hotwords before the first word.
    """
    counts, ints, floats = work.counts, work.ints, work.floats
    counts[ENTRIES], counts[NODES], counts[SIDE], counts[DEAD], counts[CLOSED] = 1, 1, 0, 0, 0
    for column in range(NODE_INTS):
        ints[0, column] = NONE
    ints[0, STATE], ints[0, LEX], ints[0, HOT], ints[0, SLOT] = state, 0, hot, 0
    for column in range(NODE_FLOATS):
        floats[0, column] = 0.0
    floats[0, RANK] = rank
    work.entries[0] = 0
    work.masses[0, 0, BLANK_MASS], work.masses[0, 0, TOKEN_MASS], work.masses[0, 0, MASS] = 0.0, -np.inf, 0.0


def with_more_nodes(work: Work) -> Work:
    """The same with room for twice as many prefixes."""
    return work._replace(
        ints=np.empty((2 * len(work.ints), NODE_INTS), np.int32), floats=np.empty((2 * len(work.floats), NODE_FLOATS))
    )
