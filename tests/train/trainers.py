"""A tiny run before its first step."""

from __future__ import annotations

from pathlib import Path

import torch

from asr.manifest import read_manifest
from asr.model.acoustic import AcousticModel
from asr.tokens import train_tokenizer
from asr.train.select import select
from asr.train.trainer import Trainer
from tests.tones import PITCHES, tiny_config


def make_trainer(manifest: Path, *overrides: str) -> Trainer:
    """Of the tiny config, with ``key=value`` overrides."""
    config = tiny_config("features.cmvn=utterance", *overrides)
    tokenizer = train_tokenizer(config.tokens, PITCHES)
    torch.manual_seed(1)
    model = AcousticModel(config, len(tokenizer))
    selected, _ = select(read_manifest(manifest), tokenizer, config, model)
    return Trainer(config, model, selected, {}, bfloat16=config.train.precision == "bfloat16")
