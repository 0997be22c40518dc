from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asr.audio import read_utterance
from asr.cmvn import corpus_statistics, speaker_key, speaker_statistics
from asr.errors import AsrError
from asr.features import Features
from asr.manifest import Utterance, read_manifest
from tests.tones import RATE, tiny_config, write_tones


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    return read_manifest(write_tones(tmp_path, "train", 8, seed=1))


@pytest.fixture
def features() -> Features:
    return Features(tiny_config("features.deltas=1").features).eval()


def _frames(features: Features, utterances: list[Utterance]) -> np.ndarray:
    """All raw frames, shape (T, F), in float64."""
    waveforms = [torch.from_numpy(read_utterance(one, RATE)) for one in utterances]
    return np.concatenate(
        [features.raw(one[None], torch.tensor([len(one)]))[0][0].double().numpy() for one in waveforms]
    )


def test_statistics_of_a_corpus_are_those_of_all_its_frames(features: Features, utterances: list[Utterance]) -> None:
    mean, deviation = corpus_statistics(features, utterances, seed=1)
    frames = _frames(features, utterances)
    np.testing.assert_allclose(mean.numpy(), frames.mean(axis=0), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(deviation.numpy(), frames.std(axis=0), rtol=1e-4, atol=1e-4)


def test_an_hour_of_a_large_corpus_is_enough(features: Features, utterances: list[Utterance]) -> None:
    """Every utterance claims half an hour, so two of them, drawn by the seed, are taken."""
    long = [replace(one, duration=1800.0, offset=0.0) for one in utterances]
    read: list[str] = []

    def statistics(seed: int) -> torch.Tensor:
        return corpus_statistics(features, long, seed)[0]

    def noise(utterance: Utterance, rate: int) -> np.ndarray:
        read.append(utterance.id)
        return np.random.default_rng(int(utterance.id[-3:])).normal(0, 0.1, 2000).astype(np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asr.cmvn.read_utterance", noise)
        first = statistics(1)
        assert len(read) == 2
        assert torch.equal(statistics(1), first)
        assert read[:2] == read[2:]
        assert not all(torch.equal(statistics(seed), first) for seed in range(2, 6))


def test_statistics_of_speakers(features: Features, utterances: list[Utterance]) -> None:
    statistics = speaker_statistics(features, utterances)
    assert sorted(statistics) == ["speaker ann", "speaker bob"]
    for speaker, stacked in statistics.items():
        frames = _frames(features, [one for one in utterances if speaker_key(one) == speaker])
        assert stacked.shape == (2, features.dimension)
        np.testing.assert_allclose(stacked[0].numpy(), frames.mean(axis=0), rtol=1e-5, atol=1e-4)


def test_without_a_speaker_each_utterance_is_its_own(features: Features, utterances: list[Utterance]) -> None:
    anonymous = [replace(one, speaker=None) for one in utterances[:3]]
    assert list(speaker_statistics(features, anonymous)) == [f"utterance {one.id}" for one in anonymous]
    # A speaker who is called like an utterance is somebody else.
    assert speaker_key(replace(anonymous[0], speaker=anonymous[0].id)) != speaker_key(anonymous[0])


def test_what_cannot_be_read_is_left_to_whoever_reads_it_next(
    features: Features, utterances: list[Utterance], tmp_path: Path
) -> None:
    broken = [replace(one, audio=tmp_path / "none.wav", speaker="carl") for one in utterances[:1]]
    expected = corpus_statistics(features, utterances[1:], seed=1)[0]
    torch.testing.assert_close(corpus_statistics(features, broken + utterances[1:], seed=1)[0], expected)
    assert speaker_statistics(features, broken + utterances[1:])["speaker carl"].isnan().all()
    with pytest.raises(AsrError, match="mean and variance cannot be estimated"):
        corpus_statistics(features, broken, seed=1)


def test_samples_of_absurd_size_spoil_no_statistics(
    features: Features, utterances: list[Utterance], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "huge.wav", np.full(4000, 1e30, dtype=np.float32), RATE, subtype="FLOAT")
    huge = Utterance("huge", tmp_path / "huge.wav", 0.5, "do", speaker="ann")
    for with_it, without in (
        (corpus_statistics(features, [huge, *utterances], 1)[1], corpus_statistics(features, utterances, 1)[1]),
        (
            speaker_statistics(features, [huge, *utterances])["speaker ann"][1],
            speaker_statistics(features, utterances)["speaker ann"][1],
        ),
    ):
        torch.testing.assert_close(with_it, without, rtol=1e-5, atol=1e-5)
