"""``asr data``: from corpora and your own recordings to manifests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from asr.errors import AsrError, UsageError

if TYPE_CHECKING:
    from asr.importers import Found, Skipped

app = typer.Typer(help="Get recordings and write manifests of them.", no_args_is_help=True)

CORPORA = ("yesno", "fsdd", "an4", "librispeech", "spoken-digits", "commonvoice")
_FETCHED = CORPORA[:4]
_MOST_NAMED = 50  # on the terminal; splits.json has them all

_DOWNLOADS = Path("data/downloads")
_OUT = typer.Option(..., "--out", help="Folder for train.jsonl, dev.jsonl, test.jsonl and splits.json.")
_NORMALISE = typer.Option("basic", "--normalise", metavar="basic|english|none", help="What is done to the transcripts.")
_SEED = typer.Option(1, "--seed", min=0, help="Seed of the split.")


@app.command()
def download(
    name: str = typer.Argument(metavar="|".join(_FETCHED), help="The corpus."),
    to: Path = typer.Option(_DOWNLOADS, "--to", envvar="ASR_CORPORA", help="Folder that holds the corpora."),
    parts: str | None = typer.Option(
        None, "--parts", metavar="mini|100|960|PART,…", help="How much of librispeech; a part is train-clean-5, say."
    ),
) -> None:
    """Download a corpus from its publisher, check it and unpack it; what is there already is left alone.

    A broken download goes on where it stopped when the command is given again.
    """
    from asr.cli.progress import progress
    from asr.corpora import an4, fsdd, librispeech, yesno
    from asr.corpora.download import obtain

    if name == "librispeech":
        archives = librispeech.archives(parts)
    elif parts is not None:
        raise UsageError(f"--parts is for librispeech, {name} is one piece")
    elif name == "spoken-digits":
        raise UsageError("spoken-digits is made here, not downloaded: asr data prepare spoken-digits --out DIR")
    elif name == "commonvoice":
        raise UsageError(
            "commonvoice is not downloaded here, its publisher sends a link by which to get it: put the archive "
            f"cv-corpus-…-LANG.tar.gz into {to}, then asr data prepare commonvoice --lang LANG --out DIR"
        )
    else:
        single = {"yesno": yesno.ARCHIVES, "fsdd": fsdd.ARCHIVES, "an4": an4.ARCHIVES}
        if name not in single:
            raise UsageError(f"there is no corpus {name!r}; there are {', '.join(CORPORA)}")
        archives = single[name]
    for archive in archives:
        new = obtain(archive, to, lambda label: progress(label, "files" if label.startswith("unpacking") else ""))
        print(f"{to / archive.creates}: {'ready' if new else 'stands there already'}")


@app.command()
def prepare(
    name: str = typer.Argument(metavar="|".join(CORPORA), help="The corpus."),
    out: Path = typer.Option(..., "--out", help="Folder for the manifests."),
    source: Path = typer.Option(
        _DOWNLOADS, "--from", envvar="ASR_CORPORA", help="Folder that holds the corpora; commonvoice: or its archive."
    ),
    parts: str | None = typer.Option(None, "--parts", metavar="100|960|PART,…", help="librispeech: only these."),
    lang: str | None = typer.Option(None, "--lang", help="commonvoice: the language, as in cy or zh-CN."),
    leave_out: str | None = typer.Option(None, "--leave-out", metavar="SPEAKER", help="fsdd: this speaker is test."),
    seed: int | None = typer.Option(None, "--seed", min=0, help="spoken-digits: what is drawn; default: 1."),
) -> None:
    """Write the manifests of a corpus: its publisher's split, with a dev set held out of train where it has none.

    What is missing from the corpus is named, the rest is written, and the exit status is 1.
    """
    if name not in CORPORA:
        raise UsageError(f"there is no corpus {name!r}; there are {', '.join(CORPORA)}")
    if leave_out is not None and name != "fsdd":
        raise UsageError(f"--leave-out is for fsdd, {name} has one split only")
    if seed is not None and name != "spoken-digits":
        raise UsageError(f"--seed is for spoken-digits, the split of {name} is fixed")
    if parts is not None and name != "librispeech":
        raise UsageError(f"--parts is for librispeech, {name} is one piece")
    if lang is None and name == "commonvoice":
        raise UsageError("commonvoice has many languages: say with --lang which one")
    if lang is not None and name != "commonvoice":
        raise UsageError(f"--lang is for commonvoice, {name} has one language")
    if name == "spoken-digits":
        from asr.corpora import spoken_digits

        _summarise(spoken_digits.prepare(out, 1 if seed is None else seed))
        return
    from asr.cli.progress import progress
    from asr.corpora import an4, commonvoice, fsdd, librispeech, yesno

    prepared = {
        "yesno": lambda: yesno.prepare(source),
        "fsdd": lambda: fsdd.prepare(source, leave_out),
        "an4": lambda: an4.prepare(source),
        "librispeech": lambda: librispeech.prepare(source, parts),
        "commonvoice": lambda: commonvoice.prepare(source, lang or "", lambda label: progress(label, "files")),
    }[name]()
    _summarise(prepared.write(out))
    for note in prepared.notes:
        print(f"note: {note}")
    if prepared.faults:
        print(f"{len(prepared.faults)} faults in the corpus:", file=sys.stderr)
        for fault in prepared.faults:
            print(f"  {fault}", file=sys.stderr)
        raise typer.Exit(1)


@app.command("from-folder")
def from_folder(
    folder: Path = typer.Argument(
        metavar="DIR", help="Holds name.wav (.flac, .mp3 …) and name.txt; subfolders: speakers."
    ),
    out: Path = _OUT,
    normalise: str = _NORMALISE,
    seed: int = _SEED,
) -> None:
    """Manifests of a folder of recordings, each with its transcript beside it; the first subfolders are speakers."""
    from asr import importers

    _import(lambda: importers.from_folder(folder), out, normalise, seed)


_TABLE = typer.Argument(metavar="FILE", help="One utterance a line, with a header line.")
_AUDIO = typer.Option(None, "--audio", help="Column of audio files; default: guessed.")
_TEXT = typer.Option(None, "--text", help="Column of transcripts; default: guessed.")
_SPEAKER = typer.Option(None, "--speaker", help="Column of speakers; default: guessed.")
_AUDIO_FOLDER = typer.Option(
    None, "--audio-folder", help="What audio paths are relative to; default: FILE's folder, or clips/ in it."
)


@app.command("from-csv")
def from_csv(
    table: Path = _TABLE,
    out: Path = _OUT,
    audio: str | None = _AUDIO,
    text: str | None = _TEXT,
    speaker: str | None = _SPEAKER,
    audio_folder: Path | None = _AUDIO_FOLDER,
    normalise: str = _NORMALISE,
    seed: int = _SEED,
) -> None:
    """Manifests of a table with commas."""
    from asr import importers

    _import(lambda: importers.from_table(table, ",", audio, text, speaker, audio_folder), out, normalise, seed)


@app.command("from-tsv")
def from_tsv(
    table: Path = _TABLE,
    out: Path = _OUT,
    audio: str | None = _AUDIO,
    text: str | None = _TEXT,
    speaker: str | None = _SPEAKER,
    audio_folder: Path | None = _AUDIO_FOLDER,
    normalise: str = _NORMALISE,
    seed: int = _SEED,
) -> None:
    """Manifests of a table with tabs, such as Common Voice's validated.tsv."""
    from asr import importers

    _import(lambda: importers.from_table(table, "\t", audio, text, speaker, audio_folder), out, normalise, seed)


