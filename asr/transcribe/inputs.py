"""From what is typed to the recordings that it means: files, folders, standard input."""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from asr import ffmpeg
from asr.audio import SUFFIXES
from asr.errors import AsrError, UsageError, printable

STANDARD_INPUT = Path("-")
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://(.*)", re.IGNORECASE | re.DOTALL)

Wanted = Callable[[Path], bool]


@dataclass(frozen=True)
class Recording:
    """A recording, and where it comes from.

    Attributes:
        audio: the file, or `STANDARD_INPUT`.
        folder: the folder that was typed and that it was found under; None: it was typed itself.
    """

    audio: Path
    folder: Path | None = None

    @property
    def within(self) -> Path:
        """Its path below that folder, for what is written to mirror the folder; else its name."""
        return self.audio.relative_to(self.folder) if self.folder else Path(self.audio.name)


@dataclass(frozen=True)
class Found:
    """What typed names mean.

    Attributes:
        recordings: in the order typed, those of a folder sorted by name; no file comes twice.
        faults: a sentence for each folder that could not be searched or holds nothing, and for recordings that lack
            FFmpeg.
    """

    recordings: tuple[Recording, ...]
    faults: tuple[str, ...]


def find_recordings(typed: Sequence[str], patterns: Sequence[str] = ()) -> Found:
    """Finds recordings.

    A file is taken as it is, also one that is not there: reading it will say so. A folder is searched with the folders
    in it, those behind symbolic links too; what is hidden (its name begins with a dot) is passed over.

    Args:
        typed: names of files and folders; ``-`` is standard input, ``./-`` a file of that name.
        patterns: what files in folders are named: ``*.wav``, or with a slash ``interviews/*.wav`` below the folder
            (``*`` stands for slashes too). Case makes no difference. None: what is usual for audio, and for what FFmpeg
            reads where that is installed.

    Raises:
        UsageError: an address instead of a file, or nothing at all.
        AsrError: there is no recording at all; says why for each folder.
    """
    recordings: list[Recording] = []
    faults: list[str] = []
    taken: set[str] = set()
    for text in typed:
        check_local(text)
        path = Path.cwd() / "-" if text != "-" and Path(text) == STANDARD_INPUT else Path(text)
        if path != STANDARD_INPUT and _is_folder(path):
            try:
                found = [Recording(file, path) for file in _search(path, patterns, faults)]
            except AsrError as error:  # the others are done all the same
                faults.append(str(error))
                continue
        else:
            found = [Recording(path)]
        for one in found:
            real = os.path.realpath(one.audio) if one.audio != STANDARD_INPUT else "-"
            if real not in taken:
                taken.add(real)
                recordings.append(one)
    if not recordings:
        raise AsrError("; ".join(faults))
    return Found(tuple(recordings), tuple(faults))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # reading it will tell why
        return False


def check_local(text: str) -> None:
    """Refuses what is no name of a file, an address above all.

    Raises:
        UsageError: says what to do instead.
    """
    if not text:
        raise UsageError("an empty name was given as a recording")
    address = _URL.match(text)
    if not address:
        return
    scheme, rest = address[1].lower(), address[2]
    if scheme == "file":
        name = urllib.parse.unquote("/" + rest.partition("/")[2])
        raise UsageError(f"{printable(text)}: an address, not a file; give its name: {printable(name)}")
    how = {"s3": "aws s3 cp", "gs": "gcloud storage cp"}.get(scheme, "curl -LO")
    raise UsageError(f"{printable(text)}: an address; nothing is read over the network, download it first ({how} …)")


def _search(folder: Path, patterns: Sequence[str], faults: list[str]) -> list[Path]:
    """The files of a folder that were asked for.

    Raises:
        AsrError: it cannot be read, or there are none.
    """
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        raise AsrError(f"{printable(folder)}: the folder could not be read ({error.strerror})") from error
    # A file of the name "-" in the folder "." would be taken for standard input.
    files = [file for file in _files(folder, faults) if file != STANDARD_INPUT]
    if patterns:
        found = [file for file in files if _matches(file.relative_to(folder).as_posix(), patterns)]
        sought = " ".join(patterns)
    else:
        suffixes = SUFFIXES | ffmpeg.SUFFIXES if ffmpeg.installed() else SUFFIXES
        found = [file for file in files if file.suffix.lower() in suffixes]
        sought = " ".join(sorted(suffixes))
        lacking = [file for file in files if file.suffix.lower() in ffmpeg.SUFFIXES - suffixes]
        if lacking and found:
            faults.append(f"{printable(folder)}: {_lacking(lacking)}")
        elif lacking:
            raise AsrError(f"{printable(folder)}: {_lacking(lacking)}")
    if not found:
        raise AsrError(f"{printable(folder)}: holds no recordings; names like these were looked for: {sought}")
    return found


def _lacking(files: Sequence[Path]) -> str:
    kinds = " ".join(sorted({file.suffix.lower() for file in files}))
    are = "1 recording is" if len(files) == 1 else f"{len(files)} recordings are"
    return f"{are} of a format ({kinds}) that libsndfile does not read; install FFmpeg and they will be read"


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a path below the folder is meant by a pattern; one without a slash means the file's name."""
    name = name.casefold()
    return any(
        fnmatchcase(name if "/" in pattern else name.rpartition("/")[2], pattern.casefold()) for pattern in patterns
    )


def _files(folder: Path, faults: list[str]) -> Iterator[Path]:
    """What lies in a folder and its folders and is no folder, sorted by name; each folder is entered once."""
    entered: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        try:
            if not path.is_dir():
                yield path
                continue
            there = path.stat()
            if (there.st_dev, there.st_ino) in entered:
                continue
            entered.add((there.st_dev, there.st_ino))
            waiting += sorted((one for one in path.iterdir() if not one.name.startswith(".")), reverse=True)
        except OSError as error:
            faults.append(f"{printable(path)}: could not be read ({error.strerror})")
