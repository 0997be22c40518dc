"""Language-model weights, word bonus and beam by their word errors on a development set, over log-probs made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from asr.decode.beam import BeamDecoder, BeamOptions, Candidate
from asr.decode.ensemble import JointDecoder
from asr.decode.rescore import Rescoring, recurrent_scores, rescore
from asr.lm.recurrent import RecurrentLm
from asr.score.align import Counts, texts_wer

WEIGHTS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0)
BONUSES = (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0)
BEAMS = (16, 32, 64, 128, 256, 512)
THRESHOLDS = (9.0, 10.0, 12.0, 15.0)  # [nats] that kept prefixes may be below the best; fewer take less time
_REFINEMENTS = ((0.1, 0.5), (0.05, 0.25))  # steps of weight and bonus around the best so far
_MIXES = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0)
_FACTORS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5)
_AS_GOOD = 1.01  # a wider beam must save more than a hundredth of the errors
_NO_WORSE = 1.001  # a tighter threshold may cost a thousandth of them


@dataclass(frozen=True)
class Trial:
    """One setting and the word errors it makes."""

    options: BeamOptions
    errors: int
    words: int
    ctc_weight: float | None = None  # of a search with an attention decoder

    @property
    def wer(self) -> float:
        """[%]"""
        return 100 * self.errors / max(self.words, 1)


def tune(
    rows: Sequence[np.ndarray],
    references: Sequence[str],
    decoder: BeamDecoder | JointDecoder,
    threads: int,
    report: Callable[[Trial], None] = lambda trial: None,
    widest: int | None = None,
    alone: bool = True,
) -> Trial:
    """Looks for the settings that make the fewest word errors: a grid, then smaller and smaller steps around its best.

    Of equal settings the first tried wins, so that the result does not depend on chance; weights are tried from small
    to large. The beam is the narrowest that makes at most one in a hundred errors more than the best, and the threshold
    below which its prefixes are dropped the tightest that makes at most one in a thousand more.

    Args:
        rows: log-probs of each utterance, shape (S, V); (M, S, V) for a `JointDecoder`.
        references: its transcript.
        decoder: with the language model; its options hold what is not looked for.
        threads: how many utterances at once.
        report: told of each trial.
        widest: the widest beam that is tried; None: of all.
        alone: whether only the best transcript is wanted; else the threshold stays, and the next best with it.
    """
    beams = [beam for beam in BEAMS if widest is None or beam < widest] + ([] if widest is None else [widest])
    tried: dict[tuple[int, float, float], Trial] = {}

    def judge(beam: int, weight: float, bonus: float) -> Trial:
        key = (beam, round(weight, 4), round(bonus, 4))
        if key not in tried:
            tried[key] = decode(replace(decoder.options, beam=beam, lm_weight=key[1], word_bonus=key[2], nbest=1))
        return tried[key]

    def decode(options: BeamOptions) -> Trial:
        found = decoder.with_options(options).decode_batch(rows, threads)
        counts, _ = texts_wer(references, [candidates[0].text for candidates in found])
        trial = Trial(options, counts.errors, counts.reference_length)
        report(trial)
        return trial

    def best_at(beam: int) -> Trial:
        return min((trial for trial in tried.values() if trial.options.beam == beam), key=lambda trial: trial.errors)

    def refine(beam: int, weight_step: float, bonus_step: float) -> None:
        centre = best_at(beam).options
        for weight in (-weight_step, 0.0, weight_step):
            for bonus in (-bonus_step, 0.0, bonus_step):
                judge(beam, max(0.0, centre.lm_weight + weight), centre.word_bonus + bonus)

    for weight in WEIGHTS:
        for bonus in BONUSES:
            judge(beams[0], weight, bonus)
    for steps in _REFINEMENTS:
        refine(beams[0], *steps)
    found = best_at(beams[0]).options
    beam = narrowest([judge(beam, found.lm_weight, found.word_bonus) for beam in beams]).options.beam
    if beam != beams[0]:
        refine(beam, *_REFINEMENTS[0])
    best = best_at(beam)
    for threshold in (one for one in THRESHOLDS if alone and one < best.options.beam_threshold):
        trial = decode(replace(best.options, beam_threshold=threshold))
        if trial.errors <= _NO_WORSE * best.errors:
            return trial
    return best


def narrowest(trials: Sequence[Trial]) -> Trial:
    """Of trials with wider and wider beams the first that makes at most one in a hundred errors more than the best."""
    fewest = min(trial.errors for trial in trials)
    return next(trial for trial in trials if trial.errors <= _AS_GOOD * fewest)


def tune_rescoring(
    nbests: Sequence[Sequence[Candidate]],
    references: Sequence[str],
    lm: RecurrentLm,
    searched: BeamOptions,
) -> tuple[Rescoring, Counts]:
    """Looks for the LSTM's share and the weight of both language models, over candidates found once.

    Args:
        nbests: of each utterance, from a search with ``searched``.
        references: its transcript.
        lm: the LSTM language model.
        searched: the options of that search.

    Returns:
        The best weights (of equal ones the least share, then the least weight) and their word counts.
    """
    scores = recurrent_scores(nbests, lm, searched.unknown_penalty)
    found = []
    for mix in _MIXES:
        for factor in _FACTORS:
            weights = Rescoring(
                round(searched.lm_weight * factor, 4), mix, searched.word_bonus, searched.unknown_penalty
            )
            best = [rescore(one, score, searched, weights)[0] for one, score in zip(nbests, scores, strict=True)]
            found.append((weights, texts_wer(references, [one.text for one in best])[0]))
    return min(found, key=lambda pair: pair[1].errors)
