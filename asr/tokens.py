"""Tokens: what the network writes, and how tokens become words again.

Characters, words, the pieces of a SentencePiece model, or phones through a lexicon. Token 0 is always the CTC blank and
never part of a transcript.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.config import TokenConfig
from asr.errors import AsrError
from asr.files import read_text, replacing, write_text
from asr.phones.dictionary import Phones, lexicon_lines, read_dictionary

if TYPE_CHECKING:
    from asr.manifest import Utterance

BLANK = 0
_BLANK_SYMBOL = "<blank>"
_SPACE_SYMBOL = "<space>"
_WORD_MARK = "▁"  # SentencePiece's sign for "a word begins here"
_ADD_WORDS = "or add them to the dictionary, or name a model for them with tokens.g2p"
_ADD_TEXT = "or add transcripts that hold them to the training manifest"
LEXICON = "lexicon.txt"
_ADVICE = {
    "char": "or add them to tokens.characters",
    "word": _ADD_TEXT,
    "phone": _ADD_WORDS,
    "unigram": _ADD_TEXT,
    "bpe": _ADD_TEXT,
}


class Tokenizer:
    """Maps transcripts to token ids and back.

    Attributes:
        kind: char, word, unigram, bpe or phone.
        symbols: the V tokens by id; ``symbols[0]`` is the blank, a space is written ``<space>``.
        lexicon: for kind phone: word → its pronunciations; the first is how transcripts are written.
    """

    def __init__(
        self,
        kind: str,
        symbols: Sequence[str],
        pieces: bytes | None = None,
        lexicon: Mapping[str, Sequence[Phones]] | None = None,
    ) -> None:
        self.kind = kind
        self.lexicon = lexicon or {}
        self.symbols = list(symbols)
        self._ids = {symbol: number for number, symbol in enumerate(self.symbols) if number != BLANK}
        self._pieces = pieces
        self._processor = _processor(pieces) if pieces is not None else None

    def __len__(self) -> int:
        """V, the blank included."""
        return len(self.symbols)

    @property
    def token_words(self) -> bool:
        """Whether each token is written as a word of its own; phones are, for only a lexicon makes words of them."""
        return self.kind in ("word", "phone")

    @property
    def files(self) -> list[str]:
        """The names of what `save` writes."""
        if self._pieces is not None:
            return ["tokens.model"]
        return ["tokens.txt", LEXICON] if self.kind == "phone" else ["tokens.txt"]

    def _units(self, text: str) -> list[str]:
        if self.kind == "word":
            return text.split()
        return [_SPACE_SYMBOL if character == " " else character for character in " ".join(text.split())]

    def unknown(self, text: str) -> list[str]:
        """The characters (for kinds word and phone: the words) of a transcript without a token, each once, sorted."""
        if self.kind == "phone":
            return sorted(set(text.split()) - self.lexicon.keys())
        if self._processor is not None:
            # SentencePiece reads its own word mark as a space: a transcript that holds one could not be spelled again.
            characters = {one for one in text if not one.isspace()}
            known = {one for one in characters if one != _WORD_MARK and BLANK not in self._processor.encode(one)}
            return sorted(characters - known)
        return sorted({unit for unit in self._units(text) if unit not in self._ids})

    def encode(self, text: str) -> list[int]:
        """The token ids of a transcript, length U.

        Raises:
            AsrError: the transcript holds something that has no token.
        """
        if self.kind == "phone":
            words = text.split()
            if all(word in self.lexicon for word in words):
                return [self._ids[phone] for word in words for phone in self.lexicon[word][0]]
            raise AsrError(f"{text!r}: no pronunciation for {', '.join(map(repr, self.unknown(text)))}")
        if self._processor is not None:
            ids = list(self._processor.encode(" ".join(text.split())))
            if BLANK not in ids and _WORD_MARK not in text:
                return ids
        else:
            units = self._units(text)
            if all(unit in self._ids for unit in units):
                return [self._ids[unit] for unit in units]
        raise AsrError(f"{text!r}: no token for {', '.join(map(repr, self.unknown(text)))}")

    def words(self, ids: Sequence[int]) -> list[tuple[str, list[int]]]:
        """Groups token ids into words: each word with the positions in ``ids`` of the tokens that spell it."""
        if self.token_words:
            return [(self.symbols[token], [position]) for position, token in enumerate(ids)]
        spellings: list[str] = []
        groups: list[list[int]] = []
        begin = True
        for position, token in enumerate(ids):
            symbol = self.symbols[token]
            if self.kind == "char":
                spelling = "" if symbol == _SPACE_SYMBOL else symbol
                begin = begin or not spelling
            else:
                spelling = symbol.removeprefix(_WORD_MARK)
                begin = begin or symbol.startswith(_WORD_MARK)
            if not spelling:
                continue
            if begin:
                spellings.append(spelling)
                groups.append([position])
            else:
                spellings[-1] += spelling
                groups[-1].append(position)
            begin = False
        return list(zip(spellings, groups, strict=True))

    def decode(self, ids: Sequence[int]) -> str:
        """The text that token ids spell: words separated by single spaces."""
        return " ".join(word for word, _ in self.words(ids))

    def save(self, folder: Path) -> Path:
        """Writes ``tokens.txt`` (one symbol a line) or ``tokens.model`` (SentencePiece) and returns its path.

        Phones need their lexicon, too: ``lexicon.txt``.
        """
        if self.kind == "phone":
            write_text(folder / LEXICON, lexicon_lines(self.lexicon))
        if self._pieces is None:
            path = folder / "tokens.txt"
            write_text(path, "".join(symbol + "\n" for symbol in self.symbols))
        else:
            path = folder / "tokens.model"
            with replacing(path) as temporary:
                temporary.write_bytes(self._pieces)
        return path


def _processor(pieces: bytes) -> Any:
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_proto=pieces)
    except RuntimeError as error:
        raise AsrError("tokens.model: not a SentencePiece model") from error


def _from_pieces(kind: str, pieces: bytes) -> Tokenizer:
    processor = _processor(pieces)
    if processor.unk_id() != BLANK:
        raise AsrError(
            f"tokens.model: its unknown piece must have id 0, where the blank stands, not {processor.unk_id()}"
        )
    symbols = [_BLANK_SYMBOL, *(processor.id_to_piece(number) for number in range(1, processor.get_piece_size()))]
    return Tokenizer(kind, symbols, pieces)


def load_tokenizer(folder: Path, kind: str) -> Tokenizer:
    """Reads what `Tokenizer.save` wrote.

    Raises:
        AsrError: missing or malformed.
    """
    if kind in ("unigram", "bpe"):
        path = folder / "tokens.model"
        try:
            return _from_pieces(kind, path.read_bytes())
        except OSError as error:
            raise AsrError(f"{path}: could not be read ({error.strerror})") from error
    path = folder / "tokens.txt"
    symbols = read_text(path).removesuffix("\n").split("\n")
    if symbols[0] != _BLANK_SYMBOL or len(set(symbols)) != len(symbols):
        raise AsrError(f"{path}: must begin with {_BLANK_SYMBOL} and hold each token once")
    if kind == "char" and (words := [one for one in symbols[1:] if len(one) != 1 and one != _SPACE_SYMBOL]):
        raise AsrError(f"{path}: {words[0]!r} is not one character, as tokens of kind char are; it is another model's")
    if kind != "phone":
        return Tokenizer(kind, symbols)
    lexicon = read_dictionary(folder / LEXICON, stress=True)
    for word, said in lexicon.items():
        if foreign := sorted({phone for phones in said for phone in phones} - set(symbols[1:])):
            raise AsrError(f"{folder / LEXICON}: {word!r} is said with {foreign[0]!r}, which {path} lacks")
    return Tokenizer(kind, symbols, lexicon=lexicon)


def train_tokenizer(config: TokenConfig, texts: Iterable[str]) -> Tokenizer:
    """Makes the tokens from transcripts: their characters, their words, or a SentencePiece model trained on them.

    Phones are all those of the dictionary; their lexicon holds the words of the transcripts that can be pronounced.

    Raises:
        AsrError: no text at all, too little for ``config.size`` pieces, or a dictionary that cannot be used.
    """
    texts = [" ".join(text.split()) for text in texts]
    if not any(texts):
        raise AsrError("every transcript is empty, so there are no tokens to learn")
    if config.kind == "char":
        characters = set("".join(texts) if config.characters is None else config.characters)
        ordered = sorted(character for character in characters if not character.isspace())
        return Tokenizer("char", [_BLANK_SYMBOL, *([_SPACE_SYMBOL] if " " in characters else []), *ordered])
    if config.kind == "word":
        words = {word for text in texts for word in text.split()}
        if _BLANK_SYMBOL in words:
            raise AsrError(
                f"{_BLANK_SYMBOL!r} stands in a transcript, but it is the blank's name; write that word otherwise"
            )
        return Tokenizer("word", [_BLANK_SYMBOL, *sorted(words)])
    if config.kind == "phone":
        from asr.phones.lexicon import phone_tokenizer, pronounce_for

        return phone_tokenizer(pronounce_for(config, (word for text in texts for word in text.split())))
    return _from_pieces(config.kind, _train_pieces(config, texts))


def _train_pieces(config: TokenConfig, texts: list[str]) -> bytes:
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type=config.kind,
            vocab_size=config.size,
            hard_vocab_limit=config.kind == "bpe",
            character_coverage=1.0,
            normalization_rule_name="identity",
            unk_id=BLANK,  # no transcript holds the unknown piece, so its id can serve as the blank
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            max_sentence_length=1 << 30,  # [bytes]; it would skip what is longer than 4192 without a word
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).rpartition("] ")[2].strip() or str(error)
        raise AsrError(f"tokens.size={config.size}: SentencePiece could not learn so many pieces ({reason})") from error
    return model.getvalue()


def check_transcripts(tokenizer: Tokenizer, utterances: Iterable[Utterance], what: str) -> None:
    """Checks that every transcript can be written in these tokens.

    Raises:
        AsrError: names each unknown character (or word), how often it is met and the first utterances that hold it.
    """
    holders: dict[str, list[str]] = {}
    for utterance in utterances:
        for unit in tokenizer.unknown(utterance.text):
            holders.setdefault(unit, []).append(utterance.id)
    if holders:
        listed = "; ".join(
            f"{unit!r} in {len(ids)} ({', '.join(ids[:3])}{', …' if len(ids) > 3 else ''})"
            for unit, ids in sorted(holders.items())[:10]
        )
        units = "words" if tokenizer.token_words else "characters"
        more = f"; and {len(holders) - 10} more" if len(holders) > 10 else ""
        raise AsrError(
            f"{what}: transcripts hold {units} that have no token: {listed}{more}; correct them, normalise them away, "
            f"{_ADVICE[tokenizer.kind]}"
        )
