"""Networks that ``asr export`` wrote, in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from asr.errors import AsrError


def open_network(path: Path, needed: list[str]) -> onnxruntime.InferenceSession:
    """Loads a graph, to compute on one thread.

    Args:
        path: its file.
        needed: names of its inputs and then of its outputs, which it must have.

    Raises:
        AsrError: it cannot be loaded, or is another kind of graph.
    """
    options = onnxruntime.SessionOptions()
    # Threads that share out one operator round otherwise where their shares meet, and wait for each other at every step
    # of an LSTM. Here each has a batch of its own.
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong becomes a sentence
    try:
        session = onnxruntime.InferenceSession(path.as_posix(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class of their own in common
        reason = str(error).partition(" : ")[2] or str(error)
        raise AsrError(f"{path}: could not be loaded by ONNX Runtime {onnxruntime.__version__} ({reason})") from error
    names = [value.name for value in (*session.get_inputs(), *session.get_outputs())]
    if names != needed:
        raise AsrError(f"{path}: not a model that asr export wrote; it takes and gives {', '.join(names)}")
    return session
