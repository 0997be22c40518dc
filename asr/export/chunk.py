"""A trained model as an ONNX graph that reads a recording chunk by chunk; see `asr.model.chunks`."""

from __future__ import annotations

import onnx
from onnx import TensorProto, external_data_helper, helper

from asr.export.encoder import add_encoder, recurrent, states_of
from asr.export.graph import Graph, row
from asr.export.model import begin
from asr.export.weights import linear
from asr.model.acoustic import AcousticModel
from asr.model.recurrent import RecurrentLayer

_SMALL = 1024  # bytes: such constants are not worth looking for


def to_onnx_stream(model: AcousticModel, int8: bool = False) -> onnx.ModelProto:
    """The graph of what a stream computes for each chunk.

    Inputs: ``view``, float32, (1, L): the samples of the chunk and its context; ``chunk``, int64, (1,): C, encoder
    frames of the chunk, at least one; ``states``, float32, (layers, K, H): of the forward directions before the chunk,
    zeros at a recording's beginning. Outputs: ``log_probs``, float32, (1, C, V), and ``states_after``.

    Args:
        model: in evaluation mode; not of whole recordings only (`asr.config.Config.whole_only`).
        int8: as in `asr.export.model.to_onnx`.

    Raises:
        AsrError: something in it has no ONNX operator; says what.
    """
    graph, cell = Graph(int8), model.config.encoder.cell
    x, lengths, limit = begin(graph, model, "view", graph.size("view", 1))
    layers = _Layers()
    x, _ = add_encoder(graph, model.encoder, cell, x, lengths, limit, layers.read)
    x = graph.op("Slice", x, row(0), "chunk", row(1))
    log_probs = graph.op("LogSoftmax", linear(graph, x, model.head), axis=-1)
    after = graph.op("Concat", *layers.after, axis=0)
    info, states = helper.make_tensor_value_info, [len(layers.after), states_of(cell), model.config.encoder.hidden]
    inputs = [
        info("view", TensorProto.FLOAT, [1, "L"]),
        info("chunk", TensorProto.INT64, [1]),
        info("states", TensorProto.FLOAT, states),
    ]
    outputs = {
        log_probs: info("log_probs", TensorProto.FLOAT, [1, "C", model.head.out_features]),
        after: info("states_after", TensorProto.FLOAT, states),
    }
    return graph.finish(inputs, outputs, {"rate": str(model.config.features.rate)})


class _Layers:
    """Adds recurrent layers whose forward directions go on from ``states``, and end at the chunk's end.

    Attributes:
        after: of each layer that was added, the states behind the chunk, (1, K, H).
    """

    def __init__(self) -> None:
        self.after: list[str] = []

    def read(self, graph: Graph, layer: RecurrentLayer, cell: str, x: str, lengths: str, limit: float | None) -> str:
        """(1, S, D) → (1, S, W); see `asr.export.encoder.whole_layer`."""
        number = len(self.after)
        x = graph.op("Transpose", x, perm=[1, 0, 2])  # (S, 1, D)
        mine = graph.op("Slice", "states", row(number), row(number + 1), row(0))  # (1, K, H)
        before = [
            graph.op("Slice", mine, row(which), row(which + 1), row(1)) for which in range(states_of(cell))
        ]  # (1, 1, H)
        own, context = graph.op("Slice", x, row(0), "chunk", row(0)), graph.op("Slice", x, "chunk", row(2**62), row(0))
        forwards = [layer.forwards]
        ahead, *after = recurrent(graph, forwards, cell, own, limit, "forward", states=before)
        # A recording's last chunk has no context, and an operator needs a step: one is added and cut off again.
        context = graph.op("Pad", context, row(0, 0, 0, 1, 0, 0))
        behind, *_ = recurrent(graph, forwards, cell, context, limit, "forward", states=after)
        behind = graph.op("Slice", behind, row(0), row(-1), row(0))
        y = graph.op("Concat", ahead, behind, axis=0)
        if layer.backwards is not None:
            back, *_ = recurrent(graph, [layer.backwards], cell, x, limit, "reverse")  # (S, 1, 1, H)
            y = graph.op("Concat", y, back, axis=3)
        self.after.append(graph.op("Concat", *after, axis=1))
        return graph.op("Transpose", graph.op("Squeeze", y, row(1)), perm=[1, 0, 2])


def refer(graph: onnx.ModelProto, name: str, content: bytes) -> None:
    """Takes out of a graph the constants that stand in a file beside it already, and says where they stand there.

    Args:
        graph: is changed.
        name: of the other file.
        content: of the other file.
    """
    for tensor in graph.graph.initializer:
        if len(tensor.raw_data) >= _SMALL and (place := content.find(tensor.raw_data)) >= 0:
            external_data_helper.set_external_data(tensor, name, place, len(tensor.raw_data))
            tensor.ClearField("raw_data")
