from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from asr.errors import AsrError
from asr.files import read_text, write_text
from asr.latency import divide
from asr.manifest import Utterance, read_manifest, write_manifest
from asr.model.acoustic import AcousticModel, load_model
from asr.train import setup
from asr.train.batches import Item
from asr.train.checkpoint import average_epochs
from asr.train.load import Batch
from asr.train.select import Selected
from asr.train.setup import Trained, train_model
from asr.train.trainer import Trainer
from tests.marks import forget
from tests.tones import RATE, learned, tiny_config, write_tones

CPU = torch.device("cpu")
QUICK = ("train.epochs=2", "train.average=1")


@pytest.fixture
def manifests(tmp_path: Path) -> tuple[Path, Path]:
    return write_tones(tmp_path, "train", 12, seed=1), write_tones(tmp_path, "dev", 4, seed=2)


def _train(manifests: tuple[Path, Path], out: Path, *overrides: str) -> Trained:
    return train_model(tiny_config(*QUICK, *overrides), "test", *manifests, out, CPU)


def _change(manifest: Path, change: Callable[[list[Utterance]], list[Utterance]]) -> None:
    write_manifest(manifest, change(read_manifest(manifest)))


def test_the_folder_of_a_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = learned(tmp_path_factory)
    assert sorted(one.name for one in folder.out.iterdir()) == ["checkpoints", "history.jsonl", "model", "tensorboard"]
    assert sorted(one.name for one in (folder.out / "checkpoints").iterdir()) == [
        "epoch-0011.safetensors",
        "epoch-0012.safetensors",
        "latest.pt",
    ]
    assert list((folder.out / "tensorboard").iterdir())
    history = [json.loads(line) for line in read_text(folder.out / "history.jsonl").splitlines()]
    assert [row["epoch"] for row in history] == list(range(1, 13))
    assert history[-1]["loss"] < history[0]["loss"] / 10
    audio = sum(one.duration for one in read_manifest(folder.train))
    assert history[0]["audio_hours"] == pytest.approx(audio / 3600)


