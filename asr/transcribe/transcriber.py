"""Whole files to text: many at once, in batches over the pieces of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from asr.audio import read_audio
from asr.decode.greedy import greedy
from asr.decode.hypothesis import Hypothesis
from asr.errors import AsrError
from asr.loading import by_length, prefetch
from asr.model.acoustic import Recogniser
from asr.tokens import BLANK
from asr.transcribe.segment import quiet_cuts

LONGEST_PIECE = 30.0  # [s]
BATCH_SECONDS = 240.0  # [s] of padded audio at once
_TOGETHER_SECONDS = 600.0  # [s] of audio that is gathered over files before the network runs


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


def _read(path: Path, recogniser: Recogniser) -> np.ndarray | str:
    rate = recogniser.model.config.features.rate
    try:
        samples = read_audio(path, rate)
    except AsrError as error:
        return str(error)
    if not samples.any():
        return f"{path}: holds nothing but zeros; was the microphone muted?"
    if recogniser.model.output_length(len(samples)) < 1:
        return f"{path}: {len(samples) / rate:.3f} s are too short to hold speech"
    return samples


def transcribe(paths: Sequence[Path], recogniser: Recogniser, device: torch.device) -> Iterator[Transcript]:
    """Transcribes files, in their order; one that cannot be read comes out with its error.

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
    waiting: list[tuple[Path, np.ndarray | str]] = []
    seconds = 0.0
    for path, read in zip(paths, prefetch(lambda one: _read(one, recogniser), paths), strict=True):
        waiting.append((path, read))
        seconds += 0.0 if isinstance(read, str) else len(read) / rate
        if seconds >= _TOGETHER_SECONDS:
            yield from _recognise(waiting, recogniser, device)
            waiting, seconds = [], 0.0
    yield from _recognise(waiting, recogniser, device)


def _recognise(
    files: Sequence[tuple[Path, np.ndarray | str]], recogniser: Recogniser, device: torch.device
) -> Iterator[Transcript]:
    """Runs the pieces of several files through the network together and joins each file's pieces again."""
    model = recogniser.model
    rate = model.config.features.rate
    pieces: list[tuple[int, int, int]] = []  # file, first sample, sample behind the last
    for number, (_, samples) in enumerate(files):
        if not isinstance(samples, str):
            cuts = quiet_cuts(samples, rate, LONGEST_PIECE)
            pieces += [(number, begin, end) for begin, end in cuts if model.output_length(end - begin)]
    found: dict[int, Hypothesis] = {}
    for batch in by_length([(end - begin) / rate for _, begin, end in pieces], BATCH_SECONDS):
        chosen = [pieces[index] for index in batch]
        waveforms = [torch.from_numpy(files[number][1][begin:end]) for number, begin, end in chosen]
        for index, row in zip(batch, model.log_probs(waveforms, device=device), strict=True):
            found[index] = greedy(row.numpy(), BLANK, recogniser.tokenizer, model.frame_seconds)
    for number, (path, samples) in enumerate(files):
        if isinstance(samples, str):
            yield Transcript(path, error=samples)
            continue
        parts = [(begin / rate, found[index]) for index, (owner, begin, _) in enumerate(pieces) if owner == number]
        yield Transcript(path, len(samples) / rate, _join(parts))


def _join(parts: Sequence[tuple[float, Hypothesis]]) -> Hypothesis:
    """One hypothesis out of those of consecutive pieces, each with the time [s] at which it begins."""
    words = [
        replace(word, start=round(word.start + begin, 3), end=round(word.end + begin, 3))
        for begin, part in parts
        for word in part.words
    ]
    return Hypothesis(" ".join(word.word for word in words), words, sum(part.score for _, part in parts))
