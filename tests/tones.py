"""A tiny corpus that a tiny model learns in seconds: every word is a tone of its own pitch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.config import Config, read_config
from asr.decode.greedy import greedy_decoder
from asr.decode.hypothesis import Decoder
from asr.manifest import Utterance, write_manifest
from asr.model.acoustic import Recogniser
from asr.tokens import BLANK

RATE = 8000
PITCHES = {"do": 400.0, "re": 800.0, "mi": 1500.0, "fa": 2700.0}  # [Hz]
SPEAKERS = ("ann", "bob")
NAMED = (("train", 48, 1), ("dev", 12, 2), ("test", 12, 3))  # manifest, utterances, seed

# Learns the tones to WER 0; anything that a test needs otherwise comes behind.
TINY = (
    "features.rate=8000",
    "features.mels=12",
    "tokens.kind=word",
    "encoder.layers=1",
    "encoder.hidden=16",
    "encoder.dropout=0",
    "train.epochs=12",
    "train.warmup_epochs=0",
    "train.learning_rate=0.03",
    "train.batch_seconds=4",
    "train.max_seconds=3",
    "train.average=2",
    "train.precision=float32",
)


def tiny_config(*overrides: str) -> Config:
    """The tiny model's config with ``key=value`` overrides."""
    return read_config(None, [*TINY, *overrides])


def greedy_of(recogniser: Recogniser) -> Decoder:
    """The model's own greedy decoder."""
    return greedy_decoder(BLANK, recogniser.tokenizer, recogniser.model.frame_seconds)


def tone(words: Sequence[str], random: np.random.Generator) -> np.ndarray:
    """0.12 s of tone a word between 0.08 s of near silence. Float32, shape (samples,), at `RATE` Hz."""
    quiet = round(0.08 * RATE)
    parts = [np.zeros(quiet)]
    for word in words:
        time = np.arange(round(0.12 * RATE)) / RATE
        parts += [0.3 * np.sin(2 * np.pi * PITCHES[word] * time + random.uniform(0, 6)), np.zeros(quiet)]
    samples = np.concatenate(parts)
    return (samples + 0.01 * random.standard_normal(len(samples))).astype(np.float32)


def write_tones(folder: Path, name: str, count: int, seed: int, words: int = 3, suffix: str = "wav") -> Path:
    """Writes ``count`` utterances of one to ``words`` different words; returns the path of their manifest."""
    random = np.random.default_rng(seed)
    utterances = []
    audio = folder / name
    audio.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        spoken = random.permutation(list(PITCHES))[: number % words + 1].tolist()
        samples = tone(spoken, random)
        path = audio / f"{number:03}.{suffix}"
        soundfile.write(path, samples, RATE)
        speaker = SPEAKERS[number % len(SPEAKERS)]
        utterances.append(
            Utterance(f"{name}-{number:03}", path, len(samples) / RATE, " ".join(spoken), speaker=speaker)
        )
    manifest = folder / f"{name}.jsonl"
    write_manifest(manifest, utterances)
    return manifest


def asr(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs the command ``asr`` in a process of its own, on one thread."""
    return subprocess.run(
        [sys.executable, "-c", "from asr.cli.main import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
        **options,
    )


@dataclass(frozen=True)
class Learned:
    """Tones and a model that was trained on them.

    Attributes:
        out: the run's folder; the model lies in ``out / "model"``.
        train, dev, test: manifests.
    """

    out: Path
    train: Path
    dev: Path
    test: Path


def learned(factory: pytest.TempPathFactory) -> Learned:
    """A model that makes no errors on the tones; trained once in a test session, so leave its folder as it is."""
    return _learn(factory.getbasetemp() / "learned")


@cache
def _learn(folder: Path) -> Learned:
    import torch

    from asr.train.setup import train_model

    torch.set_num_threads(1)
    train, dev, test = (write_tones(folder, name, n, seed) for name, n, seed in NAMED)
    trained = train_model(tiny_config(), "tiny", train, dev, folder / "run", torch.device("cpu"))
    assert trained.failed == {}
    assert trained.trained["dev"]["dev_wer"] == 0
    return Learned(folder / "run", train, dev, test)
