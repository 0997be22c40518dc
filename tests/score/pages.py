"""A small corpus of recordings with two systems' hypotheses, and the page of its score."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from asr.decode.posteriors import write_posteriors
from asr.manifest import Utterance
from asr.score.hypotheses import Hypothesis
from asr.score.media import MediaSettings
from asr.score.page import write_page
from asr.score.references import Reference
from asr.score.result import Comparison, Result, Settings, compare, score

RATE = 16000
SECONDS = 2.0
_DETAIL = re.compile(r'<script type="application/json" id="detail-(\d+)">(.*?)</script>', re.DOTALL)
_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


@dataclass(frozen=True)
class Line:
    """An utterance: what was said, and what two systems heard; None where one failed."""

    id: str
    speaker: str | None
    said: str
    heard: str | None
    other: str | None


LINES = (
    Line("one", "ann", "the cat sat on the mat", "the cat sat on the mat", "the cat sat on mat"),
    Line("two", "bob", "a quick brown fox", "a quick brow fox jumps", "a quick brown fox"),
    Line("three", "ann", "six seven eight", "sex eight", "sex eight"),
    Line("four", "bob", "nine ten", "nine ten", "nine ten"),
    Line("five", "ann", "", "uh", ""),
    Line("six", "bob", "good night", None, "good night"),
)


def speech(seconds: float, seed: int) -> np.ndarray:
    """Tones that come and go. Float32, shape (samples,), at `RATE`."""
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = 200 + 40 * seed
    loud = 0.3 * np.sin(2 * np.pi * 2.5 * time) ** 2
    return (loud * sum(np.sin(2 * np.pi * pitch * number * time) / number for number in (1, 2, 3))).astype(np.float32)


def references(lines: Sequence[Line], folder: Path | None) -> list[Reference]:
    """With recordings where there is a folder for them."""
    found = []
    for number, one in enumerate(lines):
        spoken = None
        if folder is not None:
            audio = folder / "audio" / f"{number}.wav"
            audio.parent.mkdir(exist_ok=True)
            soundfile.write(audio, speech(SECONDS, number), RATE)
            spoken = Utterance(one.id, audio, SECONDS, one.said, speaker=one.speaker)
        found.append(Reference(one.id, one.said, one.speaker, SECONDS, spoken))
    return found


def _hypothesis(text: str | None) -> Hypothesis:
    if text is None:
        return Hypothesis("", "the file is empty (0 bytes)")
    words = text.split()
    sure = tuple(1 - 0.9 * place / len(words) for place in range(len(words)))
    length = SECONDS / max(1, len(words))
    times = tuple((place * length, (place + 0.8) * length) for place in range(len(words)))
    return Hypothesis(text, None, sure, times)


def scored(
    lines: Sequence[Line] = LINES, folder: Path | None = None, settings: Settings | None = None
) -> tuple[Result, Comparison]:
    """The first system's result, and its comparison with the second's."""
    said = references(lines, folder)
    own, other = (
        score(said, {one.id: _hypothesis(getattr(one, side)) for one in lines}, settings or Settings())
        for side in ("heard", "other")
    )
    return own, compare(own, other, Path("other/hyp.jsonl"), ("beam", "greedy"))


def posteriors(path: Path, lines: Sequence[Line]) -> Path:
    """A file of posteriors in which letters fire one after the other."""
    frames = np.arange(40, dtype=np.uint32)
    tokens = np.where(frames % 3 == 1, 1 + frames // 3 % 3, 0).astype(np.uint16)
    kept = {one.id: (frames, tokens, np.full(len(frames), 240, np.uint8)) for one in lines}
    write_posteriors(path, kept, ["<blank>", "<space>", "a", "b"], SECONDS / len(frames))
    return path


HISTORY = [
    {"epoch": epoch, "loss": 4 / epoch, "dev_loss": 3 / epoch + 0.2, "dev_wer": 100 / epoch, "dev_cer": 50 / epoch}
    for epoch in range(1, 13)
]


def written(
    path: Path,
    result: Result,
    comparison: Comparison | None = None,
    receipt: Mapping[str, object] | None = None,
    audio_limit_mb: float = 20.0,
    lines: Sequence[Line] = LINES,
) -> str:
    """Writes the page, with learning curves and posteriors, and reads it again."""
    heard = posteriors(path.with_suffix(".safetensors"), lines)
    receipt = {"corpus": "tones", "split": "test", "system": "beam"} if receipt is None else receipt
    write_page(path, result, comparison, receipt, HISTORY, heard, MediaSettings(audio_limit_mb))
    return path.read_text(encoding="utf-8")


def data_of(html: str) -> dict[str, Any]:
    """What the page's script is told."""
    (found,) = _DATA.findall(html)
    return json.loads(found)


def details_of(html: str) -> dict[int, dict[str, Any]]:
    """row → what opening it shows, in the order of the file."""
    return {int(row): json.loads(text) for row, text in _DETAIL.findall(html)}
