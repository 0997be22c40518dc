from __future__ import annotations

import numpy as np
import pytest

from asr.errors import AsrError
from asr.lm.fit import check_fit, word_shares
from asr.lm.kneser_ney import estimate
from asr.lm.ngram import SPECIAL, NgramModel
from asr.tokens import Tokenizer

UPPER = Tokenizer("char", ["<blank>", "<space>", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"])
WORDS = Tokenizer("word", ["<blank>", "do", "mi", "re"])


def _lm(*lines: str, unit: str = "word") -> NgramModel:
    return estimate(iter(lines), 2, unit)


def _sentence(tokenizer: Tokenizer, lm: NgramModel) -> str:
    with pytest.raises(AsrError) as told:
        check_fit(tokenizer, lm, "lm.arpa")
    sentence = str(told.value)
    assert sentence.startswith("lm.arpa: ")
    assert "\n" not in sentence
    return sentence


def test_shares_follow_the_counts_and_sum_to_one() -> None:
    lm = estimate(iter(["a a a b", "a a b c"]), 1, "word")
    shares = word_shares(lm)
    assert shares.shape == (len(lm.vocabulary),)
    assert shares.sum() == pytest.approx(1)
    assert not shares[: len(SPECIAL)].any()
    unigrams = np.array([np.exp(lm.advance(0, word)[0]) for word in lm.vocabulary[len(SPECIAL) :]])
    assert shares[len(SPECIAL) :] == pytest.approx(unigrams / unigrams.sum())


def test_a_model_of_the_same_spelling_fits_wholly() -> None:
    assert check_fit(UPPER, _lm("IT'S A DOG", "A CAT"), "lm.arpa") == 1.0
    assert check_fit(WORDS, _lm("do re mi"), "lm.arpa") == 1.0


def test_a_few_foreign_words_do_no_harm_and_are_told_as_a_share() -> None:
    share = check_fit(UPPER, _lm(*["A DOG AND A CAT"] * 9, "CAFÉ 42"), "lm.arpa")
    assert 0.5 < share < 1.0


@pytest.mark.parametrize(
    ("tokenizer", "text", "case"),
    [
        (UPPER, "a dog and a cat", "the model writes upper case, this language model lower case"),
        (WORDS, "DO RE MI DO", "the model writes lower case, this language model upper case"),
    ],
)
def test_another_case_is_told_as_such(tokenizer: Tokenizer, text: str, case: str) -> None:
    sentence = _sentence(tokenizer, _lm(text))
    assert "100% of its words, by their unigrams, cannot be written in the model's tokens" in sentence
    assert case in sentence


def test_pieces_of_another_case_are_told_as_such() -> None:
    class Pieces(Tokenizer):
        """Sentence pieces without a SentencePiece model."""

        def unknown(self, text: str) -> list[str]:
            return sorted({one for one in text if not any(one in symbol for symbol in self.symbols[1:])})

    sentence = _sentence(Pieces("bpe", ["<blank>", "▁THE", "▁CAT", "S"]), _lm("the cats the cat"))
    assert "the model writes upper case, this language model lower case" in sentence


def test_another_alphabet_is_told_by_its_commonest_letters_and_not_as_a_case() -> None:
    sentence = _sentence(UPPER, _lm("да да нет", "да"))
    assert "which lack 'а', 'д', 'е', 'н', 'т'; train the" in sentence
    assert "train the language model on text that is written as the model's transcripts are" in sentence


def test_a_long_list_is_cut() -> None:
    sentence = _sentence(WORDS, _lm(" ".join(f"w{number}" for number in range(40))))
    assert sentence.count("'w") == 5
    assert " …" in sentence


def test_frequent_words_weigh_more_than_many_rare_ones() -> None:
    lm = estimate(iter([*["A B C D A B C D"] * 50, "0 1 2 3 4 5 6 7"]), 1, "word")
    assert check_fit(UPPER, lm, "lm.arpa") > 0.9


def test_an_arpa_file_of_tokens_is_not_taken_for_words() -> None:
    letters = Tokenizer("char", ["<blank>", "<space>", "a", "b"])
    text = "a b <space> b a"
    assert check_fit(letters, _lm(text, unit="token"), "lm.arpa") == 1.0
    assert "asr lm convert --unit token" in _sentence(letters, _lm(text))
    assert check_fit(letters, _lm("a b"), "lm.arpa") == 1.0


def test_a_model_of_tokens_must_hold_the_same_tokens() -> None:
    tokens = " ".join(symbol for symbol in WORDS.symbols[1:])
    assert check_fit(WORDS, _lm(tokens, unit="token"), "lm.arpa") == 1.0
    lacking = _sentence(WORDS, _lm("do re", unit="token"))
    assert "over other tokens than the model's: the language model lacks 1 of the model's tokens ('mi'); " in lacking
    assert lacking.endswith("train it with --tokens MODEL")
    foreign = _sentence(WORDS, _lm("do re mi fa sol", unit="token"))
    assert "model's: it holds 2 that the model lacks ('fa', 'sol'); " in foreign
    both = _sentence(WORDS, _lm("Do Re Mi", unit="token"))
    assert (
        "lacks 3 of the model's tokens ('do', 'mi', 're'), it holds 3 that the model lacks ('Do', 'Mi', 'Re')" in both
    )
