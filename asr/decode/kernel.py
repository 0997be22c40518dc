"""The compiled prefix beam search over CTC log-probabilities.

Source: Hannun, Maas, Jurafsky, Ng 2014 (First-pass large vocabulary continuous speech recognition using bi-directional
recurrent DNNs), algorithm 1, and Graves & Jaitly 2014, section 4: a prefix holds the summed probability of all its
alignments, those that end in blank and those that do not apart.

A prefix has one node for good, found again through its parent's children, so that a prefix that was pruned and comes
back meets what is known of it. Whether the extension of a prefix in the beam is itself in the beam is asked from the
longer prefix's side, so that no candidate needs a look-up; and only candidates that survive get a node. Every sum is
in float64 and in logarithms.
"""

from __future__ import annotations

import math

import numpy as np

from asr.compiled import inlined, kernel
from asr.decode.ending import close_all, write_out
from asr.decode.found import ACOUSTIC, TOTAL
from asr.decode.fusion import (
    AFTER,
    CHILD,
    HOT,
    LABEL,
    LEX,
    LM,
    NONE,
    OUTSIDE,
    PARENT,
    RANK,
    SCORE,
    SIBLING,
    SLOT,
    STATE,
    TOKEN,
    choose,
    follow,
)
from asr.decode.work import (
    ADDED,
    ADDED_LABEL,
    BLANK_MASS,
    CLOSED,
    DEAD,
    ENTRIES,
    ENTRY,
    MASS,
    NODES,
    SIDE,
    TO_HOT,
    TO_LEX,
    TO_LM,
    TO_MASS,
    TO_RANK,
    TO_SCORE,
    TO_STATE,
    TOKEN_MASS,
    restart,
)

_LOST = 40.0  # e^-40 beside 1 is below what float64 resolves


@kernel
def add(a, b):  # type: ignore[no-untyped-def]
    """ln(e^a + e^b)."""
    if a < b:
        a, b = b, a
    if b < a - _LOST or b == -np.inf:
        return a
    return a + math.log1p(math.exp(b - a))


@inlined
def highest(row):  # type: ignore[no-untyped-def]
    """The greatest number of a row that holds one."""
    best = row[0]
    for token in range(1, len(row)):
        if row[token] > best:
            best = row[token]
    return best


@inlined
def best_tokens(row, blank, limit, least, impossible, tokens):  # type: ignore[no-untyped-def]
    """Fills ``tokens`` with what a frame tries, the best first (of equals the lower number), and returns how many.

    What is below ``least``, or equal to ``impossible``, is not tried.
    """
    count = 0
    for token in range(len(row)):
        value = row[token]
        if value < least or token == blank or value == impossible:
            continue
        if count == limit:
            if value <= row[tokens[count - 1]]:
                continue
            count -= 1
        place = count
        while place > 0 and row[tokens[place - 1]] < value:
            tokens[place] = tokens[place - 1]
            place -= 1
        tokens[place] = token
        count += 1
    return count


@kernel
def keep_best(keys, serial, order, count, beam):  # type: ignore[no-untyped-def]
    """Reorders the first ``count`` of ``order`` so that the best ``beam`` come first (Hoare's quickselect, 1961).

    Returns:
        The least key among the best.
    """
    low, high = 0, count - 1
    while low < high:
        pivot = order[(low + high) >> 1]
        key, number = keys[pivot], serial[pivot]
        i, j = low, high
        while i <= j:
            while keys[order[i]] > key or (keys[order[i]] == key and serial[order[i]] < number):
                i += 1
            while keys[order[j]] < key or (keys[order[j]] == key and serial[order[j]] > number):
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if beam - 1 <= j:
            high = j
        elif beam - 1 >= i:
            low = i
        else:
            break
    worst = np.inf
    for place in range(beam):
        worst = min(worst, keys[order[place]])
    return worst


@kernel
def _in_beam(ints, entries, child, following, entry, token, label):  # type: ignore[no-untyped-def]
    """Whether the extension of an entry is an entry itself."""
    other = child[entry]
    while other != NONE:
        node = entries[other]
        if ints[node, TOKEN] == token and ints[node, LABEL] == label:
            return True
        other = following[other]
    return False


@inlined
def push(work, beam, count, serial, key, mass, entry, token, label, to):  # type: ignore[no-untyped-def]
    """Adds a candidate; ``to``: score, rank, LM, state, lex, hot."""
    place = work.order[count]
    work.keys[place], work.serial[place] = key, serial
    place -= beam
    work.scored[place, TO_MASS], work.scored[place, TO_SCORE] = mass, to[0]
    work.scored[place, TO_RANK], work.scored[place, TO_LM] = to[1], to[2]
    work.made[place, ENTRY], work.made[place, ADDED], work.made[place, ADDED_LABEL] = entry, token, label
    work.made[place, TO_STATE], work.made[place, TO_LEX], work.made[place, TO_HOT] = to[3], to[4], to[5]


