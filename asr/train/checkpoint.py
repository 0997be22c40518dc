"""The training state on disk: written whole or not at all, read with ``weights_only=True``, averaged at the end."""

from __future__ import annotations

import pickle
import zipfile
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from asr.errors import AsrError
from asr.files import replacing

THREADS = "number of threads"  # the fingerprint's only part that is not about what is learned, only about rounding
_DAMAGE = (
    RuntimeError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    EOFError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass
class Progress:
    """Where a run stands. Everything is a plain number, string, list or dict.

    Attributes:
        epoch: epochs finished.
        group: optimiser steps taken in the current epoch, skipped ones included.
        step: optimiser steps taken in all.
        loss: sum of the current epoch's losses [nats].
        labels: labels they are summed over.
        audio: seconds of audio trained on in the current epoch.
        seconds: time spent training, in all.
        epoch_seconds: time spent on the current epoch.
        broken: steps in a row that were skipped for a loss or gradient that is not finite.
        skipped: steps skipped in all.
        history: one row an epoch: epoch, loss, dev_loss, dev_wer, dev_cer, audio_hours, minutes.
        failed: id → reason of utterances that could not be read.
    """

    epoch: int = 0
    group: int = 0
    step: int = 0
    loss: float = 0.0
    labels: int = 0
    audio: float = 0.0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    broken: int = 0
    skipped: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def save_checkpoint(
    path: Path, fingerprint: dict[str, str], model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Writes everything that a run needs to go on, in place of the checkpoint before.

    Raises:
        AsrError: it could not be written; the checkpoint before is kept.
    """
    state = {
        "fingerprint": fingerprint,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": asdict(progress),
    }
    with replacing(path) as temporary:
        try:
            torch.save(state, temporary)
        except RuntimeError as error:  # torch's zip writer reports a full disk so
            raise OSError(f"writing failed, is the disk full? {str(error).splitlines()[0]}") from error


def load_checkpoint(
    path: Path, fingerprint: dict[str, str], model: nn.Module, optimizer: torch.optim.Optimizer
) -> Progress:
    """Restores model and optimiser in place and returns where the run stood.

    Raises:
        AsrError: the checkpoint is damaged, or belongs to another config or other manifests.
    """
    device = next(model.parameters()).device
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch does not look at the checksums it writes
        if damaged:
            raise zipfile.BadZipFile(f"the checksum of {damaged} differs")
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        stored = state["fingerprint"]
        differing = [name for name, value in fingerprint.items() if stored.get(name) != value]
        if not differing:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            return Progress(**state["progress"])
    except OSError as error:
        raise AsrError(f"{path}: could not be read ({error.strerror or error})") from error
    except _DAMAGE as error:
        raise AsrError(f"{path}: a damaged checkpoint; delete it to begin anew") from error
    if differing == [THREADS]:
        raise AsrError(
            f"{path}: was written by a run with --threads {stored.get(THREADS)}, and sums come out otherwise with "
            f"{fingerprint[THREADS]}; give that --threads to go on, or delete {path.parent} to begin anew"
        )
    raise AsrError(
        f"{path}: was written by a run with another {' and '.join(differing)}; "
        f"train into another --out, or delete {path.parent} to begin anew"
    )


def save_epoch(folder: Path, epoch: int, model: nn.Module) -> None:
    """Keeps an epoch's weights for averaging.

    Raises:
        AsrError: they could not be written.
    """
    with replacing(_epoch_path(folder, epoch)) as temporary:
        temporary.write_bytes(save({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}))


def _epoch_path(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch:04d}.safetensors"


def quality(row: dict[str, float]) -> tuple[float, float, float]:
    """What makes an epoch better than another: dev WER, then CER, then loss; less is better."""
    return row["dev_wer"], row["dev_cer"], row["dev_loss"]


def epochs_to_average(history: list[dict[str, float]], count: int, which: str) -> list[int]:
    """The epochs whose weights make the final model: the last ``count``, or the best by dev."""
    rows = history if which == "last" else sorted(history, key=lambda row: (*quality(row), row["epoch"]))
    chosen = rows[-count:] if which == "last" else rows[:count]
    return sorted(int(row["epoch"]) for row in chosen)


def prune_epochs(folder: Path, keep: list[int]) -> None:
    """Deletes the weights of epochs that will not be averaged."""
    kept = {_epoch_path(folder, epoch) for epoch in keep}
    for path in folder.glob("epoch-*.safetensors"):
        if path not in kept:
            path.unlink()


def average_epochs(folder: Path, epochs: list[int]) -> dict[str, Tensor]:
    """The mean of several epochs' weights, summed in float64 (Polyak averaging over the end of a run).

    Raises:
        AsrError: an epoch's weights are missing or damaged.
    """
    total: dict[str, Tensor] = {}
    for epoch in epochs:
        path = _epoch_path(folder, epoch)
        if not path.exists():
            raise AsrError(f"{path}: is missing, so the average over epochs {epochs} cannot be taken")
        try:
            weights = load_file(path)
        except SafetensorError as error:
            raise AsrError(f"{path}: not a safetensors file ({error}); delete the folder to begin anew") from error
        for name, tensor in weights.items():
            total[name] = total.get(name, 0) + tensor.double() / len(epochs)
    return {name: tensor.float() for name, tensor in total.items()}
