"""Grapheme to phoneme: what a word that no dictionary holds is likely to sound like, by its letters.

A bidirectional LSTM reads the letters and writes phones by connectionist temporal classification (Rao, Peng, Sak and
Beaufays 2015, "Grapheme-to-phoneme conversion using long short-term memory recurrent neural networks"). CTC needs at
least a frame for each phone, and X alone says two: each letter gives several frames, each by a matrix of its own, so
that the LSTM has a step a letter. The folder holds ``config.yaml`` (config, letters, how the model was trained),
``tokens.txt`` (the phones), ``model.safetensors`` and ``SHA256SUMS``; nothing is unpickled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from asr.errors import AsrError
from asr.flat_config import parse_flat
from asr.model.config import EncoderConfig
from asr.model.folder import check_sums, load_weights, save_folder
from asr.model.recurrent import RecurrentStack
from asr.phones.pronounce import Pronouncer
from asr.strict import Strict
from asr.tokens import Tokenizer, load_tokenizer
from asr.yaml_files import read_yaml

_PADDING = 0  # the letter behind a word's end


class G2pConfig(Strict):
    """Everything that makes a model what it is, apart from the dictionary."""

    seed: int = Field(1, ge=0, lt=2**31)
    stress: bool = Field(False, description="vowels keep the digit of their stress")
    rare: int = Field(20, ge=0, description="letters of fewer training words than this are not learned")
    embedding: int = Field(64, ge=1, description="width of a letter's embedding")
    layers: int = Field(2, ge=1)
    hidden: int = Field(192, ge=1, description="H, units of one direction")
    frames: int = Field(3, ge=1, le=8, description="CTC frames of each letter")
    dropout: float = Field(0.1, ge=0, lt=1, description="behind each layer")
    epochs: int = Field(10, ge=1)
    batch_letters: int = Field(1024, ge=1, description="letters of a step, padding included")
    learning_rate: float = Field(3e-3, gt=0, description="after the warm-up; half a cosine leads down from it")
    warmup_steps: int = Field(200, ge=0)
    weight_decay: float = Field(1e-2, ge=0)
    clip: float = Field(5.0, gt=0, description="largest norm of a step's gradient")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 where it is faster")


class G2pModel(nn.Module):
    """Letters → embedding → bidirectional layers → several frames of phones a letter."""

    def __init__(self, config: G2pConfig, letters: int, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(1 + letters, config.embedding)
        layers = EncoderConfig(hidden=config.hidden, layers=config.layers, dropout=config.dropout)
        self.stack = RecurrentStack(layers, config.embedding)
        self.head = nn.Linear(self.stack.outputs, config.frames * vocabulary)

    def forward(self, letters: Tensor, lengths: Tensor) -> Tensor:
        """Log-probabilities of phones, float32 also under autocast.

        Args:
            letters: int64, shape (N, L).
            lengths: shape (N,), letters of each word.

        Returns:
            Shape (N, S, V), S = L · frames; rows behind a word's end hold no meaning.
        """
        encoded, _ = self.stack(self.embedding(letters), lengths)  # (N, L, 2H)
        scores = self.head(encoded).float()  # (N, L, frames · V)
        return scores.view(len(letters), letters.shape[1] * self.config.frames, -1).log_softmax(dim=2)  # (N, S, V)

    @property
    def parameters_count(self) -> int:
        """Learned numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


def pad_letters(words: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Words as letter ids in a batch: shape (N, L), and their lengths (N,)."""
    rows = [torch.tensor(word, dtype=torch.long) for word in words]
    lengths = torch.tensor([len(word) for word in words])
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=_PADDING), lengths  # (N, L)


def phone_tokens(phones: Sequence[str]) -> Tokenizer:
    """Phones as tokens, each written as a word of its own."""
    return Tokenizer("word", ["<blank>", *phones])


class G2p(Pronouncer):
    """A model made ready to pronounce words.

    Attributes:
        model: in evaluation mode.
        trained: how it was trained.
        sha256: of the folder's SHA256SUMS, which stands for every byte of it.
    """

    def __init__(
        self, model: G2pModel, letters: str, phones: Tokenizer, trained: dict[str, Any], sha256: str = ""
    ) -> None:
        super().__init__(letters, phones)
        self.model, self.trained, self.sha256 = model, trained, sha256

    @torch.inference_mode()
    def log_probs(self, words: Sequence[Sequence[int]]) -> list[np.ndarray]:
        letters, lengths = pad_letters(words)
        device = self.model.head.weight.device
        rows = self.model(letters.to(device), lengths.to(device)).cpu()  # (N, S, V)
        frames = self.model.config.frames
        return [row[: frames * length].numpy() for row, length in zip(rows, lengths.tolist(), strict=True)]


def save_g2p(folder: Path, model: G2pModel, letters: str, phones: Tokenizer, trained: dict[str, Any]) -> None:
    """Writes a model folder; SHA256SUMS comes last, so a folder without it was not finished.

    Raises:
        AsrError: it could not be written.
    """
    fields = {"g2p": model.config.model_dump(), "letters": letters, "trained": trained}
    save_folder(folder, model, phones, fields)


def load_g2p(folder: Path) -> G2p:
    """Loads a model folder, after checking every file against its checksum.

    Raises:
        AsrError: a file is missing, altered, does not fit the others, or the folder holds another kind of model.
    """
    digest = check_sums(folder)
    path = folder / "config.yaml"
    fields = read_yaml(path)
    if set(fields) != {"g2p", "letters", "trained"} or not isinstance(fields["g2p"], dict):
        raise AsrError(f"{path}: not the config of a grapheme-to-phoneme model (asr g2p train makes one)")
    config = parse_flat(G2pConfig, fields["g2p"], str(path))
    phones = load_tokenizer(folder, "word")
    model = G2pModel(config, len(fields["letters"]), len(phones))
    load_weights(model, folder / "model.safetensors")
    return G2p(model.eval(), fields["letters"], phones, fields["trained"], digest)


def probability(score: float) -> float:
    """The share of all that the model holds possible, 0 to 1."""
    return math.exp(min(score, 0.0))
