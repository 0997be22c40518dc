"""Utterances in batches by length, read ahead in the background."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

In = TypeVar("In")
Out = TypeVar("Out")


def by_length(seconds: list[float], batch_seconds: float) -> list[list[int]]:
    """Indices in batches for inference: sorted by length, each batch's padded length at most ``batch_seconds``.

    An utterance longer than that gets a batch of its own.
    """
    batches: list[list[int]] = []
    for index in np.argsort(seconds, kind="stable")[::-1].tolist():
        if batches and seconds[batches[-1][0]] * (len(batches[-1]) + 1) <= batch_seconds:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def prefetch(function: Callable[[In], Out], arguments: Iterable[In], threads: int = 1, ahead: int = 4) -> Iterator[Out]:
    """``map`` in background threads that stay at most ``ahead`` results before the reader.

    Reading and resampling release the interpreter's lock, so this overlaps with computing at no cost in processes.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Out]] = deque()
        try:
            for argument in arguments:
                waiting.append(pool.submit(function, argument))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
