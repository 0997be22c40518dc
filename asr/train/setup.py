"""From a config and two manifests to a trained model folder: what comes before the first step and after the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asr.cmvn import corpus_level, corpus_statistics, speaker_statistics
from asr.config import Config, TokenConfig
from asr.errors import AsrError
from asr.files import alone_in, sha256
from asr.latency import Chunking
from asr.manifest import Utterance, read_manifest
from asr.model.acoustic import AcousticModel, load_model, save_model
from asr.phones.lexicon import sources
from asr.runtime import available_memory_mb, bfloat16_is_fast, machine, peak_memory_mb
from asr.tokens import Tokenizer, check_transcripts, train_tokenizer
from asr.train.batches import Item
from asr.train.card import model_card
from asr.train.checkpoint import (
    THREADS,
    already_trained,
    average_epochs,
    config_mark,
    epochs_to_export,
    load_checkpoint,
)
from asr.train.evaluate import Development
from asr.train.initial import begin_with
from asr.train.latency import chunkings
from asr.train.load import load_batch
from asr.train.loop import run
from asr.train.parallel import HELPER_MB, processes
from asr.train.phones import make_phones
from asr.train.reporting import Reporter
from asr.train.select import Selected, refuse_too_many, select
from asr.train.trainer import Trainer


@dataclass(frozen=True)
class Trained:
    """How a run ended.

    Attributes:
        model: the model folder.
        failed: id → reason of every utterance of either manifest that could not be used.
        trained: what the model folder's config says about its training.
    """

    model: Path
    failed: dict[str, str]
    trained: dict[str, Any]


def _make_tokenizer(
    config: Config, train: Sequence[Utterance], dev: Sequence[Utterance]
) -> tuple[Tokenizer, dict[str, Any]]:
    """The tokens, and for phones what the trained model's config is to say about pronunciations."""
    if config.tokens.kind == "phone":
        return make_phones(config.tokens, train, dev)
    # Pieces and words are learned from train alone; a letter that only dev holds still gets a (never used) token.
    texts = [utterance.text for utterance in (*train, *dev)] if config.tokens.kind == "char" else None
    tokenizer = train_tokenizer(config.tokens, texts or [utterance.text for utterance in train])
    check_transcripts(tokenizer, train, "train")
    check_transcripts(tokenizer, dev, "dev")
    return tokenizer, {}


def _make_model(config: Config, vocabulary: int, letters: int) -> AcousticModel:
    torch.manual_seed(config.seed)
    try:
        model = AcousticModel(config, vocabulary)
        if letters:
            model.letters = nn.Linear(model.encoder.outputs, letters)
        return model
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error).lower():
            raise
        raise AsrError("the model alone does not fit the memory: lower encoder.hidden or encoder.layers") from error


def _fingerprint(config: Config, train: Path, dev: Path) -> dict[str, str]:
    return {
        "config": config_mark(config),
        "training manifest": sha256(train),
        "dev manifest": sha256(dev),
        **sources(config.tokens),
        **({"initial model": sha256(Path(config.train.initial) / "SHA256SUMS")} if config.train.initial else {}),
        THREADS: str(torch.get_num_threads()),
    }


def _already_trained(folder: Path, fingerprint: dict[str, str]) -> dict[str, Any] | None:
    """What a finished model in ``folder`` says of its training, if it came of this very run."""
    trained = already_trained(folder, lambda model: load_model(model).trained, fingerprint, Config)
    if trained and trained["failed"]:  # exit status 1: a recipe tells by the age of its product whether to go on
        (folder / "SHA256SUMS").touch()
    return trained


def _largest(trainer: Trainer) -> tuple[list[Item], Chunking | None]:
    """The batch that needs most memory, the longest transcripts first, and the chunks by which it does.

    An attention decoder keeps what it made of all frames for each label of the longest transcript, and for its end; all
    else grows with padded frames, of which chunks have more than utterances.
    """
    model, ways = trainer.model, chunkings(trainer.config.train, trainer.model.frame_seconds)

    def labels(item: Item) -> int:
        return len(trainer.train[item.utterance].labels)

    def most(seconds: float) -> tuple[float, Chunking | None]:
        """How much audio an utterance becomes [s], and by which chunks."""
        frames = model.output_length(round(seconds * model.config.features.rate))
        way = max(ways, key=lambda way: frames if way is None else way.laid_out(frames))
        return seconds if way is None else seconds * way.laid_out(frames) / frames, way

    def size(items: list[Item]) -> float:
        steps = 1 if model.decoder is None else max(map(labels, items)) + 1
        return len(items) * most(max(item.seconds for item in items))[0] * steps

    largest = max((items for group in trainer.groups(0) for items in group), key=size)
    return sorted(largest, key=labels, reverse=True), most(max(item.seconds for item in largest))[1]


