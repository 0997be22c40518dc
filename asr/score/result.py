"""Hypotheses scored against their references: counts of each utterance, their sums, and how far to trust those."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from asr.errors import AsrError
from asr.score.align import Alignment, Counts, align_runs, character_errors, count_pairs
from asr.score.calibration import Bin, correct_words, expected_calibration_error, reliability
from asr.score.hypotheses import Hypothesis
from asr.score.references import Reference
from asr.score.significance import Mapsswe, McNemar, PairedBootstrap, mapsswe, mcnemar, paired_bootstrap
from asr.score.statistics import Interval, interval, paired_permutation
from asr.text import Normaliser, normaliser

Resampled = Literal["utterance", "speaker"]

_NAMED = 5  # ids that a sentence names
_AT_ONCE = 10_000  # utterances split into words at a time, so that memory stays bounded
_MISSING = Hypothesis("", "there is no hypothesis")
# Upper ends of the groups: doubling, so that each holds enough in corpora of short and of long utterances.
_DURATIONS = (1, 2, 4, 8, 16, 32)  # [s]
_LENGTHS = (0, 1, 2, 4, 8, 16, 32)  # [words]


@dataclass(frozen=True)
class Settings:
    """How to score.

    Attributes:
        normalise: name of the normaliser for both sides, see `asr.text`.
        alignment: ``unit``, every error costs 1; or ``sclite``, its costs of 4 a substitution and 3 else.
        resample: what the bootstrap draws.
        seed: of the bootstrap.
        allow_extra: pass over hypotheses that have no reference.
    """

    normalise: str = "none"
    alignment: Alignment = "unit"
    resample: Resampled = "utterance"
    seed: int = 1
    allow_extra: bool = False


@dataclass(frozen=True)
class Group:
    """A part of the utterances and its counts.

    Attributes:
        name: the speaker's, None for utterances that name none; or the range of durations or reference lengths.
        utterances: how many.
        words: their counts.
    """

    name: str | None
    utterances: int
    words: Counts


@dataclass(frozen=True)
class Result:
    """Hypotheses scored against their references.

    Attributes:
        settings: how.
        utterances: what was said, in the references' order.
        answers: id → what was recognised, in the same order; `Hypothesis.error` where nothing was.
        references: id → normalised reference.
        hypotheses: id → the same of the hypothesis.
        counts: int64, shape (utterances, 4): hits, substitutions, deletions and insertions of words.
        characters: in the references, spaces between words included, but not those beside scripts without spaces.
        character_errors: edit distance over characters.
        failed: id → reason of those without a hypothesis, which are scored as deletions.
        extra: ids of hypotheses that have no reference and were passed over.
        by_utterance: 95 % interval of the WER, resampling utterances.
        by_speaker: the same, resampling speakers.
        speakers, durations, lengths: the utterances grouped by speaker, duration and reference length.
        confusions: (reference word, hypothesis word) → times.
        deletions, insertions: word → times.
        calibration: the words by their confidence; empty where not every word has one.
        calibration_error: the expected calibration error; None likewise.
        notes: what was noticed in reading, a sentence each.
        split: how train, dev and test were parted, where that is known.
    """

    settings: Settings
    utterances: list[Reference]
    answers: dict[str, Hypothesis]
    references: dict[str, str]
    hypotheses: dict[str, str]
    counts: np.ndarray
    characters: int
    character_errors: int
    failed: dict[str, str]
    extra: list[str]
    by_utterance: Interval
    by_speaker: Interval
    speakers: list[Group]
    durations: list[Group]
    lengths: list[Group]
    confusions: Counter[tuple[str, str]]
    deletions: Counter[str]
    insertions: Counter[str]
    calibration: list[Bin] = field(default_factory=list)
    calibration_error: float | None = None
    notes: list[str] = field(default_factory=list)
    split: str = ""

    @property
    def words(self) -> Counts:
        """The counts of words over all utterances."""
        return _sum(self.counts)

    @property
    def errors(self) -> np.ndarray:
        """Errors of each utterance, shape (utterances,)."""
        return self.counts[:, 1:].sum(axis=1)

    @property
    def wrong(self) -> int:
        """Utterances that hold an error or failed."""
        failed = np.array([name in self.failed for name in self.references])
        return int(np.count_nonzero((self.errors > 0) | failed))

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the WER over what the settings resample."""
        return self.by_speaker if self.settings.resample == "speaker" else self.by_utterance


