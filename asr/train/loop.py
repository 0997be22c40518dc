"""The training run: every step a function of config, manifests and step number, so that it can be resumed."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from asr.errors import AsrError
from asr.train.checkpoint import (
    epochs_to_export,
    prune_epochs,
    quality,
    save_checkpoint,
    save_epoch,
    write_history,
)
from asr.train.evaluate import Development
from asr.train.parallel import HelperLost, Helpers
from asr.train.reporting import Reporter
from asr.train.select import refuse_too_many
from asr.train.trainer import Trainer


class Stopped(AsrError):
    """The run was asked to stop (Ctrl-C, SIGTERM), and its state was saved."""

    exit_status = 130


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM, so that a run ends between two steps; a second one ends it at once."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    try:
        former = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever runs us there handles signals
        former = {}
    try:
        yield seen
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def run(
    trainer: Trainer, development: Development, folder: Path, fingerprint: dict[str, str], reporter: Reporter
) -> None:
    """Trains until the last epoch or until early stopping, saving as it goes.

    Args:
        trainer: where the run stands.
        development: what each epoch is judged on.
        folder: for ``checkpoints/`` and ``history.jsonl``.
        fingerprint: what a checkpoint must agree on to be resumed.
        reporter: told of every step and epoch.

    Raises:
        Stopped: asked to stop; the state is saved.
        AsrError: losses that stay not finite, more than 1 % unreadable, or a state that cannot be written.
    """
    config, progress = trainer.config.train, trainer.progress
    checkpoints = folder / "checkpoints"
    latest = checkpoints / "latest.pt"

    def save() -> None:
        save_checkpoint(latest, fingerprint, trainer.model, trainer.optimizer, progress, trainer.smoothed)

    for abandoned in checkpoints.glob(".*.part"):  # what a kill cut short
        abandoned.unlink()
    refuse_too_many(progress.failed, len(trainer.train), "training audio")
    with stop_requests() as asked, Helpers(trainer) as helpers:
        while progress.epoch < config.epochs and not stop_early(progress.history, config.patience):
            saved = clock = time.monotonic()
            groups = trainer.groups(progress.epoch)
            reporter.begin(progress.epoch, len(groups), progress.group)
            try:
                for group, heard in zip(groups[progress.group :], helpers.hear(groups[progress.group :]), strict=True):
                    trainer.step(heard, group, progress.epoch + progress.group / len(groups))
                    now = time.monotonic()
                    progress.epoch_seconds += now - clock
                    clock = now
                    reporter.step(progress)
                    if asked or now - saved > 60 * config.checkpoint_minutes:
                        save()
                        saved = time.monotonic()
                    if asked:
                        raise Stopped(f"stopped in epoch {progress.epoch + 1}; the same command goes on from there")
            except HelperLost:
                save()
                raise
            _finish_epoch(trainer, development, reporter, time.monotonic() - clock)
            save_epoch(checkpoints, progress.epoch, trainer.judged)
            write_history(folder / "history.jsonl", progress.history)
            save()  # last: a run that is cut off before it does the epoch again and writes the same
            prune_epochs(checkpoints, epochs_to_export(progress.history, config))
            refuse_too_many(progress.failed, len(trainer.train), "training audio")
            if asked:
                raise Stopped(f"stopped after epoch {progress.epoch}; the same command goes on from there")


def _finish_epoch(trainer: Trainer, development: Development, reporter: Reporter, rest: float) -> None:
    """Judges the epoch on dev, adds its row to the history and turns the page."""
    progress = trainer.progress
    begin = time.monotonic()
    judged = development.judge(trainer.judged)
    seconds = progress.epoch_seconds + rest + time.monotonic() - begin
    progress.epoch += 1
    progress.seconds += seconds
    row = {
        "epoch": progress.epoch,
        "loss": progress.loss / max(progress.labels, 1),
        **judged,
        "learning_rate": trainer.optimizer.param_groups[0]["lr"],
        "audio_hours": progress.audio / 3600,
        "speed": progress.audio / max(progress.epoch_seconds, 1e-9),
        "minutes": progress.seconds / 60,
    }
    progress.history.append(row)
    progress.group, progress.loss, progress.labels, progress.audio, progress.epoch_seconds = 0, 0.0, 0, 0.0, 0.0
    reporter.epoch(row, seconds)


def stop_early(history: list[dict[str, float]], patience: int) -> bool:
    """Whether the last ``patience`` epochs were all no better on dev than one before them; never for patience 0."""
    if not patience or not history:
        return False
    best = min(range(len(history)), key=lambda index: (quality(history[index]), index))
    return len(history) - 1 - best >= patience
