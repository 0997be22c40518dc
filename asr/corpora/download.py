"""Fetching a publisher's archive and unpacking it: resumed, checked, and never half there.

A broken download continues where it stopped (HTTP ranges, RFC 9110 section 14), but only with bytes of the same file:
the server confirms that (``If-Range`` with the ETag or date it gave before) or the checksum does at the end.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from asr import __version__
from asr.errors import AsrError
from asr.files import sha256

Progress = Callable[[int, int | None], None]  # done and total, in bytes or files

_BLOCK = 1 << 18
_PAUSES = (1.0, 2.0, 4.0, 8.0)  # [s] before each further attempt; progress made gives all of them back
_TIMEOUT = 60.0  # [s] without a byte


@dataclass(frozen=True)
class Archive:
    """A tar archive as its publisher offers it.

    Attributes:
        url: where; HTTPS.
        creates: the folder of the corpus once laid out, relative to the downloads folder.
        files: how many files each pattern must match in it after unpacking.
        inside: that folder's name in the archive, if it differs.
        sha256: the publisher's checksum, where known.
        size: the archive's size [bytes], where known.
    """

    url: str
    creates: str
    files: dict[str, int]
    inside: str | None = None
    sha256: str | None = None
    size: int | None = None

    @property
    def name(self) -> str:
        """The archive's own file name."""
        return Path(urllib.parse.urlparse(self.url).path).name


class _Cut(Exception):
    """The connection failed in a way that another attempt may mend."""


