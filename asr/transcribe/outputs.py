"""Where transcripts are written: a file a format for each recording, no name twice, nothing overwritten unasked."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import AsrError, UsageError
from asr.files import make_folder, write_text
from asr.transcribe.inputs import STANDARD_INPUT, Recording
from asr.transcribe.transcript import Transcript
from asr.transcribe.writers import WRITERS


@dataclass(frozen=True)
class Job:
    """A recording and the files that its transcript becomes.

    Attributes:
        audio: the recording.
        files: by format, in the order in which they were asked for.
    """

    audio: Path
    files: dict[str, Path]

    @property
    def there(self) -> list[Path]:
        """Those of its files that exist already."""
        return [file for file in self.files.values() if os.path.lexists(file)]

    @property
    def left(self) -> Job:
        """The same without the files that exist already."""
        return Job(self.audio, {kind: file for kind, file in self.files.items() if not os.path.lexists(file)})

    def write(self, transcript: Transcript, least_confidence: float = 0.0) -> None:
        """Writes each file whole or not at all; words less sure than ``least_confidence`` are marked.

        Raises:
            AsrError: a file could not be written.
        """
        for name, file in self.files.items():
            write_text(file, WRITERS[name](least_confidence).write(transcript))


def read_formats(given: str) -> list[str]:
    """``"txt,srt"`` → names of writers, each once.

    Raises:
        UsageError: there is no such format.
    """
    names = [name.strip().lower() for name in given.split(",")]
    for name in names:
        if name not in WRITERS:
            raise UsageError(f"--format {given}: there is no format {name!r}; those there are: {', '.join(WRITERS)}")
    return list(dict.fromkeys(names))


def plan(recordings: Sequence[Recording], formats: Sequence[str], out: Path | None) -> list[Job]:
    """Says where each transcript goes: beside its recording, or into ``out``, laid out as the folders it came from.

    Recordings whose files would have the same names (``talk.wav`` and ``talk.mp3``) keep their extension in them.

    Args:
        recordings: to be transcribed.
        formats: of `WRITERS`.
        out: None: beside the recordings; those of standard input, ``stdin``, in the working directory.

    Raises:
        AsrError: a file would take the place of a recording, or two recordings of one name go into one folder.
    """
    bases = [_base(one, out) for one in recordings]
    alike = Counter(_key(base.with_suffix("")) for base in bases)
    jobs = []
    for one, base in zip(recordings, bases, strict=True):
        name = base.name if alike[_key(base.with_suffix(""))] > 1 else base.stem
        jobs.append(Job(one.audio, {kind: base.with_name(f"{name}.{WRITERS[kind].extension}") for kind in formats}))
    inputs = {_key(one.audio) for one in recordings}
    owners: dict[str, Path] = {}
    for job in jobs:
        for file in job.files.values():
            if _key(file) in inputs:
                raise AsrError(f"{file}: is a recording, and a transcript would take its place; give another --out")
            other = owners.setdefault(_key(file), job.audio)
            if other is not job.audio:
                raise AsrError(f"{file}: would hold the transcripts of {other} and of {job.audio}; rename one of them")
    return jobs


def _base(recording: Recording, out: Path | None) -> Path:
    """The recording's path, or what it would be in ``out``."""
    if recording.audio == STANDARD_INPUT:
        return (out or Path()) / "stdin"
    return recording.audio if out is None else out / recording.within


def _key(path: Path) -> str:
    """The same for paths that may be the same file, where letters' case does not matter, too."""
    return os.path.abspath(path).casefold()  # noqa: PTH100 - resolve() follows links, which are names of their own


def make_folders(jobs: Sequence[Job]) -> None:
    """Makes the folders of all files and tries them, so that nothing is recognised that cannot be kept.

    Raises:
        AsrError: one cannot be made or written to.
    """
    for folder in dict.fromkeys(file.parent for job in jobs for file in job.files.values()):
        make_folder(folder)


def refuse_existing(jobs: Sequence[Job]) -> None:
    """Raises AsrError if there are files already, saying how many and what to do."""
    there = [file for job in jobs for file in job.there]
    if there:
        more = f" and {len(there) - 1} more exist" if len(there) > 1 else " exists"
        raise UsageError(
            f"{there[0]}{more} already: replace what is there with --overwrite, or leave out recordings that have "
            "all their files with --skip-existing"
        )