@app.command("from-kaldi")
def from_kaldi(
    folder: Path = typer.Argument(metavar="DIR", help="Holds wav.scp and text, perhaps segments and utt2spk."),
    out: Path = _OUT,
    normalise: str = _NORMALISE,
    seed: int = _SEED,
) -> None:
    """Manifests of a Kaldi data directory."""
    from asr import importers

    _import(lambda: importers.from_kaldi(folder), out, normalise, seed)


@app.command()
def select(
    manifest: Path = typer.Argument(metavar="MANIFEST", help="What a part is cut out of."),
    out: Path = typer.Option(..., "--out", metavar="FILE", help="The manifest to write."),
    speakers: str | None = typer.Option(None, "--speakers", metavar="A,B", help="Only these."),
    not_speakers: str | None = typer.Option(None, "--not-speakers", metavar="A,B", help="All but these."),
    not_in: Path | None = typer.Option(None, "--not-in", metavar="MANIFEST", help="Not what stands there, by its id."),
) -> None:
    """A part of a manifest: that of some speakers, or without some, or what another manifest has not."""
    from asr.manifest import read_manifest, write_manifest

    if speakers is None and not_speakers is None and not_in is None:
        raise UsageError("say which: --speakers A,B, --not-speakers A,B or --not-in MANIFEST")
    utterances = read_manifest(manifest)
    known = {one.speaker for one in utterances if one.speaker}
    wanted = known if speakers is None else {name.strip() for name in speakers.split(",")}
    unwanted = set() if not_speakers is None else {name.strip() for name in not_speakers.split(",")}
    if unknown := sorted((wanted | unwanted) - known):
        some = ", ".join(sorted(known)[:20]) + (" …" if len(known) > 20 else "")
        raise UsageError(f"{manifest}: has no speaker {', '.join(map(repr, unknown))}; it has {some or 'none'}")
    elsewhere = set() if not_in is None else {one.id for one in read_manifest(not_in)}
    # Without --speakers, utterances of nobody in particular are kept.
    kept = [
        one
        for one in utterances
        if one.speaker not in unwanted and (speakers is None or one.speaker in wanted) and one.id not in elsewhere
    ]
    if not kept:
        raise AsrError(f"{manifest}: no utterance would be left; nothing was written")
    write_manifest(out, kept)
    _summarise({out.stem: out})


