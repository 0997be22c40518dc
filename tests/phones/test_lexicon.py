"""Words become phones and back: lookup, the tokenizer, its files, training on them and decoding by a lexicon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from asr.config import TokenConfig, read_config
from asr.doctor.examine import examine
from asr.doctor.sets import read_sets
from asr.errors import AsrError, UsageError
from asr.files import read_text, sha256, write_text
from asr.lm.fit import check_fit
from asr.lm.kneser_ney import estimate
from asr.manifest import Utterance, read_manifest, write_manifest
from asr.model.acoustic import load_model
from asr.phones.lexicon import phone_tokenizer, pronounce, shares
from asr.tokens import BLANK, Tokenizer, load_tokenizer, train_tokenizer
from asr.train.setup import Trained, train_model
from tests.tones import asr, tiny_config, write_tones

TONES = Path(__file__).parent / "tones.txt"
PHONES = ("tokens.kind=phone", f"tokens.dictionary={TONES}")


@pytest.fixture
def tokenizer() -> Tokenizer:
    return train_tokenizer(TokenConfig(kind="phone", dictionary=str(TONES)), ["do re", "mi"])


def test_transcripts_are_spelled_by_the_first_pronunciation(tokenizer: Tokenizer) -> None:
    assert tokenizer.symbols == ["<blank>", "AA", "D", "EY", "F", "IY", "M", "OW", "R"]  # of the whole dictionary
    ids = tokenizer.encode(" re  do ")
    assert tokenizer.decode(ids) == "R EY D OW"
    assert tokenizer.words(ids) == [("R", [0]), ("EY", [1]), ("D", [2]), ("OW", [3])]
    assert tokenizer.encode("") == []
    assert BLANK not in ids
    assert tokenizer.lexicon == {"do": [("D", "OW")], "re": [("R", "EY"), ("R", "IY")], "mi": [("M", "IY")]}


def test_a_word_without_a_pronunciation_is_named(tokenizer: Tokenizer) -> None:
    assert tokenizer.unknown("sol do la sol") == ["la", "sol"]
    with pytest.raises(AsrError, match="'do sol': no pronunciation for 'sol'"):
        tokenizer.encode("do sol")
    found = pronounce(["do", "sol", "sol"], TONES, None, stress=False)
    assert found.missing == {
        "sol": f"{TONES} has no pronunciation for 'sol', and no grapheme-to-phoneme model is named"
    }
    assert list(found.words) == ["do"]


def test_stress_makes_phones_of_their_own() -> None:
    found = pronounce(["do"], TONES, None, stress=True)
    assert found.words == {"do": [("D", "OW1")]}
    assert phone_tokenizer(found).symbols[1:] == ["AA1", "D", "EY1", "F", "IY1", "M", "OW1", "R"]


def test_shares_are_of_words_and_of_running_words() -> None:
    found = pronounce(["do", "sol", "re"], TONES, None, stress=False)
    assert shares(found, ["do do sol", "re"]) == {
        "g2p_words": 0.0,
        "g2p_running_words": 0.0,
        "missing_words": 33.333,
        "missing_running_words": 25.0,
    }


def test_its_files_hold_all_of_it(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(tokenizer.files) == ["lexicon.txt", "tokens.txt"]
    loaded = load_tokenizer(tmp_path, "phone")
    assert (loaded.symbols, loaded.lexicon, loaded.kind) == (tokenizer.symbols, tokenizer.lexicon, "phone")
    write_text(tmp_path / "lexicon.txt", "do D OW\nsol S OW\n")
    with pytest.raises(AsrError, match=r"lexicon\.txt: 'sol' is said with 'S', which .*tokens\.txt lacks"):
        load_tokenizer(tmp_path, "phone")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["tokens.kind=phone"], "kind=phone needs a pronouncing dictionary: say which with tokens.dictionary=FILE"),
        (["tokens.dictionary=cmudict"], "this is kind=char, so dictionary would mean nothing: give kind=phone"),
        (["tokens.kind=word", "tokens.stress=true"], "this is kind=word"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(overrides: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_config(None, overrides)


def test_a_model_of_words_needs_a_lexicon_beside_phones(tokenizer: Tokenizer) -> None:
    with pytest.raises(AsrError, match=r"lm: a model of words, and the acoustic model writes phones; .* asr lexicon"):
        check_fit(tokenizer, estimate(iter(["do re mi"]), 2), "lm")
    phones = estimate(iter(["D OW R EY M IY", "F AA"]), 2, "token")
    assert check_fit(tokenizer, phones, "lm") == 1.0


def test_the_doctor_names_words_that_nobody_can_pronounce(tmp_path: Path) -> None:
    write_tones(tmp_path, "test", 3, seed=1)
    manifest = write_tones(tmp_path, "train", 3, seed=1)
    _change(manifest, "train-001", "do sol")
    _change(tmp_path / "test.jsonl", "test-001", "la re")
    sets = read_sets([manifest, tmp_path / "test.jsonl"])
    found = examine(sets, tiny_config(*PHONES), "tiny", None)
    told = {one.says for finding in found.findings if finding.check == "tokens" for one in finding.items}
    assert told == {"'sol' in 'do sol'", "'la' in 'la re'"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tones and a model of their phones."""
    folder = tmp_path_factory.mktemp("phones")
    manifests = (write_tones(folder, "train", 48, seed=1), write_tones(folder, "dev", 12, seed=2))
    write_tones(folder, "test", 12, seed=3)
    config = tiny_config(*PHONES, "encoder.subsampling.factor=2", "train.epochs=20")
    trained = train_model(config, "tiny", *manifests, folder / "run", torch.device("cpu"))
    assert trained.failed == {}
    assert trained.trained["dev"]["dev_wer"] == 0
    return folder


