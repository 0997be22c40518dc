"""Tuning a joint search: what is told of a setting is what a search with it makes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asr.decode.beam import BeamDecoder, BeamOptions
from asr.decode.hypothesis import Heard
from asr.decode.lexicon import from_words
from asr.decode.one_pass import OnePassDecoder
from asr.decode.tune import Trial
from asr.decode.tune_one_pass import BEAMS, _Pool, tune_one_pass
from asr.model.attention_decoder import AttentionDecoder
from asr.model.config import DecoderConfig
from asr.score.align import texts_wer
from tests.decode.models import random_lm, random_log_probs, tokenizer

WORDS = tokenizer("word", ["do", "re", "mi", "fa"])
WIDTH = 4
HEARD = [
    Heard(
        random_log_probs(frames, 5, seed=frames, peak=1.5),
        np.random.default_rng(frames).standard_normal((frames, WIDTH)).astype(np.float32),
    )
    for frames in range(3, 11)
]


@pytest.fixture
def decoder() -> OnePassDecoder:
    torch.manual_seed(2)
    network = AttentionDecoder(DecoderConfig(weight=0.5, hidden=5, embedding=3, attention=4), WIDTH, 5).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.8)
    lm = random_lm("word", ["do", "re", "fa"], order=2, seed=3)
    return OnePassDecoder(BeamDecoder(WORDS, 0, BeamOptions(), lm), network)


def _errors(decoder: OnePassDecoder, trial: Trial, references: list[str]) -> int:
    assert trial.ctc_weight is not None
    found = decoder.with_options(trial.options).with_weight(trial.ctc_weight).decode_batch(HEARD)
    return texts_wer(references, [one[0].text for one in found])[0].errors


def test_it_finds_settings_that_make_as_few_errors_as_it_says(decoder: OnePassDecoder) -> None:
    """The references are what a search with settings of its own finds, so that there is something to find."""
    wanted = BeamOptions(beam=16, lm_weight=1.0, word_bonus=2.0)
    true = decoder.with_options(wanted).with_weight(0.3).decode_batch(HEARD)
    references = [one[0].text for one in true]
    told: list[Trial] = []
    best = tune_one_pass(HEARD, references, decoder, report=told.append)
    assert best in told
    assert best.options.beam in BEAMS
    assert told[0].ctc_weight == 0.5
    assert told[0].options.lm_weight == BeamOptions.lm_weight
    assert told[0].errors > 0
    assert best.errors <= min(one.errors for one in told if one.options.beam == best.options.beam) < told[0].errors
    assert best.errors == _errors(decoder, best, references)


def test_an_utterance_of_which_nothing_can_be_found_does_not_stop_it(decoder: OnePassDecoder) -> None:
    silent = np.full((4, 5), -np.inf)
    silent[:, 1] = 0.0  # "do", which the lexicon lacks, and not even a blank
    beam = BeamDecoder(WORDS, 0, BeamOptions(), lexicon=from_words(["re", "mi"], WORDS))
    heard = [Heard(silent, np.zeros((4, WIDTH), np.float32)), *HEARD]
    best = tune_one_pass(heard, ["re"] * len(heard), OnePassDecoder(beam, decoder.network), (0.3, 0.6), (0.5,))
    assert best.words == len(heard)
    assert best.errors > 0


def test_a_share_that_is_given_stays(decoder: OnePassDecoder) -> None:
    told: list[Trial] = []
    tune_one_pass(HEARD, ["do"] * len(HEARD), decoder.with_weight(0.8), (0.8,), (0.5,), told.append)
    assert {(one.ctc_weight, one.options.lm_weight) for one in told} == {(0.8, 0.5)}


def test_the_parts_of_what_was_found_make_up_its_total(decoder: OnePassDecoder) -> None:
    options = BeamOptions(beam=6, nbest=6, lm_weight=0.7, word_bonus=0.4, unknown_penalty=-3.0)
    found = decoder.with_options(options).with_weight(0.35).decode(HEARD[3])
    pool = _Pool()
    for _ in range(2):  # the second time there is nothing new
        pool.add(HEARD[3], found, "do re mi", decoder, options)
    totals = np.array(pool.parts) @ np.array([0.35, 0.65, 0.7, 0.4, 1.0])
    assert totals.tolist() == pytest.approx([one.total for one in found], abs=1e-4)
    assert pool.errors == [texts_wer(["do re mi"], [one.text])[0].errors for one in found]
