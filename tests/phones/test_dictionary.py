"""Reading dictionaries, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from asr.errors import AsrError
from asr.phones.dictionary import lexicon_lines, phone_set, read_dictionary, spelled_as, split


def _write(folder: Path, text: str) -> Path:
    path = folder / "dictionary.txt"
    path.write_text(text, encoding="utf-8")
    return path


SAID = {"READ": [("R", "EH", "D"), ("R", "IY", "D")], "A": [("AH",), ("EY",)]}


@pytest.mark.parametrize(
    "text",
    [
        ";;; a remark\n\nREAD  R EH1 D\nREAD(2)  R IY1 D # seldom\nA  AH0\nA(2)  EY1\n",
        "READ 1 R EH1 D\nREAD 2 R IY1 D\nA 1 AH0\nA 2 EY1\n",
        "READ R EH1 D\nREAD\tR IY1 D\nA AH0\nA EY1\n",
        "READ R EH1 D\nREAD R EH2 D\nREAD R IY1 D\nA AH0\nA EY1\n",
    ],
    ids=["marked variants", "numbered variants", "kaldi", "the same but for stress"],
)
def test_every_form_gives_the_same_pronunciations(tmp_path: Path, text: str) -> None:
    dictionary = read_dictionary(_write(tmp_path, text))
    assert dictionary == SAID
    assert list(dictionary) == list(SAID)
    assert phone_set(dictionary) == ["AH", "D", "EH", "EY", "IY", "R"]


def test_stress_is_kept_if_wanted_and_tones_of_other_phones_always(tmp_path: Path) -> None:
    path = _write(tmp_path, "A AH0\nMA m a1\nMA m a4\n")
    assert read_dictionary(path, stress=True)["A"] == [("AH0",)]
    assert read_dictionary(path) == {"A": [("AH",)], "MA": [("m", "a1"), ("m", "a4")]}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no words"),
        (";;; nothing\n", "no words"),
        ("A AH0\nREAD\nB B IY1\n", r"dictionary\.txt:2: 'READ' has no phones"),
        ("A 1 AH0\nREAD 1\nB 1 B IY1\n", r":2: 'READ' has no phones"),
        ("A 1 AH0\nREAD R EH1 D\nB 1 B IY1\n", r":2: 'READ' has no number behind the word, as most other lines have"),
        ("A AH0\nREAD 2 R EH1 D\nB B IY1\n", r":2: 'READ' is said with '2', which is not a phone"),
        ("A AH0\nREAD <blank> D\n", r":2: 'READ' is said with '<blank>', which is not a phone"),
        ("A\nB\n", r":1: 'A' has no phones.*; .*:2: 'B' has no phones"),
        ("A\n" * 7, r":5: 'A' has no phones[^;]*; [^;]*; and 2 more lines$"),
    ],
)
def test_bad_lines_are_named_with_their_numbers(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(AsrError, match=sentence):
        read_dictionary(_write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=r"none\.txt: could not be read"):
        read_dictionary(tmp_path / "none.txt")


def test_a_lexicon_written_is_read_as_the_same(tmp_path: Path) -> None:
    assert read_dictionary(_write(tmp_path, lexicon_lines(SAID)), stress=True) == SAID


def test_words_are_found_in_their_own_case_first() -> None:
    known = {"Polish", "POLISH", "polish", "WORD", "übung"}
    assert [spelled_as(word, known) for word in ("Polish", "pOLISH", "word", "Übung", "none")] == [
        "Polish",
        "POLISH",
        "WORD",
        "übung",
        None,
    ]


def test_a_twentieth_of_the_words_is_held_out_for_dev_and_one_for_test_the_same_each_time() -> None:
    words = [f"WORD{number}" for number in range(20_000)]
    parts = Counter(map(split, words))
    assert parts.total() == 20_000
    for name in ("dev", "test"):
        assert 900 < parts[name] < 1100  # three standard deviations are 92
    assert [split(word) for word in ("AARON", "ZEBRA", "HOUSE")] == ["train", "dev", "test"]  # on every machine
