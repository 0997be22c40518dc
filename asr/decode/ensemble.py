"""Several models that recognise together: each hears for itself, and what they agree upon comes out.

What is averaged is the log-probability of a whole transcript, over all its alignments, not that of a frame's token. CTC
leaves each model free to write a token a frame or two earlier or later than another does, so the mean of two models'
frames holds two weak tokens, or none, where each had a strong one (Kurata and Audhkhasi 2019, "Guiding CTC posterior
spike timings for improved posterior fusion and knowledge distillation").
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asr.decode.beam import BeamDecoder, BeamOptions, Candidate, log_sum
from asr.decode.greedy import best_path, greedy
from asr.decode.hypothesis import Decoder, Heard, Hypothesis
from asr.errors import UsageError
from asr.tokens import BLANK, Tokenizer

if TYPE_CHECKING:
    from asr.model.acoustic import AcousticModel, Recogniser

_EACH = 16  # candidates that each model may propose
_MOST = 1 << 24  # numbers that scoring transcripts may hold at once (64 MB), if it can be done with so few


def load_models(folders: Sequence[Path]) -> list[Recogniser]:
    """Loads one model, or several that can recognise together.

    Raises:
        AsrError: a folder cannot be loaded.
        UsageError: two of them differ in tokens or in where their frames lie; names what differs.
    """
    from asr.model.acoustic import load_model  # torch

    recognisers = [load_model(folder) for folder in folders]
    for folder, other in zip(folders[1:], recognisers[1:], strict=True):
        difference = _difference(recognisers[0], other)
        if difference:
            raise UsageError(f"{folders[0]} and {folder} cannot recognise together: {difference}")
    return recognisers


def _difference(one: Recogniser, other: Recogniser) -> str | None:
    """What keeps two models from being averaged; None if nothing does."""
    mine, theirs = one.tokenizer.symbols, other.tokenizer.symbols
    if one.tokenizer.kind != other.tokenizer.kind:
        return f"their tokens are of kind {one.tokenizer.kind} and {other.tokenizer.kind}"
    if mine != theirs:
        lacking = [f"{symbol!r}" for symbol in [*mine, *theirs] if (symbol in mine) != (symbol in theirs)][:5]
        named = f"only one of them has {', '.join(lacking)}" if lacking else "they stand in another order"
        return f"their tokens differ ({len(mine)} and {len(theirs)}): {named}"
    if one.model.frame_seconds != other.model.frame_seconds:
        return f"their frames are {1000 * one.model.frame_seconds:g} and {1000 * other.model.frame_seconds:g} ms apart"
    for key in ("rate", "frame_shift", "frame_length", "snip_edges"):
        values = [getattr(each.model.config.features, key) for each in (one, other)]
        if values[0] != values[1]:
            return f"features.{key} is {values[0]} and {values[1]}, so that their frames lie elsewhere"
    return None


def ensemble_sha256(recognisers: Sequence[Recogniser]) -> str:
    """What stands for every byte of the models, in whatever order; of a single one its own sum."""
    sums = sorted(one.sha256 for one in recognisers)
    return sums[0] if len(sums) == 1 else hashlib.sha256("\n".join(sums).encode()).hexdigest()


def networks(recognisers: Sequence[Recogniser]) -> list[AcousticModel]:
    """Their models, in an order that does not depend on how they were named, so that sums are the same to the bit."""
    return [one.model for one in sorted(recognisers, key=lambda one: one.sha256)]


def mean_frames(rows: np.ndarray | Heard) -> np.ndarray:
    """What can be shown of several models frame by frame: the mean of their probabilities.

    Args:
        rows: log-probs, shape (M, S, V) of M models, or (S, V) of one, which are returned as they are; also as `Heard`.

    Returns:
        Shape (S, V), in the type of ``rows``.
    """
    if isinstance(rows, Heard):
        return rows.log_probs
    if rows.ndim == 2:
        return rows
    mean = np.logaddexp.reduce(rows.astype(np.float64), axis=0) - math.log(len(rows))
    return mean.astype(rows.dtype)


def joint_scores(rows: np.ndarray, transcripts: Sequence[Sequence[int]]) -> np.ndarray:
    """Mean over M models of ln P of each transcript, which is summed over all its alignments.

    Args:
        rows: log-probs, shape (M, S, V).
        transcripts: C token sequences.

    Returns:
        Float64, shape (C,) [nats]; −inf where the frames are too few.
    """
    import torch

    from asr.model.ctc import ctc_loss

    if rows.shape[1] == 0:
        return np.array([-math.inf if tokens else 0.0 for tokens in transcripts])
    frames, longest = rows.shape[1], max(map(len, transcripts), default=0)
    most = max(1, _MOST // (frames * (2 * longest + 1)))  # the loss keeps S × (2U + 1) numbers of each transcript
    scores = np.empty((len(rows), len(transcripts)))
    for begin in range(0, len(transcripts), most):
        part = transcripts[begin : begin + most]
        for row, found in zip(rows, scores[:, begin : begin + most], strict=True):
            shared = torch.from_numpy(row).float().expand(len(part), -1, -1)  # (C, S, V), one row for all
            found[:] = -ctc_loss(shared, torch.full((len(part),), frames), part).double().numpy()
    return scores.mean(axis=0)


def _check_rows(rows: np.ndarray) -> None:
    if rows.ndim != 3:
        raise ValueError(f"log-probs of several models must be of shape (M, S, V), these are {rows.shape}")


def joint_greedy_decoder(tokenizer: Tokenizer, frame_seconds: float) -> Decoder:
    """Of the models' greedy transcripts the one that they together find likeliest, with the times of who found it.

    The decoder takes log-probs of shape (M, S, V); its scores are those of `joint_scores`.
    """

    def decode(rows: np.ndarray) -> Hypothesis:
        _check_rows(rows)
        paths = [tuple(token for token, _, _ in best_path(row, BLANK)) for row in rows]
        transcripts = list(dict.fromkeys(paths))
        scores = joint_scores(rows, transcripts)
        best = int(scores.argmax())
        found = greedy(rows[paths.index(transcripts[best])], BLANK, tokenizer, frame_seconds)
        return replace(found, score=float(scores[best]))

    return lambda utterances: [decode(rows) for rows in utterances]


class JointDecoder:
    """A beam search by each of several models, and their candidates put into one order.

    Each model proposes its best candidates; each candidate is then scored by every model (`joint_scores`), which
    replaces its acoustic score. Language model, bonus and hotwords count as the search had counted them. With a lexicon
    all spellings are scored that any model found of the words it proposes, and only then summed, so that candidates
    differ in their words as those of one model do. A candidate that a lexicon forced upon frames that rule it out keeps
    its score of −inf.
    """

    def __init__(self, decoder: BeamDecoder) -> None:
        self._each = decoder.with_options(replace(decoder.options, nbest=_EACH))
        self._each.apart = True
        self.options = decoder.options

    def with_options(self, options: BeamOptions) -> JointDecoder:
        """The same decoder with other options."""
        return JointDecoder(self._each.with_options(options))

    def decode_batch(self, log_probs: Sequence[np.ndarray], threads: int) -> list[list[Candidate]]:
        """Candidates of each utterance, at least one and at most ``nbest``, the best first.

        Args:
            log_probs: of each utterance, shape (M, S, V).
            threads: how many searches at once.

        Raises:
            ValueError: not log-probabilities of that shape.
        """
        for rows in log_probs:
            _check_rows(rows)
        found = iter(self._each.decode_batch([row for rows in log_probs for row in rows], threads))
        joint = [_together(rows, [next(found) for _ in rows]) for rows in log_probs]
        if self._each.lexicon is not None:
            joint = [_summed(candidates) for candidates in joint]
        return [sorted(candidates, key=_rank)[: self.options.nbest] for candidates in joint]


def _together(rows: np.ndarray, proposed: Sequence[Sequence[Candidate]]) -> list[Candidate]:
    """What the models proposed for an utterance, each spelling of each sequence of words once, scored by all of them.

    Homophones have the same tokens and differ in their words.
    """
    union: dict[tuple[tuple[int, ...], tuple[str, ...]], Candidate] = {}
    for one in itertools.chain.from_iterable(proposed):
        key = tuple(one.tokens), tuple(one.words)
        if key not in union or not math.isfinite(union[key].total):
            union[key] = one
    transcripts = list(dict.fromkeys(tokens for tokens, _ in union))
    scores = dict(zip(transcripts, joint_scores(rows, transcripts).tolist(), strict=True))
    return [
        replace(one, acoustic=scores[tokens], total=one.total - one.acoustic + scores[tokens])
        if math.isfinite(one.total)
        else one
        for (tokens, _), one in union.items()
    ]


def _summed(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those of equal words as one: the best of them with the score of all."""
    alike: dict[tuple[str, ...], list[Candidate]] = {}
    for one in sorted(candidates, key=_rank):
        alike.setdefault(tuple(one.words), []).append(one)
    gains = [(ones[0], log_sum([one.total for one in ones])[1]) for ones in alike.values()]
    return [replace(best, acoustic=best.acoustic + gain, total=best.total + gain) for best, gain in gains]


def _rank(one: Candidate) -> tuple[float, list[int], list[str]]:
    return -one.total, one.tokens, one.words
