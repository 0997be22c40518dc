"""The compiled part of a search that goes token by token: what may follow a prefix, and what may end.

Nodes, scores besides the sound, and how a prefix ends are those of the search that goes frame by frame
(`asr.decode.kernel`), so that language models, lexicon and hotwords count in both alike.
"""

from __future__ import annotations

import numpy as np

from asr.compiled import kernel
from asr.decode.ending import close_ends
from asr.decode.fusion import LEX, NONE, SCORE, choose, follow, trie_child
from asr.decode.kernel import best_tokens, highest, keep_best, node_of, push
from asr.decode.work import ENTRIES, ENTRY, MASS, SIDE, restart


@kernel
def begin(work, fusion, state, rank):  # type: ignore[no-untyped-def]
    """Makes the empty prefix the only entry; see `restart`."""
    restart(work, state, rank, fusion.settings.hot_start)


@kernel
def close(acoustic, work, fusion, space, closed):  # type: ignore[no-untyped-def]
    """Closes the entries that can end here; ``acoustic``: of each as a whole utterance, float64, shape (B,)."""
    for entry in range(len(acoustic)):
        work.masses[work.counts[SIDE], entry, MASS] = acoustic[entry]
    close_ends(work, fusion, space, closed)


@kernel
def grow(acoustic, finished, work, fusion):  # type: ignore[no-untyped-def]
    """Puts the best extensions of the entries in their place.

    Args:
        acoustic: float64, shape (B, V): what the sound says of each entry with each token more; −inf: it cannot be.
            What a lexicon does not allow is made −inf.
        finished: score of the best prefix that has ended; extensions too far below it are not kept either.
        work: its entries change; ``picked`` then holds the row of ``made`` and of ``scored`` that each came of.
        fusion: what scores a prefix besides its sound.
    """
    settings, trie = fusion.settings, fusion.trie
    counts, ints, floats, entries, keys, order = (
        work.counts, work.ints, work.floats, work.entries, work.keys, work.order,
    )  # fmt: skip
    beam, room = len(entries), len(order)
    count, serial = np.int64(0), np.int64(beam)
    best, full = finished, -np.inf
    for entry in range(counts[ENTRIES]):
        node = np.int64(entries[entry])
        row = acoustic[entry]
        if settings.lexicon:
            for token in range(len(row)):
                if trie_child(trie, ints[node, LEX], token) == NONE:
                    row[token] = -np.inf
        worth = highest(row) - settings.token_threshold
        tried = best_tokens(row, settings.blank, settings.token_limit, worth, -np.inf, work.tokens)
        known = floats[node, SCORE] + settings.gain
        for number in range(tried):
            token = np.int64(work.tokens[number])
            bar = max(full, best - settings.beam_threshold)
            if row[token] + known <= bar:
                break  # nor do the tokens behind it, which are no better
            reached, first, behind = follow(fusion, ints, floats, node, token, bar - row[token])
            for choice in range(first, behind):
                label, to = choose(fusion, reached, first, choice)
                key = row[token] + to[1]
                if key <= bar:
                    continue
                push(work, beam, count, serial, key, row[token], entry, token, label, to)
                count, serial = count + 1, serial + 1
                best = max(best, key)
                if count == room:
                    full = max(full, keep_best(keys, work.serial, order, count, beam))
                    count = beam
                bar = max(full, best - settings.beam_threshold)
    if count > beam:
        keep_best(keys, work.serial, order, count, beam)
        count = beam
    kept = 0
    for place in range(count):
        if keys[order[place]] > best - settings.beam_threshold:
            work.picked[kept] = order[place] - beam
            kept += 1
    for place in range(kept):  # into ``child``, for the entries are still read
        one = work.picked[place]
        parent = entries[work.made[one, ENTRY]]
        work.child[place] = node_of(ints, floats, counts, parent, work.made[one], work.scored[one])
    for place in range(kept):
        entries[place] = work.child[place]
    counts[ENTRIES] = kept
