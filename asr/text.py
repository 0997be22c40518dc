"""Normalisation of transcripts: named, explicit, idempotent; and what counts as a word when they are scored.

docs/normalisation.md shows what each normaliser does, in examples that a test holds true.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from asr.english import read_symbols, read_words
from asr.errors import UsageError

# Marks that stand inside words or hug them without parting them: quotes, gershayim, the middle dot of Catalan.
_SILENT = {'"', "„", "“", "”", "«", "»", "‹", "›", "‘", "‚", "״", "׳", "·", "`", "´"}
_APOSTROPHES = {"'", "’", "＇"}
# Unicode counts them as letters or marks, and nobody sees them: variation selectors, fillers of Hangul and Khmer, the
# grapheme joiner; and the stroke that only lengthens an Arabic word.
_UNSEEN = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x3164, 0xFFA0, 0x0640}
_UNSEEN |= {*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}


class _Kept(dict[int, str]):
    """For `str.translate`: code point → what stays of it, a space where it parts words. Filled as characters come."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if character in _APOSTROPHES:
            kept = "'"
        elif code in _UNSEEN or character in _SILENT:
            kept = ""
        elif category == "No" and unicodedata.decomposition(character):
            kept = f"\0{unicodedata.normalize('NFKD', character)}\0"  # a number in one character, such as ² or ½
        elif category[0] in "LMN":
            kept = character
        else:  # what is invisible, private or unassigned goes without a trace
            kept = " " if category[0] in "PSZ" or category == "Cc" else ""
        self[code] = kept
        return kept


_KEPT = _Kept()
# The same of ASCII in bytes, lower case at once: several times as fast.
_DELETED_OF_ASCII = bytes(code for code in range(128) if not _KEPT[code])
_KEPT_OF_ASCII = bytes(ord(_KEPT[code].lower() or "\0") for code in range(128)).ljust(256)
_BETWEEN_NUMBERS = re.compile(r"(?<=\d)\0+(?=\d)")
_APOSTROPHE_ALONE = re.compile(r"(?<![^ '])'|'(?![^ '])")
# Where only letters, marks, numbers, spaces and apostrophes are left, what is not \w is a mark.
_MARK_ALONE = re.compile(r"(?<![^ '])[^\w ']+")
_DOTTED_I = re.compile("i\u0307+")


def none(text: str) -> str:
    """Words separated by single spaces; nothing else is touched."""
    # Printable: the plain space is its only white space. Most texts are as they should be, and seen to be so quickly.
    if text.isprintable() and "  " not in text and text[:1] != " " and text[-1:] != " ":
        return text
    return " ".join(text.split())


def basic(text: str) -> str:
    """NFKC, case folded, punctuation and symbols removed; an apostrophe inside a word stays, as ``'``.

    Letters, numbers and the combining marks on them stay, of every script. Punctuation and symbols part words
    (``well-known`` and ``one...two`` are two words each, so is ``3.14``), but quotation marks do not, nor do invisible
    characters. Symbols go before compatibility forms are resolved: ``™`` is not read as ``tm``.
    """
    if text.isascii():
        kept = text.encode().translate(_KEPT_OF_ASCII, _DELETED_OF_ASCII).decode()
        return " ".join((_APOSTROPHE_ALONE.sub("", kept) if "'" in kept else kept).split())
    kept = _numbers_apart(unicodedata.normalize("NFD", text).translate(_KEPT))
    # Unicode's compatibility caseless matching (The Unicode Standard, definition D146): each step can undo another.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", kept.casefold()).casefold())
    # Compatibility forms bring punctuation of their own, and what went may have stood between a letter and its marks.
    kept = unicodedata.normalize("NFD", _numbers_apart(folded.translate(_KEPT)))
    # İ folds to an i with a second dot.
    kept = _MARK_ALONE.sub("", _DOTTED_I.sub("i", kept))
    words = unicodedata.normalize("NFC", " ".join(_APOSTROPHE_ALONE.sub("", kept).split()))
    # NFKC takes the vowel am of Thai and Lao apart and never puts it together, though nobody writes it so.
    return words.replace("\u0e4d\u0e32", "\u0e33").replace("\u0ecd\u0eb2", "\u0eb3")


def _numbers_apart(kept: str) -> str:
    """Without the marks of `_Kept` around numbers in one character: 10² becomes 10 2, not 102, but m² becomes m2."""
    return _BETWEEN_NUMBERS.sub(" ", kept).replace("\0", "") if "\0" in kept else kept


def english(text: str) -> str:
    """`basic` for English, so that what is said alike is written alike: see `asr.english` for what is rewritten."""
    return read_words(basic(read_symbols(text)))


