from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

from asr.config import parse_config
from asr.decode.hypothesis import Hypothesis
from asr.decode.system import System
from asr.errors import AsrError
from asr.manifest import read_manifest
from asr.model.acoustic import AcousticModel, Recogniser, load_model
from asr.tokens import Tokenizer
from asr.transcribe import transcriber
from asr.transcribe.backend import TorchBackend
from asr.transcribe.segment import speech_windows
from asr.transcribe.transcriber import Outcome, Transcriber
from asr.transcribe.transcript import Transcript
from tests import phrases as recordings
from tests.phrases import phrases
from tests.tones import RATE
from tests.transcribe.listener import Listener, say

_CPU = torch.device("cpu")
_WORDS = Tokenizer("word", ["<blank>", *"abcdefgh"])


@pytest.fixture(scope="module")
def recogniser(tone_run: Path) -> Recogniser:
    return load_model(tone_run / "run" / "model")


@pytest.fixture(scope="module")
def tones(recogniser: Recogniser) -> Transcriber:
    return Transcriber(TorchBackend(recogniser, _CPU))


def _all(paths: list[Path], with_: Transcriber) -> list[Outcome]:
    return list(with_.transcribe_files(paths))


def _write(path: Path, samples: np.ndarray, subtype: str = "FLOAT") -> Path:
    soundfile.write(path, samples, RATE, subtype=subtype)
    return path


