"""Lexicons: which tokens (characters, sentence pieces, phones) spell each word."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from asr.errors import AsrError
from asr.files import read_text
from asr.phones.dictionary import bare_word, entry_fields
from asr.tokens import Tokenizer


class Lexicon:
    """Words and their spellings; a word may have several, and several words may share one.

    Attributes:
        words: each word once, in the order of first mention; a word's place is its label.
        entries: (label, spelling as token symbols), each spelling of a word once.
        named: words that somebody listens for although no list held them, see `with_named`.
    """

    named: frozenset[str] = frozenset()

    def __init__(
        self, pairs: Iterable[tuple[str, Sequence[str]]], where: str = "the lexicon", lines: Sequence[int] | None = None
    ) -> None:
        """
        Args:
            pairs: (word, its spelling as token symbols), one for each pronunciation.
            where: what to call it in error messages.
            lines: the line of each pair, for error messages; None: pairs are counted.

        Raises:
            AsrError: no pair at all, a word that is empty or holds a space, or an empty spelling.
        """
        self._where, self._lines = where, lines
        labels: dict[str, int] = {}
        spellings: dict[tuple[int, tuple[str, ...]], int] = {}
        for number, (word, spelling) in enumerate(pairs):
            label = labels.setdefault(word, len(labels))
            spellings.setdefault((label, tuple(spelling)), number)
        self.words = list(labels)
        self.entries, self._numbers = list(spellings), list(spellings.values())
        if not labels:
            raise AsrError(f"{where}: no words; a line is a word and the tokens that spell it")
        for entry, (label, said) in enumerate(self.entries):
            word = self.words[label]
            if word.split() != [word]:
                raise AsrError(f"{self.place(entry)}: {word!r} is not one word")
            if not said:
                fault = "has no tokens; a line is a word and the tokens that spell it"
                raise AsrError(f"{self.place(entry)}: the word {word!r} {fault}")

    def place(self, entry: int) -> str:
        """Where an entry was read, for error messages."""
        if entry >= len(self._numbers):
            return "the hotwords"
        number = self._numbers[entry]
        return f"{self._where}, {f'entry {number + 1}' if self._lines is None else f'line {self._lines[number]}'}"

    def with_named(self, spelled: Mapping[str, Sequence[Sequence[str]]]) -> Lexicon:
        """The same with words that it lacks, each with all its spellings as token symbols.

        A language model that has never seen such a word takes it for its rarest one, and not for an unknown one.
        """
        found = copy.copy(self)
        more = Lexicon(((word, one) for word, spellings in spelled.items() for one in spellings), "the hotwords")
        found.words = [*self.words, *more.words]
        found.entries = [*self.entries, *((len(self) + label, spelling) for label, spelling in more.entries)]
        found.named = frozenset(spelled)
        return found

    def __len__(self) -> int:
        """How many words."""
        return len(self.words)

    def token_ids(self, symbols: Sequence[str], blank: int) -> list[tuple[int, ...]]:
        """The spelling of each entry as token ids.

        Args:
            symbols: the model's V tokens by id.
            blank: index of the blank, which spells nothing.

        Raises:
            AsrError: names the first word with a token that the model lacks, the token and the line.
        """
        ids = {symbol: number for number, symbol in enumerate(symbols) if number != blank}
        spelled = []
        for entry, (label, spelling) in enumerate(self.entries):
            try:
                spelled.append(tuple([ids[symbol] for symbol in spelling]))
            except KeyError as missing:
                raise AsrError(
                    f"{self.place(entry)}: the word {self.words[label]!r} is spelled with {missing.args[0]!r}, which "
                    f"is not a token of the model; its tokens are {_listed(ids)}"
                ) from None
        return spelled


def _listed(symbols: Iterable[str], most: int = 40) -> str:
    symbols = list(symbols)
    return " ".join(symbols[:most]) + (f" … ({len(symbols)} in all)" if len(symbols) > most else "")


def from_words(words: Iterable[str], tokenizer: Tokenizer) -> Lexicon:
    """A lexicon of words spelled by the model's own tokenizer.

    Raises:
        AsrError: no word, or one that the tokens cannot spell.
    """
    return Lexicon(
        ((word, [tokenizer.symbols[token] for token in tokenizer.encode(word)]) for word in words), "the word list"
    )


def read_lexicon(path: Path) -> Lexicon:
    """Reads a lexicon: a line is a word and the tokens that spell it, separated by white space.

    Understood are Kaldi's ``lexicon.txt`` and both forms of the CMU dictionary: variants marked ``WORD(2)``, remarks
    behind `` #`` or on lines that begin with ``;;;``; and variants numbered in a second column, which is taken for that
    if every line has a whole number there.

    Raises:
        AsrError: the file cannot be read, holds no word, or a word without tokens.
    """
    entries = list(entry_fields(read_text(path)))
    lines, rows = [line for line, _ in entries], [fields for _, fields in entries]
    numbered = bool(rows) and all(len(fields) > 1 and fields[1].isdecimal() for fields in rows)
    return Lexicon(((bare_word(fields[0]), fields[2 if numbered else 1 :]) for fields in rows), str(path), lines)
