"""Importers: a folder, tables, Kaldi's directories; what cannot be used is kept with its reason."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.errors import AsrError, UsageError
from asr.importers import Found, check, from_folder, from_kaldi, from_table, write_split
from asr.manifest import Utterance, read_manifest
from asr.splits import split
from asr.text import basic, none

RATE = 8000


def sound(path: Path, seconds: float = 0.5, kind: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(1)
    soundfile.write(path, 0.1 * generator.standard_normal(round(seconds * RATE)), RATE, format=kind)
    return path


def pair(path: Path, text: str, seconds: float = 0.5) -> None:
    sound(path, seconds)
    path.with_suffix(".txt").write_text(text)


def checked(found: Found) -> tuple[dict[str, Utterance], dict[str, str]]:
    utterances, skipped = check(found, basic, lambda done, total: None)
    return {one.id: one for one in utterances}, {one.what: one.reason for one in skipped}


def test_folder_pairs_recordings_with_transcripts(tmp_path: Path) -> None:
    pair(tmp_path / "anna" / "one.wav", "Hello,\nWorld!\n")
    pair(tmp_path / "anna" / "deep er" / "two.FLAC", "Two")
    pair(tmp_path / "bob b" / "a.b.ogg", "three", 0.7)
    pair(tmp_path / "top.mp3", "four")
    pair(tmp_path / ".hidden" / "x.wav", "not seen")
    (tmp_path / "anna" / "._one.wav").write_bytes(b"resource fork")
    utterances, skipped = checked(from_folder(tmp_path))
    assert not skipped
    assert {name: (one.text, one.speaker) for name, one in utterances.items()} == {
        "anna-one": ("hello world", "anna"),
        "anna-deep_er-two": ("two", "anna"),
        "bob_b-a.b": ("three", "bob_b"),
        "top": ("four", None),
    }
    assert utterances["bob_b-a.b"].duration == pytest.approx(0.7, abs=0.01)


def test_folder_names_what_it_skips(tmp_path: Path) -> None:
    pair(tmp_path / "good.wav", "good")
    sound(tmp_path / "alone.wav")
    (tmp_path / "text.txt").write_text("no recording")
    pair(tmp_path / "blank.wav", " \n")
    pair(tmp_path / "dots.wav", "...")
    pair(tmp_path / "twice.flac", "x")
    sound(tmp_path / "twice.wav")
    pair(tmp_path / "latin.wav", "x")
    (tmp_path / "latin.txt").write_bytes(b"\xe9t\xe9")
    for name, content in [("empty.wav", b""), ("noise.m4a", b"ftyp" * 100)]:
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).with_suffix(".txt").write_text("x")
    soundfile.write(tmp_path / "zeros.wav", np.zeros(800), RATE)
    (tmp_path / "zeros.txt").write_text("x")
    pair(tmp_path / "cut.wav", "x", 2.0)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.wav").read_bytes()[:10_000])
    pair(tmp_path / "a b.wav", "x")
    pair(tmp_path / "a_b.wav", "x")
    utterances, skipped = checked(from_folder(tmp_path))
    assert set(utterances) == {"good", "twice", "a_b"}
    reasons = {Path(what).name: reason for what, reason in skipped.items()}
    for name, reason in {
        "alone.wav": "there is no alone.txt",
        "text.txt": "there is no recording",
        "blank.wav": "transcript is empty",
        "dots.wav": "empty once normalised ('...')",
        "twice.wav": "paired with twice.txt already",
        "latin.wav": "not UTF-8",
        "empty.wav": "0 bytes",
        "noise.m4a": "convert it to WAV or FLAC",
        "zeros.wav": "nothing but zeros",
        "cut.wav": "truncated",
        "a_b.wav": "its id 'a_b' is that of",
    }.items():
        assert reason in reasons.pop(name)
    assert not reasons


def test_folder_names_that_are_not_utf8_are_skipped(tmp_path: Path) -> None:
    pair(tmp_path / "ok.wav", "x")
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.wav")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    found = from_folder(tmp_path)
    assert [one.reason for one in found.skipped] == ["the name is not UTF-8; rename the file"]
    found.skipped[0].what.encode()


def test_folder_follows_links_but_not_in_circles(tmp_path: Path) -> None:
    pair(tmp_path / "far" / "one.wav", "x")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "anna").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "here")
    assert [one.id for one in from_folder(tmp_path / "here").candidates] == ["anna-one"]


def test_folder_without_audio_or_no_folder(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match="holds no audio files"):
        from_folder(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        from_folder(tmp_path / "none")


def test_csv_with_guessed_columns_and_quotes(tmp_path: Path) -> None:
    for name in "abc":
        sound(tmp_path / "wav" / f"{name}.wav")
    (tmp_path / "t.csv").write_text(
        '\ufeffText,File,Speaker,note\n"Yes, ""sure""",wav/a.wav,Ann B,\r\nno,wav/b.wav,,x\nno,wav/none.wav,,\n'
        "no,wav/a.wav,,\ntoo,few\n,wav/c.wav,,\nx,,,\n"
    )
    utterances, skipped = checked(from_table(tmp_path / "t.csv", ","))
    assert {name: (one.text, one.speaker) for name, one in utterances.items()} == {
        "wav-a": ("yes sure", "Ann_B"),
        "wav-b": ("no", None),
    }
    reasons = {what.rpartition(":")[2]: reason for what, reason in skipped.items()}
    for line, reason in {
        "4": "there is no such file",
        "5": "stands on line 2 already",
        "6": "has 2 columns, the header has 4",
        "7": "transcript is empty",
        "8": "names no audio file",
    }.items():
        assert reason in reasons.pop(line)
    assert not reasons


