"""``asr data`` as a user types it: exit status, what is printed, what is written."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.cli import main
from asr.manifest import Utterance, read_manifest, write_manifest
from tests.corpora import corpus_folder


def asr(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Runs the command line in this process; returns its exit status."""
    monkeypatch.setattr(sys, "argv", ["asr", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit:
        main.main()
    return int(exit.value.code or 0)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "rec"
    for number in range(12):
        path = folder / f"s{number % 4}" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.random.default_rng(number).standard_normal(4000) / 10, 8000)
        path.with_suffix(".txt").write_text(f"Word, {number}!")
    return folder


def test_folder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], recordings: Path) -> None:
    out = recordings.parent / "out"
    assert asr(monkeypatch, "data", "from-folder", recordings, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "normaliser basic: NFKC, case folded" in printed
    assert "by speaker: none of the 4 speakers stands in two sets" in printed
    texts = [one.text for name in ("train", "dev", "test") for one in read_manifest(out / f"{name}.jsonl")]
    assert len(texts) == 12 and all(text.startswith("word ") for text in texts)


def test_skipped_are_named_the_rest_is_written_and_the_status_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], recordings: Path
) -> None:
    (recordings / "s0" / "0.txt").unlink()
    (recordings / "s1" / "1.wav").write_bytes(b"")
    out = recordings.parent / "out"
    assert asr(monkeypatch, "data", "from-folder", recordings, "--out", out, "--normalise", "none") == 1
    errors = capsys.readouterr().err
    assert "2 skipped" in errors and "0.wav" in errors and "1.wav" in errors and "0 bytes" in errors
    story = json.loads((out / "splits.json").read_text())
    assert sum(one["utterances"] for one in story["sets"].values()) == 10 and len(story["skipped"]) == 2


def test_random_split_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], recordings: Path
) -> None:
    out = recordings.parent / "out"
    assert asr(monkeypatch, "data", "from-folder", recordings / "s1", "--out", out) == 0
    assert "at random, by utterance" in capsys.readouterr().out
    assert json.loads((out / "splits.json").read_text())["by"] == "utterance"


def test_two_recordings_are_too_few(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], recordings: Path
) -> None:
    (recordings / "s1" / "1.txt").unlink()
    assert asr(monkeypatch, "data", "from-folder", recordings / "s1", "--out", recordings / "out") == 1
    errors = capsys.readouterr().err
    assert "1.wav: there is no 1.txt" in errors and "error: train, dev and test need 3 utterances" in errors
    assert not (recordings / "out").exists()


def test_tables_and_kaldi(monkeypatch: pytest.MonkeyPatch, recordings: Path) -> None:
    audio = sorted(recordings.rglob("*.wav"))
    (recordings / "t.csv").write_text("path,text\n" + "".join(f"{one},Go\n" for one in audio))
    (recordings / "t.tsv").write_text("path\ttext\n" + "".join(f"{one}\tGo\n" for one in audio))
    (recordings / "wav.scp").write_text("".join(f"u{n} {one}\n" for n, one in enumerate(audio)))
    (recordings / "text").write_text("".join(f"u{n} Go\n" for n in range(len(audio))))
    for command, source in [("from-csv", "t.csv"), ("from-tsv", "t.tsv"), ("from-kaldi", ".")]:
        out = recordings / command
        assert asr(monkeypatch, "data", command, recordings / source, "--out", out) == 0
        assert sum(len(read_manifest(out / f"{name}.jsonl")) for name in ("train", "dev", "test")) == 12


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["from-folder", "nowhere", "--out", "x"], "there is no such folder"),
        (["from-folder", ".", "--out", "x", "--normalise", "basik"], "no normaliser 'basik'"),
        (["download", "timit"], "no corpus 'timit'; there are yesno"),
        (["download", "librispeech"], "needs --parts mini|100|960"),
        (["download", "librispeech", "--parts", "mini,dev"], "there is no 'mini'"),
        (["download", "an4", "--parts", "mini"], "--parts is for librispeech"),
        (["download", "spoken-digits"], "made here"),
        (["download", "commonvoice"], "put the archive cv-corpus-…-LANG.tar.gz into "),
        (["prepare", "commonvoice", "--out", "x"], "say with --lang which one"),
        (["prepare", "commonvoice", "--out", "x", "--lang", "cy/..", "--from", "."], "not 'cy/..'"),
        (["prepare", "an4", "--out", "x", "--lang", "cy"], "--lang is for commonvoice"),
        (["prepare", "an4", "--out", "x", "--parts", "100"], "--parts is for librispeech"),
        (["prepare", "librispeech", "--out", "x", "--parts", "200"], "there is no '200'"),
        (["prepare", "timit", "--out", "x"], "no corpus 'timit'"),
        (["prepare", "an4", "--out", "x", "--leave-out", "ann"], "--leave-out is for fsdd"),
        (["prepare", "an4", "--out", "x", "--seed", "3"], "--seed is for spoken-digits"),
        (["prepare", "fsdd", "--out", "x", "--leave-out", "ann"], "no speaker 'ann'"),
        (["select", "x", "--out", "y"], "--speakers A,B, --not-speakers A,B or --not-in"),
    ],
)
def test_wrong_usage_is_a_sentence_and_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert asr(monkeypatch, "data", *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_download_does_nothing_where_the_folder_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "an4").mkdir()
    monkeypatch.setenv("ASR_CORPORA", str(tmp_path))
    assert asr(monkeypatch, "data", "download", "an4") == 0
    assert "an4: stands there already" in capsys.readouterr().out


