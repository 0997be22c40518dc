from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from asr.errors import AsrError
from asr.train.reporting import HEADING, Reporter, clock
from asr.train.setup import train_model
from tests.tones import Learned, learned, tiny_config, write_tones

ROW = {
    "epoch": 3,
    "loss": 1.25,
    "dev_loss": 2.5,
    "dev_wer": 12.345,
    "dev_cer": 4.0,
    "learning_rate": 1e-3,
    "audio_hours": 0.5,
    "speed": 240.4,
    "minutes": 2.0,
}


@pytest.fixture
def tones(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return learned(tmp_path_factory)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (12.4, "12 s"),
        (59.6, "1:00"),
        (185, "3:05"),
        (3599.7, "1:00:00"),
        (3723, "1:02:03"),
        (90061, "25:01:01"),
    ],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_line_stands_under_its_heading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Reporter(tmp_path, epochs=10, done=2) as reporter:
        reporter.epoch(ROW, seconds=60.0)
    heading, line = capsys.readouterr().out.splitlines()
    assert heading == HEADING
    assert line.split() == ["3/10", "1.0e-03", "1.250", "2.500", "12.35", "4.00", "240", "2.0", "7:00"]
    for name, value in (("dev WER %", "12.35"), ("left", "7:00"), ("loss", "1.250")):
        assert heading.index(name) + len(name) == line.index(value) + len(value)


def test_tensorboard_holds_every_epoch_once(tones: Learned) -> None:
    events = EventAccumulator(str(tones.out / "tensorboard"))
    events.Reload()
    assert {"loss", "dev_loss", "dev_wer", "dev_cer", "learning_rate", "speed"} <= set(events.Tags()["scalars"])
    losses = events.Scalars("loss")
    assert [one.step for one in losses] == list(range(1, 13))
    assert losses[-1].value < losses[0].value


def test_event_files_that_cannot_be_written_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AsrError, match="TensorBoard's event file could not be written"):
        Reporter(tmp_path / "file" / "tensorboard", epochs=1, done=0)
    with Reporter(tmp_path / "tensorboard", epochs=10, done=2) as reporter:

        def full() -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch, pytest.raises(AsrError, match=r"written \(No space left on device\)"):
            patch.setattr(reporter.writer, "flush", full)
            reporter.epoch(ROW, seconds=1.0)


def test_a_terminal_gets_a_bar_and_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    train, dev = write_tones(tmp_path, "train", 8, seed=1), write_tones(tmp_path, "dev", 2, seed=2)
    config = tiny_config("train.epochs=2", "train.average=1", "train.learning_rate=1e-3")
    train_model(config, "test", train, dev, tmp_path / "run", torch.device("cpu"))
    seen = capsys.readouterr().out
    assert HEADING in seen
    for epoch in ("  1/2 ", "  2/2 "):
        assert epoch in seen
