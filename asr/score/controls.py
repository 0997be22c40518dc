"""Control characters, which command a terminal or turn a line round: refused in ids, shown as escapes elsewhere."""

from __future__ import annotations

import re

from asr.errors import AsrError

# C0, DEL and C1; line and paragraph separators; embeddings, overrides and isolates of bidirectional text.
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """The text with its control characters as Python writes them, such as ``\\x1b``; letters and marks stay."""
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def check_id(name: str, where: str) -> None:
    """Refuses an id that would break the lines of the files in which it stands, or the terminal.

    Raises:
        AsrError: there is a control character in it.
    """
    if visible(name) != name:
        raise AsrError(f"{where}: the id {name!r} holds a line break or another control character; mend the id")
