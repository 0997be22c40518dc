"""What users get wrong, each through the command where they would meet it: one sentence, the right status, no loss."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.manifest import read_manifest
from tests.cli.told import fatal, told
from tests.tones import RATE, TINY, asr

_QUICK = ("--threads", 1, *TINY, "train.epochs=1")


def _write_lines(path: Path, lines: list[dict[str, object] | str]) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def _line(name: str, audio: Path, text: str, duration: float | None = None) -> dict[str, object]:
    length = duration if duration is not None else soundfile.info(audio).duration
    return {"id": name, "audio_filepath": str(audio), "duration": length, "text": text}


def _good(tone_run: Path, count: int, prefix: str = "good") -> list[dict[str, object] | str]:
    """Lines of readable utterances, as many as wanted: the same few under ids of their own."""
    utterances = read_manifest(tone_run / "train.jsonl")[:10]
    chosen = [utterances[number % len(utterances)] for number in range(count)]
    return [_line(f"{prefix}{number}", one.audio, one.text, one.duration) for number, one in enumerate(chosen)]


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Recordings that cannot be used, by what is wrong with them; all but three claim to be 1 s long."""
    folder = tmp_path_factory.mktemp("bad")
    noise = 0.1 * np.random.default_rng(1).standard_normal(RATE)
    made = {name: folder / f"{name}.wav" for name in ("text", "empty", "cut", "nan", "zeros", "click", "missing")}
    made["text"].write_text("This is not audio.")
    made["empty"].touch()
    soundfile.write(made["cut"], noise, RATE)
    made["cut"].write_bytes(made["cut"].read_bytes()[:4000])
    soundfile.write(made["nan"], np.where(np.arange(RATE) < 3, np.nan, noise), RATE, subtype="FLOAT")
    soundfile.write(made["zeros"], np.zeros(RATE), RATE)
    soundfile.write(made["click"], noise[: RATE // 100], RATE)
    return made


_REASONS = {
    "text": "not audio",
    "empty": "0 bytes",
    "cut": "truncated",
    "nan": "3 samples are NaN",
    "zeros": "nothing but zeros",
    "click": "too short for one frame",
    "missing": "there is no such file",
}


def test_decode_names_what_it_cannot_read_writes_the_rest_and_score_counts_it(
    tone_run: Path, bad: dict[str, Path], tmp_path: Path
) -> None:
    lines = _good(tone_run, 3)
    lines += [_line(f"bad-{name}", path, "do re", 0.01 if name == "click" else 1.0) for name, path in bad.items()]
    manifest = _write_lines(tmp_path / "test.jsonl", lines)
    out = tmp_path / "decode"
    done = asr("decode", "--model", tone_run / "run" / "model", "--manifest", manifest, "--out", out, "--threads", 1)
    for name, path in bad.items():
        sentence = told(done, 1, "not decoded: ", f"bad-{name}" if name == "click" else path, _REASONS[name])
        assert sentence.count(": ") >= 2
    assert "7 utterances were not decoded" in done.stderr
    written = [json.loads(line) for line in (out / "hyp.jsonl").read_text().splitlines()]
    assert [line["id"] for line in written] == [json.loads(json.dumps(line))["id"] for line in lines]
    assert [line["text"] for line in written[:3]] == [line["text"] for line in lines[:3] if isinstance(line, dict)]
    assert all(_REASONS[line["id"].removeprefix("bad-")] in line["error"] for line in written[3:])

    scored = asr("score", manifest, out / "hyp.jsonl")
    assert scored.returncode == 1
    assert "Traceback" not in scored.stdout + scored.stderr
    result = json.loads((out / "result.json").read_text())
    assert (result["failed"], result["deletions"], result["substitutions"], result["insertions"]) == (7, 14, 0, 0)


def test_train_names_what_it_leaves_out_and_trains_on_the_rest(
    tone_run: Path, bad: dict[str, Path], tmp_path: Path
) -> None:
    hour = tmp_path / "hour.flac"
    soundfile.write(hour, np.zeros(3600 * RATE, np.int16), RATE)
    good = read_manifest(tone_run / "train.jsonl")[0]
    rejected = {
        "an-hour": (_line("an-hour", hour, "do re"), "train.max_seconds=3"),
        "says-nothing": (_line("says-nothing", good.audio, ""), "its transcript is empty"),
        "says-too-much": (_line("says-too-much", good.audio, "do do re " * 20), "60 labels with 20 repeats need 80"),
        "not-there": (_line("not-there", bad["missing"], "do", 1.0), "there is no such file"),
        "not-a-number": (_line("not-a-number", bad["nan"], "do"), "3 samples are NaN"),  # seen when it is read
    }
    lines = [*_good(tone_run, 500), *(line for line, _ in rejected.values())]
    train = _write_lines(tmp_path / "train.jsonl", lines)
    out = tmp_path / "run"
    done = asr("train", "--train", train, "--dev", tone_run / "dev.jsonl", "--out", out, *_QUICK)
    for name, (line, reason) in rejected.items():
        where = line["audio_filepath"] if name.startswith("not") else name
        told(done, 1, "not used: ", where, reason)
    assert "5 utterances were not used" in done.stdout + done.stderr
    assert (out / "model" / "SHA256SUMS").exists()
    again = asr("train", "--train", train, "--dev", tone_run / "dev.jsonl", "--out", out, *_QUICK)
    assert "5 utterances were not used" in again.stdout + again.stderr
    assert again.returncode == 1


@pytest.mark.parametrize("where", ["train", "dev"])
def test_train_stops_where_more_than_one_in_a_hundred_cannot_be_used(
    tone_run: Path, bad: dict[str, Path], tmp_path: Path, where: str
) -> None:
    lines = [*_good(tone_run, 20), _line("gone", bad["missing"], "do", 1.0), _line("none", bad["empty"], "do", 1.0)]
    spoiled = _write_lines(tmp_path / f"{where}.jsonl", lines)
    manifests = {"train": tone_run / "train.jsonl", "dev": tone_run / "dev.jsonl", where: spoiled}
    out = tmp_path / "run"
    done = asr("train", "--train", manifests["train"], "--dev", manifests["dev"], "--out", out, *_QUICK)
    fatal(done, 1, f"{where}: 2 of 22 utterances cannot be used", bad["missing"], bad["empty"])
    assert not (out / "model").exists()


_MALFORMED = '{"audio_filepath": "a.wav", "duration": 1.0, "text": "do"'


@pytest.mark.parametrize(
    ("command", "spoil", "fragments"),
    [
        ("train", lambda good: [*good, _MALFORMED], (":3:", "not a JSON object")),
        ("decode", lambda good: [*good, _MALFORMED], (":3:", "not a JSON object")),
        ("score", lambda good: [*good, _MALFORMED], (":3:", "not a JSON object")),
        ("train", lambda good: [good[0], "", good[0]], (":3:", "'good0' stands on line 1 already")),
        ("decode", lambda good: [good[0], {"duration": 1.0, "text": "do"}], (":2:", "'audio_filepath' is missing")),
        ("score", lambda good: [{**good[0], "duration": "long"}], (":1:", "'duration' must be a number")),
        ("score", lambda good: [], (": the file is empty",)),
    ],
)
def test_a_manifest_that_cannot_be_read_is_told_with_its_line(
    tone_run: Path, tmp_path: Path, command: str, spoil: Callable[[list], list], fragments: tuple[str, ...]
) -> None:
    manifest = _write_lines(tmp_path / "spoiled.jsonl", spoil(_good(tone_run, 2)))
    if command == "train":
        done = asr("train", "--train", manifest, "--dev", manifest, "--out", tmp_path / "out", *_QUICK)
    elif command == "decode":
        model = tone_run / "run" / "model"
        done = asr("decode", "--model", model, "--manifest", manifest, "--out", tmp_path / "out", "--threads", 1)
    else:
        hypotheses = _write_lines(tmp_path / "hyp.jsonl", [{"id": "good0", "text": "do"}])
        done = asr("score", manifest, hypotheses, "--out", tmp_path / "out")
    fatal(done, 1, str(manifest) + fragments[0], *fragments[1:])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("yaml", "overrides", "fragments"),
    [
        ("encoder:\n  hiden: 16\n", [], ("conf.yaml", "'encoder.hiden'", "did you mean 'encoder.hidden'?")),
        ("", ["train.epoch=3"], ("'train.epoch'", "did you mean 'train.epochs'?")),
        ("train:\n  epochs: many\n", [], ("conf.yaml", "train.epochs", "'many'")),
        ("train:\n  epochs: [3\n", [], ("conf.yaml:3", "not YAML")),
        ("", ["epochs"], ("'epochs'", "key=value")),
    ],
)
def test_a_mistake_in_the_config_is_told_before_anything_begins(
    tone_run: Path, tmp_path: Path, yaml: str, overrides: list[str], fragments: tuple[str, ...]
) -> None:
    config = tmp_path / "conf.yaml"
    config.write_text(yaml)
    manifests = ("--train", tone_run / "train.jsonl", "--dev", tone_run / "dev.jsonl")
    done = asr("train", "--config", config, *manifests, "--out", tmp_path / "run", *overrides)
    fatal(done, 2, *fragments)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("command", "name", "change", "reason"),
    [
        ("decode", "model.safetensors", "delete", "is missing"),
        ("transcribe-audio", "model.safetensors", "alter", "was altered"),
        ("decode", "tokens.txt", "alter", "was altered"),
        ("transcribe-audio", "SHA256SUMS", "delete", "not a finished model folder"),
        ("decode", "", "delete", "there is no such model folder"),
    ],
)
def test_a_model_folder_that_is_not_whole(
    tone_run: Path, tmp_path: Path, command: str, name: str, change: str, reason: str
) -> None:
    model = tmp_path / "model"
    if name:
        shutil.copytree(tone_run / "run" / "model", model)
        if change == "delete":
            (model / name).unlink()
        else:
            (model / name).write_bytes((model / name).read_bytes() + b"x")
    if command == "decode":
        done = asr("decode", "--model", model, "--manifest", tone_run / "dev.jsonl", "--out", tmp_path / "out")
    else:
        code = "from asr.cli.transcribe import main; main()"
        recording = read_manifest(tone_run / "dev.jsonl")[0].audio
        call = [sys.executable, "-c", code, "--model", str(model), str(recording)]
        done = subprocess.run(call, capture_output=True, text=True, timeout=60)
    fatal(done, 1, model if name == "SHA256SUMS" else model / name, reason)
    assert not (tmp_path / "out").exists()


