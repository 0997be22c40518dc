"""`asr.model.frontend` as a part of an ONNX graph: feature frames → fewer and richer ones."""

from __future__ import annotations

from typing import Any

from torch import nn

from asr.export.graph import Graph, inside, integer, layer_norm, mask, real, row, shortened
from asr.model.frontend import DeepSpeech2, FrontEnd, Stacking, StridedConvolution, TimeConvolutions, Vgg


def add_front_end(graph: Graph, front_end: FrontEnd, x: str, lengths: str) -> str:
    """Adds what a front end does; behind each utterance's end anything may stand.

    Args:
        graph: to which.
        front_end: of the model's encoder.
        x: (N, T, F), padding zero.
        lengths: (N,).

    Returns:
        (N, ⌈T / factor⌉, D).
    """
    if isinstance(front_end, Stacking):
        return join_frames(graph, x, front_end.factor)
    if isinstance(front_end, StridedConvolution):
        return graph.op("Relu", _over_time(graph, front_end.convolution, x))
    if isinstance(front_end, TimeConvolutions):
        layers: Any = front_end.layers
        for layer in layers:
            lengths = shortened(graph, lengths, layer.stride)
            x = graph.op("Relu", layer_norm(graph, _over_time(graph, layer.convolution, x), layer.norm))
            x = mask(graph, x, inside(graph, lengths, graph.size(x, 1)))
        return x
    return graph.op("Reshape", _over_planes(graph, front_end, x, lengths), row(0, 0, front_end.outputs))


def join_frames(graph: Graph, x: str, factor: int) -> str:
    """Puts neighbouring frames side by side. (N, T, D), padding zero → (N, ⌈T / factor⌉, factor · D)."""
    if factor == 1:
        return x
    lacking = graph.op("Mod", graph.op("Neg", graph.size(x, 1)), integer(factor))  # (1,)
    x = graph.op("Pad", x, graph.op("Concat", row(0, 0, 0, 0), lacking, row(0), axis=0))
    width = graph.op("Mul", graph.size(x, 2), integer(factor))
    steps = graph.op("Div", graph.size(x, 1), integer(factor))
    return graph.op("Reshape", x, graph.op("Concat", row(0), steps, width, axis=0))


def _convolution(graph: Graph, layer: nn.Conv1d | nn.Conv2d, x: str) -> str:
    """Channels behind the batch, as ONNX has them, too."""
    assert layer.bias is not None
    pads = [int(pad) for pad in layer.padding] * 2
    return graph.op("Conv", x, real(layer.weight), real(layer.bias), strides=list(layer.stride), pads=pads)


def _over_time(graph: Graph, layer: nn.Conv1d, x: str) -> str:
    """(N, T, F) → (N, ⌈T / stride⌉, channels)."""
    convolved = _convolution(graph, layer, graph.op("Transpose", x, perm=[0, 2, 1]))
    return graph.op("Transpose", convolved, perm=[0, 2, 1])


def _over_planes(graph: Graph, front_end: Vgg | DeepSpeech2, x: str, lengths: str) -> str:
    """(N, T, F) → (N, ⌈T / factor⌉, bands, channels)."""
    x = graph.op("Unsqueeze", x, row(1))  # (N, 1, T, F)
    layers: Any = front_end.layers
    for number, layer in enumerate(layers):
        lengths = shortened(graph, lengths, layer.stride[0])
        x = graph.op("Transpose", _convolution(graph, layer.convolution, x), perm=[0, 2, 3, 1])  # (N, T, F, C)
        x = graph.op("Relu", layer_norm(graph, x, layer.norm))
        x = mask(graph, x, inside(graph, lengths, graph.size(x, 1)), axes=2)
        x = graph.op("Transpose", x, perm=[0, 3, 1, 2])  # (N, C, T, F)
        if isinstance(front_end, Vgg) and number % 2:
            stride = front_end.strides[number // 2]
            x = graph.op("MaxPool", x, kernel_shape=[stride, 2], strides=[stride, 2], ceil_mode=1)
            lengths = shortened(graph, lengths, stride)
    return graph.op("Transpose", x, perm=[0, 2, 3, 1])
