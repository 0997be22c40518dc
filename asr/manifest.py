"""Manifests: one JSON line an utterance, with NeMo's field names.

``audio_filepath`` is absolute or relative to the manifest's folder; ``offset`` and ``duration`` [s] cut a segment out
of a longer file, and without ``offset`` the utterance is the whole file. ``id``, ``speaker`` and ``lang`` are optional.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from asr.errors import AsrError
from asr.files import read_text, write_text


@dataclass(frozen=True)
class Utterance:
    """One stretch of speech and what was said.

    Attributes:
        id: unique in its manifest; without white space.
        audio: the audio file, absolute or relative to the working directory.
        duration: length of the utterance [s].
        text: the transcript; empty if nothing was said.
        offset: where it begins in the file [s]; None if it is the whole file.
        speaker: who speaks, where known.
        lang: the language, where known.
    """

    id: str
    audio: Path
    duration: float
    text: str
    offset: float | None = None
    speaker: str | None = None
    lang: str | None = None


_KNOWN = {"audio_filepath": str, "text": str, "id": str, "speaker": str, "lang": str}


def default_id(audio: str, offset: float | None) -> str:
    """The id of an utterance that has none: the path of its audio, and where in it it begins [s]."""
    name = "-".join(part for part in Path(audio).with_suffix("").parts if part not in ("/", ".", ".."))
    return "_".join((name if offset is None else f"{name}@{offset:.2f}").split())


def is_unicode(text: str) -> bool:
    """False for what UTF-8 cannot hold: half a surrogate pair, which is how Python shows a file name of other bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parse(line: str, where: str, folder: Path) -> Utterance:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise AsrError(f"{where}: not a JSON object ({error.msg} at column {error.colno})") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets nested as deep
        raise AsrError(f"{where}: not a JSON object that can be read ({error})") from error
    if not isinstance(fields, dict):
        raise AsrError(f"{where}: a manifest line must be a JSON object, this is {type(fields).__name__}")
    for name in ("audio_filepath", "duration", "text"):
        if name not in fields or (fields[name] is None and name != "text"):
            raise AsrError(f"{where}: the field {name!r} is missing; there are {sorted(fields)}")
    fields = {name: value for name, value in fields.items() if value is not None}
    for name in ("id", "speaker"):  # some manifests number them
        if isinstance(fields.get(name), int):
            fields[name] = str(fields[name])
    for name, kind in _KNOWN.items():
        if name in fields and not isinstance(fields[name], kind):
            raise AsrError(f"{where}: {name!r} must be a string, this is {fields[name]!r}")
        if not is_unicode(fields.get(name, "")):
            raise AsrError(f"{where}: {name!r} holds half a surrogate pair, which is no character; write it again")
    for name in ("duration", "offset"):
        value = fields.get(name, 0.0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= sys.float_info.max:
            raise AsrError(f"{where}: {name!r} must be a number of seconds that is not negative, this is {value!r}")
    audio, offset = fields["audio_filepath"], fields.get("offset")
    if not Path(audio).name or "\0" in audio:
        raise AsrError(f"{where}: 'audio_filepath' must name a file, this is {audio!r}")
    name = fields.get("id") or default_id(audio, offset)
    if len(name.split()) != 1:
        raise AsrError(f"{where}: the id {name!r} must be one word without white space")
    return Utterance(
        id=name,
        audio=folder / audio,
        duration=float(fields["duration"]),
        text=fields.get("text", ""),
        offset=None if offset is None else float(offset),
        speaker=fields.get("speaker"),
        lang=fields.get("lang"),
    )


def read_manifest(path: Path) -> list[Utterance]:
    """Reads a manifest, in its order.

    Raises:
        AsrError: missing file, malformed line, wrong field or an id used twice; the sentence gives file and line.
    """
    utterances: list[Utterance] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        utterance = _parse(line, where, path.parent)
        if utterance.id in seen:
            raise AsrError(f"{where}: the id {utterance.id!r} stands on line {seen[utterance.id]} already")
        seen[utterance.id] = number
        utterances.append(utterance)
    if not utterances:
        raise AsrError(f"{path}: holds no utterances")
    return utterances


def _relative(audio: Path, folder: Path) -> str:
    """``audio`` as seen from ``folder`` (which holds no symbolic link).

    Links on the way to the audio are kept where that leads to the same file: a ``data`` folder that is a link to
    another disk then gives the same manifest as one that is not.
    """
    kept = Path(os.path.abspath(audio))  # noqa: PTH100 (Path.resolve follows links)
    same = kept.exists() and audio.exists() and kept.samefile(audio)
    return Path(os.path.relpath(kept if same else audio.resolve(), folder)).as_posix()


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> None:
    """Writes a manifest sorted by id, audio relative to the manifest's folder, so that it is the same on every machine.

    Raises:
        AsrError: an id occurs twice, a file name is not Unicode, or the file could not be written.
    """
    folder = path.parent.resolve()
    lines: list[str] = []
    previous = None
    for utterance in sorted(utterances, key=lambda one: one.id):
        if utterance.id == previous:
            raise AsrError(f"{path}: two utterances have the id {utterance.id!r} ({utterance.audio})")
        previous = utterance.id
        fields: dict[str, object] = {"id": utterance.id, "audio_filepath": _relative(utterance.audio, folder)}
        if utterance.offset is not None:
            fields["offset"] = round(utterance.offset, 6)
        fields |= {"duration": round(utterance.duration, 6), "text": utterance.text}
        if utterance.speaker is not None:
            fields["speaker"] = utterance.speaker
        if utterance.lang is not None:
            fields["lang"] = utterance.lang
        line = json.dumps(fields, ensure_ascii=False)
        if not is_unicode(line):
            raise AsrError(f"{path}: the name of the file {str(utterance.audio)!r} is not UTF-8; rename it")
        lines.append(line)
    write_text(path, "".join(line + "\n" for line in lines))
