"""ARPA files: n-gram models as text, with log-probabilities to base 10 (SRILM's manual page ngram-format(5))."""

from __future__ import annotations

import gzip
import io
import itertools
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from asr.errors import AsrError
from asr.files import replacing
from asr.lm import arpa_kernels as kernels
from asr.lm.arpa_kernels import LN10, Words
from asr.lm.ngram import SPECIAL, UNKNOWN, NgramModel, Tables, levels
from asr.lm.trie import DuplicateNgram, Level, build

_BLOCK = 1 << 22  # [bytes] read or written at once
_COUNT = re.compile(rb"ngram\s+(\d+)\s*=\s*(\d+)\s*")
_NO_UNKNOWN = -100.0  # log10 P of <unk> where a file has none, as KenLM takes it
_MOST_NODES = (1 << 31) - 2
_COMPRESSION = 3  # of gzip; more takes three times as long for a tenth less


class _Reader:
    """A file's whole lines, a block at a time.

    Attributes:
        block: uint8: the bytes at hand, whole lines; what is before ``position`` has been read.
        line: how many lines have been read.
    """

    def __init__(self, path: Path, file: IO[bytes], tell: Callable[[], int], report: Callable[[int], None]) -> None:
        self.path, self.block, self.position, self.line = path, np.zeros(0, np.uint8), 0, 0
        self._file, self._rest, self._tell, self._report = file, b"", tell, report

    def fill(self) -> bool:
        """Makes sure there is a line at hand; False at the end of the file."""
        while self.position == len(self.block):
            data = self._file.read(_BLOCK)
            self._report(self._tell())
            if not data and not self._rest:
                return False
            joined = self._rest + data if data else self._rest + b"\n"
            cut = joined.rfind(b"\n") + 1
            self.block, self.position, self._rest = np.frombuffer(joined[:cut], np.uint8), 0, joined[cut:]
        return True

    def next_line(self) -> bytes | None:
        """The next line without white space around it; None at the end of the file."""
        if not self.fill():
            return None
        tail = self.block[self.position :]
        length = int((tail[: 1 << 16] == 10).argmax()) if (tail[: 1 << 16] == 10).any() else int((tail == 10).argmax())
        self.position += length + 1
        self.line += 1
        return tail[:length].tobytes().strip()

    def fail(self, reason: str) -> NoReturn:
        raise AsrError(f"{self.path}:{self.line}: {reason}")


