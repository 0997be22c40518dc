"""`asr decode` without a language model: what it writes, names and refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from asr.decode import run as decode_run
from asr.errors import AsrError
from asr.files import sha256
from asr.manifest import read_manifest, write_manifest
from asr.score.hypotheses import read_hypotheses
from tests.cli.decoding import RECEIPT, call, decode
from tests.tones import Learned


def test_decoded_and_scored_it_has_no_errors_and_a_full_receipt(
    tones: Learned, receipt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = json.loads(receipt.read_text())
    assert not set(RECEIPT) - set(fields)
    unknown = {name for name in RECEIPT if fields[name] is None}
    assert unknown <= {"gpu", "commit"}
    assert (fields["wer"], fields["cer"], fields["ser"], fields["failed"]) == (0.0, 0.0, 0.0, 0)
    assert fields["wer_high"] > 0
    assert (fields["utterances"], fields["words"]) == (12, 24)
    assert (fields["split"], fields["system"], fields["audio"]) == ("test", "greedy", "WAV PCM_16 8000 Hz")
    assert fields["corpus"] == tones.test.parent.name
    assert fields["manifest_sha256"] == sha256(tones.test)
    assert fields["model_sha256"] == sha256(tones.out / "model" / "SHA256SUMS")
    assert (fields["seed"], fields["threads"], fields["parameters"]) == (1, 1, 7077)
    assert fields["real_time_factor"] > 0
    assert fields["peak_memory_mb"] > 50
    assert call("verify", receipt) == 0
    assert "result.json: verified, every count is the same" in capsys.readouterr().out


def test_hypotheses_have_words_with_times_and_confidences(tones: Learned, receipt: Path) -> None:
    lines = [json.loads(line) for line in (receipt.parent / "hyp.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [one.id for one in read_manifest(tones.test)]
    for line in lines:
        assert list(line) == ["id", "text", "words", "score"]
        assert line["text"].split() == [word["word"] for word in line["words"]]
        assert all(list(word) == ["word", "start", "end", "confidence"] for word in line["words"])


def test_the_default_folder_lies_beside_the_model(
    tones: Learned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tones.out / "model", tmp_path / "model")
    assert call("decode", "--model", tmp_path / "model", "--manifest", tones.dev, "--audio", "a telephone") == 0
    folder = tmp_path / "decode" / "dev"
    assert capsys.readouterr().out == f"hypotheses: {folder / 'hyp.jsonl'}\n"
    assert json.loads((folder / "decode.json").read_text())["audio"] == "a telephone"


def test_failed_utterances_make_the_status_1_after_everything_is_written(
    tones: Learned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "test.jsonl"
    first, second, *others = read_manifest(tones.test)
    write_manifest(manifest, [replace(first, audio=tmp_path / "gone.wav"), replace(second, duration=7.0), *others])
    assert decode(tones, manifest, tmp_path) == 1
    seen = capsys.readouterr().err
    assert "not decoded: " in seen
    assert "gone.wav: there is no such file" in seen
    assert "test-001: the manifest says the audio is to be 7.00 s" in seen
    assert "2 utterances were not decoded; they will be scored as deletions" in seen
    hypotheses = read_hypotheses(tmp_path / "hyp.jsonl")
    assert len(hypotheses) == 12
    assert [name for name, one in hypotheses.items() if one.error] == ["test-000", "test-001"]
    assert json.loads((tmp_path / "decode.json").read_text())["audio"] == "WAV PCM_16 8000 Hz"
    assert call("score", manifest, tmp_path / "hyp.jsonl") == 1
    fields = json.loads((tmp_path / "result.json").read_text())
    assert (fields["failed"], fields["deletions"]) == (2, len(f"{first.text} {second.text}".split()))
    assert fields["substitutions"] == fields["insertions"] == 0
    assert call("verify", tmp_path / "result.json") == 0


def test_nothing_can_be_decoded(tones: Learned, tmp_path: Path) -> None:
    manifest = tmp_path / "test.jsonl"
    utterance = replace(read_manifest(tones.test)[0], audio=tmp_path / "gone.wav", duration=0.0)
    write_manifest(manifest, [utterance])
    assert decode(tones, manifest, tmp_path) == 1
    fields = json.loads((tmp_path / "decode.json").read_text())
    assert fields["audio"] is None
    assert fields["real_time_factor"] is None


def test_mistakes_get_a_sentence_and_a_status(
    tones: Learned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, manifest = tones.out / "model", tones.test
    for arguments, sentence, status in (
        (("--model", tmp_path / "none", "--manifest", manifest), "none: there is no such model folder", 1),
        (("--model", model, "--manifest", tmp_path / "none.jsonl"), "none.jsonl: could not be read", 1),
        (("--model", model, "--manifest", manifest, "--device", "toaster"), "--device toaster: not to be had", 2),
        (("--model", model, "--manifest", manifest, "--out", manifest / "x"), "not a folder that can be written to", 1),
    ):
        assert call("decode", *arguments) == status
        assert sentence in capsys.readouterr().err
    assert call("decode", "--model", model) == 2


def test_a_full_disk_keeps_what_was_there(
    tones: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decode(tones, tones.test, tmp_path) == 0
    before = (tmp_path / "hyp.jsonl").read_bytes()

    def full(path: Path, text: str) -> None:
        raise AsrError(f"{path}: could not be written (No space left on device); what stood there before is kept")

    monkeypatch.setattr(decode_run, "write_text", full)
    assert decode(tones, tones.dev, tmp_path) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert (tmp_path / "hyp.jsonl").read_bytes() == before
