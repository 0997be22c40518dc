"""``asr export``."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from asr.errors import UsageError


def export(
    model: Path = typer.Option(..., "--model", help="Model folder, as asr train leaves it."),
    out: Path = typer.Option(..., "--out", help="Folder for the exported model."),
    g2p: Path | None = typer.Option(
        None, "--g2p", metavar="MODEL", help="Comes along, to pronounce hotwords that the lexicon lacks."
    ),
    int8: bool = typer.Option(False, "--int8", help="Weights of eight bits: a quarter of the size, and faster."),
) -> None:
    """Write a model for ONNX Runtime, so that transcribe-audio needs no PyTorch to use it."""
    try:
        from asr.export.folder import export as write
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise UsageError("asr export needs the package onnx: pip install 'asr[export]'") from error
    from asr.model.folder import open_folder

    if open_folder(model).config.decoder.weight:
        print("note: by CTC alone; the model's attention decoder is not exported", file=sys.stderr)
    path, difference = write(model, out, int8, g2p)
    size = path.stat().st_size / 1e6
    print(f"exported: {path} ({size:.1f} MB; log-probs of noise differ by at most {difference:.1g} from PyTorch's)")
