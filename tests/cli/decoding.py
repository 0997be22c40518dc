"""The commands around decoding, as the tests of them call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr.cli.main import app, run
from tests.tones import Learned

# What a receipt must say (beside the score's own fields).
RECEIPT = [
    "corpus",
    "split",
    "system",
    "wer",
    "wer_low",
    "wer_high",
    "cer",
    "ser",
    "utterances",
    "words",
    "substitutions",
    "deletions",
    "insertions",
    "failed",
    "real_time_factor",
    "peak_memory_mb",
    "train_minutes",
    "train_audio_hours",
    "parameters",
    "seed",
    "cpu",
    "threads",
    "gpu",
    "versions",
    "audio",
    "commit",
    "manifest_sha256",
    "model_sha256",
    "config",
    "command",
    "date",
]


def call(*arguments: object) -> int:
    """The exit status of ``asr`` with these arguments; on one thread, as the other tests in this process expect it."""
    threads = [] if arguments[0] in ("score", "lm") else ["--threads", "1"]
    with pytest.raises(SystemExit) as left:
        run(lambda: app([*map(str, arguments), *threads]))
    return int(left.value.code or 0)


def decode(tones: Learned, manifest: Path, out: Path) -> int:
    """Decodes without a language model; the exit status."""
    return call("decode", "--model", tones.out / "model", "--manifest", manifest, "--out", out)


def search(tones: Learned, folder: Path, manifest: Path, *options: object) -> int:
    """Decodes with, or tunes, the model in a folder; the exit status."""
    arguments = ("--model", folder / "model", "--manifest", manifest, *options)
    return call("decode", *arguments, *(() if "--tune" in options else ("--out", folder / "decode")))


def used(folder: Path) -> dict[str, object]:
    """The search that the receipt quotes."""
    return dict(json.loads((folder / "decode" / "decode.json").read_text())["search"])
