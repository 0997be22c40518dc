"""The joint search against exhaustive search: transcripts scored by sums over alignments and by teacher forcing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.decode.beam import BeamDecoder, BeamOptions, Candidate
from asr.decode.hypothesis import Heard
from asr.decode.lexicon import Lexicon, from_words, read_lexicon
from asr.decode.one_pass import OnePassDecoder
from asr.decode.tune_one_pass import spelled_scores
from asr.errors import UsageError
from asr.files import write_text
from asr.lm.ngram import NgramModel
from asr.model.attention_decoder import AttentionDecoder
from asr.model.config import DecoderConfig
from asr.tokens import Tokenizer
from tests.decode.models import prefixes, random_lm, random_log_probs, tokenizer

LETTERS = tokenizer("char", ["<space>", "a", "b"])
WORDS = tokenizer("word", ["do", "re", "mi"])
PIECES = tokenizer("unigram", ["▁a", "▁b", "b"])
PHONES = tokenizer("phone", ["AH", "B", "T"])
FRAMES, WIDTH = 5, 6
WIDEST = BeamOptions(
    beam=5000, token_limit=9, token_threshold=math.inf, beam_threshold=math.inf, nbest=5000, word_bonus=0.7
)
Transcript = tuple[int, ...]


def _network(tokens: int = 4) -> AttentionDecoder:
    torch.manual_seed(1)
    network = AttentionDecoder(DecoderConfig(weight=0.5, hidden=5, embedding=3, attention=4), WIDTH, tokens).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.8)
    return network


def _heard(seed: int, frames: int = FRAMES, tokens: int = 4) -> Heard:
    encoded = np.random.default_rng(seed).standard_normal((frames, WIDTH)).astype(np.float32)
    return Heard(random_log_probs(frames, tokens, seed), encoded)


def _decoder(
    weight: float,
    tokens: Tokenizer = LETTERS,
    options: BeamOptions = WIDEST,
    lm: NgramModel | None = None,
    lexicon: Lexicon | None = None,
    hotwords: list[tuple[str, float]] | None = None,
) -> OnePassDecoder:
    return OnePassDecoder(BeamDecoder(tokens, 0, options, lm, lexicon, hotwords or []), _network(), weight)


def _joint(decoder: OnePassDecoder, heard: Heard) -> dict[Transcript, float]:
    """The sound's score of every transcript that the frames can spell."""
    by_ctc = prefixes(heard.log_probs, 0)
    by_attention = spelled_scores(decoder, heard, list(by_ctc)).tolist()
    weight = decoder.ctc_weight
    return {
        one: weight * ctc + (1 - weight) * other for (one, ctc), other in zip(by_ctc.items(), by_attention, strict=True)
    }


def _equal(found: list[Candidate], expected: dict[Transcript, float]) -> None:
    assert {tuple(one.tokens): one.total for one in found} == pytest.approx(expected, abs=1e-4)
    totals = [one.total for one in found]
    assert totals == sorted(totals, reverse=True)


@pytest.mark.parametrize("weight", [1.0, 0.3, 0.0])
def test_the_widest_beam_finds_every_transcript_with_its_score(weight: float) -> None:
    heard = _heard(seed=3)
    decoder = _decoder(weight, options=BeamOptions(**{**vars(WIDEST), "word_bonus": 0.0}))
    found = decoder.decode(heard)
    _equal(found, _joint(decoder, heard))
    if weight == 1:
        assert tuple(found[0].tokens) == max(prefixes(heard.log_probs, 0).items(), key=lambda pair: pair[1])[0]


@pytest.mark.parametrize(
    ("tokens", "words"),
    [(LETTERS, ["a", "ab", "b"]), (WORDS, ["do", "mi"]), (PIECES, ["a", "ab", "bb"])],
    ids=["letters", "words", "pieces"],
)
def test_the_language_model_counts_as_in_the_search_frame_by_frame(tokens: Tokenizer, words: list[str]) -> None:
    heard = _heard(seed=4)
    lm = random_lm("word", words, order=2, seed=5)
    hot = [(words[1], 1.5)]
    decoder = _decoder(0.4, tokens, lm=lm, hotwords=hot)
    joint = _joint(decoder, heard)
    by_frames = {tuple(one.tokens): one for one in decoder.beam.decode(heard.log_probs)}
    assert len(by_frames) == len(joint)
    expected = {one: joint[one] + other.total - other.acoustic for one, other in by_frames.items()}
    found = decoder.decode(heard)
    _equal(found, expected)
    for one in found:
        other = by_frames[tuple(one.tokens)]
        assert (one.words, one.groups, one.lm) == (other.words, other.groups, pytest.approx(other.lm))


