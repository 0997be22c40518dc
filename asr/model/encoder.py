"""From feature frames to encoder frames: subsampling, the recurrent stack, then self-attention if it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from asr.latency import Chunking
from asr.model.attention import SelfAttentionLayer
from asr.model.between import DROPOUTS
from asr.model.cells import State
from asr.model.chunks import chunks_of, lay_out, single_view
from asr.model.config import EncoderConfig
from asr.model.frontend import make_front_end
from asr.model.padding import mask_padding, shortened
from asr.model.recurrent import RecurrentStack


class Encoder(nn.Module):
    """Subsampling, a bidirectional recurrent stack, and self-attention layers with a norm behind the last."""

    def __init__(self, config: EncoderConfig, features: int) -> None:
        super().__init__()
        self.factor = config.factor
        self.subsampled = config.subsampling.factor
        self.subsampling = make_front_end(config.subsampling, features, config.hidden)
        self.stack = RecurrentStack(config, self.subsampling.outputs)
        self.outputs = self.stack.outputs
        dropout = DROPOUTS[config.dropout_kind](config.dropout)
        self.attention = nn.ModuleList(
            SelfAttentionLayer(self.outputs, config.attention, dropout) for _ in range(config.attention.layers)
        )
        self.norm = nn.LayerNorm(self.outputs) if config.attention.layers else nn.Identity()

    def output_length(self, frames: int) -> int:
        """S for T feature frames: ⌈T / factor⌉; a pyramid's rounding up twice is rounding up once."""
        return -(-frames // self.factor)

    def forward(self, features: Tensor, frames: Tensor, chunking: Chunking | None = None) -> tuple[Tensor, Tensor]:
        """Encodes a padded batch.

        Args:
            features: shape (N, T, F).
            frames: shape (N,), each utterance's own number of frames, at least 1.
            chunking: how the recurrent stack is to go by chunks; None: from end to end.

        Returns:
            Encodings, shape (N, S, W), W what all directions of a layer say together, and their lengths, shape (N,).
        """
        lengths = shortened(frames, self.subsampled)
        x = self.subsampling(mask_padding(features, frames), frames)  # (N, T / subsampled, D)
        x = mask_padding(x, lengths)
        if chunking is not None:
            pieces, views = lay_out(x, lengths, chunking)
            return chunks_of(self.stack.read_chunks(pieces, views)[0], chunking, *x.shape[:2]), lengths
        x, lengths = self.stack(x, lengths)  # (N, S, W)
        for layer in self.attention:
            x = layer(x, lengths)
        return self.norm(x), lengths

    def read_chunk(self, features: Tensor, chunk: int, states: Sequence[State] = ()) -> tuple[Tensor, list[State]]:
        """Encodes the next chunk of a single utterance.

        Args:
            features: of the chunk and its context, shape (T, F).
            chunk: C, encoder frames of the chunk; what goes beyond them is its context.
            states: what the chunk before left; none: the utterance begins.

        Returns:
            Shape (C, W), and the states behind the chunk.
        """
        x = self.subsampling(features[None], torch.tensor([len(features)], device=features.device))  # (1, C + R, D)
        x, states = self.stack.read_chunks(x, single_view(chunk, x.shape[1] - chunk, x.device), states)
        return x[0], states
