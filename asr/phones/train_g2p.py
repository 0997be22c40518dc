"""Training a grapheme-to-phoneme model from a pronouncing dictionary, and judging it on words held out of it.

A run is a function of config, dictionary and step number: one that was killed ends in the same weights, on the same
machine and number of threads, as if it had not been.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein

from asr.errors import AsrError
from asr.files import alone_in, sha256, write_text
from asr.model.ctc import ctc_loss, required_frames
from asr.model.folder import save_weights
from asr.phones.dictionary import Phones, Pronunciations, phone_set, read_dictionary, split
from asr.phones.g2p import G2p, G2pConfig, G2pModel, load_g2p, pad_letters, phone_tokens, save_g2p
from asr.runtime import bfloat16_is_fast, machine, peak_memory_mb
from asr.score.statistics import interval
from asr.tokens import Tokenizer
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

HEADING = " epoch      rate    loss  dev PER %  dev WER %  words/s  minutes"
_POOL = 50  # batches whose words are sorted by length together
_TOLERATED = 0.01  # share of pronunciations that may be too long for their letters
_NAMED = 3


@dataclass(frozen=True)
class Example:
    """A word and one of its pronunciations, as ids."""

    letters: list[int]
    phones: list[int]


@dataclass(frozen=True)
class Material:
    """What is learned from and judged by.

    Attributes:
        letters: those that are learned.
        phones: all of the dictionary, as tokens.
        train: a word and a pronunciation each.
        dev, test: words of these letters, with their pronunciations.
        left_out: words with letters too rare to learn, and pronunciations too long for their letters.
    """

    letters: str
    phones: Tokenizer
    train: list[Example]
    dev: Pronunciations
    test: Pronunciations
    left_out: int


def make_material(dictionary: Pronunciations, config: G2pConfig, where: str) -> Material:
    """Splits a dictionary by `asr.phones.dictionary.split`; all pronunciations of a word are on one side.

    Raises:
        AsrError: nothing to learn from or to judge by, or more than 1 % of the pronunciations too long to be aligned
            with their letters.
    """
    parts: dict[str, Pronunciations] = {"train": {}, "dev": {}, "test": {}}
    for word, said in dictionary.items():
        parts[split(word)][word] = said
    counts = Counter(letter for word in parts["train"] for letter in set(word))
    letters = "".join(sorted(letter for letter, words in counts.items() if words >= max(config.rare, 1)))
    phones = phone_tokens(phone_set(dictionary))
    ids = {letter: number for number, letter in enumerate(letters, 1)}
    kept = {
        name: {word: said for word, said in part.items() if all(one in ids for one in word)}
        for name, part in parts.items()
    }
    for name, part in kept.items():
        if not part:
            raise AsrError(f"{where}: {len(dictionary):,} words are too few to learn from: none falls to {name}")
    train: list[Example] = []
    long: list[str] = []
    for word, said in kept["train"].items():
        for one in said:
            labels = phones.encode(" ".join(one))
            if required_frames(labels) > config.frames * len(word):
                long.append(f"{word} ({' '.join(one)})")
            else:
                train.append(Example([ids[letter] for letter in word], labels))
    if len(long) > _TOLERATED * (len(train) + len(long)):
        raise AsrError(
            f"{where}: {len(long):,} pronunciations need more than {config.frames} frames a letter, as "
            f"{'; '.join(long[:_NAMED])}; raise frames"
        )
    left_out = len(dictionary) - sum(map(len, kept.values())) + len(long)
    return Material(letters, phones, train, kept["dev"], kept["test"], left_out)


@dataclass(frozen=True)
class Judged:
    """How well words were pronounced; a word counts as right if it equals any of its pronunciations.

    Attributes:
        phone_errors: edits to the nearest pronunciation, for each word, shape (words,).
        phones: length of that pronunciation, shape (words,).
    """

    phone_errors: np.ndarray
    phones: np.ndarray

    @property
    def phone_rate(self) -> float:
        """Phone error rate [%]."""
        return 100 * float(self.phone_errors.sum() / self.phones.sum())

    @property
    def word_rate(self) -> float:
        """Word error rate [%]."""
        return 100 * float((self.phone_errors > 0).mean())


def judge(g2p: G2p, words: Mapping[str, Sequence[Phones]]) -> Judged:
    """The best pronunciation of each word against those of the dictionary."""
    errors, lengths = [], []
    for said, found in zip(words.values(), g2p.pronounce(list(words)), strict=True):
        guess = found[0].phones if found else ()
        edits, length = min((Levenshtein.distance(one, guess), len(one)) for one in said)
        errors.append(edits)
        lengths.append(length)
    return Judged(np.array(errors), np.array(lengths))


class G2pTrainer:
    """A run in memory: model, optimiser and how far it has come."""

    def __init__(self, config: G2pConfig, model: G2pModel, examples: Sequence[Example], bfloat16: bool) -> None:
        self.config, self.model, self.examples, self.bfloat16 = config, model, examples, bfloat16
        self.device = model.head.weight.device
        self.optimizer = make_optimizer(model, config.learning_rate, config.weight_decay)
        self.progress = Progress()

    def plan(self) -> list[np.ndarray]:
        """The batches of the current epoch."""
        lengths = np.array([len(one.letters) for one in self.examples])
        return plan_by_length(lengths, self.config.batch_letters, _POOL, self.config.seed, self.progress.epoch)

    def learning_rate(self, part: float) -> float:
        """A linear rise over the first steps times half a cosine down to 1 %; ``part`` of the epoch is done."""
        rise = min((self.progress.step + 1) / max(self.config.warmup_steps, 1), 1.0)
        done = (self.progress.epoch + part) / self.config.epochs
        return self.config.learning_rate * rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

    def step(self, batch: np.ndarray, part: float) -> None:
        """One optimiser step.

        Raises:
            AsrError: the loss or its gradient is not finite.
        """
        progress, chosen = self.progress, [self.examples[index] for index in batch]
        self.model.train()
        seed_step(self.config.seed, progress.step)
        self.optimizer.zero_grad(set_to_none=True)
        letters, lengths = pad_letters([one.letters for one in chosen])
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
            log_probs = self.model(letters.to(self.device), lengths.to(self.device))  # (N, S, V)
        loss = ctc_loss(log_probs, lengths * self.config.frames, [one.phones for one in chosen]).sum()
        labels = sum(len(one.phones) for one in chosen)
        (loss / labels).backward()
        descend(self.model, self.optimizer, self.config.clip, self.learning_rate(part), progress.step + 1)
        progress.step += 1
        progress.group += 1
        progress.loss += loss.item()
        progress.labels += labels


def _finish_epoch(trainer: G2pTrainer, g2p: G2p, dev: Pronunciations, folder: Path) -> None:
    """Judges the model, keeps its weights if they are the best so far, and prints a line."""
    progress, model = trainer.progress, trainer.model
    speed = len(trainer.examples) / max(progress.epoch_seconds, 1e-9)
    begin = time.monotonic()
    model.eval()
    judged = judge(g2p, dev)
    progress.seconds += progress.epoch_seconds + time.monotonic() - begin
    row = {
        "epoch": progress.epoch + 1.0,
        "learning_rate": trainer.optimizer.param_groups[0]["lr"],
        "loss": progress.loss / max(progress.labels, 1),
        "dev_per": judged.phone_rate,
        "dev_wer": judged.word_rate,
        "speed": speed,
        "minutes": progress.seconds / 60,
    }
    if all(row["dev_wer"] <= former["dev_wer"] for former in progress.history):
        save_weights(model, folder / BEST)
    progress.history.append(row)
    progress.epoch, progress.group = progress.epoch + 1, 0
    progress.loss, progress.labels, progress.epoch_seconds = 0.0, 0, 0.0
    print(
        f"{progress.epoch:>3}/{trainer.config.epochs:<3} {row['learning_rate']:>8.1e} {row['loss']:>7.3f} "
        f"{row['dev_per']:>10.2f} {row['dev_wer']:>10.2f} {speed:>8,.0f} {row['minutes']:>8.1f}",
        flush=True,
    )


def _run(trainer: G2pTrainer, g2p: G2p, dev: Pronunciations, folder: Path, fingerprint: dict[str, str]) -> None:
    config, progress = trainer.config, trainer.progress

    def keep() -> None:
        save_checkpoint(folder / "latest.pt", fingerprint, trainer.model, trainer.optimizer, progress)

    print(HEADING, flush=True)
    with stop_requests() as asked:
        while progress.epoch < config.epochs:
            plan = trainer.plan()
            clock = time.monotonic()
            for batch in plan[progress.group :]:
                trainer.step(batch, progress.group / len(plan))
                now = time.monotonic()
                progress.epoch_seconds += now - clock
                clock = now
                if asked:
                    keep()
                    raise Stopped(f"stopped in epoch {progress.epoch + 1}; the same command goes on from there")
            _finish_epoch(trainer, g2p, dev, folder)
            keep()


def train_g2p(config: G2pConfig, dictionary: Path, out: Path, device: torch.device) -> Path:
    """Trains a grapheme-to-phoneme model, or goes on where an earlier call with the same arguments was stopped.

    Args:
        config: what to train and how.
        dictionary: to learn from; 5 % of its words choose the weights, 5 % test them.
        out: folder for ``model/``, ``checkpoints/``, ``history.jsonl`` and ``result.json``.
        device: where to compute.

    Returns:
        The model folder.

    Raises:
        AsrError: a dictionary that cannot be used, a run that diverges, a disk that is full.
    """
    with alone_in(out):
        fingerprint = {
            "config": config_mark(config),
            "dictionary": sha256(dictionary),
            THREADS: str(torch.get_num_threads()),
        }
        if already_trained(out / "model", lambda model: load_g2p(model).trained, fingerprint, G2pConfig):
            return out / "model"
        material = make_material(read_dictionary(dictionary, config.stress), config, str(dictionary))
        torch.manual_seed(config.seed)
        model = G2pModel(config, len(material.letters), len(material.phones)).to(device)
        bfloat16 = config.precision == "bfloat16" or (config.precision == "auto" and bfloat16_is_fast(device))
        trainer = G2pTrainer(config, model, material.train, bfloat16)
        g2p = G2p(model, material.letters, material.phones, {})
        print(
            f"{model.parameters_count:,} parameters, {len(material.letters)} letters, "
            f"{len(material.phones) - 1} phones; train {len(material.train):,} pronunciations, "
            f"dev {len(material.dev):,} words, test {len(material.test):,}, "
            f"left out {material.left_out:,}; {'bfloat16' if bfloat16 else 'float32'} on {device}, "
            f"{torch.get_num_threads()} threads",
            flush=True,
        )
        latest = out / "checkpoints" / "latest.pt"
        if latest.exists():
            trainer.progress = load_checkpoint(latest, fingerprint, G2pConfig, model, trainer.optimizer)
            print(f"resuming after {trainer.progress.epoch} epochs and {trainer.progress.group} steps", flush=True)
        _run(trainer, g2p, material.dev, out / "checkpoints", fingerprint)
        return _finish(trainer, g2p, material, dictionary, out, fingerprint)


def _finish(
    trainer: G2pTrainer, g2p: G2p, material: Material, dictionary: Path, out: Path, fingerprint: dict[str, str]
) -> Path:
    """Takes the best weights, judges them on the test words and writes the model folder and its receipt."""
    load_best(out / "checkpoints", trainer.model)
    trainer.model.eval()
    judged, progress = judge(g2p, material.test), trainer.progress
    words = len(judged.phones)
    found = interval((judged.phone_errors > 0).astype(int), np.ones(words, dtype=int), trainer.config.seed, "word")
    chosen = min(reversed(progress.history), key=lambda row: row["dev_wer"])
    trained: dict[str, Any] = {
        "dictionary": dictionary.as_posix(),
        "pronunciations": len(material.train),
        "left_out": material.left_out,
        "epoch": int(chosen["epoch"]),
        "dev_words": len(material.dev),
        "dev_wer": round(chosen["dev_wer"], 3),
        "dev_per": round(chosen["dev_per"], 3),
        "test_words": words,
        "test_wer": round(judged.word_rate, 3),
        "test_wer_low": None if found.low is None else round(100 * found.low, 3),
        "test_wer_high": None if found.high is None else round(100 * found.high, 3),
        "test_per": round(judged.phone_rate, 3),
        "train_minutes": round(progress.seconds / 60, 2),
        "precision": "bfloat16" if trainer.bfloat16 else "float32",
        "parameters": trainer.model.parameters_count,
        "peak_memory_mb": peak_memory_mb(),
        **machine(trainer.device),
        "fingerprint": fingerprint,
    }
    write_history(out / "history.jsonl", progress.history)
    save_g2p(out / "model", trainer.model, g2p.letters, g2p.phones, trained)
    receipt = {**trained, "model_sha256": sha256(out / "model" / "SHA256SUMS"), "seed": trainer.config.seed}
    write_text(out / "result.json", json.dumps(receipt, ensure_ascii=False, indent=2) + "\n")
    print(
        f"test: {words:,} words never seen, WER {judged.word_rate:.2f} % (95 % interval "
        f"{trained['test_wer_low']} to {trained['test_wer_high']}), PER {judged.phone_rate:.2f} %",
        flush=True,
    )
    return out / "model"
