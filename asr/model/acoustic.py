"""The acoustic model: waveform → features → encoder → log-probabilities of tokens; and its folder on disk.

A model folder holds ``config.yaml`` (the resolved config and how the model was trained), ``tokens.txt`` or
``tokens.model``, for phones ``lexicon.txt``, ``model.safetensors``, ``MODEL_CARD.md`` and ``SHA256SUMS`` over them
(``sha256sum -c`` reads it).
Nothing is unpickled to load it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asr.config import Config
from asr.features import Features
from asr.latency import Chunking
from asr.model.attention_decoder import AttentionDecoder
from asr.model.encoder import Encoder
from asr.model.folder import load_weights, open_folder, save_folder
from asr.tokens import Tokenizer


class AcousticModel(nn.Module):
    """Features, encoder and a linear CTC head; and an attention decoder where the config asks for one.

    Attributes:
        letters: a second head, which teaches in training and is not kept; None: there is none.
    """

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.features = Features(config.features)
        self.encoder = Encoder(config.encoder, config.features.dimension)
        self.head = nn.Linear(self.encoder.outputs, vocabulary)
        self.letters: nn.Linear | None = None
        self.decoder: AttentionDecoder | None = None
        if config.decoder.weight:
            self.decoder = AttentionDecoder(config.decoder, self.encoder.outputs, vocabulary)

    def forward(self, features: Tensor, frames: Tensor, chunking: Chunking | None = None) -> tuple[Tensor, Tensor]:
        """Log-probabilities from normalised features.

        Args:
            features: shape (N, T, F).
            frames: shape (N,).
            chunking: to go by chunks, see `asr.config.Config.chunking`; None: from end to end.

        Returns:
            Log-probs, float32 also under autocast, shape (N, S, V), and lengths, shape (N,).
        """
        encoded, lengths = self.encoder(features, frames, chunking)
        return self.ctc(encoded), lengths

    def ctc(self, encoded: Tensor) -> Tensor:
        """CTC's log-probs of what the encoder says, float32. Shape (N, S, C) → (N, S, V)."""
        return self.head(encoded).float().log_softmax(dim=2)

    @torch.inference_mode()
    def log_probs(
        self,
        waveforms: list[Tensor],
        statistics: Tensor | None = None,
        device: torch.device | str = "cpu",
        chunking: Chunking | None = None,
    ) -> list[Tensor]:
        """Log-probs of each waveform, shape (S, V) each, on the CPU.

        Args:
            waveforms: float32, shape (samples,) each, at the model's rate; each long enough for one frame.
            statistics: shape (N, 2, F), for a model with per-speaker normalisation.
            device: where the model lies.
            chunking: as in `forward`.
        """
        encoded, lengths = self._encode(waveforms, statistics, device, chunking)
        return [row[:length].cpu() for row, length in zip(self.ctc(encoded), lengths.tolist(), strict=True)]

    @torch.inference_mode()
    def hear(
        self, waveforms: list[Tensor], statistics: Tensor | None = None, device: torch.device | str = "cpu"
    ) -> list[tuple[Tensor, Tensor]]:
        """As `log_probs`, each with what the encoder says, shape (S, C), for an attention decoder to look at."""
        encoded, lengths = self._encode(waveforms, statistics, device)
        rows = zip(self.ctc(encoded), encoded, lengths.tolist(), strict=True)
        return [(row[:length].cpu(), said[:length].cpu()) for row, said, length in rows]

    def _encode(
        self,
        waveforms: list[Tensor],
        statistics: Tensor | None,
        device: torch.device | str,
        chunking: Chunking | None = None,
    ) -> tuple[Tensor, Tensor]:
        """What the encoder says of waveforms, shape (N, S, C), and lengths, shape (N,)."""
        lengths = torch.tensor([len(waveform) for waveform in waveforms], device=device)
        padded = nn.utils.rnn.pad_sequence(waveforms, batch_first=True).to(device)  # (N, L)
        features, frames = self.features(padded, lengths, statistics)  # (N, T, F)
        encoded: tuple[Tensor, Tensor] = self.encoder(features, frames, chunking)
        return encoded

    def output_length(self, samples: int) -> int:
        """S, exactly, for a waveform of so many samples."""
        return self.encoder.output_length(self.features.frames(samples))

    @property
    def frame_seconds(self) -> float:
        """How far apart two encoder frames are [s]."""
        return self.config.frame_seconds

    @property
    def parameters_count(self) -> int:
        """Learned numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


@dataclass(frozen=True)
class Recogniser:
    """A trained model as it lies in a folder.

    Attributes:
        model: in evaluation mode.
        tokenizer: its tokens.
        trained: how it was trained: ``train_minutes``, ``train_audio_hours``, …
        sha256: of the folder's SHA256SUMS, which stands for every byte of the model.
    """

    model: AcousticModel
    tokenizer: Tokenizer
    trained: dict[str, Any]
    sha256: str

    @property
    def frame_seconds(self) -> float:
        """How far apart the model's encoder frames are [s]."""
        return self.model.frame_seconds


def save_model(folder: Path, model: AcousticModel, tokenizer: Tokenizer, trained: dict[str, Any], card: str) -> None:
    """Writes a model folder; SHA256SUMS comes last, so a folder without it was not finished.

    Raises:
        AsrError: it could not be written.
    """
    fields = {**model.config.model_dump(), "trained": trained}
    save_folder(folder, model, tokenizer, fields, {"MODEL_CARD.md": card})


def load_model(folder: Path) -> Recogniser:
    """Loads a model folder, after checking every file against its checksum.

    Raises:
        AsrError: a file is missing, altered or does not fit the others; names it.
    """
    found = open_folder(folder)
    model = AcousticModel(found.config, len(found.tokenizer))
    load_weights(model, found.weights)
    return Recogniser(model.eval(), found.tokenizer, found.trained, found.sha256)
