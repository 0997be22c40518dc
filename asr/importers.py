"""Making utterances of your own recordings: a folder, a table (CSV or TSV), a Kaldi data directory.

Each importer lists candidates; `check` then decodes every recording from end to end, so that what is broken is named
before training and not in the middle of it. What cannot be used is kept with its reason, never dropped in silence.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from asr.audio import DURATION_TOLERANCE, SUFFIXES, examine
from asr.columns import AUDIO_COLUMNS, SPEAKER_COLUMNS, TEXT_COLUMNS
from asr.errors import AsrError, UsageError
from asr.ffmpeg import SUFFIXES as FFMPEG_SUFFIXES
from asr.files import read_text, write_text
from asr.manifest import Utterance, is_unicode, write_manifest
from asr.splits import Split

# Also what libsndfile does not read: such a recording is to be refused by name, not overlooked.
AUDIO_SUFFIXES = SUFFIXES | FFMPEG_SUFFIXES | {".aup"}


@dataclass(frozen=True)
class Candidate:
    """A recording and its transcript as they were found, unchecked; ``end`` [s] is None for the end of the file."""

    id: str
    audio: Path
    text: str
    where: str
    speaker: str | None = None
    offset: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Skipped:
    """What was left out and why."""

    what: str
    reason: str


@dataclass
class Found:
    candidates: list[Candidate] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def _id(parts: Iterable[str]) -> str:
    return "_".join("-".join(parts).split())


def _files(folder: Path) -> Iterator[Path]:
    """Every file under a folder, links followed (but not in circles), hidden ones left out, in a stable order."""
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        true = os.path.realpath(root)
        folders[:] = [] if true in seen else sorted(name for name in folders if not name.startswith("."))
        names = [] if true in seen else sorted(name for name in names if not name.startswith("."))
        seen.add(true)
        yield from (Path(root, name) for name in names)


def from_folder(folder: Path) -> Found:
    """Pairs ``name.wav`` (or .flac, .mp3 …) with ``name.txt`` in every subfolder; the first level names the speakers.

    Raises:
        UsageError: not a folder.
        AsrError: there is no audio in it.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    files = list(_files(folder))
    audio = [path for path in files if path.suffix.lower() in AUDIO_SUFFIXES]
    if not audio:
        raise AsrError(f"{folder}: holds no audio files; name.txt is to lie beside name.wav, name.flac, name.mp3 …")
    transcripts = {path.with_suffix(""): path for path in files if path.suffix.lower() == ".txt"}
    found, paired = Found(), set[Path]()
    for path in audio:
        stem = path.with_suffix("")
        parts = stem.relative_to(folder).parts
        if not is_unicode(str(path)):
            shown = os.fsencode(path).decode(errors="backslashreplace")
            found.skipped.append(Skipped(shown, "the name is not UTF-8; rename the file"))
        elif stem not in transcripts:
            found.skipped.append(Skipped(str(path), f"there is no {path.stem}.txt beside it"))
        elif stem in paired:
            found.skipped.append(Skipped(str(path), f"another recording is paired with {path.stem}.txt already"))
        else:
            paired.add(stem)
            try:
                text = read_text(transcripts[stem])
            except AsrError as error:
                found.skipped.append(Skipped(str(path), str(error)))
                continue
            speaker = "_".join(parts[0].split()) if len(parts) > 1 else None
            found.candidates.append(Candidate(_id(parts), path, text, str(path), speaker))
    alone = (
        Skipped(str(text), "there is no recording of that name beside it")
        for stem, text in transcripts.items()
        if stem not in paired and is_unicode(str(text))
    )
    found.skipped.extend(alone)
    return found


def _column(table: Path, header: list[str], given: str | None, common: tuple[str, ...], what: str) -> str | None:
    """The name of a column: as given, or the first of the common names that the header has."""
    if given is not None:
        if given not in header:
            raise UsageError(f"{table}: has no column {given!r}; there are {', '.join(header)}")
        return given
    for name in common:
        for column in header:
            if column.strip().lower() == name:
                return column
    if what == "speaker":
        return None
    raise UsageError(f"{table}: none of its columns ({', '.join(header)}) looks like {what}; name it with --{what}")