def test_prepare_and_its_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = corpus_folder("waves_yesno")
    assert asr(monkeypatch, "data", "prepare", "yesno", "--from", folder.parent, "--out", tmp_path / "all") == 0
    assert "26 utterances" in capsys.readouterr().out
    (tmp_path / "waves_yesno").mkdir()
    for path in sorted(folder.glob("*.wav"))[1:]:
        (tmp_path / "waves_yesno" / path.name).symlink_to(path)
    assert asr(monkeypatch, "data", "prepare", "yesno", "--from", tmp_path, "--out", tmp_path / "some") == 1
    assert "holds 59 recordings, the publisher's has 60" in capsys.readouterr().err
    assert len(read_manifest(tmp_path / "some" / "test.jsonl")) == 30


def test_select(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [
        Utterance(f"u{n}", tmp_path / f"{n}.wav", 1.0, "x", speaker=who) for n, who in enumerate(["a", "b", "c", None])
    ]
    write_manifest(tmp_path / "all.jsonl", rows)

    def chosen(*options: str) -> list[str]:
        out = tmp_path / "sub" / "some.jsonl"
        assert asr(monkeypatch, "data", "select", tmp_path / "all.jsonl", "--out", out, *options) == 0
        kept = read_manifest(out)
        assert all(one.audio.resolve().parent == tmp_path.resolve() for one in kept)
        return [one.id for one in kept]

    assert chosen("--speakers", "a, c") == ["u0", "u2"]
    assert chosen("--not-speakers", "a,c") == ["u1", "u3"]
    assert chosen("--speakers", "a,b", "--not-speakers", "b") == ["u0"]
    write_manifest(tmp_path / "known.jsonl", [rows[0], replace(rows[3], audio=tmp_path / "moved.wav")])
    assert chosen("--not-in", str(tmp_path / "known.jsonl")) == ["u1", "u2"]
    assert chosen("--not-in", str(tmp_path / "known.jsonl"), "--speakers", "a,b") == ["u1"]
    capsys.readouterr()
    both = ["--speakers", "a", "--not-speakers", "a"]
    assert asr(monkeypatch, "data", "select", tmp_path / "all.jsonl", "--out", tmp_path / "n.jsonl", *both) == 1
    assert (
        asr(monkeypatch, "data", "select", tmp_path / "all.jsonl", "--out", tmp_path / "n.jsonl", "--speakers", "z")
        == 2
    )
    assert "has no speaker 'z'; it has a, b, c" in capsys.readouterr().err
    assert not (tmp_path / "n.jsonl").exists()


def test_combine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("b", "a"):
        rows = [Utterance(f"{name}{n}", tmp_path / name / f"{n}.wav", 1.0, "x", speaker=name) for n in range(2)]
        write_manifest(tmp_path / name / "some.jsonl", rows)
    parts, out = [tmp_path / name / "some.jsonl" for name in ("b", "a")], tmp_path / "sub" / "all.jsonl"
    assert asr(monkeypatch, "data", "combine", *parts, "--out", out) == 0
    together = read_manifest(out)
    assert [one.id for one in together] == ["a0", "a1", "b0", "b1"]
    assert [one.audio.resolve() for one in together] == [tmp_path / f"{one.id[0]}/{one.id[1]}.wav" for one in together]
    assert "4 utterances" in capsys.readouterr().out
    assert asr(monkeypatch, "data", "combine", *parts, parts[0], "--out", tmp_path / "twice.jsonl") == 1
    assert "two utterances have the id 'b0'" in capsys.readouterr().err
    assert not (tmp_path / "twice.jsonl").exists()


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys, asr.cli.data; print(sorted({'torch', 'numpy', 'soundfile', 'rich.progress'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
