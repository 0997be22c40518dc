"""The part of a prefix's score that the sound does not decide: language model, words and hotwords (shallow fusion).

It depends on nothing but the prefix, so it is worked out once, when the prefix is first tried, and kept in the prefix's
node. A node is a row of two arrays, whose columns are named here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from asr.compiled import inlined, kernel
from asr.lm.ngram import END, UNKNOWN, Tables, advance

# Columns of a node, int32. LEX: where in the trie of words the running word stands; 0: no word has begun.
PARENT, TOKEN, LABEL, STATE, LEX, HOT, CHILD, SIBLING, SLOT, AFTER, OUTSIDE = range(11)
NODE_INTS = 11
# Columns of a node, float64. SCORE: final, LM: ln P, unweighted. RANK: SCORE, what hotwords lend, and what the running
# word will cost at least.
SCORE, RANK, LM, AFTER_LM, OUTSIDE_LM = range(5)
NODE_FLOATS = 5

NONE = -1  # no parent, no token, no label, not in the beam, not yet asked
OFF_TRIE = -1  # as LEX: inside a word that the trie does not hold
LM_FLOOR = -230.0  # ln P of what a model holds impossible: a sum of scores must never be −inf or NaN for it


class Units(NamedTuple):
    """What each token writes.

    Attributes:
        boundary: uint8, shape (V,): 1 where the token ends the word before it.
        first: int32, shape (V + 1,): token v writes ``characters[first[v]:first[v + 1]]``.
        characters: int32: numbers of characters.
        lm: int32, shape (V,): the language model's id of the token, where the model is asked at every token.
    """

    boundary: np.ndarray
    first: np.ndarray
    characters: np.ndarray
    lm: np.ndarray


class Trie(NamedTuple):
    """Words by spelling; node 0 is the root, the children of a node stand side by side, sorted by unit.

    Attributes:
        units: int32, shape (N,): the last unit of each node (a character, or a token in lexicon mode).
        first: int32, shape (N + 1,): the children of node n are the nodes ``first[n]`` to ``first[n + 1] - 1``.
        first_word: int32, shape (N + 1,): node n spells ``words[first_word[n]:first_word[n + 1]]``.
        words: int32: labels of words.
        lm: int32: the language model's id of each label.
        ahead: float64, shape (N,): the greatest unigram ln P among the words of a node and below; 0 at the root, and
            everywhere if no word model is asked.
    """

    units: np.ndarray
    first: np.ndarray
    first_word: np.ndarray
    words: np.ndarray
    lm: np.ndarray
    ahead: np.ndarray


class Automaton(NamedTuple):
    """Hotwords as an automaton (Aho & Corasick 1975) over characters and word boundaries, or over words.

    Attributes:
        symbols: int32: character (or label, or token) → symbol of the automaton; symbol 0 is the word boundary.
        after: int32, shape (A, symbols): the state behind each state and symbol.
        credit: float64, shape (A,): boost lent to phrases that have begun and are not complete.
        complete: float64, shape (A,): boost of the phrases that are complete at this state.
    """

    symbols: np.ndarray
    after: np.ndarray
    credit: np.ndarray
    complete: np.ndarray


class Settings(NamedTuple):
    """Options and modes, as plain numbers; ``gain`` is the most that one token can add to a score besides its sound."""

    blank: int
    token_limit: int
    token_threshold: float
    beam_threshold: float
    skip: float
    alpha: float
    bonus: float
    unknown: float
    gain: float
    plain: bool  # nothing but sound
    lexicon: bool
    has_lm: bool
    each_token: bool  # the language model is asked at every token
    token_words: bool  # each token is a word
    has_hot: bool
    hot_start: int


class Fusion(NamedTuple):
    """Everything that scores a prefix besides its sound."""

    settings: Settings
    units: Units
    trie: Trie
    hot: Automaton
    tables: Tables


@kernel
def _child(units, first, node, unit):  # type: ignore[no-untyped-def]
    """The child of a node, -1 if there is none."""
    low, high = first[node], first[node + 1]
    end = high
    while low < high:
        middle = (low + high) >> 1
        if units[middle] < unit:
            low = middle + 1
        else:
            high = middle
    if low < end and units[low] == unit:
        return np.int64(low)
    return np.int64(-1)


@inlined
def trie_child(trie, node, unit):  # type: ignore[no-untyped-def]
    """The child of a node, -1 if there is none."""
    return _child(trie.units, trie.first, np.int64(node), np.int64(unit))


@kernel
def _ask(tables, state, word):  # type: ignore[no-untyped-def]
    """As `advance`, both int64: another type, even a constant, would be compiled once more."""
    score, after = advance(tables, state, word)
    return max(score, LM_FLOOR), np.int64(after)


@inlined
def is_word(trie, node):  # type: ignore[no-untyped-def]
    return trie.first_word[node + 1] > trie.first_word[node]


@inlined
def close_word(fusion, ints, floats, node):  # type: ignore[no-untyped-def]
    """ln P of the running word of a node as it stands, and the state behind it, asked once and kept in the node."""
    if ints[node, AFTER] == NONE:
        lex = ints[node, LEX]
        word = fusion.trie.lm[fusion.trie.words[fusion.trie.first_word[lex]]] if is_word(fusion.trie, lex) else UNKNOWN
        lm, state = _ask(fusion.tables, np.int64(ints[node, STATE]), np.int64(word))
        floats[node, AFTER_LM], ints[node, AFTER] = lm, state
    return floats[node, AFTER_LM], np.int64(ints[node, AFTER])


@inlined
def unknown_word(fusion, ints, floats, node, state):  # type: ignore[no-untyped-def]
    """ln P(<unk>) behind a node and the state behind that; kept in the node if no word ends before the unknown one."""
    if state != ints[node, STATE]:
        return _ask(fusion.tables, state, np.int64(UNKNOWN))
    if ints[node, OUTSIDE] == NONE:
        lm, after = _ask(fusion.tables, state, np.int64(UNKNOWN))
        floats[node, OUTSIDE_LM], ints[node, OUTSIDE] = lm, after
    return floats[node, OUTSIDE_LM], np.int64(ints[node, OUTSIDE])


@inlined
def extend(fusion, ints, floats, node, token, limit):  # type: ignore[no-untyped-def]
    """Scores the prefix of a node with one more token, without a lexicon.

    ``limit``: a child whose score is known to be no more than this is given up, which spares asking the model.

    Returns:
        score, rank, LM, state, lex, hot; a rank of −inf where it was given up.
    """
    settings, units, trie, hotwords = fusion.settings, fusion.units, fusion.trie, fusion.hot
    score, lm = floats[node, SCORE], floats[node, LM]
    state, lex, hot = np.int64(ints[node, STATE]), np.int64(ints[node, LEX]), np.int64(ints[node, HOT])
    word_lm = settings.has_lm and not settings.each_token

    if settings.token_words:
        score += settings.bonus
        if settings.has_hot:
            hot = np.int64(hotwords.after[hot, hotwords.symbols[token]])
            score += hotwords.complete[hot]
    else:
        if units.boundary[token] and lex != 0:
            score += settings.bonus
            if word_lm and lex != OFF_TRIE:
                if not is_word(trie, lex):
                    score += settings.unknown
                    if score + settings.gain <= limit:
                        return score, -np.inf, lm, state, lex, hot
                asked, state = close_word(fusion, ints, floats, node)
                lm += asked
                score += settings.alpha * asked
            if settings.has_hot:
                hot = np.int64(hotwords.after[hot, 0])
                score += hotwords.complete[hot]
            lex = 0
        for position in range(units.first[token], units.first[token + 1]):
            character = units.characters[position]
            if settings.has_hot:
                hot = np.int64(hotwords.after[hot, hotwords.symbols[character]])
            if lex != OFF_TRIE:
                lex = trie_child(trie, lex, character)
                if lex == OFF_TRIE and word_lm:
                    # Charged here and not where the word ends: it would crowd the beam for as long as it is free.
                    score += settings.unknown
                    if score + settings.gain <= limit:
                        return score, -np.inf, lm, state, lex, hot
                    asked, state = unknown_word(fusion, ints, floats, node, state)
                    lm += asked
                    score += settings.alpha * asked

    if settings.each_token:
        word = units.lm[token]
        if word == UNKNOWN:
            score += settings.unknown
        if score + settings.gain <= limit:
            return score, -np.inf, lm, state, lex, hot
        asked, state = _ask(fusion.tables, state, np.int64(word))
        lm += asked
        score += settings.alpha * asked

    rank = score
    if word_lm and lex != OFF_TRIE:
        rank += settings.alpha * trie.ahead[lex]
    if settings.has_hot:
        rank += hotwords.credit[hot]
    return score, rank, lm, state, lex, hot


@inlined
def spell(fusion, ints, floats, node, token, lex):  # type: ignore[no-untyped-def]
    """Scores the prefix of a node with one more token of a lexicon word that goes on to ``lex``.

    Returns:
        score, rank, LM, state, as far as the running word.
    """
    settings = fusion.settings
    score, lm, state = floats[node, SCORE], floats[node, LM], np.int64(ints[node, STATE])
    if settings.each_token:
        word = fusion.units.lm[token]
        if word == UNKNOWN:
            score += settings.unknown
        asked, state = _ask(fusion.tables, state, np.int64(word))
        lm += asked
        score += settings.alpha * asked
    rank = score + settings.alpha * fusion.trie.ahead[lex]
    if settings.has_hot:
        rank += fusion.hot.credit[ints[node, HOT]]
    return score, rank, lm, state


@inlined
def emit(fusion, score, lm, state, hot, label):  # type: ignore[no-untyped-def]
    """Adds a whole word of the lexicon to the scores.

    Returns:
        score, rank, LM, state, lex, hot behind the word.
    """
    settings = fusion.settings
    score += settings.bonus
    if settings.has_lm and not settings.each_token:
        word = fusion.trie.lm[label]
        if word == UNKNOWN:
            score += settings.unknown
        asked, state = _ask(fusion.tables, state, np.int64(word))
        lm += asked
        score += settings.alpha * asked
    rank = score
    if settings.has_hot:
        hot = np.int64(fusion.hot.after[hot, fusion.hot.symbols[label]])
        score += fusion.hot.complete[hot]
        rank = score + fusion.hot.credit[hot]
    return score, rank, lm, state, np.int64(0), hot


@inlined
def close_sentence(fusion, score, lm, state):  # type: ignore[no-untyped-def]
    """Adds ``</s>``. Returns score, LM."""
    if fusion.settings.has_lm:
        asked, _ = _ask(fusion.tables, state, np.int64(END))
        lm += asked
        score += fusion.settings.alpha * asked
    return score, lm


@inlined
def close(fusion, ints, floats, node):  # type: ignore[no-untyped-def]
    """Score, LM and state behind the last word of a prefix that ends here, without a lexicon."""
    settings = fusion.settings
    score, lm, state = floats[node, SCORE], floats[node, LM], np.int64(ints[node, STATE])
    lex = ints[node, LEX]
    if not settings.token_words and lex != 0:
        score += settings.bonus
        if settings.has_lm and not settings.each_token and lex != OFF_TRIE:
            if not is_word(fusion.trie, lex):
                score += settings.unknown
            asked, state = close_word(fusion, ints, floats, node)
            lm += asked
            score += settings.alpha * asked
        if settings.has_hot:
            score += fusion.hot.complete[fusion.hot.after[ints[node, HOT], 0]]
    return score, lm, state


@inlined
def follow(fusion, ints, floats, node, token, limit):  # type: ignore[no-untyped-def]
    """Scores the prefix of a node with one more token, with a lexicon or without; ``limit``: see `extend`.

    Returns:
        score, rank, LM, state, lex, hot; and the range of what may be chosen then (see `choose`): without a lexicon
        one thing, with one that the word goes on and each word that ends here, and nothing where no word is spelled so.
    """
    settings, trie = fusion.settings, fusion.trie
    score, rank, lm, state = 0.0, 0.0, 0.0, np.int64(0)
    lex, hot, first, behind = np.int64(0), np.int64(0), np.int64(0), np.int64(1)
    if settings.lexicon:
        lex = trie_child(trie, ints[node, LEX], token)
        if lex == NONE:
            behind = np.int64(0)
        else:
            score, rank, lm, state = spell(fusion, ints, floats, node, token, lex)
            hot = np.int64(ints[node, HOT])
            first, behind = np.int64(trie.first_word[lex] - 1), np.int64(trie.first_word[lex + 1])
    elif not settings.plain:
        score, rank, lm, state, lex, hot = extend(fusion, ints, floats, node, token, limit)
    return (score, rank, lm, state, lex, hot), first, behind


@inlined
def choose(fusion, reached, first, choice):  # type: ignore[no-untyped-def]
    """One choice of those that `follow` gives.

    Returns:
        the word of the lexicon that ends, or NONE; and score, rank, LM, state, lex, hot, the rank −inf where a word of
        the lexicon cannot go on.
    """
    trie = fusion.trie
    score, _, lm, state, lex, hot = reached
    label, to = np.int64(NONE), reached
    if fusion.settings.lexicon:
        if choice != first:
            label = np.int64(trie.words[choice])
            to = emit(fusion, score, lm, state, hot, label)
        elif trie.first[lex] == trie.first[lex + 1]:
            to = (score, -np.inf, lm, state, lex, hot)
    return label, to
