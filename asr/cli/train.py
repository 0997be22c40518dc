"""``asr train``."""

from __future__ import annotations

from pathlib import Path

import typer


def train(
    overrides: list[str] | None = typer.Argument(None, metavar="[KEY=VALUE]...", help="As in train.epochs=5."),
    train: Path = typer.Option(..., "--train", help="Manifest to learn from."),
    dev: Path = typer.Option(..., "--dev", help="Manifest that judges each epoch."),
    out: Path = typer.Option(..., "--out", help="Folder for the model and the run's state."),
    config: Path | None = typer.Option(None, "--config", help="YAML; without it the defaults."),
    device: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
    threads: int = typer.Option(0, "--threads", min=0, help="CPU threads, in up to four processes; 0: every core."),
) -> None:
    """Train a recogniser; a run that was stopped goes on where it stood."""
    from asr.config import read_config

    settings = read_config(config, overrides)  # before torch is imported: a misspelt key is told at once

    from asr.runtime import set_up
    from asr.train.setup import train_model

    source = " ".join([config.as_posix() if config else "defaults", *(overrides or [])])
    trained = train_model(settings, source, train, dev, out, set_up(device, threads))
    print(f"model: {trained.model}")
    if trained.failed:
        for reason in trained.failed.values():
            print(f"not used: {reason}")
        print(f"{len(trained.failed)} utterances were not used")
        raise typer.Exit(1)
