"""``asr decode`` and ``asr verify``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import typer

_DEVICE = typer.Option("auto", "--device", help="auto, cpu or cuda.")
_THREADS = typer.Option(0, "--threads", min=0, help="CPU threads; 0: every core.")


def decode(
    model: Path = typer.Option(..., "--model", help="Model folder."),
    manifest: Path = typer.Option(..., "--manifest", help="What to decode."),
    out: Path | None = typer.Option(None, "--out", help="Default: decode/<manifest's name> beside the model folder."),
    audio: str | None = typer.Option(None, "--audio", help="What the recordings went through, for the receipt."),
    device: str = _DEVICE,
    threads: int = _THREADS,
) -> None:
    """Decode a manifest into hypotheses with times and confidences; score them with `asr score`."""
    from asr.cli.progress import progress
    from asr.decode.run import decode_to_folder
    from asr.runtime import set_up

    folder = out or model.parent / "decode" / manifest.stem
    command = shlex.join(["asr", *sys.argv[1:]])
    with progress("decoding", "seconds of audio") as report:
        failed = decode_to_folder(model, manifest, folder, set_up(device, threads), audio, command, report)
    print(f"hypotheses: {folder / 'hyp.jsonl'}")
    if failed:
        for reason in failed.values():
            print(f"not decoded: {reason}", file=sys.stderr)
        print(f"{len(failed)} utterances were not decoded; they will be scored as deletions", file=sys.stderr)
        raise typer.Exit(1)


def verify(
    receipt: Path = typer.Argument(..., help="A result.json."),
    model: Path | None = typer.Option(None, "--model", help="Model folder, if it is not where the receipt says."),
    manifest: Path | None = typer.Option(None, "--manifest", help="Manifest, if it is not where the receipt says."),
    device: str = _DEVICE,
    threads: int = _THREADS,
) -> None:
    """Decode and score again what a receipt says, and compare every count."""
    from asr.runtime import set_up
    from asr.score.verify import verify_receipt

    differing = verify_receipt(receipt, model, manifest, set_up(device, threads))
    if differing:
        for line in differing:
            print(line)
        raise typer.Exit(1)
    print(f"{receipt}: verified, every count is the same")
