"""Pronouncing dictionaries: which phones say each word, read from the CMU dictionary's formats or Kaldi's."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from asr.errors import AsrError
from asr.files import read_text

Phones: TypeAlias = tuple[str, ...]
Pronunciations: TypeAlias = dict[str, list[Phones]]  # of each word, the usual one first

_STRESSED = re.compile(r"(AA|AE|AH|AO|AW|AY|EH|ER|EY|IH|IY|OW|OY|UH|UW)[012]")  # ARPAbet's vowels; else 1 may be a tone
_NAMED = 5  # bad lines
_PARTS = 20  # of which one is dev and one is test


def entry_fields(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each entry; remarks stand behind `` #`` or on lines that begin with ``;;;``."""
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split(" #")[0].split()
        if fields and not line.startswith(";;;"):
            yield number, fields


def bare_word(field: str) -> str:
    """``WORD(2)`` without its number."""
    word, bracket, number = field.rpartition("(")
    return word if bracket and word and number.endswith(")") and number[:-1].isdecimal() else field


def without_stress(phone: str) -> str:
    """``AH0`` as ``AH``; what is no vowel of ARPAbet with a stress digit stays as it is."""
    return phone[:-1] if _STRESSED.fullmatch(phone) else phone


def read_dictionary(path: Path, stress: bool = False) -> Pronunciations:
    """Reads a pronouncing dictionary: a line is a word and its phones, separated by white space.

    Understood are the CMU dictionary's forms (``WORD  PH PH``, ``WORD(2)  PH PH``, and ``WORD N PH PH`` with a number
    for every pronunciation) and Kaldi's ``lexicon.txt``. Pronunciations that are the same count once.

    Args:
        path: of the file.
        stress: whether vowels keep the digit of their stress.

    Raises:
        AsrError: the file cannot be read, holds no word, or has bad lines; names the first of them with their numbers.
    """
    rows = list(entry_fields(read_text(path)))
    if not rows:
        raise AsrError(f"{path}: no words; a line is a word and its phones, as in CAT  K AE T")
    numbered = 2 * sum(len(fields) > 1 and fields[1].isdecimal() for _, fields in rows) > len(rows)
    found: dict[str, dict[Phones, None]] = {}
    bad: list[str] = []
    for line, fields in rows:
        word, phones = bare_word(fields[0]), fields[2 if numbered else 1 :]
        reason = _mistake(fields, phones, numbered)
        if reason:
            bad.append(f"{path}:{line}: {fields[0]!r} {reason}")
        else:
            said = tuple(phones) if stress else tuple(map(without_stress, phones))
            found.setdefault(word, {})[said] = None
    if bad:
        more = f"; and {len(bad) - _NAMED} more lines" if len(bad) > _NAMED else ""
        raise AsrError(f"{'; '.join(bad[:_NAMED])}{more}")
    return {word: list(pronunciations) for word, pronunciations in found.items()}


def _mistake(fields: list[str], phones: list[str], numbered: bool) -> str | None:
    """What is wrong with a line; None if nothing is."""
    if numbered and not (len(fields) > 1 and fields[1].isdecimal()):
        return "has no number behind the word, as most other lines have"
    if not phones:
        return "has no phones; a line is a word and its phones"
    strange = [phone for phone in phones if phone.isdecimal() or phone.startswith("<")]
    return f"is said with {strange[0]!r}, which is not a phone" if strange else None


def phone_set(dictionary: Mapping[str, Collection[Phones]]) -> list[str]:
    """Every phone of a dictionary once, sorted."""
    return sorted({phone for said in dictionary.values() for phones in said for phone in phones})


def spelled_as(word: str, known: Collection[str]) -> str | None:
    """The word as it stands in ``known``: as written, else in upper, else in lower case; None if it does not."""
    return next((one for one in (word, word.upper(), word.lower()) if one in known), None)


def split(word: str) -> str:
    """``train``, ``dev`` (5 % of all words) or ``test`` (5 %), by a hash of the word: always the same for a word."""
    part = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big") % _PARTS
    return {0: "dev", 1: "test"}.get(part, "train")


def lexicon_lines(pronunciations: Mapping[str, Collection[Phones]]) -> str:
    """The text of a lexicon: a line for each pronunciation, the word and its phones."""
    return "".join(f"{word} {' '.join(phones)}\n" for word, said in pronunciations.items() for phones in said)
