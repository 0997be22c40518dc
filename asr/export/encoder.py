"""`asr.model.encoder` as a part of an ONNX graph: recurrent layers, what stands between them, and self-attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from onnx import TensorProto
from torch import nn

from asr.errors import AsrError
from asr.export.frontend import add_front_end, join_frames
from asr.export.graph import Graph, Input, inside, layer_norm, mask, real, row, shortened
from asr.export.weights import STATE_LIMIT, linear, lstm, matrix
from asr.model.between import Highway, Plain, Residual
from asr.model.encoder import Encoder
from asr.model.frontend import Stacking
from asr.model.recurrent import RecurrentLayer

# Operator, and the place of each of its gates among PyTorch's: ONNX has i o f c for i f g o, and z r h for r z n.
_OPERATORS = {"lstm": ("LSTM", [0, 3, 1, 2]), "peephole": ("LSTM", [0, 3, 1, 2]), "gru": ("GRU", [1, 0, 2])}
_OPERATORS["rnn"] = ("RNN", [0])

# As `whole_layer`, which says what the arguments are.
LayerReader: TypeAlias = Callable[[Graph, RecurrentLayer, str, str, str, float | None], str]


def whole_layer(graph: Graph, layer: RecurrentLayer, cell: str, x: str, lengths: str, limit: float | None) -> str:
    """(N, S, D) → (N, S, W); ``limit`` is that of x, if it has one."""
    x = graph.op("Transpose", x, perm=[1, 0, 2])  # (S, N, D)
    ends = graph.op("Cast", lengths, to=TensorProto.INT32)
    there = {"forward": layer.forwards, "reverse": layer.backwards}
    directions = {name: one for name, one in there.items() if one is not None}
    name = "bidirectional" if len(directions) == 2 else next(iter(directions))
    y, *_ = recurrent(graph, list(directions.values()), cell, x, limit, name, ends)  # (S, K, N, H)
    width = sum(one.hidden_size for one in directions.values())
    return graph.op("Reshape", graph.op("Transpose", y, perm=[2, 0, 1, 3]), row(0, 0, width))


def add_encoder(
    graph: Graph,
    encoder: Encoder,
    cell: str,
    x: str,
    lengths: str,
    limit: float | None = None,
    read: LayerReader = whole_layer,
) -> tuple[str, str]:
    """Adds what `Encoder.forward` does.

    Args:
        graph: to which.
        encoder: in evaluation mode.
        cell: of its recurrent layers.
        x: features (N, T, F), padding zero.
        lengths: (N,).
        limit: of the features, if they have one; of an int8 graph those LSTMs compute in int8 whose input has.
        read: adds a recurrent layer.

    Returns:
        (N, S, W), with anything behind each utterance's end, and its lengths (N,).

    Raises:
        AsrError: ONNX has no such cell.
    """
    if cell not in _OPERATORS:
        raise AsrError(
            f"encoder.cell={cell}: ONNX has no such layer, so this model cannot be exported; the cells "
            f"{', '.join(_OPERATORS)} can"
        )
    x = add_front_end(graph, encoder.subsampling, x, lengths)
    limit = limit if isinstance(encoder.subsampling, Stacking) else None
    lengths = shortened(graph, lengths, encoder.subsampled)
    own = inside(graph, lengths, graph.size(x, 1))
    x = mask(graph, x, own)
    stack: Any = encoder.stack
    blocks = zip(stack.layers, stack.norms, stack.projections, stack.connections, strict=True)
    for number, (layer, norm, projection, connection) in enumerate(blocks):
        y = read(graph, layer, cell, x, lengths, limit)
        if isinstance(norm, nn.LayerNorm):
            y = layer_norm(graph, y, norm)
        if isinstance(projection, nn.Linear):
            y = linear(graph, y, projection)
        x = _connect(graph, connection, x, y)
        bare = isinstance(norm, nn.Identity) and isinstance(projection, nn.Identity)
        limit = _limit(connection, limit, STATE_LIMIT if bare else None)
        if number < stack.pyramid:
            x = join_frames(graph, mask(graph, x, own), 2)
            lengths = shortened(graph, lengths, 2)
            own = inside(graph, lengths, graph.size(x, 1))
    above: Any = encoder.attention
    for layer in above:
        x = _self_attention(graph, layer, x, own)
    return layer_norm(graph, x, encoder.norm) if isinstance(encoder.norm, nn.LayerNorm) else x, lengths


def recurrent(
    graph: Graph,
    directions: Sequence[Any],
    cell: str,
    x: str,
    limit: float | None,
    direction: str,
    lengths: str = "",
    states: Sequence[str] = (),
) -> list[str]:
    """Adds one direction of a layer, or both.

    Args:
        graph: to which.
        directions: of `asr.model.cells.make_direction`.
        cell: their kind.
        x: (S, N, D).
        limit: of x, if it has one.
        direction: as ONNX names it.
        lengths: int32, (N,); "": all S.
        states: before the first step, (K, N, H) each, as many as `states_of` says; none: zeros. Not of peepholes.

    Returns:
        (S, K, N, H), and the states behind the last step, (K, N, H): two of LSTMs, of others one.
    """
    kind, order = _OPERATORS[cell]
    parts = zip(*(_direction_weights(one, order) for one in directions), strict=True)
    weight_ih, weight_hh, bias, peepholes = (np.stack(part) for part in parts)
    peeps = cell == "peephole"
    if graph.int8 and kind == "LSTM" and limit is not None:
        weights = (weight_ih, weight_hh, bias, peepholes if peeps else None)
        return lstm(graph, x, lengths, weights, limit, direction, states)
    matrices = [matrix(graph, weight) for weight in (weight_ih, weight_hh)]
    more: dict[str, Any] = {"linear_before_reset": 1} if kind == "GRU" else {}
    before: list[Input] = ["", "", peepholes] if peeps else [*states]
    inputs = [x, *matrices, bias, lengths, *before]
    hidden = weight_hh.shape[2]
    return graph.ops(states_of(cell) + 1, kind, *inputs, direction=direction, hidden_size=hidden, **more)


def states_of(cell: str) -> int:
    """How many vectors a cell hands on from step to step."""
    return 2 if _OPERATORS[cell][0] == "LSTM" else 1


def _limit(connection: nn.Module, read: float | None, said: float | None) -> float | None:
    """How far from zero what comes out of a connection can be, from what the layer reads and what it says."""
    if said is None or isinstance(connection, Plain):
        return said
    if read is None:
        return None
    return read + said if isinstance(connection, Residual) else max(read, said)


def _direction_weights(direction: Any, order: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What ONNX wants of one direction.

    Args:
        direction: of `asr.model.cells.make_direction`.
        order: PyTorch's gates in ONNX's order.

    Returns:
        W (gates · H, D), R (gates · H, H), both biases (2 · gates · H,), and peepholes (3 · H,), input, output, forget.
    """

    def sorted_(parameter: Any) -> np.ndarray:
        values = real(parameter)
        gates = values.reshape(len(order), -1, *values.shape[1:])[order]
        return gates.reshape(values.shape)

    bias = np.concatenate([sorted_(direction.bias_ih_l0), sorted_(direction.bias_hh_l0)])
    peepholes = getattr(direction, "peepholes", None)
    looks = np.empty(0, np.float32) if peepholes is None else real(peepholes)[[0, 2, 1]].reshape(-1)
    return sorted_(direction.weight_ih_l0), sorted_(direction.weight_hh_l0), bias, looks


