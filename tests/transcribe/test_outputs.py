from __future__ import annotations

from pathlib import Path

import pytest

from asr.decode.hypothesis import Word
from asr.errors import AsrError, UsageError
from asr.transcribe.inputs import Recording
from asr.transcribe.outputs import Job, make_folders, plan, read_formats, refuse_existing
from asr.transcribe.transcript import Segment, Transcript


def test_formats_are_read_in_their_order_each_once() -> None:
    assert read_formats("srt, TXT,srt") == ["srt", "txt"]
    for given, named in {"txt,doc": "'doc'", "": "''", "txt,": "''"}.items():
        with pytest.raises(UsageError, match=f"there is no format {named}; those there are: txt, json, srt"):
            read_formats(given)


def _files(*recordings: tuple[str, str | None], out: str | None = None) -> list[list[str]]:
    given = [Recording(Path(audio), None if under is None else Path(under)) for audio, under in recordings]
    jobs = plan(given, ["txt", "textgrid"], None if out is None else Path(out))
    return [[file.as_posix() for file in job.files.values()] for job in jobs]


def test_files_lie_beside_the_recordings_or_in_a_folder_laid_out_like_theirs() -> None:
    assert _files(("a/talk.wav", None)) == [["a/talk.txt", "a/talk.TextGrid"]]
    assert _files(("a/talk.wav", None), ("a/b/c/more.v2.wav", "a"), out="out") == [
        ["out/talk.txt", "out/talk.TextGrid"],
        ["out/b/c/more.v2.txt", "out/b/c/more.v2.TextGrid"],
    ]
    assert _files(("-", None)) == [["stdin.txt", "stdin.TextGrid"]]
    assert _files(("-", None), out="out") == [["out/stdin.txt", "out/stdin.TextGrid"]]


def test_recordings_of_one_name_keep_their_extension() -> None:
    assert _files(("talk.wav", None), ("Talk.mp3", None), ("a.wav", None)) == [
        ["talk.wav.txt", "talk.wav.TextGrid"],
        ["Talk.mp3.txt", "Talk.mp3.TextGrid"],
        ["a.txt", "a.TextGrid"],
    ]


def test_files_that_would_take_each_others_or_a_recordings_place_are_refused() -> None:
    with pytest.raises(AsrError, match=r"out/talk\.wav\.txt: would hold the transcripts of a/.* and of b/talk\.wav"):
        _files(("a/talk.wav", None), ("b/talk.wav", None), out="out")
    with pytest.raises(AsrError, match=r"talk\.txt: is a recording"):
        _files(("talk.txt", None))


def test_what_is_there_is_not_overwritten_unasked(tmp_path: Path) -> None:
    jobs = plan([Recording(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav")], ["txt", "ctm"], tmp_path / "out")
    make_folders(jobs)
    refuse_existing(jobs)
    said = Transcript(None, 1.0, (Segment(0, 1, (Word("hello", 0, 1, 0.2),)),))
    jobs[0].write(said, 0.5)
    assert (tmp_path / "out" / "a.txt").read_text() == "[hello?]\n"
    with pytest.raises(UsageError, match=r"a\.txt and 1 more exist already: .*--overwrite.*--skip-existing"):
        refuse_existing(jobs)
    jobs[1].files["txt"].touch()
    assert [list(job.left.files) for job in jobs] == [[], ["ctm"], ["txt", "ctm"]]
    assert [len(job.there) for job in jobs] == [2, 1, 0]
    with pytest.raises(UsageError, match=r"b\.txt exists already"):
        refuse_existing(jobs[1:])


def test_a_folder_that_cannot_be_written_to_is_found_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AsrError, match="not a folder that can be written to"):
        make_folders([Job(Path("a.wav"), {"txt": tmp_path / "file" / "a.txt"})])
