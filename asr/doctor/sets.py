"""The manifests that are looked over together: their names, what each is for, and how they were parted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import AsrError, UsageError
from asr.files import read_text
from asr.manifest import Utterance, read_manifest

_ROLES = {
    **dict.fromkeys(("dev", "devel", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("test", "eval", "evaluation"), "test"),
}


@dataclass(frozen=True)
class Manifest:
    """One set.

    Attributes:
        name: the file's stem; with its folder where another has the same.
        role: by the stem's first word: ``dev`` for dev or valid, ``test`` for test or eval, otherwise ``train``.
        path: the file.
        utterances: in its order.
        fields: each line as it stands, in the same order.
    """

    name: str
    role: str
    path: Path
    utterances: Sequence[Utterance]
    fields: Sequence[Mapping[str, object]]


@dataclass(frozen=True)
class Parting:
    """What ``splits.json`` says about the sets in its folder.

    Attributes:
        by_speaker: whether no speaker is to stand in two sets.
        but: pairs of sets that share speakers all the same.
    """

    by_speaker: bool
    but: frozenset[frozenset[str]]


def _role(stem: str) -> str:
    words = re.findall(r"[a-z]+", stem.lower())
    return _ROLES.get(words[0], "train") if words else "train"


def read_sets(paths: Sequence[Path]) -> list[Manifest]:
    """Reads the manifests.

    Raises:
        UsageError: one is named twice.
        AsrError: see `asr.manifest.read_manifest`.
    """
    stems = [path.stem for path in paths]
    names = [
        stem if stems.count(stem) == 1 else f"{path.absolute().parent.name}/{stem}"
        for stem, path in zip(stems, paths, strict=True)
    ]
    for index, path in enumerate(paths):
        if path.resolve() in [other.resolve() for other in paths[:index]]:
            raise UsageError(f"{path}: is named twice; name each manifest once")
        if names[index] in names[:index]:
            raise UsageError(f"{path}: another manifest would have the same name, {names[index]!r}; rename one")
    sets = []
    for name, path in zip(names, paths, strict=True):
        utterances = read_manifest(path)
        lines = [line for line in read_text(path).split("\n") if line.strip()]
        sets.append(Manifest(name, _role(path.stem), path, utterances, [json.loads(line) for line in lines]))
    return sets


def read_parting(folder: Path) -> Parting:
    """How the sets of a folder were parted, by its ``splits.json``; without one nothing is promised.

    Raises:
        AsrError: it is not what ``asr data`` writes.
    """
    path = folder / "splits.json"
    if not path.exists():
        return Parting(False, frozenset())
    try:
        story = json.loads(read_text(path))
        but = frozenset(frozenset((str(one), str(other))) for one, other in story.get("except", []))
        return Parting(story["by"] == "speaker", but)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AsrError(f"{path}: not what asr data wrote there; remove it or make the manifests again") from error


def speaker_disjoint(one: Manifest, other: Manifest) -> bool:
    """Whether it is declared that these two sets have no speaker in common."""
    folder = one.path.resolve().parent
    if folder != other.path.resolve().parent:
        return False
    parting = read_parting(folder)
    return parting.by_speaker and frozenset((one.path.stem, other.path.stem)) not in parting.but
