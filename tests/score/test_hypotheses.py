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
        ('{"id": "b", "pred_text": "two"}', "is with 'pred_text', the lines before are without it"),
        ('{"id": "b", "text": "\\udc00"}', "'text' holds half a surrogate pair"),
        ('{"id": "b", "text": "two", "words": [{"confidence": 1.5}]}', "must be a number from 0 to 1, this is 1.5"),
        ('{"id": "b", "text": "two", "words": [{"start": 1, "end": 0.5}]}', "after its start, this is from 1 to 0.5 s"),
        ('{"id": "b", "text": "two", "words": [{"start": 1, "end": Infinity}]}', "after its start"),
        ('{"id": "b", "text": "two", "score": ' + "9" * 5000 + "}", "not a JSON object that can be read"),
    ],
)
def test_a_bad_line_is_told_with_its_number(tmp_path: Path, line: str, sentence: str) -> None:
    path = tmp_path / "hyp.jsonl"
    path.write_text(f"{_GOOD}\n{line}\n")
    with pytest.raises(AsrError) as told:
        read_hypotheses(path)
    assert str(told.value).startswith(f"{path}:2: ")
    assert sentence in str(told.value)


def test_reads_confidences_and_times_where_every_word_has_them(tmp_path: Path) -> None:
    words = [
        '[{"word": "one", "start": 0, "end": 0.5, "confidence": 1}, {"start": 0.5, "end": 0.75, "confidence": 0.25}]',
        '[{"start": 0, "end": 0.5}, {"start": 0.5, "end": 0.75, "confidence": 0.25}]',
        '[{"start": 0, "confidence": 1}, {"start": 0.5, "end": 0.75, "confidence": 0.25}]',
        '["one", "two"]',
        "[]",
    ]
    path = tmp_path / "hyp.jsonl"
    path.write_text("".join(f'{{"id": "u{n}", "text": "one two", "words": {one}}}\n' for n, one in enumerate(words)))
    spans = ((0.0, 0.5), (0.5, 0.75))
    assert list(read_hypotheses(path).values()) == [
        Hypothesis("one two", None, (1.0, 0.25), spans),
        Hypothesis("one two", None, None, spans),
        Hypothesis("one two", None, (1.0, 0.25), None),
        Hypothesis("one two"),
        Hypothesis("one two"),
    ]


def test_a_prediction_comes_before_the_transcript_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "hyp.jsonl"
    lines = [
        '{"audio_filepath": "b/a.wav", "text": "one", "pred_text": "won"}',
        '{"id": "c", "error": "too short"}',
        '{"audio_filepath": "d.wav", "offset": 1.5, "text": "two", "pred_text": ""}',
    ]
    path.write_text("\n".join(lines))
    assert read_hypotheses(path) == {
        "b-a": Hypothesis("won"),
        "c": Hypothesis("", "too short"),
        "d@1.50": Hypothesis(""),
    }
    path.write_text("\n".join([*lines, '{"audio_filepath": "e.wav", "text": "what was said"}']))
    with pytest.raises(AsrError, match=r":4: is without 'pred_text', the lines before are with it"):
        read_hypotheses(path)


def test_an_empty_file_holds_no_hypotheses(tmp_path: Path) -> None:
    path = tmp_path / "hyp.jsonl"
    path.write_text("\n")
    with pytest.raises(AsrError, match="holds no hypotheses"):
        read_hypotheses(path)


def test_trn_lines_end_in_the_id() -> None:
    assert to_trn({"a-1": "one  two", "b": ""}) == "one two (a-1)\n(b)\n"
