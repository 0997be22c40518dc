"""A network that ``asr export`` wrote, in ONNX Runtime. Nothing here needs PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime

from asr.errors import AsrError, UsageError
from asr.model.folder import EXPORTED, STREAM, open_folder
from asr.onnx_network import open_network
from asr.runtime import available_threads
from asr.transcribe.level import training_level
from asr.transcribe.streamed import Streamed


class OnnxBackend:
    """An exported model folder. See `asr.transcribe.backend.Backend`.

    Each thread computes some of the waveforms, so it takes several of them to keep several threads busy.

    Attributes:
        config: of the model.
        trained: how it was trained.
        sha256: of the folder's SHA256SUMS.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        """Loads the network, after checking every file against its checksum.

        Args:
            folder: that ``asr export`` wrote.
            threads: to compute with; 0: every core.

        Raises:
            AsrError: a file is missing, altered or does not fit the others; names it.
        """
        found = open_folder(folder, EXPORTED)
        self._graph = folder.resolve() / STREAM if STREAM in found.listed else None
        self._folder = folder
        self.config, self.tokenizer = found.config, found.tokenizer
        self.trained, self.sha256 = found.trained, found.sha256
        features, self.factor = found.config.features, found.config.encoder.factor
        self.rate, self.shift = features.rate, features.shift_samples
        self.frame_seconds = found.config.frame_seconds
        self.level = training_level(found.config, found.trained)
        path = found.weights
        self._threads = threads or available_threads()
        self._pool = ThreadPoolExecutor(self._threads)
        self._session = open_network(path, ["waveforms", "lengths", "log_probs", "frames"])
        columns = self._session.get_outputs()[0].shape[-1]
        if columns != len(self.tokenizer):
            raise AsrError(
                f"{path}: writes {columns} tokens, and beside it are {len(self.tokenizer)}; it is another model's"
            )

    def output_length(self, samples: int) -> int:
        return -(-self.config.features.frames(samples) // self.factor)

    def log_probs(self, waveforms: Sequence[np.ndarray]) -> list[np.ndarray]:
        found: list[np.ndarray] = [np.empty(0)] * len(waveforms)
        shares = _shares([len(one) for one in waveforms], self._threads)
        parts = self._pool.map(lambda share: self._together([waveforms[index] for index in share]), shares)
        for share, rows in zip(shares, parts, strict=True):
            for index, row in zip(share, rows, strict=True):
                found[index] = row
        return found

    def streamed(self, latency: float) -> Streamed:
        chunking = self.config.chunking(latency)
        return Streamed(_Reader(self._stream), chunking, self.config.features, self.factor, self.level)

    @cached_property
    def _stream(self) -> onnxruntime.InferenceSession:
        if self._graph is None:
            raise UsageError(f"{self._folder}: was exported without {STREAM}, which streams need; export it again")
        return open_network(self._graph, ["view", "chunk", "states", "log_probs", "states_after"])

    def _together(self, waveforms: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Log-probs of one batch, on one thread."""
        lengths = np.array([len(one) for one in waveforms], np.int64)
        padded = np.zeros((len(waveforms), lengths.max()), np.float32)  # (N, L)
        for row, one in zip(padded, waveforms, strict=True):
            row[: len(one)] = one
        log_probs, frames = self._session.run(["log_probs", "frames"], {"waveforms": padded, "lengths": lengths})
        return [row[:count] for row, count in zip(log_probs, frames.tolist(), strict=True)]


class _Reader:
    """See `asr.transcribe.streamed.Reader`."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._states = np.zeros(session.get_inputs()[2].shape, np.float32)  # (layers, K, H)

    def __call__(self, view: np.ndarray, chunk: int) -> np.ndarray:
        fed = {"view": view[None], "chunk": np.array([chunk]), "states": self._states}
        log_probs, self._states = self._session.run(["log_probs", "states_after"], fed)
        found: np.ndarray = log_probs[0]
        return found


def _shares(lengths: Sequence[int], threads: int) -> list[list[int]]:
    """Indices in at most so many batches, the like with the like, of about the same padded length."""
    order = np.argsort(lengths, kind="stable")[::-1].tolist()
    share, shares = sum(lengths) / threads, [[order[0]]]
    for index in order[1:]:
        most = lengths[shares[-1][0]] * (len(shares[-1]) + 0.5)
        if most > share and len(shares) < threads:
            shares.append([index])
        else:
            shares[-1].append(index)
    return shares
