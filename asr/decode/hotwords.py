"""Hotwords: phrases whose words the search is to favour, matched as whole words while they are being written.

A phrase's boost is its weight times its number of words. It accrues along the phrase, an equal part for each character
(each word, where the search knows whole words only), is taken back when the phrase breaks off, and stays when the
phrase is complete. Every occurrence of every phrase counts, overlapping ones too. The automaton that keeps track is
that of Aho & Corasick 1975.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from asr.decode.fusion import Automaton
from asr.decode.trie import frozen
from asr.errors import UsageError

_BOUNDARY, _OTHER = 0, 1  # symbols of the automaton: between words, and whatever stands in no phrase
Phrase = tuple[list[str], float]


def written_among(words: Iterable[str]) -> Callable[[str], str]:
    """How a search that can write these words writes a word: as it is, else in the case that they have it in."""
    exact = set(words)
    folded = {word.casefold(): word for word in exact}
    return lambda word: word if word in exact else folded.get(word.casefold(), word)


def written_in(characters: Collection[str]) -> Callable[[str], str]:
    """How a word is written in these characters: as it is, or in upper or in lower case if only so it can be."""
    known = set(characters)
    return lambda word: next((one for one in (word, word.upper(), word.lower()) if known.issuperset(one)), word)


def parse_hotwords(hotwords: Sequence[tuple[str, float]], written: Callable[[str], str]) -> list[Phrase]:
    """Splits phrases into words and turns weights [nats per word] into boosts [nats].

    Args:
        hotwords: phrases and weights.
        written: how the search writes a word, see `written_among` and `written_in`.

    Raises:
        UsageError: an empty phrase, one that is given twice, or a weight that is no positive number.
    """
    phrases: dict[tuple[str, ...], float] = {}
    for text, weight in hotwords:
        words = [written(word) for word in text.split()]
        if not words:
            raise UsageError(f"hotword {text!r} is empty; give it at least one word")
        if not (math.isfinite(weight) and weight > 0):
            raise UsageError(f"hotword {text!r}: its weight must be a positive number of nats per word, not {weight}")
        if tuple(words) in phrases:
            raise UsageError(f"hotword {text!r} is given twice; give it once, with the weight it is to have")
        phrases[tuple(words)] = weight * len(words)
    return [(list(words), boost) for words, boost in phrases.items()]


def character_automaton(phrases: Sequence[Phrase], characters: dict[str, int]) -> Automaton:
    """Phrases over characters; each begins and ends with a word boundary, and the start state is behind one.

    Args:
        phrases: see `parse_hotwords`.
        characters: character → number, every character that the tokens can write.

    Raises:
        UsageError: a phrase holds a character that the tokens cannot write.
    """
    patterns = []
    for words, boost in phrases:
        missing = sorted({character for character in "".join(words) if character not in characters})
        if missing:
            raise UsageError(
                f"hotword {' '.join(words)!r}: the model has no token for {', '.join(map(repr, missing))}; "
                "write it as the model's transcripts are written"
            )
        units = [-1, *(-1 if character == " " else characters[character] for character in " ".join(words)), -1]
        length = len(units) - 2
        patterns.append((units, [0.0, *(boost * done / length for done in range(1, length + 1)), 0.0], boost))
    return _automaton(patterns, len(characters))


def word_automaton(phrases: Sequence[Phrase], words: dict[str, int], where: str) -> Automaton:
    """Phrases over whole words.

    Args:
        phrases: see `parse_hotwords`.
        words: word → label (or token), every word that the search can write.
        where: what these words are, for the sentence.

    Raises:
        UsageError: a phrase holds a word that the search cannot write.
    """
    patterns = []
    for phrase, boost in phrases:
        missing = [word for word in phrase if word not in words]
        if missing:
            raise UsageError(
                f"hotword {' '.join(phrase)!r}: {missing[0]!r} is not among {where}; leave it out or add it"
            )
        length = len(phrase)
        credits = [*(boost * done / length for done in range(1, length)), 0.0]
        patterns.append(([words[word] for word in phrase], credits, boost))
    return _automaton(patterns, 1 + max(words.values(), default=0))


def start_state(phrases: Sequence[Phrase], by_word: bool) -> int:
    """The state before the first word; character patterns all begin with a boundary, which state 1 has read."""
    return 0 if by_word or not phrases else 1


def _automaton(patterns: list[tuple[list[int], list[float], float]], units: int) -> Automaton:
    """Patterns as (units, credit after each unit, boost when complete); unit -1 is the word boundary."""
    symbols = np.full(units, _OTHER, np.int32)
    for number, unit in enumerate(sorted({unit for pattern, _, _ in patterns for unit in pattern if unit >= 0})):
        symbols[unit] = _OTHER + 1 + number
    children: list[dict[int, int]] = [{}]
    credit, complete = [0.0], [0.0]
    for pattern, credits, boost in patterns:
        state = 0
        for unit, part in zip(pattern, credits, strict=True):
            symbol = _BOUNDARY if unit < 0 else int(symbols[unit])
            if symbol not in children[state]:
                children[state][symbol] = len(children)
                children.append({})
                credit.append(0.0)
                complete.append(0.0)
            state = children[state][symbol]
            credit[state] = max(credit[state], part)
        complete[state] += boost

    after = np.zeros((len(children), int(symbols.max(initial=_OTHER)) + 1), np.int32)
    for symbol, child in children[0].items():
        after[0, symbol] = child
    fallback = [0] * len(children)
    queue = deque(children[0].values())
    while queue:
        state = queue.popleft()
        shorter = fallback[state]
        # What a shorter suffix has begun or completed holds as well: credit is lent once, completed phrases add up.
        credit[state] = max(credit[state], credit[shorter])
        complete[state] += complete[shorter]
        after[state] = after[shorter]
        for symbol, child in children[state].items():
            fallback[child] = int(after[shorter, symbol])
            after[state, symbol] = child
            queue.append(child)
    return Automaton(
        frozen(symbols, np.int32), frozen(after, np.int32), frozen(credit, np.float64), frozen(complete, np.float64)
    )
