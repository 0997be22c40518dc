"""What all corpora share: finding the unpacked folder, reading lengths, writing the manifests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr.audio import probe
from asr.errors import AsrError
from asr.files import write_text
from asr.manifest import Utterance, write_manifest


@dataclass
class Prepared:
    """A corpus by sets.

    Attributes:
        sets: the utterances of each.
        by: ``speaker`` if no speaker is to stand in two sets, else ``utterance``.
        reason: a sentence that says why they were parted so.
        sharing: pairs of sets that have speakers in common though the others are parted by speaker.
        faults: recordings and transcripts that cannot be used, a sentence each.
        notes: what else should be known, a sentence each.
    """

    sets: dict[str, list[Utterance]]
    by: str
    reason: str
    sharing: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, id: str, audio: Path, text: str, speaker: str | None, lang: str | None = None) -> None:
        """Adds a whole file to a set, or its fault to the list."""
        try:
            duration = probe(audio).duration
        except AsrError as error:
            self.faults.append(str(error))
        else:
            self.sets.setdefault(name, []).append(Utterance(id, audio, duration, text, speaker=speaker, lang=lang))

    def write(self, out: Path) -> dict[str, Path]:
        """Writes ``<set>.jsonl`` for each set, and how they were parted to ``splits.json``; returns the sets' paths.

        Raises:
            AsrError: a set is empty, so the corpus is not there, or a file could not be written.
        """
        empty = [name for name, utterances in self.sets.items() if not utterances]
        if empty or not self.sets:
            first = f" ({self.faults[0]})" if self.faults else ""
            raise AsrError(f"no recordings for {', '.join(empty) or 'any set'}{first}; nothing was written")
        write_splits(out, self.by, self.reason, self.sharing)
        paths = {name: out / f"{name}.jsonl" for name in self.sets}
        for name, path in paths.items():
            write_manifest(path, self.sets[name])
        return paths


def write_splits(out: Path, by: str, reason: str, sharing: Sequence[tuple[str, str]] = ()) -> None:
    """Writes ``splits.json``; the arguments are those of `Prepared`.

    Raises:
        AsrError: it could not be written.
    """
    story = {"by": by, "reason": reason, **({"except": sorted(map(sorted, sharing))} if sharing else {})}
    write_text(out / "splits.json", json.dumps(story, ensure_ascii=False, indent=2) + "\n")


def locate(source: Path, creates: str, corpus: str) -> Path:
    """The unpacked folder of a corpus, given itself or the downloads folder that holds it.

    Raises:
        AsrError: it is in neither place; says how to get it.
    """
    for folder in (source / creates, source):
        if folder.name == Path(creates).name and folder.is_dir():
            return folder
    raise AsrError(f"{source}: holds no folder {creates}; get it with: asr data download {corpus} --to {source}")
