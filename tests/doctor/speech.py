"""Corpora that sound a little like speech, without a fault until a test plants one."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
SETS = {"train": ("ann", "bob", "eve", "ida"), "dev": ("kim", "lou"), "test": ("max", "pam")}
_SIZES = {"train": 40, "dev": 12, "test": 12}


def babble(text: str, seed: int, rate: int = RATE) -> np.ndarray:
    """Harmonics of 100 to 200 Hz that swell and fade once a letter, between stretches of faint noise."""
    random = np.random.default_rng(seed)
    count = round(0.08 * rate)
    parts = [np.zeros(rate // 10)]
    for character in text:
        time = np.arange(count) / rate
        pitch, loud = random.uniform(100, 200), 0.0 if character.isspace() else random.uniform(0.1, 0.2)
        wave = sum(np.sin(2 * np.pi * pitch * n * time + random.uniform(0, 6)) / n for n in range(1, 12))
        parts.append(loud * wave * np.hanning(count))
    samples = np.concatenate([*parts, np.zeros(rate // 10)])
    return (samples + 0.001 * random.standard_normal(len(samples))).astype(np.float32)


@cache
def _spoken(seed: int) -> dict[str, list[tuple[str, np.ndarray]]]:
    """Sentences and their sound, by set; made once in a test session."""
    random = np.random.default_rng(seed)
    texts = {name: [sentence(random) for _ in range(count)] for name, count in _SIZES.items()}
    return {
        name: [(text, babble(text, int(random.integers(1 << 30)))) for text in spoken] for name, spoken in texts.items()
    }


def sentence(random: np.random.Generator) -> str:
    """Two to five words that nobody says."""
    lengths = random.integers(3, 8, size=random.integers(2, 6))
    return " ".join("".join(random.choice(list(_LETTERS), size=length)) for length in lengths)


class Corpus:
    """Three sets in a folder, parted by speaker; change ``lines`` and files, then `write`.

    Attributes:
        folder: holds audio and, once written, the manifests and splits.json.
        lines: the manifests' lines by set.
    """

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.folder = folder
        self.lines: dict[str, list[dict[str, object]]] = {name: [] for name in SETS}
        folder.mkdir(parents=True, exist_ok=True)
        for name, speakers in SETS.items():
            for number, (text, samples) in enumerate(_spoken(seed)[name]):
                self.add(name, f"{name}-{number:02}", text, samples, speakers[number % len(speakers)])

    def add(self, name: str, id: str, text: str, samples: np.ndarray, speaker: str, suffix: str = "wav") -> None:
        """A recording and its line."""
        path = self.audio(id, suffix)
        soundfile.write(path, samples, RATE)
        line: dict[str, object] = {"id": id, "audio_filepath": path.name, "duration": round(len(samples) / RATE, 6)}
        self.lines[name].append({**line, "text": text, "speaker": speaker})

    def audio(self, id: str, suffix: str = "wav") -> Path:
        return self.folder / f"{id}.{suffix}"

    def change(self, which: str, /, **fields: object) -> None:
        """Changes a line."""
        next(line for lines in self.lines.values() for line in lines if line["id"] == which).update(fields)

    def replace(self, id: str, samples: np.ndarray, rate: int = RATE, **how: str) -> None:
        """Records anew, as long as it says."""
        soundfile.write(self.audio(id), samples, rate, **how)
        self.change(id, duration=len(samples) / rate)

    def samples(self, id: str) -> np.ndarray:
        return soundfile.read(self.audio(id), dtype="float32")[0]

    def write(self) -> list[Path]:
        """The manifests."""
        for name, lines in self.lines.items():
            (self.folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (self.folder / "splits.json").write_text('{"by": "speaker", "reason": "by speaker"}')
        return [self.folder / f"{name}.jsonl" for name in self.lines]


def plant_ten(corpus: Corpus) -> set[tuple[str, str, str]]:
    """Ten faults of as many kinds.

    Returns:
        (level, check, id) of each.
    """
    cut = corpus.audio("train-00")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    corpus.change("train-03", duration=9.5)
    corpus.change("train-05", sample_rate=8000, channels=1)
    corpus.replace("train-08", np.clip(8 * corpus.samples("train-08"), -1, 1))
    corpus.replace("train-11", np.zeros(2 * RATE))
    corpus.replace("train-14", corpus.samples("train-14") + 0.2)
    corpus.change("train-17", text="oo" * 60 + " too")
    corpus.change("dev-02", text="we need 7 <script>alert(1)</script>")
    corpus.replace("dev-05", babble("abc" * 40, 5))
    corpus.change("dev-05", text="abc")
    corpus.add("test", "test-copy", str(corpus.lines["train"][20]["text"]), corpus.samples("train-20"), "max", "flac")
    return {
        ("error", "audio", "train-00"),
        ("error", "duration", "train-03"),
        ("error", "stated", "train-05"),
        ("warning", "clipping", "train-08"),
        ("error", "silence", "train-11"),
        ("warning", "dc-offset", "train-14"),
        ("error", "ctc", "train-17"),
        ("warning", "tokens", "dev-02"),
        ("warning", "speaking-rate", "dev-05"),
        ("error", "copy-across-sets", "train-20"),
    }
