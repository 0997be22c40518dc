"""Whole files to text: many at once, in batches over the pieces of all of them, long ones without being held whole."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from asr.audio import stream_audio
from asr.decode.greedy import greedy
from asr.decode.hypothesis import Hypothesis, Word, unfit
from asr.errors import AsrError
from asr.loading import by_length, prefetch
from asr.model.acoustic import Recogniser
from asr.tokens import BLANK
from asr.transcribe.segment import quiet_pieces

LONGEST_PIECE = 30.0  # [s]
BATCH_SECONDS = 240.0  # [s] of padded audio at once
_TOGETHER_SECONDS = 600.0  # [s] of audio that is gathered over files before the network runs

Item = TypeVar("Item")


@dataclass(frozen=True)
class Transcript:
    """What became of one file.

    Attributes:
        audio: the file.
        duration: its length [s]; 0 if it failed.
        hypothesis: what was recognised; None if it failed.
        error: why it failed; None if it did not.
    """

    audio: Path
    duration: float = 0.0
    hypothesis: Hypothesis | None = None
    error: str | None = None


@dataclass
class _File:
    """A file on its way: samples read, hypotheses of its pieces by the sample they begin at, what went wrong."""

    path: Path
    samples: int = 0
    parts: dict[int, Hypothesis] = field(default_factory=dict)
    error: str | None = None
    is_read: bool = False


@dataclass(frozen=True)
class _Piece:
    """A stretch of a file that is short enough for the network."""

    file: _File
    begin: int
    samples: np.ndarray


def transcribe(paths: Sequence[Path], recogniser: Recogniser, device: torch.device) -> Iterator[Transcript]:
    """Transcribes files, in their order; one that cannot be read to its end comes out with its error.

    Memory does not grow with the length of a file, but for its words.

    Args:
        paths: audio files, of any format, rate and number of channels that libsndfile reads.
        recogniser: a loaded model folder, its model on ``device``.
        device: where to compute.

    Raises:
        AsrError: the model normalises by speaker, which needs a manifest.
    """
    if recogniser.model.config.features.cmvn == "speaker":
        raise AsrError("this model normalises by speaker, so it decodes manifests (asr decode), not single files")
    rate = recogniser.model.config.features.rate
    files = [_File(path) for path in paths]
    waiting: list[_Piece] = []
    done, seconds = 0, 0.0
    for number, read in _in_background(_read(paths, rate)):
        file = files[number]
        if isinstance(read, np.ndarray):
            waiting.append(_Piece(file, file.samples, read))
            file.samples += len(read)
            seconds += len(read) / rate
        else:
            file.error, file.is_read = file.error or read, True
        if seconds >= _TOGETHER_SECONDS or (number == len(files) - 1 and file.is_read):
            _recognise(waiting, recogniser, device)
            waiting, seconds = [], 0.0
            while done < len(files) and files[done].is_read:
                yield _transcript(files[done], rate)
                done += 1


def _read(paths: Sequence[Path], rate: int) -> Iterator[tuple[int, np.ndarray | str | None]]:
    """(number of the file, piece of it) …, and at each file's end (number, why it failed or None)."""
    for number, path in enumerate(paths):
        sound = False
        try:
            for piece in quiet_pieces(stream_audio(path, rate), rate, LONGEST_PIECE):
                sound = sound or bool(piece.any())
                yield number, piece
        except AsrError as error:
            yield number, str(error)
        else:
            yield number, None if sound else f"{path}: holds nothing but zeros; was the microphone muted?"


def _in_background(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, made in a thread that stays a few before the reader."""
    end = object()
    for item in prefetch(lambda _: next(items, end), itertools.repeat(None)):
        if item is end:
            return
        yield item  # type: ignore[misc]


def _recognise(pieces: Sequence[_Piece], recogniser: Recogniser, device: torch.device) -> None:
    """Runs pieces of several files through the network together and gives each file its hypotheses."""
    model = recogniser.model
    rate = model.config.features.rate
    fit = [piece for piece in pieces if model.output_length(len(piece.samples))]
    for batch in by_length([len(piece.samples) / rate for piece in fit], BATCH_SECONDS):
        chosen = [fit[index] for index in batch]
        rows = model.log_probs([torch.from_numpy(piece.samples) for piece in chosen], device=device)
        for piece, row in zip(chosen, rows, strict=True):
            log_probs = row.numpy()
            if reason := unfit(log_probs):
                piece.file.error = piece.file.error or f"{piece.file.path}: {reason}"
                continue
            hypothesis = greedy(log_probs, BLANK, recogniser.tokenizer, model.frame_seconds)
            piece.file.parts[piece.begin] = _shift(hypothesis, piece.begin / rate, len(piece.samples) / rate)


def _shift(hypothesis: Hypothesis, begin: float, length: float) -> Hypothesis:
    """A piece's hypothesis in its file's time; the last frame may reach beyond the piece, its words must not [s]."""

    def moved(word: Word) -> Word:
        return replace(word, start=round(begin + word.start, 3), end=round(begin + min(word.end, length), 3))

    return replace(hypothesis, words=[moved(word) for word in hypothesis.words])


def _transcript(file: _File, rate: int) -> Transcript:
    """Joins what was recognised in a file's pieces."""
    if file.error is None and not file.parts:
        file.error = f"{file.path}: {file.samples / rate:.3f} s are too short to hold speech"
    if file.error is not None:
        return Transcript(file.path, error=file.error)
    parts = [file.parts[begin] for begin in sorted(file.parts)]
    words = [word for part in parts for word in part.words]
    text = " ".join(word.word for word in words)
    return Transcript(file.path, file.samples / rate, Hypothesis(text, words, sum(part.score for part in parts)))