@kernel
def node_of(ints, floats, counts, parent, made, scored):  # type: ignore[no-untyped-def]
    """The node of a candidate: the one it had before, or a new one."""
    node = ints[parent, CHILD]
    while node != NONE:
        if ints[node, TOKEN] == made[ADDED] and ints[node, LABEL] == made[ADDED_LABEL]:
            return node
        node = ints[node, SIBLING]
    node = np.int32(counts[NODES])
    counts[NODES] += 1
    ints[node, PARENT], ints[node, TOKEN], ints[node, LABEL] = parent, made[ADDED], made[ADDED_LABEL]
    ints[node, STATE], ints[node, LEX], ints[node, HOT] = made[TO_STATE], made[TO_LEX], made[TO_HOT]
    ints[node, CHILD], ints[node, SLOT], ints[node, AFTER], ints[node, OUTSIDE] = NONE, NONE, NONE, NONE
    floats[node, SCORE], floats[node, RANK], floats[node, LM] = scored[TO_SCORE], scored[TO_RANK], scored[TO_LM]
    ints[node, SIBLING] = ints[parent, CHILD]
    ints[parent, CHILD] = node
    return node


@kernel
def _stay(row, blank, space, size, ints, floats, entries, masses, fresh, keys, child, following):  # type: ignore[no-untyped-def]
    """Carries every entry on as it is: a blank, a repeat, or one more token after a shorter entry.

    With a lexicon, ``space`` writes nothing where no word has begun, so that it leaves such an entry as it is, too.

    Returns:
        The best key.
    """
    best = -np.inf
    for entry in range(size):
        child[entry] = NONE
    for entry in range(size):
        node = entries[entry]
        token = ints[node, TOKEN]
        blank_mass = masses[entry, MASS] + row[blank]
        token_mass = -np.inf
        if space != NONE and ints[node, LEX] == 0:
            token_mass = masses[entry, MASS] + row[space]
        elif token != NONE:
            token_mass = masses[entry, TOKEN_MASS] + row[token]
        if token != NONE:
            parent = ints[node, PARENT]
            shorter = ints[parent, SLOT]
            if shorter != NONE:
                following[entry] = child[shorter]
                child[shorter] = entry
                column = BLANK_MASS if ints[parent, TOKEN] == token else MASS
                token_mass = add(token_mass, masses[shorter, column] + row[token])
        mass = add(blank_mass, token_mass)
        fresh[entry, BLANK_MASS], fresh[entry, TOKEN_MASS], fresh[entry, MASS] = blank_mass, token_mass, mass
        keys[entry] = mass + floats[node, RANK]
        best = max(best, keys[entry])
    return best


@kernel
def _settle(size, count, beam, least, counts, ints, floats, entries, fresh, keys, serial, order, picked, made, scored):  # type: ignore[no-untyped-def] # fmt: skip
    """Chooses the new beam among the entries as they are and ``count`` candidates; what stays, stays in its place."""
    several = np.int64(0)
    for entry in range(size):
        if keys[entry] >= least and keys[entry] > -np.inf:
            picked[several] = entry
            several += 1
    stayed = several
    for place in range(count):
        if keys[order[place]] >= least:
            picked[several] = order[place]
            several += 1
    if several == stayed == size:
        return
    if several > beam:
        keep_best(keys, serial, picked, several, beam)
        several = beam

    for entry in range(size):
        ints[entries[entry], SLOT] = NONE
    for place in range(several):
        one = picked[place]
        if one < beam:
            ints[entries[one], SLOT] = one
        else:
            parent = entries[made[one - beam, ENTRY]]
            made[one - beam, ENTRY] = node_of(ints, floats, counts, parent, made[one - beam], scored[one - beam])
    hole = 0
    for place in range(several):
        one = picked[place] - beam
        if one < 0:
            continue
        while hole < size and ints[entries[hole], SLOT] != NONE:
            hole += 1
        entries[hole] = made[one, ENTRY]
        ints[entries[hole], SLOT] = hole
        fresh[hole, BLANK_MASS], fresh[hole, TOKEN_MASS] = -np.inf, scored[one, TO_MASS]
        fresh[hole, MASS] = scored[one, TO_MASS]
        hole += 1
    end = max(size, hole)
    while hole < end:
        if ints[entries[hole], SLOT] != NONE:
            hole += 1
        elif ints[entries[end - 1], SLOT] == NONE:
            end -= 1
        else:
            end -= 1
            entries[hole] = entries[end]
            ints[entries[hole], SLOT] = hole
            for column in range(3):
                fresh[hole, column] = fresh[end, column]
    counts[ENTRIES] = end


