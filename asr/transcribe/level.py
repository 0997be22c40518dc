"""Recordings far softer or louder than what a model was trained on, brought near to it.

Features that are normalised by what training measured once and for all keep a recording's level: a microphone 30 dB too
soft is heard as another sound than speech.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from asr.loudness import speech_level

if TYPE_CHECKING:
    from asr.config import Config

USUAL = -26.0  # [dB of full scale] of speech, by custom (ITU-T P.56); for models that do not know what they heard
SPREAD = 6.0  # [dB] to each side of the training level within which nothing is changed
_MOST = 40.0  # [dB] of amplification: what is softer than that is no speech
_ABSURD = 200.0  # [dB of full scale], beyond any format's integers: left as it is, for the network to refuse


def training_level(config: Config, trained: Mapping[str, Any]) -> float | None:
    """The level of the speech that a model was trained on [dB of full scale]; None: it normalises each recording."""
    if config.features.cmvn not in ("global", "none"):
        return None
    level = trained.get("speech_level")
    return USUAL if level is None else float(level)


class Leveller:
    """Amplifies or attenuates the stretches of one recording, by the loudest speech that it has held so far.

    So whoever speaks more softly than somebody before stays softer, and what is faint between words is not raised to
    words. Speech within `SPREAD` of the training level stays as it is, bit for bit.
    """

    def __init__(self, level: float | None, rate: int) -> None:
        """Begins a recording.

        Args:
            level: of the training speech [dB of full scale]; None: a level makes no difference to the model.
            rate: of the samples [Hz].
        """
        self._level, self._rate = level, rate
        self._loudest = -math.inf  # [dB]

    def __call__(self, samples: np.ndarray, speech: bool = True) -> np.ndarray:
        """The next stretch, float32, shape (samples,): the same array where the model knows such a level.

        Args:
            samples: of the stretch.
            speech: whether somebody speaks in it; else only what was before decides.
        """
        if self._level is None:
            return samples
        if speech and (root := speech_level(samples, self._rate)) > 0:
            self._loudest = max(self._loudest, 20 * math.log10(root))
        if not -math.inf < self._loudest < _ABSURD:
            return samples
        wanted = min(max(self._loudest, self._level - SPREAD), self._level + SPREAD)
        gain = min(wanted - self._loudest, _MOST)
        return samples * np.float32(10 ** (gain / 20)) if gain else samples
