from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.loading import by_length, prefetch


@given(
    seconds=st.lists(st.floats(min_value=0, max_value=50), max_size=40), limit=st.floats(min_value=0.5, max_value=100)
)
def test_batches_by_length_are_bounded_and_hold_everything_once(seconds: list[float], limit: float) -> None:
    batches = by_length(seconds, limit)
    assert sorted(index for batch in batches for index in batch) == list(range(len(seconds)))
    for batch in batches:
        longest = max(seconds[index] for index in batch)
        assert len(batch) == 1 or longest * len(batch) <= limit
    lengths = [seconds[index] for batch in batches for index in batch]
    assert lengths == sorted(lengths, reverse=True)


def test_a_batch_is_as_full_as_it_may_be() -> None:
    assert [len(batch) for batch in by_length([2.0] * 10, 8.0)] == [4, 4, 2]
    assert by_length([9.0, 1.0, 1.0], 8.0)[0] == [0]


@pytest.mark.parametrize("threads", [1, 3])
def test_prefetch_keeps_the_order(threads: int) -> None:
    def slow(number: int) -> int:
        time.sleep(0.003 * (number % 3))
        return number * number

    assert list(prefetch(slow, range(20), threads)) == [number * number for number in range(20)]
    assert list(prefetch(slow, [], threads)) == []


def test_prefetch_stays_only_so_far_ahead() -> None:
    drawn = []

    def arguments() -> Iterator[int]:
        for number in range(50):
            drawn.append(number)
            yield number

    for seen, _ in enumerate(prefetch(lambda number: number, arguments(), ahead=4), start=1):
        assert len(drawn) <= seen + 4


def test_prefetch_works_while_the_reader_does_something_else() -> None:
    begun = threading.Event()

    def note(number: int) -> int:
        if number == 1:
            begun.set()
        return number

    results = prefetch(note, range(5))
    assert next(results) == 0
    assert begun.wait(timeout=5)
    results.close()  # type: ignore[attr-defined]


def test_an_exception_comes_in_its_place() -> None:
    def refuse(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    results = prefetch(refuse, range(10))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_an_exception_of_the_arguments_comes_too() -> None:
    def arguments() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(prefetch(lambda number: number, arguments()))


def test_a_reader_that_leaves_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    done = []

    def work(number: int) -> None:
        time.sleep(0.01)
        done.append(number)

    results = prefetch(work, range(1000))
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert len(done) < 10
