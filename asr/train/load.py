"""Loading batches of training audio in the background."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from asr.audio import read_utterance
from asr.augment import speed
from asr.errors import AsrError
from asr.loading import by_length, prefetch
from asr.train.batches import Item
from asr.train.select import Selected

# Augments a waveform, given the utterance's id and which of its copies it is; the length stays.
Augment = Callable[[np.ndarray, str, int], np.ndarray]


@dataclass
class Batch:
    """Waveforms of several utterances.

    Attributes:
        items: which utterances and copies they are.
        waveforms: float32, shape (samples,) each.
        failed: id → reason of what could not be read.
    """

    items: list[Item]
    waveforms: list[Tensor]
    failed: dict[str, str] = field(default_factory=dict)

    def padded(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Waveforms, shape (N, L), and their lengths, shape (N,)."""
        lengths = torch.tensor([len(waveform) for waveform in self.waveforms])
        return torch.nn.utils.rnn.pad_sequence(self.waveforms, batch_first=True).to(device), lengths.to(device)


def load_batch(
    items: Sequence[Item],
    selected: Sequence[Selected],
    speeds: Sequence[float],
    rate: int,
    augment: Augment | None = None,
) -> Batch:
    """Reads a batch, each utterance at the speed of its copy, augmented; what cannot be read is left out and named."""
    batch = Batch([], [])
    for item in items:
        utterance = selected[item.utterance].utterance
        try:
            samples = speed(read_utterance(utterance, rate), speeds[item.copy])
            if augment:
                samples = augment(samples, utterance.id, item.copy)
        except AsrError as error:
            batch.failed[utterance.id] = str(error)
            continue
        batch.items.append(item)
        batch.waveforms.append(torch.from_numpy(samples))
    return batch


def batches(
    plan: Iterable[Sequence[Item]],
    selected: Sequence[Selected],
    speeds: Sequence[float],
    rate: int,
    augment: Augment | None = None,
    threads: int = 1,
) -> Iterator[Batch]:
    """Loads planned batches in the background, in order, whatever the number of threads."""
    return prefetch(lambda items: load_batch(items, selected, speeds, rate, augment), plan, threads, threads + 3)


def plain_batches(selected: Sequence[Selected], batch_seconds: float, rate: int) -> Iterator[Batch]:
    """All utterances once, unchanged, in batches by length."""
    seconds = [one.samples / rate for one in selected]
    plan = [[Item(index, 0, seconds[index]) for index in batch] for batch in by_length(seconds, batch_seconds)]
    return batches(plan, selected, [1.0], rate)
