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


def share(group: list[list[Item]], rank: int, count: int) -> list[list[Item]]:
    """What one of ``count`` processes takes of each batch of a step: whole ones where there are enough, else a part."""
    if len(group) >= count:
        return [items if number % count == rank else [] for number, items in enumerate(group)]
    return [items[rank::count] for items in group]


def plan_by_length(lengths: np.ndarray, largest: int, pool: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Batches of one epoch: every sequence once, those of a batch alike in length, in an order of (seed, epoch).

    Args:
        lengths: of the sequences, shape (N,).
        largest: padded length of a batch, sequences × the longest of them; a longer one has a batch of its own.
        pool: batches whose sequences are sorted by length together; the more, the less is padded, and mixed.
        seed: of the run.
        epoch: counted from 0.

    Returns:
        The indices of each batch's sequences.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    together = max(int(pool * largest / lengths.mean()), 1)
    batches: list[np.ndarray] = []
    for start in range(0, len(order), together):
        chosen = order[start : start + together]
        chosen = chosen[np.argsort(lengths[chosen], kind="stable")]
        begin = 0
        while begin < len(chosen):
            # Sorted, so a batch is as long as its last: the largest count whose padded size still fits.
            sizes = lengths[chosen[begin:]] * np.arange(1, len(chosen) - begin + 1)
            count = max(int(np.searchsorted(sizes, largest, side="right")), 1)
            batches.append(chosen[begin : begin + count])
            begin += count
    return [batches[index] for index in random.permutation(len(batches))]