def _limit_file_size() -> None:
    """A stand-in for a full disk: no file may grow beyond 16 kB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, 16_000))


def test_a_disk_that_is_full_loses_nothing_that_was_done(tone_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = [*TINY, "train.batch_seconds=8", "train.epochs=20"]  # of tone_run
    command = ("train", "--train", tone_run / "train.jsonl", "--dev", tone_run / "dev.jsonl", "--out", run)
    first = asr(*command, "--threads", 1, *config, preexec_fn=_limit_file_size)
    fatal(first, 1, run / "checkpoints", "could not be written")
    assert [path.name for path in run.rglob("*.part")] == []

    # The same at the very end: everything is trained, and only the model folder is still to be written.
    shutil.rmtree(run)
    shutil.copytree(tone_run / "run" / "checkpoints", run / "checkpoints")
    kept = {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()}
    last = asr(*command, "--threads", 1, *config, preexec_fn=_limit_file_size)
    fatal(last, 1, run / "model" / "model.safetensors", "could not be written")
    assert {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()} == kept

    freed = asr(*command, "--threads", 1, *config)
    assert freed.returncode == 0, freed.stderr
    weights = "model/model.safetensors"
    assert (run / weights).read_bytes() == (tone_run / "run" / weights).read_bytes()


def test_a_damaged_checkpoint_istold(tone_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tone_run / "run" / "checkpoints", run / "checkpoints")
    latest = run / "checkpoints" / "latest.pt"
    latest.write_bytes(latest.read_bytes()[:5000])
    manifests = ("--train", tone_run / "train.jsonl", "--dev", tone_run / "dev.jsonl")
    done = asr("train", *manifests, "--out", run, "--threads", 1, *TINY)
    fatal(done, 1, latest, "damaged", "delete it")
    assert not (run / "model").exists()


@pytest.mark.parametrize("kind", ["a file", "not writable"])
@pytest.mark.parametrize("command", ["train", "decode", "from-folder", "prepare"])
def test_an_output_folder_that_cannot_be_written_to(tone_run: Path, tmp_path: Path, command: str, kind: str) -> None:
    out = Path("/proc/asr")  # where even root may not write
    if kind == "a file":
        out = tmp_path / "taken"
        out.write_text("mine")
    dev = tone_run / "dev.jsonl"
    if command == "train":
        done = asr("train", "--train", tone_run / "train.jsonl", "--dev", dev, "--out", out, *_QUICK)
    elif command == "decode":
        done = asr("decode", "--model", tone_run / "run" / "model", "--manifest", dev, "--out", out, "--threads", 1)
    elif command == "from-folder":
        recordings = tmp_path / "recordings"
        recordings.mkdir()
        for one in read_manifest(dev):
            shutil.copy(one.audio, recordings / one.audio.name)
            (recordings / one.audio.name).with_suffix(".txt").write_text(one.text)
        done = asr("data", "from-folder", recordings, "--out", out)
    else:
        for number in range(60):  # as yesno is laid out
            name = "_".join(f"{number:08b}")
            (tmp_path / "waves_yesno").mkdir(exist_ok=True)
            shutil.copy(read_manifest(dev)[0].audio, tmp_path / "waves_yesno" / f"{name}.wav")
        done = asr("data", "prepare", "yesno", "--from", tmp_path, "--out", out)
    fatal(done, 1, out)
    if kind == "a file":
        assert out.read_text() == "mine"


def _interrupt(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Ctrl-C once the work has begun; what was said until the end."""
    assert process.stderr is not None
    said = process.stderr.readline()
    time.sleep(1.0)
    assert process.poll() is None, "finished before it could be interrupted"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    return output, said + errors


def test_ctrl_c_during_decode_keeps_what_stood_there(tone_run: Path, tmp_path: Path) -> None:
    manifest = _write_lines(tmp_path / "test.jsonl", _good(tone_run, 30_000))
    out = tmp_path / "decode"
    out.mkdir()
    (out / "hyp.jsonl").write_text("of a former decoding")
    code = "from asr.cli.main import main; main()"
    arguments = ["decode", "--model", tone_run / "run" / "model", "--manifest", manifest, "--out", out, "--threads", 1]
    call = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        output, errors = _interrupt(process)
    assert process.returncode == 130
    assert errors.splitlines() == ["decoding", "stopped by Ctrl-C"]
    assert output == ""
    assert [path.name for path in out.iterdir()] == ["hyp.jsonl"]
    assert (out / "hyp.jsonl").read_text() == "of a former decoding"
