"""From feature frames to encoder frames: subsampling, then the recurrent stack."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asr.config import EncoderConfig
from asr.model.padding import join_frames, mask_padding
from asr.model.recurrent import BidirectionalStack


class Stacking(nn.Module):
    """Puts ``factor`` neighbouring frames side by side: nothing is learned and nothing is lost."""

    def __init__(self, features: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.outputs = features * factor

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, T, F), padding zero → (N, ⌈T / factor⌉, F · factor)."""
        return join_frames(x, self.factor)


class StridedConvolution(nn.Module):
    """One convolution over time with a stride of ``factor``, then ReLU."""

    def __init__(self, features: int, factor: int, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(features, channels, kernel_size=2 * factor + 1, stride=factor, padding=factor)
        self.outputs = channels

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, T, F), padding zero → (N, ⌈T / factor⌉, channels)."""
        return torch.relu(self.convolution(x.transpose(1, 2))).transpose(1, 2)


class Encoder(nn.Module):
    """Subsampling and a bidirectional recurrent stack."""

    def __init__(self, config: EncoderConfig, features: int) -> None:
        super().__init__()
        self.factor = config.factor
        self.subsampling: Stacking | StridedConvolution
        if config.subsampling.kind == "stack":
            self.subsampling = Stacking(features, config.subsampling.factor)
        else:
            self.subsampling = StridedConvolution(features, config.subsampling.factor, channels=2 * config.hidden)
        self.subsampled = config.subsampling.factor
        self.stack = BidirectionalStack(config, self.subsampling.outputs)
        self.outputs = self.stack.outputs

    def output_length(self, frames: int) -> int:
        """S for T feature frames: ⌈T / factor⌉; a pyramid's rounding up twice is rounding up once."""
        return -(-frames // self.factor)

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes a padded batch.

        Args:
            features: shape (N, T, F).
            frames: shape (N,), each utterance's own number of frames, at least 1.

        Returns:
            Encodings, shape (N, S, 2H), and their lengths, shape (N,).
        """
        lengths = torch.div(frames + self.subsampled - 1, self.subsampled, rounding_mode="floor")
        x = self.subsampling(mask_padding(features, frames))  # (N, T / subsampled, D)
        return self.stack(mask_padding(x, lengths), lengths)
