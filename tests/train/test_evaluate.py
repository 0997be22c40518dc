from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from asr.decode.manifest import decode_manifest
from asr.files import write_text
from asr.manifest import Utterance, read_manifest, write_manifest
from asr.model.acoustic import load_model
from asr.score.align import texts_wer
from asr.train.evaluate import Development
from asr.train.select import select
from asr.train.setup import train_model
from tests.tones import greedy_of, learned, tiny_config, write_tones

CPU = torch.device("cpu")


def _spoiled(utterances: list[Utterance]) -> list[Utterance]:
    """With every other reference wrong, so that there are errors to count."""
    return [replace(one, text=f"fa {one.text}" if index % 2 else "do") for index, one in enumerate(utterances)]


@pytest.mark.parametrize("batch_seconds", [1.0, 4.0, 100.0])
def test_equals_decoding_and_scoring(batch_seconds: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = learned(tmp_path_factory)
    recogniser = load_model(folder.out / "model")
    utterances = _spoiled(read_manifest(folder.dev))
    selected, rejected = select(utterances, recogniser.tokenizer, tiny_config(), recogniser.model)
    assert not rejected
    judged = Development(selected, recogniser.tokenizer, {}, batch_seconds).judge(recogniser.model)
    hypotheses, failed = decode_manifest(utterances, recogniser.model, greedy_of(recogniser), CPU)
    assert not failed
    words, characters = texts_wer([one.text for one in utterances], [hypotheses[one.id].text for one in utterances])
    assert words.errors > 0
    assert judged["dev_wer"] == pytest.approx(100 * words.errors / words.reference_length)
    assert judged["dev_cer"] == pytest.approx(100 * characters.errors / characters.reference_length)
    assert judged["dev_loss"] > 0


def test_speakers_are_normalised_by_each_set_alone_as_decoding_does_it(tmp_path: Path) -> None:
    """The same speakers in train, over another channel: dev's figures must be those of decoding dev."""
    train = write_tones(tmp_path, "train", 24, seed=1)
    dev = write_tones(tmp_path, "dev", 6, seed=2)
    louder = read_manifest(dev)
    import soundfile

    for one in louder:
        samples, rate = soundfile.read(one.audio, dtype="float32")
        soundfile.write(one.audio, samples * 0.01, rate, subtype="FLOAT")
    config = tiny_config("features.cmvn=speaker", "train.epochs=3", "train.average=1")
    trained = train_model(config, "test", train, dev, tmp_path / "run", CPU)
    recogniser = load_model(trained.model)
    hypotheses, _ = decode_manifest(louder, recogniser.model, greedy_of(recogniser), CPU)
    words, _ = texts_wer([one.text for one in louder], [hypotheses[one.id].text for one in louder])
    assert trained.trained["dev"]["dev_wer"] == pytest.approx(100 * words.errors / words.reference_length, abs=1e-3)


def test_what_cannot_be_read_or_decoded_counts_as_deletions(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    folder = learned(tmp_path_factory)
    recogniser = load_model(folder.out / "model")
    dev = tmp_path / "dev.jsonl"
    write_manifest(dev, read_manifest(folder.dev))
    selected, _ = select(read_manifest(dev), recogniser.tokenizer, tiny_config(), recogniser.model)
    write_text(tmp_path / "gone.wav", "no longer audio")
    gone = replace(selected[0].utterance, audio=tmp_path / "gone.wav")
    selected[0] = replace(selected[0], utterance=gone)
    development = Development(selected, recogniser.tokenizer, {}, 4.0)
    words = sum(len(one.utterance.text.split()) for one in selected)
    lost = len(gone.text.split())
    assert development.judge(recogniser.model)["dev_wer"] == pytest.approx(100 * lost / words)
    assert list(development.failed) == [gone.id]
    with torch.no_grad():
        recogniser.model.head.bias[0] = float("nan")
    assert development.judge(recogniser.model)["dev_wer"] == 100
    assert len(development.failed) == len(selected)
    assert "the model gives no numbers for it" in development.failed[selected[1].utterance.id]
    with torch.no_grad():
        recogniser.model.head.bias[0] = 0.0
    development.judge(recogniser.model)
    assert list(development.failed) == [gone.id]
