"""Models, vocabularies, kernels, noise and pronunciations that do not fit: one sentence each, as a user meets it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asr.cli.main import app, run
from asr.config import Config
from asr.files import sha256
from asr.lm.kneser_ney import estimate
from asr.lm.recurrent import RecurrentConfig, RecurrentModel, save_recurrent
from asr.lm.units import Units
from asr.model.acoustic import AcousticModel, load_model, save_model
from asr.tokens import Tokenizer, train_tokenizer
from tests.tones import PITCHES, TINY, Learned, learned, tiny_config

_LETTERS = Tokenizer("char", ["<blank>", "<space>", *"adefimor"])
_DICTIONARY = Path(__file__).parent.parent / "phones" / "tones.txt"


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return learned(tmp_path_factory)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs ``asr``; gives its exit status and the only line of its errors that begins with "error: "."""

    def _call(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            run(lambda: app([*map(str, arguments), "--threads", "1"]))
        told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(told) == (1 if left.value.code else 0)
        return int(left.value.code or 0), "".join(told)

    return _call


def _training(tones: Learned, out: Path, *overrides: str) -> list[object]:
    return ["train", *TINY, "train.epochs=1", *overrides, "--train", tones.train, "--dev", tones.dev, "--out", out]


def _decoding(tones: Learned, out: Path, *models: Path) -> list[object]:
    named = [word for model in models for word in ("--model", model)]
    return ["decode", *named, "--manifest", tones.dev, "--out", out]


def _untrained(folder: Path, config: Config, tokenizer: Tokenizer) -> Path:
    torch.manual_seed(1)
    save_model(folder, AcousticModel(config, len(tokenizer)), tokenizer, {"failed": {}}, "untrained")
    return folder


def _sum_again(folder: Path) -> None:
    """As if the files of a folder had always lain together."""
    names = [line.partition("  ")[2] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    (folder / "SHA256SUMS").write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names))


def test_a_run_of_another_architecture_is_not_gone_on_with(
    tones: Learned, tmp_path: Path, call: Callable[..., tuple[int, str]]
) -> None:
    cell = ("train.epochs=12", "encoder.cell=gru")
    status, told = call(*_training(tones, tones.out, *cell))
    assert status == 1
    assert (
        f"{tones.out / 'model'}: holds a model that was trained with another config (encoder.cell is gru here, " in told
    )
    assert f"lstm there); train into another --out, or delete {tones.out}" in told
    shutil.copytree(tones.out / "checkpoints", tmp_path / "run" / "checkpoints")
    status, told = call(*_training(tones, tmp_path / "run", *cell, "encoder.hidden=20", "encoder.layers=2", "seed=2"))
    assert status == 1
    assert "latest.pt: was written by a run with another config (encoder.cell is gru here, " in told
    assert "encoder.hidden is 20 here, 16 there, encoder.layers is 2 here, 1 there and 1 more); train" in told
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize(
    ("overrides", "tokenizer", "sentence"),
    [
        (["encoder.cell=gru"], None, "forwards.weight_ih_l0 is [48, 36], not [64, 36], "),
        (["encoder.hidden=20"], None, "and 6 more do not fit"),
        (["encoder.subsampling.kind=conv"], None, "is not wanted"),
        ([], _LETTERS, "head.weight is [10, 32], not [5, 32], head.bias is [10], not [5]"),
    ],
)
def test_weights_of_another_model(
    tones: Learned,
    tmp_path: Path,
    call: Callable[..., tuple[int, str]],
    overrides: list[str],
    tokenizer: Tokenizer | None,
    sentence: str,
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tones.out / "model", model)
    mine = load_model(model).tokenizer
    other = _untrained(tmp_path / "other", tiny_config(*overrides), tokenizer or mine)
    shutil.copy(other / "model.safetensors", model / "model.safetensors")
    _sum_again(model)
    status, told = call(*_decoding(tones, tmp_path / "out", model))
    assert status == 1
    assert f"{model / 'model.safetensors'}: does not fit config.yaml and the tokens beside it, it is another" in told
    assert sentence in told
    assert not (tmp_path / "out").exists()


