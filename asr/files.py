"""Writing so that nothing is ever half-written, and the checksums that receipts quote."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from asr.errors import AsrError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside ``path``; on success it takes the place of ``path`` in one step.

    Whatever goes wrong inside (a full disk, Ctrl-C, a kill), ``path`` holds what it held before.

    Raises:
        AsrError: the system refused the write; the sentence names the file and the system's reason.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise AsrError(
            f"{path}: could not be written ({error.strerror or error}); what stood there before is kept"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text whole or not at all.

    Raises:
        AsrError: the file could not be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def make_folder(folder: Path) -> None:
    """Makes a folder and tries it, so that long work does not find out at its end that nothing can be written there.

    Raises:
        AsrError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise AsrError(f"{folder}: not a folder that can be written to ({error.strerror or error})") from error


def read_text(path: Path) -> str:
    """Reads a UTF-8 text file, a byte-order mark allowed.

    Raises:
        AsrError: missing, unreadable or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise AsrError(f"{path}: could not be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise AsrError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        AsrError: missing or unreadable.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise AsrError(f"{path}: could not be read ({error.strerror or error})") from error
    return digest.hexdigest()
