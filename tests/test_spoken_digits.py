"""The embedded corpus: what it promises of its voices, its sameness, its sound, and of a run that was interrupted."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio import probe, read_audio
from asr.corpora import espeak, spoken_digits
from asr.corpora.espeak import Espeak, Voice, open_espeak
from asr.corpora.spoken_digits import ACCENTS, RATE, UTTERANCES, VARIANTS, WORDS, draw, generate
from asr.errors import AsrError, UsageError
from asr.manifest import Utterance, read_manifest

espeakng_loader = pytest.importorskip("espeakng_loader", reason="needs the extra: pip install '.[demo]'")
VARIANT_FILES = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
FEW = {"train": 12, "dev": 4, "test": 6}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("spoken-digits")
    generate(out, 1, FEW)
    return out


def contents(out: Path) -> dict[str, str]:
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def utterances(out: Path) -> list[Utterance]:
    return [one for split in FEW for one in read_manifest(out / f"{split}.jsonl")]


def formants(variant: str) -> tuple[str, ...]:
    lines = (VARIANT_FILES / variant).read_text(encoding="utf-8", errors="replace").splitlines()
    return tuple(sorted(" ".join(line.split()) for line in lines if line.startswith("formant")))


# Voices


def test_no_accent_of_the_test_set_is_in_train_or_dev() -> None:
    assert not set(ACCENTS["test"]) & set(ACCENTS["train"] + ACCENTS["dev"])


@pytest.mark.parametrize(("one", "other"), [("train", "dev"), ("train", "test"), ("dev", "test")])
def test_splits_share_no_variant_nor_a_variant_under_another_name(one: str, other: str) -> None:
    assert not set(VARIANTS[one]) & set(VARIANTS[other])
    # Without a table of formants a variant is the plain voice, told apart by the way it is synthesised.
    tables = {formants(variant) for variant in VARIANTS[one]} - {()}
    assert not tables & {formants(variant) for variant in VARIANTS[other]}


def test_the_package_has_every_variant_and_each_stands_once() -> None:
    named = [variant for split in VARIANTS.values() for variant in split]
    assert max(Counter(named).values()) == 1
    assert set(named) <= {path.name for path in VARIANT_FILES.iterdir()}


def test_written_speakers_are_those_of_their_split(corpus: Path) -> None:
    for split in FEW:
        for one in read_manifest(corpus / f"{split}.jsonl"):
            assert one.speaker
            accent, variant = one.speaker.split("+")
            assert accent in ACCENTS[split]
            assert variant in VARIANTS[split]


# What is drawn


def test_texts_are_one_to_seven_digits_and_all_lengths_and_words_occur() -> None:
    plans = [draw("train", np.random.default_rng([1, 0, index])) for index in range(400)]
    texts = [plan.text.split() for plan in plans]
    assert {len(words) for words in texts} == set(range(1, 8))
    assert {word for words in texts for word in words} == set(WORDS)
    assert {plan.voice.variant for plan in plans} == set(VARIANTS["train"])


def test_another_seed_or_split_draws_another_utterance() -> None:
    first, *others = (draw("train", np.random.default_rng(key)) for key in ([1, 0, 7], [2, 0, 7], [1, 1, 7], [1, 0, 8]))
    assert first == draw("train", np.random.default_rng([1, 0, 7]))
    assert first not in others


# What is written


def test_manifests_and_audio_agree(corpus: Path) -> None:
    assert Counter(one.id.split("-")[0] for one in utterances(corpus)) == FEW
    for one in utterances(corpus):
        info = probe(one.audio)
        assert (info.rate, info.channels) == (RATE, 1)
        assert info.duration == pytest.approx(one.duration, abs=1e-6)
        assert one.text and set(one.text.split()) <= set(WORDS)


def test_audio_is_neither_clipped_nor_digitally_silent(corpus: Path) -> None:
    for one in utterances(corpus):
        samples = read_audio(one.audio, RATE)
        assert np.abs(samples).max() < 0.96
        edge = samples[: int(0.04 * RATE)]  # in the leading silence, which is 0.05 s at least
        assert 0 < np.sqrt(np.mean(edge**2)) < 0.25 * np.sqrt(np.mean(samples**2))


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(corpus: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again", 1, FEW)
    assert contents(tmp_path / "again") == contents(corpus)
    generate(tmp_path / "other", 2, FEW)
    assert contents(tmp_path / "other") != contents(corpus)


def test_the_bytes_do_not_depend_on_how_the_work_is_shared(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spoken_digits, "available_threads", lambda: 1)
    generate(tmp_path, 1, FEW)
    assert contents(tmp_path) == contents(corpus)


def test_a_larger_corpus_begins_with_the_smaller_one(corpus: Path, tmp_path: Path) -> None:
    generate(tmp_path, 1, {"train": FEW["train"] + 3, "dev": 2, "test": 1})
    smaller, larger = contents(corpus / "audio" / "train"), contents(tmp_path / "audio" / "train")
    assert smaller.items() < larger.items()


# Done, changed, interrupted


def test_what_is_done_is_left_alone(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("synthesised again")

    monkeypatch.setattr(spoken_digits, "_write_all", never)
    assert generate(corpus, 1, FEW) == {split: corpus / f"{split}.jsonl" for split in FEW}


def test_changed_sizes_and_lost_files_are_made_good(tmp_path: Path) -> None:
    generate(tmp_path, 1, {"dev": 3})
    before = contents(tmp_path)
    generate(tmp_path, 1, {"dev": 2})
    assert [one.id for one in read_manifest(tmp_path / "dev.jsonl")] == ["dev-00000", "dev-00001"]
    assert not (tmp_path / "audio/dev/dev-00002.wav").exists()
    generate(tmp_path, 1, {"dev": 3})
    assert contents(tmp_path) == before
    (tmp_path / "audio/dev/dev-00000.wav").unlink()
    generate(tmp_path, 1, {"dev": 3})
    assert contents(tmp_path) == before


def test_other_files_in_the_folder_stay(tmp_path: Path) -> None:
    mine = tmp_path / "audio" / "dev" / "my-voice.wav"
    mine.parent.mkdir(parents=True)
    soundfile.write(mine, np.full(100, 0.1), RATE)
    generate(tmp_path, 1, {"dev": 1})
    assert mine.exists()


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_killed_midway_and_run_again(tmp_path: Path) -> None:
    call = "import pathlib, sys; from asr.corpora import spoken_digits; "
    call += "spoken_digits.generate(pathlib.Path(sys.argv[1]), 1, {'dev': 100})"
    process = subprocess.Popen([sys.executable, "-c", call, str(tmp_path / "killed")])
    audio = tmp_path / "killed" / "audio" / "dev"
    deadline = time.monotonic() + 60
    while len(list(audio.glob("*.wav"))) < 20 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "dev.jsonl").exists()
    generate(tmp_path / "killed", 1, {"dev": 100})
    generate(tmp_path / "whole", 1, {"dev": 100})
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


# The synthesiser


def spectrogram(samples: np.ndarray) -> np.ndarray:
    """Log power of a word in 20 stretches of equal length and 24 bands up to 5.5 kHz."""
    rows = []
    for stretch in np.array_split(samples, 20):
        power = np.abs(np.fft.rfft(stretch * np.hanning(len(stretch)), 1024)) ** 2
        rows.append([band.mean() for band in np.array_split(power[4:256], 24)])
    return np.log(np.array(rows) + 1e-6)


@pytest.mark.parametrize("accent", sorted({*ACCENTS["train"], *ACCENTS["test"]}))
def test_ten_words_are_ten_sounds_in_every_accent(accent: str) -> None:
    """A word is nearer to the same word of another voice than to most other words."""
    said = {
        variant: [spectrogram(open_espeak().speak(word, Voice(accent, variant), 1)) for word in WORDS]
        for variant in ("m3", "m4")
    }
    distance = np.array([[np.abs(one - other).mean() for other in said["m4"]] for one in said["m3"]])
    assert (distance.argmin(axis=1) == np.arange(10)).sum() >= 9


def test_parameters_do_what_they_say() -> None:
    def spoken(**changes: int) -> np.ndarray:
        return open_espeak().speak("three one four", Voice("en-us", "m3", **changes), 1)

    def pitch(samples: np.ndarray) -> float:
        spectrum = np.abs(np.fft.rfft(samples, 1 << 17)) ** 2
        correlation = np.fft.irfft(spectrum)[: open_espeak().rate // 40]
        shortest = open_espeak().rate // 400
        return open_espeak().rate / (shortest + int(correlation[shortest:].argmax()))

    assert len(spoken(rate=120)) > 1.3 * len(spoken(rate=200))
    assert len(spoken(word_gap=20)) > len(spoken()) + 0.2 * open_espeak().rate
    assert pitch(spoken(pitch=80, pitch_range=0)) > 1.3 * pitch(spoken(pitch=20, pitch_range=0))
    # None of them outlasts its own utterance.
    spoken(rate=80, word_gap=30)
    assert len(spoken()) == pytest.approx(len(spoken()), rel=0.05)


def test_every_variant_is_heard_and_none_clips() -> None:
    for split, variants in VARIANTS.items():
        for variant in variants:
            samples = open_espeak().speak("nine five", Voice(ACCENTS[split][0], variant, pitch=70, pitch_range=80), 1)
            assert samples.dtype == np.float32
            assert 0.02 < np.abs(samples).max() < 0.98, variant
            assert 0.3 < len(samples) / open_espeak().rate < 2, variant


def test_unknown_voices_are_refused() -> None:
    with pytest.raises(AsrError, match="no voice variant 'f99'"):
        open_espeak().speak("one", Voice("en-us", "f99"), 1)
    with pytest.raises(AsrError, match="no voice 'en-xx'"):
        open_espeak().speak("one", Voice("en-xx", "f1"), 1)


def test_text_without_sound_is_refused() -> None:
    with pytest.raises(AsrError, match="could not say ''"):
        open_espeak().speak("", Voice("en-us", "f1"), 1)


# A user's mistakes


def test_a_missing_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(AsrError, match=r"pip install espeakng-loader"):
        espeak.open_espeak.__wrapped__()


def test_a_missing_library_and_a_path_too_long_are_sentences(tmp_path: Path) -> None:
    library = Path(espeakng_loader.get_library_path())
    with pytest.raises(AsrError, match="characters, eSpeak NG takes at most"):
        Espeak(library, tmp_path / ("x" * 200))
    with pytest.raises(AsrError, match="could not be loaded"):
        Espeak(tmp_path / "libespeak-ng.so", tmp_path)


def test_an_error_in_a_process_arrives_as_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "audio" / "train" / "train-00000.wav").mkdir(parents=True)
    with pytest.raises(AsrError, match=r"train-00000\.wav: could not be written"):
        spoken_digits._write_all(list(spoken_digits._shards(tmp_path / "audio", 1, {"train": 1})), 1)


def test_a_folder_that_cannot_be_written_and_a_negative_seed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(AsrError, match="could not be written"):
        generate(tmp_path / "file", 1, FEW)
    with pytest.raises(UsageError, match="seed must not be negative"):
        generate(tmp_path, -1, FEW)


def test_sizes_are_what_the_demo_needs() -> None:
    assert 1500 <= UTTERANCES["train"] <= 2500
    assert UTTERANCES["dev"] >= 100
    assert UTTERANCES["test"] >= 300
