"""How a beam search ends: what of the beam can end with the utterance, and what a prefix spells."""

from __future__ import annotations

import numpy as np

from asr.compiled import inlined, making_kernel
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


@making_kernel
def spelled(ints, nodes, ends, longest):  # type: ignore[no-untyped-def]
    """What closed prefixes spell.

    Args:
        ints: the nodes.
        nodes, ends: int32, shape (E,): as in `asr.decode.work.Closed`.
        longest: no prefix has more tokens.

    Returns:
        Tokens and labels, int32, shape (E, longest), from the left: of each token the word that ends with it, or
        `NONE`; how many tokens there are; words, int32, shape (E, longest + 1), ``ends`` included; how many words.
    """
    tokens = np.empty((len(nodes), longest), np.int32)
    labels = np.empty((len(nodes), longest), np.int32)
    words = np.empty((len(nodes), longest + 1), np.int32)
    lengths, counts = np.zeros(len(nodes), np.int64), np.zeros(len(nodes), np.int64)
    for place in range(len(nodes)):
        node = nodes[place]
        while ints[node, PARENT] != NONE:
            lengths[place] += 1
            node = ints[node, PARENT]
        node = nodes[place]
        for position in range(lengths[place] - 1, -1, -1):
            tokens[place, position], labels[place, position] = ints[node, TOKEN], ints[node, LABEL]
            node = ints[node, PARENT]
        for position in range(lengths[place]):
            if labels[place, position] != NONE:
                words[place, counts[place]] = labels[place, position]
                counts[place] += 1
        if ends[place] != NONE:
            words[place, counts[place]] = ends[place]
            counts[place] += 1
    return tokens, labels, lengths, words, counts
