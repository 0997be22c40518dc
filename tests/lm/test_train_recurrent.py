"""Training of the recurrent language model: what it learns, what it draws, how it stops and goes on."""

from __future__ import annotations

import json
import math
import random
import signal
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

from asr.cli.lm_recurrent import train_lstm
from asr.errors import AsrError, UsageError
from asr.files import alone_in
from asr.flat_config import parse_flat
from asr.lm.recurrent import RecurrentConfig, load_recurrent
from asr.lm.train_recurrent import LmTrainer, spans, stop_early, train_recurrent
from asr.lm.units import EDGE
from asr.model.acoustic import AcousticModel, save_model
from asr.model.config import Cell
from asr.tokens import Tokenizer
from asr.train.loop import Stopped
from tests.marks import forget
from tests.tones import tiny_config

CPU = torch.device("cpu")
_NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _grammar(path: Path, sentences: int, seed: int) -> Path:
    """Sentences "a … z": the second word is one of four, and the third repeats it; 2 bits a sentence."""
    chance = random.Random(seed)
    lines = [f"a {word} {word} z\n" for word in chance.choices(["b", "c", "d", "e"], k=sentences)]
    path.write_text("".join(lines))
    return path


def _config(**given: object) -> RecurrentConfig:
    small = {"unit": "word", "vocabulary": 50, "hidden": 24, "embedding": 16, "dropout": 0.0, "minutes": 0.0}
    steps = {"epochs": 4, "batch_units": 60, "warmup_steps": 5, "judge_steps": 10, "learning_rate": 1e-2}
    return parse_flat(RecurrentConfig, {**small, **steps, "precision": "float32", **given}, "test")


def _train(folder: Path, out: str = "run", **given: object) -> Path:
    text, dev = _grammar(folder / "text", 150, 1), _grammar(folder / "dev", 40, 2)
    return train_recurrent(_config(**given), [text], dev, None, folder / out, CPU)


def _weights(model: Path) -> bytes:
    return (model / "model.safetensors").read_bytes()


@pytest.mark.parametrize("unit", ["word", "char"])
def test_it_learns_what_a_bigram_cannot(tmp_path: Path, unit: str) -> None:
    lm = load_recurrent(_train(tmp_path, unit=unit, epochs=20 if unit == "word" else 30))
    # Two bits for four words and the end of the sentence; a bigram never knows which word is the one to repeat.
    assert lm.perplexity(["a b b z", "a e e z"]).per_word == pytest.approx(4 ** (1 / 5), rel=0.03)
    right, wrong = lm.score([["a", "c", "c", "z"], ["a", "c", "d", "z"]])
    assert right > wrong + 3
    assert lm.trained["dev_perplexity"] == pytest.approx(4 ** (1 / 5), rel=0.03)


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
@pytest.mark.parametrize("cell", get_args(Cell))
@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16"])
def test_every_switch_trains(tmp_path: Path, softmax: str, cell: str, precision: str) -> None:
    text = tmp_path / "text"
    text.write_text("".join(f"{word} is a word\n" for word in _NUMBERS * 9))
    config = _config(softmax=softmax, cell=cell, precision=precision, layers=2, dropout=0.1, epochs=3)
    lm = load_recurrent(train_recurrent(config, [text], text, None, tmp_path / "run", CPU))
    first = json.loads((tmp_path / "run" / "history.jsonl").read_text().splitlines()[0])
    assert lm.trained["dev_perplexity"] < min(first["dev_perplexity"], 9)


def test_a_run_that_was_killed_ends_in_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _train(tmp_path, "whole", dropout=0.2)
    step = LmTrainer.step

    def killed(self: LmTrainer, batch: np.ndarray, done: float) -> None:
        if self.progress.step == 37:
            raise MemoryError
        step(self, batch, done)

    monkeypatch.setattr(LmTrainer, "step", killed)
    with pytest.raises(MemoryError):
        _train(tmp_path, "killed", dropout=0.2)
    assert not (tmp_path / "killed" / "model").exists()
    monkeypatch.setattr(LmTrainer, "step", step)
    assert _weights(_train(tmp_path, "killed", dropout=0.2)) == _weights(whole)


def test_ctrl_c_saves_the_state_and_the_same_command_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _train(tmp_path, "whole")
    step = LmTrainer.step

    def interrupted(self: LmTrainer, batch: np.ndarray, done: float) -> None:
        step(self, batch, done)
        if self.progress.step == 23:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(LmTrainer, "step", interrupted)
    with pytest.raises(Stopped, match="stopped after step 23; the same command goes on"):
        _train(tmp_path, "stopped")
    monkeypatch.setattr(LmTrainer, "step", step)
    forget(tmp_path / "stopped", "cell")  # nor does it matter that a key came only after it was stopped
    assert _weights(_train(tmp_path, "stopped")) == _weights(whole)


def test_a_limit_of_minutes_ends_the_run_and_its_learning_rate(tmp_path: Path) -> None:
    model = _train(tmp_path, minutes=0.01, epochs=1000, judge_steps=1_000_000)
    last = json.loads((tmp_path / "run" / "history.jsonl").read_text().splitlines()[-1])
    assert load_recurrent(model).trained["train_minutes"] == pytest.approx(0.01, abs=0.01)
    assert last["learning_rate"] < 0.1 * 1e-2


