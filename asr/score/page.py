"""One HTML file with everything a score says: numbers, plots, and every utterance to read, see and hear."""

from __future__ import annotations

import base64
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.files import replacing
from asr.page import embedded, page
from asr.score.align import align
from asr.score.media import MediaSettings, Recording, Resolution, posterior_bytes, recordings, resolution
from asr.score.report import frequent, how_scored
from asr.score.result import Comparison, Group, Result
from asr.score.statistics import Interval
from asr.text import normaliser

if TYPE_CHECKING:
    from asr.decode.posteriors import Posteriors

_HERE = Path(__file__).parent
_STYLE = _HERE / "page.css"
# In this order.
_SCRIPTS = (
    "elements",
    "rows",
    "plots",
    "summary",
    "tables",
    "words",
    "list",
    "player",
    "pictures",
    "recording",
    "start",
)
_FREQUENT = 50  # confusions, deletions and insertions that the page lists
_LETTERS = {"hit": "h", "substitution": "s", "deletion": "d", "insertion": "i"}
_TICKS = 100  # of a second, in which times are kept
_SURE = 99  # a confidence is kept as two digits, of which 99 is 1

Progress = Callable[[int, int | None], None]


def write_page(
    path: Path,
    result: Result,
    comparison: Comparison | None,
    receipt: Mapping[str, object],
    history: Sequence[Mapping[str, object]] = (),
    posteriors: Path | None = None,
    media: MediaSettings | None = None,
    report: Progress = lambda done, total: None,
) -> None:
    """Writes the page, whole or not at all.

    What the list needs stands in front; what opening an utterance shows (audio, spectrogram, posteriors) follows piece
    by piece, so that neither writing nor opening the page waits for all of it.

    Args:
        path: the file.
        result: the score.
        comparison: with another system, where there is one.
        receipt: how the number came about, any JSON.
        history: what training wrote about each epoch; may be empty.
        posteriors: file of posteriors of these hypotheses, see `asr.decode.posteriors`.
        media: what it may hold of the recordings, where references name them.
        report: is told how many recordings are done, and of how many.

    Raises:
        AsrError: the file could not be written, or that of the posteriors is damaged.
    """
    media = media or MediaSettings()
    kept = resolution(sum(one.utterance.duration for one in result.utterances if one.utterance is not None))
    found = _read_posteriors(posteriors)
    title = _title(receipt)
    told = page_data(result, comparison, receipt, history)
    if kept is None:
        told["notes"].append("There are so many hours of recordings that the page holds no spectrograms.")
    data = {
        **told,
        "title": title,
        "spectrogram": None
        if kept is None
        else {"shift": kept.shift / 1000, "bands": kept.bands, "levels": kept.levels},
        "posteriors": None if found is None else {"tokens": found.tokens, "shift": found.frame_seconds},
    }
    scripts = [_HERE / f"page_{name}.js" for name in _SCRIPTS]
    whole = page(title, (_HERE / "page.html").read_text(encoding="utf-8"), [_STYLE], scripts, data)
    head, end, foot = whole.rpartition("</body>")
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.write(head)
        for row, detail in _details(result, comparison, found, media, kept, path.parent, report):
            file.write(f'<script type="application/json" id="detail-{row}">{embedded(detail)}</script>\n')
        file.write(end + foot)


def _read_posteriors(path: Path | None) -> Posteriors | None:
    if path is None:
        return None
    from asr.decode.posteriors import read_posteriors

    return read_posteriors(path)


def _title(receipt: Mapping[str, object]) -> str:
    named = [str(receipt[key]) for key in ("corpus", "split", "system") if receipt.get(key)]
    files = [str(receipt[key]) for key in ("hypotheses", "manifest") if receipt.get(key)]
    return " · ".join(named) or " against ".join(files) or "Word error rate"


