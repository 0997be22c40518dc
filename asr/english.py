"""English as it is said: contractions, numbers, symbols and spelling in one form, so that what sounds alike meets.

Only where what is said is plain; docs/normalisation.md lists what is done, what was decided and what does not meet.
`read_symbols` reads what punctuation means, before that is removed; `read_words` does the rest afterwards.
"""

from __future__ import annotations

import re
from functools import lru_cache

from asr.numerals import CARDINAL_WORDS, decade, number, ordinal, say_alike
from asr.spelling import one_spelling

_CURRENCIES = {"$": ("dollar", "dollars", "cent", "cents"), "£": ("pound", "pounds", "penny", "pence")}
_CURRENCIES |= {"€": ("euro", "euros", "cent", "cents")}
_SUFFIXES = {"k": "thousand", "m": "million", "bn": "billion"}
_FRACTIONS = {"½": "one half", "¼": "one quarter", "¾": "three quarters"}

_SYMBOL = re.compile(r"[0-9&½¼¾]|[APap]\.[Mm]")
_HALF_OF_DAY = re.compile(r"(?<![a-z.])([ap])\.m\b\.?", re.IGNORECASE)  # a.m., p.m.
_GROUPED = re.compile(r"(?<![\w.,])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9]|,[0-9])")
_PRICE = re.compile(
    r"([$£€])([0-9]+)(?:\.([0-9]+))?(?:\s?(k|m|bn|thousand|million|billion|trillion))?(?![\w]|\.[0-9])", re.IGNORECASE
)
_DECIMAL = re.compile(r"(?<![\w.])([0-9]*)\.([0-9]+)(?!\w|\.[0-9]|\s?[ap]\.?m\b)", re.IGNORECASE)
_FRACTION = re.compile(r"([0-9]?)\s?([½¼¾])")


def read_symbols(text: str) -> str:
    """Writes as words or plain digits what stands in symbols: prices, percent, thousands, decimals, ½, a.m., &.

    Args:
        text: as it came, before punctuation is removed.
    """
    if not _SYMBOL.search(text):
        return text
    text = _HALF_OF_DAY.sub(r"\1m ", text)
    text = _GROUPED.sub(lambda found: found[0].replace(",", ""), text)
    text = _PRICE.sub(_price, text)
    text = _DECIMAL.sub(lambda found: f"{found[1] or '0'} point {' '.join(found[2])}", text)
    text = _FRACTION.sub(lambda found: f"{found[1]} {'and ' if found[1] else ''}{_FRACTIONS[found[2]]} ", text)
    text = re.sub(r"(?<=[0-9])\s?%", " percent ", text)
    text = re.sub(r"(?<=[0-9]0)['’]s\b", "s", text)
    return re.sub(r"(?<=\s)&(?=\s)", "and", text)


def _price(found: re.Match[str]) -> str:
    sign, whole, part, scale = found.groups()
    one, many, small_one, small_many = _CURRENCIES[sign]
    if scale or (part and len(part) != 2):
        amount = f"{whole}.{part}" if part else whole
        return f" {amount} {_SUFFIXES.get(scale.lower(), scale) if scale else ''} {many} "
    said = []
    if whole.strip("0") or not (part or "").strip("0"):
        said += [whole, one if whole.lstrip("0") == "1" else many]
    if part and part != "00":
        said += [part.lstrip("0"), small_one if part == "01" else small_many]
    return f" {' '.join(said)} "


