"""Planted faults are found, all of them and nothing else; real corpora as published hold none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.config import Config, read_config
from asr.corpora import an4, fsdd, librispeech, yesno
from asr.corpora.prepared import Prepared
from asr.doctor.examine import Diagnosis, examine, summary
from asr.doctor.finding import ERROR, INFORMATION, WARNING
from asr.doctor.sets import read_sets
from tests.corpora import ROOT, corpus_folder
from tests.doctor.speech import RATE, Corpus, babble, plant_ten


def _examine(paths: list[Path], config: Config | None = None) -> Diagnosis:
    return examine(read_sets(paths), config or Config(), "conf.yaml" if config else "", None)


def _found(diagnosis: Diagnosis) -> set[tuple[str, str, str]]:
    return {(finding.level, finding.check, one.id) for finding in diagnosis.findings for one in finding.items}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path / "corpus")


def test_nothing_is_found_where_nothing_is_wrong(corpus: Corpus) -> None:
    diagnosis = _examine(corpus.write(), Config())
    assert _found(diagnosis) == set() and not diagnosis.failed and diagnosis.rejects() == {}


def test_ten_planted_faults_are_found_and_nothing_else(corpus: Corpus) -> None:
    planted = plant_ten(corpus)
    diagnosis = _examine(corpus.write(), Config())
    assert len({check for _, check, _ in planted}) == len(planted) == 10
    assert _found(diagnosis) == planted
    assert diagnosis.failed
    own = {id for level, check, id in planted if level == ERROR and check != "copy-across-sets"}
    assert {id for _, id in diagnosis.rejects()} == own


def _nan(corpus: Corpus) -> None:
    samples = corpus.samples("train-01")
    samples[100] = np.inf
    corpus.replace("train-01", samples, subtype="FLOAT")


def _other_words(corpus: Corpus) -> None:
    corpus.add("train", "train-copy", "nobody said that", corpus.samples("train-01"), "bob")


def _twice(corpus: Corpus) -> None:
    corpus.add("train", "train-copy", str(corpus.lines["train"][1]["text"]), corpus.samples("train-01"), "bob", "flac")


def _two_channels(corpus: Corpus) -> None:
    corpus.replace("train-01", np.stack([corpus.samples("train-01")] * 2, axis=1))


def _low_rate(corpus: Corpus) -> None:
    corpus.replace("train-01", babble(str(corpus.lines["train"][1]["text"]), 1, rate=8000), rate=8000)


def _pause(corpus: Corpus) -> None:
    corpus.replace("train-01", np.concatenate([np.zeros(2 * RATE), corpus.samples("train-01")]))


def _rare(corpus: Corpus) -> None:
    corpus.change("train-01", text=f"{corpus.lines['train'][1]['text']}ß")


def _long(corpus: Corpus) -> None:
    samples = np.concatenate([babble("abcde fghi", number) for number in range(34)])
    corpus.add("train", "train-long", " ".join(["abcde fghi"] * 34), samples, "bob")


_OTHERS: list[tuple[Callable[[Corpus], None], set[tuple[str, str, str]]]] = [
    (_nan, {(ERROR, "audio", "train-01")}),
    (lambda corpus: corpus.audio("train-01").unlink(), {(ERROR, "audio", "train-01")}),
    (lambda corpus: corpus.change("train-01", text="  "), {(ERROR, "empty", "train-01")}),
    (lambda corpus: corpus.change("test-01", text=""), {(INFORMATION, "empty", "test-01")}),
    (lambda corpus: corpus.change("train-01", channels=2), {(ERROR, "stated", "train-01")}),
    (lambda corpus: corpus.change("train-01", offset=99.0), {(ERROR, "duration", "train-01")}),
    (lambda corpus: corpus.change("test-01", speaker="ann"), {(ERROR, "speaker-leak", "")}),
    (lambda corpus: corpus.change("test-01", id="train-01"), {(WARNING, "same-id", "train-01")}),
    (
        lambda corpus: corpus.change("test-01", text=f"{corpus.lines['test'][1]['text']}ü"),
        {(WARNING, "tokens", "test-01")},
    ),
    (_other_words, {(ERROR, "copy-with-other-words", "train-01"), (WARNING, "copy-within-set", "train-01")}),
    (_twice, {(WARNING, "copy-within-set", "train-01")}),
    (_two_channels, {(WARNING, "channels", "train-01")}),
    (_low_rate, {(WARNING, "rate", "train-01"), (WARNING, "low-rate", "train-01")}),
    (_pause, {(INFORMATION, "pauses", "train-01")}),
    (_rare, {(INFORMATION, "rare-characters", "")}),
    (_long, {(ERROR, "too-long", "train-long")}),
]


@pytest.mark.parametrize(("plant", "expected"), _OTHERS, ids=[sorted(expected)[0][1] for _, expected in _OTHERS])
def test_each_fault_alone(corpus: Corpus, plant: Callable[[Corpus], None], expected: set[tuple[str, str, str]]) -> None:
    plant(corpus)
    assert _found(_examine(corpus.write(), Config())) == expected


@pytest.mark.parametrize(
    ("begin", "length", "expected"),
    [
        (0.0, 2.0, {(ERROR, "copy-across-sets", "first")}),
        (0.5, 2.0, {(ERROR, "overlap", "first")}),
        (0.5, 0.5, {(ERROR, "overlap", "first")}),
        (1.5, 2.0, set()),
        (2.0, 2.0, set()),
        (None, 6.0, {(ERROR, "overlap", "first")}),
    ],
)
def test_segments_of_one_file_do_not_lie_over_each_other(
    corpus: Corpus, begin: float | None, length: float, expected: set[tuple[str, str, str]]
) -> None:
    talk = np.concatenate([babble("abcde fghi", number) for number in range(6)])[: 6 * RATE]
    corpus.add("train", "first", "abcde fghi abcde fghi", talk, "bob")
    corpus.change("first", offset=0.0, duration=2.0)
    # The same file by another way, as in a manifest of another folder.
    line = {**corpus.lines["train"][-1], "id": "second", "audio_filepath": f"../{corpus.folder.name}/first.wav"}
    line |= {"offset": begin, "duration": length, "speaker": "kim", "text": "abcde fghi abcde"}
    corpus.lines["dev"].append(line)
    found = {one for one in _found(_examine(corpus.write())) if one[1] in ("overlap", "copy-across-sets")}
    assert found == expected
    corpus.lines["train"].append(corpus.lines["dev"].pop())
    levels = {"copy-across-sets": "copy-within-set"}
    told = {one for one in _found(_examine(corpus.write())) if one[1] in ("overlap", "copy-within-set")}
    assert told == {(WARNING, levels.get(check, check), id) for _, check, id in expected}


def test_without_a_config_nothing_is_said_of_the_rate_and_what_does_not_fit_is_a_warning(corpus: Corpus) -> None:
    _low_rate(corpus)
    corpus.change("train-17", text="oo" * 60)
    found = _found(_examine(corpus.write()))
    assert found == {(WARNING, "rate", "train-01"), (WARNING, "ctc", "train-17")}


def test_words_that_training_refuses_are_errors(corpus: Corpus) -> None:
    words = read_config(None, ["tokens.kind=word"])
    found = _found(_examine(corpus.write(), words))
    dev = {("error", "tokens", str(line["id"])) for line in corpus.lines["dev"]}
    test = {("warning", "tokens", str(line["id"])) for line in corpus.lines["test"]}
    assert found == dev | test


def test_speakers_may_stand_in_two_sets_where_nothing_else_is_declared(corpus: Corpus) -> None:
    corpus.change("test-01", speaker="ann")
    corpus.change("dev-01", speaker="ann")
    paths = corpus.write()
    (corpus.folder / "splits.json").write_text('{"by": "speaker", "reason": "", "except": [["train", "dev"]]}')
    levels = sorted((finding.check, finding.level) for finding in _examine(paths).findings)
    assert levels == [("speaker-leak", ERROR), ("speakers", INFORMATION)]
    for story in ('{"by": "utterance", "reason": ""}', None):
        (corpus.folder / "splits.json").unlink()
        if story:
            (corpus.folder / "splits.json").write_text(story)
        assert [finding.check for finding in _examine(paths).findings] == ["speakers"]


def test_equal_transcripts_are_counted(corpus: Corpus) -> None:
    corpus.change("test-03", text=corpus.lines["train"][3]["text"])
    corpus.change("test-04", text=corpus.lines["train"][3]["text"])
    (finding,) = [one for one in _examine(corpus.write()).findings if one.check == "same-text"]
    assert finding.level == INFORMATION
    counts = [(one.set, one.numbers["transcripts"]) for one in finding.items]
    assert counts == [("train, test", 2), ("test", 2)]


def test_a_summary_counts_what_is_there(corpus: Corpus) -> None:
    corpus.audio("dev-00").unlink()
    diagnosis = _examine(corpus.write())
    dev = summary(diagnosis.sets[1], diagnosis.cases)
    seconds = [float(str(line["duration"])) for line in corpus.lines["dev"][1:]]
    assert (dev["utterances"], dev["speakers"], dev["rates"]) == (12, 2, {"16000": 11})
    assert dev["hours"] == round(sum(seconds) / 3600, 4)
    assert dev["seconds"]["100%"] == pytest.approx(max(seconds), abs=1e-3)  # type: ignore[index]


_CORPORA: list[tuple[str, Callable[[Path], Prepared], str, int]] = [
    ("an4", an4.prepare, "an4", 0),
    ("waves_yesno", yesno.prepare, "yesno", 0),
    ("free-spoken-digit-dataset", fsdd.prepare, "fsdd", 1),
    ("free-spoken-digit-dataset", lambda source: fsdd.prepare(source, "theo"), "fsdd", 1),
]


@pytest.mark.parametrize(("name", "prepare", "recipe", "warnings"), _CORPORA)
def test_published_corpora_hold_no_error(
    name: str, prepare: Callable[[Path], Prepared], recipe: str, warnings: int, tmp_path: Path
) -> None:
    paths = prepare(corpus_folder(name).parent).write(tmp_path)
    config = read_config(ROOT / "recipes" / recipe / "conf" / "blstm.yaml")
    diagnosis = _examine(list(paths.values()), config)
    assert (diagnosis.count(ERROR), diagnosis.count(WARNING)) == (0, warnings)
    if name == "an4":
        (same,) = [one for one in diagnosis.findings if one.check == "same-text"]
        assert {one.set: one.numbers["transcripts"] for one in same.items}["train, test"] == 26


def test_a_part_of_librispeech_holds_no_error(tmp_path: Path) -> None:
    prepared = librispeech.prepare(corpus_folder("LibriSpeech/train-clean-5").parent)
    few = Prepared({"train-clean-5": prepared.sets["train-clean-5"][::12]}, prepared.by, prepared.reason)
    diagnosis = _examine(list(few.write(tmp_path).values()), Config())
    assert (diagnosis.count(ERROR), diagnosis.count(WARNING)) == (0, 0)


def test_faults_planted_in_real_speech_are_found_and_nothing_else(tmp_path: Path) -> None:
    sets = an4.prepare(corpus_folder("an4").parent).sets
    train, dev = sets["train"], sets["dev"]
    spoken, rate = soundfile.read(train[5].audio)
    loud, copy, silent = (tmp_path / name for name in ("loud.wav", "copy.flac", "silent.wav"))
    soundfile.write(loud, np.clip(20 * spoken, -1, 1), rate)
    soundfile.write(copy, soundfile.read(dev[7].audio)[0], rate)
    soundfile.write(silent, 1e-4 * np.random.default_rng(1).standard_normal(rate), rate)
    train[5] = replace(train[5], audio=loud)
    train[6] = replace(train[6], audio=silent, duration=1.0)
    train[7] = replace(train[7], duration=train[7].duration + 0.5)
    train[8] = replace(train[8], text="BOOKKEEPER " * 10)
    train[9] = replace(train[9], speaker=dev[0].speaker)
    dev[8] = replace(dev[8], text="GO ÜBER")
    sets["test"].append(replace(dev[7], id="copy", audio=copy, speaker="copy"))
    diagnosis = _examine(list(Prepared(sets, "speaker", "").write(tmp_path / "sets").values()), Config())
    assert {one for one in _found(diagnosis) if one[0] != INFORMATION} == {
        (WARNING, "clipping", train[5].id),
        (ERROR, "silence", train[6].id),
        (ERROR, "duration", train[7].id),
        (ERROR, "ctc", train[8].id),
        (ERROR, "speaker-leak", ""),
        (WARNING, "tokens", dev[8].id),
        (ERROR, "copy-across-sets", dev[7].id),
    }
