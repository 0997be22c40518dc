from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.train.batches import Item, plan_by_length, plan_epoch

_ITEMS = st.lists(st.floats(min_value=0.1, max_value=10), min_size=1, max_size=60).map(
    lambda lengths: [Item(index // 2, index % 2, seconds) for index, seconds in enumerate(lengths)]
)


@given(items=_ITEMS, limit=st.floats(min_value=10, max_value=40), seed=st.integers(0, 99), epoch=st.integers(0, 99))
def test_an_epoch_is_every_item_once_in_bounded_batches(items: list[Item], limit: float, seed: int, epoch: int) -> None:
    plan = plan_epoch(items, limit, seed, epoch)
    assert Counter(item for batch in plan for item in batch) == Counter(items)
    for batch in plan:
        assert batch
        assert len(batch) * max(item.seconds for item in batch) <= limit
    assert plan_epoch(items, limit, seed, epoch) == plan


def test_epochs_and_seeds_differ() -> None:
    items = [Item(index, 0, 1 + index / 10) for index in range(40)]
    first = plan_epoch(items, 20, seed=1, epoch=0)
    assert plan_epoch(items, 20, seed=1, epoch=1) != first
    assert plan_epoch(items, 20, seed=2, epoch=0) != first
    # Not only in another order: other batches.
    assert {frozenset(batch) for batch in plan_epoch(items, 20, 1, 1)} != {frozenset(batch) for batch in first}


def test_batches_hold_neighbours_in_length() -> None:
    items = [Item(index, 0, 1 + index / 10) for index in range(100)]
    plan = plan_epoch(items, 30, seed=1, epoch=0)
    padded = sum(len(batch) * max(item.seconds for item in batch) for batch in plan)
    assert padded < 1.2 * sum(item.seconds for item in items)
    lengths = [batch[0].seconds for batch in plan]
    assert lengths != sorted(lengths)


def test_an_item_longer_than_a_batch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"an item of 12\.0 s does not fit a batch of 10 s"):
        plan_epoch([Item(0, 0, 12.0), Item(1, 0, 1.0)], 10, seed=1, epoch=0)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=60).map(np.array),
    largest=st.integers(1, 100),
    pool=st.integers(1, 5),
    epoch=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_an_epoch_holds_every_sequence_once_in_batches_that_fit(
    lengths: np.ndarray, largest: int, pool: int, epoch: int
) -> None:
    plan = plan_by_length(lengths, largest, pool, 1, epoch)
    assert sorted(np.concatenate(plan)) == list(range(len(lengths)))
    assert all(len(batch) == 1 or lengths[batch].max() * len(batch) <= largest for batch in plan)
    again = plan_by_length(lengths, largest, pool, 1, epoch)
    assert all((one == other).all() for one, other in zip(plan, again, strict=True))


def test_epochs_of_sequences_differ_and_a_large_pool_pads_little() -> None:
    lengths = np.random.default_rng(0).integers(1, 60, 5000)
    first, second = (np.concatenate(plan_by_length(lengths, 500, 100, 1, epoch)) for epoch in (0, 1))
    assert (first != second).any()
    padded = [
        sum(lengths[batch].max() * len(batch) for batch in plan_by_length(lengths, 500, pool, 1, 0))
        for pool in (1, 10, 100)
    ]
    assert padded == sorted(padded, reverse=True)
    assert padded[-1] < 1.1 * lengths.sum()
