"""Scores hypotheses against a manifest, and says so in a table."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asr.errors import AsrError
from asr.files import read_text
from asr.manifest import Utterance, read_manifest
from asr.score.align import Counts, align, count
from asr.score.calibration import correct_words, expected_calibration_error
from asr.score.hypotheses import Hypothesis, read_hypotheses
from asr.score.statistics import Interval, interval, paired_permutation
from asr.text import normaliser

_CONFUSIONS = 10  # most frequent ones that a report lists
_NAMED = 5  # ids that a sentence names
_WIDTH = 120  # columns where there is no terminal


@dataclass(frozen=True)
class SpeakerScore:
    """One speaker's share; ``speaker`` is None for the utterances whose speaker the manifest does not name."""

    speaker: str | None
    utterances: int
    words: Counts


@dataclass(frozen=True)
class Comparison:
    """The same utterances by another system.

    Attributes:
        hypotheses: the other's file.
        words: the other's counts.
        better, worse: utterances in which this system makes fewer, or more, errors than the other.
        failed: utterances without a hypothesis of the other's, scored as deletions.
        p_value: of the difference, see `paired_permutation`.
    """

    hypotheses: Path
    words: Counts
    better: int
    worse: int
    failed: int
    p_value: float


@dataclass(frozen=True)
class Result:
    """Hypotheses scored against their references.

    Attributes:
        words: counts of words over all utterances.
        characters: counts of characters, spaces between words included.
        utterances: how many there are.
        wrong: how many of them hold an error or failed.
        failed: id → reason of those without a hypothesis, which are scored as deletions.
        by_utterance: 95 % interval of the WER, resampling utterances.
        by_speaker: the same, resampling speakers.
        speakers: each speaker's share, by name.
        confusions: (reference word, hypothesis word, times), the most frequent first.
        references: id → normalised reference, in the manifest's order.
        hypotheses: id → normalised hypothesis, in the same order.
        normalise: name of the normaliser that both went through.
        seed: of the bootstrap.
        split: how train, dev and test were parted, where ``splits.json`` beside the manifest says so.
        errors: id → errors, in the manifest's order.
        against: another system on the same utterances.
        calibration_error: expected calibration error of the words' confidences; None where not every word has one.
    """

    words: Counts
    characters: Counts
    utterances: int
    wrong: int
    failed: dict[str, str]
    by_utterance: Interval
    by_speaker: Interval
    speakers: list[SpeakerScore]
    confusions: list[tuple[str, str, int]]
    references: dict[str, str]
    hypotheses: dict[str, str]
    normalise: str
    seed: int
    errors: dict[str, int]
    split: str = ""
    against: Comparison | None = None
    calibration_error: float | None = None

    def fields(self) -> dict[str, object]:
        """The score's part of a receipt; rates in percent, rounded to two decimals, None where undefined."""
        other = self.against
        compared: dict[str, object] = {}
        if other is not None:
            compared["against"] = other.hypotheses.as_posix()
            compared |= {"against_wer": _percent(other.words.rate), "against_p": round(other.p_value, 6)}
        return {
            "wer": _percent(self.words.rate),
            "wer_low": _percent(self.by_utterance.low),
            "wer_high": _upper_percent(self.by_utterance.high),
            "wer_low_by_speaker": _percent(self.by_speaker.low),
            "wer_high_by_speaker": _upper_percent(self.by_speaker.high),
            "cer": _percent(self.characters.rate),
            "ser": _percent(self.wrong / self.utterances),
            "utterances": self.utterances,
            "words": self.words.reference_length,
            "substitutions": self.words.substitutions,
            "deletions": self.words.deletions,
            "insertions": self.words.insertions,
            "failed": len(self.failed),
            "normalise": self.normalise,
            "bootstrap_seed": self.seed,
            **({} if self.calibration_error is None else {"calibration_error": round(self.calibration_error, 4)}),
            **compared,
        }


def _percent(rate: float | None) -> float | None:
    return None if rate is None else round(100 * rate, 2)


def _upper_percent(rate: float | None) -> float | None:
    # No errors in very many words would round to [0, 0], which no number of words can show.
    return None if rate is None else max(0.01, round(100 * rate, 2))


def _interval_by_speaker(speakers: Sequence[SpeakerScore], seed: int) -> Interval:
    unnamed = sum(one.utterances for one in speakers if one.speaker is None)
    if unnamed:
        utterances = sum(one.utterances for one in speakers)
        reason = f"no interval by speaker: {unnamed:,} of {utterances:,} utterances name no speaker"
        return Interval(None, None, reason)
    errors = np.array([one.words.errors for one in speakers])
    return interval(errors, np.array([one.words.reference_length for one in speakers]), seed, "speaker")


