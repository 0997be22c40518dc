from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asr.decode.greedy import greedy_decoder
from asr.decode.manifest import decode_manifest
from asr.manifest import Utterance, read_manifest
from asr.model.acoustic import AcousticModel, Recogniser, load_model
from asr.tokens import BLANK, train_tokenizer
from tests.tones import PITCHES, RATE, greedy_of, learned, tiny_config

CPU = torch.device("cpu")


@pytest.fixture
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Recogniser:
    return load_model(learned(tmp_path_factory).out / "model")


@pytest.fixture
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    return read_manifest(learned(tmp_path_factory).test)


def test_recognises_what_was_learned(recogniser: Recogniser, utterances: list[Utterance]) -> None:
    told: list[float] = []
    hypotheses, failed = decode_manifest(utterances, recogniser.model, greedy_of(recogniser), CPU, told.append)
    assert failed == {}
    assert {one.id: hypotheses[one.id].text for one in utterances} == {one.id: one.text for one in utterances}
    assert told == sorted(told)
    assert told[-1] == pytest.approx(sum(one.duration for one in utterances))


def test_times_lie_on_the_tones(recogniser: Recogniser, utterances: list[Utterance]) -> None:
    """Word k sounds from 0.08 + 0.2 k to 0.2 + 0.2 k s."""
    hypotheses, _ = decode_manifest(utterances, recogniser.model, greedy_of(recogniser), CPU)
    for utterance in utterances:
        for number, word in enumerate(hypotheses[utterance.id].words):
            begin = 0.08 + 0.2 * number
            assert begin - 0.05 < word.start < word.end < begin + 0.2
            assert word.confidence > 0.5


@pytest.mark.parametrize("batch_seconds", [0.1, 1.0, 100.0])
def test_texts_do_not_depend_on_the_batches(
    batch_seconds: float, recogniser: Recogniser, utterances: list[Utterance]
) -> None:
    def decode(chosen: list[Utterance], seconds: float) -> dict[str, tuple[str, float]]:
        found, _ = decode_manifest(chosen, recogniser.model, greedy_of(recogniser), CPU, batch_seconds=seconds)
        return {name: (one.text, round(one.score, 3)) for name, one in found.items()}

    alone = {name: one for utterance in utterances for name, one in decode([utterance], 4.0).items()}
    together = decode(utterances[::-1], batch_seconds)
    assert {name: text for name, (text, _) in together.items()} == {name: text for name, (text, _) in alone.items()}
    for name, (_, score) in together.items():
        assert score == pytest.approx(alone[name][1], abs=2e-3)


def test_what_cannot_be_decoded_is_named_and_the_rest_is_decoded(
    recogniser: Recogniser, utterances: list[Utterance], tmp_path: Path
) -> None:
    def wav(name: str, samples: np.ndarray) -> Utterance:
        soundfile.write(tmp_path / f"{name}.wav", samples.astype(np.float32), RATE, subtype="FLOAT")
        return Utterance(name, tmp_path / f"{name}.wav", len(samples) / RATE, "do")

    (tmp_path / "noaudio.wav").write_bytes(b"RIFF")
    (tmp_path / "empty.wav").write_bytes(b"")
    bad = {
        "gone": replace(utterances[0], id="gone", audio=tmp_path / "gone.wav"),
        "noaudio": replace(utterances[0], id="noaudio", audio=tmp_path / "noaudio.wav"),
        "empty": replace(utterances[0], id="empty", audio=tmp_path / "empty.wav"),
        "longer": replace(utterances[0], id="longer", duration=9.0),
        "short": wav("short", np.full(80, 0.1)),
        "zeros": wav("zeros", np.zeros(4000)),
        "nan": wav("nan", np.where(np.arange(4000) == 7, np.nan, 0.1)),
        "huge": wav("huge", np.full(4000, 1e30)),
    }
    hypotheses, failed = decode_manifest(
        [*bad.values(), *utterances], recogniser.model, greedy_of(recogniser), CPU, batch_seconds=4.0
    )
    assert {name: one.text for name, one in hypotheses.items()} == {one.id: one.text for one in utterances}
    reasons = {
        "gone": "there is no such file",
        "noaudio": "not audio that libsndfile reads",
        "empty": "0 bytes",
        "longer": "longer: the manifest says the audio is to be 9.00 s",
        "short": "short: 80 samples at 8000 Hz are too short for one frame",
        "zeros": "nothing but zeros",
        "nan": "NaN",
        "huge": "huge: the model gives no numbers for it",
    }
    assert failed.keys() == bad.keys()
    for name, reason in reasons.items():
        assert reason in failed[name]
        assert "\n" not in failed[name]


def test_speakers_by_their_own_statistics(utterances: list[Utterance], tmp_path: Path) -> None:
    """With a speaker nothing of whom can be read, and one who is not named."""
    config = tiny_config("features.cmvn=speaker")
    tokenizer = train_tokenizer(config.tokens, PITCHES)
    model = AcousticModel(config, len(tokenizer)).eval()
    gone = replace(utterances[0], id="gone", audio=tmp_path / "gone.wav", speaker="carl")
    unnamed = replace(utterances[1], id="unnamed", speaker=None)
    hypotheses, failed = decode_manifest(
        [*utterances, gone, unnamed], model, greedy_decoder(BLANK, tokenizer, model.frame_seconds), CPU
    )
    assert list(failed) == ["gone"]
    assert len(hypotheses) == len(utterances) + 1
    _, all_gone = decode_manifest([gone], model, greedy_decoder(BLANK, tokenizer, model.frame_seconds), CPU)
    assert list(all_gone) == ["gone"]
    soundfile.write(tmp_path / "huge.wav", np.full(4000, 1e30, dtype=np.float32), RATE, subtype="FLOAT")
    huge = Utterance("huge", tmp_path / "huge.wav", 0.5, "do", speaker="dora")
    hypotheses, failed = decode_manifest(
        [*utterances, huge], model, greedy_decoder(BLANK, tokenizer, model.frame_seconds), CPU
    )
    assert list(failed) == ["huge"] and "the model gives no numbers for it" in failed["huge"]
    assert len(hypotheses) == len(utterances)
