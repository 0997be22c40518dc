"""The command ``asr``. Each command imports what it needs when it runs, so that ``asr --help`` is quick."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable

import typer

from asr import __version__
from asr.cli import data, g2p, lm
from asr.cli.augment import augment
from asr.cli.decode import decode, verify
from asr.cli.doctor import doctor
from asr.cli.export import export
from asr.cli.lexicon import lexicon
from asr.cli.score import score
from asr.cli.train import train
from asr.errors import AsrError, printable
from asr.runtime import wait_briefly

app = typer.Typer(
    help="Train your own speech recogniser from a folder of recordings, and trust every number it prints.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def print_version(wanted: bool) -> None:
    """Behind ``--version``: prints it and leaves."""
    if wanted:
        print(f"asr {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=print_version, is_eager=True, help="Print the version."),
) -> None:
    pass


app.command("doctor")(doctor)
app.command("augment")(augment)
app.command("train")(train)
app.add_typer(data.app, name="data")
app.add_typer(lm.app, name="lm")
app.add_typer(g2p.app, name="g2p")
app.command("lexicon")(lexicon)
app.command("decode")(decode)
app.command("score")(score)
app.command("verify")(verify)
app.command("export")(export)


def run(application: Callable[[], object]) -> None:
    """Runs a command line: an AsrError becomes a sentence and its exit status, Ctrl-C becomes 130, no traceback."""
    wait_briefly()
    # By default cycles are looked for after every 700 new objects; a lexicon is a million of them, and holds none.
    gc.set_threshold(200_000)
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a letter must not end the command
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        try:
            application()
        finally:
            sys.stdout.flush()
    except AsrError as error:
        print(f"error: {printable(error)}", file=sys.stderr)  # names in it may hold line ends
        sys.exit(error.exit_status)
    except (KeyboardInterrupt, SystemExit) as left:  # typer turns Ctrl-C into a silent exit with 130
        if isinstance(left, SystemExit) and left.code != 130:
            raise
        print("stopped by Ctrl-C", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # `asr … | head`
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:  # `asr … > file` on a full disk; what is still to be printed has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"error: the standard output could not be written ({error.strerror or error})", file=sys.stderr)
        sys.exit(1)


def main() -> None:
    run(app)
