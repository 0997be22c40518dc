"""Every recipe's script, and some recipes from end to end, in a copy of the tree: nothing of the user's changes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.config import read_config
from asr.manifest import read_manifest
from asr.phones.dictionary import read_dictionary
from tests.corpora import ROOT, corpus_folder
from tests.recipes.running import begun, done_before, environment, no_traceback, run
from tests.tones import PITCHES, RATE, TINY, tone

_RECIPES = sorted(path.parent.name for path in (ROOT / "recipes").glob("*/run.sh"))
_STAGED = sorted(
    str(path.relative_to(ROOT / "recipes"))
    for path in (ROOT / "recipes").glob("*/*.sh")
    if "stages.sh" in path.read_text()
)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Tones of three speakers, each recording with its transcript beside it."""
    folder = tmp_path / "my recordings"
    random = np.random.default_rng(4)
    for speaker, count in (("ann", 20), ("bob", 4), ("eve", 4)):
        (folder / speaker).mkdir(parents=True)
        for number in range(count):
            words = random.choice(list(PITCHES), size=1 + number % 4).tolist()
            soundfile.write(folder / speaker / f"{number}.wav", tone(words, random), RATE)
            (folder / speaker / f"{number}.txt").write_text(" ".join(words).capitalize() + ".\n")
    return folder


@pytest.mark.parametrize("name", _RECIPES)
def test_a_recipe_is_a_short_script_with_a_config_that_can_be_read(name: str) -> None:
    folder = ROOT / "recipes" / name
    scripts = {path: path.read_text() for path in folder.glob("*.sh")}
    for script, text in scripts.items():
        assert os.access(script, os.X_OK)
        assert len(text.splitlines()) <= 40
        subprocess.run(["bash", "-n", script], check=True)
    configs = sorted((folder / "conf").glob("*.yaml"))
    assert configs
    for config in configs:
        read_config(config)
        assert any(f"recipes/{name}/conf/{config.name}" in text for text in scripts.values())
    table = ROOT / "recipes" / "README.md"
    if table.exists():
        assert f"`{name}`" in table.read_text() or f"({name}/" in table.read_text()


