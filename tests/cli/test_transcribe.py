from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
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
    assert "note:" not in done.stderr
    assert "error:" not in done.stderr


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
    bad["empty"].touch()
    bad["text"].write_text("This is not audio.")
    bad["cut"].write_bytes(whole.read_bytes()[:5000])
    soundfile.write(bad["nan"], np.where(np.arange(len(samples)) == 77, np.nan, samples), RATE, subtype="FLOAT")
    soundfile.write(bad["zeros"], np.zeros(RATE), RATE)
    soundfile.write(bad["click"], samples[: RATE // 100], RATE)
    done = _transcribe("--model", model, first.audio, *bad.values(), second.audio)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [f"{first.audio}: {first.text}", f"{second.audio}: {second.text}"]
    begun, *named, summary, total = done.stderr.splitlines()
    assert (begun, summary[:18]) == ("transcribing", "2 of 9 recordings,")
    assert total == f"7 of 9 recordings could not be transcribed: {', '.join(map(str, bad.values()))}"
    reasons = {
        "empty": "the file is empty (0 bytes)",
        "text": "not audio",
        "cut": "truncated",
        "nan": "1 samples are NaN or infinite",
        "zeros": "holds nothing but zeros",
        "click": "0.010 s are too short",
        "missing": "there is no such file",
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
        (["a.wav"], 1, "a.wav: there is no such file"),
        (["--model", "nowhere", "a.wav"], 1, "nowhere: there is no such model folder"),
        (["--model", ".", "a.wav"], 1, "not a finished model folder"),
        (
            ["--model", "."],
            2,
            "nothing to transcribe: give recordings (files, folders, - for standard input), or",
        ),
        (["--mic", "a.wav"], 2, "leave out the recordings, or --mic"),
        (["--dry-run", "--model", "nowhere", "a.wav"], 1, "nowhere: there is no such model folder"),
        (["--json", "--min-confidence", "0.5", "a.wav"], 2, "--min-confidence marks words in files and in texts"),
        (["a\nb\x1b[31m.wav", "c.wav", "-f", "txt", "-o", "README.md"], 1, "error: README.md: not a folder"),
        (["-f", "doc", "a.wav"], 2, "--format doc: there is no format 'doc'"),
        (["--out", "x", "a.wav"], 2, "--out is for files, and --format says which"),
        (["--json", "-f", "txt", "a.wav"], 2, "--json prints and --format writes files"),
        (["-f", "txt", "--overwrite", "--skip-existing", "a.wav"], 2, "exclude each other"),
        (["--latency", "1", "-f", "txt", "a.wav"], 2, "leave out --format"),
        (["https://example.org/a.wav"], 2, "nothing is read over the network"),
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


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """A folder with a recording, one in a folder of its own, and a broken one."""
    (tmp_path / "talks" / "more").mkdir(parents=True)
    for name, seed in (("first.wav", 1), ("more/second.flac", 2)):
        soundfile.write(tmp_path / "talks" / name, phrases(2, seed)[0], RATE)
    (tmp_path / "talks" / "more" / "broken.wav").write_text("no audio")
    return tmp_path / "talks"


def _files(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_folder_becomes_files_laid_out_like_it_and_a_second_run_does_what_is_left(
    model: Path, talks: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["--model", model, talks, "-f", "txt,SRT", "-o", out]
    planned = _transcribe(*arguments, "--dry-run")
    assert planned.returncode == 1
    assert planned.stderr.startswith(f"error: {talks}/more/broken.wav: not audio")
    assert planned.stdout.splitlines()[:2] == [
        f"model: {model}",
        f"{talks}/first.wav → {out}/first.txt, {out}/first.srt",
    ]
    assert not out.exists()
    done = _transcribe(*arguments)
    assert done.returncode == 1
    assert f"error: {talks}/more/broken.wav: " in done.stderr
    *_, summary, last = done.stderr.splitlines()
    assert re.fullmatch(r"2 of 3 recordings, 0:\d\d of audio, in 0:\d\d: \d+ × real time", summary)
    assert last == f"1 of 3 recordings could not be transcribed: {talks}/more/broken.wav"
    written = _files(out)
    assert sorted(written) == ["first.srt", "first.txt", "more/second.srt", "more/second.txt"]
    said = [word for word, _, _ in phrases(2, 2)[1]]
    assert written["more/second.txt"].decode().split() == said
    assert written["more/second.srt"].startswith(b"1\n00:00:0")

    again = _transcribe(*arguments)
    assert again.returncode == 2
    assert "first.txt and 3 more exist already" in again.stderr
    (out / "first.txt").write_text("mine")
    (out / "more" / "second.txt").write_text("mended by hand")
    (out / "more" / "second.srt").unlink()
    left = _transcribe(*arguments, "--skip-existing")
    assert left.returncode == 1
    assert "1 of 3 recordings have their files already" in left.stderr
    assert _files(out) == {**written, "first.txt": b"mine", "more/second.txt": b"mended by hand"}
    assert _transcribe(*arguments, "--overwrite").returncode == 1
    assert _files(out) == written


def test_doubtful_words_are_marked(model: Path, talks: Path) -> None:
    done = _transcribe("--model", model, talks / "first.wav", "-f", "txt", "--min-confidence", "1")
    assert done.returncode == 0, done.stderr
    said = [word for word, _, _ in phrases(2, 1)[1]]
    printed = _transcribe("--model", model, talks / "first.wav", "--min-confidence", "1").stdout
    assert printed == (talks / "first.txt").read_text()
    assert [word.strip("[?]") for word in printed.split()] == said
    assert "[" in printed


def test_standard_input_and_streams(model: Path, talks: Path) -> None:
    said = " ".join(word for word, _, _ in phrases(2, 1)[1])
    sound = (talks / "first.wav").read_bytes()
    whole, live = (
        subprocess.run(
            [sys.executable, "-c", _CODE, "--model", str(model), "--threads", "1", *more, "-"],
            input=sound,
            capture_output=True,
            timeout=120,
        )
        for more in ([], ["--latency", "6", "--json"])
    )
    assert (whole.returncode, " ".join(whole.stdout.decode().split())) == (0, said), whole.stderr
    segments = [json.loads(line) for line in live.stdout.splitlines()]
    assert live.returncode == 0, live.stderr
    assert " ".join(segment["text"] for segment in segments) == said
    words = [word for segment in segments for word in segment["words"]]
    assert all(one["start"] < other["start"] for one, other in pairwise(words))


def test_streams_of_several_recordings_say_which(model: Path, talks: Path) -> None:
    said = " ".join(word for word, _, _ in phrases(2, 1)[1])
    arguments = ["--model", model, "--latency", "6", talks / "first.wav", talks / "more" / "second.flac"]
    printed = _transcribe(*arguments)
    assert printed.returncode == 0, printed.stderr
    begin = f"{talks / 'first.wav'}: "
    own = [line.removeprefix(begin) for line in printed.stdout.splitlines() if line.startswith(begin)]
    assert " ".join(own) == said
    assert 0 < len(own) < len(printed.stdout.splitlines())
    lines = list(map(json.loads, _transcribe(*arguments, "--json").stdout.splitlines()))
    assert " ".join(one["text"] for one in lines if one["audio"] == str(talks / "first.wav")) == said


_MICROPHONE = """
import numpy, soundfile, threading
class PortAudioError(Exception): pass
class InputStream:
    def __init__(self, samplerate, channels, dtype, blocksize, callback):
        if samplerate != 8000: raise PortAudioError("Invalid sample rate")
        self.callback, self.blocksize = callback, blocksize
    def __enter__(self):
        import os, signal
        def play():
            samples = soundfile.read(os.environ["PLAYED"], dtype="float32", always_2d=True)[0]
            for begin in range(0, len(samples), self.blocksize):
                block = samples[begin : begin + self.blocksize]
                self.callback(block, len(block), None, None)
            import time
            time.sleep(3)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=play, daemon=True).start()
    def __exit__(self, *_): pass
"""


def test_a_microphone_is_listened_to_until_ctrl_c(model: Path, talks: Path, tmp_path: Path) -> None:
    stub = tmp_path / "stub"
    stub.mkdir()
    (stub / "sounddevice.py").write_text(_MICROPHONE)
    paths = os.pathsep.join([str(stub), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = _transcribe(
        *("--model", model, "--mic", "--latency", "6"), PYTHONPATH=paths, PLAYED=str(talks / "first.wav")
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [word for word, _, _ in phrases(2, 1)[1]]
    assert done.stderr.splitlines()[0] == "listening; Ctrl-C ends it"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_whole_files_and_no_others(
    model: Path, talks: Path, tmp_path: Path, number: signal.Signals
) -> None:
    for copy in range(300):
        os.link(talks / "first.wav", talks / f"{copy:03}.wav")  # a minute of audio every few
    out = tmp_path / "out"
    command = [sys.executable, "-c", _CODE, "--model", str(model), "--threads", "1", "-f", "txt,json", "-o", str(out)]
    command += [str(talks / f"{copy:03}.wav") for copy in range(300)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_heed_signals) as process:
        deadline = time.monotonic() + 60
        while not list(out.glob("*.txt")) and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 143), told
    written = _files(out)
    assert 1 <= len(written) < 600
    assert not [name for name in written if name.startswith(".") or name.endswith(".part")]
    said = [word for word, _, _ in phrases(2, 1)[1]]
    for name, content in written.items():
        text = json.loads(content)["text"] if name.endswith("json") else content.decode()
        assert text.split() == said


def _heed_signals() -> None:
    """A test run in the background ignores Ctrl-C, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
