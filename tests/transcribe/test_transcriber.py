from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asr.config import parse_config
from asr.errors import AsrError
from asr.manifest import read_manifest
from asr.model.acoustic import AcousticModel, Recogniser, load_model
from asr.transcribe import transcriber
from asr.transcribe.transcriber import Transcript, transcribe
from tests.phrases import phrases
from tests.tones import RATE

_CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def recogniser(tone_run: Path) -> Recogniser:
    return load_model(tone_run / "run" / "model")


def _all(paths: list[Path], recogniser: Recogniser) -> list[Transcript]:
    return list(transcribe(paths, recogniser, _CPU))


def _write(path: Path, samples: np.ndarray, subtype: str = "FLOAT") -> Path:
    soundfile.write(path, samples, RATE, subtype=subtype)
    return path


@pytest.fixture(params=["in one go", "piece by piece"])
def gathering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the network over everything together, or after every few seconds."""
    if request.param == "piece by piece":
        monkeypatch.setattr(transcriber, "_TOGETHER_SECONDS", 2.0)


def test_text_and_times_of_a_long_recording_are_right_over_the_joins(
    recogniser: Recogniser, tmp_path: Path, gathering: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcriber, "LONGEST_PIECE", 8.0)
    samples, spoken = phrases(30, 7)  # more than 40 s
    (found,) = _all([_write(tmp_path / "long.wav", samples)], recogniser)
    assert found.error is None
    assert found.hypothesis is not None
    assert found.duration == pytest.approx(len(samples) / RATE)
    assert found.hypothesis.text.split() == [word for word, _, _ in spoken]
    assert [word.word for word in found.hypothesis.words] == [word for word, _, _ in spoken]
    for word, (_, start, end) in zip(found.hypothesis.words, spoken, strict=True):
        # CTC marks a word somewhere inside its sound, give or take a frame of 30 ms at each end.
        assert start - 0.03 <= word.start < word.end <= end + 0.03
    assert all(before.end <= after.start for before, after in pairwise(found.hypothesis.words))


def test_files_come_in_their_order_and_with_the_text_they_have_alone(
    recogniser: Recogniser, tone_run: Path, tmp_path: Path, gathering: None
) -> None:
    utterances = read_manifest(tone_run / "dev.jsonl")
    missing = tmp_path / "missing.wav"
    paths = [utterances[0].audio, missing, *(one.audio for one in utterances[::-1]), missing]
    found = _all(paths, recogniser)
    assert [one.audio for one in found] == paths
    texts = {one.audio: one.text for one in utterances}
    for one in found:
        if one.audio == missing:
            assert one.error == f"{missing}: there is no such file"
        else:
            assert one.hypothesis is not None
            assert one.hypothesis.text == texts[one.audio]
            assert one.hypothesis.text == _all([one.audio], recogniser)[0].hypothesis.text  # type: ignore[union-attr]


def test_finished_files_come_out_before_later_ones_are_read(
    recogniser: Recogniser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcriber, "_TOGETHER_SECONDS", 1.0)
    read: list[Path] = []
    original = transcriber.stream_audio
    monkeypatch.setattr(transcriber, "stream_audio", lambda path, rate: (read.append(path), original(path, rate))[1])
    paths = [_write(tmp_path / f"{number}.wav", phrases(1, number)[0]) for number in range(20)]
    first = next(transcribe(paths, recogniser, _CPU))
    assert first.audio == paths[0]
    assert len(read) < 10


def test_a_fault_at_the_end_of_a_recording_fails_all_of_it_and_nothing_else(
    recogniser: Recogniser, tmp_path: Path, gathering: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcriber, "LONGEST_PIECE", 3.0)
    samples, _ = phrases(8, 1)
    good = _write(tmp_path / "good.wav", samples)
    samples = np.tile(samples, 12)  # more than the block that is read at once
    samples[-5:] = np.nan
    bad = _write(tmp_path / "bad.wav", samples)
    found = _all([good, bad, good], recogniser)
    assert found[1].hypothesis is None
    assert found[1].error is not None
    assert "5 samples are NaN" in found[1].error
    assert found[0] == found[2]
    assert found[0].error is None


def test_samples_of_absurd_size_are_an_error_and_not_empty_text(
    recogniser: Recogniser, tmp_path: Path, gathering: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcriber, "LONGEST_PIECE", 3.0)
    samples, _ = phrases(8, 1)
    samples[20] = 1e30  # finite, but its square is not: the first of four pieces
    (found,) = _all([_write(tmp_path / "absurd.wav", samples)], recogniser)
    assert found.hypothesis is None
    assert found.error is not None
    assert "absurd.wav" in found.error


@pytest.mark.parametrize(("seconds", "reason"), [(0.01, "0.010 s are too short"), (0.5, None)])
def test_how_short_a_recording_may_be(
    recogniser: Recogniser, tmp_path: Path, seconds: float, reason: str | None
) -> None:
    samples = np.random.default_rng(1).standard_normal(round(seconds * RATE)) * 0.01
    (found,) = _all([_write(tmp_path / "short.wav", samples)], recogniser)
    assert (found.error is None) == (reason is None)
    assert reason is None or reason in str(found.error)


def test_nothing_but_zeros_is_an_error_but_silence_in_between_is_not(recogniser: Recogniser, tmp_path: Path) -> None:
    samples, spoken = phrases(1, 3)
    quiet = np.zeros(40 * RATE, np.float32)
    found = _all(
        [
            _write(tmp_path / "zeros.wav", quiet, "PCM_16"),
            _write(tmp_path / "late.wav", np.concatenate([quiet, samples])),
        ],
        recogniser,
    )
    assert "nothing but zeros" in str(found[0].error)
    assert found[1].hypothesis is not None
    assert found[1].hypothesis.text.split()[-4:] == [word for word, _, _ in spoken]


def test_no_files_give_nothing(recogniser: Recogniser) -> None:
    assert _all([], recogniser) == []


def test_a_model_that_normalises_by_speaker_is_refused(recogniser: Recogniser, tmp_path: Path) -> None:
    config = parse_config({"features": {"cmvn": "speaker"}}, "test")
    by_speaker = Recogniser(AcousticModel(config, 5).eval(), recogniser.tokenizer, {}, "")
    with pytest.raises(AsrError, match="normalises by speaker"):
        _all([tmp_path / "any.wav"], by_speaker)
