"""The model that comes with the package."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import asr
from asr.corpora import an4
from asr.files import sha256
from asr.score.align import texts_wer
from asr.transcribe.load import PACKAGED
from tests.corpora import ROOT, corpus_folder

COMMAND = [str(Path(sys.executable).with_name("transcribe-audio"))]


def test_it_is_small_and_whole() -> None:
    files = [path for path in PACKAGED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12_000_000
    assert {"model.int8.onnx", "stream.onnx", "lm.safetensors", "README.md"} <= {path.name for path in files}
    globs = json.loads(re.findall(r"package-data\]\nasr = (.*)", (ROOT / "pyproject.toml").read_text())[0])
    installed = {path for glob in globs for path in PACKAGED.parent.glob(glob)}
    assert set(files) <= installed
    transcriber = asr.load_model(hotwords=["quixotic zwieback"])
    assert transcriber.system.name == "beam+lexicon+3gram+hotwords"
    assert "«" not in (PACKAGED / "README.md").read_text()


def test_its_card_says_what_was_measured() -> None:
    card = (PACKAGED / "README.md").read_text()
    receipt = json.loads((PACKAGED / "card.json").read_text())
    assert receipt["model_sha256"] == asr.load_model().backend.sha256
    assert receipt["search_sha256"] == sha256(PACKAGED / "decode.yaml")  # which has the sums of what it reads
    assert len(receipt["lines"]) >= 15
    for line in receipt["lines"]:
        assert f"{line['wer']:.2f} ({line['low']:.2f}–{line['high']:.2f})" in card


@pytest.mark.slow
def test_it_hears_what_its_card_says() -> None:
    """AN4's ten test speakers, whom it never heard in training."""
    utterances = an4.prepare(corpus_folder("an4").parent).sets["test"]
    outcomes = list(asr.load_model().transcribe_files([one.audio for one in utterances]))
    texts = [outcome.transcript.text if outcome.transcript else "" for outcome in outcomes]
    words, _ = texts_wer([one.text for one in utterances], texts)
    receipt = json.loads((PACKAGED / "card.json").read_text())
    (line,) = (one for one in receipt["lines"] if one["set"] == "AN4" and one["condition"] == "as recorded")
    assert 100 * words.rate == pytest.approx(line["wer"], abs=0.5)  # four words: other processors round otherwise


def test_the_command_needs_no_model_named_and_writes_nothing_for_noise(tmp_path: Path) -> None:
    noise = 0.01 * np.random.default_rng(1).standard_normal(48000).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", noise, 16000)
    done = subprocess.run([*COMMAND, "noise.wav"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