def _spoken(words: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Tones for a `Listener`: one every 0.2 s, more or less, and never a pause."""
    random = np.random.default_rng(seed)
    tokens = random.integers(1, 9, words)
    waits = np.where(random.random(words) < 0.1, random.integers(1, 3, words), 0)
    with_waits = [one for token, wait in zip(tokens, waits, strict=True) for one in (token, *[0] * wait)]
    return say(with_waits, 3, 4), [_WORDS.symbols[token] for token in tokens]


@pytest.fixture(params=["in one go", "piece by piece"])
def gathering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the network over everything together, or after every few seconds."""
    if request.param == "piece by piece":
        monkeypatch.setattr(transcriber, "_LOAD_SECONDS", 2.0)


@pytest.fixture
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of 8 s that share 2 s, and segments of at most 8 s."""
    monkeypatch.setattr(transcriber, "speech_windows", partial(speech_windows, longest=8.0, overlap=2.0))
    monkeypatch.setattr(transcriber, "LONGEST_SEGMENT", 8.0)


@pytest.mark.parametrize("pause", [0.6, 0.15])
def test_text_and_times_of_a_long_recording_are_right_over_the_joins(
    tones: Transcriber,
    tmp_path: Path,
    gathering: None,
    short_windows: None,
    pause: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recordings, "PAUSE", pause)
    samples, spoken = phrases(30, 7)
    (found,) = _all([_write(tmp_path / "long.wav", samples)], tones)
    assert found.error is None
    assert found.transcript is not None
    assert found.transcript.duration == pytest.approx(len(samples) / RATE)
    assert found.transcript.text.split() == [word for word, _, _ in spoken]
    assert [word.word for word in found.transcript.words] == [word for word, _, _ in spoken]
    for word, (_, start, end) in zip(found.transcript.words, spoken, strict=True):
        # CTC marks a word somewhere inside its sound, give or take a frame of 30 ms at each end.
        assert start - 0.03 <= word.start < word.end <= end + 0.03
    assert all(before.end <= after.start for before, after in pairwise(found.transcript.words))
    segments = found.transcript.segments
    assert all(0 < segment.end - segment.start <= 8.0 for segment in segments)
    assert all(before.end <= after.start for before, after in pairwise(segments))
    assert all(segment.start <= word.start < word.end <= segment.end for segment in segments for word in segment.words)
    if pause == 0.6:
        assert [len(segment.words) for segment in segments] == [4] * 30


@pytest.mark.parametrize("rate", [None, 16000, 11025])
def test_samples_give_what_their_file_gives(tones: Transcriber, tmp_path: Path, rate: int | None) -> None:
    samples, spoken = phrases(4, 2)
    if rate is not None:
        samples = soxr.resample(samples, RATE, rate)
    path = tmp_path / "file.wav"
    soundfile.write(path, samples, rate or RATE, subtype="FLOAT")
    found = tones.transcribe(samples, rate)
    assert found.audio is None
    assert found.text.split() == [word for word, _, _ in spoken]
    assert tones.transcribe(path).segments == found.segments
    assert tones.transcribe(str(path)).audio == path
    assert tones.transcribe(samples.astype(np.float64), rate).text == found.text


def test_what_cannot_be_samples_is_refused(tones: Transcriber, tmp_path: Path) -> None:
    for bad in (np.zeros((2, 8000), np.float32), np.zeros(8000, np.int16)):
        with pytest.raises(ValueError, match="shape"):
            tones.transcribe(bad)
    with pytest.raises(ValueError, match="its own rate"):
        tones.transcribe(tmp_path / "any.wav", 8000)
    with pytest.raises(AsrError, match="the samples: 1 of them are NaN"):
        tones.transcribe(np.array([0.1, np.nan]))
    with pytest.raises(AsrError, match="the samples: holds nothing but zeros"):
        tones.transcribe(np.zeros(8000))
    with pytest.raises(AsrError, match="there is no such file"):
        tones.transcribe(tmp_path / "any.wav")


def test_files_come_in_their_order_and_with_the_text_they_have_alone(
    tones: Transcriber, tone_run: Path, tmp_path: Path, gathering: None
) -> None:
    utterances = read_manifest(tone_run / "dev.jsonl")
    missing = tmp_path / "missing.wav"
    paths = [utterances[0].audio, missing, *(one.audio for one in utterances[::-1]), missing]
    found = _all(paths, tones)
    assert [one.audio for one in found] == paths
    texts = {one.audio: one.text for one in utterances}
    for one in found:
        if one.audio == missing:
            assert one.error == f"{missing}: there is no such file"
        else:
            assert one.transcript is not None
            assert one.transcript.text == texts[one.audio]
            assert one.transcript.text == tones.transcribe(one.audio).text


def test_finished_files_come_out_before_later_ones_are_read(
    tones: Transcriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcriber, "_LOAD_SECONDS", 1.0)
    read: list[Path] = []
    original = transcriber.stream_audio
    monkeypatch.setattr(transcriber, "stream_audio", lambda path, rate: (read.append(path), original(path, rate))[1])
    paths = [_write(tmp_path / f"{number}.wav", phrases(1, number)[0]) for number in range(20)]
    first = next(tones.transcribe_files(paths))
    assert first.audio == paths[0]
    assert len(read) < 10


def test_any_number_of_files_is_read_only_a_little_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, words = _spoken(3, 1)
    read = 0

    def blocks(path: Path, rate: int) -> Iterator[np.ndarray]:
        nonlocal read
        read += 1
        yield samples

    monkeypatch.setattr(transcriber, "stream_audio", blocks)
    monkeypatch.setattr(transcriber, "_LOAD_SECONDS", 60.0)
    listener, most = Listener(_WORDS), 0
    for number, found in enumerate(Transcriber(listener).transcribe_files(map(Path, map(str, range(500))))):
        assert found.audio == Path(str(number))
        assert found.transcript is not None
        assert found.transcript.text.split() == words
        most = max(most, read - number)
    assert number == 499
    # What is being read, computed, decoded and given out, of 60 s each.
    assert most < 4 * (2 + 60 / (listener.heard[0] / RATE))


def test_a_fault_at_the_end_of_a_recording_fails_all_of_it_and_nothing_else(
    tones: Transcriber, tmp_path: Path, gathering: None, short_windows: None
) -> None:
    samples, _ = phrases(8, 1)
    good = _write(tmp_path / "good.wav", samples)
    samples = np.tile(samples, 12)  # more than the block that is read at once
    samples[-5:] = np.nan
    bad = _write(tmp_path / "bad.wav", samples)
    found = _all([good, bad, good], tones)
    assert found[1].transcript is None
    assert found[1].error is not None
    assert "5 samples are NaN" in found[1].error
    assert found[0] == found[2]
    assert found[0].error is None


def test_samples_of_absurd_size_are_an_error_and_not_empty_text(
    tones: Transcriber, tmp_path: Path, gathering: None, short_windows: None
) -> None:
    samples, _ = phrases(8, 1)
    good = _write(tmp_path / "good.wav", samples)
    samples[20] = 1e30  # finite, but its square is not: the first of many stretches
    absurd, found, after = _all([_write(tmp_path / "absurd.wav", samples), good, good], tones)
    assert absurd.transcript is None
    assert str(absurd.error).startswith(f"{tmp_path / 'absurd.wav'}: the model gives no numbers for it")
    assert found == after
    assert found.error is None


@pytest.mark.parametrize(("seconds", "reason"), [(0.01, "0.010 s are too short"), (0.5, None)])
def test_how_short_a_recording_may_be(tones: Transcriber, tmp_path: Path, seconds: float, reason: str | None) -> None:
    samples = np.random.default_rng(1).standard_normal(round(seconds * RATE)) * 0.01
    (found,) = _all([_write(tmp_path / "short.wav", samples)], tones)
    assert (found.error is None) == (reason is None)
    assert reason is None or reason in str(found.error)


def test_nothing_but_zeros_is_an_error_but_silence_in_between_is_not(tones: Transcriber, tmp_path: Path) -> None:
    samples, spoken = phrases(1, 3)
    quiet = np.zeros(40 * RATE, np.float32)
    found = _all(
        [
            _write(tmp_path / "zeros.wav", quiet, "PCM_16"),
            _write(tmp_path / "late.wav", np.concatenate([quiet, samples])),
        ],
        tones,
    )
    assert "nothing but zeros" in str(found[0].error)
    assert found[1].transcript is not None
    assert found[1].transcript.text.split() == [word for word, _, _ in spoken]


@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_silence_gives_an_empty_transcript_without_asking_the_network(offset: float) -> None:
    noise = offset + 1e-3 * np.random.default_rng(1).standard_normal(25 * RATE)
    listener = Listener(_WORDS)
    assert Transcriber(listener).transcribe(noise) == Transcript(None, 25.0, ())
    assert listener.heard == []


@pytest.mark.parametrize("edge", [0, 33])
def test_no_word_of_long_speech_without_pauses_is_lost_or_doubled(edge: int) -> None:
    """Though within a second of a window's edge the network hears something else."""
    samples, words = _spoken(3000, edge)
    listener = Listener(_WORDS, edge)
    rows: list[int] = []
    transcribe = Transcriber(listener)
    greedy = transcribe.system.decode

    def decode(these: Sequence[np.ndarray]) -> list[Hypothesis]:
        rows.extend(map(len, these))
        return greedy(these)

    transcribe.system = System("spied on", decode)
    found = transcribe.transcribe(samples).text
    # Where the recording begins and ends no other window has more context.
    assert " ".join(words[10:-10]) in found
    assert abs(len(found.split()) - len(words)) <= (2 if edge else 0)
    assert len(listener.heard) > 20
    assert max(listener.heard) <= 30 * RATE
    assert max(rows) <= 15 / listener.frame_seconds


def test_no_files_give_nothing(tones: Transcriber) -> None:
    assert _all([], tones) == []


def test_a_model_that_normalises_by_speaker_is_refused(recogniser: Recogniser) -> None:
    config = parse_config({"features": {"cmvn": "speaker"}}, "test")
    by_speaker = Recogniser(AcousticModel(config, 5).eval(), recogniser.tokenizer, {}, "")
    with pytest.raises(AsrError, match="normalises by speaker"):
        TorchBackend(by_speaker, _CPU)
