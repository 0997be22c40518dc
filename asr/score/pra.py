"""Alignments as sclite prints them in its ``.pra`` files: reference above hypothesis, what went wrong below."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest

from rich.cells import cell_len

from asr.score.align import Alignment, align_runs
from asr.score.controls import visible
from asr.score.result import Result
from asr.text import normaliser

_LETTERS = {"substitution": "S", "deletion": "D", "insertion": "I"}


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))  # str.ljust takes a wide character for one column


def _lines(reference: str, hypothesis: str, split: Callable[[str], list[str]], alignment: Alignment) -> str:
    """Both and what went wrong, each word in a column as wide as the wider of the two; nothing if both are empty."""
    said, heard = split(reference), split(hypothesis)
    if not said and not heard:
        return ""
    runs = align_runs(said, heard, alignment)
    if not (reference.isprintable() and hypothesis.isprintable()):
        said, heard = list(map(visible, said)), list(map(visible, heard))
    above: list[str] = []
    below: list[str] = []
    marks: list[str] = []
    for operation, start, end, start_heard, end_heard in runs:
        ours, theirs = said[start:end], heard[start_heard:end_heard]
        if operation == "hit":
            above += ours
            below += ours
            marks.append(" " * _width(" ".join(ours)))
            continue
        for one, other in zip_longest(ours, theirs):
            width = max(_width(one or ""), _width(other or ""))
            above.append("*" * width if one is None else _padded(one, width))
            below.append("*" * width if other is None else _padded(other, width))
            marks.append(_padded(_LETTERS[operation], width))
    return f"REF:  {' '.join(above)} \nHYP:  {' '.join(below)} \nEval: {' '.join(marks)} \n"


def pra_text(result: Result, system: str) -> str:
    """The whole file, speaker by speaker.

    Args:
        result: what was scored; its settings say with which costs the alignments are made.
        system: what the header calls the hypotheses.
    """
    split, alignment = normaliser(result.settings.normalise).split, result.settings.alignment
    members: dict[str | None, list[int]] = {}
    for row, utterance in enumerate(result.utterances):
        members.setdefault(utterance.speaker, []).append(row)
    names = ["(not named)" if speaker is None else visible(speaker) for speaker in members]
    parts = [f"\n\n\t\tDUMP OF SYSTEM ALIGNMENT STRUCTURE\n\nSystem name:   {system}\n\nSpeakers: \n"]
    parts += [f"{number:5}:  {name}\n" for number, name in enumerate(names)]
    counts = result.counts.tolist()
    for number, (name, rows) in enumerate(zip(names, members.values(), strict=True)):
        parts.append(f"\nSpeaker sentences{number:4}:  {name}   #utts: {len(rows)}")
        for row in rows:
            id = result.utterances[row].id
            lines = _lines(result.references[id], result.hypotheses[id], split, alignment)
            hits, substitutions, deletions, insertions = counts[row]
            # "sensitve" is sclite's own spelling: readers look for it.
            parts.append(
                f"\nid: ({id})\nScores: (#C #S #D #I) {hits} {substitutions} {deletions} {insertions}\n"
                f"Attributes: Case_sensitve \n{lines}"
            )
    return "".join([*parts, "\n\n"])
