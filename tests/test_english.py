"""English as it is said: properties over texts of its own vocabulary, and the forms that meet."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr import english as module
from asr.english import read_words
from asr.text import basic, english

_OWN = """
been got had and a oh half quarter per cent percent point cents dollars pence pounds p m am john's we'll they're
would've mustn't've twenty thirty-one hundred thousand first 1st 23rd 0th 1990s 90s 10s 7pm 007 1 19 1984 2010 100 b52
mr's color colors' realized travelers analyze
"""
_WORDS = sorted(
    {*_OWN.split(), *module._ALIKE, *(word for said in module._ALIKE.values() for word in said)}
    | {*module._HOSTS, *(f"{host}'s" for host in module._HOSTS)}
)
_SYMBOLS = [*"$£€%&½'-.,: ", " & ", "3½", "’s", "'s", "1,000", "3.14", "$5.50", "p.m."]


@given(st.lists(st.sampled_from(_WORDS + _SYMBOLS), max_size=10), st.sampled_from([" ", ""]))
@settings(max_examples=400, deadline=None)
def test_idempotent_over_its_own_vocabulary(parts: list[str], between: str) -> None:
    once = english(between.join(parts))
    assert english(once) == once
    assert basic(once) == once


@given(st.lists(st.sampled_from(_WORDS), max_size=10), st.sampled_from([" ", ", ", "! ", " – ", "; "]))
@settings(max_examples=300, deadline=None)
def test_punctuation_without_meaning_makes_no_difference(words: list[str], between: str) -> None:
    text = between.join(words).upper() + between
    assert english(text) == english(basic(text)) == english(" ".join(words))


@pytest.mark.parametrize("word", _WORDS)
def test_a_word_is_read_the_same_twice(word: str) -> None:
    once = read_words(basic(word))
    assert read_words(once) == once


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("It's John's; that's what's here.", "it is john's that is what is here"),
        ("it's been, he's got, John's been", "it has been he has got john's been"),
        ("Couldn't've, shan't, won't", "could not have shall not will not"),
        ("I'd, ain't, its, cant, wont, were, ill, id", "i'd ain't its cant wont were ill id"),
        ("Dr. St. Prof.", "dr st prof"),
        ("$1 $0.50 $2.01 £1.01 €7", "one dollar fifty cents two dollars one cent one pound one penny seven euros"),
        (
            "$2bn $1.5 trillion £3k $0",
            "two billion dollars one point five trillion dollars three thousand pounds zero dollars",
        ),
        ("$1,234.5", "twelve thirty four point five dollars"),
        ("12,34 1,2,3 1,000,00", "twelve thirty four one two three one zero zero zero zero zero"),
        ("1.2.3 192.168.0.1", "one two three one hundred ninety two one hundred sixty eight zero one"),
        ("5% of 0.25", "five percent of zero point two five"),
        ("1st 2nd 3rd 4th 12th 20th 1,000th", "first second third fourth twelfth twentieth one thousandth"),
        ("the 80s, 1900s, 2010s, 10s", "the eighties nineteen hundreds twenty tens 10s"),
        ("mp3 B52 B-52 covid-19", "mp3 b52 b fifty two covid nineteen"),
        ("5.30pm 5.30 pm", "five thirty pm five thirty pm"),
        ("AT&T R&D this & that", "at t r d this and that"),
        ("2 and a half; ¾ mile", "two and one half three quarters mile"),
        ("between one hundred and two hundred", "between one hundred and two hundred"),
        ("five oh two people, oh five", "five zero two people oh five"),
        ("a few hundred, hundreds", "a few hundred hundreds"),
        ("９９ ％", "ninety nine"),
        ("9" * 5000, " ".join(["nine"] * 5000)),
        ("$" + "9" * 5000 + ".10", " ".join([*["nine"] * 5000, "dollars ten cents"])),
    ],
)
def test_english(text: str, result: str) -> None:
    assert english(text) == result
