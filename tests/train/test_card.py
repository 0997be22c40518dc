from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from asr.model.config import Cell
from asr.train.card import model_card
from tests.tones import tiny_config

TRAINED: dict[str, Any] = {
    "name": "an4/base",
    "train_audio_hours": 0.7612,
    "train_utterances": 1234,
    "train": "data/an4/train.jsonl",
    "epochs": 12,
    "averaged": [11, 12],
    "train_minutes": 3.26,
    "cpu": "a processor",
    "threads": 2,
    "gpu": None,
    "precision": "float32",
    "dev_utterances": 99,
    "dev_manifest": "data/an4/dev.jsonl",
    "dev": {"dev_wer": 12.3456, "dev_cer": 4.0},
}


def test_every_number_is_on_it() -> None:
    card = model_card(tiny_config("encoder.cell=gru", "augment.speeds=[0.9, 1.0]", "seed=7"), 1234567, 30, TRAINED)
    for words in (
        "# Speech recogniser an4/base",
        "bidirectional GRU trained with CTC: 1 × 16 units a direction",
        "1,234,567 parameters, 30 tokens (word), 12 mel bands at 8000 Hz,\none output every 30 ms",
        "| trained on | 0.76 h of speech, 1,234 utterances (`data/an4/train.jsonl`) |",
        "| copies at speeds | 0.9, 1 |",
        "| epochs | 12 of at most 12; weights averaged over epochs 11–12 |",
        "| time | 3.3 minutes on a processor, 2 threads, float32 |",
        "| dev WER / CER, greedy | 12.35 % / 4.00 % |",
        "| seed | 7 |",
    ):
        assert words in card


@pytest.mark.parametrize("cell", get_args(Cell))
def test_every_cell_has_the_name_it_is_known_by(cell: str) -> None:
    card = model_card(tiny_config(f"encoder.cell={cell}"), 1, 1, TRAINED)
    name = card.partition("\nA bidirectional ")[2].partition(" trained with CTC")[0]
    assert set(re.findall("[A-Z]+", name)) <= {"LSTM", "GRU", "RNN"}, "no other acronym exists"
    assert {"gru": "GRU", "rnn": "RNN"}.get(cell, "LSTM") in name
    others = [model_card(tiny_config(f"encoder.cell={one}"), 1, 1, TRAINED) for one in get_args(Cell) if one != cell]
    assert card not in others


def test_self_attention_stands_on_it() -> None:
    card = model_card(tiny_config("encoder.attention={layers: 2, heads: 8}"), 1, 1, TRAINED)
    assert "1 × 16 units a direction, 2 × self-attention of 8 heads on top,\n" in card


def test_an_attention_decoder_is_told_of() -> None:
    words = "a direction,\nan attention decoder of 9 units with 0.3 of the loss,\n1 parameters"
    assert words in model_card(tiny_config("decoder={weight: 0.3, hidden: 9}"), 1, 1, TRAINED)
    assert "attention" not in model_card(tiny_config(), 1, 1, TRAINED)


def test_minutes_on_a_gpu_are_the_gpus() -> None:
    assert "| time | 3.3 minutes on a GPU, float32 |" in model_card(tiny_config(), 1, 1, TRAINED | {"gpu": "a GPU"})


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], "chosen: the settings, by whoever wrote the config. Results"),
        (["train.average_over=best"], "by whoever wrote the config, the epochs to average. Results"),
        (["train.patience=3", "train.average_over=best"], "config, when to stop, the epochs to average. Results"),
    ],
)
def test_it_says_what_the_dev_set_decided(overrides: list[str], words: str) -> None:
    assert words in model_card(tiny_config(*overrides), 1, 1, TRAINED)


@pytest.mark.parametrize(
    ("epochs", "listed"), [([7], "epochs 7 |"), ([2, 5, 6], "epochs 2, 5, 6 |"), ([4, 5], "4–5 |")]
)
def test_the_averaged_epochs(epochs: list[int], listed: str) -> None:
    assert listed in model_card(tiny_config(), 1, 1, TRAINED | {"averaged": epochs})


def test_a_pyramid_makes_frames_longer() -> None:
    assert "one output every 60 ms" in model_card(tiny_config("encoder.layers=2", "encoder.pyramid=1"), 1, 1, TRAINED)
