from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from asr.audio import read_utterance
from asr.errors import AsrError
from asr.latency import Chunking
from asr.manifest import read_manifest, write_manifest
from asr.model.acoustic import AcousticModel, load_model
from asr.train import loop
from asr.train.batches import Item
from asr.train.latency import chunkings, draw_chunking
from asr.train.load import Batch, load_batch, plain_batches
from asr.train.loop import stop_early
from asr.train.optimise import learning_rate
from asr.train.setup import Trained, train_model
from asr.train.trainer import Trainer
from tests.tones import RATE, tiny_config, write_tones
from tests.train.trainers import make_trainer

CPU = torch.device("cpu")


@pytest.fixture
def manifests(tmp_path: Path) -> tuple[Path, Path]:
    return write_tones(tmp_path, "train", 16, seed=1), write_tones(tmp_path, "dev", 4, seed=2)


def test_a_share_of_the_steps_is_trained_by_chunks_whichever_came_before(
    manifests: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = ("features.cmvn=none", "train.chunk_share=0.4", "train.chunk_latency=[0.1, 0.4]", "train.accumulate=2")
    trainer = make_trainer(manifests[0], *chunks, "train.batch_seconds=3")
    used: list[object] = []
    losses = Trainer.losses

    def note(self: Trainer, batch: Batch, chunking: Chunking | None) -> tuple[Tensor, Tensor]:
        used.append(chunking)
        return losses(self, batch, chunking)

    monkeypatch.setattr(Trainer, "losses", note)
    groups = trainer.groups(0)
    for group in groups:
        _step(trainer, _loaded(trainer, group), 0.0)
    drawn = [draw_chunking(trainer.config.train, 0.03, 1, 0, number) for number in range(len(groups))]
    assert used == [one for one, group in zip(drawn, groups, strict=True) for _ in group]
    many = [draw_chunking(trainer.config.train, 0.03, 1, 3, number) for number in range(1000)]
    assert 0.35 < sum(one is not None for one in many) / 1000 < 0.45
    assert {sum(one) for one in many if one is not None} == set(range(3, 14))
    assert set(many) == set(chunkings(trainer.config.train, 0.03)) | {None}


def _loaded(trainer: Trainer, group: list[list[Item]]) -> list[Batch]:
    return [load_batch(items, trainer.train, trainer.config.augment.speeds, RATE) for items in group]


def _step(trainer: Trainer, group: list[Batch], done: float) -> None:
    trainer.step(trainer.hear(group), [batch.items for batch in group], done)


def _weights(model: AcousticModel) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_groups_are_the_whole_epoch_with_every_copy(manifests: tuple[Path, Path]) -> None:
    trainer = make_trainer(
        manifests[0], "train.accumulate=2", "augment.speeds=[0.9, 1.0, 1.1]", "train.batch_seconds=3"
    )
    groups = trainer.groups(0)
    assert [len(group) for group in groups[:-1]] == [2] * (len(groups) - 1)
    items = [item for group in groups for batch in group for item in batch]
    assert sorted((item.utterance, item.copy) for item in items) == [(u, c) for u in range(16) for c in range(3)]
    for item in items:
        seconds = len(read_utterance(trainer.train[item.utterance].utterance, RATE)) / RATE
        assert item.seconds == pytest.approx(seconds / (0.9, 1.0, 1.1)[item.copy])


def test_a_step_over_several_batches_is_a_step_over_all_their_utterances(manifests: tuple[Path, Path]) -> None:
    """Gradients are the mean for each label, however the utterances are cut into batches."""
    items = [Item(index, 0, 1.0) for index in range(6)]
    weights = []
    for group in ([items], [items[:1], items[1:4], items[4:]]):
        trainer = make_trainer(manifests[0])
        _step(trainer, _loaded(trainer, group), 1.0)
        weights.append(_weights(trainer.model))
        assert (trainer.progress.step, trainer.progress.group) == (1, 1)
        assert trainer.progress.labels == sum(len(trainer.train[index].labels) for index in range(6))
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], atol=1e-5, rtol=1e-4)


def test_augmentation_depends_on_seed_epoch_utterance_and_copy_not_on_the_batch(manifests: tuple[Path, Path]) -> None:
    trainer = make_trainer(
        manifests[0], "augment.frequency_masks=2", "augment.time_masks=3", "augment.speeds=[1.0, 1.1]"
    )

    def masked(items: list[Item], epoch: int) -> list[Tensor]:
        trainer.progress.epoch = epoch
        features, frames = trainer._features(*_loaded(trainer, [items]))
        return [row[:count] for row, count in zip(features, frames.tolist(), strict=True)]

    items = [Item(3, 0, 1.0), Item(3, 1, 1.0), Item(8, 0, 1.0)]
    together = masked(items, epoch=4)
    for index, item in enumerate(items):
        (alone,) = masked([item], epoch=4)
        assert torch.equal(alone == 0, together[index] == 0)
    assert not torch.equal(together[0] == 0, masked(items, epoch=5)[0] == 0)
    assert (together[0] == 0).any()
    bands = [[(masked([Item(n, copy, 1.0)], 4)[0] == 0).all(dim=0).tolist() for copy in (0, 1)] for n in range(6)]
    assert any(first != second for first, second in bands)


