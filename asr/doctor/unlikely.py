"""Which transcripts a trained model believes least: that is where the label errors are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from asr.decode.greedy import best_path, greedy
from asr.decode.manifest import log_probs_of
from asr.doctor.finding import Case
from asr.model.acoustic import Recogniser
from asr.model.ctc import ctc_loss, required_frames
from asr.tokens import BLANK


@dataclass(frozen=True)
class Unlikely:
    """A transcript that is not what the model hears.

    Attributes:
        set: its manifest.
        id: of the utterance.
        doubt: how much less likely the transcript is than what was heard, see `doubt`.
        text: the transcript; for a model of phones, how it is usually pronounced.
        heard: what the model hears, greedily: words, or phones.
    """

    set: str
    id: str
    doubt: float
    text: str
    heard: str


def log_likelihood(log_probs: np.ndarray, labels: Sequence[int]) -> float:
    """Of a transcript, summed over all its alignments [nats]; minus infinity if there is none.

    Args:
        log_probs: shape (S, V), natural logarithms; blank is 0.
        labels: length U.
    """
    if required_frames(labels) > len(log_probs):
        return -math.inf
    rows = torch.from_numpy(log_probs)[None]  # (1, S, V)
    return -float(ctc_loss(rows, torch.tensor([len(log_probs)]), [labels])[0])


def doubt(log_probs: np.ndarray, labels: Sequence[int]) -> float:
    """How many nats the model's own greedy transcript is more likely than this one, over √(labels of the longer one).

    A wrong word costs the same in a long utterance as in a short one, whereas the doubts about right words add up. By
    the square root, utterances of different lengths are comparable; `docs/doctor.md` tells how that was measured.

    Args:
        log_probs: shape (S, V), natural logarithms; blank is 0.
        labels: of the transcript, length U.
    """
    heard = [token for token, _, _ in best_path(log_probs, BLANK)]
    difference = log_likelihood(log_probs, heard) - log_likelihood(log_probs, labels)
    return difference / math.sqrt(max(1, len(labels), len(heard)))


def least_likely(
    cases: Sequence[Case],
    recogniser: Recogniser,
    device: torch.device,
    report: Callable[[int, int | None], None] = lambda done, total: None,
) -> list[Unlikely]:
    """Every transcript that differs from what the model hears and could be aligned, the most doubtful first.

    Args:
        cases: those whose recordings or transcripts cannot be used are passed over.
        recogniser: its model on ``device``.
        device: where to compute.
        report: told how many seconds of audio are done, and of how many.
    """
    tokenizer, model = recogniser.tokenizer, recogniser.model
    phones = tokenizer.kind == "phone"
    found = []
    usable = [
        case
        for case in cases
        if case.recording.digest and not case.recording.misfit and not tokenizer.unknown(case.utterance.text)
    ]
    total = sum(case.utterance.duration for case in usable)
    done = 0.0
    for name in sorted({case.set for case in usable}):
        chosen = [case.utterance for case in usable if case.set == name]
        before = done
        for made in log_probs_of(chosen, model, device, lambda now: report(round(before + now), round(total))):  # noqa: B023
            for utterance, row in made:
                if isinstance(row, str):
                    continue
                heard = greedy(row, BLANK, tokenizer, model.frame_seconds).text
                labels = tokenizer.encode(utterance.text)
                # Without a lexicon phones make no words: phones are then compared with phones.
                text = tokenizer.decode(labels) if phones else " ".join(utterance.text.split())
                if heard != text and required_frames(labels) <= len(row):
                    found.append(Unlikely(name, utterance.id, doubt(row, labels), text, heard))
        done += sum(utterance.duration for utterance in chosen)
    return sorted(found, key=lambda one: (-one.doubt, one.set, one.id))
