"""Soft and loud recordings are brought near to what a model was trained on."""

from __future__ import annotations

import numpy as np
import pytest

from asr.config import read_config
from asr.latency import Chunking
from asr.loudness import speech_level, varies
from asr.tokens import Tokenizer
from asr.transcribe.level import SPREAD, USUAL, Leveller, training_level
from asr.transcribe.streamed import Streamed
from asr.transcribe.transcriber import Transcriber
from tests.transcribe.listener import RATE, Listener, say


def noise(decibels: float) -> np.ndarray:
    samples = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    return np.asarray(samples * np.float32(10 ** (decibels / 20)))


def level(samples: np.ndarray) -> float:
    return float(20 * np.log10(speech_level(samples, RATE)))


@pytest.mark.parametrize("decibels", [USUAL - 0.9 * SPREAD, USUAL, USUAL + 0.9 * SPREAD])
def test_what_is_near_the_training_level_stays_as_it_is(decibels: float) -> None:
    samples = noise(decibels)
    assert Leveller(USUAL, RATE)(samples) is samples


@pytest.mark.parametrize(
    ("decibels", "becomes"), [(-60, USUAL - SPREAD), (-40, USUAL - SPREAD), (0, USUAL + SPREAD), (100, USUAL + SPREAD)]
)
def test_what_is_further_is_brought_to_the_edge_of_the_range(decibels: float, becomes: float) -> None:
    assert level(Leveller(USUAL, RATE)(noise(decibels))) == pytest.approx(becomes, abs=0.1)


def test_nearly_nothing_is_not_raised_to_speech() -> None:
    assert level(Leveller(USUAL, RATE)(noise(-100))) == pytest.approx(-60, abs=0.1)
    silence = np.zeros(RATE, np.float32)
    assert Leveller(USUAL, RATE)(silence) is silence


def test_the_loudest_speech_so_far_decides() -> None:
    levelled = Leveller(USUAL, RATE)
    before, loud, faint = (levelled(noise(decibels)) for decibels in (-50, -30, -50))
    assert level(before) == pytest.approx(USUAL - SPREAD, abs=0.1)
    assert (level(loud), level(faint)) == pytest.approx((-30, -50), abs=0.1)


def test_a_model_that_normalises_each_recording_has_no_level() -> None:
    assert training_level(read_config(None, ["features.cmvn=utterance"]), {"speech_level": -40.0}) is None
    assert training_level(read_config(None), {"speech_level": -40.0}) == -40
    assert training_level(read_config(None), {"speech_level": 0.0}) == 0
    assert training_level(read_config(None), {}) == USUAL
    samples = noise(-80)
    assert Leveller(None, RATE)(samples) is samples


@pytest.mark.parametrize("decibels", [-35, 0, 30])
def test_a_recording_is_heard_at_any_level(decibels: float) -> None:
    listener = Listener(Tokenizer("char", ("", " ", "a", "b")))
    listener.level = -13.5  # type: ignore[misc, assignment]
    samples = say([0, 0, 2, 3, 1, 3, 2, 0, 0]) * np.float32(10 ** (decibels / 20))
    assert Transcriber(listener).transcribe(samples).text == "ab ba"


def test_steady_noise_does_not_vary_and_speech_does() -> None:
    random = np.random.default_rng(0)
    white = random.standard_normal(RATE)
    brown = np.cumsum(random.standard_normal(RATE))
    for steady in (white, brown - brown.mean(), np.zeros(RATE), np.full(RATE, 0.3)):
        assert not varies(steady.astype(np.float32), RATE)
    assert varies(say([0, 2, 3, 0, 2]), RATE)


def test_a_stream_is_amplified_once_somebody_speaks_and_not_before() -> None:
    seen: list[float] = []

    def read(view: np.ndarray, chunk: int) -> np.ndarray:
        seen.append(level(view))
        return np.zeros((chunk, 4), np.float32)

    streamed = Streamed(read, Chunking(20, 20), read_config(None, [f"features.rate={RATE}"]).features, 3, USUAL)
    hiss = noise(-70)
    speech = np.concatenate([hiss + noise(-50) * (np.arange(RATE) // 800 % 2), hiss])
    for block in (hiss, hiss, hiss, speech, speech):
        streamed.accept(block.astype(np.float32))
    assert seen[0] == pytest.approx(-70, abs=0.5)
    assert seen[-2] == pytest.approx(USUAL - SPREAD, abs=2)
