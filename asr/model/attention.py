"""Self-attention on top of the recurrent stack: every frame looks at all others of its utterance.

There is no positional encoding: what the recurrent layers below say of a frame holds what came before and behind it.

Frames are compared in pairs, so time grows with the square of an utterance's length, but `scaled_dot_product_attention`
on a CPU keeps no S × S matrix: measured with 4 heads over 512 units in float32, 10,000 frames (5 minutes at 30 ms) took
24 MB and 4 s of one core a layer. `transcribe-audio` cuts a recording into pieces of at most 30 s before the model sees
it, so an hour costs no more memory than half a minute; `asr decode` gives each utterance of a manifest to the model
whole, and at an hour attention alone would take about ten minutes a layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asr.model.config import AttentionConfig


class SelfAttentionLayer(nn.Module):
    """Multi-head self-attention, then a feed-forward network over each frame (Vaswani et al. 2017).

    Each is a residual branch with dropout behind it (section 5.4) and layer norm before it (Xiong et al. 2020): with
    the norm there a layer learns without a warm-up of its own. Attention is eq. 1 in the form of section 3.2.2, which
    has no biases; the feed-forward network is eq. 2 with GELU (Hendrycks and Gimpel 2016) in place of ReLU.

    Args:
        width: D, of a frame.
        config: heads and the width of the feed-forward network.
        dropout: module behind both branches.
    """

    def __init__(self, width: int, config: AttentionConfig, dropout: nn.Module) -> None:
        super().__init__()
        self.heads = config.heads
        inner = config.feed_forward or 4 * width
        self.attention_norm = nn.LayerNorm(width)
        self.split = nn.Linear(width, 3 * width, bias=False)  # queries, keys and values of all heads
        self.join = nn.Linear(width, width, bias=False)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
        self.dropout = dropout

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Shape (N, S, D), lengths (N,), each at least 1 → (N, S, D).

        Rows behind an utterance's end hold no meaning, but must be finite.
        """
        x = x + self.dropout(self._attend(self.attention_norm(x), lengths))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))  # (N, S, D)

    def _attend(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Each frame's mean over the frames of its utterance. Shapes as in `forward`."""
        number, steps, width = x.shape
        parts = self.split(x).view(number, steps, 3, self.heads, width // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)  # (N, heads, S, D / heads) each
        inside = torch.arange(steps, device=x.device) < lengths[:, None]  # (N, S)
        # A frame behind the end weighs exactly zero. Those frames look at the utterance, too: no row is without a key.
        heard = nn.functional.scaled_dot_product_attention(queries, keys, values, inside[:, None, None])
        return self.join(heard.transpose(1, 2).reshape(number, steps, width))  # (N, S, D)
