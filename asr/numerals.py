"""English numbers, from digits to words and from one way of saying them to another."""

from __future__ import annotations

from collections.abc import Sequence

_UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_UNITS += [f"{ten}teen" for ten in ("thir", "four", "fif", "six", "seven", "eigh", "nine")]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_LONGEST = 15  # digits that are read as one number

_CARDINALS = {word: value for value, word in enumerate(_UNITS)}
_CARDINALS |= {word: 10 * ten for ten, word in enumerate(_TENS, start=2)}
_IRREGULAR = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
_IRREGULAR |= {"twelve": "twelfth"}


def _ordinal(cardinal: str) -> str:
    return _IRREGULAR.get(cardinal) or (f"{cardinal[:-1]}ieth" if cardinal.endswith("y") else f"{cardinal}th")


_ORDINALS = {_ordinal(word): value for word, value in _CARDINALS.items() if value}
_ALL_SCALES = _SCALES | {_ordinal(word): value for word, value in _SCALES.items()}
_HUNDREDS = ("hundred", "hundredth")

#: Words that cardinal numbers are made of.
CARDINAL_WORDS = frozenset([*_CARDINALS, "hundred", *_SCALES])
#: Words that cardinal and ordinal numbers are made of.
NUMBER_WORDS = CARDINAL_WORDS | {*_ORDINALS, "hundredth", *_ALL_SCALES}


