"""A grapheme-to-phoneme model as an ONNX graph, beside an exported recogniser: for hotwords that its lexicon lacks."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from asr.export.encoder import whole_layer
from asr.export.graph import Graph, real, row
from asr.export.weights import linear, matrix
from asr.model.folder import save_files
from asr.model.recurrent import RecurrentLayer
from asr.phones.g2p import G2pModel, load_g2p
from asr.phones.onnx_g2p import NETWORK


def g2p_to_onnx(model: G2pModel, int8: bool) -> onnx.ModelProto:
    """The graph of `G2pModel.forward`.

    Inputs: ``letters``, int64, (N, L), and ``lengths``, int64, (N,). Output: ``log_probs``, float32, (N, S, V).

    Args:
        model: in evaluation mode.
        int8: whether weights are to be kept in eight bits; they are unfolded when the graph is loaded.
    """
    graph = Graph(int8)
    table = matrix(graph, real(model.embedding.weight))
    x = graph.op("Gather", table, "letters", axis=0)  # (N, L, E)
    for layer in model.stack.layers:
        assert isinstance(layer, RecurrentLayer)
        x = whole_layer(graph, layer, "lstm", x, "lengths", None)
    scores = linear(graph, x, model.head)  # (N, L, frames · V)
    vocabulary = model.head.out_features // model.config.frames
    scores = graph.op("Reshape", scores, row(0, -1, vocabulary))
    log_probs = graph.op("LogSoftmax", scores, axis=-1)
    info = helper.make_tensor_value_info
    inputs = [info("letters", TensorProto.INT64, ["N", "L"]), info("lengths", TensorProto.INT64, ["N"])]
    outputs = {log_probs: info("log_probs", TensorProto.FLOAT, ["N", "S", vocabulary])}
    return graph.finish(inputs, outputs, {})


def export_g2p(model: Path, out: Path, int8: bool) -> None:
    """Writes a folder with the graph, its letters, its phones and their sums.

    Args:
        model: folder that ``asr g2p train`` made.
        out: folder for it.
        int8: see `g2p_to_onnx`.

    Raises:
        AsrError: it cannot be read or written.
    """
    g2p = load_g2p(model)
    fields = {"g2p": g2p.model.config.model_dump(), "letters": g2p.letters, "trained": g2p.trained}
    save_files(out, {NETWORK: g2p_to_onnx(g2p.model, int8).SerializeToString()}, g2p.phones, fields)
