"""Normalisation of transcripts: named, explicit, idempotent."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from asr.errors import UsageError

_JOINERS = {"'", "’"}


def none(text: str) -> str:
    """Words separated by single spaces; nothing else is touched."""
    return " ".join(text.split())


def basic(text: str) -> str:
    """NFC, case folded, punctuation and symbols removed; an apostrophe inside a word stays, as ``'``.

    Hyphens and dashes separate words. Letters, combining marks and digits of every script stay.
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    kept: list[str] = []
    for position, character in enumerate(folded):
        category = unicodedata.category(character)
        if category[0] in "LMN":
            kept.append(character)
        elif character in _JOINERS:
            inside = (
                0 < position < len(folded) - 1 and folded[position - 1].isalnum() and folded[position + 1].isalnum()
            )
            kept.append("'" if inside else "")
        elif category in ("Pd", "Zs", "Zl", "Zp", "Cc") or character in "/_":
            kept.append(" ")
    return " ".join("".join(kept).split())


NORMALISERS: dict[str, Callable[[str], str]] = {"none": none, "basic": basic}


def normaliser(name: str) -> Callable[[str], str]:
    """The normaliser of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in NORMALISERS:
        raise UsageError(f"there is no normaliser {name!r}; there are {', '.join(NORMALISERS)}")
    return NORMALISERS[name]
