"""The beam search beside sums over every alignment, and what pruning may do."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.decode.beam import BeamDecoder, BeamOptions, Candidate
from asr.decode.greedy import best_path
from asr.lm.ngram import NgramModel
from asr.tokens import Tokenizer
from tests.decode.models import prefixes, random_lm, random_log_probs, tokenizer
from tests.decode.oracle import ALPHA, BETA, CHARACTERS, FUSED, WIDE, boost, lm_score


def expected(
    log_probs: np.ndarray,
    blank: int,
    tokens: Tokenizer,
    lm: NgramModel | None,
    hotwords: list[tuple[str, float]],
    bonus: float,
) -> dict[tuple[int, ...], tuple[float, float]]:
    """Token sequence → acoustic and total score, without a lexicon."""
    scored = {}
    for ids, acoustic in prefixes(log_probs, blank).items():
        words = [word for word, _ in tokens.words(ids)]
        total = acoustic + bonus * len(words) + boost(words, hotwords)
        if lm is not None:
            score, outside = lm_score(lm, words if lm.unit == "word" else [tokens.symbols[token] for token in ids])
            total += ALPHA * score + outside
        scored[ids] = (acoustic, total)
    return scored


def agree(candidates: list[Candidate], wanted: dict[tuple[int, ...], tuple[float, float]]) -> None:
    assert {tuple(one.tokens) for one in candidates} == set(wanted)
    for one in candidates:
        assert (one.acoustic, one.total) == pytest.approx(wanted[tuple(one.tokens)], abs=1e-9)
    totals = [one.total for one in candidates]
    assert totals == sorted(totals, reverse=True)


@pytest.mark.parametrize("frames", range(7))
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("threshold", [100.0, math.inf], ids=["probabilities", "logarithms"])
def test_without_a_language_model_every_prefix_has_the_sum_of_its_alignments(
    frames: int, size: int, threshold: float
) -> None:
    blank = (frames + size) % size
    log_probs = random_log_probs(frames, size, seed=10 * frames + size)
    words = Tokenizer("word", [f"w{number}" for number in range(size)])
    options = BeamOptions(**{**WIDE, "beam_threshold": threshold})
    candidates = BeamDecoder(words, blank, options).decode(log_probs)
    agree(candidates, expected(log_probs, blank, words, None, [], 0.0))
    assert np.logaddexp.reduce([one.acoustic for one in candidates]) == pytest.approx(0, abs=1e-9)


PIECES = tokenizer("unigram", ["▁a", "b", "▁ba"])
CASES = {
    "word model, characters": (CHARACTERS, random_lm("word", ["a", "ab", "bba", "b"], 3, 1), []),
    "word model, few words known": (CHARACTERS, random_lm("word", ["aab"], 2, 2), []),
    "word model, pieces": (PIECES, random_lm("word", ["a", "ab", "baba", "ba"], 3, 3), []),
    "word model, pieces, a bare word mark": (
        tokenizer("bpe", ["▁", "a", "▁ab"]),
        random_lm("word", ["a", "ab", "aba"], 3, 4),
        [("a ab", 1.3)],
    ),
    "word model, words": (tokenizer("word", ["one", "two", "x"]), random_lm("word", ["one", "two"], 3, 5), []),
    "token model, characters": (CHARACTERS, random_lm("token", ["<space>", "a", "b"], 3, 6), []),
    "token model, a token unknown": (CHARACTERS, random_lm("token", ["<space>", "a"], 2, 7), [("b", 1.0)]),
    "unigrams": (CHARACTERS, random_lm("word", ["a", "b"], 1, 8), []),
    "words counted": (CHARACTERS, None, []),
    "hotwords": (CHARACTERS, None, [("a", 0.7), ("a b", 0.5), ("b a", 0.4), ("ab", 2.0), ("a b a", 0.2)]),
    "hotwords in pieces": (PIECES, None, [("ab", 0.7), ("a ba", 1.5), ("ba ba", 2.0)]),
    "hotwords of words": (tokenizer("word", ["x", "y", "z"]), None, [("x", 1.0), ("x y", 0.4), ("y x", 0.3)]),
    "hotwords and a word model": (
        CHARACTERS,
        random_lm("word", ["a", "ab", "b"], 2, 9),
        [("ab a", 1.0), ("aa", 3.0)],
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_those_of_every_prefix_one_by_one(case: str, seed: int) -> None:
    tokens, lm, hotwords = CASES[case]
    log_probs = random_log_probs(5 + seed % 2, 4, seed)
    candidates = BeamDecoder(tokens, 0, BeamOptions(**FUSED), lm, hotwords=hotwords).decode(log_probs)
    agree(candidates, expected(log_probs, 0, tokens, lm, hotwords, BETA))
    for one in candidates:
        assert one.words == [word for word, _ in tokens.words(one.tokens)]
        assert one.text == " ".join(one.words)


def in_logarithms(
    monkeypatch: pytest.MonkeyPatch, options: BeamOptions, tokens: Tokenizer, log_probs: np.ndarray
) -> list[Candidate]:
    """What the general search makes of it, which the one for sound alone would spare."""
    with monkeypatch.context() as patch:
        patch.setattr("asr.decode.beam.MOST_THRESHOLD", 0.0)
        return BeamDecoder(tokens, 0, options).decode(log_probs)


@pytest.mark.parametrize("beam", [1, 3, 16, 40])
def test_the_search_by_probabilities_finds_what_the_one_by_logarithms_finds(
    beam: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without equal scores, whose order rounding decides."""
    tokens = Tokenizer("word", list("-abcdefgh"))
    for seed in range(40):
        draw = np.random.default_rng(seed)
        scores = random_log_probs(int(draw.integers(0, 80)), 9, seed, peak=float(draw.choice([0.5, 3, 12, 60])))
        scores[:, :8][draw.random((len(scores), 8)) < 0.2] = -np.inf
        log_probs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        options = BeamOptions(
            beam=beam,
            token_limit=int(draw.integers(1, 10)),
            token_threshold=float(draw.choice([1, 5, 10, math.inf])),
            beam_threshold=float(draw.choice([2, 10, 100])),
            blank_skip=float(draw.choice([0.4, 1])),
            nbest=5,
        )
        found = BeamDecoder(tokens, 0, options).decode(log_probs)
        wanted = in_logarithms(monkeypatch, options, tokens, log_probs)
        assert [one.tokens for one in found] == [one.tokens for one in wanted]
        assert [one.total for one in found] == pytest.approx([one.total for one in wanted], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("excess", [0.0, 9e-4])
def test_long_utterances_neither_underflow_nor_outgrow_the_arrays(
    excess: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mass shrinks by e for every frame or so, or grows, since rows need not sum to one to the last digit."""
    log_probs = random_log_probs(4000, 6, 1, peak=1.0)
    log_probs[:2000] = np.log([1.0, *[1e-300] * 5]) + excess
    tokens, options = Tokenizer("word", list("-abcde")), BeamOptions(beam=20, beam_threshold=100)
    (found,), (wanted,) = (
        BeamDecoder(tokens, 0, options).decode(log_probs),
        in_logarithms(monkeypatch, options, tokens, log_probs),
    )
    assert len(found.tokens) > 500
    assert found.tokens == wanted.tokens
    assert found.total == pytest.approx(wanted.total, rel=1e-9)


def test_what_a_model_holds_impossible_is_no_more_than_very_bad() -> None:
    lm = random_lm("word", ["a"], 1, 0)
    lm.tables.log_probs[:] = -np.inf
    for weight in (0.0, 0.5):
        options = BeamOptions(beam=64, nbest=64, lm_weight=weight)
        for one in BeamDecoder(CHARACTERS, 0, options, lm).decode(random_log_probs(5, 4, 0)):
            assert math.isfinite(one.total)


@pytest.mark.parametrize("seed", range(20))
def test_width_one_equals_greedy_on_peaked_input(seed: int) -> None:
    log_probs = random_log_probs(40, 6, seed, peak=30.0)
    (one,) = BeamDecoder(Tokenizer("word", list("-abcde")), 0, BeamOptions(beam=1)).decode(log_probs)
    assert one.tokens == [token for token, _, _ in best_path(log_probs, 0)]


@pytest.mark.parametrize("beam", [2, 5, 16])
def test_pruning_can_only_lose_mass_and_the_tuned_options_find_the_best_prefix(beam: int) -> None:
    for seed in range(10):
        log_probs = random_log_probs(6, 4, seed)
        exact = expected(log_probs, 0, CHARACTERS, None, [], 0.0)
        candidates = BeamDecoder(CHARACTERS, 0, BeamOptions(beam=beam, nbest=beam)).decode(log_probs)
        assert 1 <= len(candidates) <= beam
        for one in candidates:
            assert one.acoustic <= exact[tuple(one.tokens)][0] + 1e-9
        if beam == 16:
            assert tuple(candidates[0].tokens) == max(exact, key=lambda ids: exact[ids][1])


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_shape_with_impossible_tokens_gives_probabilities(data: st.DataObject) -> None:
    frames, size = data.draw(st.integers(0, 12)), data.draw(st.integers(1, 6))
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    weights = draw.random((frames, size)) * (draw.random((frames, size)) < data.draw(st.floats(0.1, 1)))
    weights[np.arange(frames), draw.integers(0, size, frames)] += 0.1
    with np.errstate(divide="ignore"):
        log_probs = np.log(weights / weights.sum(axis=1, keepdims=True))
    log_probs = log_probs.astype(data.draw(st.sampled_from([np.float32, np.float64])))
    options = BeamOptions(
        beam=data.draw(st.integers(1, 20)),
        token_limit=data.draw(st.integers(1, 6)),
        token_threshold=data.draw(st.floats(0.1, 20)),
        beam_threshold=data.draw(st.one_of(st.floats(0.1, 50), st.just(math.inf))),
        blank_skip=data.draw(st.sampled_from([0.5, 0.9, 1.0])),
        nbest=20,
    )
    blank = data.draw(st.integers(0, size - 1))
    candidates = BeamDecoder(Tokenizer("word", [f"w{one}" for one in range(size)]), blank, options).decode(log_probs)
    assert 1 <= len(candidates) <= options.beam
    assert np.logaddexp.reduce([one.acoustic for one in candidates]) <= 1e-6
    assert len({tuple(one.tokens) for one in candidates}) == len(candidates)
    assert all(blank not in one.tokens for one in candidates)


def test_skipping_a_blank_frame_keeps_repeats_apart() -> None:
    log_probs = np.log(np.array([[0.02, 0.98], [0.97, 0.03], [0.02, 0.98]]))
    skipping = BeamDecoder(tokenizer("word", ["a"]), 0, BeamOptions(blank_skip=0.9)).decode(log_probs)
    assert skipping[0].tokens == [1, 1]
    exact = BeamDecoder(tokenizer("word", ["a"]), 0, BeamOptions()).decode(log_probs)
    assert exact[0].tokens == [1, 1]
    assert math.log(0.98 * 0.97 * 0.98) - 1e-9 <= skipping[0].acoustic <= exact[0].acoustic + 1e-9


def test_equal_scores_are_ordered_the_same_way_every_time() -> None:
    log_probs = np.full((5, 5), -math.log(5))
    decoder = BeamDecoder(Tokenizer("word", list("-abcd")), 0, BeamOptions(beam=7, nbest=7))
    first = decoder.decode(log_probs)
    assert all(decoder.decode(log_probs) == first for _ in range(3))
    for before, after in itertools.pairwise(first):
        assert (-before.total, before.tokens) < (-after.total, after.tokens)
