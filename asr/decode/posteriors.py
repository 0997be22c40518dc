"""What an acoustic model heard, frame by frame, kept small enough to lie beside the hypotheses and be looked at.

A CTC model is nearly certain in most frames, so the few tokens that are at all probable say nearly everything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from asr.errors import AsrError
from asr.files import replacing

LEAST = 0.02  # probability below which a token is left out
_STEPS = 255  # a probability is kept as this many steps

Sparse = tuple[np.ndarray, np.ndarray, np.ndarray]


def sparse(log_probs: np.ndarray) -> Sparse:
    """The probable tokens of each frame.

    Args:
        log_probs: shape (S, V).

    Returns:
        Frames (uint32), tokens (uint16) and probabilities (uint8, in 255 steps), in order of frames; one entry for
        each probability of at least `LEAST`.
    """
    frames, tokens = np.nonzero(log_probs >= np.log(LEAST))
    probabilities = np.exp(np.minimum(log_probs[frames, tokens], 0.0))
    steps = np.rint(probabilities * _STEPS).astype(np.uint8)
    return frames.astype(np.uint32), tokens.astype(np.uint16), steps


@dataclass(frozen=True)
class Posteriors:
    """The probable tokens of many utterances.

    Attributes:
        tokens: spelling of each token; the blank is 0.
        frame_seconds: time from frame to frame [s].
    """

    tokens: list[str]
    frame_seconds: float
    _spans: dict[str, tuple[int, int]] = field(repr=False)
    _frames: np.ndarray = field(repr=False)
    _tokens: np.ndarray = field(repr=False)
    _steps: np.ndarray = field(repr=False)

    def __contains__(self, name: str) -> bool:
        return name in self._spans

    def of(self, name: str) -> Sparse:
        """Frames, tokens and probabilities (float32) of an utterance, as `sparse` gives them.

        Raises:
            KeyError: nothing is kept of it.
        """
        begin, end = self._spans[name]
        probabilities = self._steps[begin:end].astype(np.float32) / _STEPS
        return self._frames[begin:end], self._tokens[begin:end], probabilities


def write_posteriors(path: Path, kept: Mapping[str, Sparse], tokens: Sequence[str], frame_seconds: float) -> None:
    """Writes what `sparse` made of each utterance, whole or not at all.

    Raises:
        AsrError: the file could not be written.
    """
    parts = list(kept.values())
    columns = {
        "ends": np.cumsum([len(one[0]) for one in parts], dtype=np.int64),
        "frames": np.concatenate([one[0] for one in parts] or [np.empty(0, np.uint32)]),
        "tokens": np.concatenate([one[1] for one in parts] or [np.empty(0, np.uint16)]),
        "probabilities": np.concatenate([one[2] for one in parts] or [np.empty(0, np.uint8)]),
    }
    about = {"ids": list(kept), "tokens": list(tokens), "frame_seconds": frame_seconds}
    with replacing(path) as temporary:
        temporary.write_bytes(save(columns, metadata={"asr": json.dumps(about, ensure_ascii=False)}))


def read_posteriors(path: Path) -> Posteriors:
    """Reads what `write_posteriors` wrote.

    Raises:
        AsrError: missing, damaged or another kind of file.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["asr"])
            ends, frames, tokens, steps = (
                file.get_tensor(name) for name in ("ends", "frames", "tokens", "probabilities")
            )
        begins = [0, *ends.tolist()]
        spans = dict(zip(about["ids"], zip(begins, ends.tolist(), strict=False), strict=True))
        return Posteriors(about["tokens"], float(about["frame_seconds"]), spans, frames, tokens, steps)
    except OSError as error:
        raise AsrError(f"{path}: could not be read ({error.strerror or error})") from error
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise AsrError(f"{path}: not a file of posteriors ({error}); decode again") from error
