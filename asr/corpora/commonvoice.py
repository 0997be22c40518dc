"""Mozilla Common Voice: sentences read aloud by volunteers, in more than a hundred languages. MP3, CC0.

Its publisher gives each user a link of their own, so nothing is fetched here: the user brings the archive of a
language (``cv-corpus-21.0-2025-03-14-cy.tar.gz``). It holds ``cv-corpus-21.0-2025-03-14/cy/`` with the folder ``clips``
and a table for each set (``train.tsv``, ``dev.tsv``, ``test.tsv``), of which the columns ``client_id``, ``path`` and
``sentence`` are read; releases differ in the others.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path, PurePosixPath

from asr.audio import DURATION_TOLERANCE
from asr.corpora.download import Progress, extracted, names
from asr.corpora.prepared import Prepared
from asr.errors import AsrError, UsageError
from asr.files import read_text
from asr.importers import Candidate, Found, from_table
from asr.text import basic

SETS = ("train", "dev", "test")
Show = Callable[[str], contextlib.AbstractContextManager[Progress]]  # what is being done → where to report it

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
# "nan-tw" is a language as "tw" is: the release's date says where its name begins.
_ARCHIVE = re.compile(r"(cv-corpus-.*\d{4}-\d\d-\d\d)-([A-Za-z][A-Za-z0-9-]*)\.tar\.gz")
_OWN_SPLIT = "asr data from-tsv {} parts what is validated by itself"
_SHORTEST = 8  # characters of a client id


def _language_folder(archive: Path) -> PurePosixPath:
    """Where the language's folder lies in an archive, by the first of its members that tells."""
    for name in names(archive):
        member = PurePosixPath(name)
        folder = member.parent.parent if member.parent.name == "clips" else member.parent
        if (member.suffix in (".tsv", ".mp3")) and len(folder.parts) == 2 and ".." not in folder.parts:
            return folder
    raise AsrError(f"{archive}: not laid out as Common Voice's archives are, cv-corpus-…/LANGUAGE/clips/….mp3")


def _check_language(source: Path, language: str, lang: str) -> None:
    if language != lang:
        raise UsageError(f"{source}: holds the language {language!r}, not {lang!r}")


def _unpack(archive: Path, lang: str, show: Show) -> Path:
    """Unpacks a language beside its archive, unless it stands there, and returns its folder."""
    inside = _language_folder(archive)
    _check_language(archive, inside.name, lang)
    folder = archive.parent / inside
    if not folder.exists():
        with show(f"unpacking {archive.name}") as report, extracted(archive, archive.parent, report) as scratch:
            folder.parent.mkdir(exist_ok=True)
            (scratch / inside).rename(folder)
    return folder


def find(source: Path, lang: str, show: Show) -> Path:
    """The folder of a language: ``source`` itself, or in it, or unpacked from an archive that is ``source`` or in it.

    Raises:
        UsageError: no name of a language, a folder or archive of another one, or several releases to choose from.
        AsrError: there is none, or an archive that cannot be unpacked.
    """
    if not _LANGUAGE.fullmatch(lang):
        raise UsageError(f"--lang takes Common Voice's name of a language, such as cy or zh-CN, not {lang!r}")
    if not source.exists():
        raise UsageError(f"{source}: there is no such folder or archive")
    if source.is_file():
        return _unpack(source, lang, show)
    if (source / "clips").is_dir():
        folder = source.resolve()  # "." has no name
        if folder.parent.name.startswith("cv-corpus-"):  # else the folder may be called anything
            _check_language(source, folder.name, lang)
        return source
    folders = [path for path in (source / lang, *source.glob(f"cv-corpus-*/{lang}")) if (path / "clips").is_dir()]
    archives = {path: _ARCHIVE.fullmatch(path.name) for path in source.glob("cv-corpus-*.tar.gz")}
    packed = [
        path
        for path, named in archives.items()
        if named and named[2] == lang and not (source / named[1] / lang).exists()
    ]
    found = sorted([*folders, *packed])
    if len(found) > 1:
        raise UsageError(
            f"{source}: holds {', '.join(path.name if path in packed else str(path) for path in found)}; "
            "say with --from which one"
        )
    if not found:
        raise AsrError(
            f"{source}: holds no release of Common Voice with the language {lang!r}; its publisher sends a link by "
            f"which to get it: put the archive cv-corpus-…-{lang}.tar.gz there, or name it with --from"
        )
    return found[0] if found[0] in folders else _unpack(found[0], lang, show)


