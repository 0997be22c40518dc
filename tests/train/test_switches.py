"""Every value of every switch in the config trains; read off the types, so that a new value is tested too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
import torch
from pydantic import BaseModel

from asr.config import Codec, Config
from asr.model.acoustic import load_model
from asr.train.setup import train_model
from tests.tones import tiny_config, write_tones


def _switches(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """``key=value`` of every value of a Literal or a bool."""
    for name, field in model.model_fields.items():
        kind, key = field.annotation, prefix + name
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _switches(kind, f"{key}.")
        elif get_origin(kind) is Literal:
            yield from (f"{key}={value}" for value in get_args(kind))
        elif kind is bool:
            yield from (f"{key}={value}" for value in ("true", "false"))


_DICTIONARY = f"tokens.dictionary={Path(__file__).parent.parent / 'phones' / 'tones.txt'}"

# What a value needs beside it to be a valid config of this tiny size.
_BESIDE = {
    "features.kind=mfcc": ["features.cepstra=8", "augment.frequency_masks=1"],
    "tokens.kind=unigram": ["tokens.size=10"],
    "tokens.kind=bpe": ["tokens.size=10"],
    "encoder.dropout_kind=locked": ["encoder.dropout=0.3"],
    "augment.gain_clip=true": ["augment.gain_probability=1"],
    "augment.gain_clip=false": ["augment.gain_probability=1"],
    "tokens.kind=phone": [_DICTIONARY],
    "train.letters_weight=0.3": ["tokens.kind=phone", _DICTIONARY, "train.ema=0.9"],
    "decoder.weight=0.4": [
        "decoder.hidden=8",
        "encoder.pyramid=1",
        "encoder.layers=3",
        "train.precision=bfloat16",
        "train.intermediate=[2]",
        "train.label_smoothing=0.1",
        "train.ema=0.9",
    ],
    "tokens.stress=true": [_DICTIONARY, "tokens.kind=phone"],
}
SWITCHES = [
    *_switches(Config),
    "augment.speeds=[0.9, 1.1]",
    "augment.frequency_masks=2",
    "augment.time_masks=3",
    "augment.reverberation_probability=1",
    "augment.vocal_tract=[0.8, 1.25]",
    "augment.coloured_noise_probability=1",
    *(f"augment={{codec_probability: 1, codecs: [{codec}]}}" for codec in get_args(Codec)),
    "decoder.weight=0.4",
    "decoder={weight: 0.3, hidden: 9, embedding: 5, attention: 7}",
    "encoder.dropout=0.3",
    "encoder.attention={layers: 2, heads: 8}",
    "encoder={attention: {layers: 1, feed_forward: 9}, dropout: 0.3, dropout_kind: locked, layers: 2, hidden: 16}",
    "encoder.projection=7",
    "encoder.pyramid=1",
    "encoder.weight_dropout=0.3",
    "encoder.subsampling={kind: conv1d, factor: 4, channels: 9, kernel: 5}",
    "encoder.subsampling={kind: vgg, factor: 2, channels: 4}",
    "encoder.subsampling={kind: deepspeech2, factor: 2, channels: 4, kernel: 5}",
    "features.dither=1.0",
    "train.accumulate=3",
    "train.chunk_share=1",
    "train.ema=0.9",
    "train.intermediate=[1]",
    "train.label_smoothing=0.1",
    "train.letters_weight=0.3",
    "train.patience=1",
]


def test_the_list_is_read_off_the_types() -> None:
    assert {
        "encoder.cell=peephole",
        "features.deltas=2",
        "train.precision=bfloat16",
        "features.snip_edges=false",
    } < set(SWITCHES)
    assert len(SWITCHES) > 30


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tones")
    return write_tones(folder, "train", 20, seed=1), write_tones(folder, "dev", 4, seed=2)


@pytest.mark.parametrize("switch", SWITCHES)
def test_it_trains_and_recognises(switch: str, manifests: tuple[Path, Path], tmp_path: Path) -> None:
    overrides = ["train.epochs=2", "train.average=1", "train.learning_rate=0.01", "encoder.layers=2"]
    config = tiny_config(*overrides, switch, *_BESIDE.get(switch, []))
    trained = train_model(config, switch, *manifests, tmp_path, torch.device("cpu"))
    assert trained.failed == {}
    first, second = (tmp_path / "history.jsonl").read_text().splitlines()
    assert '"loss"' in first
    assert '"loss"' in second
    assert math.isfinite(trained.trained["dev"]["dev_loss"])
    recogniser = load_model(trained.model)
    assert recogniser.model.config == config
    # Every parameter was learned: none is as it was drawn.
    torch.manual_seed(config.seed)
    drawn = type(recogniser.model)(config, len(recogniser.tokenizer)).state_dict()
    for name, parameter in recogniser.model.named_parameters():
        assert not torch.equal(parameter, drawn[name]), name
