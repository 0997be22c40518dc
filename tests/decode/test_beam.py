"""The beam search beside sums over every alignment, and at its edges."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.decode.beam import BeamDecoder, BeamOptions, Candidate
from asr.decode.greedy import best_path
from asr.decode.kernel import search
from asr.decode.lexicon import Lexicon
from asr.decode.plain import search_plain
from asr.errors import AsrError, UsageError
from asr.lm.ngram import NgramModel
from asr.tokens import Tokenizer
from tests.decode.models import prefixes, random_lm, random_log_probs, tokenizer

WIDE = {
    "beam": 3000,
    "token_limit": 10,
    "token_threshold": math.inf,
    "beam_threshold": math.inf,
    "nbest": 5000,
}
ALPHA, BETA, UNKNOWN = 0.7, 0.9, -1.5
FUSED = {**WIDE, "lm_weight": ALPHA, "word_bonus": BETA, "unknown_penalty": UNKNOWN}
CHARACTERS = tokenizer("char", ["<space>", "a", "b"])


def lm_score(lm: NgramModel, units: list[str]) -> tuple[float, float]:
    """ln P of the units and the sentence's end; what is added for those outside the vocabulary."""
    state, total = lm.begin, 0.0
    for unit in [*units, "</s>"]:
        score, state = lm.advance(state, unit)
        total += score
    return total, UNKNOWN * sum(unit not in lm.ids for unit in units)


def boost(words: list[str], hotwords: list[tuple[str, float]]) -> float:
    total = 0.0
    for phrase, weight in hotwords:
        wanted = phrase.split()
        total += sum(weight * len(wanted) for at in range(len(words)) if words[at : at + len(wanted)] == wanted)
    return total


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


def parses(
    ids: tuple[int, ...], spellings: list[tuple[str, tuple[int, ...]]], space: int | None
) -> set[tuple[str, ...]]:
    """Every sequence of words that these tokens spell."""
    if not ids:
        return {()}
    found = set()
    for word, spelling in spellings:
        ends = [spelling] if space is None else [(*spelling, space)]
        for end in ends:
            if ids[: len(end)] == end:
                found |= {(word, *rest) for rest in parses(ids[len(end) :], spellings, space)}
        if ids == spelling:
            found.add((word,))
    return found


def folded(ids: tuple[int, ...], space: int | None) -> tuple[int, ...]:
    """Without the spaces that write nothing: those before the first word and behind another space."""
    return tuple(
        one for before, one in zip((space, *ids), ids, strict=False) if space is None or (before, one) != (space, space)
    )


LEXICON = [("ab", "a b"), ("AB", "a b"), ("a", "a"), ("b", "b"), ("b", "b a"), ("aab", "a a b")]


@pytest.mark.parametrize("tokens", [CHARACTERS, tokenizer("word", ["c", "a", "b"])], ids=["spaces", "no spaces"])
@pytest.mark.parametrize("unit", [None, "word", "token"])
@pytest.mark.parametrize("hotwords", [[], [("AB", 1.0), ("a b", 0.8), ("b a", 0.5), ("b", 0.1)]], ids=["", "hotwords"])
def test_with_a_lexicon_words_have_the_sum_of_all_their_spellings(
    tokens: Tokenizer, unit: str | None, hotwords: list[tuple[str, float]]
) -> None:
    log_probs = random_log_probs(6, 4, seed=3)
    vocabulary = {"word": ["ab", "AB", "b"], "token": tokens.symbols[1:]}
    lm = random_lm(unit, vocabulary[unit], 3, 11) if unit else None
    lexicon = Lexicon([(word, spelling.split()) for word, spelling in LEXICON])
    candidates = BeamDecoder(tokens, 0, BeamOptions(**FUSED), lm, lexicon, hotwords).decode(log_probs)

    space = 1 if tokens.kind == "char" else None
    spellings = [(word, tuple(map(tokens.symbols.index, spelling.split()))) for word, spelling in LEXICON]
    totals: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    acoustics: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    heard: defaultdict[tuple[int, ...], list[float]] = defaultdict(list)
    for ids, acoustic in prefixes(log_probs, 0).items():
        heard[folded(ids, space)].append(acoustic)
    for ids, parts in heard.items():
        acoustic = float(np.logaddexp.reduce(parts))
        for words in parses(ids, spellings, space):
            total = acoustic + BETA * len(words) + boost(list(words), hotwords)
            if lm is not None:
                score, outside = lm_score(lm, list(words) if unit == "word" else [tokens.symbols[one] for one in ids])
                total += ALPHA * score + outside
            totals[words].append(total)
            acoustics[words].append(acoustic)
    wanted = {words: float(np.logaddexp.reduce(scores)) for words, scores in totals.items()}
    assert {tuple(one.words): one.total for one in candidates} == pytest.approx(wanted, abs=1e-9)
    assert len(candidates) == len(wanted)
    if unit != "token":  # there the spellings of a word weigh differently in the total and in the sound alone
        summed = {words: float(np.logaddexp.reduce(scores)) for words, scores in acoustics.items()}
        assert {tuple(one.words): one.acoustic for one in candidates} == pytest.approx(summed, abs=1e-9)
    for one in candidates:
        assert folded(tuple(one.tokens), space) == tuple(one.tokens)
        spelled = [" ".join(tokens.symbols[one.tokens[place]] for place in group) for group in one.groups]
        assert all(pair in LEXICON for pair in zip(one.words, spelled, strict=True))