def probe_memory(trainer: Trainer) -> None:
    """Runs the batch that needs most memory forwards and backwards, a quarter of it first, before training begins.

    Raises:
        AsrError: it does not fit; says how much it needs and what to lower.
    """
    largest, chunking = _largest(trainer)  # its first quarter has as many labels to a transcript as the whole
    config, full = trainer.config, len(largest) * max(item.seconds for item in largest)
    count = processes(trainer)
    # Whole batches, or parts of one beside what this process keeps of the whole that it hears now.
    at_once = count if config.train.accumulate >= count else 2 - 1 / count
    advice = f"lower train.batch_seconds (now {config.train.batch_seconds:g}) or encoder.hidden"
    if count > 1:
        advice += f", or give --threads 1 (now {count} processes)"
    trainer.model.train()
    try:
        for items in (largest[: max(1, len(largest) // 4)], largest):
            before, free = peak_memory_mb(), available_memory_mb()
            batch = load_batch(items, trainer.train, config.augment.speeds, config.features.rate)
            if batch.items:
                trainer.losses(batch, chunking)[0].sum().backward()
            padded = len(items) * max(item.seconds for item in items)
            need = (peak_memory_mb() - before) * full / padded * at_once + HELPER_MB * (count - 1)
            if items is not largest and free is not None and trainer.device.type == "cpu" and need > free:
                raise AsrError(f"the largest batch needs about {need:,.0f} MB, {free:,.0f} MB are free: {advice}")
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error).lower():
            raise
        raise AsrError(f"the largest batch ({len(largest)} utterances) does not fit the memory: {advice}") from error
    finally:
        trainer.optimizer.zero_grad(set_to_none=True)


def _select(
    what: str,
    utterances: list[Utterance],
    tokenizer: Tokenizer,
    config: Config,
    model: AcousticModel,
    letters: Tokenizer | None = None,
) -> tuple[list[Selected], dict[str, str]]:
    usable, rejected = select(utterances, tokenizer, config, model, letters)
    for reason in rejected.values():
        print(f"{what}: left out: {reason}", flush=True)
    refuse_too_many(rejected, len(utterances), what)
    if not usable:
        raise AsrError(f"{what}: no utterance can be used")
    return usable, rejected


def _normalisation(
    model: AcousticModel, train: list[Selected], dev: list[Selected], seed: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Sets a global normalisation, or returns the speakers' statistics in train and in dev; else both are empty."""
    utterances = [one.utterance for one in train]
    kind = model.config.features.cmvn
    if kind == "global":
        model.features.set_global(*corpus_statistics(model.features, utterances, seed))
    if kind != "speaker":
        return {}, {}
    # Each set's speakers by that set alone, as decoding will do it.
    return (
        speaker_statistics(model.features, utterances),
        speaker_statistics(model.features, [one.utterance for one in dev]),
    )


def train_model(config: Config, source: str, train: Path, dev: Path, out: Path, device: torch.device) -> Trained:
    """Trains a model from scratch, or goes on where an earlier call with the same arguments was stopped.

    Args:
        config: what to train and how.
        source: where the config came from, as receipts are to quote it.
        train: manifest to learn from.
        dev: manifest that judges each epoch.
        out: folder for ``model/``, ``checkpoints/``, ``tensorboard/`` and ``history.jsonl``.
        device: where to compute.

    Raises:
        AsrError: a manifest that cannot be used, too little memory, a run that diverges, a disk that is full.
    """
    fingerprint = _fingerprint(config, train, dev)
    manifests = (train, dev)
    read = read_manifest(train), read_manifest(dev)
    with alone_in(out):
        finished = _already_trained(out / "model", fingerprint)
        if finished is not None:
            return Trained(out / "model", finished["failed"], finished)
        return _train(config, source, manifests, read, out, device, fingerprint)


def _train(
    config: Config,
    source: str,
    manifests: tuple[Path, Path],
    read: tuple[list[Utterance], list[Utterance]],
    out: Path,
    device: torch.device,
    fingerprint: dict[str, str],
) -> Trained:
    """The rest of `train_model`, of a run that is not finished, while nobody else trains into ``out``."""
    utterances, judges = read
    tokenizer, said = _make_tokenizer(config, utterances, judges)
    letters = train_tokenizer(TokenConfig(), [one.text for one in utterances]) if config.train.letters_weight else None
    model = _make_model(config, len(tokenizer), 0 if letters is None else len(letters))
    if config.train.initial is not None:
        said["initial"] = initial = begin_with(Path(config.train.initial), model, tokenizer)
        anew = f"; {' and '.join(initial['anew'])} anew" if initial["anew"] else ""
        print(f"begun with the weights of {config.train.initial}{anew}", flush=True)
    usable, rejected = _select("train", utterances, tokenizer, config, model, letters)
    judged, rejected_dev = _select("dev", judges, tokenizer, _unaugmented(config), model)
    statistics, judged_statistics = _normalisation(model, usable, judged, config.seed)
    if config.features.cmvn in ("global", "none"):
        said["speech_level"] = corpus_level([one.utterance for one in usable], config.features.rate, config.seed)
    model.to(device)
    bfloat16 = config.train.precision == "bfloat16" or (config.train.precision == "auto" and bfloat16_is_fast(device))
    trainer = Trainer(config, model, usable, statistics, bfloat16)
    development = Development(judged, tokenizer, judged_statistics, config.train.batch_seconds)
    hours = sum(one.samples for one in usable) / config.features.rate / 3600
    print(
        f"{model.parameters_count:,} parameters, {len(tokenizer)} tokens; "
        f"train {len(usable):,} utterances, {hours:.2f} h, {len(config.augment.speeds)} copies of each; "
        f"dev {len(judged):,}; "
        f"{'bfloat16' if bfloat16 else 'float32'} on {device}, {torch.get_num_threads()} threads",
        flush=True,
    )
    probe_memory(trainer)
    latest = out / "checkpoints" / "latest.pt"
    if latest.exists():
        trainer.progress = load_checkpoint(latest, fingerprint, Config, model, trainer.optimizer, trainer.smoothed)
        print(f"resuming after {trainer.progress.epoch} epochs and {trainer.progress.group} steps", flush=True)
    rate = "PER" if config.tokens.kind == "phone" else "WER"
    with Reporter(out / "tensorboard", config.train.epochs, trainer.progress.epoch, rate) as reporter:
        run(trainer, development, out, fingerprint, reporter)
    return _finish(
        trainer,
        development,
        tokenizer,
        out,
        fingerprint,
        rejected | rejected_dev,
        manifests,
        source,
        bfloat16,
        said,
    )


def _unaugmented(config: Config) -> Config:
    return config.model_copy(update={"augment": config.augment.model_copy(update={"speeds": [1.0]})})


def _kept(config: Config, epochs: list[int]) -> str:
    if config.train.ema:
        return f"moving average of weights as of epoch {epochs[0]}"
    return f"weights averaged over {len(epochs)} epochs"


def _finish(
    trainer: Trainer,
    development: Development,
    tokenizer: Tokenizer,
    out: Path,
    fingerprint: dict[str, str],
    rejected: dict[str, str],
    manifests: tuple[Path, Path],
    source: str,
    bfloat16: bool,
    said: dict[str, Any],
) -> Trained:
    """Averages weights, judges the result on dev and writes the model folder."""
    config, progress = trainer.config, trainer.progress
    averaged = epochs_to_export(progress.history, config.train)
    trainer.model.load_state_dict(average_epochs(out / "checkpoints", averaged))
    trainer.model.letters = None  # it has taught what it knows
    judged = development.judge(trainer.model)
    failed = rejected | progress.failed | development.failed
    print(
        f"{_kept(config, averaged)}: dev loss {judged['dev_loss']:.3f}, "
        f"{'PER' if tokenizer.kind == 'phone' else 'WER'} {judged['dev_wer']:.2f} %, CER {judged['dev_cer']:.2f} %",
        flush=True,
    )
    speaks = machine(trainer.device)
    trained: dict[str, Any] = {
        "name": out.as_posix().removeprefix("exp/"),
        "train": manifests[0].as_posix(),
        "dev_manifest": manifests[1].as_posix(),
        "train_utterances": len(trainer.train),
        "dev_utterances": len(development.selected),
        "train_audio_hours": round(sum(one.samples for one in trainer.train) / config.features.rate / 3600, 4),
        "train_minutes": round(progress.seconds / 60, 2),
        "epochs": progress.epoch,
        "averaged": averaged,
        "skipped_steps": progress.skipped,
        "precision": "bfloat16" if bfloat16 else "float32",
        "parameters": trainer.model.parameters_count,
        "cpu": speaks["cpu"],
        "threads": speaks["threads"],
        "gpu": speaks["gpu"],
        "versions": speaks["versions"],
        "commit": speaks["commit"],
        "dev": {name: round(value, 4) for name, value in judged.items()},
        "failed": failed,
        **said,
        "config": source,
        "fingerprint": fingerprint,
    }
    card = model_card(config, trainer.model.parameters_count, len(tokenizer), trained)
    save_model(out / "model", trainer.model, tokenizer, trained, card)
    return Trained(out / "model", failed, trained)
