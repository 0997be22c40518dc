"""A trained model as an ONNX graph: padded waveforms → CTC's log-probs."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from asr.export.encoder import add_encoder
from asr.export.features import add_features
from asr.export.graph import Graph, real
from asr.export.weights import FEATURE_LIMIT, linear
from asr.model.acoustic import AcousticModel


def to_onnx(model: AcousticModel, int8: bool = False) -> onnx.ModelProto:
    """The graph of all that `AcousticModel.log_probs` does; what an attention decoder says is no part of it.

    Inputs: ``waveforms``, float32, (N, L), full scale ±1; ``lengths``, int64, (N,): samples of each, enough for a
    frame. What stands behind them has no influence. Outputs: ``log_probs``, float32, (N, S, V), and ``frames``, int64,
    (N,): how many of the S are each utterance's own.

    Args:
        model: in evaluation mode.
        int8: whether weights are to have eight bits and LSTMs are to compute with them.

    Raises:
        AsrError: something in it has no ONNX operator; says what.
    """
    graph = Graph(int8)
    x, lengths, limit = begin(graph, model, "waveforms", "lengths")
    x, lengths = add_encoder(graph, model.encoder, model.config.encoder.cell, x, lengths, limit)
    log_probs = graph.op("LogSoftmax", linear(graph, x, model.head), axis=-1)
    info = helper.make_tensor_value_info
    inputs = [info("waveforms", TensorProto.FLOAT, ["N", "L"]), info("lengths", TensorProto.INT64, ["N"])]
    outputs = {
        log_probs: info("log_probs", TensorProto.FLOAT, ["N", "S", model.head.out_features]),
        lengths: info("frames", TensorProto.INT64, ["N"]),
    }
    return graph.finish(inputs, outputs, {"rate": str(model.config.features.rate)})


def begin(graph: Graph, model: AcousticModel, waveforms: str, lengths: str) -> tuple[str, str, float | None]:
    """Adds the features, (N, T, F), and returns them, their lengths, (N,), and their limit if they have one."""
    x, frames = add_features(graph, model.features, waveforms, lengths)
    if not graph.int8 or model.config.features.cmvn == "none":
        return x, frames, None
    return graph.op("Clip", x, real(-FEATURE_LIMIT), real(FEATURE_LIMIT)), frames, FEATURE_LIMIT
