"""What is typed and which recordings that means."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr import ffmpeg
from asr.errors import AsrError, UsageError, printable
from asr.transcribe.inputs import STANDARD_INPUT, Recording, find_recordings


@pytest.fixture(autouse=True)
def _with_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "installed", lambda: True)


def _touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def _names(*typed: Path | str, patterns: tuple[str, ...] = ()) -> list[str]:
    return [one.within.as_posix() for one in find_recordings([str(one) for one in typed], patterns).recordings]


def test_a_folder_gives_what_looks_like_a_recording_sorted_and_below_it(tmp_path: Path) -> None:
    _touch(tmp_path, "b.wav", "a/2.FLAC", "a/10.mp3", "a.Opus", "c/d/e.m4a", "text.txt", "a/cover.jpg", "n.wav/x.ogg")
    found = find_recordings([str(tmp_path)])
    assert [one.within.as_posix() for one in found.recordings] == [
        "a/10.mp3",
        "a/2.FLAC",
        "a.Opus",
        "b.wav",
        "c/d/e.m4a",
        "n.wav/x.ogg",
    ]
    assert all(one.folder == tmp_path and one.audio == tmp_path / one.within for one in found.recordings)
    assert found.faults == ()


def test_files_are_taken_as_they_are_in_the_order_typed(tmp_path: Path) -> None:
    _touch(tmp_path, "b.xyz", ".hidden", "folder/a.wav")
    typed = [str(tmp_path / name) for name in ("b.xyz", "gone.wav", "folder", ".hidden")]
    assert [one.audio.name for one in find_recordings(typed).recordings] == ["b.xyz", "gone.wav", "a.wav", ".hidden"]


def test_no_file_comes_twice(tmp_path: Path) -> None:
    _touch(tmp_path, "a.wav", "sub/b.wav")
    (tmp_path / "z.wav").symlink_to("a.wav")
    assert _names(tmp_path) == ["a.wav", "sub/b.wav"]
    assert _names(tmp_path / "sub", tmp_path, tmp_path / "a.wav", tmp_path / "sub" / ".." / "a.wav") == [
        "b.wav",
        "a.wav",
    ]
    assert _names(tmp_path / "a.wav", tmp_path / "a.wav", "-", "-") == ["a.wav", "-"]


def test_links_to_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    _touch(tmp_path, "here/a.wav", "elsewhere/b.wav")
    (tmp_path / "here" / "loop").symlink_to(tmp_path / "here")
    (tmp_path / "here" / "up").symlink_to("..")
    (tmp_path / "here" / "itself.wav").symlink_to("itself.wav")
    (tmp_path / "here" / "broken.wav").symlink_to("nowhere")
    # What links to nothing is named like a recording: reading it will say what is wrong with it.
    assert _names(tmp_path / "here") == ["a.wav", "broken.wav", "itself.wav", "up/elsewhere/b.wav"]


def test_what_is_hidden_is_passed_over_but_not_a_hidden_folder_that_is_typed(tmp_path: Path) -> None:
    _touch(tmp_path, ".secret/a.wav", "._b.wav", ".c.wav", "d.wav")
    assert _names(tmp_path) == ["d.wav"]
    assert _names(tmp_path / ".secret") == ["a.wav"]


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (("*.wav",), ["A.WAV", "sub/c.wav"]),
        (("*.Wav", "a.?"), ["A.WAV", "a.b", "sub/c.wav"]),
        (("sub/*",), ["sub/c.wav", "sub/deep/d.b"]),
        (("[ab].*",), ["A.WAV", "a.b"]),
        (("*",), ["A.WAV", "a.b", "sub/c.wav", "sub/deep/d.b"]),
    ],
)
def test_patterns_choose(tmp_path: Path, patterns: tuple[str, ...], names: list[str]) -> None:
    _touch(tmp_path, "A.WAV", "a.b", "sub/c.wav", "sub/deep/d.b")
    assert _names(tmp_path, patterns=patterns) == names


def test_a_folder_without_recordings_says_what_was_looked_for(tmp_path: Path) -> None:
    _touch(tmp_path, "text.txt")
    with pytest.raises(AsrError, match=r"holds no recordings; names like these were looked for: .*\.m4a .*\.wav"):
        find_recordings([str(tmp_path)])
    with pytest.raises(AsrError, match=r"looked for: \*\.mp3 x/\*$"):
        find_recordings([str(tmp_path)], ["*.mp3", "x/*"])


def test_what_only_ffmpeg_reads_is_not_overlooked_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffmpeg, "installed", lambda: False)
    _touch(tmp_path, "a.m4a", "b.MP4", "sub/c.wav")
    found = find_recordings([str(tmp_path)])
    assert [one.within.as_posix() for one in found.recordings] == ["sub/c.wav"]
    assert len(found.faults) == 1
    assert "2 recordings are of a format (.m4a .mp4) that libsndfile does not read; install FFmpeg" in found.faults[0]
    (tmp_path / "sub" / "c.wav").unlink()
    with pytest.raises(AsrError, match=r"2 recordings are of a format .* install FFmpeg and they will be read"):
        find_recordings([str(tmp_path)])


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://example.com/a.wav", "curl"),
        ("HTTPS://example.com/a.wav", "curl"),
        ("ftp://example.com/a.wav", "curl"),
        ("s3://bucket/a.wav", "aws s3 cp"),
        ("file:///home/me/a%20b.wav", "give its name: /home/me/a b.wav"),
        ("rtsp://camera", "nothing is read over the network"),
        ("", "an empty name"),
    ],
)
def test_addresses_are_refused_with_what_to_do(address: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        find_recordings(["a.wav", address])


def test_standard_input_and_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _touch(tmp_path, "-")
    monkeypatch.chdir(tmp_path)
    assert find_recordings(["-"]).recordings == (Recording(STANDARD_INPUT),)
    assert find_recordings(["./-"]).recordings == (Recording(tmp_path / "-"),)
    with pytest.raises(AsrError, match="holds no recordings"):
        find_recordings(["."], ["*"])


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _touch(tmp_path, "a.wav", "locked/b.wav", "z.wav")
    original = Path.iterdir

    def refusing(path: Path):  # type: ignore[no-untyped-def]
        if path.name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(Path, "iterdir", refusing)
    found = find_recordings([str(tmp_path)])
    assert [one.audio.name for one in found.recordings] == ["a.wav", "z.wav"]
    assert found.faults == (f"{tmp_path / 'locked'}: could not be read (Permission denied)",)
    with pytest.raises(AsrError, match=r"locked: the folder could not be read \(Permission denied\)"):
        find_recordings([str(tmp_path / "locked")])


def test_a_folder_without_recordings_does_not_stop_the_others(tmp_path: Path) -> None:
    _touch(tmp_path, "empty/text.txt", "a.wav")
    found = find_recordings([str(tmp_path / "empty"), str(tmp_path / "a.wav")])
    assert [one.audio.name for one in found.recordings] == ["a.wav"]
    assert len(found.faults) == 1
    assert "empty: holds no recordings" in found.faults[0]


def test_a_very_deep_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda path: path.suffix != ".wav")
    monkeypatch.setattr(Path, "stat", lambda path: SimpleNamespace(st_dev=1, st_ino=len(path.parts)))
    deep = tmp_path.joinpath(*["d"] * 1100, "a.wav")
    monkeypatch.setattr(Path, "iterdir", lambda path: iter([Path(*deep.parts[: len(path.parts) + 1])]))
    assert _names(tmp_path) == [deep.relative_to(tmp_path).as_posix()]


@pytest.mark.parametrize(
    "name", ["two\nlines.wav", " space .wav", "Größe – 声.wav", "-i.wav", "a:b.wav", "%d.wav", "*.wav"]
)
def test_any_name_is_found_and_shown_on_one_line(tmp_path: Path, name: str) -> None:
    _touch(tmp_path, name)
    (one,) = find_recordings([str(tmp_path)]).recordings
    assert one.audio.exists() and one.within == Path(name)
    assert printable(one.within).replace("\\n", "\n") == name
    assert len(printable(one.audio).splitlines()) == 1


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9t\xe9.wav")).touch()
    (one,) = find_recordings([str(tmp_path)]).recordings
    assert one.audio.exists()
    assert printable(one.within) == r"\xe9t\xe9.wav"


@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_is_shown_can_be_printed_on_one_line(text: str) -> None:
    shown = printable(text)
    assert len(f"<{shown}>".splitlines()) == 1
    assert "\x1b" not in shown and "\u202e" not in shown
    shown.encode("utf-8")
    assert printable(shown) == shown
