"""What computes log-probs for transcription: PyTorch, or ONNX Runtime without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from asr.errors import AsrError
from asr.tokens import Tokenizer
from asr.transcribe.level import training_level
from asr.transcribe.streamed import Streamed

if TYPE_CHECKING:
    import torch

    from asr.model.acoustic import AcousticModel, Recogniser
    from asr.model.cells import State


class Backend(Protocol):
    """A loaded model, ready to compute.

    Attributes:
        rate: of the samples it takes [Hz].
        shift: feature frames are so many samples apart; an encoder frame is ``factor`` of them.
        factor: feature frames for each encoder frame.
        frame_seconds: distance between two encoder frames [s].
        level: of the speech that it was trained on [dB of full scale]; None: levels make no difference to it.
        tokenizer: what its columns mean.
        sha256: of the folder's SHA256SUMS, which stands for every byte of the model.
    """

    rate: int
    shift: int
    factor: int
    frame_seconds: float
    level: float | None
    tokenizer: Tokenizer
    sha256: str

    def output_length(self, samples: int) -> int:
        """S, exactly, for so many samples; 0 if they are too few for one frame."""

    def log_probs(self, waveforms: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Of each waveform, float32, (samples,) → (S, V); each is long enough for one frame."""

    def streamed(self, latency: float) -> Streamed:
        """The same, for a recording whose samples come in bit by bit.

        Args:
            latency: of a chunk and its context [s].

        Raises:
            UsageError: the model hears whole recordings only, or the latency is too short.
        """


class TorchBackend:
    """A model folder's network in PyTorch. See `Backend`."""

    def __init__(self, recogniser: Recogniser, device: torch.device, bfloat16: bool = False) -> None:
        """Takes a loaded model, and moves it to where to compute; what it multiplies may be rounded to bfloat16.

        Raises:
            AsrError: the model normalises by speaker, which needs a manifest.
        """
        if recogniser.model.config.features.cmvn == "speaker":
            raise AsrError("this model normalises by speaker, so it decodes manifests (asr decode), not single files")
        self.recogniser, self.device, self.tokenizer = recogniser, device, recogniser.tokenizer
        self.model, self.bfloat16 = recogniser.model.to(device), bfloat16
        self.rate = self.model.config.features.rate
        self.shift, self.factor = self.model.features.shift_samples, self.model.encoder.factor
        self.frame_seconds, self.sha256 = self.model.frame_seconds, recogniser.sha256
        self.level = training_level(self.model.config, recogniser.trained)

    def output_length(self, samples: int) -> int:
        return self.model.output_length(samples)

    def log_probs(self, waveforms: Sequence[np.ndarray]) -> list[np.ndarray]:
        import torch

        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            rows = self.model.log_probs([torch.from_numpy(samples) for samples in waveforms], device=self.device)
        return [row.numpy() for row in rows]

    def streamed(self, latency: float) -> Streamed:
        chunking = self.model.config.chunking(latency)
        features = self.model.config.features
        return Streamed(_Reader(self.model, self.device), chunking, features, self.factor, self.level)


class _Reader:
    """See `asr.transcribe.streamed.Reader`."""

    def __init__(self, model: AcousticModel, device: torch.device) -> None:
        self.model, self.device = model, device
        self._states: list[State] = []

    def __call__(self, view: np.ndarray, chunk: int) -> np.ndarray:
        import torch

        with torch.inference_mode():
            waveform = torch.from_numpy(view)[None].to(self.device)  # (1, L)
            lengths = torch.tensor([len(view)], device=self.device)
            features, _ = self.model.features(waveform, lengths)  # (1, T, F)
            encoded, self._states = self.model.encoder.read_chunk(features[0], chunk, self._states)  # (C, R)
            log_probs: np.ndarray = self.model.ctc(encoded[None])[0].cpu().numpy()
        return log_probs
