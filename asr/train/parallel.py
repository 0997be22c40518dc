"""A step's gradient by several processes at once.

Two threads make a step of recurrent layers hardly faster than one: a step in time is too small to be divided. Two
processes that take half of the utterances each do. All weights, the optimiser and whatever is saved are the first
process's; a helper gets the weights before each step and gives back the gradient of its share.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection

import numpy as np
import torch
from torch import Tensor, nn

from asr.errors import AsrError
from asr.runtime import keep_freed_memory
from asr.train.batches import Item
from asr.train.trainer import Heard, Trainer

HELPER_MB = 500  # of memory that a helper takes for itself, before its share of a batch
_WORTHWHILE = 3600.0  # audio in a run [s]; less of it is heard in about the time that helpers need to start
_MOST = 4  # processes: shares and memory should not become too small; further threads are divided among them


class HelperLost(AsrError):
    """A helper came to its end; what the first process holds is as it was before the step."""


def processes(trainer: Trainer) -> int:
    """How many share a run's steps: one a thread, up to four; one alone on a GPU, or where there is little to hear."""
    current = multiprocessing.current_process()
    if current.daemon and not getattr(current, "_inheriting", False):  # a worker of somebody's pool may start none
        return 1
    audio = trainer.config.train.epochs * sum(item.seconds for item in trainer.items)
    worthwhile = trainer.device.type == "cpu" and audio >= _WORTHWHILE
    return min(torch.get_num_threads(), _MOST) if worthwhile else 1


class Helpers:
    """The other processes of a run, if there are any; use as a context manager.

    Args:
        trainer: of the first process.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.threads = torch.get_num_threads()
        self.count = processes(trainer)
        self._running: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []

    def __enter__(self) -> Helpers:
        trainer = self.trainer
        # By plain pickle: torch would hand tensors over in shared memory, of which containers have little.
        job = pickle.dumps((trainer.config, trainer.model, trainer.train, trainer.statistics, trainer.bfloat16))
        try:
            for rank in range(1, self.count):
                self._start(rank, job)
        except BaseException as error:
            self.__exit__()
            if isinstance(error, OSError):
                raise AsrError(
                    f"no process could be started to help with training ({error.strerror or error}); give --threads 1"
                ) from error
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process, connection in self._running:
            connection.close()
            process.kill()  # it holds nothing that could be lost
            process.join()

    def _threads(self, rank: int) -> int:
        """Those that the count does not divide go to the first ones."""
        return self.threads // self.count + (rank < self.threads % self.count)

    def _start(self, rank: int, job: bytes) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_help, args=(theirs, rank, self.count, self._threads(rank)), daemon=True)
        resource_tracker.ensure_running()  # starting it would let the signals through
        # Ctrl-C reaches the whole group, and the first process decides: helpers have it blocked from the beginning.
        former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
            theirs.close()  # so that the process's end is the end of the pipe
        self._running.append((process, ours))
        with self._alive(process):
            ours.send_bytes(job)

    def hear(self, groups: list[list[list[Item]]]) -> Iterator[Heard]:
        """Leaves the gradient of one group after the other in the trainer's parameters; weights may change between.

        Args:
            groups: the rest of the trainer's epoch.

        Raises:
            HelperLost: a helper came to its end.
            AsrError: what it says that keeps it from helping.
        """
        trainer, progress = self.trainer, self.trainer.progress
        for process, connection in self._running:
            with self._alive(process):
                connection.send((progress.epoch, progress.group, progress.step))
        for group in trainer.load(groups, 0, self.count):
            if not self._running:
                yield trainer.hear(group)
                continue
            weights = _bytes(_flat([parameter.detach() for parameter in trainer.model.parameters()]))
            for process, connection in self._running:
                with self._alive(process):
                    connection.send_bytes(weights)
            torch.set_num_threads(self._threads(0))
            try:
                heard = trainer.hear(group)
            finally:
                torch.set_num_threads(self.threads)
            for process, connection in self._running:
                with self._alive(process):
                    heard += _receive(connection, list(trainer.model.parameters()))
            yield heard

    @contextlib.contextmanager
    def _alive(self, process: multiprocessing.process.BaseProcess) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError) as error:
            process.join()
            memory = "; if memory is short, give it more" if process.exitcode == -signal.SIGKILL else ""
            raise HelperLost(
                f"one of the {self.count} processes that train ended early (exit status {process.exitcode}): "
                f"the same command goes on from there{memory}"
            ) from error


def _flat(tensors: list[Tensor]) -> np.ndarray:
    return torch.cat([tensor.reshape(-1) for tensor in tensors]).numpy()


def _bytes(values: np.ndarray) -> memoryview:
    return values.view(np.uint8).data


def _pieces(connection: Connection, tensors: list[nn.Parameter]) -> list[Tensor]:
    """Float32 values that come through a pipe, in the shapes of ``tensors``."""
    values = np.empty(sum(tensor.numel() for tensor in tensors), np.float32)
    if len(values):
        try:
            connection.recv_bytes_into(_bytes(values))
        except OSError as error:  # it ended in the middle of them
            raise EOFError from error
    pieces = torch.from_numpy(values).split([tensor.numel() for tensor in tensors])
    return [piece.view(tensor.shape) for piece, tensor in zip(pieces, tensors, strict=True)]


def _receive(connection: Connection, parameters: list[nn.Parameter]) -> Heard:
    """What a helper heard; its gradients are added to the parameters'."""
    answer = connection.recv()
    if isinstance(answer, AsrError):
        raise answer
    heard, present = answer
    given = [parameter for parameter, there in zip(parameters, present, strict=True) if there]
    for parameter, gradient in zip(given, _pieces(connection, given), strict=True):
        if parameter.grad is None:
            parameter.grad = gradient
        else:
            parameter.grad += gradient
    return heard


def _help(connection: Connection, rank: int, count: int, threads: int) -> None:
    """What runs in a helper: until the pipe ends, which it also does when the first process is killed."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    with contextlib.suppress(EOFError, ConnectionError):
        job = connection.recv_bytes()
        try:
            trainer = Trainer(*pickle.loads(job))
            while True:
                _epoch(connection, trainer, rank, count)
        except AsrError as error:
            connection.send(error)


def _epoch(connection: Connection, trainer: Trainer, rank: int, count: int) -> None:
    progress = trainer.progress
    progress.epoch, progress.group, progress.step = connection.recv()
    parameters = list(trainer.model.parameters())
    for group in trainer.load(trainer.groups(progress.epoch)[progress.group :], rank, count):
        with torch.no_grad():
            for parameter, value in zip(parameters, _pieces(connection, parameters), strict=True):
                parameter.copy_(value)
        heard = trainer.hear(group, rank)
        gradients = [parameter.grad for parameter in parameters]
        given = [gradient for gradient in gradients if gradient is not None]
        connection.send((heard, [gradient is not None for gradient in gradients]))
        if given:
            connection.send_bytes(_bytes(_flat(given)))
        progress.group += 1
        progress.step += 1
