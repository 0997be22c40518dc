"""The training state on disk: written whole or not at all, read with ``weights_only=True``, averaged at the end."""

from __future__ import annotations

import json
import pickle
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from asr.config import TrainConfig
from asr.errors import AsrError
from asr.files import replacing, write_text
from asr.model.folder import save_weights
from asr.strict import Strict

THREADS = "number of threads"  # by which a step is divided: rounding and dropout; of a finished model nobody minds it
BEST = "best.safetensors"  # the best weights of a run so far, among its checkpoints
_MOST_KEYS = 3  # of a config that are named
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


def config_mark(config: Strict) -> str:
    """The fingerprint's part that stands for a config; how often a run saves is not part of what it is."""
    return json.dumps(config.model_dump(exclude={"train": {"checkpoint_minutes"}}), sort_keys=True)


def differing(fingerprint: dict[str, str], former: dict[str, str], kind: type[Strict]) -> list[str]:
    """Which parts of a run's fingerprint a former run does not share.

    Configs are compared as ``kind`` understands them today: a key that the former did not know yet has its default.
    """
    return [
        name
        for name, value in fingerprint.items()
        if former.get(name) != value and (name != "config" or _understood(former.get(name), kind) != value)
    ]


def refuse_another(model: Path, fingerprint: dict[str, str], former: dict[str, str], kind: type[Strict]) -> None:
    """Refuses a folder that holds the finished model of another run; the number of threads may differ.

    Raises:
        AsrError: names what differs.
    """
    others = [name for name in differing(fingerprint, former, kind) if name != THREADS]
    if others:
        raise AsrError(
            f"{model}: holds a model that was trained with another {describe(others, fingerprint, former, kind)}; "
            f"train into another --out, or delete {model.parent} to begin anew"
        )


def already_trained(
    model: Path, read: Callable[[Path], dict[str, Any]], fingerprint: dict[str, str], kind: type[Strict]
) -> dict[str, Any] | None:
    """What a finished model says of its training, if it came of this very run; None if there is no model yet.

    Args:
        model: its folder.
        read: loads such a folder and gives what it says.
        fingerprint: of this run.
        kind: of its config.

    Raises:
        AsrError: the folder is damaged, or holds the model of another run.
    """
    if not (model / "SHA256SUMS").exists():
        return None
    trained = read(model)
    refuse_another(model, fingerprint, trained.get("fingerprint") or {}, kind)
    print(f"{model}: is trained already", flush=True)
    return trained


def describe(others: list[str], fingerprint: dict[str, str], former: dict[str, str], kind: type[Strict]) -> str:
    """What `differing` found, in words; of a config the first keys with both values."""
    try:
        here, there = (_flat(json.loads(_understood(one.get("config"), kind) or "")) for one in (fingerprint, former))
    except ValueError:  # the former's config cannot be read any more
        here, there = {}, {}
    keys = [key for key in here if here[key] != there.get(key)]
    named = ", ".join(f"{key} is {here[key]} here, {there.get(key)} there" for key in keys[:_MOST_KEYS])
    more = f" and {len(keys) - _MOST_KEYS} more" if len(keys) > _MOST_KEYS else ""
    return " and ".join(f"{name} ({named}{more})" if name == "config" and named else name for name in others)


def _flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots, as overrides write them."""
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _understood(mark: str | None, kind: type[Strict]) -> str | None:
    """The mark of a former config with today's keys; as it is, where it is no config of this kind any more."""
    try:
        return config_mark(kind.model_validate(json.loads(mark or "")))
    except ValueError:  # not JSON, or not valid today: both are ValueErrors
        return mark


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
    path: Path,
    fingerprint: dict[str, str],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    smoothed: nn.Module | None = None,
) -> None:
    """Writes everything that a run needs to go on, in place of the checkpoint before.

    Args:
        path: of the checkpoint.
        fingerprint: what a run must share to go on from here.
        model: its weights.
        optimizer: its moments.
        progress: where the run stands.
        smoothed: the moving average of the weights, if there is one.

    Raises:
        AsrError: it could not be written; the checkpoint before is kept.
    """
    state: dict[str, Any] = {
        "fingerprint": fingerprint,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": asdict(progress),
    }
    if smoothed is not None:
        state["smoothed"] = smoothed.state_dict()
    with replacing(path) as temporary:
        try:
            torch.save(state, temporary)
        except RuntimeError as error:  # torch's zip writer reports a full disk so
            raise OSError(f"writing failed, is the disk full? {str(error).splitlines()[0]}") from error


def load_checkpoint(
    path: Path,
    fingerprint: dict[str, str],
    kind: type[Strict],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    smoothed: nn.Module | None = None,
) -> Progress:
    """Restores model, optimiser and moving average in place and returns where the run stood.

    ``fingerprint`` must be that of the run that saved it, its config being one of ``kind``, see `differing`.

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
        others = differing(fingerprint, stored, kind)
        if not others:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            if smoothed is not None:
                smoothed.load_state_dict(state["smoothed"])
            return Progress(**state["progress"])
    except OSError as error:
        raise AsrError(f"{path}: could not be read ({error.strerror or error})") from error
    except _DAMAGE as error:
        raise AsrError(f"{path}: a damaged checkpoint; delete it to begin anew") from error
    if others == [THREADS]:
        raise AsrError(
            f"{path}: was written by a run with --threads {stored.get(THREADS)}, and steps are divided otherwise with "
            f"{fingerprint[THREADS]}; give that --threads to go on, or delete {path.parent} to begin anew"
        )
    raise AsrError(
        f"{path}: was written by a run with another {describe(others, fingerprint, stored, kind)}; "
        f"train into another --out, or delete {path.parent} to begin anew"
    )


def save_epoch(folder: Path, epoch: int, model: nn.Module) -> None:
    """Keeps an epoch's weights for averaging.

    Raises:
        AsrError: they could not be written.
    """
    save_weights(model, _epoch_path(folder, epoch))


def _epoch_path(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch:04d}.safetensors"


def load_best(folder: Path, model: nn.Module) -> None:
    """Gives a model the weights that its run kept as the best, under the name `BEST`.

    Raises:
        AsrError: it is missing or damaged.
    """
    try:
        model.load_state_dict(load_file(folder / BEST))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise AsrError(f"{folder / BEST}: missing or damaged ({reason}); delete {folder} to begin anew") from error


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """Writes the rows of a run, one JSON line each.

    Raises:
        AsrError: they could not be written.
    """
    write_text(path, "".join(json.dumps(row) + "\n" for row in history))


def quality(row: dict[str, float]) -> tuple[float, float, float]:
    """What makes an epoch better than another: dev WER, then CER, then loss; less is better."""
    return row["dev_wer"], row["dev_cer"], row["dev_loss"]


def epochs_to_average(history: list[dict[str, float]], count: int, best: bool) -> list[int]:
    """The epochs whose weights make the final model: the best by dev, or the last ``count``."""
    rows = sorted(history, key=lambda row: (*quality(row), row["epoch"])) if best else history
    chosen = rows[:count] if best else rows[-count:]
    return sorted(int(row["epoch"]) for row in chosen)


def epochs_to_export(history: list[dict[str, float]], config: TrainConfig) -> list[int]:
    """The epochs that make the final model: one, where their weights are moving averages already."""
    return epochs_to_average(history, 1 if config.ema else config.average, config.averages_best)


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
