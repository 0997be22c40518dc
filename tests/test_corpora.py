"""The corpora as published: counts, sets that share nothing, transcripts, and faults that are named."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.corpora import an4, fsdd, librispeech, yesno
from asr.corpora.prepared import Prepared
from asr.errors import AsrError, UsageError
from asr.manifest import read_manifest
from asr.splits import shuffled
from tests.corpora import corpus_folder
from tests.recipes import stand_ins


def sizes(prepared: Prepared) -> dict[str, int]:
    return {name: len(utterances) for name, utterances in prepared.sets.items()}


def speakers(prepared: Prepared, name: str) -> set[str | None]:
    return {one.speaker for one in prepared.sets[name]}


def link(corpus: Path, to: Path) -> Path:
    """A copy of a corpus that costs no space and can be damaged."""
    shutil.copytree(corpus, to / corpus.name, copy_function=lambda source, target: Path(target).symlink_to(source))
    return to


def test_yesno() -> None:
    folder = corpus_folder("waves_yesno")
    prepared = yesno.prepare(folder.parent)
    assert sizes(prepared) == {"train": 26, "dev": 4, "test": 30} and not prepared.faults
    everyone = [one for utterances in prepared.sets.values() for one in utterances]
    assert len({one.id for one in everyone}) == 60
    for one in everyone:
        if one.id not in yesno.CORRECTED:
            assert one.text.replace("NO", "0").replace("YES", "1").split() == one.id.split("_")
    assert [one.id for one in yesno.prepare(folder).sets["test"]] == [one.id for one in prepared.sets["test"]]


def bursts(path: Path) -> int:
    """How often a recording becomes loud: words, where there is silence between them."""
    samples, rate = soundfile.read(path)
    step = rate // 50
    loudness = np.sqrt(np.square(samples[: len(samples) // step * step].reshape(-1, step)).mean(axis=1))
    loudness = np.convolve(loudness, np.ones(5) / 5, "same")
    loud = loudness > 0.2 * np.sort(loudness)[-20]
    return int((np.diff(np.concatenate([[0], loud])) == 1).sum())


def test_the_corrected_yesno_recording_holds_a_word_less_than_its_name_says() -> None:
    folder = corpus_folder("waves_yesno")
    counted = {path.stem: bursts(path) for path in folder.glob("*.wav")}
    assert sum(number == 8 for number in counted.values()) >= 58
    for name, text in yesno.CORRECTED.items():
        assert counted[name] == len(text.split()) == 7


def test_fsdd_official_split() -> None:
    prepared = fsdd.prepare(corpus_folder("free-spoken-digit-dataset").parent)
    assert sizes(prepared) == {"train": 2580, "dev": 120, "test": 300} and not prepared.faults
    for one in prepared.sets["test"]:
        digit, speaker, take = one.id.split("_")
        assert int(take) <= 4 and one.text == fsdd.DIGITS[int(digit)] and one.speaker == speaker
    for name in prepared.sets:
        assert speakers(prepared, name) == set(fsdd.SPEAKERS)


@pytest.mark.parametrize("speaker", fsdd.SPEAKERS)
def test_fsdd_leaving_one_speaker_out(speaker: str) -> None:
    prepared = fsdd.prepare(corpus_folder("free-spoken-digit-dataset").parent, speaker)
    assert sizes(prepared) == {"train": 2400, "dev": 100, "test": 500}
    assert speakers(prepared, "test") == {speaker}
    assert speakers(prepared, "train") == speakers(prepared, "dev") == set(fsdd.SPEAKERS) - {speaker}


def test_fsdd_has_no_other_speaker(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no speaker 'bob'"):
        fsdd.prepare(tmp_path, "bob")


def test_an4() -> None:
    folder = corpus_folder("an4")
    prepared = an4.prepare(folder.parent)
    assert sizes(prepared) == {"train": 844, "dev": 104, "test": 130} and not prepared.faults
    assert speakers(prepared, "dev") == set(an4.DEV_SPEAKERS) and len(an4.DEV_SPEAKERS) == 8
    assert not speakers(prepared, "train") & speakers(prepared, "dev")
    assert not speakers(prepared, "test") & (speakers(prepared, "dev") | speakers(prepared, "train"))
    assert sum(len(one.text.split()) for one in prepared.sets["test"]) == 773  # as published results count them
    texts = {one.id: one.text for utterances in prepared.sets.values() for one in utterances}
    assert len(texts) == 1078
    assert texts["an406-fcaw-b"] == "RUBOUT G M E F THREE NINE"
    assert not any(mark in text for text in texts.values() for mark in "<>()")


def test_the_dev_speakers_of_an4_are_drawn_as_documented() -> None:
    names = {path.name for path in (corpus_folder("an4") / "wav" / "an4_clstk").iterdir()}
    assert tuple(shuffled(names - {"mdcs", "mdcs2"}, seed=1)[:8]) == an4.DEV_SPEAKERS


def test_an4_transcripts_with_sentence_marks(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("<s> GO  ON </s> (a-b)\nYES (c-d)\n\nno id here\n")
    assert an4._transcripts(tmp_path / "t") == {"a-b": "GO ON", "c-d": "YES"}


def test_what_an4_lacks_is_named_and_the_rest_is_kept(tmp_path: Path) -> None:
    root = link(corpus_folder("an4"), tmp_path)
    (root / "an4/wav/an4test_clstk/fcaw/an406-fcaw-b.sph").unlink()
    empty = root / "an4/wav/an4_clstk/fash/an251-fash-b.sph"
    empty.unlink()
    empty.touch()
    listing = root / "an4/etc/an4_train.transcription"
    text = listing.read_text().replace("(an253-fash-b)", "(other)")
    listing.unlink()
    listing.write_text(text)
    prepared = an4.prepare(root)
    assert sizes(prepared) == {"train": 842, "dev": 104, "test": 129}
    assert len(prepared.faults) == 3
    for name, fault in zip(["an251-fash-b", "an253-fash-b", "an406-fcaw-b"], prepared.faults, strict=True):
        assert name in fault
    paths = prepared.write(tmp_path / "m")
    assert len(read_manifest(paths["test"])) == 129


def test_librispeech(tmp_path: Path) -> None:
    folder = tmp_path / "LibriSpeech" / "dev-clean" / "84" / "121"
    folder.mkdir(parents=True)
    for number in range(3):
        soundfile.write(folder / f"84-121-000{number}.flac", np.ones(1600 * (number + 1)) / 9, 16000)
    (folder / "84-121.trans.txt").write_text("84-121-0000 GO ON\n84-121-0001 IT'S ALL\n84-121-0003 NOT THERE\n")
    prepared = librispeech.prepare(tmp_path)
    assert [(one.id, one.text, one.speaker, one.duration) for one in prepared.sets["dev-clean"]] == [
        ("84-121-0000", "GO ON", "84", 0.1),
        ("84-121-0001", "IT'S ALL", "84", 0.2),
    ]
    assert len(prepared.faults) == 2
    assert "84-121-0003.flac: there is no such file" in prepared.faults[0]
    assert "84-121-0002.flac: has no line" in prepared.faults[1]
    assert prepared.notes == ["dev-clean: 2 of the publisher's 2,703 utterances are here"]


def test_librispeech_train_clean_5() -> None:
    prepared = librispeech.prepare(corpus_folder("LibriSpeech/train-clean-5").parent)
    assert len(prepared.sets["train-clean-5"]) == 1519 and not prepared.faults
    assert len(speakers(prepared, "train-clean-5")) == 28
    assert sum(one.duration for one in prepared.sets["train-clean-5"]) / 3600 == pytest.approx(5.31, abs=0.01)


def test_archives_are_https_and_say_how_to_check_them() -> None:
    archives = [
        *yesno.ARCHIVES,
        *fsdd.ARCHIVES,
        *an4.ARCHIVES,
        *(one for size in librispeech.PARTS for one in librispeech.archives(size)),
    ]
    for archive in archives:
        assert archive.url.startswith("https://") and archive.name.endswith(".tar.gz")
        assert archive.files and (archive.sha256 is None or len(archive.sha256) == 64)
    assert {size: len(parts) for size, parts in librispeech.PARTS.items()} == {"mini": 2, "100": 5, "960": 7}
    assert [one.creates for one in librispeech.archives("train-clean-5,test-other")] == [
        "LibriSpeech/train-clean-5",
        "LibriSpeech/test-other",
    ]


def test_librispeech_sums_are_those_that_torchaudio_lists() -> None:
    found = importlib.util.find_spec("torchaudio")
    if found is None or not found.submodule_search_locations:
        pytest.skip("needs torchaudio's source")
    source = (Path(found.submodule_search_locations[0]) / "datasets" / "librispeech.py").read_text()
    listed = dict(re.findall(r"resources/12/([a-z0-9-]+)\.tar\.gz\": \"([0-9a-f]{64})\"", source))
    assert len(listed) == 7
    assert {Path(one.creates).name: one.sha256 for one in librispeech.archives("960")} == listed


def test_librispeech_parts_that_are_wanted(tmp_path: Path) -> None:
    stand_ins.librispeech(tmp_path, {"dev-clean": 2, "dev-other": 2, "train-clean-5": 2})
    assert sizes(librispeech.prepare(tmp_path)) == {"dev-clean": 2, "dev-other": 2, "train-clean-5": 2}
    assert sizes(librispeech.prepare(tmp_path, "dev-other,train-clean-5")) == {"dev-other": 2, "train-clean-5": 2}
    with pytest.raises(AsrError, match=r"holds no dev-clean-2; get what is missing with: .*--parts dev-clean-2 --to"):
        librispeech.prepare(tmp_path, "mini")
    with pytest.raises(UsageError, match="there is no 'dev'"):
        librispeech.prepare(tmp_path, "dev")


@pytest.mark.parametrize("module", [yesno, fsdd, an4, librispeech])
def test_a_corpus_that_is_not_there_says_how_to_get_it(module, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(AsrError, match="asr data download"):
        module.prepare(tmp_path)


def test_an_empty_folder_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "waves_yesno").mkdir()
    with pytest.raises(AsrError, match="holds 0 recordings"):
        yesno.prepare(tmp_path).write(tmp_path / "out")
    assert not (tmp_path / "out").exists()
