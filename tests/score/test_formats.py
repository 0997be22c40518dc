from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.score import formats
from asr.score.formats import check_markup, detect, tell_apart, unique, with_ids

_PATH = Path("some")


def _detect(text: str, name: str = "words.txt") -> str | None:
    return detect(Path(name), text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"id": "a", "text": "one"}\n', "jsonl"),
        ('\n{"id": "a", "text": \n', "jsonl"),  # broken, and told so when it is read
        ('[{"id": "a", "text": "one"}]\n', "jsonl"),
        ('[{\n"id": "a"', "jsonl"),
        ("[noise] one\n[noise] two\n", None),
        ("one two (a-1)\n(a-2)\n", "trn"),
        (";; a comment\none (a)\n\nno id here\ntwo (b)\n", "trn"),
        ("{ one / two } three (a)\n", "trn"),
        ("id,text\na,one\n", "csv"),
        ("Utterance ID;Pred Text\na;one\n", "csv"),
        ("path\tsentence\na\tone\n", "tsv"),
        ("f 1 spk 0.0 1.5 <o,f0> one two\nf 1 spk 1.5 2.5\n", "stm"),
        ("f 1 1089 0.0 1.5 one two three\nf 1 1089 1.5 2.5 one\n", "stm"),  # speakers have numbers
        (";; times\nf 1 spk 0 1 one\n", "stm"),
        ("f 1 0.10 0.20 one\nf 1 0.30 0.25 two 0.9\n", "ctm"),
        ("f A 0.10 0.20 7 0.5 lex spk\nf A 0.30 0.25 8 NA\n", "ctm"),
        ("f 1 0.10 0.20 one\na broken line\nf 1 0.30 0.25 two\n", "ctm"),
        ("utt-1 one two\nutt-2 three\n", None),
        ("one two\nthree (sighs)\nfour\n", None),
        ("one, two\nthree\n", None),
        ("utt1 1 2 3 4\nutt2 5 6 7 8\n", None),  # digits are no times
        ("a\tone\nb\ttwo\n", None),  # Kaldi's fields may be parted by tabs
        ("\n\n", None),
    ],
)
def test_content_tells_the_format(text: str, name: str | None) -> None:
    assert _detect(text) == name


def test_the_name_of_a_file_breaks_ties_only() -> None:
    digits = "f 1 2 3 4\ng 1 2 3 5\n"
    assert (_detect(digits), _detect(digits, "a.ctm")) == (None, "ctm")
    assert (_detect("said,heard\na,b\n"), _detect("said,heard\na,b\n", "a.CSV")) == (None, "csv")
    assert _detect("text\none\n", "a.csv") == "csv"
    assert _detect("one (a)\ntwo (b)\n", "a.ctm") == "trn"
    assert _detect("utt-1 one\n", "a.csv") is None


_KALDI = "spk1-utt1 one two\nspk1-utt2 three\nspk2-utt1\n"
_WORDS = "the cat sat\nthe dog ran\na bird sang\n"


@pytest.mark.parametrize(
    ("reference", "hypothesis", "told"),
    [
        (_KALDI, _KALDI, "kaldi"),
        (_KALDI, "spk2-utt1 two\nspk1-utt1 one\n", "kaldi"),  # another order, one is missing
        (_KALDI + "spk1-utt1 again\n", _KALDI, "kaldi"),  # an id twice, which is told when it is read
        (
            "".join(f"{number} word\n" for number in range(20)),
            "".join(f"{number} word\n" for number in range(20)),
            "kaldi",
        ),
        (_WORDS, _WORDS, "lines"),
        (_WORDS, "the cat sat\n\na bird\n", "lines"),
        ("hello world\nhow are you\n", "hello word\nhow are you\n", "lines"),
        ("1\n2\n3\n", "1\n2\n7\n", "lines"),
        ("1 2\n" * 30 + "3 4\n" * 30, "1 2\n" * 60, "lines"),
        ("日本語\n英語\n", "日本語\n永劫\n", "lines"),
        ("one\ntwo\n", "\n\n", "lines"),
        # A guess would count ids as words, or words as ids.
        (_KALDI, "one two\nthree\n\n", None),
        (_WORDS, _KALDI, None),
        (_KALDI, "utt1 one two\nutt2 three\nutt3 four\n", None),
        ("1 2 3\n4 5\n7 8\n", "1 2 3\n4 5\n7 9\n", None),
        ("12.5 1.3\n13.7 2.1\n", "12.5 1.3\n13.7 2\n", None),
        ("24 hours a day\n", "24 hours today\n", None),
        ("3rd street\n", "3rd street\n", None),
        ("utt1 a street\n", "utt1 street\n", "kaldi"),
        ("1089-134686-0000 he hoped\n", "1089-134686-0000 he hoped\n", "kaldi"),
        ("well-known facts\n", "well-known fact\n", None),
        ("ann one two\nbob three\n", "bob three\nann one\n", None),
        ("".join(f"{chr(97 + n)} one\n" for n in range(26)), "".join(f"{chr(97 + n)} two\n" for n in range(26)), None),
    ],
)
def test_kaldi_and_lines_are_told_apart_by_both_sides_or_not_at_all(
    reference: str, hypothesis: str, told: str | None
) -> None:
    name, doubt = tell_apart(reference, hypothesis)
    assert name == told
    assert doubt or name


