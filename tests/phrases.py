"""Longer recordings of tones: phrases with pauses between them, and where each word truly lies."""

from __future__ import annotations

import numpy as np

from tests.tones import PITCHES, RATE, tone

PAUSE = 0.6  # [s] behind each phrase


def phrases(count: int, seed: int) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """Phrases of four words, 0.85 s and a pause each.

    Returns:
        Samples, float32, at `RATE` Hz; and each word with the start and end of its tone [s].
    """
    random = np.random.default_rng(seed)
    parts, spoken, now = [], [], 0.0
    for _ in range(count):
        words = random.choice(list(PITCHES), size=4).tolist()
        pause = 0.01 * random.standard_normal(round(PAUSE * RATE))
        parts += [tone(words, random), pause]
        starts = [now + 0.05 + 0.2 * position for position in range(4)]
        spoken += [(word, start, start + 0.15) for word, start in zip(words, starts, strict=True)]
        now += 0.85 + PAUSE
    return np.concatenate(parts).astype(np.float32), spoken
