from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr.decode.posteriors import LEAST, read_posteriors, sparse, write_posteriors
from asr.errors import AsrError


def _log_probs(frames: int, tokens: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=4, size=(frames, tokens))
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), dtype=np.float32)


@pytest.mark.parametrize("frames", [0, 1, 50])
def test_what_is_probable_comes_back_and_nothing_else(tmp_path: Path, frames: int) -> None:
    spoken = {"a/1": _log_probs(frames, 30, 1), "b": _log_probs(7, 30, 2), "c": np.zeros((0, 30), np.float32)}
    path = tmp_path / "posteriors.safetensors"
    write_posteriors(path, {name: sparse(rows) for name, rows in spoken.items()}, [f"t{n}" for n in range(30)], 0.03)
    read = read_posteriors(path)
    assert (len(read.tokens), read.tokens[3], read.frame_seconds) == (30, "t3", 0.03)
    for name, rows in spoken.items():
        dense = np.zeros(rows.shape)
        at, token, probability = read.of(name)
        dense[at, token] = probability
        expected = np.where(np.exp(rows) >= LEAST, np.exp(rows), 0)
        np.testing.assert_allclose(dense, expected, atol=0.5 / 255 + 1e-6)
    assert "b" in read and "d" not in read
    with pytest.raises(KeyError):
        read.of("d")


def test_none_at_all(tmp_path: Path) -> None:
    write_posteriors(tmp_path / "none.safetensors", {}, ["<blank>"], 0.03)
    assert "a" not in read_posteriors(tmp_path / "none.safetensors")


def test_damaged_or_missing_files_get_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "posteriors.safetensors"
    with pytest.raises(AsrError, match="could not be read"):
        read_posteriors(path)
    write_posteriors(path, {"a": sparse(_log_probs(9, 5, 3))}, list("abcde"), 0.03)
    whole = path.read_bytes()
    for broken in (b"", whole[:40], whole[:-3], b"x" * 200):
        path.write_bytes(broken)
        with pytest.raises(AsrError, match="not a file of posteriors"):
            read_posteriors(path)
