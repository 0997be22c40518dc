"""Normalisation of transcripts: named, explicit, idempotent."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from asr.errors import UsageError

# Marks that stand inside words or hug them without parting them: quotes, gershayim, the middle dot of Catalan.
_SILENT = {'"', "„", "“", "”", "«", "»", "‹", "›", "‘", "‚", "״", "׳", "·", "`", "´"}
_APOSTROPHES = {"'", "’"}


def none(text: str) -> str:
    """Words separated by single spaces; nothing else is touched."""
    return " ".join(text.split())


def _is_letter(text: str, position: int) -> bool:
    return 0 <= position < len(text) and unicodedata.category(text[position])[0] in "LMN"


def basic(text: str) -> str:
    """NFC, case folded, punctuation and symbols removed; an apostrophe inside a word stays, as ``'``.

    Letters, combining marks and digits of every script stay. Punctuation and symbols part words (``well-known`` and
    ``one...two`` are two words each, so is ``3.14``), but quotation marks do not, nor do invisible characters.
    """
    # Folding can undo the composition, and removing a character can bring a letter and its accent together.
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
    kept: list[str] = []
    for position, character in enumerate(folded):
        category = unicodedata.category(character)
        if category[0] in "LMN":
            kept.append(character)
        elif character in _APOSTROPHES:
            kept.append("'" if _is_letter(folded, position - 1) and _is_letter(folded, position + 1) else "")
        elif character not in _SILENT and (category[0] in "PSZ" or category == "Cc"):
            kept.append(" ")
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))


NORMALISERS: dict[str, Callable[[str], str]] = {"none": none, "basic": basic}
DESCRIPTIONS: dict[str, str] = {
    "none": "white space made single, nothing else touched",
    "basic": "NFC, case folded, punctuation and symbols removed, apostrophes inside words kept",
}


def normaliser(name: str) -> Callable[[str], str]:
    """The normaliser of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in NORMALISERS:
        raise UsageError(f"there is no normaliser {name!r}; there are {', '.join(NORMALISERS)}")
    return NORMALISERS[name]