def read_arpa(
    path: Path, unit: str = "word", report: Callable[[int, int | None], None] = lambda done, total: None
) -> NgramModel:
    """Reads an ARPA file, plain or gzipped.

    A file without ``<unk>`` gets one with 10^−100, as KenLM does, and a note. An n-gram whose prefix the file lacks
    has it added, see `asr.lm.trie.build`.

    Args:
        path: the file.
        unit: what its words are, ``word`` or ``token``.
        report: told how many bytes are read, and of how many.

    Raises:
        AsrError: missing, cut short, or not as an ARPA file has to be; the sentence gives file and line.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            file: Any = gzip.open(raw) if zipped else raw  # noqa: SIM115 (closing raw is all there is to close)
            reader = _Reader(path, file, raw.tell, lambda done: report(done, size))
            return _read(reader, unit, size * (1032 if zipped else 1))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise AsrError(f"{path}: the gzip file is cut short or damaged ({error}); get it again") from error
    except OSError as error:
        raise AsrError(f"{path}: could not be read ({error.strerror or error})") from error


def _read(reader: _Reader, unit: str, most_bytes: int) -> NgramModel:
    counts = _read_counts(reader, most_bytes)
    sections, begins, words = [], [], None
    for order, count in enumerate(counts, start=1):
        _expect(reader, f"\\{order}-grams:")
        begins.append(reader.line + 1)
        words = words or _empty_words(count)
        level, words = _read_section(reader, order, count, words, order == len(counts))
        if order == 1:
            level, words, vocabulary, notes = _unigrams(reader, level, words)
        sections.append(level)
    _expect(reader, "\\end\\")
    try:
        tables = build(sections)
    except DuplicateNgram as twice:
        ngram = " ".join(vocabulary[word] for word in sections[twice.order - 1].ngrams[twice.row])
        raise AsrError(
            f"{reader.path}:{begins[twice.order - 1] + twice.row}: the {twice.order}-gram {ngram!r} stands there twice"
        ) from None
    _settle_backoffs(reader.path, tables, sections, begins, vocabulary)
    return NgramModel(unit, len(counts), vocabulary, tables, notes)


def _read_counts(reader: _Reader, most_bytes: int) -> list[int]:
    """What \\data\\ says: the number of n-grams of each order."""
    while (line := reader.next_line()) != b"\\data\\":  # text before it is a comment
        if line is None:
            raise AsrError(f"{reader.path}: not an ARPA file: no line is \\data\\")
    counts: list[int] = []
    while line := reader.next_line():
        match = _COUNT.fullmatch(line)
        if match is None:
            reader.fail(f"after \\data\\ come lines like 'ngram 1=5' and then an empty one, not {_show(line)}")
        if int(match[1]) != len(counts) + 1:
            reader.fail(f"the number of {len(counts) + 1}-grams must come next, not {_show(line)}")
        counts.append(int(match[2]))
        if sum(counts) > min(most_bytes, _MOST_NODES):
            reader.fail(f"{_show(line)}: more n-grams than the file can hold, or than 2^31")
    if not counts:
        reader.fail("\\data\\ gives no number of n-grams, such as 'ngram 1=5'")
    if line is None:
        reader.fail("the file ends after its counts; it was cut short")
    return counts


def _show(line: bytes) -> str:
    text = line.decode(errors="backslashreplace")
    return repr(text if len(text) <= 80 else text[:80] + "…")


def _expect(reader: _Reader, heading: str) -> None:
    line: bytes | None = b""
    while line == b"":
        line = reader.next_line()
    if line is None:
        reader.fail(f"the file ends where {heading} was to come; it was cut short")
    if line != heading.encode():
        reader.fail(f"{heading} was to come here, not {_show(line)}")


def _empty_words(count: int) -> Words:
    slots = 1 << max(4, (2 * count).bit_length())
    return Words(np.full(slots, -1, np.int32), np.zeros(0, np.uint8), np.zeros(count + 1, np.int64))


def _read_section(reader: _Reader, order: int, count: int, words: Words, last: bool) -> tuple[Level, Words]:
    """The n-grams of one order; unigrams also fill the table of words."""
    ngrams = np.zeros((count, order), np.uint32)
    log_probs, backoffs = np.zeros(count, np.float32), np.zeros(count, np.float32)
    fields = np.empty((order + 2, 2), np.int64)
    row, how, first_line = 0, kernels.MORE, reader.line + 1
    while how == kernels.MORE and reader.fill():
        block, used = reader.block, int(words.begins[row]) if order == 1 else 0
        if order == 1 and len(words.spelled) < used + len(block):
            words = words._replace(
                spelled=np.concatenate([words.spelled[:used], np.zeros(used + 2 * len(block), "u1")])
            )
        reader.position, row, how, begin, end = kernels.read_ngrams(
            block, reader.position, len(block), words, ngrams, log_probs, backoffs, row, last, fields
        )
    reader.line = first_line + row - 1
    if how not in (kernels.MORE, kernels.SECTION_END):
        reader.line += 1
        reader.fail(_complaint(how, order, count, _show(block[begin:end].tobytes())))
    if row < count:
        why = "the section ends" if how == kernels.SECTION_END else "the file ends, it was cut short,"
        reader.fail(f"{why} after {row} {order}-grams, but \\data\\ says that there are {count}")
    return Level(ngrams, log_probs, backoffs), words


def _complaint(how: int, order: int, count: int, seen: str) -> str:
    fields = f"{order} word{'s' if order > 1 else ''}"
    return {
        kernels.NOT_A_NUMBER: f"{seen} is not a number where a base-10 logarithm is needed",
        kernels.POSITIVE: f"the log-probability {seen} is above 0; a probability cannot be above 1",
        kernels.NO_SUCH_WORD: f"the word {seen} stands in a {order}-gram but not among the 1-grams",
        kernels.TOO_FEW_FIELDS: f"a log-probability and {fields} are needed, this is {seen}",
        kernels.TOO_MANY_FIELDS: f"a log-probability, {fields} and perhaps a backoff weight are needed, this is {seen}",
        kernels.TOO_MANY_LINES: f"there are more {order}-grams than the {count} that \\data\\ says",
        kernels.TWICE: f"the 1-gram {seen} stands there twice",
        kernels.BACKOFF_AT_END: f"the backoff weight {seen} stands behind one of the longest n-grams, which have none",
    }[how]


def _unigrams(reader: _Reader, level: Level, words: Words) -> tuple[Level, Words, list[str], tuple[str, ...]]:
    """Gives the words their ids: `SPECIAL` first, the others in the file's order."""
    count = len(level.log_probs)
    spelled = words.spelled[: words.begins[count]]
    cuts = words.begins.tolist()
    joined = spelled.tobytes()
    try:
        found = [joined[begin:end].decode() for begin, end in itertools.pairwise(cuts)]
    except UnicodeDecodeError as error:
        raise AsrError(
            f"{reader.path}: the 1-gram {_show(error.object)} is not UTF-8 text; save it as UTF-8"
        ) from error
    places = {word: place for place, word in enumerate(found)}
    if SPECIAL[UNKNOWN] not in places and "<UNK>" in places:
        places[SPECIAL[UNKNOWN]] = places.pop("<UNK>")
    for word in SPECIAL[1:]:
        if word not in places:
            raise AsrError(f"{reader.path}: has no 1-gram {word}; needed is a model of sentences between <s> and </s>")
    special = [places[word] for word in SPECIAL if word in places]
    others = np.delete(np.arange(count), special)
    old = np.concatenate([special, others]).astype(np.int64)  # the places of the words that the file has, by id
    added = len(SPECIAL) - len(special)
    ids = np.empty(count, np.int32)
    ids[old] = np.arange(added, added + count)
    used = words.slots >= 0
    words.slots[used] = ids[words.slots[used]]
    vocabulary = [*SPECIAL, *(found[place] for place in others.tolist())]
    log_probs, backoffs = level.log_probs[old], level.backoffs[old]
    notes: tuple[str, ...] = ()
    if added:
        log_probs = np.concatenate([np.array([_NO_UNKNOWN * LN10], np.float32), log_probs])
        backoffs = np.concatenate([np.zeros(1, np.float32), backoffs])
        notes = (f"{reader.path}: has no <unk>; words that it lacks get the probability 10^{_NO_UNKNOWN:.0f}",)
    ngrams = np.arange(len(vocabulary), dtype=np.uint32)[:, None]
    # The words' places in the table are the file's and their ids ours: from here on spelling is compared by place.
    begins = np.empty((len(vocabulary) + 1,), np.int64)
    lengths = np.diff(words.begins)[old]
    begins[: added + 1] = 0
    begins[added + 1 :] = np.cumsum(lengths)
    order = np.repeat(words.begins[old] - begins[added:-1], lengths) + np.arange(len(spelled))
    return Level(ngrams, log_probs, backoffs), Words(words.slots, spelled[order], begins), vocabulary, notes