def page_data(
    result: Result,
    comparison: Comparison | None,
    receipt: Mapping[str, object],
    history: Sequence[Mapping[str, object]] = (),
) -> dict[str, Any]:
    """What the page's script is told, but for recordings: JSON, columns rather than rows so that it stays small.

    The arguments are those of `write_page`.
    """
    results = [result] if comparison is None else [result, comparison.other]
    names = list(comparison.names) if comparison else [str(receipt.get("system") or receipt.get("hypotheses") or "")]
    return {
        "systems": [_summary(one, name) for one, name in zip(results, names, strict=True)],
        "how": how_scored(result),
        "split": result.split,
        "notes": list(result.notes),
        "extra": len(result.extra),
        "tests": [] if comparison is None else _tests(comparison),
        "difference": None if comparison is None else _difference(comparison),
        "history": _finite(list(history)),
        "groups": {
            kind: _groups([getattr(one, kind) for one in results]) for kind in ("speakers", "durations", "lengths")
        },
        "confusions": [[*words, times] for words, times in frequent(result.confusions, _FREQUENT)],
        "deletions": _words(result.deletions),
        "insertions": _words(result.insertions),
        "calibration": [[one.low, one.high, one.words, one.confidence, one.accuracy] for one in result.calibration],
        "receipt": _finite(dict(receipt)),
        "utterances": _utterances(result),
        "heard": [_heard(one) for one in results],
    }


def _summary(result: Result, name: str) -> dict[str, Any]:
    words, characters = result.words, result.characters
    return {
        "name": name,
        "wer": words.rate,
        "intervals": [_interval(one) for one in _intervals(result)],
        "cer": result.character_errors / characters if characters else None,
        "characters": characters,
        "character_errors": result.character_errors,
        "wrong": result.wrong,
        "utterances": len(result.utterances),
        "seconds": sum(one.duration or 0.0 for one in result.utterances),
        "words": words.reference_length,
        "substitutions": words.substitutions,
        "deletions": words.deletions,
        "insertions": words.insertions,
        "calibration_error": result.calibration_error,
        "failed": len(result.failed),
    }


def _intervals(result: Result) -> list[Interval]:
    """The one that is asked for first."""
    both = [result.by_utterance, result.by_speaker]
    return both[::-1] if result.settings.resample == "speaker" else both


def _interval(found: Interval) -> dict[str, Any]:
    return {"low": found.low, "high": found.high, "basis": found.basis}


def _difference(comparison: Comparison) -> dict[str, float] | None:
    found = comparison.bootstrap
    return None if found is None else {"low": found.low, "high": found.high}


def _tests(comparison: Comparison) -> list[dict[str, Any]]:
    """Each with its p-value and what it means."""
    tests: list[dict[str, Any]] = []
    for name, test in (
        ("MAPSSWE", comparison.segments),
        ("Paired bootstrap", comparison.bootstrap),
        ("McNemar", comparison.sentences),
    ):
        if test is not None:
            sentence = test.sentence(*comparison.names).removeprefix(f"{name}: ")
            if not sentence.startswith(comparison.names):
                sentence = sentence[:1].upper() + sentence[1:]
            tests.append({"name": name, "p": test.p_value, "sentence": sentence})
    permutation = comparison.permutation
    chance = f"p = {permutation:.4f}" if permutation >= 0.0001 else "p < 0.0001"
    meaning = (
        "If neither system were better, each utterance's two counts of errors could as well stand the other way "
        f"round; so great a difference would come about by that with {chance}."
    )
    return [*tests, {"name": "Paired permutation", "p": permutation, "sentence": meaning}]


def _groups(of_systems: Sequence[Sequence[Group]]) -> list[list[Any]]:
    """Name, utterances, reference words, then errors of each system."""
    others = [{one.name: one.words.errors for one in groups} for groups in of_systems[1:]]
    return [
        [one.name, one.utterances, one.words.reference_length, one.words.errors, *(other[one.name] for other in others)]
        for one in of_systems[0]
    ]


def _words(counts: Counter[str]) -> list[list[Any]]:
    return [[word, times] for word, times in frequent(counts, _FREQUENT)]


