from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from asr.manifest import read_manifest
from tests.phrases import phrases
from tests.tones import RATE

_CODE = "from asr.cli.transcribe import main; main()"


def _transcribe(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _CODE, *map(str, arguments), "--threads", "1"],
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "ASR_MODEL"} | environment,
        timeout=120,
    )


@pytest.fixture(scope="module")
def model(tone_run: Path) -> Path:
    return tone_run / "run" / "model"


def test_every_format_rate_and_number_of_channels_gives_the_same_text(model: Path, tmp_path: Path) -> None:
    samples, spoken = phrases(3, 5)
    text = " ".join(word for word, _, _ in spoken)
    paths = []
    for name, rate, channels, subtype in [
        ("telephone.mp3", 8000, 2, None),
        ("cd.wav", 44100, 2, "PCM_24"),
        ("studio.flac", 96000, 1, None),
        ("voice message.ogg", 48000, 1, "OPUS"),
        ("surround.wav", 22050, 6, "FLOAT"),
        ("unsigned.wav", 8000, 1, "PCM_U8"),
    ]:
        paths.append(tmp_path / name)
        resampled = samples if rate == RATE else soxr.resample(samples, RATE, rate)
        soundfile.write(paths[-1], np.stack([resampled] * channels, axis=1), rate, subtype=subtype)
    done = _transcribe("--model", model, *paths)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{path}: {text}" for path in paths]
    assert done.stderr == ""


def test_one_file_gives_its_text_alone(model: Path, tone_run: Path) -> None:
    one = read_manifest(tone_run / "dev.jsonl")[3]
    done = _transcribe(one.audio, ASR_MODEL=str(model))
    assert (done.returncode, done.stdout, done.stderr) == (0, one.text + "\n", "")


def test_failing_files_are_named_the_others_printed_in_order_and_the_status_is_1(
    model: Path, tone_run: Path, tmp_path: Path
) -> None:
    first, second = read_manifest(tone_run / "dev.jsonl")[:2]
    samples, _ = phrases(1, 5)
    whole = tmp_path / "whole.wav"
    soundfile.write(whole, samples, RATE)
    bad = {name: tmp_path / f"{name}.wav" for name in ("empty", "text", "cut", "nan", "zeros", "click", "missing")}
    bad["folder"] = tmp_path
    bad["empty"].touch()
    bad["text"].write_text("This is not audio.")
    bad["cut"].write_bytes(whole.read_bytes()[:5000])
    soundfile.write(bad["nan"], np.where(np.arange(len(samples)) == 77, np.nan, samples), RATE, subtype="FLOAT")
    soundfile.write(bad["zeros"], np.zeros(RATE), RATE)
    soundfile.write(bad["click"], samples[: RATE // 100], RATE)
    done = _transcribe("--model", model, first.audio, *bad.values(), second.audio)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [f"{first.audio}: {first.text}", f"{second.audio}: {second.text}"]
    *named, total = done.stderr.splitlines()
    assert total == "8 of 10 files could not be transcribed"
    reasons = {
        "empty": "the file is empty (0 bytes)",
        "text": "not audio",
        "cut": "truncated",
        "nan": "1 samples are NaN or infinite",
        "zeros": "holds nothing but zeros",
        "click": "0.010 s are too short",
        "missing": "there is no such file",
        "folder": "is a folder, not an audio file",
    }
    for line, (name, reason) in zip(named, reasons.items(), strict=True):
        assert line.startswith(f"error: {bad[name]}: "), line
        assert reason in line


def test_json_lines(model: Path, tone_run: Path, tmp_path: Path) -> None:
    one = read_manifest(tone_run / "dev.jsonl")[4]
    named = tmp_path / "Größe – 声.wav"
    named.write_bytes(one.audio.read_bytes())
    missing = tmp_path / "Überall.wav"
    for environment in ({}, {"PYTHONIOENCODING": "ascii"}):
        done = _transcribe("--model", model, "--json", named, missing, **environment)
        assert done.returncode == 1
        good, failed = map(json.loads, done.stdout.splitlines())
        assert list(good) == ["audio", "duration", "text", "words"]
        assert (good["audio"], good["text"]) == (str(named), one.text)
        assert good["duration"] == pytest.approx(one.duration, abs=1e-3)
        assert [word["word"] for word in good["words"]] == one.text.split()
        for word in good["words"]:
            assert 0 <= word["start"] < word["end"] <= good["duration"]
            assert 0.5 < word["confidence"] <= 1
        assert failed == {"audio": str(missing), "error": f"{missing}: there is no such file"}


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["a.wav"], 2, "Missing option '--model'"),
        (["--model", "nowhere", "a.wav"], 1, "nowhere: there is no such model folder"),
        (["--model", ".", "a.wav"], 1, "not a finished model folder"),
        (["--model", "."], 2, "Missing argument"),
        (["--model", ".", "--loud", "a.wav"], 2, "No such option"),
        (["--model", ".", "--device", "abacus", "a.wav"], 2, "--device abacus"),
    ],
)
def test_wrong_usage(arguments: list[str], status: int, sentence: str) -> None:
    done = _transcribe(*arguments)
    assert done.returncode == status
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_hour_needs_no_more_memory_than_ten_minutes(model: Path, tmp_path: Path) -> None:
    samples, spoken = phrases(35, 9)  # about a minute
    peaks = []
    for minutes in (10, 60):
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            for _ in range(minutes):
                file.write(samples)
        command = [sys.executable, "-c", _CODE, "--model", str(model), "--threads", "1", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            text = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        assert text.split() == [word for word, _, _ in spoken] * minutes
        peaks.append(usage.ru_maxrss / 1e3)
    assert peaks[1] - peaks[0] < 60, peaks  # [MB]; the samples alone would be 115 more