def test_a_vocabulary_of_another_model(tones: Learned, tmp_path: Path, call: Callable[..., tuple[int, str]]) -> None:
    letters = _untrained(tmp_path / "letters", tiny_config("tokens.kind=char", "features.cmvn=none"), _LETTERS)
    status, told = call(*_decoding(tones, tmp_path / "out", tones.out / "model", letters))
    assert status == 2
    assert told.endswith("cannot recognise together: their tokens are of kind word and char")
    shutil.copy(tones.out / "model" / "tokens.txt", letters / "tokens.txt")
    _sum_again(letters)
    status, told = call(*_decoding(tones, tmp_path / "out", letters))
    assert status == 1
    assert f"{letters / 'tokens.txt'}: 'do' is not one character, as tokens of kind char are" in told
    lm = tmp_path / "lm.safetensors"
    estimate(["a b", "b a c"], 2, "token").save(lm)
    status, told = call(*_decoding(tones, tmp_path / "out", tones.out / "model"), "--lm", lm)
    assert status == 1
    assert str(lm) in told
    assert not (tmp_path / "out").exists()


def test_a_lexicon_of_phones_for_a_model_that_has_none(
    tones: Learned, tmp_path: Path, call: Callable[..., tuple[int, str]]
) -> None:
    status, told = call(*_decoding(tones, tmp_path / "out", tones.out / "model"), "--lexicon", _DICTIONARY)
    assert status == 1
    assert "is spelled with" in told
    assert "which is not a token of the model; its tokens are do fa mi re" in told


def test_an_lstm_that_lacks_letters_of_a_lexicon(
    tones: Learned, tmp_path: Path, call: Callable[..., tuple[int, str]]
) -> None:
    config = tiny_config("features.cmvn=none", "tokens.kind=phone", f"tokens.dictionary={_DICTIONARY}")
    model = _untrained(tmp_path / "model", config, train_tokenizer(config.tokens, [" ".join(PITCHES)]))
    lexicon, lm, lstm = (tmp_path / name for name in ("lexicon.txt", "lm.safetensors", "lstm"))
    lexicon.write_text("do D OW\nre R EY\nre R IY\nfa F AA\nmi M IY\n")
    estimate([" ".join(PITCHES)], 2).save(lm)
    units = Units(Tokenizer("char", ["<blank>", "<space>", *"deimor"]))
    save_recurrent(lstm, RecurrentModel(RecurrentConfig(hidden=8, embedding=16), len(units)), units, {})
    searching = ("--lm", lm, "--lexicon", lexicon, "--rescore", lstm)
    for tuning in ((), ("--tune",)):
        status, told = call(*_decoding(tones, tmp_path / "out", model), *searching, *tuning)
        assert status == 1
        assert (
            f"{lstm}: it lacks 'a', 'f', which the acoustic model writes in 1 of the lexicon's 4 words ('fa')" in told
        )
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("subsampling", "sentence"),
    [
        ("{kind: conv1d, kernel: 4}", "kernel must be odd, as many frames before as behind, it is 4"),
        ("{kind: conv1d, factor: 8, kernel: 3}", "kernel must be at least the stride 4, or frames are passed over: 3"),
        ("{kind: vgg, kernel: 5}", "kernel is not for vgg, it is 5"),
        ("{kind: deepspeech2, kernel: 100001}", "kernel: Input should be less than or equal to 501 (seen: 100001)"),
        ("{kind: conv, kernel: -3}", "kernel: Input should be greater than or equal to 0 (seen: -3)"),
    ],
)
def test_a_kernel_that_cannot_be(
    tones: Learned, tmp_path: Path, call: Callable[..., tuple[int, str]], subsampling: str, sentence: str
) -> None:
    status, told = call(*_training(tones, tmp_path / "run", f"encoder.subsampling={subsampling}"))
    assert (status, sentence in told) == (2, True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["encoder.cell=peephole"],
            "train.chunk_share trains a model for streams, and encoder.cell=peephole carries",
        ),
        (["features.cmvn=speaker"], "trains a model for streams, and features.cmvn=speaker needs all of a recording"),
        (["train.chunk_latency=[0.05, 1.0]"], "train.chunk_latency begins at 0.05 s; a chunk and what is heard behind"),
        (["train.chunk_latency=[2.0, 1.0]"], "train: chunk_latency must be the lowest and the highest value, above 0"),
        (["train.chunk_latency=[1.0, 31.0]"], "the highest value, above 0 and up to 30; this is [1.0, 31.0]"),
        (["train.chunk_latency=[1.0]"], "train.chunk_latency: List should have at least 2 items"),
        (["train.chunk_share=1.5"], "train.chunk_share: Input should be less than or equal to 1 (seen: 1.5)"),
        (
            ["train.chunk_share=0", "train.chunk_latency=[0.5, 1.0]"],
            "train: no steps are trained by chunks, so chunk_latency would mean nothing: give chunk_share",
        ),
    ],
)
def test_chunks_that_cannot_be(
    tmp_path: Path, call: Callable[..., tuple[int, str]], overrides: list[str], sentence: str
) -> None:
    manifest, out = tmp_path / "none.jsonl", tmp_path / "run"
    chunks = ("train.chunk_share=0.5", *overrides)
    status, told = call("train", *TINY, *chunks, "--train", manifest, "--dev", manifest, "--out", out)
    assert (status, sentence in told) == (2, True)
    assert not out.exists()


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["decoder.hidden=9"], "decoder: there is no such decoder, so hidden would mean nothing: give weight"),
        (
            ["train.intermediate_weight=0.5"],
            "train: there are no intermediate layers, so intermediate_weight would mean nothing: give intermediate",
        ),
        (
            ["encoder.recurrent_projection=8"],
            "this is cell=lstm, so recurrent_projection would mean nothing: give cell",
        ),
        (["tokens.g2p=x", "tokens.stress=true"], "this is kind=word, so g2p and stress would mean nothing: give kind="),
    ],
)
def test_a_key_that_nothing_would_read(
    tmp_path: Path, call: Callable[..., tuple[int, str]], overrides: list[str], sentence: str
) -> None:
    manifest, out = tmp_path / "none.jsonl", tmp_path / "run"
    status, told = call("train", *TINY, *overrides, "--train", manifest, "--dev", manifest, "--out", out)
    assert (status, sentence in told) == (2, True)
    assert not out.exists()


