"""Hypotheses as ``asr decode`` writes them, and sclite's trn files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import AsrError
from asr.files import read_text


@dataclass(frozen=True)
class Hypothesis:
    """What was recognised in one utterance.

    Attributes:
        text: the words; empty where the utterance failed.
        error: why it failed; None if it did not.
        confidences: of each word, 0 to 1; None where they are not given.
    """

    text: str
    error: str | None = None
    confidences: tuple[float, ...] | None = None


def _parse(line: str, where: str) -> tuple[str, Hypothesis]:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise AsrError(f"{where}: not a JSON object ({error.msg} at column {error.colno})") from error
    if not isinstance(fields, dict):
        raise AsrError(f"{where}: a hypothesis must be a JSON object, this is {type(fields).__name__}")
    fields = {name: value for name, value in fields.items() if value is not None}
    if isinstance(fields.get("id"), int):  # a manifest may number its utterances
        fields["id"] = str(fields["id"])
    for name in ("id", "text", "error"):
        if not isinstance(fields.get(name, ""), str):
            raise AsrError(f"{where}: {name!r} must be a string, this is {fields[name]!r}")
    if not fields.get("id"):
        raise AsrError(f"{where}: the field 'id' is missing; there are {sorted(fields)}")
    if ("text" in fields) == ("error" in fields):
        raise AsrError(f"{where}: a hypothesis has either 'text' or 'error'; there are {sorted(fields)}")
    return fields["id"], Hypothesis(fields.get("text", ""), fields.get("error"), _confidences(fields, where))


def _confidences(fields: dict[str, Any], where: str) -> tuple[float, ...] | None:
    """Those of ``words``, if that says one of each; a hypothesis may do without."""
    words = fields.get("words")
    if not isinstance(words, list) or not all(isinstance(one, dict) and "confidence" in one for one in words or [None]):
        return None
    confidences = [one["confidence"] for one in words]
    for one in confidences:
        if isinstance(one, bool) or not isinstance(one, int | float) or not 0 <= one <= 1:
            raise AsrError(f"{where}: the confidence of a word must be a number from 0 to 1, this is {one!r}")
    return tuple(map(float, confidences))


def read_hypotheses(path: Path) -> dict[str, Hypothesis]:
    """Reads ``hyp.jsonl``: ``id`` and ``text`` in each line, or ``id`` and ``error`` of an utterance that failed.

    Raises:
        AsrError: missing or empty file, malformed line, wrong field or an id used twice; gives file and line.
    """
    hypotheses: dict[str, Hypothesis] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        name, hypothesis = _parse(line, where)
        if name in hypotheses:
            raise AsrError(f"{where}: the id {name!r} stands on line {lines[name]} already")
        hypotheses[name], lines[name] = hypothesis, number
    if not hypotheses:
        raise AsrError(f"{path}: holds no hypotheses; decode first")
    return hypotheses


def to_trn(texts: Mapping[str, str]) -> str:
    """sclite's transcript format: one line ``words (id)`` for each id."""
    return "".join(" ".join([*text.split(), f"({name})"]) + "\n" for name, text in texts.items())
