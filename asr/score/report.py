"""A result in words and tables, for the terminal and for ``report.txt``."""

from __future__ import annotations

import heapq
import io
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asr.score.controls import visible
from asr.score.result import Comparison, Group, Result
from asr.score.statistics import Interval
from asr.text import normaliser

_WIDTH = 120  # columns where there is no terminal
_NARROWEST = 72  # columns of a terminal; in fewer, numbers would be cut short
_FREQUENT = 10  # confusions, deletions and insertions that are listed
_MOST_SPEAKERS = 50
_NAMED = 5  # ids that a sentence names
_MOST_FAILED = 50  # on a terminal; the file names them all


def percent(rate: float | None) -> float | None:
    """A rate as a receipt gives it: in percent, with two decimals."""
    return None if rate is None else round(100 * rate, 2)


def upper_percent(rate: float | None) -> float | None:
    """The same of an interval's upper end, which no number of words can make 0: no errors in many would round to it."""
    return None if rate is None else max(0.01, round(100 * rate, 2))


def _number(rate: float | None) -> str:
    return "undefined" if rate is None else f"{100 * rate:.2f}"


def _describe(found: Interval) -> str:
    if found.high is None:
        return found.basis
    return f"95 % interval {_number(found.low)} to {upper_percent(found.high):.2f}, {found.basis}"


def _rates(result: Result) -> Table:
    words = result.words
    errors = (
        f"{words.errors:,} errors in {words.reference_length:,} words: {words.substitutions:,} substitutions, "
        f"{words.deletions:,} deletions, {words.insertions:,} insertions"
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(justify="right", style="bold")
    table.add_column(overflow="fold")
    table.add_row("WER %", _number(words.rate), errors)
    intervals = [result.by_utterance, result.by_speaker]
    for found in reversed(intervals) if result.settings.resample == "speaker" else intervals:
        table.add_row("", "", _describe(found))
    characters, wrong = result.characters, result.wrong
    rate = result.character_errors / characters if characters else None
    meaning = f"{result.character_errors:,} errors in {characters:,} characters, spaces between words included"
    table.add_row("CER %", _number(rate), meaning)
    utterances = len(result.utterances)
    table.add_row("SER %", _number(wrong / utterances), f"{wrong:,} of {utterances:,} utterances")
    if result.calibration_error is not None:
        meaning = "expected calibration error: how far, on average, confidence is from the share of right words"
        table.add_row("ECE %", _number(result.calibration_error), meaning)
    return table


def how_scored(result: Result) -> str:
    """A sentence on normalisation, alignment and resampling."""
    settings = result.settings
    costs = {"unit": "every error costs 1", "sclite": "sclite's costs, 4 a substitution, 3 a deletion or insertion"}
    return (
        f"Both sides normalised by {settings.normalise!r} ({normaliser(settings.normalise).description}); aligned by "
        f"{settings.alignment!r} ({costs[settings.alignment]}); bootstrap seed {settings.seed}."
    )


def comparison_sentences(comparison: Comparison) -> list[str]:
    """What a comparison says: the two rates, then each test."""
    failed = len(comparison.other.failed)
    there = f" ({failed:,} utterances failed there, scored as deletions)" if failed else ""
    rate, segments = comparison.other.words.rate, comparison.segments
    return [
        f"Against {comparison.path}: its WER is {_number(rate)}{'' if rate is None else ' %'}{there}; "
        f"{comparison.better:,} utterances are better here and {comparison.worse:,} worse.",
        comparison.left_out if segments is None else segments.sentence(*comparison.names),
        *([] if comparison.bootstrap is None else [comparison.bootstrap.sentence(*comparison.names)]),
        comparison.sentences.sentence(*comparison.names),
        "Paired permutation of utterances: if neither system were better, so great a difference would come about by "
        f"chance with p = {comparison.permutation:.4f}.",
    ]


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)


