"""Weights of eight bits, and LSTMs that compute with them.

ONNX Runtime's int8 LSTM rounds what a layer reads, and its state before each step, in steps that it takes from the
least and the greatest number in the whole batch; so an utterance would be recognised differently in another batch. Here
these ranges never change. What a layer reads has a known range (a state lies between −1 and 1, normalised features are
cut off), and two columns hold just its ends; among the units two pairs keep a state of 1 and of −1. Their weights are
zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto
from torch import nn

from asr.export.graph import MICROSOFT, Graph, real, row

FEATURE_LIMIT = 6.0  # normalised features are cut off at so many deviations; those of speech stay within 5
STATE_LIMIT = 1.001  # a tanh that is approximated goes a little beyond 1
# Processors without VNNI add two products of a state (8 bits, unsigned) and a weight in 16 bits; 2 · 255 · 64 fits.
LARGEST = 64
_ENDS = np.array([1, -1, 1, -1], np.float32)  # two pairs, so that the gates' columns stay a multiple of 16
# ONNX Runtime approximates: its sigmoid is 0 and 1 at the first two; at the third it is a little above 1, and so is its
# tanh at the memory that is held: nowhere are they greater, so that no state can be.
_SHUT, _OPEN, _MOST = -50.0, 50.0, 17.807888
_HELD = 8.495975


def _quantised(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (…, K, C) → int8 of the same shape, and what each column is to be multiplied with, float32, (…, C)."""
    scales = np.abs(weights).max(axis=-2) / LARGEST
    scales[scales == 0] = 1
    return np.rint(weights / scales[..., None, :]).astype(np.int8), real(scales)


def matrix(graph: Graph, weights: np.ndarray) -> str | np.ndarray:
    """A matrix (…, K, C) to compute with in float32; of an int8 graph it is kept in eight bits, and unfolded once."""
    if not graph.int8:
        return weights
    whole, scales = _quantised(weights)
    return graph.op("Mul", graph.op("Cast", whole, to=TensorProto.FLOAT), scales[..., None, :])


def linear(graph: Graph, x: str, layer: nn.Linear) -> str:
    """An ``nn.Linear``. (…, D) → (…, C)."""
    y = graph.op("MatMul", x, matrix(graph, real(layer.weight).T))
    return y if layer.bias is None else graph.op("Add", y, real(layer.bias))


def lstm(
    graph: Graph,
    x: str,
    lengths: str,
    weights: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None],
    limit: float,
    direction: str,
    states: Sequence[str] = (),
) -> list[str]:
    """An LSTM in int8.

    Args:
        graph: to which.
        x: (S, N, D), each number between −limit and limit.
        lengths: int32, (N,); "": all S.
        weights: ONNX's W (K, 4H, D), R (K, 4H, H), B (K, 8H), and P (K, 3H) or None, of K directions.
        limit: of x.
        direction: as ONNX names it.
        states: both before the first step, (K, N, H); none: zeros.

    Returns:
        (S, K, N, H), and both states behind the last step, (K, N, H).
    """
    weight_ih, weight_hh, bias, peepholes = weights
    directions, _, hidden = weight_hh.shape
    inputs, more = weight_ih.shape[2], len(_ENDS)
    units = hidden + more
    padded_ih = np.zeros((directions, inputs + 2, 4, units), np.float32)
    padded_ih[:, :inputs, :, :hidden] = weight_ih.transpose(0, 2, 1).reshape(directions, inputs, 4, hidden)
    padded_hh = np.zeros((directions, units, 4, units), np.float32)
    padded_hh[:, :hidden, :, :hidden] = weight_hh.transpose(0, 2, 1).reshape(directions, hidden, 4, hidden)
    biases = np.zeros((directions, 2, 4, units), np.float32)
    biases[..., :hidden] = bias.reshape(directions, 2, 4, hidden)
    biases[:, 0, :, hidden:] = np.array([_SHUT, _MOST, _OPEN, 0])[:, None]  # input, output, forget, cell
    looks: str | np.ndarray = ""
    if peepholes is not None:
        looks = np.pad(peepholes.reshape(directions, 3, hidden), ((0, 0), (0, 0), (0, more))).reshape(directions, -1)

    ends = graph.op("Concat", graph.op("Shape", x, end=2), row(2), axis=0)
    x = graph.op("Concat", x, graph.op("Expand", real([limit, -limit]), ends), axis=2)
    number = graph.op("Concat", row(directions), graph.size(x, 1), row(1), axis=0)
    zeros = graph.op("Expand", np.zeros(hidden, np.float32), number)
    held = [graph.op("Expand", _ENDS * np.float32(size), number) for size in (1, _HELD)]
    before = zip(states or [zeros, zeros], held, strict=True)
    whole_ih, scales_ih = _quantised(padded_ih.reshape(directions, inputs + 2, -1))
    whole_hh, scales_hh = _quantised(padded_hh.reshape(directions, units, -1))
    points = np.zeros(scales_ih.shape, np.int8)
    said, *after = graph.ops(
        3,
        "DynamicQuantizeLSTM",
        x,
        whole_ih,
        whole_hh,
        biases.reshape(directions, -1),
        lengths,
        *(graph.op("Concat", *parts, axis=2) for parts in before),
        looks,
        scales_ih,
        points,
        scales_hh,
        points,
        domain=MICROSOFT,
        direction=direction,
        hidden_size=units,
    )
    return [
        graph.op("Slice", said, row(0), row(hidden), row(3)),
        *(graph.op("Slice", state, row(0), row(hidden), row(2)) for state in after),
    ]