_NEGATED = "is are was were do does did have has had would could should must need might ought dare"
# What stands for more, or for the same in other letters; each is no other word.
_ALIKE: dict[str, tuple[str, ...]] = {
    f"{word}{end}": (word, "not") for word in _NEGATED.split() for end in ("n't", "nt")
}
_ALIKE |= {
    written: tuple(said.split())
    for said, all_written in {
        "can not": "can't cannot",
        "will not": "won't",
        "shall not": "shan't shant",
        "let us": "let's",
        "i am": "im i'm",
        "i have": "ive",
        "you are": "youre",
        "you have": "youve",
        "you will": "youll",
        "we have": "weve",
        "they are": "theyre",
        "they have": "theyve",
        "they will": "theyll",
        "it will": "itll",
        "that will": "thatll",
        "he is": "hes",
        "she is": "shes",
        "that is": "thats",
        "what is": "whats",
        "there is": "theres",
        "where is": "wheres",
        "who is": "whos",
        "how is": "hows",
        "it is": "tis",
        "it was": "twas",
        "you all": "y'all yall",
        "come on": "c'mon cmon",
        "going to": "gonna",
        "want to": "wanna",
        "got to": "gotta",
        "out of": "outta",
        "kind of": "kinda",
        "sort of": "sorta",
        "give me": "gimme",
        "let me": "lemme",
        "do not know": "dunno",
        "would have": "woulda",
        "could have": "coulda",
        "should have": "shoulda",
        "mister": "mr",
        "missus": "mrs",
        "versus": "vs",
        "okay": "ok",
        "et cetera": "etc etcetera",
    }.items()
    for written in all_written.split()
}
_ENDINGS = {"'re": "are", "'ve": "have", "'ll": "will"}
_HOSTS = ("it", "he", "she", "that", "what", "who", "where", "there", "here", "how", "when", "why")
# it's been is it has been; otherwise 's of these words is taken for is, and of any other word for a possessive.
_HAS = re.compile(rf"\b({'|'.join(_HOSTS)})'?s (?=(?:been|got|had)\b)")
_IN_DIGITS = re.compile(r"([0-9]+)(st|nd|rd|th|s|am|pm)?", re.ASCII)

_CARDINAL = f"(?:{'|'.join(sorted(CARDINAL_WORDS))})"
_CENTS = re.compile(rf"\b(dollars?|pounds?|euros?) and (?=(?:{_CARDINAL} )+(?:cents?|pence|penny)\b)")
_SPELT_HALF_OF_DAY = re.compile(rf"\b({_CARDINAL}|o'clock) ([ap]) m\b")


@lru_cache(maxsize=1 << 16)
def _said(word: str) -> tuple[str, ...]:
    """The words that one word stands for."""
    if word in _ALIKE:
        return _ALIKE[word]
    digits = _IN_DIGITS.fullmatch(word)
    if digits:
        return _read(digits[1], digits[2] or "") or (word,)
    for ending, expanded in _ENDINGS.items():
        if word.endswith(ending):
            return (*_said(word.removesuffix(ending)), expanded)
    if word.endswith("'s"):
        *before, last = _said(word.removesuffix("'s"))
        return (last, "is") if last in _HOSTS else (*before, f"{last}'s")
    return (one_spelling(word),)


def _read(digits: str, ending: str) -> tuple[str, ...]:
    """Digits with what is written close to them, as they are said; empty where that is not plain."""
    if ending in ("am", "pm"):
        return (*number(digits), ending)
    if ending == "s":
        plain = digits[-1] == "0" and digits[0] != "0" and (len(digits) == 4 or (len(digits) == 2 and digits != "10"))
        return tuple(decade(digits)) if plain else ()
    if ending:
        return tuple(ordinal(digits)) if len(digits) <= 15 and int(digits) else ()
    return tuple(number(digits))


def read_words(text: str) -> str:
    """Contractions, numbers, titles and spelling in one form.

    Args:
        text: in lower case, without punctuation but for apostrophes inside words.
    """
    if "s been" in text or "s got" in text or "s had" in text:
        text = _HAS.sub(r"\1 has ", text)
    words: list[str] = []
    for word in text.split():
        words += _said(word)
    text = " ".join(say_alike(words))
    if "per cent" in text:
        text = re.sub(r"\bper cent\b", "percent", text)
    if " m" in text:
        text = _SPELT_HALF_OF_DAY.sub(r"\1 \2m", text)
    return _CENTS.sub(r"\1 ", text) if " and " in text else text