def _sum(counts: np.ndarray) -> Counts:
    return Counts(*map(int, counts.sum(axis=0)))


def score(
    references: Sequence[Reference],
    hypotheses: Mapping[str, Hypothesis],
    settings: Settings,
    notes: Sequence[str] = (),
    split: str = "",
    source: Path | None = None,
) -> Result:
    """Scores each hypothesis against its reference; one that failed or is missing counts as deletions.

    Rates are sums of errors over sums of words, never means over utterances.

    Args:
        references: each id once.
        hypotheses: id → what was recognised, in any order.
        settings: how to score.
        notes: what was noticed in reading.
        split: how train, dev and test were parted, where that is known.
        source: the hypotheses' file, for sentences.

    Raises:
        AsrError: no references; hypotheses without a reference that are not allowed; intervals over speakers wanted
            and not every reference names its speaker; sclite's costs wanted, and no numba or an utterance too long.
        UsageError: there is no such normaliser.
    """
    chosen = normaliser(settings.normalise)
    if settings.alignment == "sclite" and find_spec("numba") is None:
        raise AsrError("--alignment sclite needs numba, which is not installed; install it, or take --alignment unit")
    if not references:
        raise AsrError("there are no utterances to score")
    names = [one.id for one in references]
    extra = _extra(set(names), hypotheses, settings.allow_extra, source)
    answers = {name: hypotheses.get(name, _MISSING) for name in names}
    normalised = {one.id: chosen.change(one.text) for one in references}
    texts = {name: chosen.change(answer.text) for name, answer in answers.items()}
    said, heard = (list(map(chosen.characters, side.values())) for side in (normalised, texts))
    counts, confusions, deletions, insertions = _count(normalised, texts, chosen, settings)
    speakers = _grouped(counts, [one.speaker for one in references])
    errors, lengths = counts[:, 1:].sum(axis=1), counts[:, :3].sum(axis=1)
    by_speaker = _interval_by_speaker(speakers, settings.seed)
    if settings.resample == "speaker" and any(one.name is None for one in speakers):
        raise AsrError(f"{by_speaker.basis}; leave out --resample speaker, or name the speakers (--utt2spk)")
    calibration = _calibration(answers, normalised, texts, chosen)
    return Result(
        settings=settings,
        utterances=list(references),
        answers=answers,
        references=normalised,
        hypotheses=texts,
        counts=counts,
        characters=sum(map(len, said)),
        character_errors=int(character_errors(said, heard).sum()),
        failed={name: answer.error for name, answer in answers.items() if answer.error is not None},
        extra=extra,
        by_utterance=interval(errors, lengths, settings.seed),
        by_speaker=by_speaker,
        speakers=speakers,
        durations=_ranged(counts, [one.duration for one in references], _DURATIONS, "s"),
        lengths=_ranged(counts, lengths.tolist(), _LENGTHS, "words"),
        confusions=confusions,
        deletions=deletions,
        insertions=insertions,
        calibration=reliability(*calibration) if calibration else [],
        calibration_error=expected_calibration_error(*calibration) if calibration else None,
        notes=list(notes),
        split=split,
    )


def _extra(known: set[str], hypotheses: Mapping[str, Hypothesis], allowed: bool, source: Path | None) -> list[str]:
    extra = [name for name in hypotheses if name not in known]
    if extra and not allowed:
        where = "" if source is None else f"{source}: "
        named = ", ".join(extra[:_NAMED]) + (" …" if len(extra) > _NAMED else "")
        raise AsrError(
            f"{where}{len(extra):,} of {len(hypotheses):,} hypotheses are of utterances that the references do not "
            f"hold ({named}); score them against what was decoded, or pass them over with --allow-extra"
        )
    return extra


