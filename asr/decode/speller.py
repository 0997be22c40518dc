"""What an attention decoder says of the prefixes of a joint search; see `asr.decode.one_pass`."""

from __future__ import annotations

import numpy as np
import torch

from asr.model.attention_decoder import EDGE, AttentionDecoder


class Speller:
    """Scores of the prefixes in the beam, B of them, the empty one at first, beside those of CTC."""

    @torch.inference_mode()
    def __init__(self, network: AttentionDecoder, encoded: np.ndarray) -> None:
        self._network, device = network, next(network.parameters()).device
        rows = torch.from_numpy(encoded).to(device)[None]  # (1, S, C)
        self._memory = network.listen(rows, torch.tensor([len(encoded)], device=device))
        self._state = network.start(self._memory, 1)
        self._totals = np.zeros(1)
        self._read(np.array([EDGE]))

    def _read(self, tokens: np.ndarray) -> None:
        inputs = torch.from_numpy(tokens).to(self._memory.values.device)
        following, self._state = self._network.step(self._memory, self._state, inputs)
        self._following = following.double().cpu().numpy()  # (B, V)

    def whole(self) -> np.ndarray:
        """Of each prefix as a whole transcript, shape (B,)."""
        ended: np.ndarray = self._totals + self._following[:, EDGE]
        return ended

    def extended(self) -> np.ndarray:
        """Of each prefix with each token more, shape (B, V)."""
        extended: np.ndarray = self._totals[:, None] + self._following
        return extended

    @torch.inference_mode()
    def extend(self, parents: np.ndarray, tokens: np.ndarray) -> None:
        """Goes on to other prefixes: these with one token more each, int64 of shape (B',)."""
        self._totals = self._totals[parents] + self._following[parents, tokens]
        self._state = self._state.select(torch.from_numpy(parents).to(self._memory.values.device))
        self._read(tokens)
