"""``asr g2p``: pronunciations of words that no dictionary holds."""

from __future__ import annotations

from pathlib import Path

import typer

from asr.errors import AsrError, UsageError

app = typer.Typer(help="Train a grapheme-to-phoneme model, and pronounce words by it.", no_args_is_help=True)


@app.command()
def train(
    overrides: list[str] | None = typer.Argument(None, metavar="[KEY=VALUE]...", help="As in hidden=256 epochs=20."),
    dictionary: Path = typer.Option(..., "--dictionary", help="Pronouncing dictionary: lines of WORD PHONE PHONE …"),
    out: Path = typer.Option(..., "--out", help="Folder for the model and the run's state."),
    device: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
    threads: int = typer.Option(0, "--threads", min=0, help="CPU threads; 0: every core."),
) -> None:
    """Train an LSTM on a dictionary, a tenth of its words held out; a run that was stopped goes on where it stood."""
    from asr.flat_config import flat_config
    from asr.phones.g2p import G2pConfig
    from asr.phones.train_g2p import train_g2p
    from asr.runtime import set_up

    print(f"model: {train_g2p(flat_config(G2pConfig, overrides), dictionary, out, set_up(device, threads))}")


@app.command()
def apply(
    given: list[str] | None = typer.Argument(None, metavar="[WORD]...", help="Words to pronounce."),
    model: Path = typer.Option(..., "--model", help="Model folder, from asr g2p train."),
    words: Path | None = typer.Option(None, "--words", metavar="FILE", help="Words, separated by white space."),
    nbest: int = typer.Option(1, "--nbest", min=1, help="Most pronunciations of a word."),
    scores: bool = typer.Option(False, "--scores", help="Write the probability of each behind it, as a remark."),
) -> None:
    """Print a lexicon: a line for each pronunciation of each word, the likeliest first."""
    import sys

    from asr.files import read_text
    from asr.phones.g2p import load_g2p, probability
    from asr.runtime import set_up

    wanted = list(dict.fromkeys([*(given or []), *(read_text(words).split() if words else [])]))
    if not wanted:
        raise UsageError("which words? Name them, or a file of them with --words")
    set_up("cpu")
    g2p = load_g2p(model)
    silent = []
    for word, found in zip(wanted, g2p.pronounce(wanted, nbest), strict=True):
        for one in found:
            remark = f" # {probability(one.score):.4f}" if scores else ""
            print(f"{word} {' '.join(one.phones)}{remark}")
        if not found:
            silent.append(word)
            print(f"not pronounced: {word!r}: {_why(g2p.foreign(word))}", file=sys.stderr)
    if silent:
        raise AsrError(f"{len(silent)} of {len(wanted)} words could not be pronounced")


def _why(foreign: list[str]) -> str:
    if foreign:
        return f"the model has never read {', '.join(map(repr, foreign))}"
    return "the model finds no phones for it"