# Written without spaces between words: class SA of Unicode's line breaking (UAX 14: Thai, Lao, Myanmar, Tai Le, New Tai
# Lue, Khmer, Tai Tham, Tai Viet, Ahom), Javanese and Balinese, kana and bopomofo, Han. Not Tibetan, whose dots part
# syllables, nor Hangul, which has spaces.
_UNSPACED = (
    *((0x0E01, 0x0E3A), (0x0E40, 0x0E4E), (0x0E81, 0x0ECF), (0x0EDC, 0x0EDF), (0x1000, 0x109F), (0xA9E0, 0xA9FF)),
    *((0xAA60, 0xAA7F), (0x1780, 0x17DF), (0x1950, 0x19DF), (0x1A20, 0x1AAF), (0xAA80, 0xAADF), (0x11700, 0x1174F)),
    *((0x1B00, 0x1B7F), (0xA980, 0xA9DF)),
    *((0x3005, 0x3007), (0x3021, 0x3035), (0x3038, 0x303C), (0x3041, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x1AFF0, 0x1B16F), (0x20000, 0x3FFFD)),
)
# They stack the next letter under the one before: of Myanmar, Khmer, Tai Tham, Balinese and Javanese.
_STACKING = "\u1039\u17d2\u1a60\u1b44\ua9c0"
# Part of the letter before them although they are letters themselves: the vowel am of Thai and Lao.
_VOWELS_AM = "\u0e33\u0eb3"


def _unspaced(wanted: str) -> str:
    """The characters of `_UNSPACED` in these general categories, without digits, as the inside of a character class."""
    # Planes of Han are letters from end to end, and long.
    ranges = [pair for pair in _UNSPACED if pair[1] - pair[0] < 1000]
    found = [chr(code) for low, high in ranges for code in range(low, high + 1)]
    found = [one for one in found if unicodedata.category(one)[0] in wanted and not one.isdecimal()]
    return "".join(one for one in found if one not in _VOWELS_AM)


_LETTERS = _unspaced("LN") + "".join(f"{chr(low)}-{chr(high)}" for low, high in _UNSPACED if high - low >= 1000)
_MARKS = _unspaced("M") + _VOWELS_AM + "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u302a-\u302f\ufe20-\ufe2f"
_UNIT = re.compile(f"[{_LETTERS}](?:[{_MARKS}]|(?<=[{_STACKING}])[{_LETTERS}])*|[^\\s{_LETTERS}]+")
_ANY_UNSPACED = re.compile(f"[{_LETTERS}]")


def scoring_words(text: str) -> list[str]:
    """What word errors are counted in: words between white space; of scripts without spaces, single characters.

    A character is a letter with its combining marks, and with the letters stacked under it, about what Unicode calls an
    extended grapheme cluster (UAX 29). Words and digits of other scripts among them stay whole.

    Args:
        text: as `basic` or `english` leaves it.
    """
    return text.split() if text.isascii() or not _ANY_UNSPACED.search(text) else _UNIT.findall(text)


def scoring_characters(text: str) -> str:
    """What character errors are counted in: without the spaces beside scripts without spaces, where nobody says them.

    Args:
        text: as `basic` or `english` leaves it.
    """
    if text.isascii() or not _ANY_UNSPACED.search(text):
        return text
    units = _UNIT.findall(text)
    parted = [_ANY_UNSPACED.match(unit) is None for unit in units]
    return "".join(
        f" {unit}" if place and parted[place - 1] and parted[place] else unit for place, unit in enumerate(units)
    )


@dataclass(frozen=True)
class Normaliser:
    """What is done to reference and hypothesis alike before they are compared; calling it changes a text.

    Attributes:
        name: as it is given on the command line and stands in results.
        description: what it does, in a line.
        change: text → text; idempotent, and never raises.
        split: changed text → the words that errors are counted in.
        characters: changed text → the characters that errors are counted in.
    """

    name: str
    description: str
    change: Callable[[str], str]
    split: Callable[[str], list[str]]
    characters: Callable[[str], str]

    def __call__(self, text: str) -> str:
        return self.change(text)


_BY_CHARACTER = "scripts without spaces scored by character"
_ALL = (
    Normaliser("none", "white space made single, nothing else touched", none, str.split, str),
    Normaliser(
        "basic",
        "NFKC, case folded, punctuation and symbols removed, apostrophes inside words kept; " + _BY_CHARACTER,
        basic,
        scoring_words,
        scoring_characters,
    ),
    Normaliser(
        "english",
        "basic, then contractions, numbers and symbols written out and spelling made British, which changes the number "
        "of words; fillers such as uh and um kept; " + _BY_CHARACTER,
        english,
        scoring_words,
        scoring_characters,
    ),
)
NORMALISERS: dict[str, Normaliser] = {one.name: one for one in _ALL}


def normaliser(name: str) -> Normaliser:
    """The normaliser of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in NORMALISERS:
        raise UsageError(f"there is no normaliser {name!r}; there are {', '.join(NORMALISERS)}")
    return NORMALISERS[name]
