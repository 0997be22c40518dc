"""Weights to begin with: those of a model that was trained before, on other recordings or for not long enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asr.config import Config
from asr.errors import AsrError
from asr.model.acoustic import AcousticModel, load_model
from asr.tokens import Tokenizer

# What may differ: it is of training alone, or says how inputs are scaled.
_FREE = {"features": {"dither", "cmvn"}, "encoder": {"dropout", "dropout_kind", "weight_dropout"}}


def begin_with(folder: Path, model: AcousticModel, tokenizer: Tokenizer) -> dict[str, Any]:
    """Gives a fresh model the weights of a trained one; what normalises its features stays its own.

    What makes tokens, the head and an attention decoder, is taken over where both models write the same ones.

    Returns:
        What the trained model's config is to say: the folder, its sum, and what of head and decoder begins anew.

    Raises:
        AsrError: the folder holds no model, or one of another architecture; names what differs.
    """
    former = load_model(folder)
    differing = _differing(former.model.config, model.config)
    if differing:
        raise AsrError(f"{folder}: a model of another architecture, whose weights do not fit: {'; '.join(differing)}")
    same = former.tokenizer.symbols == tokenizer.symbols
    taken = {"head": same, "decoder": same and former.model.config.decoder == model.config.decoder}
    parts = ("encoder.", *(f"{part}." for part, is_taken in taken.items() if is_taken))
    weights = {name: one for name, one in former.model.state_dict().items() if name.startswith(parts)}
    model.load_state_dict(weights, strict=False)
    anew = [part for part, is_taken in taken.items() if getattr(model, part) is not None and not is_taken]
    return {"model": folder.as_posix(), "sha256": former.sha256, "anew": anew}


def _differing(former: Config, config: Config) -> list[str]:
    found = []
    for part, free in _FREE.items():
        there = getattr(former, part).model_dump(exclude=free)
        here = getattr(config, part).model_dump(exclude=free)
        found += [f"{part}.{key} is {there[key]} there and {here[key]} here" for key in here if there[key] != here[key]]
    return found
