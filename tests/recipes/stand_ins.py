"""Corpora of tones under their publishers' folders and file names, small enough to run whole recipes on."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from asr.audio import resample
from tests.tones import PITCHES, RATE, tone

# fmt: off
COLUMNS = [
    "client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes", "age", "gender",
    "accents", "variant", "locale", "segment",
]
# fmt: on
RELEASE = "cv-corpus-21.0-2025-03-14"
WELSH = {"do": "Tŷ", "re": "mae’n", "mi": "(glaw)", "fa": "ŵyn!"}
HINDI = {"do": "घर", "re": "हिन्दी", "mi": "“पानी”", "fa": "है।"}


def _said(number: int, random: np.random.Generator, rate: int) -> tuple[list[str], np.ndarray]:
    """One to three names of tones, and their sound at ``rate`` Hz."""
    words = random.permutation(list(PITCHES))[: 1 + number % 3].tolist()
    return words, resample(tone(words, random), RATE, rate)


def _reader(part: Path, reader: str, count: int, random: np.random.Generator) -> None:
    """``<part>/<reader>/128/``: FLAC files, and a ``.trans.txt`` that holds what they say."""
    folder = part / reader / "128"
    folder.mkdir(parents=True)
    lines = []
    for number in range(count):
        name = f"{reader}-128-{number:04d}"
        words, samples = _said(number, random, 16000)
        soundfile.write(folder / f"{name}.flac", samples, 16000)
        lines.append(f"{name} {' '.join(words).upper()}\n")
    (folder / f"{reader}-128.trans.txt").write_text("".join(lines))


def librispeech(corpora: Path, parts: Mapping[str, int], speakers: int = 2, first: int = 100) -> None:
    """``LibriSpeech/<part>/<speaker>/<chapter>/``, so many utterances of so many speakers a part."""
    random = np.random.default_rng(5)
    for place, (part, count) in enumerate(parts.items()):
        for speaker in range(speakers):
            _reader(corpora / "LibriSpeech" / part, f"{first + 100 * place + speaker}", count // speakers, random)


def mini_librispeech(corpora: Path, readers: Mapping[str, int], sample: Mapping[str, int]) -> None:
    """``train-clean-100`` of these readers, and ``train-clean-5``: the first utterances of some, as published."""
    random = np.random.default_rng(7)
    for reader, count in readers.items():
        _reader(corpora / "LibriSpeech" / "train-clean-100", reader, count, random)
    for reader, count in sample.items():
        whole, folder = (
            corpora / "LibriSpeech" / part / reader / "128" for part in ("train-clean-100", "train-clean-5")
        )
        folder.mkdir(parents=True)
        for path in sorted(whole.glob("*.flac"))[:count]:
            (folder / path.name).write_bytes(path.read_bytes())
        lines = (whole / f"{reader}-128.trans.txt").read_text().splitlines(keepends=True)
        (folder / f"{reader}-128.trans.txt").write_text("".join(lines[:count]))


def an4(corpora: Path, train: Mapping[str, int], test: Mapping[str, int]) -> None:
    """``an4/etc/`` with its lists, ``an4/wav/an4_clstk/<speaker>/`` and ``an4test_clstk``: so many of each speaker."""
    random = np.random.default_rng(8)
    (corpora / "an4" / "etc").mkdir(parents=True)
    for part, folder, speakers in (("train", "an4_clstk", train), ("test", "an4test_clstk", test)):
        files, lines = [], []
        for speaker, count in speakers.items():
            (corpora / "an4" / "wav" / folder / speaker).mkdir(parents=True)
            for number in range(count):
                name = f"an{number}-{speaker}-b"
                words, samples = _said(number, random, 16000)
                path = corpora / "an4" / "wav" / folder / speaker / f"{name}.sph"
                soundfile.write(path, samples, 16000, format="NIST", subtype="PCM_16")
                files.append(f"{folder}/{speaker}/{name}\n")
                lines.append(f"<s> {' '.join(words).upper()} </s> ({name})\n")
        (corpora / "an4" / "etc" / f"an4_{part}.fileids").write_text("".join(files))
        (corpora / "an4" / "etc" / f"an4_{part}.transcription").write_text("".join(lines))


def fsdd(corpora: Path) -> None:
    """``free-spoken-digit-dataset/recordings/<digit>_<speaker>_<take>.wav``, all 3,000, each digit one of the tones."""
    folder = corpora / "free-spoken-digit-dataset" / "recordings"
    folder.mkdir(parents=True)
    random = np.random.default_rng(9)
    for digit in range(10):
        for speaker in ("george", "jackson", "lucas", "nicolas", "theo", "yweweler"):
            for take in range(50):
                samples = tone([list(PITCHES)[digit % 4]], random)
                soundfile.write(folder / f"{digit}_{speaker}_{take}.wav", samples, RATE)


def table(folder: Path, name: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Writes ``<name>.tsv`` with Common Voice's columns; those that a row lacks stay empty."""
    lines = [COLUMNS, *([row.get(column, "") for column in COLUMNS] for row in rows)]
    (folder / f"{name}.tsv").write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")


def commonvoice(corpora: Path, lang: str, spelled: Mapping[str, str], counts: Mapping[str, int]) -> Path:
    """``cv-corpus-…/<lang>/`` with MP3 clips of 32 and 48 kHz and all of a release's tables; returns that folder."""
    random = np.random.default_rng(6)
    folder = corpora / RELEASE / lang
    (folder / "clips").mkdir(parents=True)
    durations, number = ["clip\tduration[ms]"], 0
    rows: dict[str, list[dict[str, str]]] = {}
    for name, count in counts.items():
        rows[name] = []
        for place in range(count):
            number += 1
            rate = (32000, 48000)[number % 2]
            words, samples = _said(number, random, rate)
            clip = f"common_voice_{lang}_{40_000_000 + number}.mp3"
            soundfile.write(folder / "clips" / clip, samples, rate)
            durations.append(f"{clip}\t{round(1000 * len(samples) / rate)}")
            client = f"{name}{place % 3}".encode().hex().ljust(128, "0")
            sentence = " ".join(spelled[word] for word in words)
            rows[name].append({"client_id": client, "path": clip, "sentence": sentence, "locale": lang})
        table(folder, name, rows[name])
    table(folder, "validated", [row for some in rows.values() for row in some])
    for name in ("invalidated", "other"):
        table(folder, name, [])
    (folder / "clip_durations.tsv").write_text("\n".join(durations) + "\n")
    return folder


def archive(folder: Path, to: Path) -> Path:
    """Packs a language's folder as its publisher does: ``cv-corpus-…-<lang>.tar.gz`` in ``to``."""
    path = to / f"{folder.parent.name}-{folder.name}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, f"{folder.parent.name}/{folder.name}")
    return path