def _connect(graph: Graph, connection: nn.Module, x: str, y: str) -> str:
    """The way around a layer: what it reads and what it says."""
    if isinstance(connection, Residual):
        return graph.op("Add", x, y)
    if isinstance(connection, Highway):
        gate = graph.op("Sigmoid", linear(graph, x, connection.gate))
        return graph.op("Add", x, graph.op("Mul", gate, graph.op("Sub", y, x)))
    return y


def _self_attention(graph: Graph, layer: Any, x: str, own: str) -> str:
    """As `SelfAttentionLayer.forward`. (N, S, D), (N, S) → (N, S, D)."""
    width = layer.join.in_features
    each = width // layer.heads
    parts = linear(graph, layer_norm(graph, x, layer.attention_norm), layer.split)  # (N, S, 3 D)
    parts = graph.op("Reshape", parts, row(0, 0, 3, layer.heads, each))

    def part(number: int, perm: list[int]) -> str:
        return graph.op("Transpose", graph.op("Gather", parts, np.array(number), axis=2), perm=perm)

    queries, keys, values = part(0, [0, 2, 1, 3]), part(1, [0, 2, 3, 1]), part(2, [0, 2, 1, 3])
    scores = graph.op("MatMul", graph.op("Mul", queries, real(each**-0.5)), keys)  # (N, heads, S, S)
    scores = graph.op("Where", graph.op("Unsqueeze", own, row(1, 2)), scores, real(-np.inf))
    heard = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), values)  # (N, heads, S, D / heads)
    heard = graph.op("Reshape", graph.op("Transpose", heard, perm=[0, 2, 1, 3]), row(0, 0, width))
    x = graph.op("Add", x, linear(graph, heard, layer.join))
    wide = linear(graph, layer_norm(graph, x, layer.feed_forward_norm), layer.feed_forward[0])
    half = graph.op("Mul", wide, real(0.5))
    risen = graph.op("Add", graph.op("Erf", graph.op("Mul", wide, real(0.5**0.5))), real(1))
    return graph.op("Add", x, linear(graph, graph.op("Mul", half, risen), layer.feed_forward[2]))