def test_the_best_weights_are_kept_not_the_last(tmp_path: Path) -> None:
    # So few sentences are learned by heart, and the dev text's perplexity turns up.
    chance = random.Random(5)
    for name, count in (("text", 12), ("dev", 60)):
        lines = (" ".join(chance.choices("bcdefgh", k=6)) + "\n" for _ in range(count))
        (tmp_path / name).write_text("".join(lines))
    config = _config(epochs=400, patience=6, judge_steps=5)
    lm = load_recurrent(train_recurrent(config, [tmp_path / "text"], tmp_path / "dev", None, tmp_path / "run", CPU))
    history = [json.loads(line)["dev_perplexity"] for line in (tmp_path / "run" / "history.jsonl").open()]
    assert len(history) - 1 - history.index(min(history)) == 6
    assert lm.trained["dev_perplexity"] == pytest.approx(min(history), abs=1e-3)
    assert lm.perplexity((tmp_path / "dev").read_text().splitlines()).per_word == pytest.approx(min(history))


def test_a_finished_run_is_not_trained_again_and_another_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _weights(_train(tmp_path))
    assert _weights(_train(tmp_path)) == before
    assert "is trained already" in capsys.readouterr().out
    forget(tmp_path / "run", "cell")  # as if it had been trained before that key existed
    assert _weights(_train(tmp_path)) == before
    assert "is trained already" in capsys.readouterr().out
    with pytest.raises(AsrError, match=r"trained with another config \(hidden is 25 here, 24 there\); train"):
        _train(tmp_path, hidden=25)


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with alone_in(tmp_path / "run"), pytest.raises(AsrError, match="another run is at work in it"):
        _train(tmp_path)


def test_tokens_of_an_acoustic_model(tmp_path: Path) -> None:
    tokenizer = Tokenizer("char", ["<blank>", "<space>", *"abcdez"])
    acoustic = AcousticModel(tiny_config("features.cmvn=none", "tokens.kind=char"), len(tokenizer))
    save_model(tmp_path / "acoustic", acoustic, tokenizer, {}, "card")
    text = _grammar(tmp_path / "text", 30, 1)
    config = _config(unit="token", epochs=1)
    model = train_recurrent(config, [text], text, tmp_path / "acoustic", tmp_path / "run", CPU)
    assert load_recurrent(model).units.tokenizer.symbols == tokenizer.symbols
    (tmp_path / "other").write_text("a b q z\n")
    with pytest.raises(AsrError, match=r"other: 'a b q z': no token for 'q'"):
        train_recurrent(config, [text], tmp_path / "other", tmp_path / "acoustic", tmp_path / "other-run", CPU)
    for wrong, tokens in (("word", tmp_path / "acoustic"), ("token", None)):
        with pytest.raises(UsageError, match="unit=token needs --tokens"):
            train_recurrent(_config(unit=wrong), [text], text, tokens, tmp_path / "wrong", CPU)


def test_a_step_that_diverges_changes_nothing_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = LmTrainer.loss

    def broken(self: LmTrainer, batch: np.ndarray) -> tuple[torch.Tensor, int]:
        found, units = loss(self, batch)
        return found * (math.nan if self.progress.step == 3 else 1), units

    monkeypatch.setattr(LmTrainer, "loss", broken)
    with pytest.raises(AsrError, match=r"step 4: the loss or its gradient is not finite at a learning rate of 0.0079"):
        _train(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("text", b"", "holds no words"),
        ("text", b"a \xff b\n", "text:1: not UTF-8"),
        ("text", None, "text: could not be read"),
        ("dev", b"\n \n", "dev: holds no sentence"),
    ],
)
def test_texts_that_cannot_be_used(tmp_path: Path, name: str, content: bytes | None, told: str) -> None:
    paths = {"text": _grammar(tmp_path / "text", 9, 1), "dev": _grammar(tmp_path / "dev", 9, 1)}
    paths[name].unlink()
    if content is not None:
        paths[name].write_bytes(content)
    with pytest.raises(AsrError, match=told):
        train_recurrent(_config(), [paths["text"]], paths["dev"], None, tmp_path / "run", CPU)


def test_the_command(tmp_path: Path) -> None:
    app = Typer()
    app.command()(train_lstm)
    text = _grammar(tmp_path / "text", 20, 1)
    files = ["--text", str(text), "--dev", str(text), "--out", str(tmp_path / "run"), "--threads", "1"]
    done = CliRunner().invoke(app, [*files, "unit=word", "hidden=16", "embedding=16", "minutes=0", "epochs=1"])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == f"model: {tmp_path / 'run' / 'model'}"
    wrong = CliRunner().invoke(app, [*files, "hiden=16"])
    assert isinstance(wrong.exception, UsageError)
    assert "did you mean 'hidden'" in str(wrong.exception)


@given(lengths=st.lists(st.integers(0, 12), min_size=1, max_size=20), longest=st.integers(2, 5))
@settings(max_examples=60, deadline=None)
def test_spans_predict_every_unit_and_every_end_once(lengths: list[int], longest: int) -> None:
    ids = np.array([EDGE] + [one for length in lengths for one in [*range(1, length + 1), EDGE]])
    found = spans(ids, longest)
    predicted = np.concatenate([np.arange(first + 1, last + 1) for first, last in found])
    assert predicted.tolist() == list(range(1, len(ids)))
    assert (found[:, 1] - found[:, 0]).max() <= longest
    whole = {tuple(ids[first : last + 1]) for first, last in found}
    assert all((EDGE, *range(1, length + 1), EDGE) in whole for length in lengths if length < longest)


def test_early_stopping_counts_looks_since_the_best() -> None:
    history = [{"dev_perplexity": found} for found in (9.0, 5.0, 6.0, 5.0, 7.0)]
    assert stop_early(history, 3)
    assert not stop_early(history, 4)
    assert not stop_early(history, 0)
    assert not stop_early([], 1)