class _StayEncrypted(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise AsrError(f"{req.full_url}: leads to {newurl}, which is not encrypted; nothing was downloaded")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextlib.contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    """Errors of the disk, told apart from those of the network, which are OSErrors as well."""
    try:
        yield
    except OSError as error:
        raise AsrError(f"{path}: could not be written ({error.strerror or error})") from error


def _request(url: str, have: int, validator: str) -> http.client.HTTPResponse:
    """Asks for the file, or for what is missing of it if ``have`` bytes are there."""
    request = urllib.request.Request(url, headers={"User-Agent": f"asr/{__version__}", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if validator:
            request.add_header("If-Range", validator)
    try:
        return urllib.request.build_opener(_StayEncrypted).open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code >= 500 or error.code in (408, 416, 429):
            raise _Cut(f"the server answered {error.code} {error.reason}") from error
        raise AsrError(f"{url}: the server answered {error.code} {error.reason}; nothing was downloaded") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Cut(str(getattr(error, "reason", "") or error)) from error


def _total(response: http.client.HTTPResponse) -> int | None:
    """The size of the whole file, as far as the answer tells."""
    if response.status == 206:
        total = response.headers.get("Content-Range", "").rpartition("/")[2]
    else:
        total = response.headers.get("Content-Length", "")
    return int(total) if total.isdecimal() else None


def _validator(response: http.client.HTTPResponse) -> str:
    """What identifies this very version of the file; a weak ETag does not (RFC 9110, section 13.1.5)."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")


def _attempt(archive: Archive, part: Path, progress: Progress) -> None:
    """Brings ``part`` to its full size, or raises `_Cut` with what came kept."""
    note = part.with_name(part.name + ".version")
    have = part.stat().st_size if part.exists() else 0
    validator = note.read_text(encoding="utf-8") if note.exists() else ""
    if have and not validator and not archive.sha256:
        have = 0  # nothing could tell whether the pieces belong together
    try:
        response = _request(archive.url, have, validator)
    except _Cut as cut:
        refusal = cut.__cause__
        if isinstance(refusal, urllib.error.HTTPError) and refusal.code == 416:
            if refusal.headers.get("Content-Range") == f"bytes */{have}":
                return  # stopped after the last byte, before it was checked
            part.unlink(missing_ok=True)  # the server's file is shorter than what is there: another version
        raise
    with response:
        begins = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if response.status != 206 or not begins:
            if response.status == 206:
                part.unlink(missing_ok=True)
                raise _Cut("the server sent another range than the one asked for")
            have = 0  # no ranges here, or the file has changed: from the start
        total = _total(response)
        if archive.size is not None and total is not None and total != archive.size:
            part.unlink(missing_ok=True)
            seen = f"the server's file has {total:,} bytes, the publisher's has {archive.size:,}"
            raise AsrError(f"{archive.url}: {seen}; nothing was kept")
        with _system_errors(part):
            file = part.open("ab" if have else "wb")  # emptied before the new version is noted, never the other way
            note.write_text(_validator(response), encoding="utf-8")
        with file:
            while True:
                progress(have, total)
                try:
                    block = response.read(_BLOCK)
                except (OSError, http.client.HTTPException) as error:
                    raise _Cut(str(error) or type(error).__name__) from error
                if not block:
                    break
                with _system_errors(part):
                    file.write(block)
                have += len(block)
    if total is not None and have < total:
        raise _Cut(f"the connection ended after {have:,} of {total:,} bytes")


def _check(archive: Archive, file: Path) -> None:
    """Raises AsrError with what was seen and what the publisher says."""
    size = file.stat().st_size
    if archive.size is not None and size != archive.size:
        raise AsrError(f"{file}: has {size:,} bytes, the publisher's archive has {archive.size:,}")
    if archive.sha256 is not None and (seen := sha256(file)) != archive.sha256:
        raise AsrError(f"{file}: its SHA-256 is {seen}, the publisher's is {archive.sha256}")


def fetch(archive: Archive, to: Path, progress: Progress, pauses: tuple[float, ...] = _PAUSES) -> Path:
    """Downloads an archive into the folder ``to``, going on where an earlier attempt stopped, and checks it.

    Args:
        progress: told the bytes that are there and their total, where known.
        pauses: seconds to wait before each further attempt after a cut connection.

    Raises:
        AsrError: no connection after all attempts (what came is kept for the next call), a refusal by the server, a
            full disk, or a wrong size or checksum (the file is removed).
    """
    with _system_errors(to):
        to.mkdir(parents=True, exist_ok=True)
    part, target = to / f"{archive.name}.part", to / archive.name
    furthest, failures = -1, 0
    while True:
        try:
            _attempt(archive, part, progress)
            break
        except _Cut as cut:
            size = part.stat().st_size if part.exists() else 0
            failures = 1 if size > furthest else failures + 1
            furthest = max(furthest, size)
            if failures > len(pauses):
                raise AsrError(
                    f"{archive.url}: could not be downloaded ({cut}); the same command goes on after {size:,} bytes"
                ) from cut
            time.sleep(pauses[failures - 1])
    part.with_name(part.name + ".version").unlink(missing_ok=True)
    try:
        _check(archive, part)
    except AsrError as error:
        part.unlink()
        raise AsrError(f"{error}; it came from {archive.url} and is removed, try again later") from error
    return part.replace(target)


@contextlib.contextmanager
def _damage(file: Path) -> Iterator[None]:
    """What a broken or malicious archive makes tarfile raise, as sentences."""
    try:
        yield
    except tarfile.FilterError as error:
        raise AsrError(f"{file}: refused, {error}; nothing was unpacked") from error
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise AsrError(f"{file}: damaged ({error}); remove it and download it again") from error


def names(file: Path) -> Iterator[str]:
    """The paths of an archive's members; no further than they are asked for is it read.

    Raises:
        AsrError: damaged, or it cannot be read.
    """
    try:
        with _damage(file), tarfile.open(file, "r:*") as tar:
            for member in tar:
                yield member.name
    except OSError as error:
        raise AsrError(f"{file}: could not be read ({error.strerror or error})") from error


@contextlib.contextmanager
def extracted(file: Path, to: Path, progress: Progress) -> Iterator[Path]:
    """Yields a scratch folder in ``to`` with all that an archive holds; it goes at the end, and what stays is moved.

    Paths and links that lead out of the archive are refused (`tarfile.data_filter`).

    Raises:
        AsrError: damaged, an escaping member, or a full disk.
    """
    if not hasattr(tarfile, "data_filter"):
        raise AsrError(
            "this Python unpacks archives without checking their paths; install the newest patch release of it"
        )
    with _system_errors(to), tempfile.TemporaryDirectory(dir=to, prefix=".unpacking-") as scratch:
        with _damage(file), tarfile.open(file, "r:*") as tar:
            for number, member in enumerate(tar, start=1):
                tar.extract(member, scratch, filter="data")
                progress(number, None)
        yield Path(scratch)


def unpack(file: Path, archive: Archive, to: Path, progress: Progress) -> Path:
    """Unpacks an archive so that its folder stands under ``to`` only once it is whole.

    Raises:
        AsrError: see `extracted`, or a wrong number of files; nothing of it stays.
    """
    target, inside = to / archive.creates, archive.inside or archive.creates
    with extracted(file, to, progress) as scratch:
        folder = scratch / inside
        for pattern, count in archive.files.items():
            if (seen := sum(1 for _ in folder.rglob(pattern))) != count:
                raise AsrError(f"{file}: holds {seen:,} files {inside}/**/{pattern}, the publisher's has {count:,}")
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.parent != to:  # licence and speakers' list beside the part of a corpus
            for beside in sorted(folder.parent.iterdir()):
                if beside.is_file() and not (target.parent / beside.name).exists():
                    shutil.move(beside, target.parent / beside.name)
        folder.rename(target)
    return target


def obtain(archive: Archive, to: Path, progress: Callable[[str], contextlib.AbstractContextManager[Progress]]) -> bool:
    """Downloads and unpacks, unless the corpus stands there; an archive that lies in ``to`` already is used.

    Args:
        progress: given what is being done, a context that yields where to report it.

    Returns:
        Whether there was anything to do.

    Raises:
        AsrError: see `fetch` and `unpack`.
    """
    if (to / archive.creates).exists():
        return False
    file = to / archive.name
    brought = file.exists()
    if brought:
        _check(archive, file)
    else:
        with progress(f"downloading {archive.name}") as report:
            fetch(archive, to, report)
    with progress(f"unpacking {archive.name}") as report:
        unpack(file, archive, to, report)
    if not brought:
        file.unlink()
    return True
