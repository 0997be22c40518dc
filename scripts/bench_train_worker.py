"""The batches and the training step of ``bench_train.py``, and the encoders of others; needs nothing of this project.

    PYTHON bench_train_worker.py ENCODER THREADS UTTERANCES

prints one line of JSON, as `measure` returns it. ENCODER is one of `ENCODERS`; PYTHON has torch and what that needs.
All have three bidirectional LSTM layers of 256 units, dropout 0.2 and a linear CTC head over the same labels.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

LENGTHS = {"1–3 s": (1.0, 3.0, 60), "10–15 s": (10.0, 15.0, 16)}  # seconds from, to, utterances in a batch
BANDS, VOCABULARY, STACKED = 80, 28, 3
LAYERS, HIDDEN, DROPOUT = 3, 256, 0.2
LABELS = 10  # a second
LONG_STEP = 4.0  # [s]


class Batch(NamedTuple):
    """Normalised features (N, T, F), padding zero, longest first as ESPnet wants them; frames (N,); labels."""

    features: Tensor
    frames: Tensor
    labels: list[list[int]]


def batches(lengths: str, most: int) -> Iterator[Batch]:
    """The same for all, without end; at most so many utterances each."""
    low, high, count = LENGTHS[lengths]
    count = min(count, most)
    random = torch.Generator().manual_seed(1)
    while True:
        frames = (100 * (low + (high - low) * torch.rand(count, generator=random))).long().sort(descending=True)[0]
        features = torch.randn(count, int(frames.max()), BANDS, generator=random)  # (N, T, F)
        features *= (torch.arange(features.shape[1]) < frames[:, None])[:, :, None]
        counts = (frames * LABELS / 100).long().tolist()
        yield Batch(features, frames, [torch.randint(1, VOCABULARY, (n,), generator=random).tolist() for n in counts])


def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW with PyTorch's settings."""
    return torch.optim.AdamW(model.parameters(), fused=True)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, bfloat16: bool) -> tuple[float, int]:
    """Forward, CTC, backward, clipped gradients, AdamW.

    Returns:
        The loss [nats a label], and the encoder's frames, padding not counted.
    """
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        log_probs, lengths = model(batch.features, batch.frames)  # (N, S, V), (N,)
    counts = torch.tensor([len(one) for one in batch.labels])
    targets = torch.tensor([label for one in batch.labels for label in one])
    loss = nn.functional.ctc_loss(log_probs.transpose(0, 1), targets, lengths, counts, reduction="sum") / counts.sum()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return loss.item(), int(lengths.sum())


def rate(model: nn.Module, lengths: str, bfloat16: bool, utterances: int) -> tuple[float, float]:
    """Audio hours trained an hour, and encoder frames a second of audio, of the second of two steps.

    The first warms up; if it takes so long that this is nothing beside it, it is the only one.
    """
    optimizer = make_optimizer(model.train())
    for batch in islice(batches(lengths, utterances), 2):
        begin = time.perf_counter()
        loss, encoded = step(model, optimizer, batch, bfloat16)
        took = time.perf_counter() - begin
        if not 0 < loss < math.inf:
            raise ValueError(f"a loss of {loss}")
        if took > LONG_STEP:
            break
    seconds = float(batch.frames.sum()) / 100
    return seconds / took, encoded / seconds


def measure(model: nn.Module, precisions: Sequence[str], utterances: int) -> dict[str, Any]:
    """Trains on at most so many utterances of each kind of batch in each precision.

    Returns:
        ``parameters``; ``frames``, the encoder's, a second; ``rates``: kind of batch → precision → audio hours an hour.
    """
    rates: dict[str, dict[str, float]] = {}
    for lengths in LENGTHS:
        found = {one: rate(model, lengths, one == "bfloat16", utterances) for one in precisions}
        rates[lengths] = {one: speed for one, (speed, _) in found.items()}
        frames = found[precisions[0]][1]
    return {"parameters": sum(one.numel() for one in model.parameters()), "frames": frames, "rates": rates}


def stack(batch: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Neighbouring frames side by side: (N, T, F), (N,) → (N, ⌈T / 3⌉, 3 F), (N,)."""
    batch = nn.functional.pad(batch, (0, 0, 0, -batch.shape[1] % STACKED))
    return batch.reshape(batch.shape[0], -1, STACKED * batch.shape[2]), (frames + STACKED - 1) // STACKED


class Packed(nn.Module):
    """As a BiLSTM-CTC model is usually written in PyTorch: nn.LSTM over packed sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(STACKED * BANDS, HIDDEN, LAYERS, batch_first=True, dropout=DROPOUT, bidirectional=True)
        self.head = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(2 * HIDDEN, VOCABULARY))

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        x, lengths = stack(features, frames)
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        y, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.head(y).log_softmax(2), lengths


class Espnet(nn.Module):
    """One of ESPnet's encoders, whose output is as wide as one direction of its LSTMs, as its defaults are."""

    def __init__(self, encoder: nn.Module, stacked: bool = False) -> None:
        super().__init__()
        self.encoder, self.stacked = encoder, stacked
        self.head = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(HIDDEN, VOCABULARY))

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        if self.stacked:
            features, frames = stack(features, frames)
        y, lengths, _ = self.encoder(features, frames)
        return self.head(y).log_softmax(2), torch.as_tensor(lengths)


def espnet(**settings: Any) -> Espnet:
    """RNNEncoder: ``use_projection`` and ``subsample``, the steps from frame to frame behind each layer."""
    from espnet2.asr.encoder.rnn_encoder import RNNEncoder

    size = {"num_layers": LAYERS, "hidden_size": HIDDEN, "output_size": HIDDEN, "dropout": DROPOUT}
    projected = settings["use_projection"]
    bands = BANDS if projected else STACKED * BANDS
    return Espnet(RNNEncoder(bands, **size, **settings), stacked=not projected)


def espnet_vgg() -> Espnet:
    """VGGRNNEncoder: four convolutions of 64 and 128 channels, which make one frame of four."""
    from espnet2.asr.encoder.vgg_rnn_encoder import VGGRNNEncoder

    return Espnet(VGGRNNEncoder(BANDS, num_layers=LAYERS, hidden_size=HIDDEN, output_size=HIDDEN, dropout=DROPOUT))


class Crdnn(nn.Module):
    """SpeechBrain's CRDNN, which knows nothing of lengths and reads the padding too."""

    def __init__(self) -> None:
        super().__init__()
        from speechbrain.lobes.models.CRDNN import CRDNN
        from speechbrain.nnet.RNN import LSTM

        self.encoder = CRDNN(
            input_size=BANDS, dropout=DROPOUT, cnn_channels=[32, 64], time_pooling=True, time_pooling_size=STACKED,
            rnn_class=LSTM, rnn_layers=LAYERS, rnn_neurons=HIDDEN, dnn_neurons=HIDDEN,
        )  # fmt: skip
        self.head = nn.Linear(HIDDEN, VOCABULARY)

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(self.encoder(features)).log_softmax(2), frames // STACKED


ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "packed": Packed,
    "espnet stacked": lambda: espnet(use_projection=False),
    "espnet": lambda: espnet(use_projection=True, subsample=(STACKED, 1, 1)),
    "espnet vgg": espnet_vgg,
    "crdnn": Crdnn,
}


def main() -> None:
    encoder, threads, utterances = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    print(json.dumps(measure(ENCODERS[encoder](), ["float32"], int(utterances))))


if __name__ == "__main__":
    main()