def _tables(folder: Path) -> dict[str, Found]:
    """The rows of each set.

    Raises:
        AsrError: a table is missing, empty or without a column that is needed.
    """
    advice = _OWN_SPLIT.format(folder / "validated.tsv")
    if missing := [f"{name}.tsv" for name in SETS if not (folder / f"{name}.tsv").is_file()]:
        raise AsrError(f"{folder}: has no {' and no '.join(missing)}, as a whole release has; {advice}")
    found = {}
    for name in SETS:
        try:
            found[name] = from_table(
                folder / f"{name}.tsv", "\t", "path", "sentence", "client_id", audio_folder=folder / "clips"
            )
        except AsrError as error:
            raise AsrError(f"{error}; {advice}") from error
    return found


def short_names(clients: Iterable[str]) -> dict[str, str]:
    """Client ids, which are of 128 characters, cut to the fewest that still tell all of them apart, eight at least."""
    distinct = set(clients)
    longest = max(map(len, distinct), default=0)
    lengths = range(_SHORTEST, max(longest, _SHORTEST) + 1)
    length = next(length for length in lengths if len({client[:length] for client in distinct}) == len(distinct))
    return {client: client[:length] for client in distinct}


def _published(folder: Path) -> dict[str, float]:
    """Clip → length [s], as ``clip_durations.tsv`` has it; nothing where a release has no such table."""
    path = folder / "clip_durations.tsv"
    rows = [line.split("\t") for line in read_text(path).splitlines()] if path.is_file() else []
    return {row[0]: float(row[1]) / 1000 for row in rows if len(row) == 2 and row[1].isdecimal()}  # [ms]


def _compare(prepared: Prepared, folder: Path) -> list[str]:
    """A note where the files are not as long as published: clips cut short, or lengths counted in another way."""
    published = _published(folder)
    apart = {
        one.audio.name: (abs(one.duration - published[one.audio.name]), one.duration)
        for utterances in prepared.sets.values()
        for one in utterances
        if one.audio.name in published and abs(one.duration - published[one.audio.name]) > DURATION_TOLERANCE
    }
    if not apart:
        return []
    worst = max(apart, key=lambda name: apart[name])
    return [
        f"{len(apart):,} clips are not as long as clip_durations.tsv says, by {apart[worst][0]:.2f} s at most "
        f"({worst}: {apart[worst][1]:.2f} s, not {published[worst]:.2f} s); the manifests hold the files' own lengths"
    ]


def prepare(source: Path, lang: str, show: Show) -> Prepared:
    """The publisher's train, dev and test of a language; what is only validated, or not even that, is left out.

    Transcripts are normalised by `asr.text.basic`, which holds for any script: letters with their marks stay, case is
    folded, punctuation goes. Speakers are client ids, see `short_names`; a person may have several.

    Args:
        source: a language's folder, its archive, or what holds either.
        lang: the language as Common Voice calls it: ``cy``, ``zh-CN``.
        show: what is being done → a context that yields where to report it.

    Raises:
        UsageError: see `find`.
        AsrError: see `find`; or a table is missing, empty or without a column that is needed.
    """
    folder = find(source, lang, show)
    tables = _tables(folder)
    clients = {name: {one.speaker for one in found.candidates if one.speaker} for name, found in tables.items()}
    sharing = [(one, other) for one, other in combinations(SETS, 2) if clients[one] & clients[other]]
    but = "".join(f" but of {one} and {other}" for one, other in sharing)
    reason = f"by speaker: the publisher's sets, no client id stands in two of them{but}"
    prepared = Prepared({name: [] for name in SETS}, "speaker", reason, sharing)
    speakers = short_names(set().union(*clients.values()))
    total = sum(len(found.candidates) for found in tables.values())
    with show("reading the headers of the clips") as report:
        done = 0
        for name, found in tables.items():
            prepared.faults += [f"{one.what}: {one.reason}" for one in found.skipped]
            for candidate in found.candidates:
                _add(prepared, name, candidate, speakers, lang)
                done += 1
                report(done, total)
    prepared.notes += _compare(prepared, folder)
    return prepared


def _add(prepared: Prepared, name: str, candidate: Candidate, speakers: dict[str, str], lang: str) -> None:
    text = basic(candidate.text)
    if not text:
        prepared.faults.append(f"{candidate.where}: its sentence {candidate.text!r} is empty once normalised")
        return
    prepared.add(name, candidate.id, candidate.audio, text, speakers.get(candidate.speaker or ""), lang)
