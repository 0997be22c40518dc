"""``asr lm train-lstm``."""

from __future__ import annotations

from pathlib import Path

import typer


def train_lstm(
    overrides: list[str] | None = typer.Argument(None, metavar="[KEY=VALUE]...", help="As in hidden=512 minutes=40."),
    text: list[Path] = typer.Option(..., "--text", help="Text to learn from, one sentence a line; may be repeated."),
    dev: Path = typer.Option(..., "--dev", help="Text whose perplexity chooses the weights."),
    out: Path = typer.Option(..., "--out", help="Folder for the model and the run's state."),
    tokens: Path | None = typer.Option(None, "--tokens", help="Model folder whose tokens to predict, for unit=token."),
    device: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
    threads: int = typer.Option(0, "--threads", min=0, help="CPU threads; 0: every core."),
) -> None:
    """Train an LSTM language model; a run that was stopped goes on where it stood."""
    from asr.flat_config import flat_config
    from asr.lm.recurrent import RecurrentConfig
    from asr.lm.train_recurrent import train_recurrent
    from asr.runtime import set_up

    config = flat_config(RecurrentConfig, overrides)
    print(f"model: {train_recurrent(config, text, dev, tokens, out, set_up(device, threads))}")
