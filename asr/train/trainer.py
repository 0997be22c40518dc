"""A step of training: a function of config, manifests and the step's number."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

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
from asr.train.batches import Item, plan_epoch, share
from asr.train.checkpoint import Progress
from asr.train.latency import draw_chunking
from asr.train.load import Batch, batches
from asr.train.objective import forward, objective
from asr.train.optimise import learning_rate, make_optimizer, move_average, seed_step
from asr.train.select import Selected

_MOST_BROKEN = 10
_MOST_LOADERS = 8


@dataclass
class Heard:
    """What came of the batches of a step besides their gradients.

    Attributes:
        loss: sum of CTC's losses [nats].
        labels: how many there were.
        seconds: of audio.
        broken: ids of utterances whose loss is not finite; then the gradients are not to be used.
        failed: id → reason of what could not be read.
    """

    loss: float = 0.0
    labels: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def __add__(self, other: Heard) -> Heard:
        return Heard(
            self.loss + other.loss,
            self.labels + other.labels,
            self.seconds + other.seconds,
            self.broken + other.broken,
            self.failed | other.failed,
        )


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
        chosen = [self.train[item.utterance] for item in batch.items]
        labels = [one.labels for one in chosen]
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
            output = forward(self.model, features, frames, self.config.train.intermediate, labels, chunking)
        return objective(output, labels, self.config, [one.letters for one in chosen])

    def _chunking(self, number: int) -> Chunking | None:
        """How the batches of the epoch's step of this number go by chunks, if they do."""
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

    def load(self, groups: list[list[list[Item]]], rank: int = 0, count: int = 1) -> Iterator[list[Batch]]:
        """The batches of an epoch's groups, read ahead: the share of one of ``count`` processes."""
        shares = [share(group, rank, count) for group in groups]
        epoch, augment = self.progress.epoch, self.config.augment

        def augmented(samples: np.ndarray, utterance: str, copy: int) -> np.ndarray:
            return self.augmenter(samples, epoch, utterance, copy).samples

        # On a CPU training itself wants the cores; a GPU would wait for a single one that augments.
        threads = 1 if self.device.type == "cpu" else min(_MOST_LOADERS, available_threads())
        flat = [items for group in shares for items in group]
        loaded = batches(flat, self.train, augment.speeds, self.config.features.rate, augmented, threads)
        for group in shares:
            yield [next(loaded) for _ in group]

    def hear(self, group: list[Batch], rank: int = 0) -> Heard:
        """Adds the gradient of a group's summed losses to the parameters'.

        Args:
            group: the batches of a step, or one process's share of each.
            rank: of the process: each draws its own dropout.
        """
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        seed_step(self.config.seed, self.progress.step, rank)
        heard = Heard()
        for batch in group:
            heard.seconds += sum(item.seconds for item in batch.items)
            heard.failed |= batch.failed
        chunking = self._chunking(self.progress.group)  # of all alike, so that processes are done at the same time
        for batch in group:
            if not batch.items:
                continue
            losses, plain = self.losses(batch, chunking)
            finite = torch.isfinite(losses.detach())
            if not finite.all():
                heard.broken = [
                    self._name(item) for item, fine in zip(batch.items, finite.tolist(), strict=True) if not fine
                ]
                break
            losses.sum().backward()
            heard.loss += plain.detach().sum().item()
            heard.labels += sum(len(self.train[item.utterance].labels) for item in batch.items)
        return heard

    def step(self, heard: Heard, group: list[list[Item]], done: float) -> None:
        """One optimiser step down the gradients that the parameters hold; ``done`` is how many epochs lie behind it.

        A loss or gradient that is not finite changes no weight: its utterances are named and the step is skipped.

        Args:
            heard: what they came of.
            group: what was planned.
            done: epochs, a fraction counts.

        Raises:
            AsrError: that happened ten times in a row.
        """
        progress, broken = self.progress, heard.broken
        if not broken and heard.labels and not self._apply(heard.labels, done):
            broken = [self._name(item) for items in group for item in items]
        progress.step += 1
        progress.group += 1
        if broken:
            self._skip(broken)
        elif heard.labels:
            progress.broken = 0
            progress.loss += heard.loss
            progress.labels += heard.labels
        progress.audio += heard.seconds
        progress.failed |= heard.failed

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
