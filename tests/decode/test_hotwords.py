"""The automaton of hotwords beside counting phrases in finished texts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.decode.beam import BeamDecoder, BeamOptions
from asr.decode.fusion import Automaton
from asr.decode.hotwords import character_automaton, parse_hotwords, start_state, word_automaton
from asr.decode.lexicon import Lexicon
from asr.errors import UsageError
from asr.lm.ngram import UNKNOWN
from tests.decode.models import random_lm, tokenizer

CHARACTERS = {"a": 0, "b": 1, "c": 2}
TOKENS = tokenizer("char", ["<space>", "a", "b", "c"])


def counted(words: list[str], hotwords: list[tuple[str, float]]) -> float:
    return sum(
        weight * len(phrase.split())
        for phrase, weight in hotwords
        for at in range(len(words))
        if words[at : at + len(phrase.split())] == phrase.split()
    )


def run(automaton: Automaton, state: int, symbols: list[int]) -> tuple[float, float, int]:
    """Boost of what is complete, what is lent, and the state."""
    total = 0.0
    for symbol in symbols:
        state = int(automaton.after[state, symbol])
        total += float(automaton.complete[state])
    return total, float(automaton.credit[state]), state


words = st.text("abc", min_size=1, max_size=3)
texts = st.lists(words, max_size=8)
phrases = st.dictionaries(
    st.lists(words, min_size=1, max_size=3).map(" ".join), st.floats(0.1, 3), min_size=1, max_size=5
)


@given(text=texts, hotwords=phrases)
@settings(max_examples=200, deadline=None)
def test_complete_phrases_are_counted_over_characters_and_over_words(
    text: list[str], hotwords: dict[str, float]
) -> None:
    given_ = list(hotwords.items())
    parsed = parse_hotwords(given_, str)
    automaton = character_automaton(parsed, CHARACTERS)
    symbols = [0 if one == " " else int(automaton.symbols[CHARACTERS[one]]) for word in text for one in word + " "]
    total, _, _ = run(automaton, start_state(parsed, by_word=False), symbols)
    assert total == pytest.approx(counted(text, given_))

    labels = {word: number for number, word in enumerate(sorted({*text, *" ".join(hotwords).split()}))}
    automaton = word_automaton(parsed, labels, "the words")
    total, lent, _ = run(automaton, start_state(parsed, by_word=True), [automaton.symbols[labels[one]] for one in text])
    assert total == pytest.approx(counted(text, given_))
    assert lent >= 0


def test_the_boost_accrues_by_the_character_and_is_taken_back_where_the_phrase_breaks_off() -> None:
    parsed = parse_hotwords([("ab ca", 5.0)], str)
    automaton = character_automaton(parsed, CHARACTERS)
    state = start_state(parsed, by_word=False)
    lent = []
    for character in "ab ca":
        _, credit, state = run(automaton, state, [0 if character == " " else automaton.symbols[CHARACTERS[character]]])
        lent.append(credit)
    assert lent == pytest.approx([2, 4, 6, 8, 10])
    assert run(automaton, state, [0])[:2] == (pytest.approx(10), 0.0)
    assert run(automaton, state, [automaton.symbols[CHARACTERS["b"]]])[:2] == (0.0, 0.0)


def test_a_phrase_is_favoured_as_whole_words_only() -> None:
    """Between two readings of equal probability the hotword decides; inside a longer word it has no say."""
    rows = np.full((3, 5), 1e-6)
    rows[0, 2] = 1  # a
    rows[1, [3, 4]] = 0.5, 0.6  # b or c
    rows[2, 0] = 1
    log_probs = np.log(rows / rows.sum(axis=1, keepdims=True))
    assert BeamDecoder(TOKENS, 0, BeamOptions()).decode(log_probs)[0].text == "ac"
    best = BeamDecoder(TOKENS, 0, BeamOptions(), hotwords=[("ab", 1.0)]).decode(log_probs)[0]
    assert (best.text, best.total - best.acoustic) == ("ab", pytest.approx(1.0))
    for elsewhere in ("a", "b", "abc", "ab a"):
        best = BeamDecoder(TOKENS, 0, BeamOptions(), hotwords=[(elsewhere, 1.0)]).decode(log_probs)[0]
        assert (best.text, best.total) == ("ac", pytest.approx(best.acoustic))


@pytest.mark.parametrize(
    ("hotwords", "sentence"),
    [
        ([("", 1.0)], "hotword '' is empty"),
        ([("  ", 1.0)], "is empty"),
        ([("ab", 0.0)], "hotword 'ab': its weight must be a positive number of nats per word, not 0.0"),
        ([("ab", float("nan"))], "not nan"),
        ([("a  b", 1.0), ("a b", 2.0)], "hotword 'a b' is given twice"),
        ([("aé", 1.0)], "hotword 'aé': the model has no token for 'é'"),
    ],
)
def test_a_hotword_that_cannot_work_gets_a_sentence(hotwords: list[tuple[str, float]], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        BeamDecoder(TOKENS, 0, BeamOptions(), hotwords=hotwords)


def test_a_hotword_outside_the_lexicon_or_the_word_tokens_is_refused() -> None:
    with pytest.raises(UsageError, match="'b' is not among the lexicon's words"):
        BeamDecoder(TOKENS, 0, BeamOptions(), lexicon=Lexicon([("a", ["a"])]), hotwords=[("a b", 1.0)])
    with pytest.raises(UsageError, match="'three' is not among the model's words"):
        BeamDecoder(tokenizer("word", ["one", "two"]), 0, BeamOptions(), hotwords=[("one three", 1.0)])


def test_a_hotword_is_taken_in_the_case_that_can_be_written() -> None:
    upper = Lexicon([("NEW", ["a"]), ("York", ["b"])])
    BeamDecoder(TOKENS, 0, BeamOptions(), lexicon=upper, hotwords=[("new York", 1.0)])
    BeamDecoder(TOKENS, 0, BeamOptions(), lexicon=upper, hotwords=[("york", 1.0)])
    with pytest.raises(UsageError, match="'yorks' is not among"):
        BeamDecoder(TOKENS, 0, BeamOptions(), lexicon=upper, hotwords=[("new yorks", 1.0)])
    BeamDecoder(TOKENS, 0, BeamOptions(), hotwords=[("AB", 1.0)])
    with pytest.raises(UsageError, match="hotword 'AB' is given twice"):
        BeamDecoder(TOKENS, 0, BeamOptions(), hotwords=[("ab", 1.0), ("AB", 1.0)])


def test_a_word_that_is_listened_for_weighs_as_much_as_the_rarest_known_one() -> None:
    lm = random_lm("word", ["a", "b", "ab"], 2, 11)
    lexicon = Lexicon([("a", ["a"]), ("b", ["b"]), ("ba", ["b", "a"])]).with_named(
        {"ab": [["a", "b"]], "bb": [["b", "b"]]}
    )
    ids = BeamDecoder(TOKENS, 0, BeamOptions(), lm, lexicon).fusion.trie.lm
    rarest = min(("a", "b", "ab"), key=lambda word: lm.tables.log_probs[1 + lm.ids[word]])
    assert dict(zip(lexicon.words, ids.tolist(), strict=True)) == {
        "a": lm.ids["a"],
        "b": lm.ids["b"],
        "ba": UNKNOWN,  # of the lexicon, but nobody asked for it
        "ab": lm.ids["ab"],
        "bb": lm.ids[rarest],
    }
