"""Rescoring against sums written out, on candidates made by hand and by the beam search."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from asr.decode.beam import BeamDecoder, BeamOptions, Candidate
from asr.decode.lexicon import Lexicon
from asr.decode.rescore import Rescoring, check_recurrent_fit, recurrent_scores, rescore, rescore_nbests
from asr.errors import AsrError, UsageError
from asr.flat_config import parse_flat
from asr.lm.recurrent import RecurrentConfig, RecurrentLm, RecurrentModel
from asr.lm.units import Units, learn_units
from asr.tokens import Tokenizer

_PLAIN = BeamOptions(lm_weight=0.0, word_bonus=0.0)
_CHARACTERS = ["<blank>", "<space>", *"abc"]
_PHONES = Tokenizer("phone", ["<blank>", "P", "Q"])


def _lm(kind: str = "char", symbols: list[str] = _CHARACTERS) -> RecurrentLm:
    units = Units(Tokenizer(kind, symbols))
    torch.manual_seed(2)
    model = RecurrentModel(parse_flat(RecurrentConfig, {"hidden": 12, "embedding": 16}, "test"), len(units))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return RecurrentLm(model.eval(), units, {}, "")


def _candidate(text: str, acoustic: float, lm: float, rest: float = 0.0, searched: BeamOptions = _PLAIN) -> Candidate:
    words = text.split()
    total = acoustic + searched.lm_weight * lm + searched.word_bonus * len(words) + rest
    return Candidate(list(range(len(words))), words, [[place] for place in range(len(words))], acoustic, lm, total)


def _sum(one: Candidate, score: float, weights: Rescoring) -> float:
    mixed = (1 - weights.mix) * one.lm + weights.mix * score
    return one.acoustic + weights.lm_weight * mixed + weights.word_bonus * len(one.words)


def test_totals_are_the_sum_of_their_parts_and_the_best_comes_first() -> None:
    lm, weights = _lm(), Rescoring(lm_weight=0.7, mix=0.4, word_bonus=1.5)
    candidates = [
        _candidate("a b", -3, -4),
        _candidate("ab", -3.5, -2),
        _candidate("", -9, -1),
        _candidate("c", -2, -8),
    ]
    found = rescore_nbests([candidates], lm, _PLAIN, weights)[0]
    expected = {one.text: _sum(one, lm.score([one.words])[0], weights) for one in candidates}
    assert {one.text: one.total for one in found} == pytest.approx(expected)
    assert [one.total for one in found] == pytest.approx(sorted(expected.values(), reverse=True))
    assert {one.text: one.acoustic for one in found} == {one.text: one.acoustic for one in candidates}
    assert {one.text: one.tokens for one in found} == {one.text: one.tokens for one in candidates}


def test_without_the_recurrent_models_share_the_searchs_totals_come_back() -> None:
    searched = BeamOptions(lm_weight=0.8, word_bonus=-0.5)
    candidates = [_candidate("a b", -3, -4, -10, searched), _candidate("c", -5, -2, 2.5, searched)]
    weights = Rescoring(lm_weight=0.8, mix=0, word_bonus=-0.5)
    found = {one.text: one for one in rescore_nbests([candidates], _lm(), searched, weights)[0]}
    for one in candidates:
        assert found[one.text].total == pytest.approx(one.total)
        assert found[one.text].lm == pytest.approx(one.lm)


def test_what_hotwords_and_penalties_added_to_a_total_stays() -> None:
    searched, weights = BeamOptions(lm_weight=0.8, word_bonus=-0.5), Rescoring(lm_weight=1.2, mix=1, word_bonus=2)
    plain, boosted = (_candidate("a b", -3, -4, rest, searched) for rest in (0, 7))
    before, after = (rescore([one], np.array([-5.0]), searched, weights)[0].total for one in (plain, boosted))
    assert before == pytest.approx(-3 + 1.2 * -5 + 2 * 2)
    assert after - before == pytest.approx(7)


def test_mix_one_follows_the_recurrent_model_alone() -> None:
    lm = _lm()
    texts = ["a", "b", "c", "a b", "b a", "abc", ""]
    candidates = [_candidate(text, -1, lm=-float(number)) for number, text in enumerate(texts)]
    found = rescore_nbests([candidates], lm, _PLAIN, Rescoring(lm_weight=1, mix=1))[0]
    scores = lm.score([text.split() for text in texts])
    assert [one.text for one in found] == [texts[index] for index in np.argsort(-scores, kind="stable")]


def test_utterances_together_give_what_each_gives_alone() -> None:
    lm, weights = _lm(), Rescoring(lm_weight=0.7, mix=0.5)
    nbests = [
        [_candidate("a b", -1, -1), _candidate("a", -2, -1)],
        [],
        [_candidate("a", -2, -3), _candidate("c c c c c", -2, -2)],
    ]
    together = rescore_nbests(nbests, lm, _PLAIN, weights)
    for one, found in zip(nbests, together, strict=True):
        alone = rescore_nbests([one], lm, _PLAIN, weights)[0]
        assert [other.text for other in found] == [other.text for other in alone]
        assert [other.total for other in found] == pytest.approx([other.total for other in alone], abs=1e-5)


def test_ties_keep_their_order_and_impossible_candidates_stay_impossible() -> None:
    candidates = [_candidate("a", -math.inf, -2), _candidate("b", -1, -2), _candidate("c", -1, -2)]
    found = rescore(candidates, np.array([-1.0, -3.0, -3.0]), _PLAIN, Rescoring())
    assert [one.text for one in found] == ["b", "c", "a"]
    assert found[-1].total == -math.inf


def test_words_that_the_recurrent_model_lacks_are_penalised() -> None:
    lm = _lm("word", ["<blank>", "<unk>", "a", "b"])
    nbest = [[_candidate("a zebra", -1, -1), _candidate("a b", -1, -1)]]
    plain, penalised = (recurrent_scores(nbest, lm, penalty)[0] for penalty in (0.0, -5.0))
    assert penalised - plain == pytest.approx([-5, 0])


def test_it_takes_what_the_beam_search_gives() -> None:
    random = np.random.default_rng(1)
    logits = torch.from_numpy(random.normal(size=(12, len(_CHARACTERS))))
    options = BeamOptions(beam=20, nbest=10)
    candidates = BeamDecoder(Tokenizer("char", _CHARACTERS), 0, options).decode(logits.log_softmax(1).numpy())
    lm, weights = _lm(), Rescoring(lm_weight=0.9, mix=1, word_bonus=0.3)
    found = rescore_nbests([candidates], lm, options, weights)[0]
    best = max(candidates, key=lambda one: _sum(one, lm.score([one.words])[0], weights))
    assert len(candidates) == 10
    assert found[0].text == best.text


@pytest.mark.parametrize(
    ("field", "value", "needed"),
    [
        ("lm_weight", -0.1, "from 0 on"),
        ("lm_weight", math.nan, "from 0 on"),
        ("mix", 1.1, "between 0 and 1"),
        ("word_bonus", math.inf, "a number"),
        ("unknown_penalty", 1.0, "at most 0"),
    ],
)
def test_weights_out_of_range_are_refused(field: str, value: float, needed: str) -> None:
    with pytest.raises(UsageError, match=f"{field} must .*{needed}"):
        Rescoring(**{field: value})


def test_scores_that_do_not_belong_to_the_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match=r"1 candidates need as many scores, their shape is \(2,\)"):
        rescore([_candidate("a", -1, -1)], np.zeros(2), _PLAIN, Rescoring())


def test_a_model_of_another_case_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    text = tmp_path / "text"
    text.write_text("abc cab bca\nab ca\n" * 20)
    upper, lower = (Tokenizer("char", ["<blank>", "<space>", *letters]) for letters in ("ABC", "abc"))
    for unit in ("char", "piece", "word"):
        units = learn_units(unit, 12, [text])
        lm = _lm()
        lm = RecurrentLm(lm.model, units, {}, "")
        check_recurrent_fit(lower, lm, "books")
        wanted = "5 of its 5 words cannot be written" if unit == "word" else "it lacks 'A', 'B', 'C'"
        with pytest.raises(AsrError, match=f"books: {wanted}"):
            check_recurrent_fit(upper, lm, "books")


def _pronounced(words: str) -> Lexicon:
    return Lexicon((word, ["P"]) for word in words.split())


@pytest.mark.parametrize(
    "units",
    [
        Tokenizer("char", _CHARACTERS),
        Tokenizer("char", ["<blank>", *"abc"]),
        Tokenizer("word", ["<blank>", "<unk>", "a", "b"]),
        Tokenizer("word", ["<blank>", "a", "b"]),
        Tokenizer("phone", ["<blank>", "P"], lexicon={"a": [("P",)], "ab": [("P", "P")], "ca": [("P",)]}),
    ],
    ids=["characters", "no space", "words", "closed words", "phones"],
)
@pytest.mark.parametrize("words", ["a", "a b", "ab ca", "a A", "ab cab bé", "a b c d e f g", "É"])
def test_of_a_lexicon_what_cannot_be_scored_is_refused_and_nothing_else(units: Tokenizer, words: str) -> None:
    def refused() -> bool:
        try:
            check_recurrent_fit(_PHONES, lm, "books", _pronounced(words))
        except AsrError as error:
            assert str(error).startswith("books: ")
            return True
        return False

    def scored() -> bool:
        try:
            lm.score([words.split()])
        except AsrError:
            return False
        return True

    lm = RecurrentLm(_lm(units.kind, units.symbols).model, Units(units), {}, "")
    open_vocabulary = "<unk>" in units.symbols  # anything can be scored: refused is another vocabulary
    assert refused() != (bool({"a", "b"} & set(words.split())) if open_vocabulary else scored())


def test_words_of_a_lexicon_are_named_with_what_the_model_lacks() -> None:
    with pytest.raises(AsrError) as caught:
        check_recurrent_fit(_PHONES, _lm(), "books", _pronounced("ab cöb abba äb bä öl"))
    assert str(caught.value) == (
        "books: it lacks 'l', 'ä', 'ö', which the acoustic model writes in 4 of the lexicon's 6 words ('cöb', 'äb', "
        "'bä', 'öl'); train it on text that is written as the lexicon is, or leave those words out of the lexicon"
    )
    with pytest.raises(AsrError, match=r"books: 3 of its 3 words are not in the lexicon \('A', 'B', 'C'\)"):
        check_recurrent_fit(_PHONES, _lm("word", ["<blank>", "<unk>", *"ABC"]), "books", _pronounced("a b c"))
    with pytest.raises(AsrError, match="books: it lacks 'P', 'Q', which the acoustic model writes; "):
        check_recurrent_fit(_PHONES, _lm(), "books")
