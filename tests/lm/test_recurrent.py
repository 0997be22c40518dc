"""The recurrent language model against sums over its vocabulary, single sentences, and its own folder."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from asr.errors import AsrError, UsageError
from asr.flat_config import parse_flat
from asr.lm.recurrent import (
    RecurrentConfig,
    RecurrentLm,
    RecurrentModel,
    load_recurrent,
    save_recurrent,
    score_ids,
)
from asr.lm.units import EDGE, Units, learn_units
from asr.model.acoustic import AcousticModel, save_model
from asr.model.config import Cell
from asr.tokens import Tokenizer
from tests.tones import tiny_config


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


_WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "under",
    "mat",
    "tree",
    "and",
    "then",
    "it",
    "was",
    "late",
    "so",
    "they",
    "went",
    "home",
    "again",
]


def _sentences(count: int, longest: int, seed: int = 0) -> list[list[str]]:
    chance = random.Random(seed)
    return [chance.choices(_WORDS, k=chance.randint(0, longest)) for _ in range(count)]


def _text(path: Path, count: int = 300, seed: int = 1) -> Path:
    path.write_text("".join(" ".join(words) + "\n" for words in _sentences(count, 12, seed)))
    return path


def _lm(units: Units, seed: int = 3, **settings: object) -> RecurrentLm:
    """An untrained model with weights large enough that every unit has its own probability."""
    config = parse_flat(RecurrentConfig, {"hidden": 16, "embedding": 16, **settings}, "test")
    torch.manual_seed(seed)
    model = RecurrentModel(config, len(units))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return RecurrentLm(model.eval(), units, {}, "")


def _word_units(count: int = len(_WORDS)) -> Units:
    return Units(Tokenizer("word", ["<blank>", "<unk>", *_WORDS[:count]]))


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
@pytest.mark.parametrize("cell", get_args(Cell))
@pytest.mark.parametrize("layers", [1, 2])
def test_the_probabilities_of_all_continuations_sum_to_one(softmax: str, cell: str, layers: int) -> None:
    lm = _lm(_word_units(10), softmax=softmax, cell=cell, layers=layers)
    for history in ([], [3], [2, 5, 11, 1]):
        # The last unit's own probability is the difference between two prefixes' sums.
        whole = score_ids(lm.model, [np.array([EDGE, *history, last]) for last in range(len(lm.units))])
        before = score_ids(lm.model, [np.array([EDGE, *history])])[0] if history else 0.0
        assert np.exp(whole - before).sum() == pytest.approx(1, abs=1e-5)


def test_a_sentence_is_the_product_of_its_words_and_its_end() -> None:
    lm = _lm(_word_units())
    words = ["the", "cat", "sat"]
    ids = [EDGE, *lm.units.encode(words), EDGE]
    total = 0.0
    for end in range(1, len(ids)):
        with torch.inference_mode():
            rows = lm.model(torch.tensor([ids[:end]]))[0, -1]
            logits = lm.model.embedding.weight @ rows + lm.model.bias
        total += float(logits.log_softmax(0)[ids[end]])
    assert lm.score([words])[0] == pytest.approx(total, abs=1e-5)


def test_the_adaptive_softmax_is_torchs() -> None:
    lm = _lm(_word_units(), softmax="adaptive")
    rows, targets = torch.randn(200, 16), torch.randint(0, len(lm.units), (200,))
    assert lm.model.adaptive is not None
    theirs = lm.model.adaptive(rows, targets).output
    assert torch.allclose(lm.model.target_log_probs(rows, targets), theirs, atol=1e-5)


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
@pytest.mark.parametrize("cell", get_args(Cell))
def test_a_score_does_not_depend_on_the_rest_of_the_batch(softmax: str, cell: str) -> None:
    lm = _lm(_word_units(), softmax=softmax, cell=cell)
    sentences = _sentences(40, 60)
    alone = np.concatenate([lm.score([words]) for words in sentences])
    units = np.array([len(words) + 1 for words in sentences])
    assert np.abs((lm.score(sentences) - alone) / units).max() < 1e-5
    assert np.abs(lm.score(sentences[::-1])[::-1] - alone).max() < 1e-5 * units.max()


def test_many_sentences_need_several_batches_and_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = _lm(_word_units())
    sentences = _sentences(50, 9)
    whole = lm.score(sentences)
    monkeypatch.setattr("asr.lm.recurrent._BATCH_UNITS", 20)
    monkeypatch.setattr("asr.lm.recurrent._SOFTMAX_ROWS", 3)
    assert lm.score(sentences) == pytest.approx(whole, abs=1e-4)
    assert lm.score([]).shape == (0,)


def test_total_probability_of_short_sentences_is_below_one() -> None:
    lm = _lm(_word_units(4))
    known = [*_WORDS[:4], "<unk>"]
    sentences = [list(words) for length in range(4) for words in itertools.product(known, repeat=length)]
    assert 0 < np.exp(lm.score(sentences)).sum() < 1


def test_perplexity_is_per_word_and_end_of_sentence_whatever_the_units() -> None:
    lm = _lm(Units(Tokenizer("char", ["<blank>", "<space>", *"abc"])))
    found = lm.perplexity(["ab c", "", "  cab  "])
    assert (found.sentences, found.words, found.unknown) == (2, 3, 0)
    log_prob = lm.score([["ab", "c"], ["cab"]]).sum()
    assert found.per_word == pytest.approx(math.exp(-log_prob / 5))


def test_words_outside_the_vocabulary_are_counted_and_penalised() -> None:
    lm = _lm(_word_units(5))
    assert lm.perplexity(["the zebra sat", "the cat"]).unknown == 1
    plain, penalised = (lm.score([["the", "zebra", "yak"], ["the"]], unknown) for unknown in (0.0, -3.0))
    assert penalised - plain == pytest.approx([-6, 0])
    assert plain[0] == pytest.approx(lm.score([["the", "<unk>", "<unk>"]])[0])


def test_units_of_every_kind_write_the_text_they_came_from(tmp_path: Path) -> None:
    text = _text(tmp_path / "text")
    for unit, size in (("word", 100), ("piece", 40), ("char", 4)):
        units = learn_units(unit, size, [text])
        for words in _sentences(20, 8):
            assert units.tokenizer.decode(units.encode(words)) == " ".join(words)
            assert EDGE not in units.encode(words)
            assert units.count_unknown(words) == 0


def test_pieces_word_by_word_are_the_pieces_of_the_sentence(tmp_path: Path) -> None:
    units = learn_units("piece", 40, [_text(tmp_path / "text")])
    for words in _sentences(50, 12):
        assert units.encode(words) == units.tokenizer.encode(" ".join(words))


def test_a_short_vocabulary_keeps_the_most_frequent_words(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("b b b a a c c d <unk> <unk> <unk> <unk> <blank>\n")
    units = learn_units("word", 5, [text])
    assert units.tokenizer.symbols == ["<blank>", "<unk>", "b", "a", "c"]
    assert units.encode(["d", "<unk>", "<blank>", "b"]) == [1, 1, 1, 2]
    assert units.count_unknown(["d", "<unk>", "<blank>", "b"]) == 3


def test_pieces_know_a_character_that_only_a_rare_sentence_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asr.lm.units._MOST_SENTENCES", 40)
    text = _text(tmp_path / "text")
    with text.open("a") as file:
        file.write("żółw ran\n")
    units = learn_units("piece", 45, [text])
    assert units.tokenizer.decode(units.encode(["żółw"])) == "żółw"


@pytest.mark.parametrize(
    ("unit", "softmax"), [("word", "adaptive"), ("word", "full"), ("piece", "auto"), ("char", "auto")]
)
def test_a_folder_gives_the_same_scores_as_the_model_that_was_saved(tmp_path: Path, unit: str, softmax: str) -> None:
    lm = _lm(learn_units(unit, 40, [_text(tmp_path / "text")]), softmax=softmax, unit=unit)
    save_recurrent(tmp_path / "model", lm.model, lm.units, {"steps": 7})
    loaded = load_recurrent(tmp_path / "model")
    sentences = _sentences(10, 10)
    assert (loaded.score(sentences) == lm.score(sentences)).all()
    assert loaded.trained == {"steps": 7}
    names = {path.name for path in (tmp_path / "model").iterdir()}
    tokens = "tokens.model" if unit == "piece" else "tokens.txt"
    assert names == {"config.yaml", "model.safetensors", tokens, "SHA256SUMS"}


def test_a_folder_that_was_altered_or_cut_short_is_refused(tmp_path: Path) -> None:
    lm = _lm(_word_units())
    folder = tmp_path / "model"
    save_recurrent(folder, lm.model, lm.units, {})
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-1])
    with pytest.raises(AsrError, match="altered"):
        load_recurrent(folder)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(AsrError, match="not a finished model folder"):
        load_recurrent(folder)


def test_an_acoustic_models_folder_is_no_language_model(tmp_path: Path) -> None:
    tokenizer = Tokenizer("char", ["<blank>", "a"])
    save_model(tmp_path, AcousticModel(tiny_config(), len(tokenizer)), tokenizer, {}, "card")
    with pytest.raises(AsrError, match="not the config of a recurrent language model"):
        load_recurrent(tmp_path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    lm = _lm(_word_units())
    with torch.no_grad():
        lm.model.bias[3] = math.nan
    save_recurrent(tmp_path, lm.model, lm.units, {})
    with pytest.raises(AsrError, match="bias holds values that are not finite"):
        load_recurrent(tmp_path)


def test_a_word_that_cannot_be_written_is_named() -> None:
    lm = _lm(Units(Tokenizer("char", ["<blank>", "<space>", *"abc"])))
    with pytest.raises(AsrError, match="no token for 'D'"):
        lm.score([["ab"], ["Da"]])


def test_config_mistakes_are_told() -> None:
    assert (
        parse_flat(RecurrentConfig, {"learning_rate": "1e-3", "layers": "2"}, "x", strict=False).learning_rate == 1e-3
    )
    with pytest.raises(UsageError, match="no key 'hiden'; did you mean 'hidden'"):
        parse_flat(RecurrentConfig, {"hiden": 3}, "settings")
    with pytest.raises(UsageError, match=r"settings: layers: .*seen: '0'"):
        parse_flat(RecurrentConfig, {"layers": "0"}, "settings", strict=False)
    with pytest.raises(UsageError, match="at least 10 units, there are 3"):
        RecurrentModel(parse_flat(RecurrentConfig, {"softmax": "adaptive"}, "x"), 3)