@pytest.mark.parametrize("name", _STAGED)
@pytest.mark.parametrize("arguments", [["--stage"], ["--seed", "one"], ["--stop-stage", ""], ["--bogus"], ["a", "b"]])
def test_wrong_options_get_the_usage_and_2(tree: Path, name: str, arguments: list[str]) -> None:
    done = run(tree, name, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")
    assert done.stdout == ""
    assert sorted(path.name for path in tree.iterdir()) == ["recipes"]


@pytest.mark.parametrize("name", _STAGED)
def test_help(tree: Path, name: str) -> None:
    done = run(tree, name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


def test_a_folder_that_is_not_there(tree: Path) -> None:
    done = run(tree, "folder", "no/where")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no/where: there is no such folder\n"


@pytest.mark.slow
def test_folder_from_recordings_to_report(tree: Path, recordings: Path) -> None:
    overrides = [*TINY, "features.mels=10", "train.epochs=2"]
    # From elsewhere, by a relative path with a space in it.
    where = {"cwd": recordings.parent}
    first = run(tree, "folder", recordings.name, "--stop-stage", 1, *overrides, **where)
    assert first.returncode == 0, first.stderr
    assert begun(first.stdout) == [1]
    middle = run(tree, "folder", recordings.name, "--stage", 2, "--stop-stage", 3, *overrides, **where)
    assert middle.returncode == 0, middle.stderr
    assert begun(middle.stdout) == [2, 3]
    exp = tree / "exp" / "folder" / recordings.name / "seed1"
    assert "mels: 10" in (exp / "model" / "config.yaml").read_text()
    assert not (exp / "decode").exists()

    rest = run(tree, "folder", recordings.name, *overrides, **where)
    assert rest.returncode == 0, rest.stderr
    assert (done_before(rest.stdout), begun(rest.stdout)) == ([1, 2, 3], [4, 5])
    result = json.loads((exp / "decode" / "test" / "result.json").read_text())
    test = read_manifest(tree / "data" / "folder" / recordings.name / "test.jsonl")
    assert (result["utterances"], result["failed"]) == (len(test), 0)
    assert result["words"] == sum(len(one.text.split()) for one in test)

    written = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}
    again = run(tree, "folder", recordings.name, *overrides, **where)
    assert again.returncode == 0
    assert done_before(again.stdout) == [1, 2, 3, 4, 5]
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == written

    # A model that was made anew makes the stages behind it run again, though their commands are the same.
    shutil.rmtree(exp / "model")
    assert run(tree, "folder", recordings.name, "--stage", 3, "--stop-stage", 3, *overrides, **where).returncode == 0
    fresh = run(tree, "folder", recordings.name, *overrides, **where)
    assert (done_before(fresh.stdout), begun(fresh.stdout)) == ([1, 2, 3], [4, 5])

    # Another recording changes the manifests; the model of the former ones is kept, and not reported as theirs.
    soundfile.write(recordings / "ann" / "new.wav", np.full(RATE, 0.1), RATE)
    (recordings / "ann" / "new.txt").write_text("do")
    more = run(tree, "folder", recordings.name, *overrides, **where)
    assert more.returncode == 1
    assert begun(more.stdout) == [1, 2, 3]
    assert f"train into another --out, or delete exp/folder/{recordings.name}/seed1 to begin anew" in no_traceback(more)


@pytest.mark.slow
def test_a_broken_recording_is_reported_at_the_end_and_not_instead(tree: Path, recordings: Path) -> None:
    (recordings / "ann" / "3.wav").write_bytes(b"")
    done = run(tree, "folder", recordings, *TINY, "train.epochs=1")
    assert done.returncode == 1
    assert "3.wav: the file is empty (0 bytes)" in no_traceback(done)
    assert begun(done.stdout) == [1, 2, 3, 4, 5]
    result = tree / "exp" / "folder" / recordings.name / "seed1" / "decode" / "test" / "result.json"
    assert json.loads(result.read_text())["utterances"] > 0
    again = run(tree, "folder", recordings, *TINY, "train.epochs=1")
    assert again.returncode == 1
    assert done_before(again.stdout) == [1, 2, 3, 4, 5]

    # A recording that is lost after the manifests were made: named, scored as deletions, reported, status 1.
    test = read_manifest(tree / "data" / "folder" / recordings.name / "test.jsonl")
    test[0].audio.unlink()
    shutil.rmtree(result.parent)
    lost = run(tree, "folder", recordings, "--stage", 4, *TINY, "train.epochs=1")
    assert lost.returncode == 1
    assert "there is no such file" in no_traceback(lost)
    assert json.loads(result.read_text())["failed"] == 1


@pytest.mark.slow
def test_a_killed_run_goes_on(tree: Path, recordings: Path) -> None:
    overrides = [*TINY, "train.epochs=15", "train.patience=0", "train.batch_seconds=3"]
    call = ["bash", str(tree / "recipes" / "folder" / "run.sh"), str(recordings), *overrides]
    history = tree / "exp" / "folder" / recordings.name / "seed1" / "history.jsonl"
    with subprocess.Popen(
        call, cwd=tree, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        # The history is written a moment before the state that a run goes on from.
        while process.poll() is None and not (history.parent / "checkpoints" / "latest.pt").exists():
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    assert not (history.parent / "model" / "SHA256SUMS").exists()
    done = run(tree, "folder", recordings, *overrides)
    assert done.returncode == 0, done.stderr
    assert (done_before(done.stdout), begun(done.stdout)) == ([1, 2], [3, 4, 5])
    assert "resuming after" in done.stdout
    assert [json.loads(line)["epoch"] for line in history.read_text().splitlines()] == list(range(1, 16))


@pytest.mark.slow
def test_yesno_from_the_corpus_to_the_report(tree: Path, tmp_path: Path) -> None:
    corpora = tmp_path / "corpora"
    corpora.mkdir()
    (corpora / "waves_yesno").symlink_to(corpus_folder("waves_yesno"))
    small = ["encoder.hidden=8", "encoder.layers=1", "train.epochs=1", "augment.speeds=[1.0]"]
    done = run(tree, "yesno", *small, "--seed", 3, ASR_CORPORA=corpora)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tree / "exp" / "yesno" / "seed3" / "decode" / "test" / "result.json").read_text())
    assert (result["utterances"], result["words"], result["seed"], result["corpus"]) == (30, 239, 3, "yesno")
    relative = run(tree, "yesno", *small, "--seed", 3, cwd=tmp_path, ASR_CORPORA="corpora")
    assert relative.returncode == 0
    assert done_before(relative.stdout) == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_connected_digits_from_the_corpus_to_a_comparison(tree: Path, tmp_path: Path) -> None:
    corpora = tmp_path / "corpora"
    corpora.mkdir()
    (corpora / "free-spoken-digit-dataset").symlink_to(corpus_folder("free-spoken-digit-dataset"))
    small = ["encoder.hidden=8", "encoder.layers=1", "train.epochs=1", "augment.speeds=[1.0]"]
    script = "fsdd/connected.sh"
    done = run(tree, script, "--leave-out", "theo", *small, ASR_CORPORA=corpora)
    assert done.returncode == 0, done.stdout + done.stderr
    assert begun(done.stdout) == list(range(1, 14))
    data, exp = tree / "data" / "fsdd-connected-without-theo", tree / "exp" / "fsdd-without-theo-connected" / "seed1"
    test = read_manifest(data / "test.jsonl")
    assert {one.speaker for one in test} == {"theo"}
    assert all(3 <= len(one.text.split()) <= 7 for one in test)
    told = json.loads((data / "doctor" / "doctor.json").read_text())
    assert (told["errors"], [one["name"] for one in told["manifests"]]) == (0, ["train", "dev", "test"])
    result = json.loads((exp / "decode" / "test-lm" / "result.json").read_text())
    assert (result["system"], result["words"]) == ("beam+2gram", sum(len(one.text.split()) for one in test))
    assert result["against_wer"] == json.loads((exp / "decode" / "test" / "result.json").read_text())["wer"]
    again = run(tree, script, "--leave-out", "theo", *small, ASR_CORPORA=corpora)
    assert done_before(again.stdout) == list(range(1, 14))