@kernel
def _carry(log_probs, work, fusion, space):  # type: ignore[no-untyped-def]
    """Carries the beam from the first frame to the last; returns whether there was room for all nodes."""
    settings = fusion.settings
    counts, ints, floats, entries, keys, order = (
        work.counts, work.ints, work.floats, work.entries, work.keys, work.order,
    )  # fmt: skip
    beam, room = len(entries), len(order)
    for frame in range(len(log_probs)):
        if counts[NODES] + beam > len(ints):
            return False
        row = log_probs[frame]
        size = counts[ENTRIES]
        masses, fresh = work.masses[counts[SIDE]], work.masses[1 - counts[SIDE]]

        if row[settings.blank] >= settings.skip:
            for entry in range(size):
                masses[entry, MASS] += row[settings.blank]
                masses[entry, BLANK_MASS], masses[entry, TOKEN_MASS] = masses[entry, MASS], -np.inf
            continue

        best = _stay(
            row, settings.blank, space, size, ints, floats, entries, masses, fresh, keys, work.child, work.next,
        )  # fmt: skip
        # What is no better than the bar cannot survive: the worst entry where the beam is full of them.
        full = -np.inf
        if size == beam:
            full = np.inf
            for entry in range(size):
                full = min(full, keys[entry])
        bar = max(full, best - settings.beam_threshold)
        count, serial = np.int64(0), np.int64(beam)  # a constant's type would compile `_settle` twice
        worth = highest(row) - settings.token_threshold
        tried = best_tokens(row, settings.blank, settings.token_limit, worth, -np.inf, work.tokens)
        for entry in range(size):
            node = np.int64(entries[entry])
            last = ints[node, TOKEN]
            known = floats[node, SCORE] + settings.gain
            for number in range(tried):
                token = np.int64(work.tokens[number])
                if masses[entry, MASS] + row[token] + known <= bar:
                    break  # nor do the tokens behind it, which are no better
                mass = (masses[entry, BLANK_MASS] if token == last else masses[entry, MASS]) + row[token]
                if mass + known <= bar:
                    continue
                reached, first, behind = follow(fusion, ints, floats, node, token, bar - mass)
                for choice in range(first, behind):
                    label, to = choose(fusion, reached, first, choice)
                    key = mass + to[1]
                    if key <= bar or _in_beam(ints, entries, work.child, work.next, entry, token, label):
                        continue
                    push(work, beam, count, serial, key, mass, entry, token, label, to)
                    count, serial = count + 1, serial + 1
                    best = max(best, key)
                    if count == room:
                        full = max(full, keep_best(keys, work.serial, order, count, beam))
                        count = beam
                    bar = max(full, best - settings.beam_threshold)

        if best == -np.inf:
            # Nothing is possible any more (a lexicon, and a frame that rules out all it allows): what there was stands.
            counts[DEAD] = 1
            continue
        least = best - settings.beam_threshold
        _settle(
            size, count, beam, least, counts, ints, floats, entries, fresh, keys, work.serial, order, work.picked,
            work.made, work.scored,
        )  # fmt: skip
        counts[SIDE] = 1 - counts[SIDE]
    return True


@kernel
def search(log_probs, bounds, done, work, fusion, space, state, rank, closed, found):  # type: ignore[no-untyped-def]
    """Searches utterances that stand one behind the other.

    Args:
        log_probs: float64, shape (frames, V).
        bounds: int64, shape (U + 1,): utterance u has the frames ``bounds[u]`` to ``bounds[u + 1] - 1``.
        done: utterances that are done already.
        work: arrays to work in.
        fusion: what scores a prefix besides its sound.
        space: with a lexicon, the token that ends its words and else writes nothing; NONE: there is none.
        state: of the language model before the first word.
        rank: score of the empty prefix.
        closed: arrays to work in.
        found: to be filled.

    Returns:
        How many are done now: U, or fewer if ``work`` has no room for the next one's nodes.
    """
    for utterance in range(done, len(bounds) - 1):
        first, behind = bounds[utterance], bounds[utterance + 1]
        restart(work, state, rank, fusion.settings.hot_start)
        if not _carry(log_probs[first:behind], work, fusion, space):
            return utterance
        close_all(work, fusion, space, closed)
        if work.counts[DEAD]:
            for place in range(work.counts[CLOSED]):
                closed.values[place, ACOUSTIC] = closed.values[place, TOTAL] = -np.inf
        write_out(work.ints, closed, work.counts[CLOSED], found, utterance, first, behind - first)
    return len(bounds) - 1
