"""How words are said: by the dictionary, else by a grapheme-to-phoneme model; and a tokenizer of phones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import AsrError
from asr.files import sha256
from asr.phones.dictionary import Pronunciations, phone_set, read_dictionary, spelled_as
from asr.tokens import Tokenizer

if TYPE_CHECKING:
    from asr.config import TokenConfig
    from asr.phones.g2p import G2p


@dataclass(frozen=True)
class Pronounced:
    """How words are said.

    Attributes:
        words: word → its pronunciations, the usual one first; in the order asked for.
        guessed: those of them that the grapheme-to-phoneme model pronounced.
        missing: words that no pronunciation was found for, and why.
        phones: all that the dictionary and the model can write, sorted.
    """

    words: Pronunciations
    guessed: frozenset[str]
    missing: dict[str, str]
    phones: list[str]


def pronounce(words: Iterable[str], dictionary: Path, g2p: Path | None, stress: bool, nbest: int = 1) -> Pronounced:
    """Looks words up, as written or else in upper or lower case, and asks the model for those that are not there.

    Args:
        words: each may stand several times.
        dictionary: read by `read_dictionary`.
        g2p: folder of a grapheme-to-phoneme model; None: what the dictionary lacks is missing.
        stress: whether vowels keep the digit of their stress.
        nbest: most pronunciations that the model gives a word.

    Raises:
        AsrError: a file that cannot be used, or a model that writes other phones than the dictionary's.
    """
    known = read_dictionary(dictionary, stress)
    phones = phone_set(known)
    model = _load(g2p, phones, dictionary) if g2p is not None else None
    distinct = list(dict.fromkeys(words))
    places = {word: spelled_as(word, known) for word in distinct}
    strange = [word for word, place in places.items() if place is None]
    guesses = dict(zip(strange, model.pronounce(strange, nbest), strict=True)) if model else {}
    said: Pronunciations = {}
    missing: dict[str, str] = {}
    for word, place in places.items():
        if place is not None:
            said[word] = known[place]
        elif guesses.get(word):
            said[word] = [one.phones for one in guesses[word]]
        else:
            missing[word] = _why(word, dictionary, g2p, model)
    return Pronounced(said, frozenset(strange) - missing.keys(), missing, phones)


def _load(folder: Path, phones: list[str], dictionary: Path) -> G2p:
    from asr.phones.g2p import load_g2p  # torch

    model = load_g2p(folder)
    foreign = sorted(set(model.phones.symbols[1:]) - set(phones))
    if foreign:
        raise AsrError(
            f"{folder}: writes phones that {dictionary} lacks, such as {', '.join(foreign[:5])}; train it on that "
            "dictionary, with stress in both or in neither"
        )
    return model


def _why(word: str, dictionary: Path, g2p: Path | None, model: G2p | None) -> str:
    if model is None:
        return f"{dictionary} has no pronunciation for {word!r}, and no grapheme-to-phoneme model is named"
    foreign = ", ".join(map(repr, model.foreign(word)))
    reason = f"has never read {foreign}" if foreign else "finds no phones for it"
    return f"{dictionary} has no pronunciation for {word!r}, and the model {g2p} {reason}"


def pronounce_for(config: TokenConfig, words: Iterable[str]) -> Pronounced:
    """`pronounce` with the files that a config of phones names."""
    if config.dictionary is None:
        raise ValueError("a config of phones names its dictionary")
    g2p = Path(config.g2p) if config.g2p else None
    return pronounce(words, Path(config.dictionary), g2p, config.stress)


def phone_tokenizer(pronounced: Pronounced) -> Tokenizer:
    """All phones as tokens, the words as their lexicon."""
    return Tokenizer("phone", ["<blank>", *pronounced.phones], lexicon=pronounced.words)


def sources(config: TokenConfig) -> dict[str, str]:
    """The sums of the files that a config of phones names; nothing for other tokens."""
    found = {"pronouncing dictionary": sha256(Path(config.dictionary))} if config.dictionary else {}
    return found | ({"grapheme-to-phoneme model": sha256(Path(config.g2p) / "SHA256SUMS")} if config.g2p else {})


def shares(pronounced: Pronounced, texts: Iterable[str]) -> dict[str, float]:
    """How much of texts the dictionary lacks [%]: ``g2p_words`` and ``g2p_running_words``, ``missing_…`` the same."""
    running = [word for text in texts for word in text.split()]
    distinct = set(running)

    def of(some: Iterable[str], words: Iterable[str], total: int) -> float:
        named = set(some)
        return round(100 * sum(word in named for word in words) / max(total, 1), 3)

    return {
        "g2p_words": of(pronounced.guessed, distinct, len(distinct)),
        "g2p_running_words": of(pronounced.guessed, running, len(running)),
        "missing_words": of(pronounced.missing, distinct, len(distinct)),
        "missing_running_words": of(pronounced.missing, running, len(running)),
    }