def test_a_model_that_is_larger_than_the_memory(
    tones: Learned, tmp_path: Path, call: Callable[..., tuple[int, str]]
) -> None:
    status, told = call(*_training(tones, tmp_path / "run", "encoder.hidden=3000000"))
    assert status == 1
    assert told == "error: the model alone does not fit the memory: lower encoder.hidden or encoder.layers"


def test_a_noise_folder_is_empty_or_of_another_rate(
    tones: Learned, tmp_path: Path, call: Callable[..., tuple[int, str]]
) -> None:
    noise = tmp_path / "noise"
    noise.mkdir()
    status, told = call(*_training(tones, tmp_path / "run", f"augment.noise={noise}"))
    assert status == 1
    assert told == f"error: augment.noise: {noise}: holds no audio files; put noise or music there (WAV, FLAC, MP3, …)"
    # Another rate and two channels are no mistake: they are resampled and averaged.
    soundfile.write(noise / "hall.wav", np.random.default_rng(1).standard_normal((44100, 2)) / 9, 44100)
    assert call(*_training(tones, tmp_path / "run", f"augment.noise={noise}", "augment.noise_probability=1")) == (0, "")


def test_a_word_that_nobody_can_pronounce(tones: Learned, tmp_path: Path, call: Callable[..., tuple[int, str]]) -> None:
    dictionary = tmp_path / "dictionary"
    dictionary.write_text("do D OW\nre R EY\nmi M IY\n")
    phones = ("tokens.kind=phone", f"tokens.dictionary={dictionary}")
    status, told = call(*_training(tones, tmp_path / "run", *phones))
    assert status == 1
    assert "utterances cannot be used, more than 1%: " in told
    assert "no pronunciation for 'fa'" in told
    dictionary.write_text("yes Y EH S\n")
    status, told = call(*_training(tones, tmp_path / "run", *phones))
    assert told == f"error: train: no word of its transcripts has a pronunciation in {dictionary}"
    status, told = call(*_training(tones, tmp_path / "run", *phones, f"tokens.g2p={tones.out / 'model'}"))
    assert told.endswith("config.yaml: not the config of a grapheme-to-phoneme model (asr g2p train makes one)")
    assert not (tmp_path / "run" / "model").exists()
