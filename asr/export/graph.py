"""An ONNX graph in the making."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, MICROSOFT_OPSET = 17, 1  # 17 is the first with LayerNormalization
IR_VERSION = 8  # that came with it
MICROSOFT = "com.microsoft"  # ONNX Runtime's own operators

Input: TypeAlias = str | np.ndarray


class Graph:
    """Nodes and constants, put together one by one; a value is known by its name.

    Attributes:
        int8: whether its weights are to have eight bits; see `asr.export.int8`.
    """

    def __init__(self, int8: bool = False) -> None:
        self.int8 = int8
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []

    def op(self, kind: str, *inputs: Input, domain: str = "", **attributes: Any) -> str:
        """As `ops`, but its first output alone."""
        return self.ops(1, kind, *inputs, domain=domain, **attributes)[0]

    def ops(self, outputs: int, kind: str, *inputs: Input, domain: str = "", **attributes: Any) -> list[str]:
        """Adds an operator and returns the names of its first so many outputs.

        Args:
            outputs: how many.
            kind: as in ``MatMul``.
            inputs: names of values, or arrays, which become constants; "" for one that is left out.
            domain: whose operator it is.
            attributes: as ONNX names them.
        """
        names = [one if isinstance(one, str) else self._constant(one) for one in inputs]
        made = [f"{kind}{len(self._nodes)}.{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(kind, names, made, domain=domain, **attributes))
        return made

    def _constant(self, values: np.ndarray) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def size(self, x: str, axis: int) -> str:
        """The length of an axis, int64, shape (1,)."""
        return self.op("Shape", x, start=axis, end=axis + 1)

    def count(self, size: str) -> str:
        """0, 1, … up to a size, int64, shape (size,)."""
        return self.op("Range", integer(0), self.op("Squeeze", size), integer(1))

    def finish(self, inputs: list[Any], outputs: dict[str, Any], about: dict[str, str]) -> onnx.ModelProto:
        """The checked model.

        Args:
            inputs: of `onnx.helper.make_tensor_value_info`.
            outputs: name of a value → the same, under the name it is to have outside.
            about: metadata.
        """
        for value, info in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [info.name]))
        graph = helper.make_graph(self._nodes, "asr", inputs, list(outputs.values()), self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, MICROSOFT_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="asr")
        helper.set_model_props(model, about)
        onnx.checker.check_model(model)
        return model


def integer(*values: int) -> np.ndarray:
    """Int64: a scalar, or several in a row."""
    return np.array(values if len(values) > 1 else values[0], np.int64)


def row(*values: int) -> np.ndarray:
    """Int64, of one axis."""
    return np.array(values, np.int64)


def real(values: Any) -> np.ndarray:
    """Float32, whatever it was; of a tensor or of numbers."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=np.float32)


def inside(graph: Graph, lengths: str, steps: str) -> str:
    """Which frames are an utterance's own. Lengths (N,), the number of frames (1,) → bool, (N, T)."""
    return graph.op("Less", graph.count(steps), graph.op("Unsqueeze", lengths, row(1)))


def mask(graph: Graph, x: str, own: str, axes: int = 1) -> str:
    """Zeros where ``own`` is false; ``axes`` is how many axes of x come behind its own. (N, T, …), (N, T) → (N, T, …).

    A product with zero would let NaN through.
    """
    return graph.op("Where", graph.op("Unsqueeze", own, row(*range(2, 2 + axes))), x, real(0))


def shortened(graph: Graph, lengths: str, factor: int) -> str:
    """⌈length / factor⌉ of each."""
    if factor == 1:
        return lengths
    return graph.op("Div", graph.op("Add", lengths, integer(factor - 1)), integer(factor))


def layer_norm(graph: Graph, x: str, layer: Any) -> str:
    """An ``nn.LayerNorm`` over as many last axes as its gain has."""
    axis = -layer.weight.dim()
    return graph.op("LayerNormalization", x, real(layer.weight), real(layer.bias), axis=axis, epsilon=layer.eps)
