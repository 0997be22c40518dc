"""Training a recurrent language model: sentences of like length in a batch, a learning rate that ends with the budget.

With ``minutes=0`` a run is a function of config, texts and step number, and one that was killed ends in the same
weights as if it had not been. With a limit of minutes the learning rate follows the clock: a run that was killed goes
on from its last checkpoint, with the time that was left, but no two runs give the same weights.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr.errors import AsrError, UsageError
from asr.files import alone_in, sha256
from asr.lm.recurrent import Perplexity, RecurrentConfig, RecurrentModel, load_recurrent, pad, save_recurrent, score_ids
from asr.lm.units import EDGE, Units, encode_text, learn_units, read_sentences
from asr.model.acoustic import load_model
from asr.model.folder import save_weights
from asr.runtime import bfloat16_is_fast, machine, peak_memory_mb
from asr.train.batches import plan_by_length
from asr.train.checkpoint import (
    BEST,
    THREADS,
    Progress,
    already_trained,
    config_mark,
    load_best,
    load_checkpoint,
    save_checkpoint,
    write_history,
)
from asr.train.loop import Stopped, stop_requests
from asr.train.optimise import descend, make_optimizer, seed_step

HEADING = "   step    epoch      rate    loss  dev loss  dev perplexity  units/s  minutes"
_POOL = 100  # batches whose sentences are sorted by length together


def spans(ids: np.ndarray, longest: int) -> np.ndarray:
    """First and last position of each sentence, both its edges included; longer ones are cut.

    Args:
        ids: an edge, then sentences with an edge behind each, shape (units,).
        longest: units to predict in one span.

    Returns:
        int64, shape (spans, 2).
    """
    edges = np.flatnonzero(ids == EDGE)
    starts, ends = edges[:-1], edges[1:]
    parts = -(-(ends - starts) // longest)  # (sentences,)
    owner = np.repeat(np.arange(len(starts)), parts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(parts) - parts, parts)
    first = starts[owner] + number * longest
    return np.stack([first, np.minimum(first + longest, ends[owner])], axis=1)


class LmTrainer:
    """A run in memory: model, optimiser and how far it has come."""

    def __init__(self, config: RecurrentConfig, model: RecurrentModel, ids: np.ndarray, bfloat16: bool) -> None:
        self.config = config
        self.model = model
        self.ids = ids
        self.spans = spans(ids, config.longest)
        self.bfloat16 = bfloat16
        self.device = model.embedding.weight.device
        self.optimizer = make_optimizer(model, config.learning_rate, config.weight_decay)
        self.progress = Progress()

    def plan(self) -> list[np.ndarray]:
        """The batches of the current epoch."""
        lengths = self.spans[:, 1] - self.spans[:, 0]
        return plan_by_length(lengths, self.config.batch_units, _POOL, self.config.seed, self.progress.epoch)

    def learning_rate(self, done: float) -> float:
        """After this share of the run, 0 to 1: a linear rise over the first steps times half a cosine down to 1 %."""
        rise = min((self.progress.step + 1) / max(self.config.warmup_steps, 1), 1.0)
        return self.config.learning_rate * rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))

    def done(self, part: float) -> float:
        """The share of the run that is over, by passes or by the clock; ``part`` of the current epoch is done."""
        passes = (self.progress.epoch + part) / self.config.epochs
        seconds = self.progress.seconds + self.progress.epoch_seconds
        return max(passes, seconds / (60 * self.config.minutes) if self.config.minutes else 0.0)

    def loss(self, batch: np.ndarray) -> tuple[Tensor, int]:
        """The mean negative log-probability of a batch's units, and how many they are."""
        inputs, targets, valid = pad([self.ids[first : last + 1] for first, last in self.spans[batch]])
        inputs, targets, valid = inputs.to(self.device), targets.to(self.device), valid.to(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
            rows = self.model(inputs).flatten(0, 1)  # (N · S, E)
            log_probs = self.model.target_log_probs(rows, targets.flatten())  # (N · S,)
        units = int(valid.sum())
        return -(log_probs * valid.flatten()).sum() / units, units

    def step(self, batch: np.ndarray, done: float) -> None:
        """One optimiser step.

        Raises:
            AsrError: the loss or its gradient is not finite.
        """
        progress = self.progress
        self.model.train()
        seed_step(self.config.seed, progress.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss, units = self.loss(batch)
        loss.backward()
        descend(self.model, self.optimizer, self.config.clip, self.learning_rate(done), progress.step + 1)
        progress.step += 1
        progress.group += 1
        progress.loss += loss.item() * units
        progress.labels += units


class Judge:
    """The dev text: its sentences as ids, and how many words they hold."""

    def __init__(self, units: Units, dev: Path) -> None:
        self.ids: list[np.ndarray] = []
        self.words = self.unknown = 0
        for sentence in read_sentences([dev]):
            try:
                self.ids.append(np.array([EDGE, *units.encode(sentence), EDGE]))
            except AsrError as error:
                raise AsrError(f"{dev}: {error}") from error
            self.words += len(sentence)
            self.unknown += units.count_unknown(sentence)
        if not self.ids:
            raise AsrError(f"{dev}: holds no sentence to judge the model by")

    def perplexity(self, model: RecurrentModel) -> Perplexity:
        """Of the dev text, in float32."""
        model.eval()
        return Perplexity(len(self.ids), self.words, self.unknown, float(score_ids(model, self.ids).sum()))


def _look(trainer: LmTrainer, judge: Judge, folder: Path, steps: int, units_per_second: float) -> None:
    """Judges the model, keeps its weights if they are the best so far, and prints a line."""
    progress = trainer.progress
    begin = time.monotonic()
    judged = judge.perplexity(trainer.model)
    progress.epoch_seconds += time.monotonic() - begin
    row = {
        "step": float(progress.step),
        "epoch": progress.epoch + progress.group / steps,
        "learning_rate": trainer.optimizer.param_groups[0]["lr"],
        "loss": progress.loss / max(progress.labels, 1),
        "dev_loss": -judged.log_prob / (sum(map(len, judge.ids)) - len(judge.ids)),
        "dev_perplexity": judged.per_word,
        "speed": units_per_second,
        "minutes": (progress.seconds + progress.epoch_seconds) / 60,
    }
    if all(row["dev_perplexity"] < former["dev_perplexity"] for former in progress.history):
        save_weights(trainer.model, folder / BEST)
    progress.history.append(row)
    progress.loss, progress.labels = 0.0, 0
    print(
        f"{progress.step:>7} {row['epoch']:>8.3f} {row['learning_rate']:>9.1e} {row['loss']:>7.3f} "
        f"{row['dev_loss']:>9.3f} {row['dev_perplexity']:>15.2f} {units_per_second:>8,.0f} {row['minutes']:>8.1f}",
        flush=True,
    )


def stop_early(history: Sequence[dict[str, float]], patience: int) -> bool:
    """Whether the last ``patience`` looks were all no better than one before them; never for patience 0."""
    found = [row["dev_perplexity"] for row in history]
    return bool(patience and found) and len(found) - 1 - found.index(min(found)) >= patience


def run(trainer: LmTrainer, judge: Judge, folder: Path, save_state: Callable[[], None]) -> None:
    """Trains until time or epochs are over or the dev text gets no better; a checkpoint at each look.

    Raises:
        Stopped: asked to stop; the state is saved.
        AsrError: a loss that is not finite, or a state that cannot be written.
    """
    config, progress = trainer.config, trainer.progress
    print(HEADING, flush=True)
    with stop_requests() as asked:
        while trainer.done(0) < 1 and not stop_early(progress.history, config.patience):
            plan = trainer.plan()
            counted, since = progress.labels, time.monotonic()
            while progress.group < len(plan) and (done := trainer.done(progress.group / len(plan))) < 1:
                begin = time.monotonic()
                trainer.step(plan[progress.group], done)
                progress.epoch_seconds += time.monotonic() - begin
                if progress.step % config.judge_steps == 0 or trainer.done(progress.group / len(plan)) >= 1:
                    speed = (progress.labels - counted) / (time.monotonic() - since)
                    _look(trainer, judge, folder, len(plan), speed)
                    save_state()
                    if stop_early(progress.history, config.patience):
                        return
                    counted, since = 0, time.monotonic()
                if asked:
                    save_state()
                    raise Stopped(f"stopped after step {progress.step}; the same command goes on from there")
            if progress.group == len(plan):
                progress.epoch, progress.group = progress.epoch + 1, 0
                progress.seconds, progress.epoch_seconds = progress.seconds + progress.epoch_seconds, 0.0


def _make_units(config: RecurrentConfig, text: Sequence[Path], tokens: Path | None) -> Units:
    if (tokens is not None) != (config.unit == "token"):
        raise UsageError("unit=token needs --tokens MODEL_FOLDER, and the other units must not be given it")
    return Units(load_model(tokens).tokenizer) if tokens else learn_units(config.unit, config.vocabulary, text)


def _fingerprint(config: RecurrentConfig, text: Sequence[Path], dev: Path, units: Units) -> dict[str, str]:
    return {
        "config": config_mark(config),
        "text": " ".join(map(sha256, text)),
        "dev text": sha256(dev),
        "units": hashlib.sha256("\n".join(units.tokenizer.symbols).encode()).hexdigest(),
        THREADS: str(torch.get_num_threads()),
    }


def train_recurrent(
    config: RecurrentConfig, text: Sequence[Path], dev: Path, tokens: Path | None, out: Path, device: torch.device
) -> Path:
    """Trains a language model, or goes on where an earlier call with the same arguments was stopped.

    Args:
        config: what to train and how.
        text: files to learn from, one sentence a line.
        dev: the text whose perplexity chooses the weights.
        tokens: model folder of the recogniser whose tokens to predict, for ``unit=token``; else None.
        out: folder for ``model/``, ``checkpoints/`` and ``history.jsonl``.
        device: where to compute.

    Returns:
        The model folder.

    Raises:
        AsrError: a text that cannot be used, a run that diverges, a disk that is full.
    """
    with alone_in(out):
        units = _make_units(config, text, tokens)
        fingerprint = _fingerprint(config, text, dev, units)
        if already_trained(out / "model", lambda model: load_recurrent(model).trained, fingerprint, RecurrentConfig):
            return out / "model"
        ids, judge = encode_text(units, text), Judge(units, dev)
        torch.manual_seed(config.seed)
        model = RecurrentModel(config, len(units)).to(device)
        bfloat16 = config.precision == "bfloat16" or (config.precision == "auto" and bfloat16_is_fast(device))
        trainer = LmTrainer(config, model, ids, bfloat16)
        latest = out / "checkpoints" / "latest.pt"
        print(
            f"{model.parameters_count:,} parameters, {len(units):,} units; text {len(ids) - 1:,} units, "
            f"{np.count_nonzero(ids == EDGE) - 1:,} sentences; dev {judge.words:,} words, {judge.unknown:,} unknown; "
            f"{'bfloat16' if bfloat16 else 'float32'} on {device}, {torch.get_num_threads()} threads",
            flush=True,
        )
        if latest.exists():
            trainer.progress = load_checkpoint(latest, fingerprint, RecurrentConfig, model, trainer.optimizer)
            print(f"resuming after step {trainer.progress.step}", flush=True)
        run(
            trainer,
            judge,
            out / "checkpoints",
            lambda: save_checkpoint(latest, fingerprint, model, trainer.optimizer, trainer.progress),
        )
        return _finish(trainer, judge, units, out, fingerprint, [one.as_posix() for one in (*text, dev)])


def _finish(
    trainer: LmTrainer, judge: Judge, units: Units, out: Path, fingerprint: dict[str, str], texts: list[str]
) -> Path:
    """Takes the best weights, judges them once more and writes the model folder."""
    load_best(out / "checkpoints", trainer.model)
    judged, progress, speaks = judge.perplexity(trainer.model), trainer.progress, machine(trainer.device)
    trained: dict[str, Any] = {
        "text": texts[:-1],
        "dev": texts[-1],
        "text_units": len(trainer.ids) - 1,
        "steps": progress.step,
        "train_minutes": round((progress.seconds + progress.epoch_seconds) / 60, 2),
        "dev_perplexity": round(judged.per_word, 3),
        "dev_words": judged.words,
        "dev_unknown": judged.unknown,
        "precision": "bfloat16" if trainer.bfloat16 else "float32",
        "parameters": trainer.model.parameters_count,
        "peak_memory_mb": peak_memory_mb(),
        **speaks,
        "fingerprint": fingerprint,
    }
    write_history(out / "history.jsonl", progress.history)
    save_recurrent(out / "model", trainer.model, units, trained)
    print(f"best weights: dev perplexity {judged.per_word:.2f} per word", flush=True)
    return out / "model"
