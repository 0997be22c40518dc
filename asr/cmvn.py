"""Statistics for cepstral mean and variance normalisation: of a whole corpus, or of each speaker."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from asr.audio import read_utterance
from asr.errors import AsrError
from asr.features import Features, estimate_cmvn
from asr.loudness import speech_level
from asr.manifest import Utterance

# An hour settles the mean and variance of a band to the third digit; more would only cost time.
_ENOUGH_SECONDS = 3600.0


def _raw(features: Features, utterances: Iterable[Utterance]) -> Iterator[Tensor]:
    for utterance in utterances:
        try:
            samples = torch.from_numpy(read_utterance(utterance, features.config.rate))
        except AsrError:  # named when it is trained on or decoded
            continue
        frames, _ = features.raw(samples[None].to(features.window.device), torch.tensor([len(samples)]))
        if frames.isfinite().all():  # samples of 1e30 overflow; that utterance is named later, too
            yield frames[0]


def corpus_statistics(features: Features, utterances: Sequence[Utterance], seed: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature over at most an hour of a corpus, drawn at random.

    Returns:
        Two tensors of shape (F,).

    Raises:
        AsrError: not one utterance could be read.
    """
    return estimate_cmvn(_raw(features, _drawn(utterances, seed)))


def corpus_level(utterances: Sequence[Utterance], rate: int, seed: int) -> float | None:
    """Mean level of the speech of at most an hour of a corpus, drawn at random [dB of full scale]; None: all is silent.

    Args:
        utterances: of the corpus.
        rate: to read them at [Hz].
        seed: of what is drawn, the same as for `corpus_statistics`.
    """
    levels = []
    for utterance in _drawn(utterances, seed):
        with contextlib.suppress(AsrError):  # named when it is trained on
            root = speech_level(read_utterance(utterance, rate), rate)
            if 0 < root < math.inf:
                levels.append(20 * math.log10(root))
    return float(np.mean(levels)) if levels else None


def _drawn(utterances: Sequence[Utterance], seed: int) -> list[Utterance]:
    """At most an hour of a corpus."""
    chosen: list[Utterance] = []
    seconds = 0.0
    for index in np.random.default_rng(seed).permutation(len(utterances)):
        if seconds >= _ENOUGH_SECONDS:
            break
        chosen.append(utterances[index])
        seconds += utterances[index].duration
    return chosen


def speaker_statistics(features: Features, utterances: Sequence[Utterance]) -> dict[str, Tensor]:
    """Mean and standard deviation of each speaker's features, shape (2, F), by `speaker_key`; NaN if none is of use."""
    by_speaker: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        by_speaker.setdefault(speaker_key(utterance), []).append(utterance)
    statistics = {}
    for speaker, spoken in by_speaker.items():
        try:
            statistics[speaker] = torch.stack(estimate_cmvn(_raw(features, spoken)))
        except AsrError:  # nothing of theirs is of use; what is no number makes each a failure that is named
            statistics[speaker] = torch.full((2, features.dimension), math.nan)
    return statistics


def speaker_key(utterance: Utterance) -> str:
    """Whose statistics normalise an utterance: its speaker's, or its own where the speaker is not known."""
    return f"speaker {utterance.speaker}" if utterance.speaker is not None else f"utterance {utterance.id}"
