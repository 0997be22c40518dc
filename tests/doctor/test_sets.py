from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.corpora import fsdd, librispeech
from asr.corpora.prepared import Prepared
from asr.doctor.sets import read_sets, speaker_disjoint
from asr.errors import AsrError, UsageError
from asr.manifest import Utterance, write_manifest
from tests.corpora import corpus_folder


def _write(*paths: Path) -> list[Path]:
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        write_manifest(path, [Utterance("a", path.parent / "a.wav", 1.0, "words")])
    return list(paths)


@pytest.mark.parametrize(
    ("stem", "role"),
    [("train", "train"), ("train-clean-5", "train"), ("dev-clean", "dev"), ("validated", "train"),
     ("valid_2", "dev"), ("7", "train"), ("Test", "test"),
     ("eval92", "test"), ("mine", "train")],
)  # fmt: skip
def test_a_name_tells_what_a_set_is_for(stem: str, role: str, tmp_path: Path) -> None:
    (one,) = read_sets(_write(tmp_path / f"{stem}.jsonl"))
    assert (one.name, one.role) == (stem, role)


def test_no_two_sets_have_one_name(tmp_path: Path) -> None:
    one, other = _write(tmp_path / "a" / "train.jsonl", tmp_path / "b" / "train.jsonl")
    assert [each.name for each in read_sets([one, other])] == ["a/train", "b/train"]
    (tmp_path / "link.jsonl").symlink_to(one)
    with pytest.raises(UsageError, match="named twice"):
        read_sets([one, tmp_path / "link.jsonl"])
    (third,) = _write(tmp_path / "c" / "train.jsonl")
    (tmp_path / "c").rename(tmp_path / "b" / "a")
    with pytest.raises(UsageError, match="'a/train'"):
        read_sets([one, tmp_path / "b" / "a" / third.name])


def _disjoint(paths: dict[str, Path], one: str, other: str) -> bool:
    return speaker_disjoint(*read_sets([paths[one], paths[other]]))


def test_what_fsdd_declares(tmp_path: Path) -> None:
    source = corpus_folder("free-spoken-digit-dataset").parent
    official = fsdd.prepare(source).write(tmp_path / "official")
    assert not _disjoint(official, "train", "test")
    without = fsdd.prepare(source, "theo").write(tmp_path / "without")
    assert _disjoint(without, "train", "test") and _disjoint(without, "test", "dev")
    assert not _disjoint(without, "train", "dev") and not _disjoint(without, "dev", "train")
    # Of sets in two folders nothing is declared.
    assert not speaker_disjoint(*read_sets([official["train"], without["test"]]))


def test_a_sample_of_librispeech_shares_the_speakers_of_its_whole(tmp_path: Path) -> None:
    for part in ("train-clean-5", "train-clean-100", "test-clean"):
        folder = tmp_path / "LibriSpeech" / part / "1" / "2"
        folder.mkdir(parents=True)
        soundfile.write(folder / "1-2-0000.flac", np.ones(1600) / 9, 16000)
        (folder / "1-2.trans.txt").write_text("1-2-0000 GO ON\n")
    paths = librispeech.prepare(tmp_path).write(tmp_path / "sets")
    assert not _disjoint(paths, "train-clean-5", "train-clean-100")
    assert _disjoint(paths, "train-clean-5", "test-clean") and _disjoint(paths, "test-clean", "train-clean-100")


@pytest.mark.parametrize(
    "story", ["{", "[1]", "{}", '{"by": "speaker", "except": 3}', '{"by": "speaker", "except": [1]}']
)
def test_a_broken_story_is_refused(story: str, tmp_path: Path) -> None:
    paths = Prepared({"train": [], "dev": []}, "speaker", "")
    for name in paths.sets:
        paths.sets[name].append(Utterance(name, tmp_path / "a.wav", 1.0, ""))
    written = paths.write(tmp_path)
    assert _disjoint(written, "train", "dev")
    (tmp_path / "splits.json").write_text(story)
    with pytest.raises(AsrError, match=r"splits\.json: not what asr data wrote there"):
        _disjoint(written, "train", "dev")
