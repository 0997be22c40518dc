"""The calibration error by its definition, and where a report has one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.score.calibration import correct_words, expected_calibration_error, reliability
from asr.score.hypotheses import Hypothesis, read_hypotheses
from asr.score.receipt import score_fields
from asr.score.references import Reference
from asr.score.report import to_text
from asr.score.result import Settings, score


def test_correct_words() -> None:
    assert correct_words(["a", "b", "c"], ["a", "x", "c", "d"]) == [True, False, True, False]
    assert correct_words([], ["a"]) == [False]
    assert correct_words(["a"], []) == []


def test_the_calibration_error_by_hand() -> None:
    confidences, correct = [0.05, 0.15, 0.15, 0.95, 1.0], [False, False, True, True, True]
    # Ten bins: (0.05 | 0), (0.15 | 0.5), (0.975 | 1).
    assert expected_calibration_error(confidences, correct, bins=10) == pytest.approx(
        (1 * 0.05 + 2 * 0.35 + 2 * 0.025) / 5
    )
    assert expected_calibration_error(confidences, correct, bins=1) == pytest.approx(abs(2.3 / 5 - 3 / 5))
    assert expected_calibration_error([], []) == 0
    table = reliability(confidences, correct, bins=10)
    assert [row.words for row in table] == [1, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    assert table[9].low == 0.9 and table[9].accuracy == 1


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=30), st.integers(1, 20))
def test_the_calibration_error_is_between_0_and_1(words: list[tuple[float, bool]], bins: int) -> None:
    error = expected_calibration_error([sure for sure, _ in words], [right for _, right in words], bins)
    assert 0 <= error <= 1
    assert sum(row.words for row in reliability([sure for sure, _ in words], [True] * len(words), bins)) == len(words)


@pytest.mark.parametrize(
    ("confidences", "correct", "bins"),
    [([0.5], [], 15), ([1.5], [True], 15), ([float("nan")], [True], 15), ([], [], 0)],
)
def test_what_is_no_confidence_is_refused(confidences: list[float], correct: list[bool], bins: int) -> None:
    with pytest.raises(ValueError, match="confidences"):
        expected_calibration_error(confidences, correct, bins)


def _calibration_error(hypotheses: dict[str, Hypothesis], normalise: str = "none") -> float | None:
    result = score([Reference(name, "One two") for name in ("a", "b", "c")], hypotheses, Settings(normalise))
    assert ("ECE %" in to_text(result)) == (result.calibration_error is not None)
    assert score_fields(result).get("calibration_error") == result.calibration_error
    return result.calibration_error


def test_a_report_has_the_calibration_error_of_all_words() -> None:
    found = {
        "a": Hypothesis("One two", confidences=(1.0, 1.0)),
        "b": Hypothesis("One ten two", confidences=(1.0, 0.5, 1.0)),
        "c": Hypothesis("", error="the file is empty"),
    }
    assert _calibration_error(found) == 0.1  # of five words the wrong one had a half, alone in its bin


def test_words_without_confidences_have_no_calibration_error() -> None:
    sure = Hypothesis("One two", confidences=(1.0, 1.0))
    assert _calibration_error({"a": sure, "b": sure, "c": Hypothesis("One two")}) is None
    assert (
        _calibration_error({"a": sure, "b": sure, "c": Hypothesis("One - two", confidences=(1, 1, 1))}, "basic") is None
    )
    assert _calibration_error({name: Hypothesis("") for name in "abc"}) is None


def test_confidences_are_read_with_the_words(tmp_path: Path) -> None:
    words = [{"word": "one", "confidence": 1}, {"word": "two", "confidence": 0.25}]
    lines = [{"id": "a", "text": "one two", "words": words}, {"id": "b", "text": "one", "words": [{"word": "one"}]}]
    (tmp_path / "hyp.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_hypotheses(tmp_path / "hyp.jsonl")
    assert found == {"a": Hypothesis("one two", confidences=(1.0, 0.25)), "b": Hypothesis("one")}


@pytest.mark.parametrize("confidence", ["1.5", "-0.1", "NaN", '"high"', "true"])
def test_what_is_no_confidence_is_told_with_its_line(tmp_path: Path, confidence: str) -> None:
    path = tmp_path / "hyp.jsonl"
    path.write_text(f'{{"id": "a", "text": "one", "words": [{{"word": "one", "confidence": {confidence}}}]}}\n')
    with pytest.raises(AsrError, match=r"hyp\.jsonl:1: the confidence of a word must be a number from 0 to 1"):
        read_hypotheses(path)
