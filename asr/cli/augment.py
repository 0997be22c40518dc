"""``asr augment``: hear and see what training will be given."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from asr.errors import UsageError

if TYPE_CHECKING:
    from asr.manifest import Utterance

_SHOWN = 5  # utterances, where none is named
_MANIFESTS = (".jsonl", ".json")


def augment(
    recordings: Path = typer.Argument(metavar="AUDIO|MANIFEST", help="A recording, or a manifest (.jsonl)."),
    overrides: list[str] | None = typer.Argument(None, metavar="[KEY=VALUE]...", help="As in augment.gain_clip=true."),
    out: Path = typer.Option(..., "--out", help="Folder for WAV files and augment.html."),
    config: Path | None = typer.Option(None, "--config", metavar="YAML", help="Of the model that is to be trained."),
    names: list[str] | None = typer.Option(
        None, "--id", help=f"An utterance of the manifest, may be repeated; without it the first {_SHOWN}."
    ),
    seed: int | None = typer.Option(None, "--seed", min=0, help="In place of the config's."),
    epoch: int = typer.Option(1, "--epoch", min=1, help="Each epoch draws anew."),
) -> None:
    """Preview augmentation: WAV files and spectrograms before and after, and what was drawn.

    The same seed, epoch and utterance draw the same in training.
    """
    from asr.config import read_config

    settings = read_config(config, overrides)  # before torch is imported: a misspelt key is told at once
    utterances = _utterances(recordings, names or [])

    from asr.augment.preview import write_previews

    previews, failed = write_previews(utterances, settings, settings.seed if seed is None else seed, epoch - 1, out)
    for one in previews:
        for copy in one.copies:
            print(f"{one.utterance.id}: {copy.wav}: {'; '.join(copy.drawn)}")
    print(f"Everything is in {out / 'augment.html'}.")
    for reason in failed.values():
        print(f"not shown: {reason}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def _utterances(recordings: Path, names: list[str]) -> list[Utterance]:
    """Those to be shown, in the order named.

    Raises:
        AsrError: a manifest or a recording that cannot be read.
        UsageError: an id that the manifest lacks, or ids where there is none.
    """
    from asr.audio import probe
    from asr.manifest import Utterance, default_id, read_manifest

    if recordings.suffix.lower() not in _MANIFESTS:
        if names:
            raise UsageError(f"--id picks utterances of a manifest (.jsonl); {recordings} is a recording")
        return [Utterance(default_id(recordings.name, None), recordings, probe(recordings).duration, "")]
    known = {utterance.id: utterance for utterance in read_manifest(recordings)}
    for name in names:
        if name not in known:
            some = ", ".join(list(known)[:3])
            raise UsageError(f"{recordings}: has no utterance with the id {name!r}; there are {some}, …")
    return [known[name] for name in dict.fromkeys(names)] or list(known.values())[:_SHOWN]
