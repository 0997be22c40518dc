"""A trained model, and what decoding and tuning make of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.decoding import call, decode, search
from tests.tones import Learned, learned


@pytest.fixture
def tones(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return learned(tmp_path_factory)


@pytest.fixture
def receipt(tones: Learned, tmp_path: Path) -> Path:
    assert decode(tones, tones.test, tmp_path) == 0
    assert call("score", tones.test, tmp_path / "hyp.jsonl") == 0
    return tmp_path / "result.json"


@pytest.fixture
def tuned(tones: Learned, tmp_path: Path) -> Path:
    """A folder with a copy of the model that was tuned with ``lm.safetensors``, made of the transcripts."""
    shutil.copytree(tones.out / "model", tmp_path / "model")
    lm = tmp_path / "lm.safetensors"
    assert call("lm", "train", "--text", tones.train, "--order", 2, "--out", lm) == 0
    assert search(tones, tmp_path, tones.dev, "--lm", lm, "--tune") == 0
    return tmp_path
