"""A grapheme-to-phoneme model that ``asr export --g2p`` wrote, in ONNX Runtime. Nothing here needs PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asr.errors import AsrError
from asr.model.folder import check_sums
from asr.onnx_network import open_network
from asr.phones.pronounce import Pronouncer
from asr.tokens import load_tokenizer
from asr.yaml_files import read_yaml

NETWORK = "g2p.onnx"


class OnnxG2p(Pronouncer):
    """An exported model made ready to pronounce words."""

    def __init__(self, folder: Path) -> None:
        """Loads it, after checking every file against its checksum.

        Raises:
            AsrError: a file is missing, altered or does not fit the others; names it.
        """
        check_sums(folder, [NETWORK])
        fields = read_yaml(folder / "config.yaml")
        try:
            letters, self._frames = str(fields["letters"]), int(fields["g2p"]["frames"])
        except (KeyError, TypeError, ValueError) as error:
            raise AsrError(f"{folder / 'config.yaml'}: not the config of a grapheme-to-phoneme model") from error
        super().__init__(letters, load_tokenizer(folder, "word"))
        self._session = open_network(folder / NETWORK, ["letters", "lengths", "log_probs"])

    def log_probs(self, words: Sequence[Sequence[int]]) -> list[np.ndarray]:
        lengths = np.array([len(word) for word in words], np.int64)
        letters = np.zeros((len(words), lengths.max()), np.int64)  # (N, L)
        for row, word in zip(letters, words, strict=True):
            row[: len(word)] = word
        (rows,) = self._session.run(["log_probs"], {"letters": letters, "lengths": lengths})  # (N, S, V)
        return [row[: self._frames * length] for row, length in zip(rows, lengths.tolist(), strict=True)]