@pytest.mark.slow
def test_digits_over_phones_from_the_corpus_to_words(tree: Path, tmp_path: Path) -> None:
    corpora = tmp_path / "corpora"
    corpora.mkdir()
    for name in ("free-spoken-digit-dataset", "cmudict"):
        (corpora / name).symlink_to(corpus_folder(name))
    small = ["encoder.hidden=8", "encoder.layers=1", "train.epochs=1", "augment.speeds=[1.0]"]
    given = ("fsdd/phones.sh", "--leave-out", "theo", *small)
    done = run(tree, *given, ASR_CORPORA=corpora)
    assert done.returncode == 0, done.stdout + done.stderr
    assert begun(done.stdout) == list(range(1, 8))
    decoded = tree / "exp" / "fsdd-without-theo" / "phones-seed1" / "decode" / "test"
    result = json.loads((decoded / "result.json").read_text())
    assert (result["system"], result["words"], result["failed"]) == ("beam+lexicon", 500, 0)
    known = set((tree / "recipes" / "fsdd" / "digits.txt").read_text().split())
    assert {word for line in (decoded / "hyp.jsonl").open() for word in json.loads(line)["text"].split()} <= known
    assert done_before(run(tree, *given, ASR_CORPORA=corpora).stdout) == list(range(1, 8))


@pytest.mark.slow
def test_an4_over_phones_from_the_corpus_to_words(tree: Path, tmp_path: Path) -> None:
    corpora = tmp_path / "corpora"
    corpora.mkdir()
    for name in ("an4", "cmudict"):
        (corpora / name).symlink_to(corpus_folder(name))
    small = ["features.mels=16", "encoder.hidden=8", "encoder.layers=1", "train.epochs=1", "augment.speeds=[1.0]"]
    small += ["train.intermediate=[]"]
    done = run(tree, "an4/phones.sh", *small, "--seed", 2, ASR_CORPORA=corpora)
    assert done.returncode == 0, done.stdout + done.stderr
    assert begun(done.stdout) == list(range(1, 16))
    decoded, lms = tree / "exp/an4/phones-seed2/decode", ("transcripts", "5gram")
    for heard, lm in zip(("test", "test-spelled"), lms, strict=True):
        result = json.loads((decoded / heard / "result.json").read_text())
        assert (result["system"], result["words"], result["seed"]) == ("beam+lexicon+5gram", 773, 2)
        assert result["search"]["lm"] == f"exp/an4/lm/{lm}.safetensors"
    known = {line.split()[0] for line in (tree / "exp" / "an4" / "lm" / "lexicon.txt").read_text().splitlines()}
    hypotheses = (decoded / "test" / "hyp.jsonl").read_text().splitlines()
    assert {word for line in hypotheses for word in json.loads(line)["text"].split()} <= known
    again = run(tree, "an4/phones.sh", *small, "--seed", 2, ASR_CORPORA=corpora)
    assert done_before(again.stdout) == list(range(1, 16))


def test_words_are_spelled_letter_by_letter(tmp_path: Path) -> None:
    words, out = tmp_path / "dictionary", tmp_path / "out.txt"
    words.write_text(";;; comment\nZOE  Z OW1 IY0\nABE  EY1 B\nABE(2)  AE1 B\nO'ER  AO1 R\nAT  AE1 T\nABE\n")
    subprocess.run(["bash", ROOT / "recipes" / "an4" / "spell.sh", words, out], check=True)
    assert [line.split() for line in out.read_text().splitlines()] == [["A", "B", "E"], ["Z", "O", "E"]]


@pytest.mark.parametrize("lines", ["A  AH0\nA(2)  EY1\nAN  AE1 N\n", "A 1 AH0\nA 2 EY1\nAN 1 AE1 N\n"])
def test_a_is_a_letter_before_it_is_the_article(lines: str, tmp_path: Path) -> None:
    words, out = tmp_path / "dictionary", tmp_path / "out.txt"
    words.write_text(lines)
    subprocess.run(["bash", ROOT / "recipes" / "an4" / "letter_a.sh", words, out], check=True)
    assert read_dictionary(out) == {"A": [("EY",), ("AH",)], "AN": [("AE", "N")]}


def test_every_200th_line_is_held_out(tmp_path: Path) -> None:
    text, train, dev = (tmp_path / name for name in ("text", "train", "dev"))
    lines = [f"LINE {number}" for number in range(1, 1001)]
    text.write_text("\n".join(lines) + "\n")
    subprocess.run(["bash", ROOT / "recipes" / "librispeech" / "hold_out.sh", text, train, dev], check=True)
    assert dev.read_text().splitlines() == [f"LINE {number}" for number in (200, 400, 600, 800, 1000)]
    assert train.read_text().splitlines() == [line for line in lines if int(line.split()[1]) % 200]