def score_utterances(
    utterances: Sequence[Utterance], hypotheses: Mapping[str, Hypothesis], normalise: str, seed: int
) -> Result:
    """Scores each utterance's hypothesis against its transcript; one that failed or is missing counts as deletions.

    Rates are sums of errors over sums of words, never means over utterances.

    Args:
        utterances: the references, each id once.
        hypotheses: id → what was recognised.
        normalise: name of the normaliser for both sides, see `asr.text`.
        seed: of the bootstrap.

    Raises:
        AsrError: a hypothesis whose utterance is not among the references, or no references.
        UsageError: there is no such normaliser.
    """
    clean = normaliser(normalise)
    if not utterances:
        raise AsrError("there are no utterances to score")
    references = {one.id: clean(one.text) for one in utterances}
    extra = [name for name in hypotheses if name not in references]
    if extra:
        named = ", ".join(extra[:_NAMED]) + (" …" if len(extra) > _NAMED else "")
        raise AsrError(
            f"{len(extra)} of {len(hypotheses)} hypotheses are of utterances that the references do not hold "
            f"({named}); score them against the manifest that was decoded"
        )
    missing = Hypothesis("", "there is no hypothesis")
    answers = {name: hypotheses.get(name, missing) for name in references}
    failed = {name: answer.error for name, answer in answers.items() if answer.error is not None}
    texts = {name: clean(answer.text) for name, answer in answers.items()}

    words: dict[str, Counts] = {}
    characters = Counts()
    confusions: Counter[tuple[str, str]] = Counter()
    by_speaker: dict[str | None, list[Counts]] = {}
    for utterance in utterances:
        reference, text = references[utterance.id], texts[utterance.id]
        said, heard = reference.split(), text.split()
        words[utterance.id] = counts = count(said, heard)
        characters += count(reference, text)
        by_speaker.setdefault(utterance.speaker, []).append(counts)
        if counts.substitutions:
            pairs = align(said, heard)
            confusions.update((one, other) for op, one, other in pairs if op == "substitution" and one and other)

    speakers = [
        SpeakerScore(speaker, len(shares), sum(shares, Counts()))
        for speaker, shares in sorted(by_speaker.items(), key=lambda item: (item[0] is None, item[0] or ""))
    ]
    errors = np.array([one.errors for one in words.values()])
    lengths = np.array([one.reference_length for one in words.values()])
    frequent = sorted(confusions.items(), key=lambda item: (-item[1], item[0]))[:_CONFUSIONS]
    return Result(
        words=sum(words.values(), Counts()),
        characters=characters,
        utterances=len(utterances),
        wrong=sum(bool(one.errors) or name in failed for name, one in words.items()),
        failed=failed,
        by_utterance=interval(errors, lengths, seed),
        by_speaker=_interval_by_speaker(speakers, seed),
        speakers=speakers,
        confusions=[(one, other, times) for (one, other), times in frequent],
        references=references,
        hypotheses=texts,
        normalise=normalise,
        seed=seed,
        errors={name: one.errors for name, one in words.items()},
        calibration_error=_calibration_error(answers, references, texts),
    )


def _calibration_error(
    answers: Mapping[str, Hypothesis], references: Mapping[str, str], texts: Mapping[str, str]
) -> float | None:
    """None where a word lacks its confidence, or normalising has parted or joined words; or if there are no words."""
    confidences: list[float] = []
    correct: list[bool] = []
    for name, answer in answers.items():
        heard = texts[name].split()
        if answer.error is None and len(answer.confidences or ()) != len(heard):
            return None
        confidences += answer.confidences or ()
        correct += correct_words(references[name].split(), heard)
    return expected_calibration_error(confidences, correct) if confidences else None


def score_manifest(manifest: Path, hypotheses: Path, normalise: str, seed: int, against: Path | None = None) -> Result:
    """Scores a file of hypotheses (``hyp.jsonl``) against a manifest; see `score_utterances`.

    Args:
        manifest: the references.
        hypotheses: what was recognised.
        normalise: name of the normaliser for both sides.
        seed: of the resampling.
        against: hypotheses of another system, to be compared with utterance by utterance.

    Raises:
        AsrError: either file is missing or malformed, or they do not belong together.
        UsageError: there is no such normaliser.
    """
    utterances = read_manifest(manifest)
    result = score_utterances(utterances, read_hypotheses(hypotheses), normalise, seed)
    result = replace(result, split=_how_split(manifest.parent / "splits.json"))
    if against is None:
        return result
    other = score_utterances(utterances, read_hypotheses(against), normalise, seed)
    return replace(result, against=_compare(result, other, against))


