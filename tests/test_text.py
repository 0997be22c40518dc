"""Normalisers: properties over all of Unicode, and what they do to words."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import UsageError
from asr.text import DESCRIPTIONS, NORMALISERS, basic, none, normaliser

# Letters beside marks, joiners and odd folders are where normalisation goes wrong: draw them often.
_TRICKY = st.sampled_from(list("aIßİıſΣς'’-‐!·\"\u0301\u0345\u0338\u200b\u200d\u00ad\ufeffάﬁǅ가\u0bbe²Ⅷ _"))
TEXTS = st.text(st.one_of(_TRICKY, st.characters(exclude_categories=["Cs"])), max_size=20)


@pytest.mark.parametrize("name", NORMALISERS)
@given(text=TEXTS)
@settings(max_examples=300, deadline=None)
def test_idempotent_and_single_spaced(name: str, text: str) -> None:
    once = NORMALISERS[name](text)
    assert NORMALISERS[name](once) == once
    assert once == " ".join(once.split())


@given(text=TEXTS)
@settings(max_examples=300, deadline=None)
def test_basic_leaves_letters_marks_digits_and_inner_apostrophes(text: str) -> None:
    result = basic(text)
    assert unicodedata.is_normalized("NFC", result)
    for position, character in enumerate(result):
        if character == "'":
            assert result[position - 1] not in " '" and position > 0 and result[position + 1] not in " '"
        else:
            assert character == " " or unicodedata.category(character)[0] in "LMN"


@given(text=TEXTS)
@settings(max_examples=200, deadline=None)
def test_basic_does_not_depend_on_the_form_or_the_case(text: str) -> None:
    assert basic(unicodedata.normalize("NFD", text)) == basic(unicodedata.normalize("NFC", text))
    assert basic(text.casefold()) == basic(text)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("Don’t STOP!", "don't stop"),
        ("rock 'n' roll", "rock n roll"),
        ("O'Neil's dogs' tails", "o'neil's dogs tails"),
        ("well-known — and/or", "well known and or"),
        ("“Hello…world,” she said.Then", "hello world she said then"),
        ("STRASSE Straße", "strasse strasse"),
        ("e\u0301te\u0301 ÉTÉ", "été été"),
        ("नमस्ते दुनिया।", "नमस्ते दुनिया"),
        ("你好。世界！", "你好 世界"),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("\tone\r\n two\u00a0three ", "one two three"),
        ("3.14 is 50%", "3 14 is 50"),
        ("... !", ""),
    ],
)
def test_basic(text: str, result: str) -> None:
    assert basic(text) == result


def test_none_touches_white_space_only() -> None:
    assert none("  It's\n 5 O’Clock! ") == "It's 5 O’Clock!"


def test_every_normaliser_is_described_and_an_unknown_one_refused() -> None:
    assert set(DESCRIPTIONS) == set(NORMALISERS)
    with pytest.raises(UsageError, match="no normaliser 'basik'; there are none, basic"):
        normaliser("basik")