def test_common_voice_is_read_as_it_is(tmp_path: Path) -> None:
    for number in range(2):
        sound(tmp_path / "clips" / f"common_voice_de_{number}.mp3")
    (tmp_path / "validated.tsv").write_text(
        "client_id\tpath\tsentence_id\tsentence\tup_votes\tlocale\n"
        'f00\tcommon_voice_de_0.mp3\t1\t"Ja", sagte sie.\t2\tde\n'
        'ba5\tcommon_voice_de_1.mp3\t2\tEr sagte "nein.\t2\tde\n'
    )
    utterances, skipped = checked(from_table(tmp_path / "validated.tsv", "\t"))
    assert not skipped
    assert {name: (one.text, one.speaker) for name, one in utterances.items()} == {
        "common_voice_de_0": ("ja sagte sie", "f00"),
        "common_voice_de_1": ("er sagte nein", "ba5"),
    }


def test_columns_and_folder_can_be_given(tmp_path: Path) -> None:
    sound(tmp_path / "far" / "a.wav")
    (tmp_path / "t.csv").write_text("clip,said,who\na.wav,x,ann\n")
    with pytest.raises(
        UsageError, match=r"none of its columns \(clip, said, who\) looks like audio; name it with --audio"
    ):
        from_table(tmp_path / "t.csv", ",")
    with pytest.raises(UsageError, match="has no column 'klip'; there are clip, said, who"):
        from_table(tmp_path / "t.csv", ",", audio="klip")
    found = from_table(tmp_path / "t.csv", ",", "clip", "said", "who", tmp_path / "far")
    utterances, skipped = checked(found)
    assert not skipped and utterances["a"].speaker == "ann"


def test_tables_that_are_none(tmp_path: Path) -> None:
    for text, sentence in [
        ("", "a header line"),
        ("a;b\n1;2\n", "parted by ','"),
        ("path,text\n", "nothing but its header"),
        ("path,text\n" + "x" * 200_000 + ",y\n", "not a table"),
    ]:
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(AsrError, match=sentence):
            from_table(tmp_path / "t.csv", ",")


def test_what_cannot_be_the_name_of_a_file_is_skipped_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,text\n.,x\n" + 300 * "x" + ",y\n")
    utterances, skipped = checked(from_table(tmp_path / "t.csv", ","))
    assert not utterances
    assert skipped[f"{tmp_path / 't.csv'}:2"] == "names no audio file"
    assert "File name too long" in skipped[f"{tmp_path / 't.csv'}:3"]


