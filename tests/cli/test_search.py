"""`asr decode` with language models: tuning, what is stored and used, and options that do not go together."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from asr.decode.settings import FILE
from asr.files import sha256, write_text
from asr.manifest import read_manifest, write_manifest
from asr.score.hypotheses import read_hypotheses
from asr.yaml_files import read_yaml
from tests.cli.decoding import call, decode, search, used
from tests.tones import Learned


def test_no_beam_wider_than_wished_is_stored(tones: Learned, tuned: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(tuned, folder)
    (folder / "model" / FILE).unlink()
    assert search(tones, folder, tones.dev, "--lm", tuned / "lm.safetensors", "--tune", "--beam", 5) == 0
    (stored,) = read_yaml(folder / "model" / FILE)["tunings"]
    assert stored["search"]["beam"] == 5


def test_from_transcripts_to_a_verified_comparison(
    tones: Learned, tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lm = tuned / "lm.safetensors"
    before = (tuned / "model" / FILE).read_bytes()
    assert search(tones, tuned, tones.dev, "--lm", lm, "--tune") == 0
    assert (tuned / "model" / FILE).read_bytes() == before
    printed = capsys.readouterr().out
    assert "12 of 12 utterances; greedy WER 0.00 %" in printed
    assert f"stored: {tuned / 'model' / FILE}" in printed
    assert search(tones, tuned, tones.test, "--lm", lm) == 0
    assert capsys.readouterr().err == "decoding\n"  # no note: the weights are tuned
    assert decode(tones, tones.test, tuned / "greedy") == 0
    hypotheses = tuned / "decode" / "hyp.jsonl"
    assert call("score", tones.test, hypotheses, "--against", tuned / "greedy" / "hyp.jsonl") == 0
    fields = json.loads((tuned / "decode" / "result.json").read_text())
    assert (fields["system"], fields["wer"], fields["against_wer"], fields["against_p"]) == ("beam+2gram", 0, 0, 1)
    stored = read_yaml(tuned / "model" / FILE)["tunings"][-1]["search"]
    assert fields["search"] == {key: value for key, value in stored.items() if value is not None}
    assert fields["search"]["lm_sha256"] == sha256(lm)
    receipt = tuned / "decode" / "result.json"
    assert call("verify", receipt) == 0
    assert "verified, every count is the same" in capsys.readouterr().out
    assert call("lm", "train", "--text", tones.dev, "--order", 2, "--out", lm) == 0
    assert call("verify", receipt) == 1
    assert "lm.safetensors: not the language model that these settings were" in capsys.readouterr().err
    # Decoding says the same, and tuning anew is the way out.
    assert search(tones, tuned, tones.test, "--lm", lm) == 1
    assert "tune and decode again" in capsys.readouterr().err
    assert search(tones, tuned, tones.dev, "--lm", lm, "--tune") == 0
    assert search(tones, tuned, tones.test, "--lm", lm) == 0


def test_words_of_a_search_lie_in_their_utterance_with_confidences(tones: Learned, tuned: Path) -> None:
    assert search(tones, tuned, tones.test, "--lm", tuned / "lm.safetensors") == 0
    lines = [json.loads(line) for line in (tuned / "decode" / "hyp.jsonl").read_text().splitlines()]
    assert [line["text"] for line in lines] == [one.text for one in read_manifest(tones.test)]
    for line, utterance in zip(lines, read_manifest(tones.test), strict=True):
        assert [word["word"] for word in line["words"]] == line["text"].split()
        for word in line["words"]:
            assert 0 <= word["start"] <= word["end"] <= utterance.duration
            assert 0 <= word["confidence"] <= 1


def test_tuned_weights_are_used_for_the_same_files_only(
    tones: Learned, tuned: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lm, stored = tuned / "lm.safetensors", read_yaml(tuned / "model" / FILE)
    stored["tunings"][0]["search"] |= {
        "lm_weight": 0.77,
        "word_bonus": 1.5,
        "hotwords": ["do re"],
        "beam": 9,
        "rescore_weight": 0.6,
    }
    write_text(tuned / "model" / FILE, json.dumps(stored))
    note = "note: no weights were tuned for this model with"

    def weights(*options: object) -> tuple[object, ...]:
        assert search(tones, tuned, tones.test, *options) == 0
        return tuple(used(tuned).get(name) for name in ("lm_weight", "word_bonus", "beam", "rescore_weight"))

    assert weights("--lm", lm) == (0.77, 1.5, 9, 0.6)
    assert used(tuned)["hotwords"] == []  # those tuned with are not asked for now
    monkeypatch.chdir(tuned / "model")
    assert weights("--lm", "../lm.safetensors") == (0.77, 1.5, 9, 0.6)
    assert note not in capsys.readouterr().err
    # What is given goes before what is stored, and a weight that is given is that of every language model.
    assert weights("--lm", lm, "--lm-weight", 1.25) == (1.25, 1.5, 9, None)
    assert weights("--lm", lm, "--beam", 4, "--hotwords", "mi fa, do") == (0.77, 1.5, 4, 0.6)
    assert used(tuned)["hotwords"] == ["mi fa", "do"]
    assert note not in capsys.readouterr().err
    # Another language model, or another vocabulary, keeps only times and confidences.
    other = tuned / "other.safetensors"
    shutil.copy(lm, other)
    for options in (("--lm", other), ("--lm", lm, "--closed-vocabulary")):
        assert weights(*options) == (0.5, 0.0, 16, None)
        assert note in capsys.readouterr().err
        assert used(tuned)["background"] == stored["tunings"][0]["search"]["background"]
        assert used(tuned)["temperature"] == stored["tunings"][0]["search"]["temperature"]


def test_a_closed_vocabulary_is_quoted_and_verified(
    tones: Learned, tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tuned / "few.txt"
    few.write_text("do re\nre do\n")
    lm = tuned / "few.safetensors"
    assert call("lm", "train", "--text", few, "--order", 2, "--out", lm) == 0
    assert search(tones, tuned, tones.test, "--lm", lm, "--closed-vocabulary") == 0
    hypotheses = read_hypotheses(tuned / "decode" / "hyp.jsonl")
    assert {word for one in hypotheses.values() for word in one.text.split()} == {"do", "re"}
    assert call("score", tones.test, tuned / "decode" / "hyp.jsonl") == 0
    receipt = tuned / "decode" / "result.json"
    fields = json.loads(receipt.read_text())
    assert (fields["system"], fields["search"]["closed"]) == ("beam+closed+2gram", True)
    assert fields["wer"] > 0
    assert call("verify", receipt) == 0
    receipt.write_text(json.dumps(fields | {"search": fields["search"] | {"closed": False}}))
    capsys.readouterr()
    assert call("verify", receipt) == 1
    assert "wer: the receipt says" in capsys.readouterr().out


def test_an_lstm_model_takes_part_from_tuning_to_the_receipt(
    tones: Learned, tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from asr.flat_config import parse_flat
    from asr.lm.recurrent import RecurrentConfig, RecurrentModel, save_recurrent
    from asr.lm.units import Units
    from asr.tokens import Tokenizer

    units = Units(Tokenizer("word", ["<blank>", "<unk>", "do", "fa", "mi", "re"]))
    config = parse_flat(RecurrentConfig, {"unit": "word", "hidden": 8, "embedding": 16}, "a test")
    lstm, lm = tuned / "lstm", tuned / "lm.safetensors"
    lstm.mkdir()
    save_recurrent(lstm, RecurrentModel(config, len(units)), units, {})
    assert search(tones, tuned, tones.test, "--lm", lm, "--rescore", lstm) == 0
    assert "note: no weights were tuned" in capsys.readouterr().err  # those that are were tuned without the LSTM
    assert search(tones, tuned, tones.dev, "--lm", lm, "--rescore", lstm, "--tune") == 0
    assert "LSTM's share " in capsys.readouterr().out
    stored = read_yaml(tuned / "model" / FILE)["tunings"][-1]["search"]
    assert stored["rescore_weight"] > 0
    assert search(tones, tuned, tones.test, "--lm", lm, "--rescore", lstm) == 0
    assert "note" not in capsys.readouterr().err
    assert used(tuned)["rescore_sha256"] == sha256(lstm / "SHA256SUMS") == stored["rescore_sha256"]
    assert call("score", tones.test, tuned / "decode" / "hyp.jsonl") == 0
    receipt = tuned / "decode" / "result.json"
    assert json.loads(receipt.read_text())["system"] == "beam+2gram+lstm"
    assert call("verify", receipt) == 0
    save_recurrent(lstm, RecurrentModel(config, len(units)), units, {"again": True})
    capsys.readouterr()
    assert call("verify", receipt) == 1
    assert "lstm: not the language model that these settings were tuned or quoted with" in capsys.readouterr().err


def test_tuning_names_what_it_leaves_out_and_ends_with_1(
    tones: Learned, tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tuned / "dev.jsonl"
    first, *others = read_manifest(tones.dev)
    write_manifest(manifest, [replace(first, audio=tuned / "gone.wav"), *others])
    (tuned / "model" / FILE).unlink()
    assert search(tones, tuned, manifest, "--lm", tuned / "lm.safetensors", "--tune") == 1
    seen = capsys.readouterr().err
    assert "gone.wav: there is no such file" in seen
    assert "1 utterances were not decoded; they were left out" in seen
    assert read_yaml(tuned / "model" / FILE)["tunings"][0]["manifest_sha256"] == sha256(manifest)


def test_tuning_does_not_mind_what_lies_there(tones: Learned, tuned: Path) -> None:
    stored = (tuned / "model" / FILE).read_bytes()
    write_text(tuned / "model" / FILE, "search: [")
    assert search(tones, tuned, tones.dev, "--lm", tuned / "lm.safetensors", "--tune") == 0
    assert (tuned / "model" / FILE).read_bytes() == stored


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--tune",), "--tune weighs a language model against the sound: say which with --lm"),
        (("--rescore", "lstm"), "say which with --lm"),
        (("--closed-vocabulary",), "--closed-vocabulary takes the words of an n-gram model: say which with --lm"),
        (("--lm", "x", "--closed-vocabulary", "--lexicon", "y"), "--closed-vocabulary and --lexicon are two ways"),
        (("--lm", "x", "--tune", "--lm-weight", 1), "leave out --lm-weight"),
        (("--lm", "x", "--tune", "--word-bonus", 1), "leave out --word-bonus"),
        (("--lm-weight", "nan"), "lm_weight: Input should be a finite number, this is 'nan'"),
        (("--lm-weight", "-1"), "lm_weight must be a number from 0 on, not -1.0"),
        (("--word-bonus", "inf"), "word_bonus: Input should be a finite number"),
        (("--blank-skip", "0"), "blank_skip must be a probability above 0"),
        (("--hotwords", ""), "hotword '' is empty"),
        (("--hotwords", "do,,re"), "hotword '' is empty"),
        (("--hotwords", "do sol"), "'sol' is not among the model's words"),
        (("--hotwords", "do", "--hotword-weight", "0"), "its weight must be a positive number"),
        (("--hotwords", "do", "--hotword-weight", "nan"), "hotword_weight: Input should be a finite number"),
    ],
)
def test_wrong_options_of_a_search(
    tones: Learned, tmp_path: Path, options: tuple[object, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--model", tones.out / "model", "--manifest", tones.test, "--out", tmp_path / "out")
    assert call("decode", *arguments, *options) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("error: ") == 1
    assert not (tmp_path / "out").exists()
    assert not (tones.out / "model" / FILE).exists()
