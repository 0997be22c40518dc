"""Which utterances stand in which batch of which epoch: a pure function of seed and epoch, so that a run can resume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Item:
    """One copy of one utterance.

    Attributes:
        utterance: its index in the manifest.
        copy: which of the configured speeds it is played at.
        seconds: its length at that speed.
    """

    utterance: int
    copy: int
    seconds: float


def plan_epoch(items: list[Item], batch_seconds: float, seed: int, epoch: int) -> list[list[Item]]:
    """Batches of one epoch: neighbours in length together, in random order.

    A batch's padded length, utterances × the longest of them, is at most ``batch_seconds``. Lengths are blurred by up
    to a tenth before sorting, so that batches differ from epoch to epoch.

    Raises:
        ValueError: an item alone is longer than ``batch_seconds``.
    """
    generator = np.random.default_rng([seed, epoch])
    lengths = np.array([item.seconds for item in items])
    if lengths.max() > batch_seconds:
        raise ValueError(f"an item of {lengths.max():.1f} s does not fit a batch of {batch_seconds} s")
    order = np.argsort(lengths * generator.uniform(0.9, 1.1, len(items)), kind="stable")
    batches: list[list[Item]] = []
    batch: list[Item] = []
    longest = 0.0
    for index in order:
        item = items[index]
        if batch and max(longest, item.seconds) * (len(batch) + 1) > batch_seconds:
            batches.append(batch)
            batch, longest = [], 0.0
        batch.append(item)
        longest = max(longest, item.seconds)
    batches.append(batch)
    return [batches[number] for number in generator.permutation(len(batches))]
