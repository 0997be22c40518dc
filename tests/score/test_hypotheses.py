from __future__ import annotations

from pathlib import Path

import pytest

from asr.errors import AsrError
from asr.score.hypotheses import Hypothesis, read_hypotheses, to_trn

_GOOD = '{"id": "a", "text": "one", "words": [], "score": -0.5}'


def test_reads_texts_and_failures(tmp_path: Path) -> None:
    path = tmp_path / "hyp.jsonl"
    path.write_text(
        f'{_GOOD}\n\n{{"id": 7, "text": ""}}\n{{"id": "ç", "error": "ç.wav: too short"}}\n', encoding="utf-8"
    )
    assert read_hypotheses(path) == {
        "a": Hypothesis("one"),
        "7": Hypothesis(""),
        "ç": Hypothesis("", "ç.wav: too short"),
    }


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"id": "b", "text": "tw', "not a JSON object"),
        ('["b", "two"]', "must be a JSON object, this is list"),
        ('{"text": "two"}', "'id' is missing"),
        ('{"id": "", "text": "two"}', "'id' is missing"),
        ('{"id": 7.5, "text": "two"}', "'id' must be a string, this is 7.5"),
        ('{"id": "b", "text": ["two"]}', "'text' must be a string"),
        ('{"id": "b"}', "either 'text' or 'error'"),
        ('{"id": "b", "text": "two", "error": "failed"}', "either 'text' or 'error'"),
        ('{"id": "a", "text": "two"}', "the id 'a' stands on line 1 already"),
    ],
)
def test_a_bad_line_is_told_with_its_number(tmp_path: Path, line: str, sentence: str) -> None:
    path = tmp_path / "hyp.jsonl"
    path.write_text(f"{_GOOD}\n{line}\n")
    with pytest.raises(AsrError) as told:
        read_hypotheses(path)
    assert str(told.value).startswith(f"{path}:2: ")
    assert sentence in str(told.value)


def test_an_empty_file_holds_no_hypotheses(tmp_path: Path) -> None:
    path = tmp_path / "hyp.jsonl"
    path.write_text("\n")
    with pytest.raises(AsrError, match="holds no hypotheses"):
        read_hypotheses(path)


def test_trn_lines_end_in_the_id() -> None:
    assert to_trn({"a-1": "one  two", "b": ""}) == "one two (a-1)\n(b)\n"
