"""The sentences of text files, gzipped text files and manifests, one at a time."""

from __future__ import annotations

import contextlib
import gzip
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from asr.errors import AsrError
from asr.lm.ngram import SPECIAL
from asr.manifest import read_manifest

STDIN = Path("-")
_EVERY = 10_000  # lines between two reports


def read_lines(
    path: Path,
    change: Callable[[str], str],
    marks: Sequence[str] = SPECIAL,
    report: Callable[[int], None] = lambda done: None,
) -> Iterator[str]:
    """The sentences of a file: lines of plain or gzipped text, or the transcripts of a ``.jsonl`` manifest.

    Args:
        path: the file; ``-`` is standard input.
        change: what is done to each, see `asr.text`; may raise an AsrError.
        marks: words that a sentence must not hold.
        report: told now and then how many bytes of the file are read.

    Raises:
        AsrError: missing, unreadable, cut short, not UTF-8, a mark in it, or refused by ``change``; the sentence gives
            file and line.
    """
    if path.suffix == ".jsonl":
        for utterance in read_manifest(path):
            yield _changed(utterance.text, change, marks, f"{path}: {utterance.id}")
        return
    try:
        with contextlib.ExitStack() as opened:
            raw: Any = sys.stdin.buffer if path == STDIN else opened.enter_context(path.open("rb"))
            file = raw
            if raw.peek(2)[:2] == b"\x1f\x8b":
                file = opened.enter_context(gzip.open(raw))
            size = 0
            for number, line in enumerate(file, start=1):
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise AsrError(f"{path}:{number}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
                yield _changed(text, change, marks, f"{path}:{number}")
                size += len(line)
                if number % _EVERY == 0:
                    report(size if file is raw else raw.tell())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise AsrError(f"{path}: the gzip file is cut short or damaged ({error}); get it again") from error
    except OSError as error:
        raise AsrError(f"{path}: could not be read ({error.strerror or error})") from error


def _changed(text: str, change: Callable[[str], str], marks: Sequence[str], where: str) -> str:
    try:
        changed = change(text)
    except AsrError as error:
        raise AsrError(f"{where}: {error}") from error
    if "<" in changed and (found := [word for word in changed.split() if word in marks]):
        raise AsrError(
            f"{where}: holds {found[0]} as a word, which a language model uses for itself; give sentences without it"
        )
    return changed


def size_of(path: Path) -> int:
    """Bytes of a file; 0 for standard input and for what cannot be looked at."""
    try:
        return 0 if path == STDIN else path.stat().st_size
    except OSError:
        return 0
