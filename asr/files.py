"""Reading text, writing so that nothing is ever half-written, and the checksums that receipts quote."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from asr.errors import AsrError

_CONTROLS = bytes(range(0x80, 0xA0))  # in Latin-1


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
        kept = "; what stood there before is kept" if os.path.lexists(path) else ""
        raise AsrError(f"{path}: could not be written ({error.strerror or error}){kept}") from error
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


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Makes a folder, and keeps every other process of this machine out of it that asks for the same.

    The system lets go of it when the process ends, however that is. Another machine that shares the folder over a
    network may not be kept out.

    Raises:
        AsrError: another process works in it; or as `make_folder`.
    """
    import fcntl  # Unix has it, and training is all that asks

    make_folder(folder)
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise AsrError(f"{folder}: not a folder that can be read ({error.strerror or error})") from error
    try:
        with contextlib.suppress(OSError):  # of a file system that knows no locks
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AsrError(f"{folder}: another run is at work in it; let it end, or give another --out") from error
        yield
    finally:
        os.close(handle)


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


def _utf16(data: bytes) -> str | None:
    """What UTF-16 without a byte-order mark says; None if that is not what it is.

    Line ends, spaces, digits and ASCII letters have one zero byte of their two, always on the same side.
    """
    if b"\0" not in data or len(data) % 2:
        return None
    zeros = (data[0::2].count(0), data[1::2].count(0))
    try:
        text = data.decode("utf-16-be" if zeros[0] > zeros[1] else "utf-16-le")
    except UnicodeDecodeError:
        return None
    # A zero byte that strayed into other text makes an unlikely letter of its neighbour, not a space or a line end.
    least = 0.01 if " " in text or "\n" in text else 0.5
    return text if "\0" not in text and sum(zeros) > least * len(text) else None


def _decode(path: Path, data: bytes) -> tuple[str, str | None]:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16"), None
        except UnicodeDecodeError as error:
            raise AsrError(f"{path}: begins like UTF-16 and is not (byte {error.start}); save it as UTF-8") from error
    wide = _utf16(data)
    if wide is not None:
        return wide, None
    try:
        return data.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    if b"\0" in data:
        return data.decode("latin-1"), None  # no text; whoever asked is told of the first such character
    lenient = data.decode("utf-8", errors="surrogateescape")
    wrong = len(lenient) - len(data.decode("utf-8", errors="ignore"))
    if wrong < len(lenient) - len(lenient.encode("ascii", errors="ignore")) - wrong:
        raise AsrError(f"{path}:{line}: not UTF-8, though most of the file is; mend this line")
    # Windows has letters and quotation marks where Latin-1 has control characters, which nobody writes.
    if len(data.translate(None, delete=_CONTROLS)) < len(data):
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode("cp1252"), f"{path} was read as Windows-1252: it is not UTF-8 (line {line})"
    return data.decode("latin-1"), f"{path} was read as Latin-1: it is not UTF-8 (line {line})"


def read_any_text(path: Path) -> tuple[str, str | None]:
    """Reads text in whatever encoding it is: UTF-8 or UTF-16, with a byte-order mark or without, Latin-1, Windows-1252.

    Returns:
        The text, whose lines ``\\n`` ends (it stands for ``\\r\\n``, and for ``\\r`` in a file without any ``\\n``),
        and a sentence for the user where the encoding had to be guessed, None elsewhere.

    Raises:
        AsrError: missing, unreadable, empty, not text (a NUL character), or UTF-8 that is broken in a few places.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise AsrError(f"{path}: could not be read ({getattr(error, 'strerror', None) or error})") from error
    text, note = _decode(path, data)
    if not text:
        raise AsrError(f"{path}: the file is empty ({len(data)} bytes)")
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        text = text if "\n" in text else text.replace("\r", "\n")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise AsrError(f"{path}:{line}: holds a NUL character; is this a text file?")
    return text, note


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
