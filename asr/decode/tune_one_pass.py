"""CTC's share, language-model weight, word bonus and beam of a joint search by its word errors on a development set.

A search with an attention decoder takes too long to be done anew for every setting. So what a search finds is scored by
each part apart, the settings that would have put the fewest errors first are looked for among all that was found so
far, and a search with these finds more: minimum error rate training (Och 2003, "Minimum error rate training in
statistical machine translation") on a grid.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from asr.decode.beam import BeamOptions, Candidate
from asr.decode.ensemble import joint_scores
from asr.decode.hypothesis import Heard
from asr.decode.one_pass import OnePassDecoder
from asr.decode.tune import BONUSES, WEIGHTS, Trial, narrowest
from asr.score.align import texts_wer

CTC_WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LM_WEIGHTS = (0.0, 0.1, *WEIGHTS)
BEAMS = (8, 16, 32)
_ROUNDS = 4


@dataclass
class _Pool:
    """What was found of an utterance so far, by its tokens and words.

    Attributes:
        parts: of each candidate ln P by CTC, by the attention decoder and by the language model, its number of words,
            and what else the search had added.
        errors: of each candidate.
    """

    parts: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    known: set[tuple[tuple[int, ...], str]] = field(default_factory=set)

    def add(
        self, heard: Heard, found: Sequence[Candidate], reference: str, decoder: OnePassDecoder, searched: BeamOptions
    ) -> None:
        """Takes what it does not know yet."""
        new = {(tuple(one.tokens), one.text): one for one in found if np.isfinite(one.total)}
        fresh = [one for key, one in new.items() if key not in self.known]
        self.known |= set(new)
        if not fresh:
            return
        transcripts = [one.tokens for one in fresh]
        ctc = joint_scores(heard.log_probs[None], transcripts).tolist()
        spelled = spelled_scores(decoder, heard, transcripts).tolist()
        for one, by_ctc, by_attention in zip(fresh, ctc, spelled, strict=True):
            if not np.isfinite(by_ctc):  # forced by a lexicon
                continue
            words = float(len(one.words))
            rest = one.total - one.acoustic - searched.lm_weight * one.lm - searched.word_bonus * words
            self.parts.append((by_ctc, by_attention, one.lm, words, rest))
            self.errors.append(texts_wer([reference], [one.text])[0].errors)


@torch.inference_mode()
def spelled_scores(decoder: OnePassDecoder, heard: Heard, transcripts: Sequence[Sequence[int]]) -> np.ndarray:
    """ln P of transcripts of an utterance, their ends included, by the attention decoder: float64, shape (C,)."""
    network = decoder.network
    device = next(network.parameters()).device
    encoded = torch.from_numpy(heard.encoded).to(device).expand(len(transcripts), -1, -1)  # (C, S, D)
    lengths = torch.full((len(transcripts),), len(heard.encoded), device=device)
    scores: np.ndarray = network(encoded, lengths, transcripts).double().cpu().numpy()
    return scores


def _best_weights(pools: Sequence[_Pool], grid: np.ndarray) -> tuple[float, float, float]:
    """The row of ``grid``, shape (G, 3), that makes the fewest errors: CTC's share, lm_weight and word_bonus."""
    share, weight, bonus = grid.T
    factors = np.stack([share, 1 - share, weight, bonus, np.ones(len(grid))], axis=1)  # (G, 5)
    errors = np.zeros(len(grid), np.int64)
    for pool in pools:
        if not pool.parts:
            continue
        chosen = (factors @ np.array(pool.parts).T).argmax(axis=1)  # (G,)
        errors += np.array(pool.errors)[chosen]
    best: list[float] = grid[errors.argmin()].round(4).tolist()
    return best[0], best[1], best[2]


def tune_one_pass(
    heard: Sequence[Heard],
    references: Sequence[str],
    decoder: OnePassDecoder,
    ctc_weights: Sequence[float] = CTC_WEIGHTS,
    lm_weights: Sequence[float] = LM_WEIGHTS,
    report: Callable[[Trial], None] = lambda trial: None,
) -> Trial:
    """Looks for the settings that make the fewest word errors; the narrowest beam, as `asr.decode.tune.tune` does.

    Args:
        heard: of each utterance.
        references: its transcript.
        decoder: its options and λ are tried first.
        ctc_weights, lm_weights: what is tried.
        report: told of each trial, which is a search.
    """
    tried: dict[tuple[int, float, float, float], Trial] = {}
    pools = [_Pool() for _ in heard]
    grid = np.array(list(itertools.product(ctc_weights, lm_weights, np.arange(BONUSES[0], BONUSES[-1] + 0.1, 0.5))))

    def judge(beam: int, weights: tuple[float, float, float]) -> Trial:
        key = (beam, *weights)
        if key not in tried:
            share, weight, bonus = weights
            options = replace(decoder.options, beam=beam, nbest=beam, lm_weight=weight, word_bonus=bonus)
            found = decoder.with_options(options).with_weight(share).decode_batch(heard)
            for pool, one, candidates, reference in zip(pools, heard, found, references, strict=True):
                pool.add(one, candidates, reference, decoder, options)
            counts, _ = texts_wer(references, [candidates[0].text for candidates in found])
            tried[key] = Trial(options, counts.errors, counts.reference_length, share)
            report(tried[key])
        return tried[key]

    beam, options = BEAMS[1], decoder.options
    weights = (decoder.ctc_weight, options.lm_weight, options.word_bonus)
    for _ in range(_ROUNDS):
        judge(beam, weights)
        weights = _best_weights(pools, grid)
        if (beam, *weights) in tried:
            break
    best = min(tried.values(), key=lambda trial: trial.errors)
    found = (best.ctc_weight or 0.0, best.options.lm_weight, best.options.word_bonus)
    return narrowest([judge(beam, found) for beam in BEAMS])