def test_waveforms_are_augmented_as_their_epoch_says_and_dev_is_not(manifests: tuple[Path, Path]) -> None:
    trainer = make_trainer(manifests[0], "augment.gain_probability=1", "augment.speeds=[1.0, 1.1]")
    groups = [[[Item(3, 0, 1.0), Item(3, 1, 1.0)]], [[Item(8, 0, 1.0)]]]
    for epoch in (0, 4):
        trainer.progress.epoch = epoch
        for group, (batch,) in zip(groups, trainer.load(groups), strict=True):
            (plain,) = _loaded(trainer, group)
            for item, waveform, untouched in zip(batch.items, batch.waveforms, plain.waveforms, strict=True):
                name = trainer.train[item.utterance].utterance.id
                expected = trainer.augmenter(untouched.numpy(), epoch, name, item.copy)
                assert torch.equal(waveform, torch.from_numpy(expected.samples))
                assert not torch.equal(waveform, untouched)
    (dev,) = plain_batches(trainer.train[:1], 10.0, RATE)
    assert torch.equal(dev.waveforms[0], torch.from_numpy(read_utterance(trainer.train[0].utterance, RATE)))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"noise": "nowhere"}, "augment.noise: nowhere: there is no such folder"),
        ({"noise": "."}, "holds no audio files"),
    ],
)
def test_a_noise_folder_that_cannot_be_used_is_told_before_the_first_step(
    settings: dict[str, str],
    sentence: str,
    manifests: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(AsrError, match=sentence):
        train_model(tiny_config(f"augment={settings}"), "test", *manifests, tmp_path / "run", CPU)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_the_largest_gradient_norm_is_kept(manifests: tuple[Path, Path]) -> None:
    trainer = make_trainer(manifests[0], "train.clip=0.001")
    seen: list[float] = []
    optimise = trainer.optimizer.step

    def note(*_: object) -> None:
        gradients = [parameter.grad.flatten() for parameter in trainer.model.parameters() if parameter.grad is not None]
        seen.append(torch.cat(gradients).norm().item())
        optimise()

    trainer.optimizer.step = note  # type: ignore[method-assign, assignment]
    _step(trainer, _loaded(trainer, trainer.groups(0)[0]), 0.0)
    assert seen == [pytest.approx(0.001, rel=1e-3)]


def _spoil(trainer: Trainer) -> None:
    with torch.no_grad():
        trainer.model.head.bias[1] = float("nan")


def test_a_loss_that_is_not_finite_is_named_and_changes_no_weight(
    manifests: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = make_trainer(manifests[0], "train.accumulate=2")
    good, bad = _loaded(trainer, [[Item(0, 0, 1.0)], [Item(5, 0, 1.0), Item(6, 0, 1.0)]])
    _step(trainer, [good], 0.5)
    capsys.readouterr()
    before, state = _weights(trainer.model), trainer.optimizer.state_dict()["state"]
    moments = {key: one["exp_avg"].clone() for key, one in state.items()}
    bad.waveforms[1] = bad.waveforms[1] * float("nan")
    _step(trainer, [good, bad], 0.5)  # the first batch's gradient is dropped with the second's
    assert "not finite for train-006; skipped" in capsys.readouterr().out
    assert (trainer.progress.skipped, trainer.progress.broken, trainer.progress.step) == (1, 1, 2)
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, before[name])
    for key, one in trainer.optimizer.state_dict()["state"].items():
        assert torch.equal(one["exp_avg"], moments[key])
    _step(trainer, [good], 0.5)
    assert (trainer.progress.skipped, trainer.progress.broken) == (1, 0)
    assert not torch.equal(trainer.model.head.weight, before["head.weight"])


def test_a_gradient_that_is_not_finite_is_skipped_too(
    manifests: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = make_trainer(manifests[0])
    trainer.model.head.weight.register_hook(lambda gradient: gradient * float("inf"))
    before = _weights(trainer.model)
    _step(trainer, _loaded(trainer, [[Item(0, 0, 1.0), Item(1, 0, 1.0)]]), 0.5)
    assert "not finite for train-000, train-001; skipped" in capsys.readouterr().out
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_ten_in_a_row_stop_the_run_with_advice(manifests: tuple[Path, Path]) -> None:
    trainer = make_trainer(manifests[0])
    _spoil(trainer)
    group = _loaded(trainer, [[Item(index, 0, 1.0) for index in range(8)]])
    for _ in range(9):
        _step(trainer, group, 0.5)
    with pytest.raises(AsrError, match=r"10 steps in a row .* train-004 and 3 more\): lower train\.learning_rate, set"):
        _step(trainer, group, 0.5)


def test_a_run_that_diverges_ends_with_advice(manifests: tuple[Path, Path], tmp_path: Path) -> None:
    """Also where an epoch has less than ten steps, so that dev is judged with weights that make no numbers."""
    config = tiny_config("train.learning_rate=1e30", "train.epochs=30", "train.average=1")
    with pytest.raises(AsrError, match="10 steps in a row"):
        train_model(config, "test", *manifests, tmp_path / "run", CPU)


def _train(manifests: tuple[Path, Path], out: Path, *overrides: str) -> Trained:
    return train_model(tiny_config(*overrides), "test", *manifests, out, CPU)


def test_the_learning_rate_follows_its_curve(manifests: tuple[Path, Path], tmp_path: Path) -> None:
    seen: list[float] = []
    step = Trainer._apply
    with pytest.MonkeyPatch.context() as patch:

        def note(self: Trainer, labels: int, done: float) -> bool:
            applied = step(self, labels, done)
            seen.extend({group["lr"] for group in self.optimizer.param_groups})
            return applied

        patch.setattr(Trainer, "_apply", note)
        _train(manifests, tmp_path / "run", "train.epochs=3", "train.warmup_epochs=1", "train.batch_seconds=3")
    config = tiny_config("train.epochs=3", "train.warmup_epochs=1").train
    steps = len(seen) // 3
    assert steps > 2
    assert seen == [learning_rate(config, index / steps) for index in range(3 * steps)]


HISTORY = [{"dev_wer": wer, "dev_cer": 1.0, "dev_loss": 1.0} for wer in (9.0, 5.0, 7.0, 5.0, 6.0)]


@pytest.mark.parametrize(
    ("length", "patience", "stops"),
    [
        (5, 0, False),
        (0, 1, False),
        (1, 1, False),
        (2, 1, False),
        (3, 1, True),
        (4, 2, True),
        (4, 3, False),
        (5, 3, True),
    ],
)
def test_early_stopping_counts_epochs_that_are_no_better(length: int, patience: int, stops: bool) -> None:
    assert stop_early(HISTORY[:length], patience) == stops


def test_early_stopping_ends_the_run_and_averages_the_best(
    manifests: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wers = iter([50.0, 20.0, 30.0, 10.0, 40.0, 40.0, 0.0, 0.0])
    row = {"dev_loss": 1.0, "dev_cer": 1.0}
    monkeypatch.setattr(loop.Development, "judge", lambda self, model: {**row, "dev_wer": next(wers)})
    settings = ("train.patience=2", "train.average_over=best", "train.average=3")
    trained = _train(manifests, tmp_path / "run", *settings)
    assert trained.trained["epochs"] == 6
    assert trained.trained["averaged"] == [2, 3, 4]


def test_unreadable_audio_in_mid_training_is_named_and_counted(tmp_path: Path) -> None:
    """A truncated FLAC passes the check of headers before training."""
    manifests = write_tones(tmp_path, "train", 100, seed=1, suffix="flac"), write_tones(tmp_path, "dev", 4, seed=2)
    audio = read_manifest(manifests[0])[7].audio
    audio.write_bytes(audio.read_bytes()[:-400])
    trained = _train(manifests, tmp_path / "run", "train.epochs=1")
    assert list(trained.failed) == ["train-007"]
    assert "007.flac" in trained.failed["train-007"]
    assert load_model(trained.model).trained["failed"] == trained.failed


def test_too_much_unreadable_audio_is_an_error_and_stays_one(tmp_path: Path) -> None:
    """Also at a second call, which finds every epoch done."""
    manifests = write_tones(tmp_path, "train", 20, seed=1, suffix="flac"), write_tones(tmp_path, "dev", 4, seed=2)
    audio = read_manifest(manifests[0])[7].audio
    audio.write_bytes(audio.read_bytes()[:-400])
    for _ in range(2):
        with pytest.raises(AsrError, match="training audio: 1 of 20 utterances cannot be used, more than 1%"):
            _train(manifests, tmp_path / "run", "train.epochs=1")
    assert not (tmp_path / "run" / "model").exists()


def test_unreadable_audio_in_dev_is_named(manifests: tuple[Path, Path], tmp_path: Path) -> None:
    utterances = read_manifest(write_tones(tmp_path, "more", 4, seed=3, suffix="flac"))
    audio = utterances[2].audio
    audio.write_bytes(audio.read_bytes()[:-400])
    write_manifest(manifests[1], [*read_manifest(manifests[1]), *(replace(one, lang="en") for one in utterances)])
    trained = _train(manifests, tmp_path / "run", "train.epochs=1")
    assert list(trained.failed) == ["more-002"]


class _Killed(BaseException):
    """Ends a run on the spot, as SIGKILL would: nothing between here and the test may catch it."""


HARD = (
    "train.epochs=3",
    "train.batch_seconds=3",
    "train.accumulate=2",
    "train.average=2",
    "train.checkpoint_minutes=1e-9",
    "encoder.dropout=0.3",
    "encoder.layers=2",
    "train.intermediate=[1]",
    "train.label_smoothing=0.1",
    "decoder={weight: 0.3, hidden: 8, embedding: 4, attention: 6}",
    "features.dither=1",
    "augment.speeds=[0.9, 1.0, 1.1]",
    "augment.frequency_masks=1",
    "augment.time_masks=2",
    "augment.reverberation_probability=0.5",
    "augment.coloured_noise_probability=0.5",
    "augment.vocal_tract=[0.8, 1.25]",
    "augment.gain_probability=0.5",
    "augment.gain_clip=true",
    "augment.codec_probability=0.5",
)


def _outcome(out: Path) -> tuple[bytes, list[dict[str, float]]]:
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    timeless = [{key: row[key] for key in row if key not in ("speed", "minutes")} for row in history]
    return (out / "model" / "model.safetensors").read_bytes(), timeless


Unbroken = tuple[tuple[Path, Path], tuple[str, ...], tuple[bytes, list[dict[str, float]]]]


CHUNKS = ("decoder={}", "train.chunk_share=0.6", "train.chunk_latency=[0.1, 0.4]")


@pytest.fixture(
    scope="module",
    params=[("train.ema=0",), ("train.ema=0.8",), CHUNKS],
    ids=["averaged", "moving", "chunks"],
)
def unbroken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    settings = (*HARD, *request.param)
    folder = tmp_path_factory.mktemp("unbroken")
    manifests = write_tones(folder, "train", 16, seed=1), write_tones(folder, "dev", 4, seed=2)
    write_tones(folder, "noise", 3, seed=3)
    settings = (*settings, f"augment.noise={folder / 'noise'}")
    train_model(tiny_config(*settings), "test", *manifests, folder / "run", CPU)
    return manifests, settings, _outcome(folder / "run")


@pytest.mark.parametrize("every", [1, 2, 3, 5])
def test_broken_off_again_and_again_it_ends_in_the_same_bytes(
    every: int,
    unbroken: Unbroken,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each call gets as far as one more checkpoint of ``every``, and is broken off before, inside or after saving."""
    manifests, settings, expected = unbroken
    save, saved, calls = loop.save_checkpoint, 0, 0

    def break_off(path: Path, *arguments: object) -> None:
        nonlocal saved
        saved += 1
        if saved % (3 * every) == 0:
            raise _Killed
        save(path, *arguments)  # type: ignore[arg-type]
        if saved % every == 0:
            raise _Killed

    monkeypatch.setattr(loop, "save_checkpoint", break_off)
    while not (tmp_path / "model" / "SHA256SUMS").exists():
        calls += 1
        assert calls < 100
        try:
            train_model(tiny_config(*settings), "test", *manifests, tmp_path, CPU)
        except _Killed:
            torch.manual_seed(calls)  # another process would begin with another state, too
    assert calls > 12 // every
    assert _outcome(tmp_path) == expected


def test_a_change_between_two_calls_is_told(
    manifests: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise _Killed

    with monkeypatch.context() as patch, pytest.raises(_Killed):
        patch.setattr(loop, "prune_epochs", kill)  # after the first epoch is saved
        _train(manifests, tmp_path / "run")
    with pytest.raises(
        AsrError,
        match=r"latest\.pt: was written by a run with another config \(.* here, .* there\); train into another --out",
    ):
        _train(manifests, tmp_path / "run", "encoder.hidden=17")
    utterances = read_manifest(manifests[0])
    write_manifest(manifests[0], utterances[1:])
    with pytest.raises(AsrError, match="was written by a run with another training manifest"):
        _train(manifests, tmp_path / "run")
    write_manifest(manifests[0], utterances)
    (tmp_path / "run" / "checkpoints" / ".latest.pt.123.part").write_bytes(b"what a kill left")
    _train(manifests, tmp_path / "run")
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))
