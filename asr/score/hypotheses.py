"""Hypotheses as ``asr decode`` writes them, and sclite's trn files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import AsrError
from asr.files import read_text
from asr.score.formats import unique
from asr.score.references import checked_text, json_id, json_object

Spans = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What was recognised in one utterance.

    Attributes:
        text: the words; empty where the utterance failed.
        error: why it failed; None if it did not.
        confidences: of each word, 0 to 1; None where they are not given.
        times: start and end of each word [s]; None where they are not given.
    """

    text: str
    error: str | None = None
    confidences: tuple[float, ...] | None = None
    times: Spans | None = None


def check_confidence(value: object, where: str) -> float:
    """A confidence as it was read.

    Raises:
        AsrError: not a number from 0 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise AsrError(
            f"{where}: the confidence of a word must be a number from 0 to 1, this is {value!r}; leave out others"
        )
    return float(value)


def _parse(line: str, where: str, predicted: bool | None) -> tuple[str, Hypothesis, bool]:
    fields = json_object(line, where)
    name = json_id(fields, where)
    # In a manifest with predictions ``text`` is the reference: it must not stand in where one prediction is missing.
    key = "pred_text" if fields.get("pred_text") is not None else "text"
    failed = fields.get("error") is not None
    if predicted is not None and not failed and predicted != (key == "pred_text"):
        here, there = ("without", "with") if predicted else ("with", "without")
        raise AsrError(f"{where}: is {here} 'pred_text', the lines before are {there} it; all need it, or none")
    text, error = checked_text(fields, key, where), checked_text(fields, "error", where) if failed else None
    if (fields.get(key) is not None) == failed:
        raise AsrError(f"{where}: a hypothesis has either 'text' or 'error'; there are {sorted(fields)}")
    words = fields.get("words")
    if not words or not isinstance(words, list) or not all(isinstance(one, dict) for one in words):
        return name, Hypothesis(text, error), key == "pred_text"
    return name, Hypothesis(text, error, _confidences(words, where), _times(words, where)), key == "pred_text"


def _confidences(words: list[dict[str, Any]], where: str) -> tuple[float, ...] | None:
    """Those of ``words``, if that says one of each; a hypothesis may do without."""
    if not all("confidence" in one for one in words):
        return None
    return tuple([check_confidence(one["confidence"], where) for one in words])


def _times(words: list[dict[str, Any]], where: str) -> Spans | None:
    """Those of ``words``, if that says both of each."""
    spans: list[tuple[float, float]] = []
    for one in words:
        start, end = one.get("start"), one.get("end")
        if not isinstance(start, (int, float)) or not isinstance(end, (int, float)):
            return None
        if not 0 <= start <= end <= sys.float_info.max:
            raise AsrError(f"{where}: a word must end after its start, this is from {start!r} to {end!r} s")
        spans.append((float(start), float(end)))
    return tuple(spans)


def json_hypotheses(path: Path, text: str) -> Iterator[tuple[int, str, Hypothesis]]:
    """Line number, id and hypothesis of each line; blank ones are passed over.

    ``pred_text``, where it stands (NeMo's manifests with predictions), is the hypothesis, else ``text``.

    Raises:
        AsrError: a line is malformed, or a field missing or wrong.
    """
    predicted: bool | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        if line and not line.isspace():
            name, hypothesis, key = _parse(line, f"{path}:{number}", predicted)
            if hypothesis.error is None:
                predicted = key
            yield number, name, hypothesis


def read_hypotheses(path: Path) -> dict[str, Hypothesis]:
    """Reads ``hyp.jsonl``: ``id`` and ``text`` in each line, or ``id`` and ``error`` of an utterance that failed.

    Raises:
        AsrError: missing or empty file, malformed line, wrong field or an id used twice; gives file and line.
    """
    hypotheses = unique(path, read_text(path), json_hypotheses)
    if not hypotheses:
        raise AsrError(f"{path}: holds no hypotheses; decode first")
    return hypotheses


def to_trn(texts: Mapping[str, str], split: Callable[[str], list[str]] = str.split) -> str:
    """sclite's transcript format: one line ``words (id)`` for each id, the words as ``split`` gives them."""
    return "".join([f"{' '.join(split(text))} ({name})\n".lstrip() for name, text in texts.items()])