def kaldi(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_scp", ".scp")).write_text(text)
    return folder


def test_kaldi_without_segments(tmp_path: Path) -> None:
    sound(tmp_path / "wav" / "a b.wav")
    sound(tmp_path / "b.wav")
    folder = kaldi(
        tmp_path,
        wav_scp=f"u1 wav/a b.wav\nu2  {tmp_path / 'b.wav'}\nu3 none.wav\nu4 b.wav\n",
        text="u1 HELLO  YOU\nu2 yes\nu3 x\nu5 nobody\n",
        utt2spk="u1 ann\nu2 bob\n",
    )
    utterances, skipped = checked(from_kaldi(folder))
    assert {name: (one.text, one.speaker, one.offset) for name, one in utterances.items()} == {
        "u1": ("hello you", "ann", None),
        "u2": ("yes", "bob", None),
    }
    assert set(skipped) == {"u3", "u4", "u5"}
    assert "no such file" in skipped["u3"] and "no line in" in skipped["u4"] and "wav.scp" in skipped["u5"]


def test_kaldi_with_segments(tmp_path: Path) -> None:
    sound(tmp_path / "long.wav", 4.0)
    folder = kaldi(
        tmp_path,
        wav_scp="rec long.wav\n",
        text="u1 one\nu2 two\nu3 three\nu4 four\nu5 five\nu6 six\n",
        segments="u1 rec 0.5 1.25\nu2 rec 3.0 -1\nu3 rec 3.0 4.05\nu4 rec 3.0 4.5\nu5 rec 2 2\nu6 other 0 1\n",
    )
    utterances, skipped = checked(from_kaldi(folder))
    assert {name: (one.offset, one.duration) for name, one in utterances.items()} == {
        "u1": (0.5, 0.75),
        "u2": (3.0, 1.0),
        "u3": (3.0, 1.0),
    }
    assert "0.50 s before" in skipped["u4"] and "not after its start" in skipped["u5"]
    assert "'other' has no line" in skipped["u6"]


def test_kaldi_commands_are_refused_by_line(tmp_path: Path) -> None:
    folder = kaldi(tmp_path, wav_scp="a a.wav\nb sph2pipe -f wav b.sph |\n", text="a x\nb y\n")
    with pytest.raises(AsrError, match=r"wav\.scp:2: 'b' is a command .*not run"):
        from_kaldi(folder)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"wav_scp": "a a.wav\n"}, r"text: could not be read"),
        ({"wav_scp": "a a.wav\na b.wav\n", "text": "a x\n"}, r"wav\.scp:2: 'a' stands on line 1"),
        ({"wav_scp": "a a.wav\n", "text": "u x\n", "segments": "u a 1\n"}, r"segments:1: must be"),
        ({"wav_scp": "a a.wav\n", "text": "u x\n", "segments": "u a nan 2\n"}, r"segments:1: must be"),
    ],
)
def test_malformed_kaldi_files(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    with pytest.raises(AsrError, match=sentence):
        from_kaldi(kaldi(tmp_path, **files))


def test_the_split_is_written_with_its_story(tmp_path: Path) -> None:
    for speaker in ("ann", "bob", "cy", "di"):
        for number in range(3):
            pair(tmp_path / "rec" / speaker / f"{number}.wav", f"Number {number}")
    sound(tmp_path / "rec" / "ann" / "alone.wav")
    utterances, skipped = check(from_folder(tmp_path / "rec"), none, lambda done, total: None)
    paths = write_split(tmp_path / "out", split(utterances, 3), 3, "none", skipped)
    story = json.loads((tmp_path / "out" / "splits.json").read_text())
    assert story["by"] == "speaker" and story["seed"] == 3 and story["normaliser"] == "none"
    assert [Path(one["what"]).name for one in story["skipped"]] == ["alone.wav"]
    for name, path in paths.items():
        members = read_manifest(path)
        assert story["sets"][name]["utterances"] == len(members)
        assert story["sets"][name]["speakers"] == sorted({one.speaker for one in members if one.speaker})
        assert all(one.audio.exists() for one in members)
        assert str(tmp_path) not in path.read_text()
