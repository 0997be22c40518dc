"""What a recurrent language model predicts: words, sentence pieces, characters, or an acoustic model's tokens.

The tokens are those of `asr.tokens`. Their blank, which no text holds, stands for the edge of a sentence: it is read
before the first unit and predicted behind the last.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from asr.config import TokenConfig
from asr.errors import AsrError
from asr.tokens import BLANK, Tokenizer, train_tokenizer

EDGE = BLANK
UNKNOWN_WORD = "<unk>"
_MOST_SENTENCES = 200_000  # from which pieces are learned; more of them change little and take minutes


def read_sentences(paths: Iterable[Path]) -> Iterator[list[str]]:
    """The words of each line of text files (``.gz`` too); empty lines are passed over.

    Raises:
        AsrError: a file is missing, unreadable or not UTF-8.
    """
    for path in paths:
        try:
            with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    try:
                        words = line.decode("utf-8-sig" if number == 1 else "utf-8").split()
                    except UnicodeDecodeError as error:
                        raise AsrError(f"{path}:{number}: not UTF-8 text; save it as UTF-8") from error
                    if words:
                        yield words
        except (OSError, EOFError) as error:
            raise AsrError(f"{path}: could not be read ({getattr(error, 'strerror', None) or error})") from error


class Units:
    """Turns sentences into ids and knows how to spell them.

    Attributes:
        tokenizer: its V tokens; token 0 is the edge of a sentence. A vocabulary of words that was cut short holds
            ``<unk>``, which stands for every other word.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._words: dict[str, list[int]] = {}
        self._unknown: int | None = None
        if tokenizer.kind == "word":
            self._words = {word: [number] for number, word in enumerate(tokenizer.symbols) if number != EDGE}
            self._unknown = self._words.get(UNKNOWN_WORD, [None])[0]

    def __len__(self) -> int:
        """V, the edge included."""
        return len(self.tokenizer)

    def encode(self, words: Sequence[str]) -> list[int]:
        """The ids of a sentence, without its edges.

        Raises:
            AsrError: a word cannot be written in these units.
        """
        if self.tokenizer.kind == "char":
            return self.tokenizer.encode(" ".join(words))
        ids: list[int] = []
        for word in words:
            ids += self._words.get(word) or self._encode_word(word)
        return ids

    def _encode_word(self, word: str) -> list[int]:
        # No piece reaches over a space, so a sentence is spelled word by word, and each word once.
        if self._unknown is not None:
            return [self._unknown]
        self._words[word] = self.tokenizer.encode(word)
        return self._words[word]

    def count_unknown(self, words: Sequence[str]) -> int:
        """How many of the words are ``<unk>`` to the model; 0 where words are spelled by smaller units."""
        return sum(self._words.get(word, [self._unknown])[0] == self._unknown for word in words) if self._unknown else 0


def learn_units(unit: str, size: int, texts: Sequence[Path]) -> Units:
    """Makes the units from the text they are to write.

    Args:
        unit: ``word``, ``piece`` or ``char``.
        size: most words, ``<unk>`` and the edge of a sentence included; or how many pieces. Characters are all kept.
        texts: files with one sentence a line.

    Raises:
        AsrError: no text at all, or too little for so many pieces.
    """
    if unit == "char":
        kept = _rare_characters_kept(texts, 0)
        return Units(train_tokenizer(TokenConfig(kind="char"), kept))
    if unit == "piece":
        total = sum(1 for _ in read_sentences(texts))
        step = -(-total // _MOST_SENTENCES) if total else 1
        return Units(train_tokenizer(TokenConfig(kind="unigram", size=size), _rare_characters_kept(texts, step)))
    counts: Counter[str] = Counter()
    for words in read_sentences(texts):
        counts.update(words)
    special = ["<blank>", UNKNOWN_WORD]
    for name in special:
        del counts[name]
    if not counts:
        raise AsrError(f"{', '.join(map(str, texts))}: holds no words, so there is no vocabulary to learn")
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[: max(size - len(special), 1)]
    return Units(Tokenizer("word", [*special, *frequent]))


def _rare_characters_kept(texts: Sequence[Path], step: int) -> list[str]:
    """Every ``step``-th sentence (0: none), and each that holds a character (or a first space) not met before."""
    chosen: list[str] = []
    seen: set[str] = set()
    for number, words in enumerate(read_sentences(texts)):
        sentence = " ".join(words)
        if (step and number % step == 0) or not seen.issuperset(sentence):
            chosen.append(sentence)
            seen.update(sentence)
    return chosen


def encode_text(units: Units, texts: Sequence[Path]) -> np.ndarray:
    """All sentences in a row, an edge before, between and behind them: int32, shape (units of the text,).

    Raises:
        AsrError: a file cannot be read, or holds what cannot be written in these units; names the file.
    """
    chunks: list[np.ndarray] = []
    for path in texts:
        ids: list[int] = []
        for words in read_sentences([path]):
            try:
                ids += units.encode(words)
            except AsrError as error:
                raise AsrError(f"{path}: {error}") from error
            ids.append(EDGE)
            if len(ids) > 1_000_000:  # a list takes many times the memory of an array
                chunks.append(np.array(ids, dtype=np.int32))
                ids = []
        chunks.append(np.array(ids, dtype=np.int32))
    return np.concatenate([np.array([EDGE], dtype=np.int32), *chunks])
