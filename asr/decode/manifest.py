"""Decoding a manifest: every utterance ends as a hypothesis or as a named failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from asr.audio import read_utterance
from asr.cmvn import speaker_key, speaker_statistics
from asr.decode.hypothesis import Decoder, Heard, Hypothesis, Row, unfit
from asr.errors import AsrError
from asr.loading import by_length, prefetch
from asr.manifest import Utterance
from asr.model.acoustic import AcousticModel


def _read(utterance: Utterance, model: AcousticModel) -> torch.Tensor | str:
    """The samples, or why there are none."""
    try:
        samples = torch.from_numpy(read_utterance(utterance, model.config.features.rate))
    except AsrError as error:
        return str(error)
    if model.output_length(len(samples)) < 1:
        return f"{utterance.id}: {len(samples)} samples at {model.config.features.rate} Hz are too short for one frame"
    return samples


def log_probs_of(
    utterances: Sequence[Utterance],
    model: AcousticModel,
    device: torch.device,
    report: Callable[[float], None] = lambda seconds: None,
    batch_seconds: float = 120.0,
    others: Sequence[AcousticModel] = (),
    encoded: bool = False,
    latency: float | None = None,
) -> Iterator[list[tuple[Utterance, Row | str]]]:
    """What the model makes of each utterance, in float32, in batches by length.

    Args:
        utterances: what to decode.
        model: in evaluation mode, on ``device``.
        device: where to compute.
        report: told after each batch how many seconds of audio are done.
        batch_seconds: most padded audio at once [s].
        others: further models that hear the same; see `asr.decode.ensemble`.
        encoded: whether what the encoder says is wanted, too; not with others.
        latency: that of a stream, to go chunk by chunk as it does [s]; None: from end to end.

    Yields:
        The utterances of a batch, each with its log-probs, shape (S, V), or (M, S, V) of M models if there are others,
        or as `Heard` if ``encoded``; or with the reason why there are none.

    Raises:
        UsageError: there is a latency, and a model hears whole recordings only.
    """
    models = [model, *others]
    by_speaker = [
        speaker_statistics(one.features, utterances) if one.config.features.cmvn == "speaker" else {} for one in models
    ]
    chunkings = [None if latency is None else one.config.chunking(latency) for one in models]
    done = 0.0

    def load(batch: list[int]) -> list[tuple[Utterance, torch.Tensor | str]]:
        return [(utterances[index], _read(utterances[index], model)) for index in batch]

    for loaded in prefetch(load, by_length([one.duration for one in utterances], batch_seconds)):
        made: list[tuple[Utterance, Row | str]] = [
            (utterance, read) for utterance, read in loaded if isinstance(read, str)
        ]
        readable = [(utterance, read) for utterance, read in loaded if not isinstance(read, str)]
        if readable:
            heard: list[list[Row]] = []
            waveforms = [read for _, read in readable]
            for one, known, chunking in zip(models, by_speaker, chunkings, strict=True):
                statistics = (
                    torch.stack([known[speaker_key(utterance)] for utterance, _ in readable]) if known else None
                )
                if encoded:
                    pairs = one.hear(waveforms, statistics, device)
                    heard.append([Heard(log_probs.numpy(), said.numpy()) for log_probs, said in pairs])
                else:
                    rows = one.log_probs(waveforms, statistics, device, chunking)
                    heard.append([log_probs.numpy() for log_probs in rows])
            for (utterance, _), *each in zip(readable, *heard, strict=True):
                row: Row = np.stack(each) if others else each[0]
                reason = unfit(row.log_probs if encoded else row)
                made.append((utterance, f"{utterance.id}: {reason}" if reason else row))
        yield made
        done += sum(utterance.duration for utterance, _ in loaded)
        report(done)


def decode_manifest(
    utterances: Sequence[Utterance],
    model: AcousticModel,
    decode: Decoder,
    device: torch.device,
    report: Callable[[float], None] = lambda seconds: None,
    batch_seconds: float = 120.0,
    keep: Callable[[str, Row], None] = lambda name, log_probs: None,
    others: Sequence[AcousticModel] = (),
    encoded: bool = False,
    latency: float | None = None,
) -> tuple[dict[str, Hypothesis], dict[str, str]]:
    """Decodes with a model and a decoder; ``keep`` is shown the log-probs of each id, the rest is as in `log_probs_of`.

    Returns:
        Hypotheses by id, and the reasons of the failed by id.
    """
    hypotheses: dict[str, Hypothesis] = {}
    failed: dict[str, str] = {}
    for made in log_probs_of(utterances, model, device, report, batch_seconds, others, encoded, latency):
        failed |= {utterance.id: row for utterance, row in made if isinstance(row, str)}
        rows = [(utterance.id, row) for utterance, row in made if not isinstance(row, str)]
        for name, row in rows:
            keep(name, row)
        hypotheses |= zip([name for name, _ in rows], decode([row for _, row in rows]), strict=True)
    return hypotheses, failed