def _settle_backoffs(
    path: Path, tables: Tables, sections: list[Level], begins: list[int], vocabulary: list[str]
) -> None:
    """Sets the missing backoff weights of what is nobody's history to 1; any other missing one is an error."""
    missing = np.isnan(tables.backoffs)
    if not missing.any():
        return
    histories = np.flatnonzero(missing & (np.diff(tables.first) > 0))
    if len(histories):
        ngram, node = [], int(histories[0])
        while node:
            ngram.append(int(tables.words[node]))
            node = int(np.searchsorted(tables.first, node, side="right")) - 1
        ngram.reverse()
        rows = np.flatnonzero((sections[len(ngram) - 1].ngrams == np.array(ngram, np.uint32)).all(axis=1))
        raise AsrError(
            f"{path}:{begins[len(ngram) - 1] + int(rows[0])}: the {len(ngram)}-gram "
            f"{' '.join(vocabulary[word] for word in ngram)!r} begins longer n-grams but has no backoff weight; "
            f"write 0 behind it if that is meant"
        )
    tables.backoffs[missing] = 0


def write_arpa(
    model: NgramModel, path: Path, report: Callable[[int, int | None], None] = lambda done, total: None
) -> None:
    """Writes an ARPA file, gzipped if its name ends in ``.gz``, whole or not at all.

    Each number has the fewest digits, seven to nine, that give back the same float32.

    Args:
        model: the model.
        path: the file.
        report: told how many n-grams are written, and of how many.

    Raises:
        AsrError: the file could not be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as raw:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0) as zipped:
                _write(model, io.BufferedWriter(zipped, _BLOCK), report)
        else:
            _write(model, raw, report)


def _write(model: NgramModel, file: IO[bytes], report: Callable[[int, int | None], None]) -> None:
    tables, bounds = model.tables, levels(model.tables)
    spellings = [word.encode() for word in model.vocabulary]
    spelled = np.frombuffer(b"".join(spellings), np.uint8)
    begins = np.concatenate([[0], np.cumsum([len(word) for word in spellings])]).astype(np.int64)
    longest = max(map(len, spellings))
    parents = np.zeros(len(tables.words), np.int32)
    parents[1:] = np.repeat(np.arange(len(tables.backoffs), dtype=np.int32), np.diff(tables.first))
    counts = [*model.counts, *[0] * (model.order - len(model.counts))]
    file.write(b"\\data\\\n" + b"".join(b"ngram %d=%d\n" % pair for pair in enumerate(counts, start=1)))
    for order, count in enumerate(counts, start=1):
        file.write(b"\n\\%d-grams:\n" % order)
        line = order * (longest + 1) + 64
        text = np.empty(max(_BLOCK, line), np.uint8)
        step = len(text) // line
        begin = bounds[order] if count else 0
        for start in range(begin, begin + count, step):
            end = min(start + step, begin + count)
            size = kernels.put_ngrams(text, tables, parents, spelled, begins, start, end, np.empty(order, np.int64))
            file.write(text[:size].data)
            report(end - 1, len(tables.words) - 1)
    file.write(b"\n\\end\\\n")
    file.flush()
