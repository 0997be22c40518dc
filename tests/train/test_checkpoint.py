from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

from asr.config import Config, TrainConfig
from asr.errors import AsrError
from asr.lm.recurrent import RecurrentConfig
from asr.phones.g2p import G2pConfig
from asr.train.checkpoint import (
    BEST,
    THREADS,
    Progress,
    average_epochs,
    config_mark,
    differing,
    epochs_to_average,
    epochs_to_export,
    load_best,
    load_checkpoint,
    prune_epochs,
    refuse_another,
    save_checkpoint,
    save_epoch,
)
from tests.tones import tiny_config

MARK = {"config": "{}", "training manifest": "a", "dev manifest": "b", THREADS: "1"}
PROGRESS = Progress(epoch=2, group=3, step=17, loss=1.5, failed={"u": "gone"}, history=[{"epoch": 1, "dev_wer": 3.0}])


def _run(seed: int = 1) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A model after a step, so that the optimiser has a state."""
    torch.manual_seed(seed)
    model = nn.Linear(30, 40)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    model(torch.randn(2, 30)).sum().backward()
    optimizer.step()
    return model, optimizer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoints" / "latest.pt"
    save_checkpoint(path, MARK, *_run(), PROGRESS)
    return path


def test_saved_and_loaded_everything_is_the_same(path: Path) -> None:
    model, optimizer = _run(seed=2)
    assert load_checkpoint(path, MARK, Config, model, optimizer) == PROGRESS
    expected, its_optimizer = _run(seed=1)
    for one, other in ((model, optimizer), (expected, its_optimizer)):  # the next step is the same, too
        one.zero_grad()
        one(torch.ones(1, 30)).square().sum().backward()
        other.step()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, expected.state_dict()[name])


def test_it_is_read_without_running_code(path: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path}/broken-in",)

    torch.save({"fingerprint": MARK, "model": Evil()}, path)
    with pytest.raises(AsrError, match="a damaged checkpoint"):
        load_checkpoint(path, MARK, Config, *_run())
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(AsrError, match="a damaged checkpoint"):
        load_checkpoint(path, MARK, Config, *_run())
    assert not (tmp_path / "broken-in").exists()


def test_of_a_run_with_other_threads(path: Path) -> None:
    with pytest.raises(AsrError, match=r"with --threads 1, .* with 2; give that --threads to go on"):
        load_checkpoint(path, MARK | {THREADS: "2"}, Config, *_run())


@pytest.mark.parametrize("what", ["config", "training manifest", "dev manifest"])
def test_of_another_run(path: Path, what: str) -> None:
    with pytest.raises(AsrError, match=f"was written by a run with another {what}; train into another --out"):
        load_checkpoint(path, MARK | {what: "another"}, Config, *_run())


def test_a_config_without_todays_keys_is_the_one_with_their_defaults() -> None:
    config = tiny_config("encoder.hidden=7")
    fields = json.loads(config_mark(config))
    for former in (fields["train"], fields["encoder"]["subsampling"], fields["encoder"]):
        former.pop(next(iter(former)))  # each of them stands at its default but for encoder.cell, which is lstm
    now = MARK | {"config": config_mark(config)}
    stored = MARK | {"config": json.dumps(fields)}
    assert differing(now, stored, Config) == []
    fields["encoder"]["hidden"] = 8
    assert differing(now, MARK | {"config": json.dumps(fields)}, Config) == ["config"]


@pytest.mark.parametrize("kind", [RecurrentConfig, G2pConfig])
def test_a_small_models_config_has_defaults_of_its_own(kind: type[RecurrentConfig | G2pConfig]) -> None:
    now, stored = MARK | {"config": config_mark(kind(hidden=7))}, MARK | {"config": '{"hidden": 7}'}
    assert differing(now, stored, kind) == []
    stored["config"] = '{"hidden": 8}'
    with pytest.raises(AsrError, match=r"with another config \(hidden is 7 here, 8 there\); train into another"):
        refuse_another(Path("run/model"), now, stored, kind)


@pytest.mark.parametrize("former", ['{"encoder": {"no_longer": 1}}', "[1]", "not JSON", '{"train": {"epochs": 0}}'])
def test_what_is_no_config_today_is_another(former: str) -> None:
    now = MARK | {"config": config_mark(tiny_config())}
    assert differing(now, MARK | {"config": former}, Config) == ["config"]
    assert differing(MARK, {}, Config) == list(MARK)


def test_the_moving_average_is_restored_with_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "latest.pt"
    smoothed, other = _run(seed=3)[0], _run(seed=4)[0]
    save_checkpoint(path, MARK, *_run(), PROGRESS, smoothed)
    load_checkpoint(path, MARK, Config, *_run(seed=2), other)
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, smoothed.state_dict()[name])
    save_checkpoint(path, MARK, *_run(), PROGRESS)
    with pytest.raises(AsrError, match="a damaged checkpoint"):
        load_checkpoint(path, MARK, Config, *_run(), other)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_cut_short(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(AsrError, match=r"latest\.pt: a damaged checkpoint; delete it to begin anew"):
        load_checkpoint(path, MARK, Config, *_run())


def test_a_flipped_bit_anywhere_is_told_or_harmless(path: Path) -> None:
    content = path.read_bytes()
    noticed = 0
    positions = range(0, len(content), len(content) // 40)
    for position in positions:
        path.write_bytes(content[:position] + bytes([content[position] ^ 16]) + content[position + 1 :])
        model, optimizer = _run(seed=2)
        try:
            assert load_checkpoint(path, MARK, Config, model, optimizer) == PROGRESS
        except AsrError as error:
            noticed += 1
            assert "latest.pt" in str(error)
            continue
        expected, _ = _run(seed=1)  # it was between the records
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, expected.state_dict()[name])
    assert noticed > len(positions) / 2


@pytest.mark.parametrize("state", [{}, {"fingerprint": MARK}, {"fingerprint": [1]}, [1, 2], {"fingerprint": None}])
def test_of_something_else(path: Path, state: object) -> None:
    torch.save(state, path)
    with pytest.raises(AsrError, match="a damaged checkpoint"):
        load_checkpoint(path, MARK, Config, *_run())


def test_of_another_size(path: Path) -> None:
    model = nn.Linear(3, 4)
    with pytest.raises(AsrError, match="a damaged checkpoint"):
        load_checkpoint(path, MARK, Config, model, torch.optim.AdamW(model.parameters()))


def test_a_folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()
    with pytest.raises(AsrError, match=r"latest\.pt: could not be (read|written)|damaged"):
        load_checkpoint(path, MARK, Config, *_run())


def test_a_failed_write_keeps_what_was_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(state: object, file: Path) -> None:
        file.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed writing file\nframe #0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(AsrError, match=r"latest\.pt: could not be written .*is the disk full\?.*is kept") as caught:
        save_checkpoint(path, MARK, *_run(), PROGRESS)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["latest.pt"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"no weights", "deserializing header"), (save({"bias": torch.ones(3)}), "state_dict")],
)
def test_best_weights_that_are_gone_or_damaged(tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / BEST).write_bytes(content)
    with pytest.raises(AsrError, match=rf"best\.safetensors: missing or damaged \(.*{reason}") as caught:
        load_best(tmp_path, nn.Linear(3, 4))
    assert str(caught.value).endswith(f"; delete {tmp_path} to begin anew")
    assert "\n" not in str(caught.value)


HISTORY: list[dict[str, float]] = [
    {"epoch": epoch, "dev_wer": wer, "dev_cer": cer, "dev_loss": loss}
    for epoch, wer, cer, loss in [(1, 9, 9, 9), (2, 5, 4, 3), (3, 5, 4, 2), (4, 5, 3, 9), (5, 6, 1, 1), (6, 5, 4, 3)]
]


@pytest.mark.parametrize(
    ("count", "which", "chosen"),
    [
        (1, "last", [6]),
        (3, "last", [4, 5, 6]),
        (9, "last", [1, 2, 3, 4, 5, 6]),
        (1, "best", [4]),  # by WER, then CER, then loss
        (2, "best", [3, 4]),
        (3, "best", [2, 3, 4]),  # of two alike the earlier
        (5, "best", [2, 3, 4, 5, 6]),
    ],
)
def test_which_epochs_are_averaged(count: int, which: str, chosen: list[int]) -> None:
    assert epochs_to_average(HISTORY, count, which == "best") == chosen


def test_patience_which_lets_a_run_go_past_its_best_averages_the_best() -> None:
    assert epochs_to_export(HISTORY, TrainConfig(average=2, patience=2)) == [3, 4]
    assert epochs_to_export(HISTORY, TrainConfig(average=2, patience=2, average_over="last")) == [5, 6]
    assert epochs_to_export(HISTORY, TrainConfig(average=2, average_over="best")) == [3, 4]


def test_moving_averages_are_not_averaged_again() -> None:
    assert epochs_to_export(HISTORY, TrainConfig(average=3)) == [4, 5, 6]
    assert epochs_to_export(HISTORY, TrainConfig(average=3, ema=0.99)) == [6]
    assert epochs_to_export(HISTORY, TrainConfig(average=3, average_over="best", ema=0.99)) == [4]


@pytest.mark.parametrize("which", ["last", "best"])
def test_what_is_averaged_at_the_end_was_never_pruned_on_the_way(which: str) -> None:
    kept: set[int] = set()
    for end in range(1, len(HISTORY) + 1):
        kept = (kept | {end}) & set(epochs_to_average(HISTORY[:end], 3, which == "best"))
    assert sorted(kept) == epochs_to_average(HISTORY, 3, which == "best")


def test_the_average_is_the_mean_of_the_stored_weights(tmp_path: Path) -> None:
    models = {epoch: _run(seed=epoch)[0] for epoch in (1, 2, 3, 4)}
    for epoch, model in models.items():
        save_epoch(tmp_path, epoch, model)
    averaged = average_epochs(tmp_path, [1, 3, 4])
    for name, tensor in averaged.items():
        stacked = torch.stack([models[epoch].state_dict()[name] for epoch in (1, 3, 4)]).double()
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, stacked.mean(dim=0).float(), rtol=1e-6, atol=0)
    # What all of them share, such as the features' statistics, stays as it is to the bit.
    for count in (1, 3, 5, 7):
        for epoch in range(1, count + 1):
            save_epoch(tmp_path, epoch, models[1])
        for name, tensor in average_epochs(tmp_path, list(range(1, count + 1))).items():
            assert torch.equal(tensor, models[1].state_dict()[name])


def test_pruning_and_a_missing_epoch(tmp_path: Path) -> None:
    for epoch in range(1, 6):
        save_epoch(tmp_path, epoch, _run()[0])
    (tmp_path / "latest.pt").touch()
    prune_epochs(tmp_path, [2, 5])
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "epoch-0002.safetensors",
        "epoch-0005.safetensors",
        "latest.pt",
    ]
    with pytest.raises(AsrError, match=r"epoch-0003\.safetensors: is missing, so the average over epochs \[2, 3\]"):
        average_epochs(tmp_path, [2, 3])


def test_damaged_weights_of_an_epoch(tmp_path: Path) -> None:
    save_epoch(tmp_path, 1, _run()[0])
    path = tmp_path / "epoch-0001.safetensors"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(AsrError, match=r"epoch-0001\.safetensors: not a safetensors file"):
        average_epochs(tmp_path, [1])
