"""Recurrent layers over padded batches, the same numbers whatever an utterance is batched with.

Each direction of a layer is a unidirectional layer of its own; the backward one reads every utterance
reversed by its own length, so that padding lies at the end for both and no state ever comes out of it. Packed sequences
give the same numbers, but keep PyTorch off oneDNN's fused kernel and train several times slower on a CPU
(scripts/bench_train.py measures it).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from asr.model.between import DROPOUTS, make_connection
from asr.model.cells import State, draw_weights, make_direction, read, read_chunks, read_on
from asr.model.chunks import Views
from asr.model.config import Direction, EncoderConfig
from asr.model.padding import join_frames, mask_padding, reversal, reverse, shortened


class RecurrentLayer(nn.Module):
    """One layer that reads each utterance in both directions (Graves and Schmidhuber 2005), or in one."""

    def __init__(
        self,
        cell: str,
        inputs: int,
        hidden: int,
        width: int = 0,
        weight_dropout: float = 0.0,
        direction: Direction = "both",
    ) -> None:
        super().__init__()
        width = width or hidden
        self.forwards = make_direction(cell, inputs, hidden, width) if direction != "backwards" else None
        self.backwards = make_direction(cell, inputs, hidden, width) if direction != "forwards" else None
        self.weight_dropout = weight_dropout

    def forward(self, x: Tensor, order: Tensor) -> Tensor:
        """Shape (N, S, D) → (N, S, W), W that of all directions; ``order`` is the batch's `reversal`."""
        parts = []
        if self.forwards is not None:
            parts.append(read(self.forwards, x, self.weight_dropout))  # (N, S, R)
        if self.backwards is not None:
            parts.append(reverse(read(self.backwards, reverse(x, order), self.weight_dropout), order))  # (N, S, R)
        return torch.cat(parts, dim=2)

    def read_chunks(self, x: Tensor, views: Views, state: State | None, contexts: bool) -> tuple[Tensor, State]:
        """Reads views of utterances, forwards from chunk to chunk, backwards each for itself; see `asr.model.chunks`.

        A layer that reads backwards only cannot.

        Chunks follow each other in time; all else is done for all of them at once.

        Args:
            x: shape (M, C + R, D).
            views: where they lie.
            state: of the forward direction before the first chunks; None: zeros.
            contexts: whether what is said of the contexts is wanted, too.

        Returns:
            Shape (M, C + R or C, W), and the forward direction's state behind each chunk.
        """
        assert self.forwards is not None
        chunk, weights = views.chunk, draw_weights(self.forwards, self.weight_dropout)
        own = x.view(views.number, views.chunks, *x.shape[1:])[:, :, :chunk]  # (N, K, C, D)
        ahead, ends = read_chunks(self.forwards, own, state, weights)
        ahead = ahead.flatten(0, 1)  # (M, C, H)
        if contexts and views.context:
            behind, _ = read_on(self.forwards, x[:, chunk:], ends, weights)  # (M, R, H)
            ahead = torch.cat([ahead, behind], dim=1)
        if self.backwards is None:
            return ahead, ends
        back = reverse(read(self.backwards, reverse(x, views.order), self.weight_dropout), views.order)
        return torch.cat([ahead, back[:, : ahead.shape[1]]], dim=2), ends


class RecurrentStack(nn.Module):
    """Recurrent layers on top of each other, and what the config puts between them.

    A layer's output goes through layer norm, projection and dropout; then the connection adds or mixes in what the
    layer read; then, in a pyramid's lower layers, pairs of frames are joined (Chan et al. 2016).
    """

    def __init__(self, config: EncoderConfig, inputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        self.norms = nn.ModuleList()
        self.projections = nn.ModuleList()
        self.connections = nn.ModuleList()
        width, whole = config.direction_width, config.layer_width
        for number, (outputs, spanned) in enumerate(zip(config.layer_widths, config.spanned_layers, strict=True)):
            self.layers.append(
                RecurrentLayer(config.cell, inputs, config.hidden, width, config.weight_dropout, config.direction)
            )
            self.norms.append(nn.LayerNorm(whole) if config.layer_norm else nn.Identity())
            last = number == config.layers - 1
            projected = config.projection and not last
            self.projections.append(nn.Linear(whole, outputs) if projected else nn.Identity())
            self.connections.append(make_connection(config.connection if spanned else "none", outputs))
            inputs = 2 * outputs if number < config.pyramid else outputs
        self.dropout = DROPOUTS[config.dropout_kind](config.dropout)
        self.pyramid = config.pyramid
        self.outputs = whole

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Shape (N, S, D), lengths (N,) → (N, ⌈S / 2^pyramid⌉, W), lengths (N,).

        Rows behind an utterance's end hold no meaning.
        """
        order = reversal(lengths, x.shape[1])
        blocks = zip(self.layers, self.norms, self.projections, self.connections, strict=True)
        for number, (layer, norm, projection, connection) in enumerate(blocks):
            x = connection(x, self.dropout(projection(norm(layer(x, order)))))
            if number < self.pyramid:
                x = join_frames(mask_padding(x, lengths), 2)
                lengths = shortened(lengths, 2)
                order = reversal(lengths, x.shape[1])
        return x, lengths

    def read_chunks(self, x: Tensor, views: Views, states: Sequence[State] = ()) -> tuple[Tensor, list[State]]:
        """Chunk by chunk instead of from end to end; for cells of `NATIVE`, without a pyramid.

        Args:
            x: shape (M, C + R, D).
            views: where they lie.
            states: of each layer's forward direction before the first chunks; none: zeros.

        Returns:
            Of the chunks alone, shape (M, C, W), and the states behind each, shape (1, M, H).
        """
        after = []
        blocks = zip(self.layers, self.norms, self.projections, self.connections, strict=True)
        for number, (layer, norm, projection, connection) in enumerate(blocks):
            above = number + 1 < len(self.layers)  # the last layer's contexts are read by nobody
            assert isinstance(layer, RecurrentLayer)
            y, state = layer.read_chunks(x, views, states[number] if states else None, above)
            y = projection(norm(y))  # (M, W, D'), W is C + R or C
            # By utterance, as locked dropout is.
            y = self.dropout(y.view(views.number, -1, y.shape[2])).view(y.shape)
            x = connection(x[:, : y.shape[1]], y)
            after.append(state)
        return x, after


class UnidirectionalStack(nn.Module):
    """Layers that read forwards only, on top of each other, with dropout behind each: for language models.

    Args:
        cell: as in ``encoder.cell``.
        inputs: D.
        hidden: H.
        layers: how many.
        dropout: behind each layer.
        width: of a projected cell's recurrence; 0: H.
    """

    def __init__(self, cell: str, inputs: int, hidden: int, layers: int, dropout: float, width: int = 0) -> None:
        super().__init__()
        self.outputs = width or hidden
        self.layers = nn.ModuleList(
            make_direction(cell, self.outputs if number else inputs, hidden, self.outputs) for number in range(layers)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, S, D) → (N, S, R), from a state of zeros. Rows behind a sequence's end hold no meaning."""
        for layer in self.layers:
            x = self.dropout(read(layer, x, 0.0))
        return x
