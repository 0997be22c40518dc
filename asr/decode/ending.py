"""How a beam search ends: what of the beam can end with the utterance, and what a prefix spells."""

from __future__ import annotations

import numpy as np

from asr.compiled import inlined, kernel
from asr.decode.found import ACOUSTIC, LM_SCORE, TOTAL, note, rank
from asr.decode.fusion import (
    HOT,
    LABEL,
    LEX,
    LM,
    NONE,
    PARENT,
    RANK,
    SCORE,
    STATE,
    TOKEN,
    close,
    close_sentence,
    emit,
    trie_child,
)
from asr.decode.work import CLOSED, ENTRIES, MASS, SIDE


@inlined
def close_ends(work, fusion, space, closed):  # type: ignore[no-untyped-def]
    """Closes every entry that can end here; returns the best of all entries."""
    settings, trie = fusion.settings, fusion.trie
    counts, ints, floats, entries = work.counts, work.ints, work.floats, work.entries
    masses = work.masses[counts[SIDE]]
    count = 0
    best, chosen = -np.inf, 0
    for entry in range(counts[ENTRIES]):
        node = np.int64(entries[entry])
        acoustic = masses[entry, MASS]
        if acoustic + floats[node, RANK] > best:
            best, chosen = acoustic + floats[node, RANK], entry
        lex = np.int64(ints[node, LEX])
        first, behind = np.int64(0), np.int64(1)
        open_word = settings.lexicon and lex != 0
        if open_word:
            end = trie_child(trie, lex, space)
            if end == NONE:
                continue
            first, behind = np.int64(trie.first_word[end]), np.int64(trie.first_word[end + 1])
        for choice in range(first, behind):
            label = np.int64(NONE)
            score, lm, state = floats[node, SCORE], floats[node, LM], np.int64(ints[node, STATE])
            if open_word:
                label = np.int64(trie.words[choice])
                score, _, lm, state, _, _ = emit(fusion, score, lm, state, np.int64(ints[node, HOT]), label)
            elif not settings.lexicon:
                score, lm, state = close(fusion, ints, floats, node)
            score, lm = close_sentence(fusion, score, lm, state)
            closed.nodes[count], closed.labels[count] = node, label
            closed.values[count, 0], closed.values[count, 1], closed.values[count, 2] = acoustic, lm, acoustic + score
            count += 1
    counts[CLOSED] = count
    return chosen


@inlined
def close_all(work, fusion, space, closed):  # type: ignore[no-untyped-def]
    """Closes every entry that can end here; if none can, the best one at its last whole word."""
    chosen = close_ends(work, fusion, space, closed)
    counts, ints, floats = work.counts, work.ints, work.floats
    if counts[CLOSED] == 0:
        node = np.int64(work.entries[chosen])
        while ints[node, PARENT] != NONE and ints[node, LABEL] == NONE:
            node = np.int64(ints[node, PARENT])
        acoustic = work.masses[counts[SIDE], chosen, MASS]
        score, lm = close_sentence(fusion, floats[node, SCORE], floats[node, LM], np.int64(ints[node, STATE]))
        closed.nodes[0], closed.labels[0] = node, NONE
        closed.values[0, 0], closed.values[0, 1], closed.values[0, 2] = acoustic, lm, acoustic + score
        counts[CLOSED] = 1


@kernel
def write_out(ints, closed, count, found, utterance, first, frames):  # type: ignore[no-untyped-def]
    """Writes down the best of ``count`` closed prefixes, and what they spell."""
    most = found.values.shape[1]
    kept = rank(closed.values[:, TOTAL], count, most, closed.order)
    for place in range(kept):
        chosen = closed.order[place]
        start = most * first + place * frames
        length = 0
        node = np.int64(closed.nodes[chosen])
        while ints[node, PARENT] != NONE:
            length += 1
            node = np.int64(ints[node, PARENT])
        node = np.int64(closed.nodes[chosen])
        for position in range(start + length - 1, start - 1, -1):
            found.tokens[position], found.labels[position] = ints[node, TOKEN], ints[node, LABEL]
            node = np.int64(ints[node, PARENT])
        words = 0
        for position in range(start, start + length):
            if found.labels[position] != NONE:
                found.words[start + words] = found.labels[position]
                words += 1
        if closed.labels[chosen] != NONE:
            found.words[start + words] = closed.labels[chosen]  # it has tokens that no label stands at: there is room
            words += 1
        values = closed.values[chosen]
        note(found, utterance, place, values[ACOUSTIC], values[LM_SCORE], values[TOTAL], length, words)
    found.counts[utterance] = kept
