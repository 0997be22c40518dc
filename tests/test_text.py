"""Normalisers: properties over all of Unicode, what they do to words, and the documentation held true."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import UsageError
from asr.text import NORMALISERS, basic, english, none, normaliser, scoring_characters, scoring_words
from tests.corpora import ROOT, corpus_folder

# Letters beside marks, joiners and odd folders are where normalisation goes wrong: draw them often.
_TRICKY = st.sampled_from(
    list("aiIßİıſΣς'’-‐!·\"\u0301\u0307\u0323\u0345\u0338\u200b\u200d\u00ad\ufeff\ufe0f\u1160άﬁǅ가\u0bbe _&%$")
    + list("²½⑴⒈㎏™Ⅷ10０％.,ｱﾞน้ำ\u0e4d\u0e32្ស្កកြ္က中々ー")
)
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


@pytest.mark.parametrize("name", NORMALISERS)
def test_every_character_that_has_a_case_a_decomposition_or_is_no_letter(name: str) -> None:
    change = normaliser(name)
    for character in map(chr, range(sys.maxunicode + 1)):
        category = unicodedata.category(character)
        if category not in ("Cn", "Co", "Cs") and (category != "Lo" or unicodedata.decomposition(character)):
            once = change(f"{character} a{character}1{character}")
            assert change(once) == once, f"U+{ord(character):04X}"


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
        ("ｆｕｌｌ　ｗｉｄｔｈ１２", "full width12"),
        ("ﬁne ｶﾞ ㎏ ™ №", "fine ガ"),
        ("m² H₂O 10² ①② 3½ ⑴⒈", "m2 h2o 10 2 1 2 3 1 2 1 1"),
        ("Ⅻ ⅻ", "xii xii"),
        ("ﷲ ﻻ محـــمد", "الله لا محمد"),
        ("ΟΔΟΣ οδός", "οδοσ οδόσ"),
        ("İSTANBUL i\u0307stanbul", "istanbul istanbul"),
        ("한국어 \u1112\u1161\u11ab\u3000각", "한국어 한 각"),
        ("می\u200cروم میروم", "میروم میروم"),
        ("Tiếng Việt Tiê\u0301ng", "tiếng việt tiếng"),
        ("Ẹ kú ọjọ́ O\u0323\u0301", "ẹ kú ọjọ́ ọ́"),
        ("น้ำ น้\u0e4d\u0e32", "น้ำ น้ำ"),
        ("葛\U000e0100 ❤\ufe0f \u0301x", "葛 x"),
    ],
)
def test_basic(text: str, result: str) -> None:
    assert basic(text) == result


def test_none_touches_white_space_only() -> None:
    assert none("  It's\n 5 O’Clock! ") == "It's 5 O’Clock!"


def test_every_normaliser_is_described_and_an_unknown_one_refused() -> None:
    assert all(name == one.name and one("A") == one.change("A") for name, one in NORMALISERS.items())
    with pytest.raises(UsageError, match="no normaliser 'basik'; there are none, basic, english"):
        normaliser("basik")


@given(text=TEXTS)
@settings(max_examples=300, deadline=None)
def test_splitting_loses_nothing_and_is_stable(text: str) -> None:
    words = scoring_words(basic(text))
    assert "".join(words) == basic(text).replace(" ", "")
    assert all(words) and scoring_words(" ".join(words)) == words
    assert normaliser("none").split(text) == text.split()


@given(text=st.text(st.characters(categories=["Ll", "Lu", "Nd"], max_codepoint=0x7FF), max_size=20))
def test_scripts_with_spaces_are_scored_by_word(text: str) -> None:
    assert scoring_words(basic(text)) == basic(text).split()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我们去beijing 2024年", "我 们 去 beijing 2024 年"),
        ("カタカナとひらがな", "カ タ カ ナ と ひ ら が な"),
        ("か\u3099ー々", "が ー 々"),
        ("น้ำแข็ง 3 ๑๒", "น้ำ แ ข็ ง 3 ๑๒"),
        ("ນ້ຳ", "ນ້ຳ"),
        ("ភាសាខ្មែរ", "ភា សា ខ្មែ រ"),
        ("မြန်မာ က္က", "မြ န် မာ က္က"),
        ("བོད་སྐད", "བོད སྐད"),
        ("한국어 문장", "한국어 문장"),
        ("नमस्ते दुनिया", "नमस्ते दुनिया"),
    ],
)
def test_scripts_without_spaces_are_scored_by_character(text: str, words: str) -> None:
    assert scoring_words(basic(text)) == unicodedata.normalize("NFC", words).split(" ")


@given(text=TEXTS)
@settings(max_examples=300, deadline=None)
def test_characters_do_not_depend_on_spaces_where_words_do_not(text: str) -> None:
    plain = basic(text)
    assert scoring_characters(plain).replace(" ", "") == plain.replace(" ", "")
    assert scoring_characters(" ".join(scoring_words(plain))) == scoring_characters(plain)


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("我 今天 去", "我今天去"),
        ("我用 iphone 15 pro 吗", "我用iphone 15 pro吗"),
        ("สวัสดีครับ ผม", "สวัสดีครับผม"),
        ("안녕 세계", "안녕 세계"),
        ("ça va", "ça va"),
    ],
)
def test_spaces_beside_scripts_without_spaces_are_no_characters(text: str, characters: str) -> None:
    assert scoring_characters(text) == characters


def test_transcripts_of_an4_and_librispeech_are_only_folded() -> None:
    """What these corpora write is words, case aside, so nothing that basic does besides may show."""
    an4 = (corpus_folder("an4") / "etc" / "an4_train.transcription").read_text()
    lines = [line.rsplit("(", 1)[0] for line in an4.splitlines()]
    for path in sorted(corpus_folder("LibriSpeech").rglob("*.trans.txt"))[:20]:
        lines += [line.split(" ", 1)[1] for line in path.read_text().splitlines()]
    spelled = [re.sub(r"(?<!\w)'|'(?!\w)", "", line.lower()) for line in lines]
    assert [basic(line).split() for line in lines] == [line.split() for line in spelled] and len(lines) > 1000


def _rows(*titles: str) -> list[list[list[str]]]:
    """The table of docs/normalisation.md under these titles: row, cell, what stands in backticks."""
    lines = (ROOT / "docs" / "normalisation.md").read_text(encoding="utf-8").split("\n")
    start = lines.index(f"| {' | '.join(titles)} |") + 2
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([re.findall("`([^`]*)`", cell) for cell in line.strip("|").split("|")])
    return rows


def test_the_documentation_is_true() -> None:
    for (written,), *results in (rows := _rows("written", "`none`", "`basic`", "`english`")):
        for change, (result,) in zip((none, basic, english), results, strict=True):
            assert change(written) == result
    assert len(rows) > 5
    for (text,), words in (rows := _rows("normalised", "scored as")):
        assert basic(text) == text and scoring_words(text) == words
    assert len(rows) > 3
    for (form,), others in (rows := _rows("the form", "what meets it")):
        assert [english(one) for one in (form, *others)] == [form] * (len(others) + 1)
    assert len(rows) > 20
    for (one,), (other,) in (rows := _rows("one", "the other")):
        assert english(one) != english(other)
    assert len(rows) > 10
