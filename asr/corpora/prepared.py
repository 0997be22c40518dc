"""What all corpora share: finding the unpacked folder, reading lengths, writing the manifests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from asr.audio import probe
from asr.errors import AsrError
from asr.manifest import Utterance, write_manifest


@dataclass
class Prepared:
    """A corpus by sets.

    Attributes:
        sets: the utterances of each.
        faults: recordings and transcripts that cannot be used, a sentence each.
        notes: what else should be known, a sentence each.
    """

    sets: dict[str, list[Utterance]]
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, id: str, audio: Path, text: str, speaker: str) -> None:
        """Adds a whole file to a set, or its fault to the list."""
        try:
            duration = probe(audio).duration
        except AsrError as error:
            self.faults.append(str(error))
        else:
            self.sets.setdefault(name, []).append(Utterance(id, audio, duration, text, speaker=speaker))

    def write(self, out: Path) -> dict[str, Path]:
        """Writes ``<set>.jsonl`` for each set; returns the paths.

        Raises:
            AsrError: a set is empty, so the corpus is not there, or a file could not be written.
        """
        empty = [name for name, utterances in self.sets.items() if not utterances]
        if empty or not self.sets:
            first = f" ({self.faults[0]})" if self.faults else ""
            raise AsrError(f"no recordings for {', '.join(empty) or 'any set'}{first}; nothing was written")
        paths = {name: out / f"{name}.jsonl" for name in self.sets}
        for name, path in paths.items():
            write_manifest(path, self.sets[name])
        return paths


def locate(source: Path, creates: str, corpus: str) -> Path:
    """The unpacked folder of a corpus, given itself or the downloads folder that holds it.

    Raises:
        AsrError: it is in neither place; says how to get it.
    """
    for folder in (source / creates, source):
        if folder.name == Path(creates).name and folder.is_dir():
            return folder
    raise AsrError(f"{source}: holds no folder {creates}; get it with: asr data download {corpus} --to {source}")
