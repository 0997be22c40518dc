"""How long work shows itself: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

_EVERY = 10.0  # [s] between plain lines
AUDIO = "seconds of audio"  # the unit of which the speed is told too, in multiples of real time


@contextlib.contextmanager
def progress(label: str, unit: str = "") -> Iterator[Callable[[int, int | None], None]]:
    """Yields a function that takes how much is done and of how much (None: unknown).

    Args:
        label: what is being done.
        unit: what is counted; empty for bytes.
    """
    began = time.monotonic()

    def speed(done: int) -> str:
        return f"{done / max(time.monotonic() - began, 1e-3):,.0f} × real time" if unit == AUDIO else ""

    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        counts = [MofNCompleteColumn(), TextColumn(unit)] if unit else [DownloadColumn(), TransferSpeedColumn()]
        counts += [TextColumn("{task.fields[speed]}")] if unit == AUDIO else []
        columns = (TextColumn("{task.description}"), BarColumn(), *counts, TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bars:
            task = bars.add_task(label, total=None, speed="")
            yield lambda done, total: bars.update(task, completed=done, total=total, speed=speed(done))
        return
    print(label, file=sys.stderr, flush=True)
    next_line = time.monotonic() + _EVERY

    def report(done: int, total: int | None) -> None:
        nonlocal next_line
        if time.monotonic() >= next_line:
            next_line = time.monotonic() + _EVERY
            if not total:
                amount = _amount(done, unit)
            elif unit:
                amount = f"{done:,} of {total:,} {unit} ({done / total:.0%})"
            else:
                amount = f"{_amount(done, unit)} of {_amount(total, unit)} ({done / total:.0%})"
            told = ", ".join(filter(None, [amount, speed(done)]))
            print(f"{label}: {told}", file=sys.stderr, flush=True)

    yield report


def _amount(number: int, unit: str) -> str:
    return f"{number:,} {unit}" if unit else f"{number / 1e6:,.1f} MB"