def test_the_model_is_the_average_of_its_epochs_and_says_how_it_was_made(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = learned(tmp_path_factory)
    recogniser = load_model(folder.out / "model")
    expected = average_epochs(folder.out / "checkpoints", [11, 12])
    for name, tensor in recogniser.model.state_dict().items():
        assert torch.equal(tensor, expected[name])
    trained = recogniser.trained
    assert trained["averaged"] == [11, 12]
    assert (trained["epochs"], trained["train_utterances"], trained["dev_utterances"]) == (12, 48, 12)
    assert trained["parameters"] == recogniser.model.parameters_count
    assert trained["train_minutes"] > 0
    card = read_text(folder.out / "model" / "MODEL_CARD.md")
    for words in ("LSTM", "1 × 16", "7,077 parameters", "5 tokens (word)", "averaged over epochs 11–12", "0.00 %"):
        assert words in card


def test_a_second_call_does_nothing(
    manifests: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    first = _train(manifests, out)
    before = {path: path.stat().st_mtime_ns for path in sorted(out.rglob("*"))}
    capsys.readouterr()
    assert _train(manifests, out) == first
    assert capsys.readouterr().out == f"{out / 'model'}: is trained already\n"
    assert {path: path.stat().st_mtime_ns for path in sorted(out.rglob("*"))} == before
    # How often it saves is not part of what a run is.
    assert _train(manifests, out, "train.checkpoint_minutes=1") == first


def test_a_model_of_before_a_key_existed_is_trained_already(manifests: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = _train(manifests, out)
    forget(out, "train.ema")
    assert _train(manifests, out).model == first.model
    with pytest.raises(AsrError, match="trained with another config"):
        _train(manifests, out, "train.ema=0.5")


def test_the_moving_average_is_judged_and_kept_alone(
    manifests: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = _train(manifests, tmp_path / "run", "train.epochs=3", "train.average=2", "train.ema=0.9").trained
    assert trained["averaged"] == [3]
    assert "moving average of weights as of epoch 3: dev loss" in capsys.readouterr().out
    state = torch.load(tmp_path / "run" / "checkpoints" / "latest.pt", weights_only=True)
    recogniser = load_model(tmp_path / "run" / "model")
    for name, tensor in recogniser.model.state_dict().items():
        assert torch.equal(tensor, state["smoothed"][name])
    assert any(not torch.equal(tensor, state["model"][name]) for name, tensor in state["smoothed"].items())
    assert state["progress"]["history"][-1]["dev_loss"] == pytest.approx(trained["dev"]["dev_loss"], abs=1e-4)
    assert "moving average of weights (decay 0.9) as of epoch 3" in read_text(
        tmp_path / "run" / "model" / "MODEL_CARD.md"
    )


def test_the_loss_that_is_told_is_ctcs_alone(manifests: tuple[Path, Path], tmp_path: Path) -> None:
    """Before anything is learned, so that what is trained on makes no difference yet."""
    told = []
    for number, extra in enumerate(
        ((), ("train.label_smoothing=0.5", "train.intermediate=[1]"), ("decoder.weight=0.5", "decoder.hidden=8"))
    ):
        settings = ("train.epochs=1", "train.learning_rate=1e-30", "encoder.layers=2", *extra)
        _train(manifests, tmp_path / str(number), *settings)
        told.append(json.loads((tmp_path / str(number) / "history.jsonl").read_text())["loss"])
    assert told == pytest.approx([told[0]] * 3, rel=1e-6)


def test_another_config_or_manifest_does_not_overwrite_a_model(manifests: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "run"
    _train(manifests, out)
    with pytest.raises(AsrError, match=r"model: holds a model that was trained with another config"):
        _train(manifests, out, "seed=2")
    _change(manifests[1], lambda utterances: utterances[1:])
    with pytest.raises(AsrError, match=r"model: holds a model that was trained with another dev manifest"):
        _train(manifests, out)


def test_unusable_ones_are_listed_and_the_rest_is_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifests = write_tones(tmp_path, "train", 100, seed=1), write_tones(tmp_path, "dev", 4, seed=2)
    _change(manifests[0], lambda utterances: [replace(utterances[0], text=""), *utterances[1:]])
    trained = _train(manifests, tmp_path / "run")
    assert trained.failed == {"train-000": "train-000: its transcript is empty"}
    assert "train: left out: train-000: its transcript is empty" in capsys.readouterr().out
    assert trained.trained["train_utterances"] == 99
    # A second call says so again.
    assert _train(manifests, tmp_path / "run").failed == trained.failed


def test_too_many_unusable_ones_stop_before_the_first_step(manifests: tuple[Path, Path], tmp_path: Path) -> None:
    _change(manifests[0], lambda utterances: [replace(utterances[0], text="do " * 50), *utterances[1:]])
    with pytest.raises(AsrError, match=r"train: 1 of 12 utterances cannot be used, more than 1%: train-000: 50 labels"):
        _train(manifests, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()


def _empty(path: Path) -> None:
    path.write_text("")


def _delete(path: Path) -> None:
    path.unlink()


def _garble(path: Path) -> None:
    path.write_text(path.read_text() + "{\n")


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [(_empty, "holds no utterances"), (_delete, "could not be read"), (_garble, r":\d+: not a JSON object")],
)
def test_a_manifest_that_cannot_be_used(
    manifests: tuple[Path, Path], which: int, spoil: Callable[[Path], None], sentence: str, tmp_path: Path
) -> None:
    spoil(manifests[which])
    with pytest.raises(AsrError, match=f"{manifests[which]}.*{sentence}|{manifests[which]}{sentence}"):
        _train(manifests, tmp_path / "run")


def test_an_output_folder_that_cannot_be_made(manifests: tuple[Path, Path], tmp_path: Path) -> None:
    write_text(tmp_path / "file", "in the way")
    with pytest.raises(AsrError, match="run: not a folder that can be written to"):
        _train(manifests, tmp_path / "file" / "run")


def test_dev_may_hold_a_letter_that_train_lacks_but_no_word(manifests: tuple[Path, Path], tmp_path: Path) -> None:
    _change(manifests[1], lambda utterances: [replace(utterances[0], text="dö"), *utterances[1:]])
    with pytest.raises(AsrError, match=r"dev: transcripts hold words that have no token: 'dö' in 1 \(dev-000\)"):
        _train(manifests, tmp_path / "word")
    _train(manifests, tmp_path / "char", "tokens.kind=char")
    with pytest.raises(AsrError, match=r"dev: transcripts hold characters that have no token: 'ö' in 1 \(dev-000\)"):
        _train(manifests, tmp_path / "set", "tokens.kind=char", "tokens.characters=' adefimor'")


def test_too_little_memory_is_told_before_training(
    manifests: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks = iter([1000.0, 1300.0, 1300.0, 2000.0])
    monkeypatch.setattr(setup, "peak_memory_mb", lambda: next(peaks))
    monkeypatch.setattr(setup, "available_memory_mb", lambda: 500.0)
    with pytest.raises(AsrError, match=r"needs about 1,200 MB, 500 MB are free: lower train\.batch_seconds \(now 4\)"):
        _train(manifests, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    "error",
    [RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), MemoryError()],
    ids=["torch", "numpy"],
)
def test_an_allocation_that_fails_is_told_before_training(
    error: Exception, manifests: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Trainer, "losses", fail)
    with pytest.raises(AsrError, match=r"the largest batch \(\d+ utterances\) does not fit the memory: lower"):
        _train(manifests, tmp_path / "run")


def test_the_probe_changes_nothing(
    manifests: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    augmented = ("encoder.dropout=0.3", "features.dither=1", "augment.time_masks=2", "encoder.layers=2")
    probed: list[Trainer] = []
    probe = setup.probe_memory

    def check(trainer: Trainer) -> None:
        before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
        probe(trainer)
        probed.append(trainer)
        for name, tensor in trainer.model.state_dict().items():
            assert torch.equal(tensor, before[name])
        assert all(parameter.grad is None for parameter in trainer.model.parameters())
        assert not trainer.optimizer.state_dict()["state"]

    monkeypatch.setattr(setup, "probe_memory", check)
    _train(manifests, tmp_path / "with", *augmented)
    assert probed
    monkeypatch.setattr(setup, "probe_memory", lambda trainer: None)
    _train(manifests, tmp_path / "without", *augmented)
    with_it, without = (tmp_path / name / "model" / "model.safetensors" for name in ("with", "without"))
    assert with_it.read_bytes() == without.read_bytes()


@pytest.mark.parametrize("decoder", [(), ("decoder.weight=0.5", "decoder.hidden=8")], ids=["", "decoder"])
def test_the_probe_takes_the_batch_that_needs_most(
    decoder: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of these, many short words take the most seconds; a decoder minds a few long transcripts more."""
    config = tiny_config("train.batch_seconds=3", "features.cmvn=none", "augment.speeds=[1.0]", *decoder)
    utterances = read_manifest(write_tones(tmp_path, "train", 24, seed=1))
    train = [Selected(one, [1] * (40 if one.duration > 0.6 else 2), round(one.duration * RATE)) for one in utterances]
    trainer = Trainer(config, AcousticModel(config, 5), train, {}, bfloat16=False)
    probed: list[list[Item]] = []

    def note(self: Trainer, batch: Batch, chunking: None) -> tuple[Tensor, Tensor]:
        probed.append(batch.items)
        losses = torch.ones(len(batch.items), requires_grad=True)
        return losses, losses

    monkeypatch.setattr(Trainer, "losses", note)
    setup.probe_memory(trainer)

    def padded(items: list[Item]) -> float:
        return len(items) * max(item.seconds for item in items)

    def longest(items: list[Item]) -> int:
        return max(len(train[item.utterance].labels) for item in items)

    plan = [items for group in trainer.groups(0) for items in group]
    by_seconds, by_steps = max(plan, key=padded), max(plan, key=lambda items: padded(items) * (longest(items) + 1))
    assert by_seconds != by_steps
    quarter, whole = probed
    assert set(whole) == set(by_steps if decoder else by_seconds)
    assert len(quarter) == max(1, len(whole) // 4)
    assert longest(quarter) == longest(whole)


def test_the_probe_takes_the_chunks_that_need_most(tmp_path: Path) -> None:
    """Three utterances of 4 frames are more padded audio than one of 9, but have less of a context behind a chunk."""
    config = tiny_config("train.batch_seconds=0.45", "train.max_seconds=0.4", "features.cmvn=none")
    utterances = read_manifest(write_tones(tmp_path, "train", 4, seed=1))
    lengths = [round(0.03 * RATE * frames) + 120 for frames in (4, 4, 4, 9)]  # 15 ms that fill the last frame of 25 ms
    train = [Selected(one, [1], samples) for one, samples in zip(utterances, lengths, strict=True)]
    model = AcousticModel(config, 5)
    assert [model.output_length(samples) for samples in lengths] == [4, 4, 4, 9]
    items, chunking = setup._largest(Trainer(config, model, train, {}, bfloat16=False))
    assert (len(items), chunking) == (3, None)
    train_by = {"chunk_share": 0.5, "chunk_latency": [0.24, 0.27]}
    config = config.model_copy(update={"train": config.train.model_copy(update=train_by)})
    items, chunking = setup._largest(Trainer(config, model, train, {}, bfloat16=False))
    assert (len(items), chunking) == (1, divide(0.24, 0.03))


def test_samples_of_absurd_size_are_named_and_stop_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifests = write_tones(tmp_path, "train", 24, seed=1), write_tones(tmp_path, "dev", 4, seed=2)
    for manifest in manifests:
        first = read_manifest(manifest)[0]
        size = round(first.duration * RATE)
        soundfile.write(first.audio, np.full(size, 1e30, dtype=np.float32), RATE, subtype="FLOAT")
    trained = _train(manifests, tmp_path / "run", "train.batch_seconds=3")
    assert "is not finite for train-000; skipped" in capsys.readouterr().out
    assert trained.trained["skipped_steps"] == 2
    assert "the model gives no numbers for it" in trained.failed["dev-000"]