def _compare(result: Result, other: Result, hypotheses: Path) -> Comparison:
    ours, theirs = np.array(list(result.errors.values())), np.array(list(other.errors.values()))
    better, worse = int(np.count_nonzero(ours < theirs)), int(np.count_nonzero(ours > theirs))
    p_value = paired_permutation(ours, theirs, result.seed)
    return Comparison(hypotheses, other.words, better, worse, len(other.failed), p_value)


def _how_split(path: Path) -> str:
    if not path.exists():
        return ""
    try:
        return str(json.loads(read_text(path))["reason"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise AsrError(f"{path}: not what asr data wrote there; remove it or make the manifests again") from error


def _number(rate: float | None) -> str:
    return "undefined" if rate is None else f"{100 * rate:.2f}"


def _describe(found: Interval) -> str:
    if found.high is None:
        return found.basis
    return f"95 % interval {_number(found.low)} to {_upper_percent(found.high):.2f}, {found.basis}"


def _rates(result: Result) -> Table:
    words, characters = result.words, result.characters
    errors = (
        f"{words.errors:,} errors in {words.reference_length:,} words: {words.substitutions:,} substitutions, "
        f"{words.deletions:,} deletions, {words.insertions:,} insertions"
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(justify="right", style="bold")
    table.add_column(overflow="fold")
    table.add_row("WER %", _number(words.rate), errors)
    table.add_row("", "", _describe(result.by_utterance))
    table.add_row("", "", _describe(result.by_speaker))
    table.add_row(
        "CER %",
        _number(characters.rate),
        f"{characters.errors:,} errors in {characters.reference_length:,} characters, spaces between words included",
    )
    table.add_row(
        "SER %", _number(result.wrong / result.utterances), f"{result.wrong:,} of {result.utterances:,} utterances"
    )
    if result.calibration_error is not None:
        meaning = "expected calibration error: how far, on average, confidence is from the share of right words"
        table.add_row("ECE %", _number(result.calibration_error), meaning)
    return table


def _difference(other: Comparison) -> str:
    failed = f" ({other.failed:,} utterances failed there, scored as deletions)" if other.failed else ""
    return (
        f"Against {other.hypotheses}: its WER is {_number(other.words.rate)} %{failed}; {other.better:,} utterances "
        f"are better here and {other.worse:,} worse. If neither system were better, so great a difference would come "
        f"about by chance with p = {other.p_value:.4f} (paired permutation of utterances)."
    )


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)


def _speakers(result: Result) -> Table:
    table = _table()
    table.add_column("Speaker", overflow="fold")
    for heading in ("Utterances", "Words", "WER %", "Sub", "Del", "Ins"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in result.speakers:
        words = one.words
        table.add_row(
            Text("(not named)" if one.speaker is None else one.speaker),
            f"{one.utterances:,}",
            f"{words.reference_length:,}",
            _number(words.rate),
            f"{words.substitutions:,}",
            f"{words.deletions:,}",
            f"{words.insertions:,}",
        )
    return table


def _confusions(result: Result) -> Table:
    table = _table()
    table.add_column("Times", justify="right", no_wrap=True)
    table.add_column("Reference", overflow="fold")
    table.add_column("Hypothesis", overflow="fold")
    for reference, hypothesis, times in result.confusions:
        table.add_row(f"{times:,}", Text(reference), Text(hypothesis))
    return table


def _draw(result: Result, console: Console) -> None:
    # Texts and ids may hold what rich takes for markup, hence Text everywhere.
    console.print(_rates(result))
    console.print(Text(f"Both sides normalised by {result.normalise!r}; bootstrap seed {result.seed}."))
    if result.split:
        console.print(Text(f"Split: {result.split}"))
    if result.against:
        console.print(Text(_difference(result.against)))
    if result.words.rate is None:
        console.print(Text("The references hold no words: there is no word error rate, only insertions."))
    if any(one.speaker is not None for one in result.speakers):
        console.print()
        console.print(_speakers(result))
    if result.confusions:
        console.print()
        console.print(_confusions(result))
    if result.failed:
        console.print()
        console.print(
            Text(
                f"{len(result.failed):,} of {result.utterances:,} utterances failed, scored as deletions:", style="bold"
            )
        )
        for name, reason in result.failed.items():
            console.print(Text(f"  {name}: {reason}"), soft_wrap=True)


def to_text(result: Result) -> str:
    """The report as plain text."""
    file = io.StringIO()
    _draw(result, Console(file=file, width=_WIDTH, color_system=None, legacy_windows=False))
    return "".join(line.rstrip() + "\n" for line in file.getvalue().split("\n")[:-1])


def print_report(result: Result) -> None:
    """The same on the standard output, in the terminal's width where there is one."""
    console = Console()
    if console.is_terminal:
        _draw(result, console)
    else:
        print(to_text(result), end="")
