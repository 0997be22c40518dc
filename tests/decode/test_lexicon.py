"""Reading lexicons, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr.decode.beam import BeamDecoder, BeamOptions
from asr.decode.lexicon import Lexicon, from_words, read_lexicon
from asr.errors import AsrError
from tests.decode.models import random_log_probs, tokenizer

PHONES = tokenizer("word", ["AH0", "R", "EH1", "D", "IY1"])


def read(folder: Path, text: str) -> Lexicon:
    path = folder / "lexicon.txt"
    path.write_text(text, encoding="utf-8")
    return read_lexicon(path)


def pairs(lexicon: Lexicon) -> list[tuple[str, str]]:
    return [(lexicon.words[label], " ".join(spelling)) for label, spelling in lexicon.entries]


def test_a_spelling_with_the_space_that_the_search_adds_is_refused() -> None:
    lexicon = Lexicon([("A", ["a"]), ("B", ["b", "<space>"])])
    with pytest.raises(AsrError, match="the lexicon, entry 2: the word 'B' is spelled with '<space>'"):
        BeamDecoder(tokenizer("char", ["<space>", "a", "b"]), 0, BeamOptions(), lexicon=lexicon)


READ = [("READ", "R EH1 D"), ("READ", "R IY1 D"), ("RED", "R EH1 D"), ("A", "AH0")]


@pytest.mark.parametrize(
    "text",
    [
        "READ R EH1 D\nREAD\tR  IY1 D\nRED R EH1 D\n\nA AH0\n",
        ";;; a remark\nREAD  R EH1 D\nREAD(2)  R IY1 D # seldom\nRED  R EH1 D\nA AH0\n",
        "READ 1 R EH1 D\nREAD 2 R IY1 D\nRED 1 R EH1 D\nA 1 AH0\n",
        "READ R EH1 D\nREAD R EH1 D\nREAD R IY1 D\nRED R EH1 D\nA AH0\nRED R EH1 D\n",
    ],
    ids=["kaldi", "marked variants", "numbered variants", "doubled lines"],
)
def test_every_form_gives_the_same_words(tmp_path: Path, text: str) -> None:
    lexicon = read(tmp_path, text)
    assert lexicon.words == ["READ", "RED", "A"]
    assert len(lexicon) == 3
    assert pairs(lexicon) == READ


def test_brackets_that_number_nothing_are_part_of_the_word(tmp_path: Path) -> None:
    assert read(tmp_path, "(2) R\na(b) R\n() D\n").words == ["(2)", "a(b)", "()"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no words"),
        (";;; nothing\n\n", "no words"),
        ("A AH0\nREAD\n", "line 2: the word 'READ' has no tokens"),
        ("A 1 AH0\nREAD 1\n", "line 2: the word 'READ' has no tokens"),
    ],
)
def test_an_empty_lexicon_or_spelling_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(AsrError, match=sentence):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=r"none\.txt: could not be read"):
        read_lexicon(tmp_path / "none.txt")


@pytest.mark.parametrize("word", ["", "two words", " a"])
def test_what_is_not_one_word_is_refused(word: str) -> None:
    with pytest.raises(AsrError, match=r"entry 2: .* is not one word"):
        Lexicon([("a", ["x"]), (word, ["x"])])


def test_a_token_that_the_model_lacks_is_named_with_word_and_line(tmp_path: Path) -> None:
    lexicon = read(tmp_path, "READ R EH1 D\n\nROUGE R UW1 ZH\n")
    with pytest.raises(AsrError, match=r"lexicon\.txt, line 3: the word 'ROUGE' is spelled with 'UW1'"):
        BeamDecoder(PHONES, 0, BeamOptions(), lexicon=lexicon)
    with pytest.raises(AsrError, match="'<blank>'"):
        BeamDecoder(PHONES, 0, BeamOptions(), lexicon=Lexicon([("A", ["<blank>"])]))


def test_token_ids_of_every_entry(tmp_path: Path) -> None:
    assert read(tmp_path, "RED R EH1 D\nA AH0\n").token_ids(PHONES.symbols, 0) == [(2, 3, 4), (1,)]


def test_words_are_spelled_by_the_tokenizer() -> None:
    tokens = tokenizer("char", ["<space>", "a", "b"])
    assert pairs(from_words(["ab", "b"], tokens)) == [("ab", "a b"), ("b", "b")]
    with pytest.raises(AsrError, match="no token for 'c'"):
        from_words(["ab", "ac"], tokens)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_but_the_lexicons_words_comes_out(seed: int) -> None:
    lexicon = Lexicon([(word, spelling.split()) for word, spelling in READ])
    decoder = BeamDecoder(PHONES, 0, BeamOptions(nbest=16), lexicon=lexicon)
    for one in decoder.decode(random_log_probs(50, 6, seed)):
        spelled = [[spelling for word, spelling in READ if word == spoken] for spoken in one.words]
        assert all(spelled)
        assert len({tuple(other.words) for other in decoder.decode(random_log_probs(50, 6, seed))}) > 1
