"""What is trained on: CTC's loss, an attention decoder's beside it, and what keeps them from being learned by heart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from torch import Tensor, nn

from asr.config import Config
from asr.latency import Chunking
from asr.model.acoustic import AcousticModel
from asr.model.chunks import chunks_of
from asr.model.ctc import ctc_loss, uniform_divergence


class Output(NamedTuple):
    """What a model makes of a batch in training.

    Attributes:
        log_probs: shape (N, S, V), float32.
        lengths: shape (N,).
        intermediate: log-probs after recurrent layers below the last, shape (N, S, V) each.
        attended: ln P of each transcript by the attention decoder, shape (N,); None without one.
        letters: log-probs of the second head, shape (N, S, letters); None without one.
    """

    log_probs: Tensor
    lengths: Tensor
    intermediate: list[Tensor]
    attended: Tensor | None = None
    letters: Tensor | None = None


@contextmanager
def _tapped(connections: nn.ModuleList, chosen: Sequence[int]) -> Iterator[list[Tensor]]:
    """Collects what each of the chosen layers (counted from 1) hands up to the next in forward passes within.

    Above a pyramid that is what comes out of its connection.
    """
    seen: list[Tensor] = []
    taps = [
        connections[number - 1].register_forward_hook(lambda _, __, output: seen.append(output)) for number in chosen
    ]
    try:
        yield seen
    finally:
        for tap in taps:
            tap.remove()


def forward(
    model: AcousticModel,
    features: Tensor,
    frames: Tensor,
    intermediate: Sequence[int],
    labels: Sequence[Sequence[int]],
    chunking: Chunking | None = None,
) -> Output:
    """The model's output, its head's over lower recurrent layers, and how likely its decoder finds the transcripts.

    Where self-attention stands on top, lower layers read the head through the norm that stands before it.

    Args:
        model: the model.
        features: shape (N, T, F).
        frames: shape (N,).
        intermediate: recurrent layers, counted from 1, below the last of them.
        labels: N transcripts as token ids.
        chunking: to go by chunks; None: from end to end.
    """
    with _tapped(model.encoder.stack.connections, intermediate) as seen:
        encoded, lengths = model.encoder(features, frames, chunking)  # (N, S, C)
    if chunking is not None:
        seen = [chunks_of(one, chunking, *encoded.shape[:2]) for one in seen]
    attended = None if model.decoder is None else model.decoder(encoded, lengths, labels)  # (N,)
    below = [model.ctc(model.encoder.norm(one)) for one in seen]  # (N, S, V) each
    letters = None if model.letters is None else model.letters(encoded).float().log_softmax(dim=2)
    return Output(model.ctc(encoded), lengths, below, attended, letters)


def objective(
    output: Output, labels: Sequence[Sequence[int]], config: Config, letters: Sequence[Sequence[int]] = ()
) -> tuple[Tensor, Tensor]:
    """What is trained on, and CTC's loss alone, of each utterance.

    With intermediate losses (Lee and Watanabe 2021, "Intermediate loss regularization for CTC-based speech
    recognition") CTC's loss L becomes (1 − w) L + w · the mean of theirs; with label smoothing of weight a (see
    `uniform_divergence`) that becomes (1 − a) times it + a times the divergence. With an attention decoder of weight d
    that becomes (1 − d) times it + d times the decoder's cross-entropy, summed over the tokens and the end (the
    multiobjective learning of Watanabe et al. 2017, whose λ is 1 − d). With a head for letters, of weight b, that
    becomes (1 − b) times it + b times CTC's loss of the letters.

    Args:
        output: of a batch.
        labels: N transcripts as token ids.
        config: weights of the losses.
        letters: the transcripts as ids of a second head's letters, where there is one.

    Returns:
        Both of shape (N,) [nats]; the same where nothing but CTC is asked for. The second is what a run's history and
        the development set tell of, whatever else is trained on.
    """
    plain = ctc_loss(output.log_probs, output.lengths, labels)
    trained = plain
    if output.intermediate:
        weight = config.train.intermediate_weight / len(output.intermediate)
        trained = (1 - config.train.intermediate_weight) * trained
        for log_probs in output.intermediate:
            trained = trained + weight * ctc_loss(log_probs, output.lengths, labels)
    if config.train.label_smoothing:
        divergence = uniform_divergence(output.log_probs, output.lengths)
        trained = (1 - config.train.label_smoothing) * trained + config.train.label_smoothing * divergence
    if output.attended is not None:
        trained = (1 - config.decoder.weight) * trained - config.decoder.weight * output.attended
    if output.letters is not None:
        weight = config.train.letters_weight
        trained = (1 - weight) * trained + weight * ctc_loss(output.letters, output.lengths, letters)
    return trained, plain
