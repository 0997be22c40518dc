"""A toy language that letters spell by rules: learned exactly, the same after a kill, the same in any batch."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.errors import AsrError, UsageError
from asr.files import alone_in, read_text, sha256, write_text
from asr.flat_config import parse_flat
from asr.phones import train_g2p as training
from asr.phones.dictionary import Pronunciations, read_dictionary, split
from asr.phones.g2p import G2p, G2pConfig, G2pModel, load_g2p, phone_tokens
from asr.phones.lexicon import pronounce
from asr.phones.train_g2p import judge, make_material, train_g2p
from asr.train.loop import Stopped
from tests.marks import forget

CPU = torch.device("cpu")
SOUNDS = {
    "ch": "CH", "sh": "SH", "th": "TH", "a": "AA", "b": "B", "d": "D", "e": "EH", "k": "K", "m": "M", "n": "N",
    "o": "OW", "p": "P", "s": "S", "t": "T", "x": "K S",
}  # fmt: skip
TOY = {"layers": 1, "hidden": 48, "embedding": 16, "epochs": 10, "learning_rate": 0.01, "batch_letters": 256}
EXACT = {**TOY, "warmup_steps": 10, "precision": "float32", "dropout": 0.0}


def _said(word: str) -> str:
    return " ".join(SOUNDS.get(letters, "") for letters in re.findall("ch|sh|th|.", word))


def _dictionary(folder: Path, words: int) -> Path:
    random = np.random.default_rng(1)
    spelled = {"".join(random.choice(list(SOUNDS), random.integers(2, 6))) for _ in range(words)}
    path = folder / "toy.txt"
    write_text(path, "".join(f"{word}  {_said(word)}\n" for word in sorted(spelled)))
    return path


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the toy language's dictionary and a model of it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("toy")
    train_g2p(G2pConfig(**EXACT), _dictionary(folder, 1500), folder / "run", CPU)
    return folder


def test_it_learns_the_rules_exactly(toy: Path) -> None:
    result = json.loads(read_text(toy / "run" / "result.json"))
    assert (result["test_wer"], result["test_per"], result["dev_wer"]) == (0, 0, 0)
    assert result["test_wer_low"] == 0 < result["test_wer_high"]  # no errors in few words are not a proof
    held_out = [word for word in read_dictionary(toy / "toy.txt") if split(word) == "test"]
    assert result["test_words"] == len(held_out) > 40
    g2p = load_g2p(toy / "run" / "model")
    unheard = ["chashexth", "xoxo", "thekash"]
    assert [" ".join(found[0].phones) for found in g2p.pronounce(unheard)] == [_said(word) for word in unheard]


def test_the_n_best_are_ranked_and_differ_and_their_probabilities_are_at_most_all(toy: Path) -> None:
    found = load_g2p(toy / "run" / "model").pronounce(["shath"], nbest=5)[0]
    assert 1 < len(found) <= 5
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert len({one.phones for one in found}) == len(found)
    assert all(one.phones for one in found)
    assert 0.5 < np.exp(scores).sum() <= 1 + 1e-6


def test_no_word_changes_for_the_others(toy: Path) -> None:
    g2p = load_g2p(toy / "run" / "model")
    words = ["a", "shathexkom", "bed", "oxoxoxoxox", "TH"]
    together = g2p.pronounce(words, nbest=3)
    for word, found in zip(words, together, strict=True):
        alone = g2p.pronounce([word], nbest=3)[0]
        assert [one.phones for one in alone] == [one.phones for one in found]
        assert [one.score for one in alone] == pytest.approx([one.score for one in found], abs=1e-5)


def test_letters_it_never_read_are_named_and_case_is_not_asked_for(toy: Path) -> None:
    g2p = load_g2p(toy / "run" / "model")
    assert g2p.pronounce(["zoo", "", "BED"])[:2] == [[], []]
    assert g2p.foreign("Zoóz") == ["Z", "z", "ó"]
    assert g2p.pronounce(["BED"]) == g2p.pronounce(["bed"])


def test_words_that_the_dictionary_lacks_come_of_the_model(toy: Path) -> None:
    assert "xoxoxo" not in read_dictionary(toy / "toy.txt")
    known = next(iter(read_dictionary(toy / "toy.txt")))
    found = pronounce([known, "xoxoxo", "zoo"], toy / "toy.txt", toy / "run" / "model", stress=False)
    assert found.words["xoxoxo"] == [tuple(_said("xoxoxo").split())]
    assert found.guessed == {"xoxoxo"}
    assert list(found.missing) == ["zoo"]
    assert "has never read 'z'" in found.missing["zoo"]
    assert set(found.words) == {known, "xoxoxo"}


def test_a_model_of_other_phones_than_the_dictionarys_is_refused(toy: Path, tmp_path: Path) -> None:
    write_text(tmp_path / "other.txt", "a AA\nb B\n")
    with pytest.raises(AsrError, match=r"writes phones that .*other\.txt lacks, such as CH, D, EH, K, M; train it on"):
        pronounce(["x"], tmp_path / "other.txt", toy / "run" / "model", stress=False)


def test_a_run_that_was_stopped_ends_in_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dictionary = _dictionary(tmp_path, 400)
    config = G2pConfig(**{**EXACT, "epochs": 2, "dropout": 0.2})
    whole = train_g2p(config, dictionary, tmp_path / "whole", CPU)
    step = training.G2pTrainer.step

    def stops(trainer: training.G2pTrainer, batch: np.ndarray, part: float) -> None:
        step(trainer, batch, part)
        if trainer.progress.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(training.G2pTrainer, "step", stops)
    with pytest.raises(Stopped, match="stopped in epoch 1; the same command goes on from there"):
        train_g2p(config, dictionary, tmp_path / "parts", CPU)
    monkeypatch.setattr(training.G2pTrainer, "step", step)
    forget(tmp_path / "parts", "rare")  # as if it had been stopped before that key existed
    capsys.readouterr()
    parts = train_g2p(config, dictionary, tmp_path / "parts", CPU)
    assert "resuming after 0 epochs and 3 steps" in capsys.readouterr().out
    assert sha256(parts / "model.safetensors") == sha256(whole / "model.safetensors")
    forget(tmp_path / "parts", "rare")
    train_g2p(config, dictionary, tmp_path / "parts", CPU)
    assert "is trained already" in capsys.readouterr().out
    with pytest.raises(AsrError, match=r"trained with another config \(seed is 2 here, 1 there\); train"):
        train_g2p(config.model_copy(update={"seed": 2}), dictionary, tmp_path / "parts", CPU)


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with alone_in(tmp_path / "run"), pytest.raises(AsrError, match="another run is at work in it"):
        train_g2p(G2pConfig(**EXACT), _dictionary(tmp_path, 300), tmp_path / "run", CPU)


@pytest.mark.parametrize("option", ["layers=2", "frames=5", "stress=true", "rare=0", "precision=bfloat16"])
def test_every_switch_trains(option: str, tmp_path: Path) -> None:
    key, _, value = option.partition("=")
    config = parse_flat(G2pConfig, {**EXACT, "epochs": 1, key: value}, option, strict=False)
    model = train_g2p(config, _dictionary(tmp_path, 300), tmp_path / "run", CPU)
    loaded = load_g2p(model)
    assert loaded.model.config == config
    torch.manual_seed(config.seed)
    drawn = G2pModel(config, len(loaded.letters), len(loaded.phones)).state_dict()
    for name, parameter in loaded.model.named_parameters():
        assert not torch.equal(parameter, drawn[name]), name


def test_all_pronunciations_of_a_word_are_on_one_side_and_rare_letters_are_left_out() -> None:
    dictionary: Pronunciations = {f"ba{'ab' * number}": [("B",), ("AA",)] for number in range(200)}
    dictionary["ça"] = [("S",)]
    material = make_material(dictionary, G2pConfig(rare=20), "toy")
    assert material.letters == "ab"
    assert material.left_out == 1
    assert len(material.train) + 2 * (len(material.dev) + len(material.test)) == 2 * 200
    assert {split(word) for word in material.dev} == {"dev"}
    assert {split(word) for word in material.test} == {"test"}


def test_pronunciations_too_long_for_their_letters_are_an_error_if_there_are_many() -> None:
    long: Pronunciations = {f"a{'a' * (number % 7)}{'b' * number}": [("B",) * 400] for number in range(100)}
    with pytest.raises(AsrError, match=r"pronunciations need more than 2 frames a letter, as .* raise frames"):
        make_material(long, G2pConfig(rare=1, frames=2), "toy")


def test_a_dictionary_of_few_words_is_refused() -> None:
    with pytest.raises(AsrError, match="toy: 1 words are too few to learn from"):
        make_material({"a": [("AA",)]}, G2pConfig(), "toy")


def test_a_word_is_right_if_it_equals_any_of_its_pronunciations(toy: Path) -> None:
    g2p = load_g2p(toy / "run" / "model")
    judged = judge(g2p, {"bed": [("D",), ("B", "EH", "D")], "shop": [("SH", "OW", "P", "P")], "zoo": [("S", "OW")]})
    assert judged.phone_errors.tolist() == [0, 1, 2]
    assert judged.phones.tolist() == [3, 4, 2]
    assert judged.word_rate == pytest.approx(200 / 3)
    assert judged.phone_rate == pytest.approx(300 / 9)


def test_a_wrong_key_or_folder_is_told(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="hiden=3: there is no key 'hiden'; did you mean 'hidden'"):
        parse_flat(G2pConfig, {"hiden": "3"}, "hiden=3", strict=False)
    with pytest.raises(AsrError, match="there is no such model folder"):
        load_g2p(tmp_path / "none")
    for path in (toy / "run" / "model").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write_text(tmp_path / "config.yaml", "recurrent: {}\n")
    names = ["config.yaml", "model.safetensors", "tokens.txt"]
    write_text(tmp_path / "SHA256SUMS", "".join(f"{sha256(tmp_path / name)}  {name}\n" for name in names))
    with pytest.raises(AsrError, match="not the config of a grapheme-to-phoneme model"):
        load_g2p(tmp_path)


def test_an_empty_guess_is_no_pronunciation() -> None:
    config = G2pConfig(layers=1, hidden=4)
    model = G2pModel(config, 1, 3).eval()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([9.0, 0, 0]).repeat(config.frames))  # the blank
    found = G2p(model, "a", phone_tokens(["A", "B"]), {}).pronounce(["a"], nbest=2)[0]
    assert found
    assert all(one.phones for one in found)