def _utterances(result: Result) -> dict[str, Any]:
    """What holds whatever was heard. A speaker is a number in the list of speakers' names, -1 for none."""
    split = normaliser(result.settings.normalise).split
    numbers = {one.name: number for number, one in enumerate(result.speakers) if one.name is not None}
    return {
        "ids": [one.id for one in result.utterances],
        "speaker_names": list(numbers),
        "speakers": [numbers[one.speaker] if one.speaker is not None else -1 for one in result.utterances],
        "durations": [None if one.duration is None else round(one.duration, 2) for one in result.utterances],
        "references": [" ".join(split(text)) for text in result.references.values()],
    }


def _heard(result: Result) -> dict[str, Any]:
    """Of each utterance: hypothesis (0: the same as the reference), operations (one letter each, empty: all hits),
    confidences (two digits each, empty: not known); and why some failed."""
    split = normaliser(result.settings.normalise).split
    hypotheses: list[str | int] = []
    operations: list[str] = []
    confidences: list[str] = []
    wrong = (result.errors > 0).tolist()
    for row, (name, answer) in enumerate(result.answers.items()):
        heard = split(result.hypotheses[name])
        if wrong[row]:
            steps = align(split(result.references[name]), heard, result.settings.alignment)
            operations.append("".join(_LETTERS[operation] for operation, _, _ in steps))
        else:
            operations.append("")
        hypotheses.append(" ".join(heard) if wrong[row] else 0)
        sure = answer.confidences or ()
        confidences.append("".join(f"{round(_SURE * one):02d}" for one in sure) if len(sure) == len(heard) else "")
    rows = {one.id: row for row, one in enumerate(result.utterances)}
    failed = {str(rows[name]): reason for name, reason in result.failed.items()}
    return {"texts": hypotheses, "operations": operations, "confidences": confidences, "failed": failed}


def _finite(value: Any) -> Any:
    """What JSON can hold: a loss may be infinite or no number."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _details(
    result: Result,
    comparison: Comparison | None,
    posteriors: Posteriors | None,
    media: MediaSettings,
    kept: Resolution | None,
    folder: Path,
    report: Progress,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row, what opening it shows), utterances with errors first, for they shall have their audio within the page."""
    errors = result.errors if comparison is None else result.errors + comparison.other.errors
    order = sorted(range(len(result.utterances)), key=lambda row: errors[row] == 0)
    results = [result] if comparison is None else [result, comparison.other]
    spoken = [one for one in (result.utterances[row].utterance for row in order) if one is not None]
    with_audio = recordings(spoken, media, kept, folder)
    done = itertools.count(1)
    for row in order:
        detail = _written(results, row)
        if result.utterances[row].utterance is not None:
            detail |= _seen(next(with_audio), result.utterances[row].id, results, posteriors)
            report(next(done), len(spoken))
        if detail:
            yield row, detail


def _written(results: Sequence[Result], row: int) -> dict[str, Any]:
    """Texts as they were before normalisation, where that has made other words of them."""
    split = normaliser(results[0].settings.normalise).split
    reference = results[0].utterances[row]
    texts = {"reference": (reference.text, results[0].references[reference.id])}
    for number, one in enumerate(results):
        texts[f"hypothesis-{number}"] = (one.answers[reference.id].text, one.hypotheses[reference.id])
    return {name: before for name, (before, after) in texts.items() if before.split() != split(after)}


def _seen(recording: Recording, name: str, results: Sequence[Result], posteriors: Posteriors | None) -> dict[str, Any]:
    detail: dict[str, Any] = {}
    if recording.error is not None:
        return {"error": recording.error}
    if recording.link is not None:
        detail["link"] = recording.link
    for key, held in (("audio", recording.audio), ("spectrogram", recording.spectrogram)):
        if held is not None:
            detail[key] = base64.b64encode(held).decode("ascii")
    if posteriors is not None and name in posteriors:
        detail["posteriors"] = base64.b64encode(posterior_bytes(*posteriors.of(name))).decode("ascii")
    times = [one.answers[name].times or () for one in results]
    if any(times):
        detail["times"] = [[round(_TICKS * second) for pair in one for second in pair] for one in times]
    return detail
