"""What is trained on: CTC's loss, and what keeps it from being learned by heart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor, nn

from asr.config import TrainConfig
from asr.model.acoustic import AcousticModel
from asr.model.ctc import ctc_loss, uniform_divergence


class Output(NamedTuple):
    """What a model makes of a batch in training.

    Attributes:
        log_probs: shape (N, S, V), float32.
        lengths: shape (N,).
        intermediate: log-probs after recurrent layers below the last, shape (N, S, V) each.
    """

    log_probs: Tensor
    lengths: Tensor
    intermediate: list[Tensor]


@contextmanager
def _tapped(layers: nn.ModuleList, chosen: Sequence[int]) -> Iterator[list[Tensor]]:
    """Collects what each of the chosen layers (counted from 1) hands up to the next in forward passes within."""
    seen: list[Tensor] = []
    taps = [layers[number].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for number in chosen]
    try:
        yield seen
    finally:
        for tap in taps:
            tap.remove()


def forward(model: AcousticModel, features: Tensor, frames: Tensor, intermediate: Sequence[int]) -> Output:
    """The model's output, and that of its head over lower recurrent layers.

    Where self-attention stands on top, they read the head through the norm that stands before it.

    Args:
        model: the model.
        features: shape (N, T, F).
        frames: shape (N,).
        intermediate: recurrent layers, counted from 1, below the last of them.
    """
    with _tapped(model.encoder.stack.layers, intermediate) as seen:
        log_probs, lengths = model(features, frames)  # (N, S, V)
    below = [model.head(model.encoder.norm(one)).float().log_softmax(dim=2) for one in seen]  # (N, S, V) each
    return Output(log_probs, lengths, below)


def objective(output: Output, labels: Sequence[Sequence[int]], config: TrainConfig) -> tuple[Tensor, Tensor]:
    """What is trained on, and CTC's loss alone, of each utterance.

    With intermediate losses (Lee and Watanabe 2021, "Intermediate loss regularization for CTC-based speech
    recognition") CTC's loss L becomes (1 − w) L + w · the mean of theirs; with label smoothing of weight a (see
    `uniform_divergence`) that becomes (1 − a) times it + a times the divergence.

    Args:
        output: of a batch.
        labels: N transcripts as token ids.
        config: weights of the losses.

    Returns:
        Both of shape (N,) [nats]; the same where neither is asked for.
    """
    plain = ctc_loss(output.log_probs, output.lengths, labels)
    trained = plain
    if output.intermediate:
        weight = config.intermediate_weight / len(output.intermediate)
        trained = (1 - config.intermediate_weight) * trained
        for log_probs in output.intermediate:
            trained = trained + weight * ctc_loss(log_probs, output.lengths, labels)
    if config.label_smoothing:
        divergence = uniform_divergence(output.log_probs, output.lengths)
        trained = (1 - config.label_smoothing) * trained + config.label_smoothing * divergence
    return trained, plain