def test_with_a_lexicon_nothing_but_its_words_comes_out_each_with_its_best_score() -> None:
    heard = _heard(seed=6, frames=6)
    lexicon = from_words(["ab", "b", "ba"], LETTERS)
    lm = random_lm("word", ["ab", "ba"], order=2, seed=5)
    decoder = _decoder(0.6, lm=lm, lexicon=lexicon, options=BeamOptions(**{**vars(WIDEST), "unknown_penalty": -2.0}))
    joint = _joint(decoder, heard)
    found = decoder.decode(heard)
    by_words = {one.text: one for one in found}
    assert len(by_words) == len(found)
    expected: dict[str, float] = {}
    for size in range(4):
        for spoken in itertools.product(lexicon.words, repeat=size):
            spelled = tuple(LETTERS.encode(" ".join(spoken)))
            scores = [joint[one] for one in (spelled, (*spelled, 1)) if one in joint and (spoken or one == ())]
            if not scores:
                continue
            ids = [*spoken]
            lm_score = sum(lm.score(ids))
            unknown = sum(word not in lm.ids for word in spoken)
            rest = 0.5 * lm_score + 0.7 * size - 2.0 * unknown
            expected[" ".join(spoken)] = float(np.logaddexp.reduce(scores)) + rest
    assert {text: one.total for text, one in by_words.items()} == pytest.approx(expected, abs=1e-4)


def test_phones_become_the_words_of_their_lexicon_with_a_token_model_of_phones(tmp_path: Path) -> None:
    heard = _heard(seed=12)
    write_text(tmp_path / "lexicon.txt", "but B AH T\nah AH\nab AH B\nub AH B\n")
    lexicon = read_lexicon(tmp_path / "lexicon.txt")
    lm = random_lm("token", PHONES.symbols[1:], order=2, seed=6)
    decoder = _decoder(0.3, PHONES, lexicon=lexicon, lm=lm)
    joint = _joint(decoder, heard)
    spellings = {"but": (2, 1, 3), "ah": (1,), "ab": (1, 2), "ub": (1, 2)}
    expected: dict[str, float] = {}
    for size in range(FRAMES + 1):
        for spoken in itertools.product(spellings, repeat=size):
            spelled = tuple(token for word in spoken for token in spellings[word])
            if spelled in joint:  # else the frames are too few
                lm_score = sum(lm.score([PHONES.symbols[token] for token in spelled]))
                expected[" ".join(spoken)] = joint[spelled] + 0.5 * lm_score + 0.7 * size
    found = decoder.decode(heard)
    assert {one.text: one.total for one in found} == pytest.approx(expected, abs=1e-4)
    for one in found:
        assert one.tokens == [token for word in one.words for token in spellings[word]]


def test_a_narrow_beam_keeps_what_it_promises() -> None:
    heard = _heard(seed=7, frames=12)
    options = BeamOptions(beam=3, nbest=3, token_limit=2, token_threshold=4.0, beam_threshold=6.0)
    decoder = _decoder(0.5, options=options)
    found = decoder.decode(heard)
    assert 1 <= len(found) <= 3
    scores = spelled_scores(decoder, heard, [one.tokens for one in found])
    wide = {tuple(one.tokens): one for one in decoder.with_options(WIDEST).with_weight(1.0).decode(heard)}
    for one, by_attention in zip(found, scores, strict=True):
        assert one.total == pytest.approx(0.5 * wide[tuple(one.tokens)].acoustic + 0.5 * by_attention, abs=1e-4)


def test_utterances_together_are_as_alone_and_decoding_again_gives_the_same() -> None:
    several = [_heard(seed=8), _heard(seed=9, frames=9), _heard(seed=10, frames=1), _heard(seed=11, frames=0)]
    decoder = _decoder(0.5, options=BeamOptions(beam=4, nbest=4))
    together = decoder.decode_batch(several, threads=2)
    assert together == [decoder.decode(one) for one in several]
    assert [one.tokens for one in together[3]] == [[]]


def test_frames_that_rule_out_all_that_a_lexicon_allows_get_the_answer_of_the_search_frame_by_frame() -> None:
    log_probs = np.full((3, 4), -np.inf)
    log_probs[:, 2] = 0.0  # an "a", and not even a blank
    decoder = _decoder(0.5, lexicon=from_words(["b"], LETTERS))
    found = decoder.decode(Heard(log_probs, np.zeros((3, WIDTH), np.float32)))
    assert found == decoder.beam.decode(log_probs)
    assert found[0].total == -math.inf


def test_what_does_not_fit_is_refused() -> None:
    decoder, heard = _decoder(0.5), _heard(seed=1)
    spoiled: list[tuple[Callable[[], object], str]] = [
        (lambda: decoder.decode(Heard(heard.log_probs[:3], heard.encoded)), "do not fit each other"),
        (lambda: decoder.decode(heard.log_probs), "needs log-probs and what the encoder says"),  # type: ignore[arg-type]
        (lambda: decoder.decode(_heard(seed=1, tokens=5)), "a model of 4 tokens"),
        (lambda: decoder.decode(Heard(np.exp(heard.log_probs), heard.encoded)), "must be finite or -inf and at most 0"),
    ]
    for call, sentence in spoiled:
        with pytest.raises(ValueError, match=sentence):
            call()
    for weight in (-0.1, 1.1, math.nan):
        with pytest.raises(UsageError, match="ctc_weight must lie between 0 and 1"):
            decoder.with_weight(weight)
