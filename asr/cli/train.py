"""``asr train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def train(
    overrides: Annotated[Optional[list[str]], typer.Argument(help="key=value, as in train.epochs=5")] = None,  # noqa: UP045
    train: Annotated[Path, typer.Option(help="Manifest to learn from.")] = ...,  # type: ignore[assignment]
    dev: Annotated[Path, typer.Option(help="Manifest that judges each epoch.")] = ...,  # type: ignore[assignment]
    out: Annotated[Path, typer.Option(help="Folder for the model and the run's state.")] = ...,  # type: ignore[assignment]
    config: Annotated[Optional[Path], typer.Option(help="YAML; without it the defaults.")] = None,  # noqa: UP045
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads; 0: every core.")] = 0,
) -> None:
    """Train a recogniser; a run that was stopped goes on where it stood."""
    from asr.config import read_config

    settings = read_config(config, overrides)  # before torch is imported: a misspelt key is told at once

    from asr.runtime import set_up
    from asr.train.setup import train_model

    trained = train_model(settings, train, dev, out, set_up(device, threads))
    print(f"model: {trained.model}")
    if trained.failed:
        for reason in trained.failed.values():
            print(f"not used: {reason}")
        print(f"{len(trained.failed)} utterances were not used")
        raise typer.Exit(1)
