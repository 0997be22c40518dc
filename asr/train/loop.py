"""The training run: every step a function of config, manifests and step number, so that it can be resumed."""

from __future__ import annotations

import copy
import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import torch
from torch import Tensor

from asr.augment import Augmenter, draw_factor, generator, spec_augment, warp_bands
from asr.cmvn import speaker_key
from asr.config import Config
from asr.errors import AsrError
from asr.latency import Chunking
from asr.model.acoustic import AcousticModel
from asr.runtime import available_threads
from asr.train.batches import Item, plan_epoch
from asr.train.checkpoint import (
    Progress,
    epochs_to_export,
    prune_epochs,
    quality,
    save_checkpoint,
    save_epoch,
    write_history,
)
from asr.train.evaluate import Development
from asr.train.latency import draw_chunking
from asr.train.load import Batch, batches
from asr.train.objective import forward, objective
from asr.train.optimise import learning_rate, make_optimizer, move_average, seed_step
from asr.train.reporting import Reporter
from asr.train.select import Selected, refuse_too_many

_MOST_BROKEN = 10
_MOST_LOADERS = 8


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


class Trainer:
    """A run in memory: model, optimiser and how far it has come.

    Where ``train.ema`` is set, ``smoothed`` is the moving average of the model's weights, else None.

    Args:
        config: of the run.
        model: on its device, with its normalisation statistics set.
        train: what to train on.
        statistics: speaker → mean and standard deviation, shape (2, F), for per-speaker normalisation; else empty.
        bfloat16: compute in bfloat16 where that is safe (loss and log-softmax stay in float32).

    Raises:
        AsrError: a noise folder that cannot be used, or a codec that libsndfile lacks.
    """

    def __init__(
        self,
        config: Config,
        model: AcousticModel,
        train: Sequence[Selected],
        statistics: dict[str, Tensor],
        bfloat16: bool,
    ) -> None:
        self.config = config
        self.model = model
        self.train = train
        self.statistics = statistics
        self.bfloat16 = bfloat16
        self.smoothed = copy.deepcopy(model) if config.train.ema else None
        self.optimizer = make_optimizer(model, config.train.learning_rate, config.train.weight_decay)
        self.progress = Progress()
        self.device = next(model.parameters()).device
        rate = config.features.rate
        self.augmenter = Augmenter(config.augment, rate, config.seed)
        self.items = [
            Item(index, copy, one.samples / rate / speed)
            for index, one in enumerate(train)
            for copy, speed in enumerate(config.augment.speeds)
        ]

    @property
    def judged(self) -> AcousticModel:
        """The model that dev judges and that is kept: the moving average of weights, where there is one."""
        return self.model if self.smoothed is None else self.smoothed

    def groups(self, epoch: int) -> list[list[list[Item]]]:
        """The epoch's batches, in the groups whose gradients make one step."""
        config = self.config.train
        # Slowed copies may round up to a hair above the limit that `select` held them to.
        plan = plan_epoch(self.items, config.batch_seconds * 1.001, self.config.seed, epoch)
        return [plan[start : start + config.accumulate] for start in range(0, len(plan), config.accumulate)]

    def losses(self, batch: Batch, chunking: Chunking | None = None) -> tuple[Tensor, Tensor]:
        """What is trained on, and CTC's loss alone, of each utterance of a batch, shape (N,) each [nats]."""
        features, frames = self._features(batch)
        labels = [self.train[item.utterance].labels for item in batch.items]
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
            output = forward(self.model, features, frames, self.config.train.intermediate, labels, chunking)
        return objective(output, labels, self.config)

    def _chunking(self, number: int) -> Chunking | None:
        """How the epoch's batch of this number goes by chunks, if it does."""
        return draw_chunking(self.config.train, self.model.frame_seconds, self.config.seed, self.progress.epoch, number)

    @torch.no_grad()
    def _features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        waveforms, lengths = batch.padded(self.device)
        utterances = [self.train[item.utterance].utterance for item in batch.items]
        statistics = None
        if self.statistics:
            statistics = torch.stack([self.statistics[speaker_key(one)] for one in utterances]).to(self.device)
        features, frames = self.model.features(waveforms, lengths, statistics)  # (N, T, F)
        augment, front_end = self.config.augment, self.config.features
        keys = [
            (self.config.seed, self.progress.epoch, one.id, item.copy)
            for one, item in zip(utterances, batch.items, strict=True)
        ]
        if augment.vocal_tract != [1, 1]:
            features = warp_bands(
                features, [draw_factor(generator(*key, "throat"), augment) for key in keys], front_end
            )
        return spec_augment(features, frames, [generator(*key) for key in keys], augment, front_end), frames

    def step(self, group: list[Batch], done: float) -> None:
        """One optimiser step over the batches of a group; ``done`` is how many epochs lie behind it.

        A loss or gradient that is not finite changes no weight: its utterances are named and the step is skipped.

        Raises:
            AsrError: that happened ten times in a row.
        """
        progress = self.progress
        self.model.train()
        seed_step(self.config.seed, progress.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss, labels, broken = 0.0, 0, []
        for number, batch in enumerate(group, start=progress.group * self.config.train.accumulate):
            if not batch.items:
                continue
            losses, plain = self.losses(batch, self._chunking(number))
            finite = torch.isfinite(losses.detach())
            if not finite.all():
                broken += [
                    self._name(item) for item, fine in zip(batch.items, finite.tolist(), strict=True) if not fine
                ]
                break
            losses.sum().backward()
            loss += plain.detach().sum().item()
            labels += sum(len(self.train[item.utterance].labels) for item in batch.items)
        if not broken and labels and not self._apply(labels, done):
            broken = [self._name(item) for batch in group for item in batch.items]
        progress.step += 1
        progress.group += 1
        if broken:
            self._skip(broken)
        elif labels:
            progress.broken = 0
            progress.loss += loss
            progress.labels += labels
        progress.audio += sum(item.seconds for batch in group for item in batch.items)
        for batch in group:
            progress.failed |= batch.failed

    def _name(self, item: Item) -> str:
        return self.train[item.utterance].utterance.id

    def _apply(self, labels: int, done: float) -> bool:
        """Takes the step of the mean gradient per label; False, and no step, if the gradient is not finite."""
        parameters = [parameter for parameter in self.model.parameters() if parameter.grad is not None]
        for parameter in parameters:
            parameter.grad.div_(labels)  # type: ignore[union-attr]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.train.clip, foreach=True)
        if not math.isfinite(norm.item()):
            return False
        for settings in self.optimizer.param_groups:
            settings["lr"] = learning_rate(self.config.train, done)
        self.optimizer.step()
        if self.smoothed is not None:
            move_average(self.smoothed, self.model, self.config.train.ema, self.progress.step - self.progress.skipped)
        return True

    def _skip(self, broken: list[str]) -> None:
        self.progress.skipped += 1
        self.progress.broken += 1
        named = ", ".join(broken[:5]) + (f" and {len(broken) - 5} more" if len(broken) > 5 else "")
        print(f"step {self.progress.step}: the loss or its gradient is not finite for {named}; skipped", flush=True)
        if self.progress.broken >= _MOST_BROKEN:
            raise AsrError(
                f"{_MOST_BROKEN} steps in a row had a loss or gradient that is not finite (the last: {named}): lower "
                "train.learning_rate, set train.precision=float32, or look at those recordings"
            )


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
    with stop_requests() as asked:
        while progress.epoch < config.epochs and not stop_early(progress.history, config.patience):
            saved = clock = time.monotonic()
            groups = trainer.groups(progress.epoch)
            reporter.begin(progress.epoch, len(groups), progress.group)
            for group in _load(trainer, groups[progress.group :]):
                trainer.step(group, progress.epoch + progress.group / len(groups))
                now = time.monotonic()
                progress.epoch_seconds += now - clock
                clock = now
                reporter.step(progress)
                if asked or now - saved > 60 * config.checkpoint_minutes:
                    save()
                    saved = time.monotonic()
                if asked:
                    raise Stopped(f"stopped in epoch {progress.epoch + 1}; the same command goes on from there")
            _finish_epoch(trainer, development, reporter, time.monotonic() - clock)
            save_epoch(checkpoints, progress.epoch, trainer.judged)
            write_history(folder / "history.jsonl", progress.history)
            save()  # last: a run that is cut off before it does the epoch again and writes the same
            prune_epochs(checkpoints, epochs_to_export(progress.history, config))
            refuse_too_many(progress.failed, len(trainer.train), "training audio")
            if asked:
                raise Stopped(f"stopped after epoch {progress.epoch}; the same command goes on from there")


def _load(trainer: Trainer, groups: list[list[list[Item]]]) -> Iterator[list[Batch]]:
    config = trainer.config
    flat = [items for group in groups for items in group]
    epoch = trainer.progress.epoch

    def augment(samples: np.ndarray, utterance: str, copy: int) -> np.ndarray:
        return trainer.augmenter(samples, epoch, utterance, copy).samples

    # On a CPU training itself wants the cores; a GPU would wait for a single one that augments.
    threads = 1 if trainer.device.type == "cpu" else min(_MOST_LOADERS, available_threads())
    loaded = batches(flat, trainer.train, config.augment.speeds, config.features.rate, augment, threads)
    for group in groups:
        yield [next(loaded) for _ in group]


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
