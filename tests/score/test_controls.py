from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.score.controls import check_id, visible

_COMMANDS = ["\x1b[31m", "\x07", "\x9b2J", "\r", "\n", "\x7f", "\u2028", "\u202e", "\u2066"]


@pytest.mark.parametrize("command", _COMMANDS)
def test_control_characters_are_shown_and_no_id_holds_them(command: str) -> None:
    assert visible(f"a{command}b").isprintable()
    assert visible(f"a{command}b").encode().decode("unicode_escape") == f"a{command}b"
    with pytest.raises(AsrError, match=r"some:3: the id 'a.*' holds a line break or another control character"):
        check_id(f"a{command}b", "some:3")


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_all_else_stays_and_makes_an_id(text: str) -> None:
    assert visible(text) == text
    check_id(text, "some:3")


@pytest.mark.parametrize("text", ["می\u200cخواهم", "שלום\u200f", "a/b c", "q\"'\\", "👩\u200d🚀", "soft\u00adhyphen"])
def test_joiners_marks_of_direction_and_signs_stay(text: str) -> None:
    assert visible(text) == text
    check_id(text, "some:3")
