"""A model with an attention decoder, from training on tones to a verified receipt of joint decoding."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from asr.cli.main import app, run
from asr.cli.transcribe import app as transcribe_app
from asr.decode.posteriors import read_posteriors
from asr.decode.settings import FILE
from asr.manifest import read_manifest
from asr.model.acoustic import load_model, save_model
from asr.tokens import Tokenizer
from asr.train.setup import train_model
from asr.yaml_files import read_yaml
from tests.tones import NAMED, Learned, learned, tiny_config, write_tones

DECODER = "decoder={weight: 0.3, hidden: 16, embedding: 8, attention: 12, dropout: 0.1}"


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """As `learned`, but with an attention decoder beside CTC."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("joint")
    train, dev, test = (write_tones(folder, name, count, seed) for name, count, seed in NAMED)
    trained = train_model(tiny_config(DECODER), "tiny", train, dev, folder / "run", torch.device("cpu"))
    assert trained.trained["dev"]["dev_wer"] == 0
    return Learned(folder / "run", train, dev, test)


def _call(*arguments: object, command: object = app) -> int:
    threads = [] if arguments[0] in ("score", "lm") else ["--threads", "1"]
    with pytest.raises(SystemExit) as left:
        run(lambda: command([*map(str, arguments), *threads]))  # type: ignore[operator]
    return int(left.value.code or 0)


def _decode(
    tones: Learned, out: Path, *options: object, manifest: Path | None = None, model: Path | None = None
) -> int:
    where = ("--model", model or tones.out / "model", "--manifest", manifest or tones.test, "--out", out)
    return _call("decode", *where, *options)


