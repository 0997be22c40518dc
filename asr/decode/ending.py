"""How a beam search ends: what of the beam can end with the utterance, and what a prefix spells."""

from __future__ import annotations

import numpy as np

from asr.compiled import inlined, kernel
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
def close_all(work, fusion, space, closed):  # type: ignore[no-untyped-def]
    """Closes every entry that can end here; if none can, the best one at its last whole word."""
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
    if count == 0:
        node = np.int64(entries[chosen])
        while ints[node, PARENT] != NONE and ints[node, LABEL] == NONE:
            node = np.int64(ints[node, PARENT])
        acoustic = masses[chosen, MASS]
        score, lm = close_sentence(fusion, floats[node, SCORE], floats[node, LM], np.int64(ints[node, STATE]))
        closed.nodes[0], closed.labels[0] = node, NONE
        closed.values[0, 0], closed.values[0, 1], closed.values[0, 2] = acoustic, lm, acoustic + score
        count = 1
    counts[CLOSED] = count


@kernel
def trace(ints, node, tokens, labels):  # type: ignore[no-untyped-def]
    """Fills ``tokens`` and ``labels`` (int32, shape (S,)) from their ends with what a node spells.

    The label of a token is the word that ends with it, or `NONE`. Returns how many tokens there are.
    """
    written = 0
    while ints[node, PARENT] != NONE:
        written += 1
        tokens[len(tokens) - written] = ints[node, TOKEN]
        labels[len(labels) - written] = ints[node, LABEL]
        node = np.int64(ints[node, PARENT])
    return written