def from_table(
    table: Path,
    delimiter: str,
    audio: str | None = None,
    text: str | None = None,
    speaker: str | None = None,
    audio_folder: Path | None = None,
) -> Found:
    """One utterance a line, under a header line; Common Voice's tables are read as they are.

    Columns not given are guessed from `AUDIO_COLUMNS`, `TEXT_COLUMNS` and `SPEAKER_COLUMNS`. Audio paths are relative
    to ``audio_folder``, by default the table's own folder or the folder ``clips`` in it.

    Raises:
        UsageError: a column is not there, or cannot be guessed.
        AsrError: the table cannot be read or holds no line.
    """
    # Common Voice writes quotation marks as they are, where CSV doubles them.
    tabs = delimiter == "\t"
    lines = io.StringIO(read_text(table), newline="")
    reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL)
    bases = [audio_folder] if audio_folder else [table.parent, table.parent / "clips"]
    found, seen = Found(), dict[str, int]()
    try:
        header = next(reader, [])
        if len(header) < 2:
            raise AsrError(f"{table}:1: a header line of columns parted by {delimiter!r} is needed, this is {header}")
        columns = [
            _column(table, header, audio, AUDIO_COLUMNS, "audio"),
            _column(table, header, text, TEXT_COLUMNS, "text"),
            _column(table, header, speaker, SPEAKER_COLUMNS, "speaker"),
        ]
        places = [None if column is None else header.index(column) for column in columns]
        for row in reader:
            where = f"{table}:{reader.line_num}"
            if not row:
                continue
            if len(row) != len(header):
                found.skipped.append(Skipped(where, f"has {len(row)} columns, the header has {len(header)}"))
                continue
            name, said, who = (None if place is None else row[place].strip() for place in places)
            if not name or "\0" in name or not Path(name).name:
                found.skipped.append(Skipped(where, "names no audio file"))
            elif name in seen:
                found.skipped.append(Skipped(where, f"{name} stands on line {seen[name]} already"))
            else:
                seen[name] = reader.line_num
                # Path.is_file would raise for what is too long to be a name: a sentence, where the column is wrong.
                paths = [base / name for base in bases]
                path = next((place for place in paths if os.path.isfile(place)), paths[0])  # noqa: PTH113
                spoken_by = "_".join(who.split()) if who else None
                parts = [part for part in Path(name).with_suffix("").parts if part not in ("/", ".", "..")]
                found.candidates.append(Candidate(_id(parts), path, said or "", where, spoken_by))
    except csv.Error as error:
        raise AsrError(f"{table}:{reader.line_num}: not a table that can be read ({error})") from error
    if not found.candidates and not found.skipped:
        raise AsrError(f"{table}: holds nothing but its header")
    return found


def _kaldi_lines(path: Path) -> dict[str, tuple[int, str]]:
    """``key rest of the line``, with line numbers.

    Raises:
        AsrError: a key occurs twice, or the file cannot be read.
    """
    entries: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        key, *rest = line.split(maxsplit=1) or [""]
        if not key:
            continue
        if key in entries:
            raise AsrError(f"{path}:{number}: {key!r} stands on line {entries[key][0]} already")
        entries[key] = (number, rest[0].strip() if rest else "")
    return entries


def _kaldi_recordings(folder: Path) -> dict[str, Path]:
    """``wav.scp``; a path is relative to the working directory, as in Kaldi, or else to the data directory."""
    recordings = {}
    for key, (number, value) in _kaldi_lines(folder / "wav.scp").items():
        if value.endswith("|") or value.startswith("|"):
            raise AsrError(
                f"{folder / 'wav.scp'}:{number}: {key!r} is a command ({value!r}), which is not run; "
                "write its output to a file and name that"
            )
        path = Path(value)
        # Path.exists would raise for what is too long to be a name.
        elsewhere = not os.path.exists(path) and os.path.exists(folder / path)  # noqa: PTH110
        recordings[key] = folder / path if elsewhere else path
    return recordings


