"""References: what was said, from a manifest or from JSON lines that name no audio."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import AsrError
from asr.manifest import Utterance, default_id, is_unicode


@dataclass(frozen=True, slots=True)
class Reference:
    """What was said in one utterance.

    Attributes:
        id: unique among the references; it may hold white space.
        text: the transcript; empty if nothing was said.
        speaker: who speaks, where known.
        duration: how long [s], where known.
        utterance: with the audio, where a manifest says so.
    """

    id: str
    text: str
    speaker: str | None = None
    duration: float | None = None
    utterance: Utterance | None = None


def json_object(line: str, where: str) -> dict[str, Any]:
    """A line of JSON lines.

    Raises:
        AsrError: not a JSON object.
    """
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise AsrError(
            f"{where}: not a JSON object ({error.msg} at column {error.colno}); JSON lines hold one object a line"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets nested as deep
        raise AsrError(f"{where}: not a JSON object that can be read ({error})") from error
    if not isinstance(fields, dict):
        raise AsrError(
            f"{where}: a line must be a JSON object, this is {type(fields).__name__}; write one object a line"
        )
    return fields


def checked_text(fields: dict[str, Any], name: str, where: str) -> str:
    """A field that must be a string, the empty one where it is not there or null.

    Raises:
        AsrError: it is not a string, or no Unicode.
    """
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise AsrError(f"{where}: {name!r} must be a string, this is {value!r}")
    if not value.isascii() and not is_unicode(value):
        raise AsrError(f"{where}: {name!r} holds half a surrogate pair, which is no character; write it again")
    return value


def checked_seconds(fields: dict[str, Any], name: str, where: str) -> float | None:
    """A field that must be a number of seconds, None where it is not there or null.

    Raises:
        AsrError: it is not a number, negative or infinite.
    """
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= sys.float_info.max:
        raise AsrError(f"{where}: {name!r} must be a number of seconds that is not negative, this is {value!r}")
    return float(value)


def json_id(fields: dict[str, Any], where: str) -> str:
    """The id of a manifest's line, or of one of hypotheses; it may be a number, or come from ``audio_filepath``.

    Raises:
        AsrError: there is none, or it is neither string nor whole number.
    """
    if isinstance(fields.get("id"), int) and not isinstance(fields["id"], bool):
        return str(fields["id"])
    name = checked_text(fields, "id", where)
    if not name and Path(audio := checked_text(fields, "audio_filepath", where)).name:
        name = default_id(audio, checked_seconds(fields, "offset", where))
    if not name:
        raise AsrError(f"{where}: the field 'id' is missing; there are {sorted(fields)}")
    return name


def json_reference(line: str, where: str, folder: Path) -> Reference:
    """One line of a manifest, or of JSON lines that hold no more than ``id`` and ``text``.

    Args:
        line: the JSON object.
        where: file and line, for the sentence.
        folder: what ``audio_filepath`` is relative to.

    Raises:
        AsrError: malformed, or a field is missing or wrong.
    """
    fields = json_object(line, where)
    if "text" not in fields:  # a null is an empty transcript, as in a manifest
        raise AsrError(f"{where}: the field 'text' is missing; there are {sorted(fields)}")
    name, text = json_id(fields, where), checked_text(fields, "text", where)
    if isinstance(fields.get("speaker"), int) and not isinstance(fields["speaker"], bool):  # some manifests number them
        fields["speaker"] = str(fields["speaker"])
    speaker = checked_text(fields, "speaker", where) or None
    duration = checked_seconds(fields, "duration", where)
    audio, utterance = checked_text(fields, "audio_filepath", where), None
    if audio and duration is not None:
        place = Path(audio)
        if not place.name or "\0" in audio:
            raise AsrError(f"{where}: 'audio_filepath' must name a file, this is {audio!r}")
        offset, lang = checked_seconds(fields, "offset", where), checked_text(fields, "lang", where) or None
        utterance = Utterance(name, folder / place, duration, text, offset, speaker, lang)
    return Reference(name, text, speaker, duration, utterance)


def json_references(path: Path, text: str) -> Iterator[tuple[int, str, Reference]]:
    """Line number, id and reference of each line; blank ones are passed over.

    Raises:
        AsrError: a line is malformed, or a field missing or wrong.
    """
    folder = path.parent
    for number, line in enumerate(text.split("\n"), start=1):
        if line and not line.isspace():
            reference = json_reference(line, f"{path}:{number}", folder)
            yield number, reference.id, reference