def test_with_a_lexicon_spaces_before_the_first_word_and_doubled_ones_write_nothing() -> None:
    lexicon = Lexicon([("A", ["a"]), ("B", ["b"]), ("BAB", ["b", "a", "b"])])
    heard = [1, 0, 1, 2, 0, 1, 1, 0, 0, 1, 3, 1, 0, 1]  # |_|A_||__|B|_|
    log_probs = np.log(np.full((len(heard), 4), 0.01))
    log_probs[np.arange(len(heard)), heard] = math.log(0.97)
    (one,) = BeamDecoder(CHARACTERS, 0, BeamOptions(beam=4), lexicon=lexicon).decode(log_probs)
    assert (one.words, one.tokens, one.groups) == (["A", "B"], [2, 1, 3, 1], [[0], [2]])
    assert one.acoustic >= len(heard) * math.log(0.97)


def test_a_language_model_lends_a_word_what_its_beginning_promises_so_that_a_narrow_beam_finds_it() -> None:
    """Beginnings of words that have not paid for themselves must not crowd out a whole word."""
    tokens = tokenizer("char", ["<space>", "a", "b", "c", "d"])
    lm = random_lm("word", ["a", "bb", "cc", "dd"], 1, 0)
    lm.tables.log_probs[:] = [0, -20, -1, -1, -1, -20, -20, -20]
    log_probs = np.log(np.array([[0.01, 0.01, 0.22, 0.25, 0.25, 0.26], [0.96, 0.01, 0.0075, 0.0075, 0.0075, 0.0075]]))
    lexicon = Lexicon([(word, list(word)) for word in ("a", "bb", "cc", "dd")])
    for words in (None, lexicon):
        options = BeamOptions(beam=2, lm_weight=1.0)
        assert BeamDecoder(tokens, 0, options, lm, words).decode(log_probs)[0].words == ["a"]


def test_a_word_that_two_divisions_of_the_same_tokens_spell_counts_once() -> None:
    lexicon = Lexicon([("w", ["a"]), ("w", ["a", "a"])])
    log_probs = random_log_probs(6, 2, seed=5)
    candidates = BeamDecoder(tokenizer("word", ["a"]), 0, BeamOptions(**WIDE), lexicon=lexicon).decode(log_probs)
    heard = prefixes(log_probs, 0)
    twice = next(one for one in candidates if one.words == ["w", "w"])
    assert twice.acoustic == pytest.approx(np.logaddexp(heard[(1, 1)], heard[(1, 1, 1)]), abs=1e-9)


def test_when_no_word_is_whole_at_the_end_the_best_prefix_is_closed_at_its_last_whole_word() -> None:
    tokens = tokenizer("word", ["a", "b", "c"])
    lexicon = Lexicon([("A", ["a"]), ("BC", ["b", "c"])])
    log_probs = np.log(np.array([[0.0, 1, 0, 0], [0, 0, 1, 0]]) + 1e-300)
    decoder = BeamDecoder(tokens, 0, BeamOptions(beam=1), lexicon=lexicon)
    (one,) = decoder.decode(log_probs)
    assert (one.words, one.tokens) == (["A"], [1])
    assert one.acoustic == pytest.approx(0, abs=1e-9)


def test_frames_that_rule_out_the_whole_lexicon_still_give_an_answer() -> None:
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.array([[0.0, 1, 0], [0, 0, 1], [0, 1, 0]]))
    lexicon = Lexicon([("A", ["a"])])
    (one,) = BeamDecoder(tokenizer("word", ["a", "b"]), 0, BeamOptions(), lexicon=lexicon).decode(log_probs)
    assert one.words == ["A"]
    assert (one.acoustic, one.total) == (-math.inf, -math.inf)


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


def test_equal_scores_are_ordered_the_same_way_every_time() -> None:
    log_probs = np.full((5, 5), -math.log(5))
    decoder = BeamDecoder(Tokenizer("word", list("-abcd")), 0, BeamOptions(beam=7, nbest=7))
    first = decoder.decode(log_probs)
    assert all(decoder.decode(log_probs) == first for _ in range(3))
    for before, after in itertools.pairwise(first):
        assert (-before.total, before.tokens) < (-after.total, after.tokens)


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
