"""An n-gram language model in flat arrays: a trie of histories that a compiled kernel walks.

A node stands for an n-gram. Node 0 is the empty history; the unigram of word ``w`` is node ``1 + w``; the nodes of each
length stand together, those of one history side by side and sorted by their last word. A state of the search is the
node of the longest history that the model knows, so that scoring a word is one binary search where the n-gram is
there, and one more for each step of backing off where it is not (Katz 1987; the trie with suffix links is that of
Heafield 2011, section 3).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.compiled import kernel

UNKNOWN, BEGIN, END = 0, 1, 2  # ids of <unk>, <s> and </s> in every model
SPECIAL = ("<unk>", "<s>", "</s>")


class Tables(NamedTuple):
    """What the kernel reads. M nodes in all, of which the first I, those shorter than the order, can be histories.

    Attributes:
        words: uint32, shape (M,): the last word of each node; of node 0 without meaning.
        log_probs: float32, shape (M,): ln P(last word | the words before it); of node 0 without meaning.
        backoffs: float32, shape (I,): ln of the backoff weight of each history; 0 for node 0.
        suffixes: int32, shape (M,): the node of the longest proper suffix that the model holds as a history.
        first: int32, shape (I + 1,): the children of node i are the nodes ``first[i]`` to ``first[i + 1] - 1``.
    """

    words: np.ndarray
    log_probs: np.ndarray
    backoffs: np.ndarray
    suffixes: np.ndarray
    first: np.ndarray


@kernel
def advance(tables, state, word):  # type: ignore[no-untyped-def]
    """ln P(word | state) and the state behind it; ``state`` is a node below I, ``word`` an id."""
    score = 0.0
    while state != 0:
        low, high = tables.first[state], tables.first[state + 1]
        while low < high:
            middle = (low + high) >> 1
            if tables.words[middle] < word:
                low = middle + 1
            else:
                high = middle
        if low < tables.first[state + 1] and tables.words[low] == word:
            score += tables.log_probs[low]
            return score, low if low < len(tables.backoffs) else tables.suffixes[low]
        score += tables.backoffs[state]
        state = tables.suffixes[state]
    node = 1 + word
    score += tables.log_probs[node]
    return score, node if node < len(tables.backoffs) else 0


@kernel
def score_ids(tables, begin, ids, scores):  # type: ignore[no-untyped-def]
    """Scores sentences that stand one behind the other, each closed by `END`, and each begun in state ``begin``."""
    state = np.int64(begin)
    for position in range(len(ids)):
        score, after = advance(tables, state, np.int64(ids[position]))
        scores[position] = score
        state = np.int64(begin) if ids[position] == END else np.int64(after)


@dataclass(frozen=True)
class NgramModel:
    """A language model over words, or over the tokens of an acoustic model.

    Attributes:
        unit: ``word`` or ``token``.
        order: the longest n-gram.
        vocabulary: the words by id; the first three are `SPECIAL`.
        tables: see `Tables`.
        notes: what a user should know of how it came about, a sentence each.
    """

    unit: str
    order: int
    vocabulary: list[str] = field(repr=False)
    tables: Tables = field(repr=False)
    notes: tuple[str, ...] = ()

    @cached_property
    def ids(self) -> dict[str, int]:
        """Word → id."""
        return {word: number for number, word in enumerate(self.vocabulary)}

    @property
    def begin(self) -> int:
        """The state before the first word of a sentence: the history ``<s>``."""
        return 1 + BEGIN if len(self.tables.backoffs) > 1 + BEGIN else 0

    @property
    def counts(self) -> list[int]:
        """How many n-grams of each length, from 1 to the order."""
        bounds = levels(self.tables)
        return [end - begin for begin, end in itertools.pairwise(bounds[1:])]

    def advance(self, state: int, word: str) -> tuple[float, int]:
        """ln P(word | state) and the state behind it; a word that the model lacks is ``<unk>``."""
        score, after = advance(self.tables, state, self.ids.get(word, UNKNOWN))
        return float(score), int(after)

    def score(self, words: Sequence[str]) -> list[float]:
        """ln P of each word of a sentence given those before it, and of ``</s>`` behind them: len(words) + 1 numbers.

        A word that the model lacks is scored as ``<unk>``.
        """
        ids = np.array([*(self.ids.get(word, UNKNOWN) for word in words), END], dtype=np.uint32)
        return [float(score) for score in self.score_sentences(ids)]

    def score_sentences(self, ids: np.ndarray) -> np.ndarray:
        """ln P of every word of many sentences.

        Args:
            ids: uint32, shape (L,): the words of sentence after sentence, each sentence closed by `END`.

        Returns:
            float64, shape (L,).

        Raises:
            ValueError: an id is not in the vocabulary.
        """
        if len(ids) and int(ids.max()) >= len(self.vocabulary):
            raise ValueError(f"word {int(ids.max())} is not one of the {len(self.vocabulary)} of the vocabulary")
        scores = np.empty(len(ids))
        score_ids(self.tables, self.begin, ids, scores)
        return scores

    def save(self, path: Path) -> None:
        """Writes the model so that `load_lm` maps it into memory: safetensors, float32.

        Raises:
            AsrError: the file could not be written.
        """
        from asr.lm.storage import write_model

        write_model(self, path)


def levels(tables: Tables) -> list[int]:
    """Where the nodes of each length begin: those of length n are ``bounds[n]`` to ``bounds[n + 1] - 1``."""
    bounds = [0, 1]
    while bounds[-1] <= len(tables.backoffs):
        bounds.append(int(tables.first[bounds[-1]]))
        if bounds[-1] == bounds[-2]:  # no n-gram is so long
            bounds.pop()
            break
    return bounds


def load_lm(
    path: Path, unit: str = "word", report: Callable[[int, int | None], None] = lambda done, total: None
) -> NgramModel:
    """Reads a language model, whatever its name: a model file of ours, an ARPA file or a gzipped ARPA file.

    Args:
        path: the file.
        unit: what an ARPA file's words are, ``word`` or ``token``; our own file says it.
        report: told how many bytes of an ARPA file are read, and of how many.

    Raises:
        AsrError: missing, unreadable, neither of them, or damaged.
    """
    from asr.errors import AsrError
    from asr.lm.arpa import read_arpa
    from asr.lm.storage import read_model

    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise AsrError(f"{path}: could not be read ({error.strerror or error})") from error
    if start[8:9] == b"{":
        return read_model(path)
    if start[:2] == b"\x1f\x8b" or b"\\data\\" in start or start.lstrip()[:1] in (b"#", b"\\"):
        return read_arpa(path, unit, report)
    raise AsrError(
        f"{path}: not a language model; needed is what `asr lm train` wrote or an ARPA file, perhaps gzipped"
    )
