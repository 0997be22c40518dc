from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.train.batches import Item, plan_epoch

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
