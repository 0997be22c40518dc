"""Whether a language model fits an acoustic model: the same tokens, the same case, the same spelling."""

from __future__ import annotations

import numpy as np

from asr.errors import AsrError
from asr.lm.ngram import SPECIAL, NgramModel
from asr.tokens import BLANK, Tokenizer

_LEAST_SHARE = 0.5  # of the unigrams' probability on words that the model must be able to write
_NAMED = 5


def word_shares(lm: NgramModel) -> np.ndarray:
    """The unigrams' probabilities without `SPECIAL`: shape (V,), summing to one; 0 for those.

    In a Kneser-Ney model above order 1 they tell in how many contexts a word is met rather than how often.
    """
    shares = np.exp(lm.tables.log_probs[1 : 1 + len(lm.vocabulary)].astype(np.float64))
    shares[: len(SPECIAL)] = 0
    return shares / max(shares.sum(), 1e-300)


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:_NAMED])) + (" …" if len(names) > _NAMED else "")


def check_fit(tokenizer: Tokenizer, lm: NgramModel, name: str) -> float:
    """Refuses a language model whose words or tokens the acoustic model cannot write.

    Args:
        tokenizer: the acoustic model's.
        lm: over words or over tokens.
        name: of the language model, for the sentence.

    Returns:
        The share of words (or tokens) that the acoustic model can write, by `word_shares`, 0 to 1.

    Raises:
        AsrError: says what differs.
    """
    if lm.unit == "token":
        ours, theirs = set(tokenizer.symbols) - {tokenizer.symbols[BLANK]}, set(lm.vocabulary[len(SPECIAL) :])
        if ours == theirs:
            return 1.0
        parts = []
        if lacking := sorted(ours - theirs):
            parts.append(f"the language model lacks {len(lacking)} of the model's tokens ({_listed(lacking)})")
        if foreign := sorted(theirs - ours):
            parts.append(f"it holds {len(foreign)} that the model lacks ({_listed(foreign)})")
        raise AsrError(f"{name}: over other tokens than the model's: {', '.join(parts)}; train it with --tokens MODEL")
    if tokenizer.kind != "word" and set(tokenizer.symbols[BLANK + 1 :]) == set(lm.vocabulary[len(SPECIAL) :]):
        raise AsrError(
            f"{name}: its words are the model's tokens, but the file does not say that it is a model of tokens; "
            "asr lm convert --unit token writes one that does"
        )
    if tokenizer.kind == "phone":
        raise AsrError(
            f"{name}: a model of words, and the acoustic model writes phones; say how its words are pronounced with "
            "--lexicon, a file that asr lexicon makes"
        )
    shares = word_shares(lm)
    unknown: dict[str, float] = {}
    lost = 0.0
    for word, share in zip(lm.vocabulary[len(SPECIAL) :], shares[len(SPECIAL) :].tolist(), strict=True):
        if foreign := tokenizer.unknown(word):
            lost += share
            for unit in foreign:
                unknown[unit] = unknown.get(unit, 0.0) + share
    if 1 - lost >= _LEAST_SHARE:
        return 1 - lost
    raise AsrError(
        f"{name}: {lost:.0%} of its words, by their unigrams, cannot be written in the model's tokens, which lack "
        f"{_listed(sorted(unknown, key=lambda unit: (-unknown[unit], unit)))}{_case(tokenizer, list(unknown))}; train "
        "the language model on text that is written as the model's transcripts are"
    )


def _case(tokenizer: Tokenizer, unknown: list[str]) -> str:
    """Says that only the case differs, where that is so."""

    def letters(texts: list[str]) -> str:
        named = [text for text in texts if not text.startswith("<")]  # not <space>
        return "".join(character for text in named for character in text if character.isalpha())

    ours, theirs = letters(tokenizer.symbols[BLANK + 1 :]), letters(unknown)
    if set(ours).isdisjoint(theirs.swapcase()):  # another alphabet
        return ""
    if ours.isupper() and theirs.islower():
        return ": the model writes upper case, this language model lower case"
    if ours.islower() and theirs.isupper():
        return ": the model writes lower case, this language model upper case"
    return ""