def test_a_doubt_is_said() -> None:
    assert "the format is kaldi" in tell_apart("hello world\nhow are you\n", "hello word\nhow are you\n")[1]
    assert tell_apart(_WORDS, "the cat\nno dog\na bird\n") == ("lines", "")


def test_ids_of_the_other_side_decide() -> None:
    assert with_ids(_KALDI, {"spk1-utt1", "spk2-utt1", "spk3"})
    assert with_ids("ann one\nbob two\n", {"ann", "bob"})
    assert with_ids(_KALDI, {"utt1", "utt2"})  # other ids, but ids
    assert not with_ids(_WORDS, {"utt1", "utt2"})


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("one two", "ends in its id in parentheses, this is 'one two'"),
        ("one two ()", "ends in its id"),
        ("one (a(b))", "ends in its id"),
        ("one (a) two", "ends in its id"),
        ("{ one / two } (a)", "'{' is NIST's markup"),
        ("one {two} (a)", "'{' is NIST's markup"),
        ("one (uh) (a)", "'(uh)' is NIST's markup"),
        ("(uh huh) one (a)", "'(uh huh)' is NIST's markup"),
        ("one @ two (a)", "'@' is NIST's markup"),
        ("one (b)", "the id 'b' stands on line 2 already"),
    ],
)
def test_a_bad_line_of_trn_is_told(line: str, sentence: str) -> None:
    with pytest.raises(AsrError) as told:
        unique(_PATH, f";; first\none (b)\n{line}\n", formats.trn)
    assert str(told.value).startswith("some:3: ")
    assert sentence in str(told.value)


def test_trn_with_spaces_and_parentheses() -> None:
    text = "one  two (spk one/utt 1)\n  (b)\nf(x) (c)\nsmile :) (d)\nme@home.org { (e) \n".replace("{ ", "a{b ")
    assert unique(_PATH, text, formats.trn) == {
        "spk one/utt 1": "one  two",
        "b": "",
        "c": "f(x)",
        "d": "smile :)",
        "e": "me@home.org a{b",
    }


def test_an_id_twice_in_kaldi_names_both_lines() -> None:
    with pytest.raises(AsrError, match="some:4: the id 'a' stands on line 2 already"):
        unique(_PATH, "\na one\nb two\na three\n", formats.kaldi)


def test_only_line_feeds_part_lines() -> None:
    text = "a one\u2028two\x0bthree\x85four\x1cfive\rsix\nb\n"
    assert unique(_PATH, text, formats.kaldi) == {"a": "one\u2028two\x0bthree\x85four\x1cfive\rsix", "b": ""}


def test_blank_lines_are_utterances_of_plain_lines() -> None:
    assert unique(_PATH, "one\n\ntwo\n", formats.lines) == {"1": "one", "2": "", "3": "two"}
    assert unique(_PATH, "one\n\n", formats.lines) == {"1": "one", "2": ""}
    assert unique(_PATH, "one", formats.lines) == {"1": "one"}


def test_times_that_cannot_be_are_told_where_the_name_says_that_there_are_times() -> None:
    text = "rec A 0,5 0,3 one\nrec A 1,0 0,3 two\n"
    assert detect(Path("hyp.ctm"), text) == "ctm"
    assert detect(Path("hyp.txt"), text) is None


def test_long_lines_cost_no_backtracking() -> None:
    words = "(" * 5_000 + " ((a b { " * 100_000
    with pytest.raises(AsrError):
        check_markup(words, "x:1")
    check_markup("word " * 2_000_000 + "(", "x:1")


_LINES = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]))


@given(st.lists(_LINES))
def test_lines_never_fail(texts: list[str]) -> None:
    read = unique(_PATH, "".join(f"{text}\n" for text in texts), formats.lines)
    assert list(read.values()) == [text.strip() for text in texts]


@given(_LINES, st.sampled_from(["a.txt", "a.csv", "a.tsv", "a.jsonl", "a.trn", "a.stm", "a.ctm"]))
def test_detection_never_fails(text: str, name: str) -> None:
    assert detect(Path(name), text) in {*formats.FORMATS, None} - {"kaldi", "lines"}
    assert tell_apart(text, text)[0] in {"kaldi", "lines", None}
