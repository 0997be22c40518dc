"""From feature frames to encoder frames: subsampling, the recurrent stack, then self-attention if it is asked for."""

from __future__ import annotations

from torch import Tensor, nn

from asr.config import EncoderConfig
from asr.model.attention import SelfAttentionLayer
from asr.model.between import DROPOUTS
from asr.model.frontend import make_front_end
from asr.model.padding import mask_padding, shortened
from asr.model.recurrent import BidirectionalStack


class Encoder(nn.Module):
    """Subsampling, a bidirectional recurrent stack, and self-attention layers with a norm behind the last."""

    def __init__(self, config: EncoderConfig, features: int) -> None:
        super().__init__()
        self.factor = config.factor
        self.subsampled = config.subsampling.factor
        self.subsampling = make_front_end(config.subsampling, features, config.hidden)
        self.stack = BidirectionalStack(config, self.subsampling.outputs)
        self.outputs = self.stack.outputs
        dropout = DROPOUTS[config.dropout_kind](config.dropout)
        self.attention = nn.ModuleList(
            SelfAttentionLayer(self.outputs, config.attention, dropout) for _ in range(config.attention.layers)
        )
        self.norm = nn.LayerNorm(self.outputs) if config.attention.layers else nn.Identity()

    def output_length(self, frames: int) -> int:
        """S for T feature frames: ⌈T / factor⌉; a pyramid's rounding up twice is rounding up once."""
        return -(-frames // self.factor)

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes a padded batch.

        Args:
            features: shape (N, T, F).
            frames: shape (N,), each utterance's own number of frames, at least 1.

        Returns:
            Encodings, shape (N, S, 2R), R the width of one direction, and their lengths, shape (N,).
        """
        lengths = shortened(frames, self.subsampled)
        x = self.subsampling(mask_padding(features, frames), frames)  # (N, T / subsampled, D)
        x, lengths = self.stack(mask_padding(x, lengths), lengths)  # (N, S, 2R)
        for layer in self.attention:
            x = layer(x, lengths)
        return self.norm(x), lengths