def _count(
    references: Mapping[str, str], hypotheses: Mapping[str, str], chosen: Normaliser, settings: Settings
) -> tuple[np.ndarray, Counter[tuple[str, str]], Counter[str], Counter[str]]:
    """Counts of each pair, and which words were confused, left out and put in."""
    names, said_texts, heard_texts = list(references), list(references.values()), list(hypotheses.values())
    counts = np.empty((len(names), 4), dtype=np.int64)
    confusions: Counter[tuple[str, str]] = Counter()
    deletions: Counter[str] = Counter()
    insertions: Counter[str] = Counter()
    for start in range(0, len(names), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        said, heard = list(map(chosen.split, said_texts[some])), list(map(chosen.split, heard_texts[some]))
        if settings.alignment == "sclite":
            _refuse_long(names[some], said, heard)
        counts[some] = part = count_pairs(said, heard, settings.alignment)
        confused: list[tuple[str, str]] = []
        left_out: list[str] = []
        put_in: list[str] = []
        for index in np.flatnonzero(part[:, 1:].any(axis=1)).tolist():
            ours, theirs = said[index], heard[index]
            for operation, first, last, first_heard, last_heard in align_runs(ours, theirs, settings.alignment):
                if operation == "substitution":
                    confused += zip(ours[first:last], theirs[first_heard:last_heard], strict=True)
                elif operation == "deletion":
                    left_out += ours[first:last]
                elif operation == "insertion":
                    put_in += theirs[first_heard:last_heard]
        confusions.update(confused)
        deletions.update(left_out)
        insertions.update(put_in)
    return counts, confusions, deletions, insertions


def _refuse_long(names: Sequence[str], said: Sequence[Sequence[str]], heard: Sequence[Sequence[str]]) -> None:
    from asr.score.sclite_align import MOST_CELLS  # brings numba, which unit costs do without

    for name, one, other in zip(names, said, heard, strict=True):
        if len(one) * len(other) > MOST_CELLS:
            raise AsrError(
                f"{name}: {len(one):,} words against {len(other):,} are too many for an alignment with sclite's costs; "
                "cut it into shorter utterances, or take --alignment unit"
            )


def _grouped(counts: np.ndarray, names: Sequence[str | None]) -> list[Group]:
    """By name, those without one at the end."""
    rows: dict[str | None, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(name, []).append(row)
    order = sorted(rows, key=lambda name: (name is None, name or ""))
    return [Group(name, len(rows[name]), _sum(counts[rows[name]])) for name in order]


def _ranged(counts: np.ndarray, values: Sequence[float | None], ends: Sequence[int], unit: str) -> list[Group]:
    """By value, in ranges that end at ``ends`` (inclusive) and one above; empty ranges and unknown values left out."""
    known = np.array([row for row, value in enumerate(values) if value is not None], dtype=np.int64)
    place = np.searchsorted(np.array(ends), np.array([values[row] for row in known], dtype=np.float64), side="left")
    groups = []
    for number, low in enumerate((None, *ends)):
        rows = known[place == number]
        if len(rows):
            groups.append(Group(_range_name(low, number, ends, unit), len(rows), _sum(counts[rows])))
    return groups


def _range_name(low: int | None, number: int, ends: Sequence[int], unit: str) -> str:
    """Words are whole numbers (3–4 words), seconds are not (2–4 s, which 2 s itself does not belong to)."""
    if number == len(ends):
        return f"over {low} {unit}"
    high = ends[number]
    first = 0 if low is None else low + 1 if unit == "words" else low
    if first == high:
        return f"{high} word" if high == 1 else f"{high} {unit}"
    return f"{first}–{high} {unit}"


def _interval_by_speaker(speakers: Sequence[Group], seed: int) -> Interval:
    unnamed = sum(one.utterances for one in speakers if one.name is None)
    if unnamed:
        utterances = sum(one.utterances for one in speakers)
        reason = f"no interval by speaker: {unnamed:,} of {utterances:,} utterances name no speaker"
        return Interval(None, None, reason)
    errors = np.array([one.words.errors for one in speakers])
    return interval(errors, np.array([one.words.reference_length for one in speakers]), seed, "speaker")


def _calibration(
    answers: Mapping[str, Hypothesis], references: Mapping[str, str], texts: Mapping[str, str], chosen: Normaliser
) -> tuple[list[float], list[bool]] | None:
    """Confidence and truth of each word; None where one lacks its confidence, or normalising parted or joined words."""
    confidences: list[float] = []
    correct: list[bool] = []
    for name, answer in answers.items():
        if answer.error is not None:
            continue
        heard = chosen.split(texts[name])
        if len(answer.confidences or ()) != len(heard):
            return None
        confidences += answer.confidences or ()
        correct += correct_words(chosen.split(references[name]), heard)
    return (confidences, correct) if confidences else None


@dataclass(frozen=True)
class Comparison:
    """The same utterances by another system, and whether the difference is more than chance.

    Attributes:
        names: what the two systems are called, this one first.
        path: the other's file.
        other: its result.
        better, worse: utterances in which this system makes fewer, or more, errors than the other.
        segments: matched-pairs sentence-segment word error test; None where it cannot be made.
        bootstrap: paired bootstrap of the difference in WER; None for fewer than two units, or no words.
        sentences: McNemar's test on utterances right and wrong.
        permutation: p-value of the paired permutation of utterances.
        left_out: a sentence on why there are no segments; empty if there are.
    """

    names: tuple[str, str]
    path: Path
    other: Result
    better: int
    worse: int
    segments: Mapsswe | None
    bootstrap: PairedBootstrap | None
    sentences: McNemar
    permutation: float
    left_out: str = ""


def compare(result: Result, other: Result, path: Path, names: tuple[str, str]) -> Comparison:
    """Compares two systems that were scored on the same references with the same settings.

    Args:
        result: this system's.
        other: the other's.
        path: its hypotheses' file.
        names: what sentences call the two.
    """
    settings = result.settings
    split = normaliser(settings.normalise).split
    said, heard, heard_there = (
        list(map(split, texts.values())) for texts in (result.references, result.hypotheses, other.hypotheses)
    )
    segments, left_out = _segments(said, heard, heard_there)
    ours, theirs, words = result.errors, other.errors, result.counts[:, :3].sum(axis=1)
    units = np.stack([ours, theirs, words])
    if settings.resample == "speaker":
        pairs = zip(result.speakers, other.speakers, strict=True)
        units = np.array([(one.words.errors, two.words.errors, one.words.reference_length) for one, two in pairs]).T
    return Comparison(
        names=names,
        path=path,
        other=other,
        better=int(np.count_nonzero(ours < theirs)),
        worse=int(np.count_nonzero(ours > theirs)),
        segments=segments,
        bootstrap=paired_bootstrap(units[0], units[1], units[2], settings.seed, settings.resample),
        sentences=mcnemar(ours, theirs),
        permutation=paired_permutation(ours, theirs, settings.seed),
        left_out=left_out,
    )


def _segments(
    said: Sequence[Sequence[str]], heard: Sequence[Sequence[str]], heard_there: Sequence[Sequence[str]]
) -> tuple[Mapsswe | None, str]:
    """The test, or a sentence on why there is none: the other tests do without numba, and take texts of any length."""
    if find_spec("numba") is None:
        return None, "MAPSSWE is left out: it needs numba, which is not installed."
    try:
        return mapsswe(said, heard, heard_there), ""
    except AsrError:
        return None, "MAPSSWE is left out: an utterance has too many words for sclite's alignment."
