"""Numbers in words against digits: each way of saying a number leads to one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.numerals import NUMBER_WORDS, decade, number, ordinal, say_alike

_VALUES = st.one_of(st.integers(0, 10**15 - 1), st.integers(0, 12_000), st.integers(0, 15).map(lambda n: 10**n - 1))
_SOUP = st.lists(st.sampled_from([*sorted(NUMBER_WORDS), "and", "and", "a", "oh", "half", "point"]), max_size=12)


def _spoken(value: int, link: str) -> list[str]:
    """A number in full by another road: recursion by the largest part, ``link`` before what is under a hundred."""
    for name, size in (
        ("trillion", 10**12),
        ("billion", 10**9),
        ("million", 10**6),
        ("thousand", 1000),
        ("hundred", 100),
    ):
        if value >= size:
            rest = value % size
            linked = [link] if link and 0 < rest < 100 else []
            return [*_spoken(value // size, link), name, *linked, *(_spoken(rest, link) if rest else [])]
    return number(str(value))


@given(_VALUES, st.sampled_from(["", "and"]))
@settings(max_examples=500, deadline=None)
def test_digits_and_words_meet(value: int, link: str) -> None:
    assert say_alike(_spoken(value, link)) == number(str(value)) == say_alike(number(str(value)))


@given(st.integers(11, 99).filter(lambda century: century % 10))
def test_hundreds_above_ten_meet(century: int) -> None:
    assert say_alike([*number(str(century)), "hundred"]) == say_alike(_spoken(100 * century, ""))


@given(_VALUES.filter(bool))
@settings(deadline=None)
def test_ordinals_meet(value: int) -> None:
    said = ordinal(str(value))
    assert say_alike(said) == said and len(said) == len(_spoken(value, ""))
    assert say_alike([*said[:-1], said[-1]]) == said


@given(_SOUP)
@settings(max_examples=500, deadline=None)
def test_idempotent_over_any_row_of_number_words(words: list[str]) -> None:
    once = say_alike(words)
    assert say_alike(once) == once


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_single_digits_are_left_alone(digits: list[int]) -> None:
    words = [number(str(digit))[0] for digit in digits]
    assert say_alike(words) == words


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("0", "zero"),
        ("007", "zero zero seven"),
        ("1100", "eleven hundred"),
        ("1905", "nineteen zero five"),
        ("2000", "two thousand"),
        ("2009", "two thousand nine"),
        ("2010", "twenty ten"),
        ("2100", "two thousand one hundred"),
        ("1234567", "one million two hundred thirty four thousand five hundred sixty seven"),
        ("1" * 16, " ".join(["one"] * 16)),
    ],
)
def test_numbers(written: str, said: str) -> None:
    assert " ".join(number(written)) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [("1", "first"), ("12", "twelfth"), ("20", "twentieth"), ("1984", "one thousand nine hundred eighty fourth")],
)
def test_ordinals(written: str, said: str) -> None:
    assert " ".join(ordinal(written)) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [("80", "eighties"), ("1990", "nineteen nineties"), ("1900", "nineteen hundreds"), ("2000", "two thousands")],
)
def test_decades(written: str, said: str) -> None:
    assert " ".join(decade(written)) == said