def from_kaldi(folder: Path) -> Found:
    """A Kaldi data directory: ``wav.scp`` and ``text``, and ``segments`` and ``utt2spk`` where there.

    Raises:
        UsageError: not a folder.
        AsrError: a file is missing or malformed, or a recording is a command.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    recordings = _kaldi_recordings(folder)
    texts = _kaldi_lines(folder / "text")
    speakers = _kaldi_lines(folder / "utt2spk") if (folder / "utt2spk").exists() else {}
    segments = _kaldi_lines(folder / "segments") if (folder / "segments").exists() else None
    found = Found()
    spans: dict[str, tuple[str, float | None, float | None]] = {name: (name, None, None) for name in recordings}
    if segments is not None:
        spans = {}
        for name, (number, value) in segments.items():
            try:
                recording, begin, end = value.split()
                start, stop = float(begin), float(end)
                if not (math.isfinite(start) and math.isfinite(stop)):
                    raise ValueError(f"{begin} to {end}")
                spans[name] = (recording, start, stop if stop >= 0 else None)  # -1: to the end of the recording
            except ValueError as error:
                where = f"{folder / 'segments'}:{number}"
                raise AsrError(f"{where}: must be an utterance, its recording, start and end [s]") from error
    for name, (source, offset, until) in spans.items():
        if name not in texts:
            found.skipped.append(Skipped(name, f"has no line in {folder / 'text'}"))
        elif source not in recordings:
            found.skipped.append(Skipped(name, f"its recording {source!r} has no line in {folder / 'wav.scp'}"))
        else:
            speaker = speakers[name][1] or None if name in speakers else None
            found.candidates.append(Candidate(name, recordings[source], texts[name][1], name, speaker, offset, until))
    listing = "wav.scp" if segments is None else "segments"
    found.skipped += [Skipped(name, f"has no line in {folder / listing}") for name in texts if name not in spans]
    return found


def _duration(candidate: Candidate) -> float:
    """The true length [s], everything decoded.

    Raises:
        AsrError: unreadable, silent, or a segment that the file does not hold.
    """
    if candidate.offset is None:
        return examine(candidate.audio)
    wanted = None if candidate.end is None else candidate.end - candidate.offset
    if wanted is not None and not wanted > 0:
        raise AsrError(f"the segment ends at {candidate.end} s, not after its start at {candidate.offset} s")
    duration = examine(candidate.audio, candidate.offset, wanted)
    if wanted is not None and wanted - duration > DURATION_TOLERANCE:
        raise AsrError(
            f"{candidate.audio}: the segment ends at {candidate.end} s, the file {wanted - duration:.2f} s before"
        )
    return duration


def check(
    found: Found, normalise: Callable[[str], str], progress: Callable[[int, int], None]
) -> tuple[list[Utterance], list[Skipped]]:
    """Decodes every candidate and normalises its transcript.

    Args:
        progress: told after each candidate how many are done, and of how many.

    Returns:
        The utterances that can be used, and all that was skipped, each with its reason.
    """
    utterances: dict[str, Utterance] = {}
    skipped = list(found.skipped)
    for number, one in enumerate(found.candidates, start=1):
        text = normalise(one.text)
        try:
            if not text:
                raise AsrError(
                    "its transcript is empty" + (f" once normalised ({one.text.strip()!r})" if one.text.strip() else "")
                )
            if one.id in utterances:
                raise AsrError(f"its id {one.id!r} is that of {utterances[one.id].audio} too; rename one of them")
            utterances[one.id] = Utterance(one.id, one.audio, _duration(one), text, one.offset, one.speaker)
        except AsrError as error:
            skipped.append(Skipped(one.where, str(error).removeprefix(f"{one.where}: ")))
        progress(number, len(found.candidates))
    return list(utterances.values()), skipped


def write_split(out: Path, split: Split, seed: int, normaliser: str, skipped: list[Skipped]) -> dict[str, Path]:
    """Writes ``train.jsonl``, ``dev.jsonl``, ``test.jsonl`` and, to say how they came about, ``splits.json``.

    Raises:
        AsrError: a file could not be written.
    """
    paths = {}
    for name, utterances in split.sets().items():
        paths[name] = out / f"{name}.jsonl"
        write_manifest(paths[name], utterances)
    report = {
        "by": split.by,
        "reason": split.reason,
        "seed": seed,
        "normaliser": normaliser,
        "sets": {
            name: {
                "utterances": len(utterances),
                "hours": round(sum(one.duration for one in utterances) / 3600, 4),
                "speakers": sorted({one.speaker for one in utterances if one.speaker}),
            }
            for name, utterances in split.sets().items()
        },
        "skipped": [{"what": one.what, "reason": one.reason} for one in skipped],
    }
    write_text(out / "splits.json", json.dumps(report, ensure_ascii=False, indent=2) + "\n")
    return paths
