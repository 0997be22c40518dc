"""Settings for every test, and the one trained model that tests of commands share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from asr.runtime import wait_briefly

wait_briefly()  # before any test imports torch
# A shell starts background jobs with Ctrl-C ignored, and the commands under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tone_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.jsonl, dev.jsonl and a finished run in run/, whose model makes no errors on tones.

    Tests must not change anything in it.
    """
    from tests.phrases import write_utterances
    from tests.tones import TINY, asr

    folder = tmp_path_factory.mktemp("tones")
    train, dev = write_utterances(folder, "train", 60, 1), write_utterances(folder, "dev", 10, 2)
    longer = ("train.batch_seconds=8", "train.epochs=20")
    out = folder / "run"
    done = asr("train", "--train", train, "--dev", dev, "--out", out, "--threads", 1, *TINY, *longer)
    assert done.returncode == 0, done.stderr
    assert "WER 0.00 %" in done.stdout.splitlines()[-2]
    return folder
