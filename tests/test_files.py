from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.files import read_any_text

_TEXT = "utt-1 straße œuvre naïve\nutt-2 日本語 とても\nutt-3 plain words\n"
_WESTERN = "utt-1 straße naïve\nutt-2 plain words\nutt-3 déjà vu\n"


def _read(tmp_path: Path, data: bytes) -> tuple[str, str | None]:
    path = tmp_path / "words.txt"
    path.write_bytes(data)
    return read_any_text(path)


@pytest.mark.parametrize(
    "codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-16-be with mark", "utf-16-le with mark"]
)
def test_unicode_is_read_without_a_word(tmp_path: Path, codec: str) -> None:
    name, _, mark = codec.partition(" with ")
    assert _read(tmp_path, (("\ufeff" if mark else "") + _TEXT).encode(name)) == (_TEXT, None)


def test_utf_16_of_few_ascii_letters(tmp_path: Path) -> None:
    text = "日本語とても長い文章がここにあります\n" * 3
    assert _read(tmp_path, text.encode("utf-16-le")) == (text, None)


@pytest.mark.parametrize(
    ("codec", "text", "name"),
    [
        ("latin-1", _WESTERN, "Latin-1"),
        ("cp1252", _WESTERN + "“quoted” — dash\n", "Windows-1252"),
        ("latin-1", _WESTERN + "a\x81b\n", "Latin-1"),  # no character of Windows-1252
    ],
)
def test_other_encodings_are_named_with_the_first_line_that_tells(
    tmp_path: Path, codec: str, text: str, name: str
) -> None:
    read, note = _read(tmp_path, b"first line\n" + text.encode(codec))
    assert read == "first line\n" + text
    assert note == f"{tmp_path / 'words.txt'} was read as {name}: it is not UTF-8 (line 2)"


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"a\nb\n", ["a", "b", ""]),
        (b"a\r\nb\r\n", ["a", "b", ""]),
        (b"a\rb\r", ["a", "b", ""]),
        (b"a\r\nb\nc\r\n", ["a", "b", "c", ""]),
        (b"a\rb\nc", ["a\rb", "c"]),
        ("a\u2028b\x0bc\x85d\x1ce\n".encode(), ["a\u2028b\x0bc\x85d\x1ce", ""]),
        ("a\r\nb\r\n".encode("utf-16"), ["a", "b", ""]),
    ],
)
def test_line_ends(tmp_path: Path, data: bytes, lines: list[str]) -> None:
    assert _read(tmp_path, data)[0].split("\n") == lines


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "words.txt: the file is empty (0 bytes)"),
        (b"\xef\xbb\xbf", "words.txt: the file is empty (3 bytes)"),
        (b"one\ntwo\0three\n", "words.txt:2: holds a NUL character"),
        (b"\xe9\n\xe9 \0 text\n", "words.txt:2: holds a NUL character"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\xff\xfe", "words.txt:1: holds a NUL character"),
        (b"\xff\xfea\x00b", "begins like UTF-16 and is not"),
        ("déjà\nvu où\n".encode() + b"caf\xe9\n", "words.txt:3: not UTF-8, though most of the file is"),
    ],
)
def test_what_is_no_text_gets_a_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    with pytest.raises(AsrError) as told:
        _read(tmp_path, data)
    assert sentence in str(told.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.txt", tmp_path / "a\0b", tmp_path / ("x" * 5000)):
        with pytest.raises(AsrError, match="could not be read"):
            read_any_text(path)


@given(st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), min_size=1))
def test_whatever_is_utf_8_or_marked_utf_16_comes_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    text = text.lstrip("\ufeff") or "x"  # at the beginning it is the byte-order mark
    folder = tmp_path_factory.mktemp("any")
    assert _read(folder, text.encode()) == (text, None)
    assert _read(folder, text.encode("utf-16")) == (text, None)


@given(st.binary())
def test_any_bytes_are_text_or_get_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    try:
        text, _ = _read(tmp_path_factory.mktemp("bytes"), data)
    except AsrError as error:
        assert "words.txt" in str(error)
    else:
        assert "\0" not in text and text
