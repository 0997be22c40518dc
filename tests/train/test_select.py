from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import probe, read_utterance
from asr.augment import speed
from asr.config import Config
from asr.errors import AsrError
from asr.manifest import Utterance, read_manifest
from asr.model.acoustic import AcousticModel
from asr.model.ctc import required_frames
from asr.tokens import Tokenizer, train_tokenizer
from asr.train.select import exact_samples, refuse_too_many, select
from tests.tones import PITCHES, RATE, tiny_config, write_tones


def _model(config: Config) -> tuple[Tokenizer, AcousticModel]:
    tokenizer = train_tokenizer(config.tokens, PITCHES)
    return tokenizer, AcousticModel(config, len(tokenizer))


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    return read_manifest(write_tones(tmp_path, "train", 6, seed=1))


@settings(max_examples=40, deadline=None)
@given(
    source=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]),
    rate=st.sampled_from([8000, 16000]),
    frames=st.integers(min_value=300, max_value=6000),
    segment=st.none() | st.tuples(st.floats(min_value=0, max_value=0.005), st.floats(min_value=0.01, max_value=0.2)),
)
def test_the_number_of_samples_is_known_from_the_header(
    source: int,
    rate: int,
    frames: int,
    segment: tuple[float, float] | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / "samples.wav"
    soundfile.write(path, np.full(frames, 0.1, dtype=np.float32), source)
    duration = frames / source
    utterance = Utterance("u", path, duration, "")
    if segment:
        offset, wanted = segment
        utterance = replace(utterance, offset=offset, duration=min(wanted, duration - offset + 0.05))
    assert exact_samples(utterance, probe(path), rate) == len(read_utterance(utterance, rate))


def _spoken(folder: Path, name: str, samples: int, text: str) -> Utterance:
    path = folder / f"{name}.wav"
    soundfile.write(path, np.random.default_rng(1).normal(0, 0.1, samples).astype(np.float32), RATE)
    return Utterance(name, path, samples / RATE, text)


@pytest.mark.parametrize("speeds", ["[1.0]", "[0.9, 1.0, 1.1]", "[2.0, 1.0]"])
@pytest.mark.parametrize("subsampling", ["kind=stack", "kind=conv"])
def test_the_fastest_copys_own_output_length_decides(speeds: str, subsampling: str, tmp_path: Path) -> None:
    """At the very sample where a transcript begins to fit, and one sample before it."""
    config = tiny_config(f"augment.speeds={speeds}", f"encoder.subsampling.{subsampling}")
    tokenizer, model = _model(config)
    model.eval()
    model.features.set_global(torch.zeros(12), torch.ones(12))
    text = "do do re re mi"  # 5 labels, 2 repeats
    need = required_frames(tokenizer.encode(text))
    assert need == 7
    fits = round((need - 1) * model.frame_seconds * RATE * max(config.augment.speeds))
    for samples in range(fits - 50, fits + 1000, 13):
        utterance = _spoken(tmp_path, "u", samples, text)
        fastest = speed(read_utterance(utterance, RATE), max(config.augment.speeds))
        (log_probs,) = model.log_probs([torch.from_numpy(fastest)])
        usable, rejected = select([utterance], tokenizer, config, model)
        assert bool(usable) == (len(log_probs) >= need)
        if len(log_probs) == need:
            break
        assert f"5 labels with 2 repeats need 7 encoder frames, its {samples / RATE:.2f} s" in rejected["u"]
        assert rejected["u"].endswith(f"give {len(log_probs)}")
    else:
        pytest.fail("it never fitted")


def test_whatever_is_wrong_is_listed_with_its_numbers(utterances: list[Utterance], tmp_path: Path) -> None:
    config = tiny_config("train.max_seconds=1", "augment.speeds=[0.5, 1.0]")
    tokenizer, model = _model(config)
    (tmp_path / "no.wav").write_bytes(b"not audio")
    first = utterances[0]
    bad = [
        replace(first, id="empty", text=" "),
        _spoken(tmp_path, "long", 4100, "do"),
        replace(first, id="gone", audio=tmp_path / "gone.wav"),
        replace(first, id="noaudio", audio=tmp_path / "no.wav"),
        replace(first, id="longer", duration=first.duration + 0.2),
        replace(first, id="behind", offset=3.0),
        _spoken(tmp_path, "short", 100, "do"),
    ]
    usable, rejected = select([*utterances[:2], *bad], tokenizer, config, model)
    assert [one.utterance for one in usable] == utterances[:2]
    for one in usable:
        assert one.samples == len(read_utterance(one.utterance, RATE))
        assert tokenizer.decode(one.labels) == one.utterance.text
    assert list(rejected) == [one.id for one in bad]
    assert rejected["empty"] == "empty: its transcript is empty"
    assert "1.0 s (at its slowest copy) are more than train.max_seconds=1" in rejected["long"]
    assert "gone.wav: there is no such file" in rejected["gone"]
    assert "no.wav: not audio that libsndfile reads" in rejected["noaudio"]
    assert "longer: the manifest says the audio is to be" in rejected["longer"]
    assert "behind: the manifest says" in rejected["behind"]
    assert "need 1 encoder frames, its 0.01 s (at speed 1) give 0" in rejected["short"]


def test_letters_may_need_more_frames_than_labels(utterances: list[Utterance]) -> None:
    config = tiny_config()
    words, model = _model(config)
    letters = Tokenizer("char", ["<blank>", "<space>", *sorted(set("".join(PITCHES)))])
    usable, _ = select(utterances, words, config, model, letters)
    assert [one.letters for one in usable] == [letters.encode(one.utterance.text) for one in usable]
    word, short = next(iter(PITCHES)), utterances[0]
    frames = model.output_length(probe(short.audio).frames)
    many = replace(short, text=" ".join([word] * (frames // 2)))  # half of them between words that are the same
    assert select([many], words, config, model)[1] == {}
    usable, rejected = select([many, utterances[1]], words, config, model, letters)
    assert [one.utterance.id for one in usable] == [utterances[1].id]
    assert f"{len(letters.encode(many.text))} labels" in rejected[many.id]


def test_more_than_one_percent_is_an_error() -> None:
    rejected = {f"u{number}": f"u{number}: reason" for number in range(5)}
    refuse_too_many({}, 10, "train")
    refuse_too_many(rejected, 500, "train")
    with pytest.raises(AsrError, match=r"^train: 5 of 499 utterances cannot be used, more than 1%: u0: reason; u1: "):
        refuse_too_many(rejected, 499, "train")
