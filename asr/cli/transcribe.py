"""``transcribe-audio``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import typer

from asr.cli.main import run

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)


def transcribe_audio(
    files: list[Path] = typer.Argument(..., metavar="FILE...", help="Recordings, of any format libsndfile reads."),
    model: Path = typer.Option(..., "--model", envvar="ASR_MODEL", help="Model folder, as asr train leaves it."),
    as_json: bool = typer.Option(False, "--json", help="A JSON line a file: text, words with times, confidences."),
    device: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
    threads: int = typer.Option(0, "--threads", min=0, help="CPU threads; 0: every core."),
) -> None:
    """Print what is said in recordings. A file that fails is named, and the exit status is 1."""
    from dataclasses import asdict

    from asr.model.acoustic import load_model
    from asr.runtime import set_up
    from asr.transcribe.backend import TorchBackend
    from asr.transcribe.transcriber import Transcriber

    chosen = set_up(device, threads)
    recogniser = load_model(model)
    transcriber = Transcriber(TorchBackend(recogniser, chosen))
    if recogniser.tokenizer.kind == "phone":
        print(
            "note: a model of phones, so phones are what is printed; asr decode --lexicon writes words", file=sys.stderr
        )
    if recogniser.model.decoder is not None:
        print("note: by CTC alone; a model's attention decoder takes part in asr decode", file=sys.stderr)
    # A terminal that lacks a letter gets JSON's escape for it, so that the line stays JSON.
    escape = sys.stdout.encoding.lower() != "utf-8"
    failed = 0
    for outcome in transcriber.transcribe_files(files):
        name, transcript = outcome.audio.as_posix(), outcome.transcript
        if transcript is None:
            failed += 1
            print(f"error: {outcome.error}", file=sys.stderr, flush=True)
            if as_json:
                print(json.dumps({"audio": name, "error": outcome.error}, ensure_ascii=escape), flush=True)
        elif as_json:
            words = [asdict(word) for word in transcript.words]
            fields = {"audio": name, "duration": round(transcript.duration, 3), "text": transcript.text, "words": words}
            print(json.dumps(fields, ensure_ascii=escape), flush=True)
        else:
            print(transcript.text if len(files) == 1 else f"{name}: {transcript.text}", flush=True)
    if failed:
        print(f"{failed} of {len(files)} files could not be transcribed", file=sys.stderr)
        raise typer.Exit(1)


app.command()(transcribe_audio)


def main() -> None:
    run(app)
