from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asr.cli.main import app, run
from asr.files import sha256

_WRITTEN = ["hyp.pra", "hyp.trn", "ref.trn", "report.html", "report.txt", "result.json"]
_TEXTS = {"a": ("ann", "one two three"), "b": ("bob", "four five"), "c": ("ann", "Six,")}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "test.jsonl"
    lines = [
        {"audio_filepath": f"{name}.wav", "duration": 1.0, "text": text, "id": name, "speaker": speaker}
        for name, (speaker, text) in _TEXTS.items()
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _write_hypotheses(path: Path, *lines: dict[str, object]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def hypotheses(tmp_path: Path) -> Path:
    return _write_hypotheses(
        tmp_path / "decode" / "hyp.jsonl",
        {
            "id": "c",
            "text": "six",
            "words": [{"word": "six", "start": 0.1, "end": 0.4, "confidence": 0.9}],
            "score": -1,
        },
        {"id": "a", "text": "one too three"},
        {"id": "b", "text": "four five"},
    )


def _call(*arguments: object) -> int:
    """The exit status of ``asr score`` with these arguments."""
    with pytest.raises(SystemExit) as left:
        run(lambda: app(["score", *map(str, arguments)]))
    return int(left.value.code or 0)


def test_writes_and_prints_the_report(manifest: Path, hypotheses: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call(manifest, hypotheses, "--normalise", "basic") == 0
    folder = hypotheses.parent
    report = (folder / "report.txt").read_text()
    assert capsys.readouterr().out == f"{report}page: {folder / 'report.html'}\n"
    assert "1 errors in 6 words: 1 substitutions, 0 deletions, 0 insertions" in report
    # In the order of the manifest, not of the hypotheses, and normalised: what was scored.
    assert (folder / "ref.trn").read_text() == "one two three (a)\nfour five (b)\nsix (c)\n"
    assert (folder / "hyp.trn").read_text() == "one too three (a)\nfour five (b)\nsix (c)\n"
    receipt = json.loads((folder / "result.json").read_text())
    assert (receipt["wer"], receipt["ser"], receipt["failed"]) == (16.67, 33.33, 0)
    assert receipt["manifest_sha256"] == sha256(manifest)
    assert receipt["normalise"] == "basic"


def test_out_and_seed(manifest: Path, hypotheses: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    assert _call(manifest, hypotheses, "--out", out, "--seed", 5) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(_WRITTEN)
    assert [path.name for path in hypotheses.parent.iterdir()] == ["hyp.jsonl"]
    first = (out / "result.json").read_bytes()
    assert json.loads(first)["bootstrap_seed"] == 5
    assert _call(manifest, hypotheses, "--out", out, "--seed", 5) == 0
    assert (out / "result.json").read_bytes() == first


def test_the_receipt_is_completed_from_the_decoding(manifest: Path, hypotheses: Path) -> None:
    decoded = {"date": "2026-01-01", "model": "exp/model", "wer": 99.0, "own": 1, "system": "greedy", "corpus": "toy"}
    decoded |= {"manifest": "data/test.jsonl", "manifest_sha256": sha256(manifest)}
    decoded |= {"hypotheses_sha256": sha256(hypotheses)}
    (hypotheses.parent / "decode.json").write_text(json.dumps(decoded))
    (hypotheses.parent / "result.json").write_text('{"train_minutes": 7}')  # of a former decoding
    assert _call(manifest, hypotheses, "--normalise", "basic") == 0
    receipt = json.loads((hypotheses.parent / "result.json").read_text())
    assert list(receipt)[:3] == ["corpus", "system", "wer"]
    assert list(receipt)[-5:] == ["manifest", "manifest_sha256", "model", "date", "own"]
    assert (receipt["wer"], receipt["manifest"]) == (16.67, "data/test.jsonl")
    assert "train_minutes" not in receipt


def test_a_former_receipt_lends_nothing(manifest: Path, hypotheses: Path) -> None:
    (hypotheses.parent / "result.json").write_text('{"wer": 99.0, "train_minutes": 7, "manifest_sha256": "of another"}')
    assert _call(manifest, hypotheses) == 0
    receipt = json.loads((hypotheses.parent / "result.json").read_text())
    assert receipt["wer"] == 33.33 and "train_minutes" not in receipt
    # The manifest named is the one scored against.
    assert (receipt["manifest"], receipt["manifest_sha256"]) == (manifest.as_posix(), sha256(manifest))


def test_hypotheses_that_changed_since_decoding_are_refused(
    manifest: Path, hypotheses: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decoded = {"model": "exp/model", "hypotheses_sha256": sha256(hypotheses)}
    (hypotheses.parent / "decode.json").write_text(json.dumps(decoded))
    hypotheses.write_text(hypotheses.read_text() + "\n")
    assert _call(manifest, hypotheses) == 1
    assert "was changed since" in capsys.readouterr().err
    assert not (hypotheses.parent / "result.json").exists()


def test_the_report_says_how_the_sets_were_parted(manifest: Path, hypotheses: Path) -> None:
    (manifest.parent / "splits.json").write_text('{"by": "utterance", "reason": "at random: one speaker"}')
    assert _call(manifest, hypotheses) == 0
    assert "Split: at random: one speaker" in (hypotheses.parent / "report.txt").read_text()


@pytest.mark.parametrize("content", ['{"wer": ', "[1]"])
def test_a_broken_decode_json_is_told_and_nothing_is_written(
    manifest: Path, hypotheses: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (hypotheses.parent / "decode.json").write_text(content)
    assert _call(manifest, hypotheses) == 1
    assert "decode.json" in capsys.readouterr().err
    assert not (hypotheses.parent / "report.txt").exists()


def test_failed_and_missing_make_the_exit_status_1_after_everything_is_written(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hypotheses = _write_hypotheses(
        tmp_path / "hyp.jsonl",
        {"id": "a", "text": "one two three"},
        {"id": "b", "error": "b.wav: there is no such file"},
    )
    assert _call(manifest, hypotheses) == 1
    out = capsys.readouterr().out
    assert "b: b.wav: there is no such file" in out
    assert "c: there is no hypothesis" in out
    receipt = json.loads((tmp_path / "result.json").read_text())
    assert (receipt["failed"], receipt["deletions"], receipt["wer"]) == (2, 3, 50.0)
    assert (tmp_path / "hyp.trn").read_text() == "one two three (a)\n(b)\n(c)\n"


def test_another_systems_hypotheses_are_compared(
    manifest: Path, hypotheses: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = _write_hypotheses(tmp_path / "other.jsonl", {"id": "a", "text": "one"}, {"id": "b", "text": "four five"})
    assert _call(manifest, hypotheses, "--normalise", "basic", "--against", other) == 0
    report = " ".join(capsys.readouterr().out.split())
    assert f"Against {other}: its WER is 50.00 % (1 utterances failed there, scored as deletions);" in report
    assert "2 utterances are better here and 0 worse" in report
    receipt = json.loads((hypotheses.parent / "result.json").read_text())
    assert (receipt["against"], receipt["against_wer"]) == (other.as_posix(), 50.0)
    assert receipt["against_p"] == pytest.approx(0.5, abs=0.02)  # of four ways to give signs, two are as extreme
    assert receipt["wer"] == 16.67
    # Without it there is no trace of a comparison.
    assert _call(manifest, hypotheses, "--normalise", "basic") == 0
    assert not {"against", "against_wer", "against_p"} & set(
        json.loads((hypotheses.parent / "result.json").read_text())
    )


def test_what_cannot_be_compared_is_told_and_nothing_is_written(
    manifest: Path, hypotheses: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = _write_hypotheses(tmp_path / "stranger.jsonl", {"id": "z", "text": "one"})
    for other, sentence in (
        (tmp_path / "none.jsonl", "none.jsonl: could not be read"),
        (stranger, "none of its ids ('z'"),
    ):
        assert _call(manifest, hypotheses, "--against", other) == 1
        assert sentence in capsys.readouterr().err
        assert not (hypotheses.parent / "result.json").exists()


def test_mistakes_get_a_sentence_and_a_status(
    manifest: Path, hypotheses: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(manifest, tmp_path / "none.jsonl") == 1
    assert "none.jsonl: could not be read" in capsys.readouterr().err
    assert _call(manifest, hypotheses, "--normalise", "loud") == 2
    assert "no normaliser 'loud'" in capsys.readouterr().err
    stranger = _write_hypotheses(tmp_path / "stranger.jsonl", {"id": "z", "text": "one"})
    assert _call(manifest, stranger) == 1
    assert "none of its ids ('z'" in capsys.readouterr().err
    assert _call(manifest, hypotheses, "--out", manifest / "under-a-file") == 1
    assert "could not be written" in capsys.readouterr().err


def test_people_who_train_nothing_score_their_own_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ref.txt").write_bytes("utt-1 Grüß Gott\r\nutt-2 yes\r\n".encode("utf-16"))
    (tmp_path / "hyp.trn").write_text("yes (utt-2)\ngrüss god (utt-1)\n")
    assert _call(tmp_path / "ref.txt", tmp_path / "hyp.trn", "--normalise", "basic", "--no-page") == 0
    out = capsys.readouterr().out
    assert "references read as kaldi, hypotheses as trn" in out
    # Not among the user's own files: hyp.trn is one of them, and would have been written over.
    assert (tmp_path / "hyp.trn").read_text() == "yes (utt-2)\ngrüss god (utt-1)\n"
    folder = tmp_path / "hyp.trn.score"
    assert sorted(path.name for path in folder.iterdir()) == [name for name in _WRITTEN if name != "report.html"]
    receipt = json.loads((folder / "result.json").read_text())
    assert (receipt["wer"], receipt["substitutions"], receipt["normalise"]) == (33.33, 1, "basic")
    assert receipt["hypotheses_sha256"] == sha256(tmp_path / "hyp.trn")


def test_what_is_read_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("ref.trn", "hyp.trn"):
        (tmp_path / name).write_text("one two (a)\n")
    assert _call(tmp_path / "ref.trn", tmp_path / "hyp.trn", "--out", tmp_path) == 2
    assert "ref.trn: the report would be written over it" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hyp.trn", "ref.trn"]


def test_sclites_costs_speakers_and_extra_hypotheses(
    manifest: Path, hypotheses: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hypotheses.write_text(hypotheses.read_text() + '{"id": "z", "text": "one"}\n')
    assert _call(manifest, hypotheses, "--no-page") == 1
    assert "--allow-extra" in capsys.readouterr().err
    options = ["--allow-extra", "--alignment", "sclite", "--resample", "speaker", "--no-page"]
    assert _call(manifest, hypotheses, *options) == 0
    report = capsys.readouterr().out
    assert "1 hypotheses without a reference were passed over: z" in report
    receipt = json.loads((hypotheses.parent / "result.json").read_text())
    assert (receipt["alignment"], receipt["resample"]) == ("sclite", "speaker")
    assert _call(manifest, hypotheses, "--allow-extra", "--alignment", "nist") == 2


def test_one_table_may_hold_both_sides(tmp_path: Path) -> None:
    table = tmp_path / "results.csv"
    table.write_text('file,reference,prediction\na/1.wav,"one, two",one two\nb 2.wav,three,tree\n')
    assert _call(table, table, "--normalise", "basic", "--no-page") == 0
    receipt = json.loads((tmp_path / "results.csv.score" / "result.json").read_text())
    assert (receipt["wer"], receipt["utterances"]) == (33.33, 2)
    columns = ["--ref-column", "prediction", "--hyp-column", "reference", "--id-column", "file"]
    assert _call(table, table, *columns, "--no-page", "--out", tmp_path / "swapped") == 0
    assert json.loads((tmp_path / "swapped" / "result.json").read_text())["wer"] == 66.67


def test_speakers_come_from_utt2spk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("ref", "hyp"):
        (tmp_path / name).write_text("".join(f"utt-{row} one two\n" for row in range(4)))
    (tmp_path / "utt2spk").write_text("".join(f"utt-{row} s{row % 2}\n" for row in range(4)))
    pair = tmp_path / "ref", tmp_path / "hyp"
    assert _call(*pair, "--utt2spk", tmp_path / "utt2spk", "--no-page") == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines() if line[:2] in ("s0", "s1")] == [
        ["s0", "2"],
        ["s1", "2"],
    ]
    assert _call(*pair, "--resample", "speaker", "--no-page") == 1
    assert "--utt2spk" in capsys.readouterr().err


def test_empty_references_count_insertions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ref.trn").write_text("(a)\n(b)\n")
    (tmp_path / "hyp.trn").write_text("uh (a)\n(b)\n")
    assert _call(tmp_path / "ref.trn", tmp_path / "hyp.trn") == 0
    assert "there is no word error rate, only insertions" in capsys.readouterr().out
    receipt = json.loads((tmp_path / "hyp.trn.score" / "result.json").read_text())
    assert (receipt["wer"], receipt["insertions"]) == (None, 1)
    (tmp_path / "other.trn").write_text("(a)\n(b)\n")
    other = ["--against", tmp_path / "other.trn", "--no-page"]
    assert _call(tmp_path / "ref.trn", tmp_path / "hyp.trn", *other) == 0


def test_the_command_line_starts_without_anything_heavy() -> None:
    code = "import sys, asr.cli.score; print({'numpy', 'rich.table', 'jiwer', 'rapidfuzz', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


_ABSENT = "torch torchaudio soundfile soxr librosa numba scipy safetensors sentencepiece jiwer yaml onnxruntime"


def test_numpy_rapidfuzz_rich_and_typer_are_enough(tmp_path: Path) -> None:
    (tmp_path / "ref.trn").write_text("one two (a)\nthree (b)\nfour five six (c)\n")
    for number, name in enumerate(("hyp.trn", "other.trn")):
        (tmp_path / name).write_text(f"one two (a)\ntree (b)\nfour {'five' * number} six (c)\n")
    code = (
        "import sys; sys.modules.update(dict.fromkeys(sys.argv.pop().split()))\nfrom asr.cli.main import main; main()"
    )
    files = [str(tmp_path / name) for name in ("ref.trn", "hyp.trn")]

    def call(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, "score", *files, "--no-page", *options, _ABSENT]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = call("--against", str(tmp_path / "other.trn"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "MAPSSWE is left out: it needs numba, which is not installed." in done.stdout
    receipt = json.loads((tmp_path / "hyp.trn.score" / "result.json").read_text())
    assert receipt["wer"] == 33.33 and "against_mcnemar_p" in receipt and "against_mapsswe_p" not in receipt
    refused = call("--alignment", "sclite")
    assert refused.returncode == 1 and refused.stderr.startswith("error: --alignment sclite needs numba")


def test_pipes_are_read_once_and_have_no_checksum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read, write = os.pipe()
    os.write(write, b"one two (a)\n")
    os.close(write)
    (tmp_path / "hyp.trn").write_text("one (a)\n")
    assert _call(f"/dev/fd/{read}", tmp_path / "hyp.trn", "--no-page") == 0
    os.close(read)
    receipt = json.loads((tmp_path / "hyp.trn.score" / "result.json").read_text())
    assert (receipt["wer"], receipt["manifest_sha256"]) == (50.0, None)
    assert receipt["hypotheses_sha256"] == sha256(tmp_path / "hyp.trn")
    # Nor can a folder stand beside one.
    assert _call(tmp_path / "hyp.trn", "/dev/stdin", "--no-page") == 2
    assert "/dev/stdin: nothing can be written beside a pipe; say where with --out" in capsys.readouterr().err
    assert not Path("/dev/stdin.score").exists()


def test_a_system_is_not_compared_with_itself(
    manifest: Path, hypotheses: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(manifest, hypotheses, "--against", hypotheses) == 2
    assert "--against needs the hypotheses of another system" in capsys.readouterr().err
    assert not (hypotheses.parent / "result.json").exists()


def test_columns_of_what_is_no_table_are_refused(
    manifest: Path, hypotheses: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("id", "ref", "hyp", "speaker"):
        assert _call(manifest, hypotheses, f"--{option}-column", "name") == 2
        assert f"--{option}-column name: is for tables, but REF was read as jsonl" in capsys.readouterr().err
    (tmp_path / "other.csv").write_text("name,heard\na,one\nb,four\nc,six\n")
    columns = ["--id-column", "name", "--hyp-column", "heard", "--against", tmp_path / "other.csv", "--no-page"]
    assert _call(manifest, hypotheses, *columns) == 0


def test_what_is_extra_in_the_other_system_is_told_with_its_file(
    manifest: Path, hypotheses: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = _write_hypotheses(tmp_path / "other.jsonl", {"id": "a", "text": "one"}, {"id": "z", "text": "one"})
    assert _call(manifest, hypotheses, "--against", other) == 1
    assert f"error: {other}: 1 of 2 hypotheses are of utterances" in capsys.readouterr().err


def test_nothing_that_commands_a_terminal_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    esc, bell, turn = "\x1b[31m", "\x07", "\u202e"
    manifest = _write_hypotheses(
        tmp_path / "test.jsonl",
        {"id": "a", "text": f"one{esc} two", "speaker": f"ann{turn}"},
        {"id": "b", "text": "three", "speaker": "bob"},
    )
    hypotheses = _write_hypotheses(
        tmp_path / "hyp.jsonl", {"id": "a", "text": f"{bell}one two"}, {"id": "b", "error": f"{esc}gone\nc: all right"}
    )
    assert _call(manifest, hypotheses, "--no-page") == 1
    printed = capsys.readouterr().out
    for text in (printed, (tmp_path / "report.txt").read_text(), (tmp_path / "hyp.pra").read_text()):
        assert not set("\x1b\x07\u202e") & set(text)
        assert "one\\x1b[31m" in text and "ann\\u202e" in text
    assert "  b: \\x1b[31mgone\\nc: all right\n" in printed
    # What was scored stays what it was.
    assert (tmp_path / "ref.trn").read_text() == f"one{esc} two (a)\nthree (b)\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_an_output_that_cannot_be_written_is_told(manifest: Path, hypotheses: Path) -> None:
    code = f"import sys; sys.argv = ['asr', 'score', {str(manifest)!r}, {str(hypotheses)!r}, '--no-page']\n"
    code += "from asr.cli.main import main; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "error: the standard output could not be written (No space left on device)\n",
    )
