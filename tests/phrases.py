"""Recordings of tones, repeated words among them: utterances to learn from, and long ones of known word times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from asr.manifest import Utterance, write_manifest
from tests.tones import PITCHES, RATE, tone

PAUSE = 0.6  # [s] behind each phrase of a long recording


def phrases(count: int, seed: int) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """Phrases of four words and a pause each.

    Returns:
        Samples, float32, at `RATE` Hz; and each word with the start and end of the stretch that holds its tone [s].
    """
    random = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    spoken: list[tuple[str, float, float]] = []
    length = 0
    for _ in range(count):
        for word in random.choice(list(PITCHES), size=4).tolist():
            parts.append(tone([word], random))
            spoken.append((word, length / RATE, (length + len(parts[-1])) / RATE))
            length += len(parts[-1])
        parts.append(0.01 * random.standard_normal(round(PAUSE * RATE)))
        length += len(parts[-1])
    return np.concatenate(parts).astype(np.float32), spoken


def write_utterances(folder: Path, name: str, count: int, seed: int) -> Path:
    """Writes utterances of one to six words and their manifest ``name``.jsonl; returns its path."""
    random = np.random.default_rng(seed)
    (folder / name).mkdir()
    utterances = []
    for number in range(count):
        words = random.choice(list(PITCHES), size=1 + number % 6).tolist()
        samples = np.concatenate([tone([word], random) for word in words])
        path = folder / name / f"{number:03}.wav"
        soundfile.write(path, samples, RATE)
        utterances.append(Utterance(f"{name}-{number:03}", path, len(samples) / RATE, " ".join(words)))
    write_manifest(folder / f"{name}.jsonl", utterances)
    return folder / f"{name}.jsonl"
