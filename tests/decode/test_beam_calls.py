"""How the beam search is called: many utterances and threads at once, any kind of array, and what it refuses."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from asr.decode.beam import BeamDecoder, BeamOptions
from asr.decode.kernel import search
from asr.decode.lexicon import Lexicon
from asr.decode.plain import search_plain
from asr.errors import AsrError, UsageError
from asr.tokens import Tokenizer
from tests.decode.models import random_lm, random_log_probs, tokenizer
from tests.decode.oracle import CHARACTERS


def test_the_arrays_grow_with_a_long_utterance(monkeypatch: pytest.MonkeyPatch) -> None:
    log_probs = random_log_probs(60, 6, 0)
    decoder = BeamDecoder(Tokenizer("word", list("-abcde")), 0, BeamOptions(beam=20, nbest=20, word_bonus=0.1))
    at_once = decoder.decode(log_probs)
    monkeypatch.setattr("asr.decode.beam._ROOM", 0)
    assert decoder.decode(log_probs) == at_once


@pytest.mark.parametrize("mode", ["sound", "fused", "lexicon"])
@pytest.mark.parametrize("room", [0, 1 << 14])
def test_threads_and_company_change_nothing(mode: str, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = random_lm("word", ["a", "ab", "ba"], 3, 0)
    extra: dict[str, Any] = {
        "sound": {},
        "fused": {"lm": lm, "hotwords": [("ab a", 1.0)]},
        "lexicon": {"lm": lm, "lexicon": Lexicon([("a", ["a"]), ("ab", ["a", "b"]), ("ba", ["b", "a"])])},
    }[mode]
    decoder = BeamDecoder(CHARACTERS, 0, BeamOptions(nbest=5), **extra)
    rows = [random_log_probs(frames, 4, frames) for frames in [*range(40), 0, 3]]
    one_by_one = [decoder.decode(row) for row in rows]
    monkeypatch.setattr("asr.decode.beam._ROOM", room)
    for part in (1, 50, 4000):
        monkeypatch.setattr("asr.decode.beam._PART", part)
        for threads in (1, 4):
            assert decoder.with_options(decoder.options).decode_batch(rows, threads) == one_by_one
    with ThreadPoolExecutor(4) as pool:
        for again in pool.map(lambda _: [decoder.decode(row) for row in rows], range(4)):
            assert again == one_by_one
    assert decoder.decode_batch([], threads=1) == []


def test_the_array_that_is_wrong_among_others_is_told() -> None:
    decoder = BeamDecoder(CHARACTERS, 0, BeamOptions())
    good, bad = random_log_probs(5, 4, 0), random_log_probs(7, 4, 1) + 0.1
    with pytest.raises(ValueError, match=r"of shape \(7, 4\)"):
        decoder.decode_batch([good, bad, good], threads=2)
    with pytest.raises(ValueError, match=r"of shape \(3, 5\) do not fit a model of 4 tokens"):
        decoder.decode_batch([good, random_log_probs(3, 5, 0)], threads=1)


def test_no_mode_and_no_kind_of_array_compiles_a_kernel_again() -> None:
    """A second compilation would cost every user seconds: a mapped file, float32 or a transposed array bring none."""
    lm = random_lm("word", ["a", "ab"], 2, 0)
    for array in lm.tables:
        array.flags.writeable = False
    lexicon = Lexicon([("a", ["a"])])
    rows = random_log_probs(4, 4, 0)
    for model, words, hotwords in itertools.product([None, lm], [None, lexicon], [(), [("a", 1.0)]]):
        decoder = BeamDecoder(CHARACTERS, 0, BeamOptions(), model, words, hotwords)
        assert decoder.decode(rows) == decoder.decode(np.asfortranarray(rows))
        decoder.decode(rows.astype(np.float32))
    assert len(search.signatures) == len(search_plain.signatures) == 1


@pytest.mark.parametrize(
    ("log_probs", "seen"),
    [
        (np.log(np.full((3, 5), 0.2)), r"\(3, 5\)"),
        (np.full((3, 4), np.nan), r"\(3, 4\)"),
        (np.full((3, 4), 0.5), r"\(3, 4\)"),
        (np.full((3, 4), -5.0), r"\(3, 4\)"),
        (np.zeros(4), r"\(4,\)"),
        ([[0.0]], "list"),
    ],
)
def test_what_are_no_log_probs_of_this_model_is_refused_with_what_was_seen(log_probs: np.ndarray, seen: str) -> None:
    with pytest.raises(ValueError, match=seen):
        BeamDecoder(CHARACTERS, 0, BeamOptions()).decode(log_probs)


@pytest.mark.parametrize("blank", [-1, 4])
def test_a_blank_out_of_range_is_refused(blank: int) -> None:
    with pytest.raises(ValueError, match=f"one of the 4 tokens, this is {blank}"):
        BeamDecoder(CHARACTERS, blank, BeamOptions())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("beam", 0),
        ("token_limit", 0),
        ("nbest", 0),
        ("token_threshold", 0.0),
        ("token_threshold", math.nan),
        ("beam_threshold", -1.0),
        ("blank_skip", 0.0),
        ("blank_skip", 1.5),
        ("lm_weight", -0.1),
        ("lm_weight", math.inf),
        ("word_bonus", math.nan),
        ("unknown_penalty", 1.0),
        ("unknown_penalty", -math.inf),
    ],
)
def test_an_option_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"^{name} must be .*{value}"):
        BeamOptions(**{name: value})


def test_threads_below_one_are_refused() -> None:
    with pytest.raises(UsageError, match="threads must be at least 1"):
        BeamDecoder(CHARACTERS, 0, BeamOptions()).decode_batch([], threads=0)


def test_a_language_model_in_another_case_is_refused() -> None:
    lower = tokenizer("char", ["<space>", "a", "b"])
    with pytest.raises(AsrError, match=r"none of the language model's words, such as \['AB'\]"):
        BeamDecoder(lower, 0, BeamOptions(), random_lm("word", ["AB"], 2, 0))
    with pytest.raises(AsrError, match="knows none of the model's tokens"):
        BeamDecoder(lower, 0, BeamOptions(), random_lm("token", ["A", "B"], 2, 0))
    with pytest.raises(AsrError, match="knows none of the lexicon's words"):
        BeamDecoder(lower, 0, BeamOptions(), random_lm("word", ["A"], 2, 0), Lexicon([("a", ["a"])]))
