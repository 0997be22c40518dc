"""What a run tells: a progress bar on a terminal, a table line an epoch, TensorBoard's event files."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from asr.errors import AsrError
from asr.train.checkpoint import Progress as RunProgress

HEADING = " epoch      rate    loss  dev loss  dev WER %  dev CER %  audio h/h  minutes     left"


class Reporter:
    """Prints the run's table and keeps its event files; use as a context manager.

    Args:
        folder: for TensorBoard's event files.
        epochs: how many there are to be.
        done: epochs already done (their events are not written again).
        rate: what the rate of the dev set is called: WER, for phones PER.
    """

    def __init__(self, folder: Path, epochs: int, done: int, rate: str = "WER") -> None:
        self.epochs = epochs
        self.folder = folder
        with _told(folder):
            self.writer = SummaryWriter(str(folder), purge_step=done + 1)
        self.bar: Progress | None = None
        if sys.stdout.isatty():  # where the bar and the table stand
            self.bar = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("loss {task.fields[loss]:.3f}  {task.fields[speed]:.0f} audio h/h"),
                TimeRemainingColumn(),
                transient=True,
            )
            self.task = self.bar.add_task("train", epoch=done + 1, loss=0.0, speed=0.0)
        print(HEADING.replace("WER", rate), flush=True)

    def __enter__(self) -> Reporter:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()
        self.writer.close()

    def begin(self, epoch: int, steps: int, done: int) -> None:
        """An epoch of so many steps begins, ``done`` of them taken before."""
        if self.bar:
            self.bar.reset(self.task, total=steps, completed=done, epoch=epoch + 1, loss=0.0, speed=0.0)

    def step(self, progress: RunProgress) -> None:
        """A step was taken."""
        if self.bar:
            loss = progress.loss / max(progress.labels, 1)
            speed = progress.audio / max(progress.epoch_seconds, 1e-9)
            self.bar.update(self.task, advance=1, loss=loss, speed=speed)

    def epoch(self, row: dict[str, float], seconds: float) -> None:
        """An epoch is over; ``row`` is its line of the history, ``seconds`` what it took."""
        epoch = int(row["epoch"])
        left = (self.epochs - epoch) * seconds
        line = (
            f"{epoch:>3}/{self.epochs:<3} {row['learning_rate']:>8.1e} {row['loss']:>7.3f} {row['dev_loss']:>9.3f} "
            f"{row['dev_wer']:>10.2f} {row['dev_cer']:>10.2f} {row['speed']:>10.0f} {row['minutes']:>8.1f} "
            f"{clock(left):>8}"
        )
        (self.bar.console.print(line, highlight=False) if self.bar else print(line, flush=True))
        with _told(self.folder):
            for name in ("loss", "dev_loss", "dev_wer", "dev_cer", "learning_rate", "speed"):
                self.writer.add_scalar(name, row[name], epoch)
            self.writer.flush()


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AsrError(
            f"{folder}: TensorBoard's event file could not be written ({error.strerror or error})"
        ) from error


def clock(seconds: float) -> str:
    """A length of time as people read it: 12 s, 3:05, 1:02:03."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return time.strftime("%-M:%S", time.gmtime(whole))
    return f"{whole // 3600}:{time.strftime('%M:%S', time.gmtime(whole))}"