@app.command()
def combine(
    manifests: list[Path] = typer.Argument(metavar="MANIFEST...", help="What is put together; ids must differ."),
    out: Path = typer.Option(..., "--out", metavar="FILE", help="The manifest to write."),
) -> None:
    """One manifest of several, such as those of a corpus that is published in parts."""
    from asr.manifest import read_manifest, write_manifest

    write_manifest(out, [one for path in manifests for one in read_manifest(path)])
    _summarise({out.stem: out})


@app.command()
def connect(
    manifest: Path = typer.Argument(metavar="MANIFEST", help="Recordings of one word each, with their speakers."),
    out: Path = typer.Option(..., "--out", metavar="FILE", help="The manifest to write; audio goes beside it."),
    lengths: str = typer.Option("3-7", "--lengths", metavar="LOW-HIGH", help="Words a string, drawn evenly."),
    seed: int = typer.Option(1, "--seed", min=0, help="Seed of what is joined and how far apart."),
    gap: float = typer.Option(0.2, "--gap", metavar="SECONDS", help="Longest pause; each is drawn from 0 to this."),
    copies: int = typer.Option(1, "--copies", min=1, help="Strings that each recording is to stand in."),
) -> None:
    """Join recordings of single words, speaker by speaker, into strings whose word boundaries are known.

    Each recording is used once, or as often as --copies says. The boundaries go to FILE's name with .boundaries.jsonl.
    """
    from asr.corpora.connected import connect as connect_recordings

    low, dash, high = lengths.partition("-")
    if not (dash and low.strip().isdecimal() and high.strip().isdecimal()):
        raise UsageError(f"--lengths must be two numbers of words such as 3-7, this is {lengths!r}")
    connected = connect_recordings(manifest, out, (int(low), int(high)), seed, gap, copies)
    _summarise({out.stem: connected.manifest})
    if connected.left:
        few = ", ".join(connected.left[:10]) + (" …" if len(connected.left) > 10 else "")
        print(f"note: too few for another string, not used: {few}")


def _import(find: Callable[[], Found], out: Path, normalise: str, seed: int) -> None:
    """Lists, checks, splits, writes and reports; exit status 1 if anything was skipped."""
    from asr.cli.progress import progress
    from asr.importers import check, write_split
    from asr.splits import split
    from asr.text import normaliser

    change = normaliser(normalise)
    print(f"normaliser {normalise}: {change.description}")
    with progress("reading every recording", "recordings") as report:
        utterances, skipped = check(find(), change, report)
    try:
        divided = split(utterances, seed)
    except AsrError:
        _name(skipped, "")
        raise
    paths = write_split(out, divided, seed, normalise, skipped)
    print(f"split {divided.reason}")
    _summarise(paths)
    if skipped:
        _name(skipped, f"; {out / 'splits.json'} lists them all")
        raise typer.Exit(1)


def _name(skipped: list[Skipped], elsewhere: str) -> None:
    if skipped:
        print(f"{len(skipped)} skipped:", file=sys.stderr)
    shown = skipped[:_MOST_NAMED] if elsewhere else skipped
    for one in shown:
        print(f"  {one.what}: {one.reason}", file=sys.stderr)
    if len(shown) < len(skipped):
        print(f"  … and {len(skipped) - len(shown)} more{elsewhere}", file=sys.stderr)


def _summarise(manifests: dict[str, Path]) -> None:
    """A line a manifest: utterances, hours, speakers."""
    from asr.manifest import read_manifest

    for name, path in manifests.items():
        utterances = read_manifest(path)
        hours = sum(one.duration for one in utterances) / 3600
        speakers = len({one.speaker for one in utterances if one.speaker})
        print(f"{name:8} {len(utterances):7,} utterances {hours:8.3f} h {speakers:5,} speakers   {path}")
