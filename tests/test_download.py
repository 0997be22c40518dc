"""The downloader against a local server that behaves, breaks off, lies, and changes its file."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from asr.corpora import download
from asr.corpora.download import Archive, fetch, obtain, unpack
from asr.errors import AsrError

DATA = bytes(range(256)) * 4096  # 1 MiB
NO_PAUSES = (0.0, 0.0, 0.0)


@dataclass
class Server:
    """What the server is to do, and the requests it saw (Range, status)."""

    data: bytes = DATA
    ranges: bool = True
    etag: str = '"one"'
    cut_after: list[int] = field(default_factory=list)  # bytes sent before the connection breaks, answer by answer
    status: list[int] = field(default_factory=list)  # answered instead of the file
    redirect: str | None = None
    seen: list[tuple[str | None, int]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            begin = 0
            fresh = self.headers.get("If-Range", state.etag) == state.etag
            if state.ranges and asked and fresh:
                begin = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            status = 206 if begin else 200
            if begin >= len(state.data):
                status = 416
            if state.status:
                status = state.status.pop(0)
            state.seen.append((asked, status))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", state.redirect)
            if status == 416:
                self.send_header("Content-Range", f"bytes */{len(state.data)}")
            if status not in (200, 206):
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if status == 206:
                self.send_header("Content-Range", f"bytes {begin}-{len(state.data) - 1}/{len(state.data)}")
            self.send_header("Content-Length", str(len(state.data) - begin))
            self.send_header("ETag", state.etag)
            self.end_headers()
            body = state.data[begin:]
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body[: state.cut_after.pop(0)] if state.cut_after else body)

    service = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=service.serve_forever, args=(0.01,))
    thread.start()
    state.url = f"http://127.0.0.1:{service.server_port}/corpus.tar.gz"
    yield state
    service.shutdown()
    service.server_close()
    thread.join()


def archive(server: Server, **fields: object) -> Archive:
    return Archive(**({"url": server.url, "creates": "corpus", "files": {"*.wav": 2}} | fields))  # type: ignore[arg-type]


def silent(done: int, total: int | None) -> None:
    pass


def part_of(to: Path) -> Path:
    return to / "corpus.tar.gz.part"


def test_a_file_comes_whole_and_progress_is_told(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    digest = hashlib.sha256(DATA).hexdigest()
    file = fetch(archive(server, sha256=digest, size=len(DATA)), tmp_path / "to", lambda *now: told.append(now))
    assert file.read_bytes() == DATA
    assert told[0] == (0, len(DATA)) and told[-1] == (len(DATA), len(DATA))
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["corpus.tar.gz"]


def test_a_cut_connection_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cut_after = [400_000, 300_000]
    assert fetch(archive(server), tmp_path, silent, NO_PAUSES).read_bytes() == DATA
    assert server.seen == [(None, 200), ("bytes=400000-", 206), ("bytes=700000-", 206)]


def test_a_later_call_goes_on_where_the_earlier_gave_up(server: Server, tmp_path: Path) -> None:
    server.cut_after = [400_000]
    with pytest.raises(AsrError, match=r"could not be downloaded .*goes on after 400,000 bytes"):
        fetch(archive(server), tmp_path, silent, ())
    assert part_of(tmp_path).stat().st_size == 400_000
    assert fetch(archive(server), tmp_path, silent).read_bytes() == DATA
    assert server.seen[-1] == ("bytes=400000-", 206)


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.cut_after = [400_000]
    assert fetch(archive(server), tmp_path, silent, NO_PAUSES).read_bytes() == DATA
    assert server.seen == [(None, 200), ("bytes=400000-", 200)]


def test_a_file_that_changed_meanwhile_is_not_mixed_with_the_old(server: Server, tmp_path: Path) -> None:
    server.cut_after = [400_000]
    with pytest.raises(AsrError):
        fetch(archive(server), tmp_path, silent, ())
    server.data, server.etag = DATA[::-1], '"two"'
    assert fetch(archive(server), tmp_path, silent).read_bytes() == DATA[::-1]


def test_without_anything_to_tell_versions_apart_it_starts_over(server: Server, tmp_path: Path) -> None:
    server.etag = 'W/"weak"'
    server.cut_after = [400_000]
    assert fetch(archive(server), tmp_path, silent, NO_PAUSES).read_bytes() == DATA
    assert server.seen == [(None, 200), (None, 200)]


@pytest.mark.parametrize("extra", [b"", b"more than there is"])
def test_a_part_as_long_as_the_file_is_checked_and_a_longer_one_dropped(
    server: Server, tmp_path: Path, extra: bytes
) -> None:
    part_of(tmp_path).write_bytes(DATA + extra)
    known = archive(server, sha256=hashlib.sha256(DATA).hexdigest())
    assert fetch(known, tmp_path, silent, NO_PAUSES).read_bytes() == DATA
    assert len(server.seen) == (2 if extra else 1)


def test_attempts_are_few_without_progress_but_not_with_it(server: Server, tmp_path: Path) -> None:
    server.cut_after = [10_000] * 20
    assert fetch(archive(server), tmp_path, silent, (0.0,)).read_bytes() == DATA
    server.seen.clear()
    server.cut_after = [0] * 20
    with pytest.raises(AsrError, match="could not be downloaded"):
        fetch(archive(server), tmp_path / "other", silent, NO_PAUSES)
    assert len(server.seen) == 4


def test_errors_of_the_server(server: Server, tmp_path: Path) -> None:
    server.status = [503, 429]
    assert fetch(archive(server), tmp_path, silent, NO_PAUSES).read_bytes() == DATA
    server.status = [404]
    with pytest.raises(AsrError, match="answered 404"):
        fetch(archive(server), tmp_path / "other", silent, NO_PAUSES)
    assert len(server.seen) == 4
    with pytest.raises(AsrError, match="could not be downloaded"):
        fetch(Archive("http://127.0.0.1:9/x.tar", "x", {}), tmp_path / "none", silent, (0.0,))


def test_a_wrong_checksum_names_both_and_removes_the_file(server: Server, tmp_path: Path) -> None:
    wanted = "0" * 64
    with pytest.raises(AsrError, match=rf"{hashlib.sha256(DATA).hexdigest()}.*{wanted}"):
        fetch(archive(server, sha256=wanted), tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_size_is_refused_before_the_download(server: Server, tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=r"1,048,576 bytes, the publisher's has 5"):
        fetch(archive(server, size=5), tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_https_is_not_left_for_http(server: Server) -> None:
    handler = download._StayEncrypted()
    request = download.urllib.request.Request("https://example.org/a")
    with pytest.raises(AsrError, match="not encrypted"):
        handler.redirect_request(request, io.BytesIO(), 302, "", request.headers, server.url)  # type: ignore[arg-type]


def test_a_redirect_is_followed(server: Server, tmp_path: Path) -> None:
    server.redirect, server.status = server.url, [302]
    assert fetch(archive(server), tmp_path, silent, NO_PAUSES).read_bytes() == DATA


def pack(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return buffer.getvalue()


GOOD = {"corpus/a.wav": b"a", "corpus/deep/b.wav": b"b", "corpus/LICENSE": b"free"}


def put(tmp_path: Path, content: bytes) -> Path:
    file = tmp_path / "corpus.tar.gz"
    file.write_bytes(content)
    return file


def test_unpacking_lays_the_folder_out(tmp_path: Path) -> None:
    folder = unpack(put(tmp_path, pack(GOOD)), Archive("", "corpus", {"*.wav": 2, "LICENSE": 1}), tmp_path, silent)
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*")) == ["a.wav", "deep/b.wav"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "corpus.tar.gz"]


def test_a_part_of_a_corpus_brings_the_licence_beside_it(tmp_path: Path) -> None:
    members = {"Libri/LICENSE.TXT": b"CC", "Libri/README.TXT": b"new", "Libri/dev/a.flac": b"a"}
    (tmp_path / "Libri" / "train").mkdir(parents=True)
    (tmp_path / "Libri" / "README.TXT").write_text("old")
    unpack(put(tmp_path, pack(members)), Archive("", "Libri/dev", {"*.flac": 1}), tmp_path, silent)
    names = sorted(str(path.relative_to(tmp_path / "Libri")) for path in (tmp_path / "Libri").rglob("*"))
    assert names == ["LICENSE.TXT", "README.TXT", "dev", "dev/a.flac", "train"]
    assert (tmp_path / "Libri" / "README.TXT").read_text() == "old"


@pytest.mark.parametrize(
    "content",
    [
        pack(GOOD | {"../evil": b"x"}),
        pack(GOOD | {"corpus/../../evil": b"x"}),
        pack(GOOD, {"corpus/link": "../../evil"}),
        pack(GOOD, {"corpus/link": "/etc/passwd"}),
    ],
)
def test_what_leads_out_of_the_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    to = tmp_path / "to"
    to.mkdir()
    with pytest.raises(AsrError, match="refused"):
        unpack(put(to, content), Archive("", "corpus", {"*.wav": 2}), to, silent)
    assert [path.name for path in tmp_path.iterdir()] == ["to"]
    assert [path.name for path in to.iterdir()] == ["corpus.tar.gz"]


@pytest.mark.parametrize("content", [b"no archive", pack(GOOD | {"corpus/c": DATA[::7]})[:-200], b""])
def test_a_damaged_archive_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(AsrError, match="damaged"):
        unpack(put(tmp_path, content), Archive("", "corpus", {"*.wav": 2}), tmp_path, silent)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.tar.gz"]


def test_a_wrong_number_of_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=r"holds 2 files corpus/\*\*/\*\.wav, the publisher's has 3"):
        unpack(put(tmp_path, pack(GOOD)), Archive("", "corpus", {"*.wav": 3}), tmp_path, silent)
    assert not (tmp_path / "corpus").exists()


@contextlib.contextmanager
def quiet(label: str) -> Iterator[download.Progress]:
    yield silent


def test_obtain_downloads_unpacks_tidies_up_and_then_does_nothing(server: Server, tmp_path: Path) -> None:
    server.data = pack({name.replace("corpus", "corpus-1.0"): content for name, content in GOOD.items()})
    wanted = archive(server, inside="corpus-1.0")
    assert obtain(wanted, tmp_path, quiet) is True
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]
    assert obtain(wanted, tmp_path, quiet) is False
    assert len(server.seen) == 1


def test_obtain_uses_and_keeps_an_archive_that_was_brought(server: Server, tmp_path: Path) -> None:
    put(tmp_path, pack(GOOD))
    assert obtain(archive(server), tmp_path, quiet) is True
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "corpus.tar.gz"]
    assert server.seen == []
    with pytest.raises(AsrError, match="SHA-256"):
        obtain(archive(server, creates="other", sha256="0" * 64), tmp_path, quiet)
    assert (tmp_path / "corpus.tar.gz").exists()
