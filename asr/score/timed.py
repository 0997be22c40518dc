"""NIST's formats with times: segments of reference (STM) and recognised words (CTM), and which word is whose."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.errors import AsrError
from asr.score.controls import check_id
from asr.score.formats import check_markup
from asr.score.hypotheses import Hypothesis, check_confidence

_IGNORED = "IGNORE_TIME_SEGMENT_IN_SCORING"

Track = tuple[str, str]  # file and channel


@dataclass(frozen=True)
class Segment:
    """One line of an STM file; ``ignored`` if it is marked not to be scored. Times in seconds."""

    id: str
    track: Track
    speaker: str
    start: float
    end: float
    text: str
    ignored: bool


@dataclass(frozen=True)
class Word:
    """One line of a CTM file: start and duration [s], the word, and how sure it is, 0 to 1, where that is given."""

    start: float
    duration: float
    word: str
    confidence: float | None

    @property
    def middle(self) -> float:
        return self.start + self.duration / 2


def _seconds(field: str, what: str, where: str) -> float:
    try:
        value = float(field)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise AsrError(f"{where}: the {what} must be a number of seconds that is not negative, this is {field!r}")
    return value


def read_stm(path: Path, text: str) -> list[Segment]:
    """The segments of an STM file in its order, those to be ignored among them.

    An id is made of file, channel, start and end [s], as in ``talk_A_12.50-17.25``. A sixth field that begins with
    ``<`` holds labels and no words.

    Raises:
        AsrError: a line with too few fields, wrong times, a control character in its names or NIST's markup of
            alternatives.
    """
    segments: list[Segment] = []
    used: Counter[str] = Counter()
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split(None, 5)
        if not fields or line.startswith(";;"):
            continue
        where = f"{path}:{number}"
        if len(fields) < 5:
            raise AsrError(
                f"{where}: a line of an STM file holds file, channel, speaker, start, end, <labels> and words, "
                f"this has {len(fields)} fields"
            )
        start, end = _seconds(fields[3], "start", where), _seconds(fields[4], "end", where)
        if end < start:
            raise AsrError(f"{where}: the segment ends at {fields[4]} s, before its start at {fields[3]} s")
        words = fields[5].rstrip() if len(fields) == 6 else ""
        if words.startswith("<"):
            words = (words.split(None, 1)[1:] or [""])[0]
        ignored = _IGNORED in words.upper()
        if not ignored:
            check_markup(words, where)
        name = f"{fields[0]}_{fields[1]}_{start:.2f}-{end:.2f}"
        check_id(name, where)
        used[name] += 1  # two may speak at the same time
        name += f"_{used[name]}" if used[name] > 1 else ""
        segments.append(Segment(name, (fields[0], fields[1]), fields[2], start, end, words, ignored))
    return segments


def read_ctm(path: Path, text: str) -> dict[Track, list[Word]]:
    """The words of a CTM file, by file and channel, in the order of their starts.

    Raises:
        AsrError: a line with too few or too many fields, wrong times or confidence, a control character in its file's
            name, or NIST's markup of alternatives.
    """
    tracks: dict[Track, list[Word]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if not fields or line.startswith(";;"):
            continue
        where = f"{path}:{number}"
        if not 5 <= len(fields) <= 8:
            raise AsrError(
                f"{where}: a line of a CTM file holds file, channel, start, duration, word and perhaps confidence, "
                f"type and speaker, this has {len(fields)} fields"
            )
        check_id(fields[0], where)
        check_markup(fields[4], where)
        start, duration = _seconds(fields[2], "start", where), _seconds(fields[3], "duration", where)
        confidence = None
        if len(fields) > 5 and fields[5].upper() != "NA":
            try:
                confidence = check_confidence(float(fields[5]), where)
            except ValueError as error:
                raise AsrError(f"{where}: the confidence must be a number or NA, this is {fields[5]!r}") from error
        tracks.setdefault((fields[0], fields[1]), []).append(Word(start, duration, fields[4], confidence))
    for words in tracks.values():
        words.sort(key=lambda word: word.start)
    return tracks


def as_hypothesis(words: Iterable[Word]) -> Hypothesis:
    """Words in their order, with their times, and with their confidences if each has one."""
    words = list(words)
    sure = [word.confidence for word in words if word.confidence is not None]
    return Hypothesis(
        " ".join(word.word for word in words),
        confidences=tuple(sure) if words and len(sure) == len(words) else None,
        times=tuple((word.start, word.start + word.duration) for word in words) if words else None,
    )


def by_file(path: Path, tracks: dict[Track, list[Word]]) -> dict[str, Hypothesis]:
    """Kaldi's way: the first field is the utterance, one channel each.

    Raises:
        AsrError: an utterance has words in two channels.
    """
    times = Counter(file for file, _ in tracks)
    for file, channels in times.items():
        if channels > 1:
            raise AsrError(
                f"{path}: the utterance {file!r} has words in {channels} channels; to score channels of a recording, "
                "the references must be an STM file"
            )
    return {file: as_hypothesis(words) for (file, _), words in tracks.items()}


def by_segment(segments: list[Segment], tracks: dict[Track, list[Word]]) -> tuple[dict[str, Hypothesis], int]:
    """Gives recognised words to the segments of the same file and channel, as sclite does.

    Segments and words are taken in the order of their starts. A segment gets every word not yet given whose middle
    lies before the segment's end, however long before its start; the last segment gets all that are left. So a word
    between two segments goes to the later one, and no word is lost. Words up to the first one whose middle lies at or
    after the end are given; one behind it that lies before the end stays with it. Words of a segment that is marked to
    be ignored are ignored too. (sclite takes both files as sorted; for such files these are its counts.)

    A segment of a file and channel without any words has no hypothesis, and words whose file and channel have no
    segments are kept under ``file_channel``.

    Returns:
        id → words recognised; and how many words are ignored.
    """
    hypotheses: dict[str, Hypothesis] = {}
    ignored = 0
    by_track: dict[Track, list[Segment]] = {}
    for segment in segments:
        by_track.setdefault(segment.track, []).append(segment)
    for track, words in tracks.items():
        if track not in by_track:
            hypotheses["_".join(track)] = as_hypothesis(words)
            continue
        ordered = sorted(by_track[track], key=lambda segment: segment.start)
        given = 0
        for segment in ordered:
            first = given
            # sclite holds this time, and no other, in single precision, which matters where a middle falls on it.
            end = float(np.float32(segment.end))
            while given < len(words) and (segment is ordered[-1] or words[given].middle < end):
                given += 1
            if segment.ignored:
                ignored += given - first
            else:
                hypotheses[segment.id] = as_hypothesis(words[first:given])
    return hypotheses, ignored