def _below_hundred(value: int) -> list[str]:
    if value < 20:
        return [_UNITS[value]] if value else []
    return [_TENS[value // 10 - 2], *_below_hundred(value % 10)]


def _in_full(value: int) -> list[str]:
    """1984 is one thousand nine hundred eighty four."""
    if not value:
        return ["zero"]
    said: list[str] = []
    for name, scale in (*reversed(_SCALES.items()), ("", 1)):
        hundreds, rest = divmod(value // scale % 1000, 100)
        said += [_UNITS[hundreds], "hundred"] if hundreds else []
        said += _below_hundred(rest)
        said += [name] if name and (hundreds or rest) else []
    return said


def _as_year(value: int) -> list[str]:
    """1984 is nineteen eighty four; what is not said like a year in full."""
    if not (1100 <= value < 2000 or 2010 <= value < 2100):
        return _in_full(value)
    century, rest = divmod(value, 100)
    if rest == 0:
        return [*_below_hundred(century), "hundred"]
    return [*_below_hundred(century), *(["zero"] if rest < 10 else []), *_below_hundred(rest)]


def number(digits: str) -> list[str]:
    """A number in digits as it is said, numbers like years as years; digit by digit after a leading zero or if long."""
    if len(digits) > _LONGEST or (len(digits) > 1 and digits[0] == "0"):
        return [_UNITS[int(digit)] for digit in digits]
    return _as_year(int(digits))


def ordinal(digits: str) -> list[str]:
    """The words of 1st, 2nd, 3rd …, given as 1, 2, 3 …; of at most 15 digits."""
    *before, last = _in_full(int(digits))
    return [*before, _ordinal(last)]


def decade(digits: str) -> list[str]:
    """The words of 1980s or 80s, given as 1980 or 80."""
    *before, last = _as_year(int(digits))
    return [*before, f"{last[:-1]}ies" if last.endswith("y") else f"{last}s"]


def _word(words: Sequence[str], at: int) -> str:
    return words[at] if at < len(words) else ""


def _small(words: Sequence[str], at: int) -> tuple[int, int, bool]:
    """A number from 1 to 99 that begins here, where it ends, and whether it is ordinal; 0 if there is none."""
    word, after = _word(words, at), _word(words, at + 1)
    if word in _ORDINALS:
        return _ORDINALS[word], at + 1, True
    value = _CARDINALS.get(word, 0)
    if value >= 20 and 0 < _ORDINALS.get(after, 0) < 10:
        return value + _ORDINALS[after], at + 2, True
    if value >= 20 and 0 < _CARDINALS.get(after, 0) < 10:
        return value + _CARDINALS[after], at + 2, False
    return value, at + bool(value), False


def _group(words: Sequence[str], at: int) -> tuple[int, int, bool]:
    """As `_small`, with hundreds: two hundred and five, nineteen hundred."""
    value, end, is_ordinal = _small(words, at)
    hundred = _word(words, end)
    if not value or is_ordinal or hundred not in _HUNDREDS:
        return value, end, is_ordinal
    value, end, is_ordinal = 100 * value, end + 1, hundred == "hundredth"
    rest, after, rest_is_ordinal = _small(words, end + (_word(words, end) == "and"))
    if is_ordinal or not rest or _word(words, after) in _HUNDREDS:
        return value, end, is_ordinal
    return value + rest, after, rest_is_ordinal


def _number(words: Sequence[str], at: int) -> tuple[int, int, bool]:
    """The longest number that begins here, where it ends, and whether it is ordinal; it ends here if there is none.

    What follows is part of it as long as it is less than the last thousand, million … said.
    """
    if _word(words, at) == "zero":
        return 0, at + 1, False
    total, limit = 0, 10**_LONGEST
    while True:
        linked = bool(total) and _word(words, at) == "and"
        value, end, is_ordinal = _group(words, at + linked)
        scale = "" if is_ordinal else _word(words, end)
        if (
            not value
            or value * _ALL_SCALES.get(scale, 1) >= limit
            or (linked and (value >= 100 or scale in _ALL_SCALES))
        ):
            return total, at, False
        if scale not in _ALL_SCALES:
            return total + value, end, is_ordinal
        limit = _ALL_SCALES[scale]
        total, at = total + value * limit, end + 1
        if scale not in _SCALES:
            return total, at, True


def _a_is_one(words: Sequence[str]) -> list[str]:
    """``a hundred`` is one hundred; but not behind a number, where the two would become one."""
    counted = {"hundred", *_SCALES, "half", "quarter"}
    return [
        "one"
        if word == "a" and _word(words, at + 1) in counted and (not at or words[at - 1] not in NUMBER_WORDS)
        else word
        for at, word in enumerate(words)
    ]


def _oh_is_zero(words: Sequence[str]) -> list[str]:
    """``five oh two`` is five zero two; oh at the beginning or the end of a number may be a sigh."""
    said: list[str] = []
    for at, word in enumerate(words):
        if word == "oh" and said and said[-1] in CARDINAL_WORDS:
            following = next((one for one in words[at:] if one != "oh"), "")
            word = "zero" if following in CARDINAL_WORDS else word
        said.append(word)
    return said


def say_alike(words: Sequence[str]) -> list[str]:
    """Numbers in words, in the one way of saying them that stands for all.

    ``a hundred and five`` becomes ``one hundred five``; ``oh`` between numbers becomes ``zero``; a number that can be a
    year and stands alone is said like one: ``two thousand and ten`` becomes ``twenty ten``.
    """
    words = list(words)
    if NUMBER_WORDS.isdisjoint(words):
        return words
    # Said in full, what a number ends in or begins with can join the next one; then there is one number less.
    for _ in range(len(words)):
        before, words = words, _say_once(words)
        if words == before:
            break
    return words


def _say_once(words: Sequence[str]) -> list[str]:
    words = _oh_is_zero(_a_is_one(words))
    said: list[str] = []
    at = 0
    while at < len(words):
        value, end, is_ordinal = _number(words, at)
        if end == at:
            said.append(words[at])
            end = at + 1
        elif is_ordinal:
            said += ordinal(str(value))
        else:
            said += _as_year(value) if _alone(words, at, end) else _in_full(value)
        at = end
    return said


def _alone(words: Sequence[str], at: int, end: int) -> bool:
    """Whether no number stands next to this one: it could take the first half of a year for a part of itself."""
    before = words[max(at - 2, 0) : at]
    if len(before) == 2 and before[1] == "and" and before[0] in ("hundred", *_SCALES):
        return False
    return NUMBER_WORDS.isdisjoint([*before[-1:], _word(words, end)])
