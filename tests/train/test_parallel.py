from __future__ import annotations

import itertools
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
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


def ends_alike(folder: Path) -> bool:
    """Whether the training in folder/broken ended in the bytes of that in folder/unbroken."""
    ends = [(folder / name / "model" / "model.safetensors").read_bytes() for name in ("unbroken", "broken")]
    return ends[0] == ends[1]


def after_step(monkeypatch: pytest.MonkeyPatch, action: Callable[[int], None]) -> None:
    """Has every step of a trainer followed by an action, which is told how many steps there have been."""
    step, counter = parallel.Trainer.step, itertools.count(1)

    def followed(*arguments: object) -> None:
        step(*arguments)  # type: ignore[arg-type]
        action(next(counter))

    monkeypatch.setattr(parallel.Trainer, "step", followed)


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


@pytest.mark.parametrize(("accumulate", "seconds"), [(1, 3), (2, 3), (3, 3), (1, 1.4)])
def test_two_processes_find_the_gradients_of_one(
    accumulate: int, seconds: float, manifests: tuple[Path, Path], two: None
) -> None:
    """Also where a batch has a single utterance, so that one of them has nothing to do."""
    batch = f"train.batch_seconds={seconds}", f"train.max_seconds={seconds}"
    settings = (f"train.accumulate={accumulate}", *batch, "augment.time_masks=1")
    alone, shared = make_trainer(manifests[0], *settings), make_trainer(manifests[0], *settings)
    shared.model.load_state_dict(alone.model.state_dict())
    groups = alone.groups(0)
    assert seconds > 2 or any(len(items) == 1 for (items,) in groups)
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

    def stop(taken: int) -> None:
        if taken in (1, 4):
            signal.raise_signal(signal.SIGTERM)

    after_step(monkeypatch, stop)
    for _ in range(2):
        with pytest.raises(AsrError, match="stopped"):
            train_model(config, "test", *manifests, tmp_path / "broken", CPU)
        assert not multiprocessing.active_children()
    train_model(config, "test", *manifests, tmp_path / "broken", CPU)
    assert ends_alike(tmp_path)


def test_what_a_helper_cannot_use_is_named(manifests: tuple[Path, Path], two: None) -> None:
    trainer = make_trainer(manifests[0], "train.batch_seconds=3", "augment.speeds=[1.0]")
    groups = trainer.groups(0)
    damaged, long = (share(group, 1, 2)[0][0].utterance for group in groups[:2])
    trainer.train[damaged].utterance.audio.write_bytes(b"no audio")
    trainer.train[long] = replace(trainer.train[long], labels=[1] * 500)  # more than it has frames
    with Helpers(trainer) as helpers:
        for group, heard in zip(groups[:2], helpers.hear(groups), strict=False):
            if group is groups[0]:
                others = [item for items in group for item in items if item.utterance != damaged]
                assert list(heard.failed) == [trainer.train[damaged].utterance.id]
                assert heard.labels == sum(len(trainer.train[item.utterance].labels) for item in others)
            else:
                assert heard.broken == [trainer.train[long].utterance.id]
            trainer.step(heard, group, 1.0)
    assert (trainer.progress.skipped, list(trainer.progress.failed)) == (1, [trainer.train[damaged].utterance.id])


def test_a_helper_says_what_keeps_it_from_helping(manifests: tuple[Path, Path], tmp_path: Path, two: None) -> None:
    noise = write_tones(tmp_path, "noise", 2, seed=3).parent / "noise"
    trainer = make_trainer(manifests[0], f"augment.noise={noise}")
    shutil.rmtree(noise)
    with pytest.raises(AsrError, match="noise: there is no such folder"), Helpers(trainer) as helpers:
        list(helpers.hear(trainer.groups(0)))
    assert not multiprocessing.active_children()


def test_where_no_process_can_be_started_it_is_told(
    manifests: tuple[Path, Path], two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", refuse)
    with (
        pytest.raises(AsrError, match=r"\(Resource temporarily unavailable\); give --threads 1"),
        Helpers(make_trainer(manifests[0])),
    ):
        pass


def test_signals_to_all_while_helpers_start_are_the_first_process_s_alone(
    manifests: tuple[Path, Path], two: None
) -> None:
    trainer = make_trainer(manifests[0])
    groups = trainer.groups(0)
    with Helpers(trainer) as helpers:
        (child,) = multiprocessing.active_children()
        for number in (signal.SIGINT, signal.SIGTERM):  # it has hardly begun
            os.kill(child.pid or 0, number)
        assert len(list(helpers.hear(groups))) == len(groups)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def test_a_helper_that_is_killed_is_told_and_nothing_is_lost(
    manifests: tuple[Path, Path], tmp_path: Path, two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("train.epochs=2", "train.batch_seconds=3")
    train_model(config, "test", *manifests, tmp_path / "unbroken", CPU)

    def kill(taken: int) -> None:
        if taken == 2:
            (child,) = multiprocessing.active_children()
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()

    after_step(monkeypatch, kill)
    ended = r"one of the 2 processes that train ended early \(exit status -9\): the same command goes on from there"
    with pytest.raises(AsrError, match=ended):
        train_model(config, "test", *manifests, tmp_path / "broken", CPU)
    assert not multiprocessing.active_children()
    assert torch.load(tmp_path / "broken" / "checkpoints" / "latest.pt", weights_only=True)["progress"]["step"] == 2
    train_model(config, "test", *manifests, tmp_path / "broken", CPU)
    assert ends_alike(tmp_path)
