"""Tokens, lexicons and language models as the flat arrays that the beam search reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asr.decode.fusion import LM_FLOOR, NONE, Trie, Units
from asr.decode.lexicon import Lexicon
from asr.decode.trie import build_trie, frozen
from asr.errors import AsrError
from asr.lm.ngram import SPECIAL, UNKNOWN, NgramModel, Tables
from asr.tokens import Tokenizer

SPACE = "<space>"
_WORD_MARK = "▁"


def character_numbers(tokenizer: Tokenizer, blank: int) -> dict[str, int]:
    """Every character that the tokens can write, numbered in order."""
    if tokenizer.token_words:
        return {}
    spelled = {character for text, _ in _writings(tokenizer, blank) for character in text}
    return {character: number for number, character in enumerate(sorted(spelled))}


def _writings(tokenizer: Tokenizer, blank: int) -> list[tuple[str, bool]]:
    """What each token writes, and whether it ends the word before it; as `Tokenizer.words` has it."""
    writings = []
    for token, symbol in enumerate(tokenizer.symbols):
        if token == blank:
            writings.append(("", False))
        elif tokenizer.kind == "char":
            writings.append(("", True) if symbol == SPACE else (symbol, False))
        elif tokenizer.token_words:
            writings.append((symbol, True))
        else:
            writings.append((symbol.removeprefix(_WORD_MARK), symbol.startswith(_WORD_MARK)))
    return writings


def units_of(tokenizer: Tokenizer, blank: int, characters: dict[str, int], lm: Sequence[int] | None) -> Units:
    writings = _writings(tokenizer, blank)
    spelled = [[] if tokenizer.token_words else [characters[one] for one in text] for text, _ in writings]
    return Units(
        frozen([boundary for _, boundary in writings], np.uint8),
        frozen(np.cumsum([0, *map(len, spelled)]), np.int32),
        frozen([unit for units in spelled for unit in units], np.int32),
        frozen(lm if lm is not None else [UNKNOWN] * len(writings), np.int32),
    )


def token_ids(symbols: Sequence[str], blank: int, lm: NgramModel) -> list[int]:
    """The language model's id of each token.

    Raises:
        AsrError: it knows none of them.
    """
    known = {word: number for word, number in lm.ids.items() if word not in SPECIAL}
    ids = [UNKNOWN if token == blank else known.get(symbol, UNKNOWN) for token, symbol in enumerate(symbols)]
    if len(symbols) > 1 and all(number == UNKNOWN for number in ids):
        raise AsrError(f"the language model knows none of the model's tokens ({_compared(lm, symbols, blank)})")
    return ids


def _compared(lm: NgramModel, symbols: Sequence[str], blank: int) -> str:
    theirs = [word for word in lm.vocabulary if word not in SPECIAL][:5]
    ours = [symbol for token, symbol in enumerate(symbols) if token != blank][:5]
    return f"its {lm.unit}s are such as {theirs}, the model's tokens such as {ours}"


def vocabulary_trie(characters: dict[str, int], lm: NgramModel | None) -> Trie:
    """The words of a word model by their characters; a bare root without one.

    Raises:
        AsrError: none of its words can be written in these characters.
    """
    words: list[str] = []
    if lm is not None and lm.unit == "word":
        writable = set(characters)
        words = sorted(word for word in lm.vocabulary if word and word not in SPECIAL and writable.issuperset(word))
        if not words and characters:
            listed = [word for word in lm.vocabulary if word not in SPECIAL][:5]
            raise AsrError(
                f"none of the language model's words, such as {listed}, can be written with the model's characters, "
                f"{''.join(characters)}; estimate it from text in the model's own spelling and case"
            )
    ids = np.array([lm.ids[word] for word in words] if lm is not None else [], np.int64)
    spellings = [[characters[one] for one in word] for word in words]
    return build_trie(spellings, np.arange(len(words)), ids, _unigrams(lm))


def lexicon_trie(lexicon: Lexicon, symbols: Sequence[str], blank: int, space: int, lm: NgramModel | None) -> Trie:
    """The lexicon's words by their tokens; where the model writes spaces, each spelling ends with one."""
    end = () if space == NONE else (space,)
    for entry, (label, spelling) in enumerate(lexicon.entries if end else []):
        if SPACE in spelling:
            raise AsrError(
                f"{lexicon.place(entry)}: the word {lexicon.words[label]!r} is spelled with {SPACE!r}, which stands "
                "between words; leave it out, it is added"
            )
    spelled = [spelling + end for spelling in lexicon.token_ids(symbols, blank)]
    order = sorted(range(len(spelled)), key=spelled.__getitem__)
    labels = np.array([label for label, _ in lexicon.entries])[order]
    ids = np.zeros(len(lexicon), np.int64)
    if lm is not None and lm.unit == "word":
        ids = np.array([lm.ids.get(word, UNKNOWN) if word not in SPECIAL else UNKNOWN for word in lexicon.words])
        if (ids == UNKNOWN).all():
            raise AsrError(
                f"the language model knows none of the lexicon's words ({_compared(lm, lexicon.words, NONE)}); "
                "write both in the same spelling and case"
            )
        if lexicon.named:
            rarest = len(SPECIAL) + int(lm.tables.log_probs[1 + len(SPECIAL) : 1 + len(lm.vocabulary)].argmin())
            ids[[word in lexicon.named and word not in lm.ids for word in lexicon.words]] = rarest
    return build_trie([spelled[place] for place in order], labels, ids, _unigrams(lm))


def _unigrams(lm: NgramModel | None) -> np.ndarray | None:
    """ln P of every word of a word model without its history; None: there is no such model."""
    if lm is None or lm.unit != "word":
        return None
    return np.maximum(lm.tables.log_probs[1 : 1 + len(lm.vocabulary)].astype(np.float64), LM_FLOOR)


def tables_of(lm: NgramModel | None) -> Tables:
    """The model as the kernel takes it; without one, arrays of the same types."""
    if lm is not None:
        return Tables(*(frozen(array, array.dtype) for array in lm.tables))
    zero = np.zeros(1)
    return Tables(
        frozen(zero, np.uint32), frozen(zero, np.float32), frozen(zero, np.float32), frozen(zero, np.int32),
        frozen(np.zeros(2), np.int32),
    )  # fmt: skip
