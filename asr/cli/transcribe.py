"""``transcribe-audio``."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from asr.cli.main import print_version, run
from asr.errors import UsageError, printable

if TYPE_CHECKING:
    from asr.transcribe.inputs import Found
    from asr.transcribe.outputs import Job
    from asr.transcribe.transcriber import Outcome, Transcriber

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)
_NAMED = 20  # recordings that failed are named once more at the end, so many of them
_FILES, _TEXT, _MODEL, _LIVE = "What to write", "What to listen to", "How to recognise", "While it is spoken"


def transcribe_audio(
    recordings: list[str] = typer.Argument(
        None, metavar="[FILE|FOLDER|-]...", help="Recordings, folders of them; -: standard input.", show_default=False
    ),
    glob: list[str] = typer.Option([], "--glob", help="Of folders, files named so: '*.wav'.", rich_help_panel=_TEXT),
    formats: str | None = typer.Option(
        None, "--format", "-f", help="Files to write: txt,json,srt,vtt,ctm,textgrid,tsv.", rich_help_panel=_FILES
    ),
    out: Path | None = typer.Option(
        None, "--out", "-o", help="Folder for them; default: beside the recordings.", rich_help_panel=_FILES
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace files.", rich_help_panel=_FILES),
    skip_existing: bool = typer.Option(
        False, "--skip-existing", help="Leave out what has its files already.", rich_help_panel=_FILES
    ),
    min_confidence: float = typer.Option(
        0.0, "--min-confidence", min=0, max=1, help="Mark less certain words: \\[word?].", rich_help_panel=_FILES
    ),
    as_json: bool = typer.Option(False, "--json", help="Print a JSON line a recording.", rich_help_panel=_FILES),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would be done.", rich_help_panel=_FILES),
    model: Path | None = typer.Option(
        None, "--model", envvar="ASR_MODEL", help="Model folder; default: the packaged one.", rich_help_panel=_MODEL
    ),
    lm: Path | None = typer.Option(None, "--lm", help="N-gram language model.", rich_help_panel=_MODEL),
    lexicon: Path | None = typer.Option(None, "--lexicon", help="Only its words.", rich_help_panel=_MODEL),
    beam: int | None = typer.Option(None, "--beam", min=1, help="Prefixes kept.", rich_help_panel=_MODEL),
    lm_weight: float | None = typer.Option(
        None, "--language-model-weight", help="Of --lm; tuned, else 0.5.", rich_help_panel=_MODEL
    ),
    hotwords: str | None = typer.Option(
        None, "--hotwords", metavar='"A B, C"', help="Phrases to listen for.", rich_help_panel=_MODEL
    ),
    mic: bool = typer.Option(False, "--mic", help="Listen to the microphone.", rich_help_panel=_LIVE),
    latency: float | None = typer.Option(
        None, "--latency", help="Seconds that a sound waits for its text; with --mic 1.0.", rich_help_panel=_LIVE
    ),
    precision: str = typer.Option("auto", "--precision", help="float32, bfloat16 or int8.", rich_help_panel=_MODEL),
    device: str = typer.Option("auto", "--device", help="auto, cpu or cuda.", rich_help_panel=_MODEL),
    threads: int = typer.Option(0, "--threads", min=0, help="CPU threads; 0: every core.", rich_help_panel=_MODEL),
    version: bool = typer.Option(False, "--version", callback=print_version, is_eager=True, help="Print the version."),
) -> None:
    """Turn recordings into text: printed, or written as subtitles and tables with the times of words.

    A recording that fails is named, the others are done, and the exit status is 1.
    """
    live = mic or latency is not None
    _check(recordings or [], mic, live, formats, out, overwrite, skip_existing, as_json, dry_run, min_confidence)
    options = {
        "lm": lm,
        "lexicon": lexicon,
        "beam": beam,
        "lm_weight": lm_weight,
        "hotwords": [phrase.strip() for phrase in hotwords.split(",")] if hotwords else (),
        "precision": precision,
        "device": device,
        "threads": threads,
    }
    from asr.transcribe.inputs import find_recordings

    found = find_recordings(recordings, glob) if recordings else None
    with _ended_properly():
        if live:
            _listen(found, model, options, 1.0 if latency is None else latency, as_json)
            return
        assert found is not None
        jobs = _jobs(found, formats, out, overwrite, skip_existing)
        if dry_run:
            _tell_plan(found, jobs, model, options)
            return
        failed = _transcribe(jobs, model, options, as_json, min_confidence)
    for fault in found.faults:
        print(f"error: {fault}", file=sys.stderr)
    if failed and len(jobs) > 1:
        more = f", and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        names = ", ".join(map(printable, failed[:_NAMED])) + more
        print(f"{len(failed)} of {len(jobs)} recordings could not be transcribed: {names}", file=sys.stderr)
    if failed or found.faults:
        raise typer.Exit(1)


def _check(
    recordings: Sequence[str],
    mic: bool,
    live: bool,
    formats: str | None,
    out: Path | None,
    overwrite: bool,
    skip_existing: bool,
    as_json: bool,
    dry_run: bool,
    min_confidence: float,
) -> None:
    """Refuses options that mean nothing without, or beside, each other."""
    if not recordings and not mic:
        raise UsageError("nothing to transcribe: give recordings (files, folders, - for standard input), or --mic")
    if recordings and mic:
        raise UsageError("--mic listens to the microphone: leave out the recordings, or --mic")
    if live and (formats or dry_run):
        raise UsageError("--mic and --latency print what is said as it is said: leave out --format and --dry-run")
    if min_confidence and (live or as_json):
        raise UsageError("--min-confidence marks words in files and in texts: leave out --json, --mic and --latency")
    if as_json and formats:
        raise UsageError("--json prints and --format writes files: give one")
    if overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other: give one")
    for name, given in {"--out": out, "--overwrite": overwrite, "--skip-existing": skip_existing}.items():
        if given and not formats:
            raise UsageError(f"{name} is for files, and --format says which: give it too, as in --format txt,srt")


def _jobs(found: Found, formats: str | None, out: Path | None, overwrite: bool, skip: bool) -> list[Job]:
    """What is to be done, after looking at what is there already."""
    from asr.transcribe.outputs import Job, plan, read_formats, refuse_existing

    if formats is None:
        return [Job(one.audio, {}) for one in found.recordings]
    jobs = plan(found.recordings, read_formats(formats), out)
    if skip:
        left = [job.left for job in jobs if job.left.files]
        if len(left) < len(jobs):
            print(f"{len(jobs) - len(left)} of {len(jobs)} recordings have their files already", file=sys.stderr)
        return left
    if not overwrite:
        refuse_existing(jobs)
    return jobs


def _tell_plan(found: Found, jobs: Sequence[Job], model: Path | None, options: dict[str, Any]) -> None:
    """Prints what would be done, and does nothing but load the model and look whether there are such files."""
    from asr.audio import probe
    from asr.errors import AsrError
    from asr.transcribe.inputs import STANDARD_INPUT
    from asr.transcribe.load import find_model

    _loaded(model, options)
    print(f"model: {printable(find_model(model))}")
    faults = list(found.faults)
    for job in jobs:
        print(f"{printable(job.audio)} → {', '.join(map(printable, job.files.values())) or 'standard output'}")
        try:
            if job.audio != STANDARD_INPUT:
                probe(job.audio)
        except AsrError as error:
            faults.append(printable(error))
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    if faults:
        raise typer.Exit(1)


def _transcribe(
    jobs: Sequence[Job], model: Path | None, options: dict[str, Any], as_json: bool, min_confidence: float
) -> list[Path]:
    """Transcribes recordings; returns those that failed."""
    from asr.cli.progress import AUDIO, progress
    from asr.errors import AsrError
    from asr.transcribe.outputs import make_folders
    from asr.transcribe.writers import Txt

    if not jobs:
        return []
    make_folders(jobs)
    began = time.monotonic()
    transcriber = _loaded(model, options)
    failed: list[Path] = []
    spoken = 0.0
    many = len(jobs) > 1
    total = _seconds(jobs)
    with contextlib.ExitStack() as stack:
        # Texts that appear on the terminal are progress themselves.
        shown = any(job.files for job in jobs) or (not sys.stdout.isatty() and (many or sys.stderr.isatty()))
        report = stack.enter_context(progress("transcribing", AUDIO)) if shown else None
        heard = (lambda seconds: report(round(seconds), total)) if report else None
        for job, outcome in zip(jobs, transcriber.transcribe_files([job.audio for job in jobs], heard), strict=True):
            error = outcome.error
            if outcome.transcript is not None:
                spoken += outcome.transcript.duration
            if outcome.transcript is not None and job.files:
                try:
                    job.write(outcome.transcript, min_confidence)
                except AsrError as refused:
                    error = str(refused)
            if error is not None:
                failed.append(job.audio)
                print(f"error: {printable(error)}", file=sys.stderr, flush=True)
            if as_json:
                print(_json_line(outcome), flush=True)
            elif not job.files and outcome.transcript is not None:
                text = Txt(min_confidence).write(outcome.transcript).rstrip("\n")
                print(f"{printable(job.audio)}: {' '.join(text.splitlines())}" if many else text, flush=True)
    if many or any(job.files for job in jobs):
        took = time.monotonic() - began
        done = f"{len(jobs) - len(failed)} of {len(jobs)} recordings" if many else "1 recording"
        print(
            f"{done}, {_hours(spoken)} of audio, in {_hours(took)}: {spoken / took:,.0f} × real time", file=sys.stderr
        )
    return failed


def _loaded(model: Path | None, options: dict[str, Any]) -> Transcriber:
    """The model, ready, with a note of what its user may not expect of it."""
    from asr.transcribe.load import load_model

    gc.disable()  # what is loaded stays: no cycle among its million objects is worth looking for, now or at the end
    try:
        transcriber = load_model(model, **options)
    finally:
        gc.freeze()
        gc.enable()
    _note(transcriber)
    return transcriber


def _note(transcriber: Transcriber) -> None:
    """Says what the user may expect of the model, and does not get."""
    from asr.transcribe.backend import TorchBackend

    backend, search = transcriber.backend, transcriber.system.search
    if backend.tokenizer.kind == "phone" and (search is None or search.lexicon is None):
        print(
            "note: a model of phones, so phones are what is written; words come of --lexicon and --lm", file=sys.stderr
        )
    if isinstance(backend, TorchBackend) and backend.model.decoder is not None:
        print("note: by CTC alone; a model's attention decoder takes part in asr decode", file=sys.stderr)


def _hours(seconds: float) -> str:
    """``1:02:03``, or ``2:03`` for less than an hour."""
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{left:02}" if minutes >= 60 else f"{minutes}:{left:02}"


def _listen(found: Found | None, model: Path | None, options: dict[str, Any], latency: float, as_json: bool) -> None:
    """Prints what is said while it is said: in recordings, one after the other, or before the microphone."""
    from asr.audio import stream_audio
    from asr.cli.live import listen
    from asr.errors import AsrError
    from asr.transcribe.microphone import microphone

    transcriber = _loaded(model, options)
    rate = transcriber.backend.rate
    if found is None:
        blocks = microphone(rate)
        first = next(blocks)  # which fails where there is none
        print("listening; Ctrl-C ends it", file=sys.stderr)
        listen(itertools.chain([first], blocks), transcriber.stream(latency), as_json)
        return
    failed = list(found.faults)
    for one in found.recordings:
        name = one.audio if len(found.recordings) > 1 else None
        try:
            if listen(stream_audio(one.audio, rate), transcriber.stream(latency), as_json, name):
                raise KeyboardInterrupt
        except UsageError:
            raise
        except AsrError as error:
            failed.append(printable(error))
    for reason in failed:
        print(f"error: {reason}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def _seconds(jobs: Sequence[Job]) -> int | None:
    """How long all recordings are together, as their headers say; None: one does not say, though it may be sound."""
    from asr import ffmpeg
    from asr.audio import probe
    from asr.errors import AsrError
    from asr.transcribe.inputs import STANDARD_INPUT

    total = 0.0
    for job in jobs:
        try:
            total += probe(job.audio).duration
        except AsrError:
            if job.audio == STANDARD_INPUT or job.audio.suffix.lower() in ffmpeg.SUFFIXES:
                return None
    return round(total)


def _json_line(outcome: Outcome) -> str:
    """An outcome on one line. A terminal that lacks a letter gets JSON's escape for it, so that the line stays JSON."""
    escape = sys.stdout.encoding.lower() != "utf-8"
    fields: dict[str, Any] = {"audio": outcome.audio.as_posix()}
    if outcome.transcript is None:
        fields["error"] = outcome.error
    else:
        said = outcome.transcript
        fields |= {"duration": round(said.duration, 3), "text": said.text, "words": list(map(asdict, said.words))}
    return json.dumps(fields, ensure_ascii=escape)


@contextlib.contextmanager
def _ended_properly() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP end the command as Ctrl-C does: what is being written is taken back."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    heeded = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) != signal.SIG_IGN]  # nohup
    former = {number: signal.signal(number, end) for number in heeded}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


app.command()(transcribe_audio)


def main() -> None:
    run(app)
