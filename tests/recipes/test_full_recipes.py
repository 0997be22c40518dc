"""The recipes for whole corpora, from end to end on stand-ins with the publishers' folders and file names."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from asr import load_model
from asr.config import read_config
from asr.corpora.fsdd import DIGITS, SPEAKERS
from asr.errors import UsageError
from asr.manifest import read_manifest
from asr.model.folder import open_folder
from asr.train.setup import train_model
from tests.corpora import ROOT
from tests.recipes import stand_ins
from tests.recipes.running import begun, done_before, no_traceback, run
from tests.tones import write_tones

_TINY = (
    *("features.mels=16", "encoder.layers=1", "encoder.hidden=8"),
    *("train.epochs=1", "train.batch_seconds=40", "augment.speeds=[1.0]"),
)
_SMALL = (*_TINY, "encoder.subsampling.channels=4")
_EVALUATION = {"dev-clean": 4, "dev-other": 4, "test-clean": 4, "test-other": 2}


def _result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


@pytest.mark.slow
def test_librispeech_960_from_the_corpus_to_the_comparisons(tree: Path, tmp_path: Path) -> None:
    corpora = tmp_path / "corpora"
    train = {"train-clean-100": 8, "train-clean-360": 10, "train-other-500": 6}
    stand_ins.librispeech(corpora, {**_EVALUATION, **train, "train-clean-5": 2})
    with gzip.open(corpora / "librispeech-lm-norm.txt.gz", "wt") as file:
        file.write("DO RE MI\nFA SOL\n" * 5)
    first = run(tree, "librispeech-full", 960, "--stop-stage", 10, *_SMALL, ASR_CORPORA=corpora)
    assert first.returncode == 0, first.stdout + first.stderr
    assert begun(first.stdout) == list(range(1, 11))
    rest = run(tree, "librispeech-full", 960, *_SMALL, ASR_CORPORA=corpora)
    assert rest.returncode == 0, rest.stdout + rest.stderr
    assert (done_before(rest.stdout), begun(rest.stdout)) == (list(range(1, 11)), list(range(11, 17)))
    data, exp = tree / "data" / "librispeech-960", tree / "exp" / "librispeech-960" / "seed1"
    assert {one.id.partition("-")[0] for one in read_manifest(data / "train.jsonl")} == {
        str(100 * place + speaker) for place in (5, 6, 7) for speaker in (0, 1)
    }
    assert len(read_manifest(data / "train.jsonl")) == sum(train.values())
    assert len(read_manifest(data / "dev.jsonl")) == 8
    assert not (data / "train-clean-5.jsonl").exists()
    assert "kind: vgg" in (exp / "model" / "config.yaml").read_text()
    assert (exp / "model" / "tokens.model").exists()
    for name in ("test-clean", "test-other"):
        plain, better = _result(exp / "decode" / name), _result(exp / "decode" / f"{name}-lm")
        assert (plain["split"], plain["utterances"], plain["failed"]) == (name, _EVALUATION[name], 0)
        assert (better["system"], better["against_wer"]) == ("beam+4gram", plain["wer"])
    lm = tree / "exp" / "lm" / "librispeech-960-4gram.safetensors"
    assert b"SOL" in lm.read_bytes()  # of the publisher's text, no transcript has it


def test_librispeech_100_to_the_manifests_with_every_part_that_is_needed(tree: Path, tmp_path: Path) -> None:
    corpora = tmp_path / "corpora"
    stand_ins.librispeech(corpora, {"dev-clean": 2, "train-clean-100": 2})
    done = run(tree, "librispeech-full", 100, "--stage", 2, "--stop-stage", 4, ASR_CORPORA=corpora)
    assert done.returncode == 1
    assert "holds no dev-other, test-clean, test-other; get what is missing with: asr data download" in no_traceback(
        done
    )
    data = tree / "data" / "librispeech-100"
    assert not (data / "dev-clean.jsonl").exists()
    stand_ins.librispeech(corpora, {"dev-other": 4, "test-clean": 2, "test-other": 2}, first=300)
    whole = run(tree, "librispeech-full", 100, "--stop-stage", 4, ASR_CORPORA=corpora)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert begun(whole.stdout) == [1, 2, 3, 4]
    assert "note: the language model is of the transcripts" in whole.stderr
    assert {name: len(read_manifest(data / f"{name}.jsonl")) for name in ("train", "dev", "test-clean")} == {
        "train": 2,
        "dev": 6,
        "test-clean": 2,
    }


@pytest.mark.parametrize("name", ["librispeech-full/conf/100", "librispeech-full/conf/960", "commonvoice/conf/blstm"])
def test_a_model_of_each_config_trains(tmp_path: Path, name: str) -> None:
    config = read_config(ROOT / "recipes" / f"{name}.yaml", [*_SMALL, "encoder.layers=2"])
    train, dev = write_tones(tmp_path, "train", 8, 1), write_tones(tmp_path, "dev", 2, 2)
    trained = train_model(config, name, train, dev, tmp_path / "run", torch.device("cpu"))
    assert trained.failed == {}
    assert math.isfinite(trained.trained["dev"]["dev_loss"])


@pytest.mark.slow
def test_commonvoice_from_the_archive_to_the_comparison(tree: Path, tmp_path: Path) -> None:
    """In Devanagari, with a clip that cannot be read: it is named, all the rest is done, and the exit status is 1."""
    corpora = tmp_path / "corpora"
    folder = stand_ins.commonvoice(tmp_path / "made", "hi", stand_ins.HINDI, {"train": 12, "dev": 5, "test": 5})
    broken = sorted((folder / "clips").iterdir())[3]
    broken.write_bytes(b"")
    corpora.mkdir()
    stand_ins.archive(folder, corpora)
    (tmp_path / "more.txt").write_text("घर है।\n")
    given = ("hi", "--text", "more.txt", *_SMALL)
    done = run(tree, "commonvoice", *given, cwd=tmp_path, ASR_CORPORA=corpora)
    assert done.returncode == 1
    assert f"{broken.name}: the file is empty (0 bytes)" in no_traceback(done)
    assert begun(done.stdout) == list(range(1, 10))
    data, exp = tree / "data" / "commonvoice-hi", tree / "exp" / "commonvoice-hi" / "seed1"
    assert {name: len(read_manifest(data / f"{name}.jsonl")) for name in ("train", "dev", "test")} == {
        "train": 11,
        "dev": 5,
        "test": 5,
    }
    tokens = (exp / "model" / "tokens.txt").read_text().splitlines()
    assert sorted(tokens[2:]) == sorted(set("घरहिन्दीपानीहै"))
    result = _result(exp / "decode" / "test-lm")
    assert (result["system"], result["failed"], result["corpus"]) == ("beam+4gram", 0, "commonvoice-hi")
    again = run(tree, "commonvoice", *given, cwd=tmp_path, ASR_CORPORA=corpora)
    assert again.returncode == 1
    assert done_before(again.stdout) == list(range(1, 10))


def test_commonvoice_says_what_is_missing(tree: Path, tmp_path: Path) -> None:
    folder = stand_ins.commonvoice(tmp_path, "cy", stand_ins.WELSH, {"train": 2, "test": 1})
    done = run(tree, "commonvoice", "cy", "--from", folder.relative_to(tmp_path), cwd=tmp_path)
    assert (done.returncode, begun(done.stdout)) == (1, [1])
    assert "has no dev.tsv" in no_traceback(done)
    nowhere = run(tree, "commonvoice", "cy", "--from", "nowhere", cwd=tmp_path)
    assert nowhere.returncode == 2
    assert "nowhere: there is no such folder or archive" in no_traceback(nowhere)
    assert not list((tree / "data").rglob("*.jsonl"))


_PHONES = {"DO": "D OW1", "RE": "R EY1", "MI": "M IY1", "FA": "F AA1", "SOL": "S OW1 L"}
# With words of several of them, so that there is something to learn how words are pronounced from.
_SPELLED = "".join(
    f"{''.join(names)}  {' '.join(_PHONES[name] for name in names)}\n"
    for count in (1, 2, 3)
    for names in itertools.permutations(_PHONES, count)
)


@pytest.mark.slow
def test_mini_librispeech_over_phones(tree: Path, tmp_path: Path) -> None:
    """As published: train-clean-5 is a sample of train-clean-100; by a relative path and with text of one's own.

    One recording cannot be read: it is named, all the rest is done, and the exit status is 1.
    """
    corpora = tmp_path / "corpora"
    judges = dict.fromkeys(("4088", "4406", "5652", "8226"), 2)
    stand_ins.mini_librispeech(corpora, {"19": 6, "26": 5, "27": 5, "40": 5, **judges}, {"19": 4, "40": 5})
    (corpora / "LibriSpeech" / "train-clean-100" / "5652" / "128" / "5652-128-0001.flac").write_bytes(b"")
    (corpora / "cmudict").write_text(_SPELLED)
    (tmp_path / "mine.txt").write_text("DO RE MI\nFA SOL\nMI RE DO\n" * 5)

    def phones(*options: object) -> subprocess.CompletedProcess[str]:
        given = ("--more-speakers", "--text", "mine.txt", *options, *_SMALL, "train.intermediate=[]")
        return run(tree, "librispeech/phones.sh", *given, cwd=tmp_path, ASR_CORPORA="corpora")

    done = phones("--stop-stage", 12)
    assert done.returncode == 1
    assert "5652-128-0001.flac: the file is empty (0 bytes)" in no_traceback(done)
    assert begun(done.stdout) == list(range(1, 13))
    assert (tree / "exp" / "librispeech" / "phones-more-seed1" / "model" / "decode.yaml").exists()
    data = tree / "data" / "librispeech"
    assert len(read_manifest(data / "test.jsonl")) == 3
    train = [one.id for one in read_manifest(data / "train-more.jsonl")]
    assert len(train) == len(set(train)) == 9 + 2 + 5 + 5
    assert {name.partition("-")[0] for name in train} == {"19", "26", "27", "40"}

    # Another seed and the letters take the language model as it is; and the first seed stays done.
    seed = phones("--seed", 2, "--stop-stage", 11)
    assert (done_before(seed.stdout), begun(seed.stdout)) == ([*range(1, 11)], [11])
    given = ("--text", tmp_path / "mine.txt", "--stage", 11, "--stop-stage", 11)
    assert done_before(run(tree, "librispeech", *given, ASR_CORPORA=corpora).stdout) == [11]
    again = phones("--stop-stage", 12)
    assert (again.returncode, done_before(again.stdout)) == (1, [*range(1, 13)])

    # Other text makes all of it anew but the training.
    (tmp_path / "mine.txt").write_text("DO RE MI FA SOL\n" * 5)
    other = phones("--stop-stage", 12)
    assert (done_before(other.stdout), begun(other.stdout)) == ([*range(1, 8), 10, 11], [8, 9, 12])


@pytest.mark.slow
def test_the_packaged_english_model(tree: Path, tmp_path: Path) -> None:
    corpora = tmp_path / "corpora"
    readers = dict.fromkeys(("19", "26", "27", "4088", "4406", "5652", "8226"), 2)
    stand_ins.mini_librispeech(corpora, readers, {"19": 1})
    stand_ins.an4(corpora, {"fash": 3, "mtje": 2}, {"fcaw": 2})
    stand_ins.fsdd(corpora)
    digits = "".join(f"{word.upper()}  {sounds}\n" for word, sounds in zip(DIGITS, _PHONES.values(), strict=False))
    more = "".join(f"{word.upper()}  M {sounds}\n" for word, sounds in zip(DIGITS[5:], _PHONES.values(), strict=True))
    (corpora / "cmudict").write_text(_SPELLED + digits + more)
    (tmp_path / "mine.txt").write_text("DO RE MI\nFA SOL\nMI RE DO\n" * 5)

    def english(*options: object) -> subprocess.CompletedProcess[str]:
        given = ("--text", "mine.txt", *options, *_TINY, "train.intermediate=[]", "train.accumulate=1")
        return run(tree, "english", *given, cwd=tmp_path, ASR_CORPORA=corpora)

    early = run(tree, "english/books.sh", "--text", "mine.txt", cwd=tmp_path, ASR_CORPORA=corpora)
    assert (early.returncode, begun(early.stdout)) == (1, [])
    assert "run recipes/english/run.sh first" in early.stderr
    done = english()
    assert done.returncode == 0, done.stdout + done.stderr
    assert begun(done.stdout) == list(range(1, 23))
    data, exp = tree / "data" / "english", tree / "exp" / "english" / "seed1"
    train = read_manifest(data / "train.jsonl")
    assert {one.speaker for one in train} == {"19", "26", "27", "fash", *SPEAKERS}
    assert {one.speaker for one in read_manifest(data / "dev.jsonl")} == {"4088", "4406", "mtje", *SPEAKERS}
    assert len(train) == len({one.id for one in train}) == 6 + 3 + 43 * 60
    packaged = sorted(path.name for path in (exp / "packaged").iterdir() if not path.name.startswith("."))
    assert {"model.int8.onnx", "stream.onnx", "lm.safetensors", "search-lexicon.txt", "decode.yaml"} <= set(packaged)
    assert open_folder(exp / "model").trained["initial"]["model"] == "exp/english/seed1/second/model"
    transcriber = load_model(exp / "packaged", threads=1)
    assert transcriber.system.name == "beam+lexicon+3gram"
    known = {line.split()[0] for line in (tree / "exp" / "english" / "lexicon.txt").read_text().splitlines()}
    assert {"DO", "SOL"} <= known
    load_model(exp / "packaged", threads=1, hotwords=["do re", "solmire"])
    with pytest.raises(UsageError, match="'öl' is not among the lexicon's words"):
        load_model(exp / "packaged", threads=1, hotwords=["öl"])
    assert set(transcriber.transcribe(train[0].audio).text.split()) <= known
    assert done_before(english().stdout) == list(range(1, 23))
    books = run(tree, "english/books.sh", "--text", "mine.txt", cwd=tmp_path, ASR_CORPORA=corpora)
    assert books.returncode == 0, books.stdout + books.stderr
    assert (done_before(books.stdout), begun(books.stdout)) == ([*range(1, 7)], [*range(7, 13)])
    shutil.rmtree(exp / "packaged")
    again = english()  # packages the search of run.sh, whatever was tuned since
    assert (done_before(again.stdout), begun(again.stdout)) == ([*range(1, 22)], [22])
    assert sorted(path.name for path in (exp / "packaged").iterdir() if not path.name.startswith(".")) == packaged
    assert run(tree, "english/books.sh", "train.epochs=5").returncode == 2
    assert _result(exp / "decode" / "test-lm")["search"]["lm"] == "exp/lm/librispeech-4gram.safetensors"
