from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from asr.cli.main import app, run
from asr.config import read_yaml
from asr.decode import run as decode_run
from asr.decode.settings import ENSEMBLES_FILE, FILE
from asr.errors import AsrError
from asr.files import sha256, write_text
from asr.manifest import read_manifest, write_manifest
from asr.score import verify
from asr.score.hypotheses import read_hypotheses
from tests.tones import Learned, learned

# What a receipt must say (beside the score's own fields).
RECEIPT = [
    "corpus",
    "split",
    "system",
    "wer",
    "wer_low",
    "wer_high",
    "cer",
    "ser",
    "utterances",
    "words",
    "substitutions",
    "deletions",
    "insertions",
    "failed",
    "real_time_factor",
    "peak_memory_mb",
    "train_minutes",
    "train_audio_hours",
    "parameters",
    "seed",
    "cpu",
    "threads",
    "gpu",
    "versions",
    "audio",
    "commit",
    "manifest_sha256",
    "model_sha256",
    "config",
    "command",
    "date",
]


@pytest.fixture
def tones(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return learned(tmp_path_factory)


def _call(*arguments: object) -> int:
    """The exit status of ``asr`` with these arguments; on one thread, as the other tests in this process expect it."""
    threads = [] if arguments[0] in ("score", "lm") else ["--threads", "1"]
    with pytest.raises(SystemExit) as left:
        run(lambda: app([*map(str, arguments), *threads]))
    return int(left.value.code or 0)


def _decode(tones: Learned, manifest: Path, out: Path) -> int:
    return _call("decode", "--model", tones.out / "model", "--manifest", manifest, "--out", out)


@pytest.fixture
def receipt(tones: Learned, tmp_path: Path) -> Path:
    assert _decode(tones, tones.test, tmp_path) == 0
    assert _call("score", tones.test, tmp_path / "hyp.jsonl") == 0
    return tmp_path / "result.json"


def test_decoded_and_scored_it_has_no_errors_and_a_full_receipt(
    tones: Learned, receipt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = json.loads(receipt.read_text())
    assert not set(RECEIPT) - set(fields)
    unknown = {name for name in RECEIPT if fields[name] is None}
    assert unknown <= {"gpu", "commit"}
    assert (fields["wer"], fields["cer"], fields["ser"], fields["failed"]) == (0.0, 0.0, 0.0, 0)
    assert fields["wer_high"] > 0
    assert (fields["utterances"], fields["words"]) == (12, 24)
    assert (fields["split"], fields["system"], fields["audio"]) == ("test", "greedy", "WAV PCM_16 8000 Hz")
    assert fields["corpus"] == tones.test.parent.name
    assert fields["manifest_sha256"] == sha256(tones.test)
    assert fields["model_sha256"] == sha256(tones.out / "model" / "SHA256SUMS")
    assert (fields["seed"], fields["threads"], fields["parameters"]) == (1, 1, 7077)
    assert fields["real_time_factor"] > 0
    assert fields["peak_memory_mb"] > 50
    assert _call("verify", receipt) == 0
    assert "result.json: verified, every count is the same" in capsys.readouterr().out


def test_hypotheses_have_words_with_times_and_confidences(tones: Learned, receipt: Path) -> None:
    lines = [json.loads(line) for line in (receipt.parent / "hyp.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [one.id for one in read_manifest(tones.test)]
    for line in lines:
        assert list(line) == ["id", "text", "words", "score"]
        assert line["text"].split() == [word["word"] for word in line["words"]]
        assert all(list(word) == ["word", "start", "end", "confidence"] for word in line["words"])


def test_the_default_folder_lies_beside_the_model(
    tones: Learned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tones.out / "model", tmp_path / "model")
    assert _call("decode", "--model", tmp_path / "model", "--manifest", tones.dev, "--audio", "a telephone") == 0
    folder = tmp_path / "decode" / "dev"
    assert capsys.readouterr().out == f"hypotheses: {folder / 'hyp.jsonl'}\n"
    assert json.loads((folder / "decode.json").read_text())["audio"] == "a telephone"


def test_failed_utterances_make_the_status_1_after_everything_is_written(
    tones: Learned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "test.jsonl"
    first, second, *others = read_manifest(tones.test)
    write_manifest(manifest, [replace(first, audio=tmp_path / "gone.wav"), replace(second, duration=7.0), *others])
    assert _decode(tones, manifest, tmp_path) == 1
    seen = capsys.readouterr().err
    assert "not decoded: " in seen
    assert "gone.wav: there is no such file" in seen
    assert "test-001: the manifest says the audio is to be 7.00 s" in seen
    assert "2 utterances were not decoded; they will be scored as deletions" in seen
    hypotheses = read_hypotheses(tmp_path / "hyp.jsonl")
    assert len(hypotheses) == 12
    assert [name for name, one in hypotheses.items() if one.error] == ["test-000", "test-001"]
    assert json.loads((tmp_path / "decode.json").read_text())["audio"] == "WAV PCM_16 8000 Hz"
    assert _call("score", manifest, tmp_path / "hyp.jsonl") == 1
    fields = json.loads((tmp_path / "result.json").read_text())
    assert (fields["failed"], fields["deletions"]) == (2, len(f"{first.text} {second.text}".split()))
    assert fields["substitutions"] == fields["insertions"] == 0
    assert _call("verify", tmp_path / "result.json") == 0


def test_nothing_can_be_decoded(tones: Learned, tmp_path: Path) -> None:
    manifest = tmp_path / "test.jsonl"
    utterance = replace(read_manifest(tones.test)[0], audio=tmp_path / "gone.wav", duration=0.0)
    write_manifest(manifest, [utterance])
    assert _decode(tones, manifest, tmp_path) == 1
    fields = json.loads((tmp_path / "decode.json").read_text())
    assert fields["audio"] is None
    assert fields["real_time_factor"] is None


@pytest.mark.parametrize(("name", "value"), [("wer", 3.1), ("deletions", 1), ("utterances", 11), ("failed", 2)])
def test_verify_finds_a_changed_count(
    name: str, value: float, receipt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = json.loads(receipt.read_text())
    receipt.write_text(json.dumps(fields | {name: value}))
    capsys.readouterr()
    assert _call("verify", receipt) == 1
    assert capsys.readouterr().out == f"{name}: the receipt says {value}, decoding again gives {fields[name]}\n"


def test_verify_finds_another_manifest_or_model(
    tones: Learned, receipt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "changed.jsonl"
    write_manifest(changed, read_manifest(tones.test)[1:])
    assert _call("verify", receipt, "--manifest", changed) == 1
    assert "changed.jsonl: not the manifest of this receipt: its SHA-256 is" in capsys.readouterr().err
    fields = json.loads(receipt.read_text())
    receipt.write_text(json.dumps(fields | {"model_sha256": "0" * 64}))
    assert _call("verify", receipt) == 1
    assert "model: not the model of this receipt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"wer": None}, ""),
        ({"bootstrap_seed": None}, "bootstrap_seed must be a whole number"),
        ({"bootstrap_seed": "one"}, "bootstrap_seed must be a whole number"),
        ({"normalise": 3}, "bootstrap_seed must be a whole number and normalise a name"),
        ({"normalise": "loud"}, "no normaliser 'loud'"),
        ({"model": "nowhere"}, "nowhere: there is no such model folder"),
        ({"manifest": "nowhere.jsonl"}, "nowhere.jsonl: could not be read"),
    ],
)
def test_verify_a_receipt_that_was_spoiled(
    change: dict[str, object], sentence: str, receipt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt.write_text(json.dumps(json.loads(receipt.read_text()) | change))
    assert _call("verify", receipt) in (1, 2)
    assert sentence in capsys.readouterr().err


def test_verify_what_is_no_receipt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_text(tmp_path / "result.json", '{"wer": 1.0}')
    assert _call("verify", tmp_path / "result.json") == 1
    assert "not a full receipt, it lacks cer, ser" in capsys.readouterr().err


def test_mistakes_get_a_sentence_and_a_status(
    tones: Learned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, manifest = tones.out / "model", tones.test
    for arguments, sentence, status in (
        (("--model", tmp_path / "none", "--manifest", manifest), "none: there is no such model folder", 1),
        (("--model", model, "--manifest", tmp_path / "none.jsonl"), "none.jsonl: could not be read", 1),
        (("--model", model, "--manifest", manifest, "--device", "toaster"), "--device toaster: not to be had", 2),
        (("--model", model, "--manifest", manifest, "--out", manifest / "x"), "not a folder that can be written to", 1),
    ):
        assert _call("decode", *arguments) == status
        assert sentence in capsys.readouterr().err
    assert _call("decode", "--model", model) == 2


def test_a_full_disk_keeps_what_was_there(
    tones: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _decode(tones, tones.test, tmp_path) == 0
    before = (tmp_path / "hyp.jsonl").read_bytes()

    def full(path: Path, text: str) -> None:
        raise AsrError(f"{path}: could not be written (No space left on device); what stood there before is kept")

    monkeypatch.setattr(decode_run, "write_text", full)
    assert _decode(tones, tones.dev, tmp_path) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert (tmp_path / "hyp.jsonl").read_bytes() == before


def test_verify_compares_every_count_of_the_score() -> None:
    assert set(verify.COMPARED) >= {"wer", "substitutions", "deletions", "insertions", "utterances", "words", "failed"}


@pytest.fixture
def tuned(tones: Learned, tmp_path: Path) -> Path:
    """A folder with a copy of the model that was tuned with ``lm.safetensors``, made of the transcripts."""
    shutil.copytree(tones.out / "model", tmp_path / "model")
    lm = tmp_path / "lm.safetensors"
    assert _call("lm", "train", "--text", tones.train, "--order", 2, "--out", lm) == 0
    assert _search(tones, tmp_path, tones.dev, "--lm", lm, "--tune") == 0
    return tmp_path


def _search(tones: Learned, folder: Path, manifest: Path, *options: object) -> int:
    arguments = ("--model", folder / "model", "--manifest", manifest, *options)
    return _call("decode", *arguments, *(() if "--tune" in options else ("--out", folder / "decode")))


def _used(folder: Path) -> dict[str, object]:
    """The search that the receipt quotes."""
    return dict(json.loads((folder / "decode" / "decode.json").read_text())["search"])


def test_from_transcripts_to_a_verified_comparison(
    tones: Learned, tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lm = tuned / "lm.safetensors"
    before = (tuned / "model" / FILE).read_bytes()
    assert _search(tones, tuned, tones.dev, "--lm", lm, "--tune") == 0
    assert (tuned / "model" / FILE).read_bytes() == before
    printed = capsys.readouterr().out
    assert "12 of 12 utterances; greedy WER 0.00 %" in printed
    assert f"stored: {tuned / 'model' / FILE}" in printed
    assert _search(tones, tuned, tones.test, "--lm", lm) == 0
    assert capsys.readouterr().err == "decoding\n"  # no note: the weights are tuned
    assert _decode(tones, tones.test, tuned / "greedy") == 0
    hypotheses = tuned / "decode" / "hyp.jsonl"
    assert _call("score", tones.test, hypotheses, "--against", tuned / "greedy" / "hyp.jsonl") == 0
    fields = json.loads((tuned / "decode" / "result.json").read_text())
    assert (fields["system"], fields["wer"], fields["against_wer"], fields["against_p"]) == ("beam+2gram", 0, 0, 1)
    stored = read_yaml(tuned / "model" / FILE)["tunings"][-1]["search"]
    assert fields["search"] == {key: value for key, value in stored.items() if value is not None}
    assert fields["search"]["lm_sha256"] == sha256(lm)
    receipt = tuned / "decode" / "result.json"
    assert _call("verify", receipt) == 0
    assert "verified, every count is the same" in capsys.readouterr().out
    assert _call("lm", "train", "--text", tones.dev, "--order", 2, "--out", lm) == 0
    assert _call("verify", receipt) == 1
    assert "lm.safetensors: not the language model that these settings were" in capsys.readouterr().err
    # Decoding says the same, and tuning anew is the way out.
    assert _search(tones, tuned, tones.test, "--lm", lm) == 1
    assert "tune and decode again" in capsys.readouterr().err
    assert _search(tones, tuned, tones.dev, "--lm", lm, "--tune") == 0
    assert _search(tones, tuned, tones.test, "--lm", lm) == 0


def test_words_of_a_search_lie_in_their_utterance_with_confidences(tones: Learned, tuned: Path) -> None:
    assert _search(tones, tuned, tones.test, "--lm", tuned / "lm.safetensors") == 0
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
        assert _search(tones, tuned, tones.test, *options) == 0
        return tuple(_used(tuned).get(name) for name in ("lm_weight", "word_bonus", "beam", "rescore_weight"))

    assert weights("--lm", lm) == (0.77, 1.5, 9, 0.6)
    assert _used(tuned)["hotwords"] == []  # those tuned with are not asked for now
    monkeypatch.chdir(tuned / "model")
    assert weights("--lm", "../lm.safetensors") == (0.77, 1.5, 9, 0.6)
    assert note not in capsys.readouterr().err
    # What is given goes before what is stored, and a weight that is given is that of every language model.
    assert weights("--lm", lm, "--lm-weight", 1.25) == (1.25, 1.5, 9, None)
    assert weights("--lm", lm, "--beam", 4, "--hotwords", "mi fa, do") == (0.77, 1.5, 4, 0.6)
    assert _used(tuned)["hotwords"] == ["mi fa", "do"]
    assert note not in capsys.readouterr().err
    # Another language model, or another vocabulary, keeps only times and confidences.
    other = tuned / "other.safetensors"
    shutil.copy(lm, other)
    for options in (("--lm", other), ("--lm", lm, "--closed-vocabulary")):
        assert weights(*options) == (0.5, 0.0, 16, None)
        assert note in capsys.readouterr().err
        assert _used(tuned)["background"] == stored["tunings"][0]["search"]["background"]
        assert _used(tuned)["temperature"] == stored["tunings"][0]["search"]["temperature"]


def test_a_closed_vocabulary_is_quoted_and_verified(
    tones: Learned, tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tuned / "few.txt"
    few.write_text("do re\nre do\n")
    lm = tuned / "few.safetensors"
    assert _call("lm", "train", "--text", few, "--order", 2, "--out", lm) == 0
    assert _search(tones, tuned, tones.test, "--lm", lm, "--closed-vocabulary") == 0
    hypotheses = read_hypotheses(tuned / "decode" / "hyp.jsonl")
    assert {word for one in hypotheses.values() for word in one.text.split()} == {"do", "re"}
    assert _call("score", tones.test, tuned / "decode" / "hyp.jsonl") == 0
    receipt = tuned / "decode" / "result.json"
    fields = json.loads(receipt.read_text())
    assert (fields["system"], fields["search"]["closed"]) == ("beam+closed+2gram", True)
    assert fields["wer"] > 0
    assert _call("verify", receipt) == 0
    receipt.write_text(json.dumps(fields | {"search": fields["search"] | {"closed": False}}))
    capsys.readouterr()
    assert _call("verify", receipt) == 1
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
    assert _search(tones, tuned, tones.test, "--lm", lm, "--rescore", lstm) == 0
    assert "note: no weights were tuned" in capsys.readouterr().err  # those that are were tuned without the LSTM
    assert _search(tones, tuned, tones.dev, "--lm", lm, "--rescore", lstm, "--tune") == 0
    assert "LSTM's share " in capsys.readouterr().out
    stored = read_yaml(tuned / "model" / FILE)["tunings"][-1]["search"]
    assert stored["rescore_weight"] > 0
    assert _search(tones, tuned, tones.test, "--lm", lm, "--rescore", lstm) == 0
    assert "note" not in capsys.readouterr().err
    assert _used(tuned)["rescore_sha256"] == sha256(lstm / "SHA256SUMS") == stored["rescore_sha256"]
    assert _call("score", tones.test, tuned / "decode" / "hyp.jsonl") == 0
    receipt = tuned / "decode" / "result.json"
    assert json.loads(receipt.read_text())["system"] == "beam+2gram+lstm"
    assert _call("verify", receipt) == 0
    save_recurrent(lstm, RecurrentModel(config, len(units)), units, {"again": True})
    capsys.readouterr()
    assert _call("verify", receipt) == 1
    assert "lstm: not the language model that these settings were tuned or quoted with" in capsys.readouterr().err


def test_a_receipt_whose_search_was_spoiled(tones: Learned, tuned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _search(tones, tuned, tones.test, "--lm", tuned / "lm.safetensors") == 0
    assert _call("score", tones.test, tuned / "decode" / "hyp.jsonl") == 0
    receipt = tuned / "decode" / "result.json"
    fields = json.loads(receipt.read_text())
    for search, sentence in (
        ({**fields["search"], "beam": "wide"}, "result.json: search: beam: Input should be a valid integer"),
        ("beam", "result.json: search: "),
        ({**fields["search"], "background": [0.0]}, "the background for word times has 1 numbers"),
        ({**fields["search"], "lm": "gone.arpa"}, "gone.arpa: could not be read"),
    ):
        receipt.write_text(json.dumps(fields | {"search": search}))
        assert _call("verify", receipt) == 1
        assert sentence in capsys.readouterr().err


def test_tuning_names_what_it_leaves_out_and_ends_with_1(
    tones: Learned, tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tuned / "dev.jsonl"
    first, *others = read_manifest(tones.dev)
    write_manifest(manifest, [replace(first, audio=tuned / "gone.wav"), *others])
    (tuned / "model" / FILE).unlink()
    assert _search(tones, tuned, manifest, "--lm", tuned / "lm.safetensors", "--tune") == 1
    seen = capsys.readouterr().err
    assert "gone.wav: there is no such file" in seen
    assert "1 utterances were not decoded; they were left out" in seen
    assert read_yaml(tuned / "model" / FILE)["tunings"][0]["manifest_sha256"] == sha256(manifest)


def test_tuning_does_not_mind_what_lies_there(tones: Learned, tuned: Path) -> None:
    stored = (tuned / "model" / FILE).read_bytes()
    write_text(tuned / "model" / FILE, "search: [")
    assert _search(tones, tuned, tones.dev, "--lm", tuned / "lm.safetensors", "--tune") == 0
    assert (tuned / "model" / FILE).read_bytes() == stored


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--tune",), "--tune weighs a language model against the sound: say which with --lm"),
        (("--rescore", "lstm"), "say which with --lm"),
        (("--closed-vocabulary",), "--closed-vocabulary takes the words of an n-gram model: say which with --lm"),
        (("--lm", "x", "--closed-vocabulary", "--lexicon", "y"), "--closed-vocabulary and --lexicon are two ways"),
        (("--lm", "x", "--tune", "--beam", 8), "leave out --beam"),
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
    assert _call("decode", *arguments, *options) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("error: ") == 1
    assert not (tmp_path / "out").exists()
    assert not (tones.out / "model" / FILE).exists()


@pytest.fixture
def two(tones: Learned, tmp_path: Path) -> list[Path]:
    """A copy of the model, and one whose head is less sure."""
    import torch

    from asr.model.acoustic import load_model, save_model

    shutil.copytree(tones.out / "model", tmp_path / "one" / "model")
    recogniser = load_model(tones.out / "model")
    with torch.no_grad():
        recogniser.model.head.weight *= 0.7
    (tmp_path / "two" / "model").mkdir(parents=True)
    trained = recogniser.trained | {"train_minutes": 1.5}
    save_model(tmp_path / "two" / "model", recogniser.model, recogniser.tokenizer, trained, "another")
    return [tmp_path / "one" / "model", tmp_path / "two" / "model"]


def _models(folders: list[Path]) -> list[object]:
    return [argument for folder in folders for argument in ("--model", folder)]


def test_several_models_from_tuning_to_a_verified_receipt(
    tones: Learned, two: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lm = tmp_path / "lm.safetensors"
    assert _call("lm", "train", "--text", tones.train, "--order", 2, "--out", lm) == 0
    assert _call("decode", *_models(two), "--manifest", tones.dev, "--lm", lm, "--tune") == 0
    assert f"stored: {two[0] / ENSEMBLES_FILE}" in capsys.readouterr().out
    assert not any((folder / FILE).exists() for folder in two)
    outs = [tmp_path / "out", tmp_path / "turned"]
    for out, folders in zip(outs, (two, two[::-1]), strict=True):
        assert _call("decode", *_models(folders), "--manifest", tones.test, "--lm", lm, "--out", out) == 0
        assert "no weights were tuned" not in capsys.readouterr().err  # whichever is named first
    assert (outs[0] / "hyp.jsonl").read_bytes() == (outs[1] / "hyp.jsonl").read_bytes()
    assert _call("score", tones.test, outs[0] / "hyp.jsonl") == 0
    receipt = outs[0] / "result.json"
    fields = json.loads(receipt.read_text())
    assert not set(RECEIPT) - set(fields)
    assert (fields["system"], fields["wer"]) == ("beam+2gram+2models", 0.0)
    assert fields["model"] == [folder.as_posix() for folder in two]
    assert fields["model_sha256"] == [sha256(folder / "SHA256SUMS") for folder in two]
    minutes = [read_yaml(folder / "config.yaml")["trained"]["train_minutes"] for folder in two]
    assert fields["train_minutes"] == pytest.approx(sum(minutes))
    assert (fields["parameters"], fields["seed"]) == (2 * 7077, 1)
    assert (outs[0] / "posteriors.safetensors").exists()
    assert _call("verify", receipt) == 0
    assert _call("verify", receipt, *_models(two)) == 0
    for folders, sentence in (
        (two[:1], "was made with 2 models, 1 are given; name as many"),
        (two[::-1], "model: not the model of this receipt"),
    ):
        assert _call("verify", receipt, *_models(folders)) == 1
        assert sentence in capsys.readouterr().err


def test_several_models_greedily(tones: Learned, two: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert _call("decode", *_models(two), "--manifest", tones.test, "--out", out) == 0
    assert _call("score", tones.test, out / "hyp.jsonl") == 0
    fields = json.loads((out / "result.json").read_text())
    assert (fields["system"], fields["wer"]) == ("greedy+2models", 0.0)
    assert _call("verify", out / "result.json") == 0


def test_several_models_need_a_folder_and_a_single_ones_stays_its_own(
    tones: Learned, two: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call("decode", *_models(two), "--manifest", tones.test) == 2
    assert "several models have no folder that is theirs: say with --out" in capsys.readouterr().err
    assert not (two[0].parent / "decode").exists()