def _groups(title: str, groups: Sequence[Group]) -> Table:
    table = _table()
    table.add_column(title, overflow="fold")
    for heading in ("Utterances", "Words", "WER %", "Sub", "Del", "Ins"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in groups:
        words = one.words
        table.add_row(
            Text("(not named)" if one.name is None else visible(one.name)),
            f"{one.utterances:,}",
            f"{words.reference_length:,}",
            _number(words.rate),
            f"{words.substitutions:,}",
            f"{words.deletions:,}",
            f"{words.insertions:,}",
        )
    return table


def _worst(groups: Sequence[Group]) -> list[Group]:
    """Those with the most errors, in their own order, where there are too many to list."""
    most = sorted(groups, key=lambda one: -one.words.errors)[:_MOST_SPEAKERS]
    return [one for one in groups if one in most] if len(groups) > _MOST_SPEAKERS else list(groups)


_Counted = TypeVar("_Counted", str, tuple[str, str])


def frequent(counts: Counter[_Counted], most: int) -> list[tuple[_Counted, int]]:
    """The most frequent first, equal ones by name."""
    return heapq.nsmallest(most, counts.items(), key=lambda item: (-item[1], item[0]))


def _confusions(result: Result) -> Table:
    confused = [(f"{times:,}", *words) for words, times in frequent(result.confusions, _FREQUENT)]
    left_out = [(f"{times:,}", word) for word, times in frequent(result.deletions, _FREQUENT)]
    put_in = [(f"{times:,}", word) for word, times in frequent(result.insertions, _FREQUENT)]
    table = _table()
    for heading in ("Times", "Reference", "Hypothesis", "Times", "Left out", "Times", "Put in"):
        if heading == "Times":
            table.add_column(heading, justify="right", no_wrap=True)
        else:
            table.add_column(heading, overflow="fold")
    for one, two, three in zip_longest(confused, left_out, put_in):
        cells = [*(one or ("", "", "")), *(two or ("", "")), *(three or ("", ""))]
        table.add_row(*[Text(visible(cell)) for cell in cells])
    return table


def _failures(result: Result, most: int | None) -> list[str]:
    lines = [f"  {name}: {visible(reason)}" for name, reason in result.failed.items()]
    if most is not None and len(lines) > most:
        return [*lines[:most], f"  … and {len(lines) - most:,} more; report.txt names them all"]
    return lines


def _draw(result: Result, comparison: Comparison | None, console: Console, most_failed: int | None) -> None:
    # Texts and ids may hold what rich takes for markup, hence Text everywhere.
    console.print(_rates(result))
    console.print(Text(how_scored(result)))
    if result.extra:
        named = ", ".join(result.extra[:_NAMED]) + (" …" if len(result.extra) > _NAMED else "")
        console.print(Text(f"{len(result.extra):,} hypotheses without a reference were passed over: {named}"))
    for note in result.notes:
        console.print(Text(f"Note: {note}."))
    if result.split:
        console.print(Text(f"Split: {result.split}"))
    if comparison:
        console.print()
        for sentence in comparison_sentences(comparison):
            console.print(Text(sentence))
    if result.words.rate is None:
        console.print(Text("The references hold no words: there is no word error rate, only insertions."))
    if any(one.name is not None for one in result.speakers):
        console.print()
        console.print(_groups("Speaker", _worst(result.speakers)))
        if len(result.speakers) > _MOST_SPEAKERS:
            console.print(Text(f"Of {len(result.speakers):,} speakers, the {_MOST_SPEAKERS} with the most errors."))
    for title, groups in (("Duration", result.durations), ("Reference", result.lengths)):
        if len(groups) > 1:
            console.print()
            console.print(_groups(title, groups))
    if result.words.errors:
        console.print()
        console.print(_confusions(result))
    if result.failed:
        console.print()
        failed = f"{len(result.failed):,} of {len(result.utterances):,} utterances failed, scored as deletions:"
        console.print(Text(failed, style="bold"))
        for line in _failures(result, most_failed):
            console.print(Text(line), soft_wrap=True)


def to_text(result: Result, comparison: Comparison | None = None) -> str:
    """The report as plain text."""
    file = io.StringIO()
    _draw(result, comparison, Console(file=file, width=_WIDTH, color_system=None, legacy_windows=False), None)
    return "".join(line.rstrip() + "\n" for line in file.getvalue().split("\n")[:-1])


def print_report(result: Result, comparison: Comparison | None, text: str) -> None:
    """The same on the standard output: in the terminal's width where there is one, else ``text``."""
    console = Console()
    console.width = max(console.width, _NARROWEST)
    if console.is_terminal:
        _draw(result, comparison, console, _MOST_FAILED)
    else:
        print(text, end="")
