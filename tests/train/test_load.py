from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.audio import read_utterance
from asr.augment import speed
from asr.manifest import read_manifest
from asr.train.batches import Item
from asr.train.load import Batch, batches, load_batch, plain_batches
from asr.train.select import Selected
from tests.tones import RATE, write_tones


@pytest.fixture
def selected(tmp_path: Path) -> list[Selected]:
    utterances = read_manifest(write_tones(tmp_path, "train", 7, seed=1))
    return [Selected(one, [1], len(read_utterance(one, RATE))) for one in utterances]


def test_each_utterance_at_the_speed_of_its_copy(selected: list[Selected]) -> None:
    batch = load_batch([Item(2, 1, 0.0), Item(2, 0, 0.0)], selected, [1.0, 1.1], RATE)
    samples = read_utterance(selected[2].utterance, RATE)
    assert np.array_equal(batch.waveforms[0].numpy(), speed(samples, 1.1))
    assert np.array_equal(batch.waveforms[1].numpy(), samples)


def test_what_cannot_be_read_is_left_out_and_named(selected: list[Selected], tmp_path: Path) -> None:
    selected[1] = replace(selected[1], utterance=replace(selected[1].utterance, audio=tmp_path / "gone.wav"))
    items = [Item(index, 0, 0.0) for index in range(3)]
    batch = load_batch(items, selected, [1.0], RATE)
    assert batch.items == [items[0], items[2]]
    assert len(batch.waveforms) == 2
    assert list(batch.failed) == ["train-001"]
    assert "gone.wav: there is no such file" in batch.failed["train-001"]


def test_padding() -> None:
    waveforms, lengths = Batch([], [torch.ones(3), torch.ones(5)]).padded(torch.device("cpu"))
    assert waveforms.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert lengths.tolist() == [3, 5]


@pytest.mark.parametrize("threads", [1, 3])
def test_planned_batches_come_in_order(selected: list[Selected], threads: int) -> None:
    plan = [[Item(index, 0, 0.0)] for index in (4, 0, 6, 2, 5, 1, 3)]
    assert [batch.items for batch in batches(plan, selected, [1.0], RATE, threads=threads)] == plan


@pytest.mark.parametrize("threads", [1, 3])
def test_augmentation_is_told_which_copy_of_which_utterance_it_has(selected: list[Selected], threads: int) -> None:
    def mark(samples: np.ndarray, utterance: str, copy: int) -> np.ndarray:
        return samples + np.float32(10 * int(utterance.removeprefix("train-")) + copy)

    plan = [[Item(index, copy, 0.0) for copy in (1, 0)] for index in (4, 0, 6)]
    for batch in batches(plan, selected, [1.0, 1.1], RATE, mark, threads):
        for item, waveform in zip(batch.items, batch.waveforms, strict=True):
            plain = speed(read_utterance(selected[item.utterance].utterance, RATE), (1.0, 1.1)[item.copy])
            assert np.array_equal(waveform.numpy(), plain + np.float32(10 * item.utterance + item.copy))


def test_plain_batches_are_every_utterance_once(selected: list[Selected]) -> None:
    seen = []
    for batch in plain_batches(selected, 1.2, RATE):
        seen += [item.utterance for item in batch.items]
        assert max(len(one) for one in batch.waveforms) * len(batch.waveforms) <= 1.2 * RATE
        for item, waveform in zip(batch.items, batch.waveforms, strict=True):
            assert np.array_equal(waveform.numpy(), read_utterance(selected[item.utterance].utterance, RATE))
    assert sorted(seen) == list(range(7))
