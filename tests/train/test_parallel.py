from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from asr.errors import AsrError
from asr.train import parallel
from asr.train.batches import Item, share
from asr.train.parallel import Helpers, processes
from asr.train.setup import train_model
from tests.tones import tiny_config, write_tones
from tests.train.trainers import make_trainer

CPU = torch.device("cpu")


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two processes, however little there is to hear."""
    monkeypatch.setattr(parallel, "_WORTHWHILE", 0.0)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture
def manifests(tmp_path: Path) -> tuple[Path, Path]:
    return write_tones(tmp_path, "train", 16, seed=1), write_tones(tmp_path, "dev", 4, seed=2)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_shares_are_a_division_of_every_batch(count: int) -> None:
    for sizes in ([5], [5, 1], [3, 0, 4], [2, 2, 2, 2]):
        group = [[Item(index, number, 1.0) for index in range(size)] for number, size in enumerate(sizes)]
        shares = [share(group, rank, count) for rank in range(count)]
        for number, items in enumerate(group):
            taken = [item for one in shares for item in one[number]]
            assert sorted(taken, key=lambda item: item.utterance) == items
        whole = all(items in (one[number], []) for one in shares for number, items in enumerate(one))
        assert whole or len(group) < count


def test_little_is_heard_by_one_process(manifests: tuple[Path, Path]) -> None:
    trainer = make_trainer(manifests[0])
    torch.set_num_threads(2)
    try:
        assert processes(trainer) == 1
        hour = 3600 / sum(item.seconds for item in trainer.items)
        long = make_trainer(manifests[0], f"train.epochs={int(hour) + 1}")
        assert processes(long) == 2
        torch.set_num_threads(9)
        assert processes(long) == 4
    finally:
        torch.set_num_threads(1)
    assert processes(long) == 1


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_two_processes_find_the_gradients_of_one(accumulate: int, manifests: tuple[Path, Path], two: None) -> None:
    settings = (f"train.accumulate={accumulate}", "train.batch_seconds=3", "augment.time_masks=1")
    alone, shared = make_trainer(manifests[0], *settings), make_trainer(manifests[0], *settings)
    shared.model.load_state_dict(alone.model.state_dict())
    groups = alone.groups(0)
    with Helpers(shared) as helpers:
        assert len(multiprocessing.active_children()) == 1
        for group, heard in zip(groups, helpers.hear(groups), strict=True):
            (batches,) = alone.load([group])
            expected = alone.hear(batches)
            assert (heard.labels, heard.broken, heard.failed) == (expected.labels, [], {})
            assert heard.loss == pytest.approx(expected.loss, rel=1e-4)
            assert heard.seconds == pytest.approx(expected.seconds)
            for one, other in zip(shared.model.parameters(), alone.model.parameters(), strict=True):
                torch.testing.assert_close(one.grad, other.grad, atol=1e-3, rtol=1e-3)
            alone.step(expected, group, 1.0)
            shared.step(heard, group, 1.0)
            alone.model.load_state_dict(shared.model.state_dict())  # rounding does not add up
    assert not multiprocessing.active_children()


def test_dropout_is_each_process_s_own(manifests: tuple[Path, Path]) -> None:
    trainer = make_trainer(manifests[0], "encoder.dropout=0.5")
    (batches,) = trainer.load(trainer.groups(0)[:1])
    losses = [trainer.hear(batches, rank).loss for rank in (0, 1, 0, 1)]
    assert losses[:2] == losses[2:]
    assert losses[0] != losses[1]


def test_broken_off_it_ends_in_the_same_bytes(
    manifests: tuple[Path, Path], tmp_path: Path, two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("train.epochs=2", "encoder.dropout=0.3", "encoder.layers=2", "train.checkpoint_minutes=0.0001")
    train_model(config, "test", *manifests, tmp_path / "unbroken", CPU)
    step, taken = parallel.Trainer.step, 0

    def stop(*arguments: object) -> None:
        nonlocal taken
        step(*arguments)  # type: ignore[arg-type]
        taken += 1
        if taken in (1, 4):
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(parallel.Trainer, "step", stop)
    for _ in range(2):
        with pytest.raises(AsrError, match="stopped"):
            train_model(config, "test", *manifests, tmp_path / "broken", CPU)
        assert not multiprocessing.active_children()
    train_model(config, "test", *manifests, tmp_path / "broken", CPU)
    ends = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("unbroken", "broken")]
    assert ends[0] == ends[1]


def test_a_recording_that_a_helper_cannot_read_is_named(manifests: tuple[Path, Path], two: None) -> None:
    trainer = make_trainer(manifests[0], "augment.speeds=[1.0]")
    groups = [[[Item(3, 0, 1.0), Item(5, 0, 1.0)]]]
    trainer.groups = lambda epoch: groups  # type: ignore[method-assign]
    damaged = trainer.train[5].utterance
    damaged.audio.write_bytes(b"no audio")
    plan = trainer.groups(0)
    assert share(plan[0], 1, 2) == [[Item(5, 0, 1.0)]]
    heard = trainer.hear(next(trainer.load(plan, 1, 2)), 1)
    assert list(heard.failed) == [damaged.id]
    assert heard.labels == 0


def test_a_helper_that_is_killed_is_told(manifests: tuple[Path, Path], two: None) -> None:
    trainer = make_trainer(manifests[0], "train.batch_seconds=3")
    groups = trainer.groups(0)
    ended = r"one of the 2 processes that train ended early \(exit status -9\)"
    with pytest.raises(AsrError, match=ended), Helpers(trainer) as helpers:
        for group, heard in zip(groups, helpers.hear(groups), strict=True):
            trainer.step(heard, group, 1.0)
            (child,) = multiprocessing.active_children()
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
    assert not multiprocessing.active_children()
