"""The errors a user sees: one sentence that says what, where, what was seen and what to do."""

from __future__ import annotations

import unicodedata

_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # show names backwards


class AsrError(Exception):
    """Something failed for a reason the user can act on; the command line prints the sentence and exits with 1."""

    exit_status = 1


class UsageError(AsrError):
    """The command or the config was wrong; nothing was begun, and the exit status is 2."""

    exit_status = 2


def printable(text: object) -> str:
    """A name or a sentence for one line on a terminal: what would break or turn the line is written as an escape."""
    return "".join(_shown(letter) for letter in str(text))


def _shown(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in _TURNS:
        return letter.encode("unicode_escape").decode()
    return letter
