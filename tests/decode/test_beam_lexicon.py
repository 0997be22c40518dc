"""The beam search with a lexicon, beside sums over every spelling of every sentence."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest

from asr.decode.beam import BeamDecoder, BeamOptions
from asr.decode.lexicon import Lexicon
from asr.tokens import Tokenizer
from tests.decode.models import prefixes, random_lm, random_log_probs, tokenizer
from tests.decode.oracle import ALPHA, BETA, CHARACTERS, FUSED, WIDE, boost, lm_score, parses


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