def test_it_decodes_jointly_and_the_receipt_is_verified(
    joint: Learned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the attention decoder almost alone: it has learned the tones, too."""
    assert _decode(joint, tmp_path, "--ctc-weight", 0.1, "--beam", 5) == 0
    assert "by CTC alone" not in capsys.readouterr().err
    assert _call("score", joint.test, tmp_path / "hyp.jsonl") == 0
    fields = json.loads((tmp_path / "result.json").read_text())
    assert (fields["system"], fields["wer"], fields["search"]["ctc_weight"]) == ("beam+attention", 0, 0.1)
    assert fields["search"]["beam"] == 5
    assert fields["parameters"] == load_model(joint.out / "model").model.parameters_count
    for utterance in read_manifest(joint.test):
        assert utterance.id in read_posteriors(tmp_path / "posteriors.safetensors")
    lines = [json.loads(line) for line in (tmp_path / "hyp.jsonl").read_text().splitlines()]
    for line, utterance in zip(lines, read_manifest(joint.test), strict=True):
        assert line["text"] == utterance.text
        assert all(0 <= word["start"] <= word["end"] <= utterance.duration for word in line["words"])
    assert _call("verify", tmp_path / "result.json") == 0


def test_the_attention_decoder_has_its_say(joint: Learned, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recogniser = load_model(joint.out / "model")
    assert recogniser.model.decoder is not None
    with torch.no_grad():
        recogniser.model.decoder.output.bias[recogniser.tokenizer.symbols.index("do")] -= 100
    model = tmp_path / "model"
    model.mkdir()
    save_model(model, recogniser.model, recogniser.tokenizer, recogniser.trained, "deaf to do")
    texts = {}
    for weight in (0.5, 1.0):
        assert _decode(joint, tmp_path / str(weight), "--ctc-weight", weight, model=model) == 0
        lines = (tmp_path / str(weight) / "hyp.jsonl").read_text().splitlines()
        texts[weight] = [json.loads(line)["text"] for line in lines]
    assert not any("do" in text.split() for text in texts[0.5])
    assert texts[1.0] == [one.text for one in read_manifest(joint.test)]
    # A receipt is held against the share that it names.
    assert _call("score", joint.test, tmp_path / "0.5" / "hyp.jsonl") == 0
    receipt = tmp_path / "0.5" / "result.json"
    assert _call("verify", receipt) == 0
    fields = json.loads(receipt.read_text())
    receipt.write_text(json.dumps(fields | {"search": fields["search"] | {"ctc_weight": 1.0}}))
    capsys.readouterr()
    assert _call("verify", receipt) == 1
    assert "wer: the receipt says" in capsys.readouterr().out


def test_tuning_finds_ctcs_share_with_and_without_a_language_model(
    joint: Learned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, lm = tmp_path / "model", tmp_path / "lm.safetensors"
    shutil.copytree(joint.out / "model", model)
    assert _call("lm", "train", "--text", joint.train, "--order", 2, "--out", lm) == 0
    tune = ("decode", "--model", model, "--manifest", joint.dev, "--tune")
    for options in ((), ("--lm", lm), ("--lm", lm, "--ctc-weight", 1)):
        assert _call(*tune, *options) == 0
    assert "ctc_weight 0.50 lm_weight 0.50" in capsys.readouterr().out
    stored = [one["search"] for one in read_yaml(model / FILE)["tunings"]]
    assert [(one["lm"], one["ctc_weight"] == 1) for one in stored] == [(None, False), (str(lm), False), (str(lm), True)]
    assert all(0 < one["ctc_weight"] < 1 for one in stored[:2])
    for number, options in enumerate((("--beam", stored[0]["beam"]), ("--lm", lm), ("--lm", lm, "--ctc-weight", 1))):
        out = tmp_path / str(number)
        assert _decode(joint, out, *options, model=model) == 0
        used = json.loads((out / "decode.json").read_text())
        name = ("beam+attention", "beam+2gram+attention", "beam+2gram")[number]
        assert (used["system"], used["search"]["ctc_weight"]) == (name, stored[number]["ctc_weight"])
        assert "note" not in capsys.readouterr().err
    assert _call("score", joint.test, tmp_path / "1" / "hyp.jsonl") == 0
    assert _call("verify", tmp_path / "1" / "result.json") == 0


def test_greedily_in_an_ensemble_and_on_files_ctc_decodes_alone_and_says_so(
    joint: Learned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _decode(joint, tmp_path / "greedy") == 0
    assert "note: by CTC alone" in capsys.readouterr().err
    twice = ("--model", joint.out / "model", "--beam", 4)
    assert _decode(joint, tmp_path / "two", *twice) == 0
    assert "note: by CTC alone" in capsys.readouterr().err
    assert json.loads((tmp_path / "two" / "decode.json").read_text())["system"] == "beam+2models"
    assert _decode(joint, tmp_path / "none", *twice, "--ctc-weight", 0.3) == 2
    assert "several models recognise together by CTC alone: leave out --ctc-weight" in capsys.readouterr().err
    first = read_manifest(joint.test)[0]
    assert _call("--model", joint.out / "model", first.audio, command=transcribe_app) == 0
    heard = capsys.readouterr()
    assert heard.out == f"{first.text}\n"
    assert "note: by CTC alone" in heard.err


def test_bad_input_gets_a_sentence(
    joint: Learned, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = learned(tmp_path_factory)
    for tones, options, sentence in (
        (plain, ("--ctc-weight", 0.3), "this model has none: leave it out, or train a model with decoder.weight"),
        (plain, ("--tune",), "--tune weighs a language model against the sound: say which with --lm"),
        (joint, ("--tune", "--ctc-weight", 1), "--tune weighs a language model against the sound: say which with --lm"),
        (joint, ("--tune", "--beam", 4), "with an attention decoder: leave out --beam"),
        (joint, ("--blank-skip", 0.9), "--blank-skip passes over frames, and a search with an attention decoder goes"),
        (joint, ("--ctc-weight", 1.5), "ctc_weight: Input should be less than or equal to 1, this is '1.5'"),
    ):
        assert _decode(tones, tmp_path / "out", *options) == 2
        told = capsys.readouterr().err
        assert sentence in told
        assert told.count("error: ") == 1
    # A vocabulary that does not match, and a decoder that the weights do not hold.
    recogniser, bare = load_model(joint.out / "model"), load_model(plain.out / "model")
    longer = Tokenizer("word", [*recogniser.tokenizer.symbols, "sol"])
    bare.model.config = recogniser.model.config
    for name, model, tokenizer, fragment in (
        ("more", recogniser.model, longer, "head.weight is [5, 32], not [6, 32]"),
        ("less", bare.model, bare.tokenizer, "decoder.embedding.weight"),
    ):
        (tmp_path / name).mkdir()
        save_model(tmp_path / name, model, tokenizer, {}, "spoiled")
        assert _decode(joint, tmp_path / "out", model=tmp_path / name) == 1
        told = capsys.readouterr().err
        assert "model.safetensors: does not fit config.yaml" in told
        assert fragment in told
    assert not (tmp_path / "out").exists()