@pytest.mark.slow
def test_a_model_of_phones_decodes_words_by_its_lexicon(run: Path, tmp_path: Path) -> None:
    model, lexicon, test = run / "run" / "model", tmp_path / "lexicon.txt", run / "test.jsonl"
    recogniser = load_model(model)
    assert recogniser.trained["pronunciations"]["train"]["g2p_words"] == 0
    assert "lexicon.txt" in read_text(model / "SHA256SUMS")
    write_text(tmp_path / "words.txt", "do re mi fa\n")
    made = asr("lexicon", "--dictionary", TONES, "--words", tmp_path / "words.txt", "--out", lexicon)
    assert made.returncode == 0, made.stderr
    assert read_text(lexicon) == "do D OW\nre R EY\nre R IY\nmi M IY\nfa F AA\n"
    done = asr("decode", "--model", model, "--manifest", test, "--lexicon", lexicon, "--out", tmp_path / "beam")
    assert done.returncode == 0, done.stderr
    assert "note: a model of phones" not in done.stderr
    lines = [json.loads(line) for line in read_text(tmp_path / "beam" / "hyp.jsonl").splitlines()]
    assert [line["text"] for line in lines] == [one.text for one in read_manifest(test)]

    greedy = asr("decode", "--model", model, "--manifest", test, "--out", tmp_path / "greedy")
    assert greedy.returncode == 0
    assert greedy.stderr.count("note: a model of phones, so phones are what is written") == 1
    lines = [json.loads(line) for line in read_text(tmp_path / "greedy" / "hyp.jsonl").splitlines()]
    first = read_manifest(test)[0].text
    assert lines[0]["text"] == recogniser.tokenizer.decode(recogniser.tokenizer.encode(first))


def test_the_lexicon_is_part_of_the_model(run: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for path in (run / "run" / "model").iterdir():
        (model / path.name).write_bytes(path.read_bytes())
    write_text(model / "lexicon.txt", read_text(model / "lexicon.txt").replace("do D OW", "do R EY"))
    with pytest.raises(AsrError, match=r"lexicon\.txt: was altered since the model was saved"):
        load_model(model)
    sums = [line for line in read_text(model / "SHA256SUMS").splitlines() if "lexicon" not in line]
    write_text(model / "SHA256SUMS", "\n".join(sums) + "\n")
    with pytest.raises(AsrError, match=r"holds no sum of lexicon\.txt"):
        load_model(model)


def _change(manifest: Path, name: str, text: str) -> None:
    utterances = read_manifest(manifest)
    write_manifest(
        manifest, [Utterance(one.id, one.audio, one.duration, text) if one.id == name else one for one in utterances]
    )


def _train(folder: Path, *overrides: str) -> Trained:
    config = tiny_config(*PHONES, "train.epochs=1", "train.average=1", *overrides)
    return train_model(
        config, "tiny", folder / "train.jsonl", folder / "dev.jsonl", folder / "run", torch.device("cpu")
    )


def test_an_utterance_whose_word_nobody_can_pronounce_is_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_tones(tmp_path, "train", 101, seed=1)
    write_tones(tmp_path, "dev", 4, seed=2)
    _change(manifest, "train-003", "do sol")
    trained = _train(tmp_path)
    assert trained.failed == {"train-003": "train-003: no pronunciation for 'sol'"}
    printed = capsys.readouterr().out
    assert f"no pronunciation: {TONES} has no pronunciation for 'sol', and no" in printed
    assert "train: left out: train-003: no pronunciation for 'sol'" in printed
    assert "without a pronunciation 20.00 %" in printed
    assert "dev PER %" in printed
    assert "phone error rate" in read_text(trained.model / "MODEL_CARD.md")
    assert load_model(trained.model).trained["pronunciations"]["train"]["missing_words"] == 20


def test_too_many_such_utterances_stop_the_training(tmp_path: Path) -> None:
    manifest = write_tones(tmp_path, "train", 12, seed=1)
    write_tones(tmp_path, "dev", 4, seed=2)
    _change(manifest, "train-003", "do sol")
    with pytest.raises(AsrError, match="1 of 12 utterances cannot be used, more than 1%: train-003: no pronunciation"):
        _train(tmp_path)


def test_another_dictionary_is_another_run(tmp_path: Path) -> None:
    write_tones(tmp_path, "train", 12, seed=1)
    write_tones(tmp_path, "dev", 4, seed=2)
    dictionary = tmp_path / "dictionary.txt"
    dictionary.write_bytes(TONES.read_bytes())
    before = sha256(_train(tmp_path, f"tokens.dictionary={dictionary}").model / "model.safetensors")
    dictionary.write_text(dictionary.read_text() + "LA  L AA1\n")
    with pytest.raises(AsrError, match="another pronouncing dictionary"):
        _train(tmp_path, f"tokens.dictionary={dictionary}")
    assert sha256(tmp_path / "run" / "model" / "model.safetensors") == before
