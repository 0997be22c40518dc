"""References and hypotheses in tables with a header (CSV, TSV), whose columns have usual names or are named."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.columns import AUDIO_COLUMNS, SPEAKER_COLUMNS
from asr.errors import AsrError, UsageError
from asr.manifest import default_id
from asr.score.controls import check_id, visible
from asr.score.formats import HYPOTHESIS_HEADINGS, REFERENCE_HEADINGS, delimiter, heading
from asr.score.references import Reference

_IDS = ("id", "utt_id", "utterance_id", "uttid", "utt", "key", "audio_id", "segment_id", "file_id")
_DURATIONS = ("duration", "duration_s", "duration_sec", "seconds", "audio_duration", "length_s")


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns; None: guessed from usual names, and left out where there is no such column.

    Attributes:
        id: what both sides share; without one, rows are matched in their order.
        reference: the texts of a table of references.
        hypothesis: the texts of a table of hypotheses.
        speaker: who speaks.
        duration: how long [s].
    """

    id: str | None = None
    reference: str | None = None
    hypothesis: str | None = None
    speaker: str | None = None
    duration: str | None = None


@dataclass(frozen=True)
class Rows:
    """A table's utterances; ``columns`` are the names of those of the ids (None: rows are numbered) and the texts."""

    references: dict[str, Reference]
    columns: tuple[str | None, str]


def _place(where: str, header: Sequence[str], named: str | None, usual: Sequence[str], option: str) -> int | None:
    """Which column it is; None if it is not named and none has a usual name."""
    if named is not None:
        if named not in header:
            raise UsageError(
                f"{where}: there is no column {named!r} (--{option}); there are {visible(', '.join(header))}"
            )
        return header.index(named)
    plain = [heading(cell) for cell in header]
    return next((plain.index(name) for name in usual if name in plain), None)


def _rows(path: Path, text: str, parted: str) -> list[tuple[int, list[str]]]:
    """Line number and cells; a blank row is passed over, but an empty cell where there is only one column."""
    # As the importers do: files parted by tabs hold quotation marks as they are, where CSV doubles them.
    # Unlike str.splitlines, and as everywhere here, only \n ends a line.
    lines = io.StringIO(text, newline="\n")
    # Strict, since a lone quotation mark would swallow the lines behind it.
    reader = csv.reader(
        lines, delimiter=parted, quoting=csv.QUOTE_NONE if parted == "\t" else csv.QUOTE_MINIMAL, strict=True
    )
    found: list[tuple[int, list[str]]] = []
    begun, single = 1, False
    limit = csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # of the whole process
    try:
        for row in reader:
            if not row and single:
                row = [""]
            if row:
                single = single or (begun == 1 and len(row) == 1)
                found.append((begun, row))
            begun = reader.line_num + 1
    except csv.Error as error:
        raise AsrError(
            f"{path}:{begun}: not a row that can be read ({error}); is a quotation mark missing, or not doubled?"
        ) from error
    finally:
        csv.field_size_limit(limit)
    return found


def _seconds(cell: str, where: str) -> float | None:
    if not cell.strip():
        return None
    try:
        value = float(cell)
    except ValueError:
        value = -1.0
    if not 0 <= value <= sys.float_info.max:
        raise AsrError(f"{where}: the duration must be a number of seconds that is not negative, this is {cell!r}")
    return value


def read_table(path: Path, text: str, name: str, columns: Columns, hypotheses: bool) -> Rows:
    """Reads a table of references or hypotheses.

    Args:
        path: the file, for sentences.
        text: what it holds.
        name: ``csv`` or ``tsv``.
        columns: names of the columns, where they are given.
        hypotheses: whether the texts wanted are hypotheses, in a table that may hold both.

    Raises:
        UsageError: a column is not there, or that of the texts cannot be guessed.
        AsrError: a row with more or fewer cells than the header, or without its id; an id used twice, or that holds a
            control character.
    """
    rows = iter(_rows(path, text, delimiter(text.partition("\n")[0], name)))
    begun, header = next(rows, (1, []))
    header = [cell.strip() for cell in header]
    where = f"{path}:{begun}"
    option, usual = ("hyp-column", HYPOTHESIS_HEADINGS) if hypotheses else ("ref-column", REFERENCE_HEADINGS)
    place = _place(where, header, columns.hypothesis if hypotheses else columns.reference, usual, option)
    if place is None:
        raise UsageError(
            f"{where}: no column has a usual name of a text ({', '.join(usual[:3])} …); the header is "
            f"{visible(', '.join(header))}; name the column with --{option}"
        )
    id_place = _place(where, header, columns.id, (*_IDS, *AUDIO_COLUMNS), "id-column")
    speaker_place = duration_place = None
    if not hypotheses:
        speaker_place = _place(where, header, columns.speaker, SPEAKER_COLUMNS, "speaker-column")
        duration_place = _place(where, header, columns.duration, _DURATIONS, "duration-column")
    of_audio = id_place is not None and columns.id is None and heading(header[id_place]) in AUDIO_COLUMNS
    found: dict[str, Reference] = {}
    lines: dict[str, int] = {}
    for number, row in rows:
        if len(row) != len(header):
            raise AsrError(f"{path}:{number}: has {len(row)} columns, the header has {len(header)}")
        one = str(len(found) + 1) if id_place is None else row[id_place].strip()
        if of_audio and Path(one).name:  # so that it meets that of a manifest's audio_filepath
            one = default_id(one.replace("\\", "/"), None)  # of Windows too
        if not one:
            raise AsrError(f"{path}:{number}: the id is empty (column {header[id_place or 0]!r})")
        check_id(one, f"{path}:{number}")
        if one in found:
            raise AsrError(f"{path}:{number}: the id {one!r} stands on line {lines[one]} already")
        speaker = None if speaker_place is None else row[speaker_place].strip() or None
        duration = None if duration_place is None else _seconds(row[duration_place], f"{path}:{number}")
        found[one], lines[one] = Reference(one, row[place].strip(), speaker, duration), number
    return Rows(found, (None if id_place is None else header[id_place], header[place]))
