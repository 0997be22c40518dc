from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer

from asr.cli.doctor import doctor
from asr.cli.main import run
from asr.manifest import read_manifest
from tests.doctor.speech import RATE, Corpus, babble, plant_ten
from tests.tones import learned

_SMALL = ("encoder.hidden=8", "encoder.layers=1")


def _call(*arguments: object) -> int:
    """The exit status of ``asr doctor`` with these arguments."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command("doctor")(doctor)
    with pytest.raises(SystemExit) as left:
        run(lambda: app([*map(str, arguments)]))
    return int(left.value.code or 0)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path / "corpus")


def test_a_clean_corpus_gives_0_and_everything_is_written(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(*corpus.write(), "--out", tmp_path / "out", *_SMALL) == 0
    out = capsys.readouterr().out
    assert "Nothing must be fixed: 0 errors, 0 warnings." in out
    assert "\x1b" not in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["doctor.html", "doctor.json", "rejects.jsonl"]
    told = json.loads((tmp_path / "out" / "doctor.json").read_text())
    assert (told["errors"], told["warnings"], told["findings"], told["unlikely"]) == (0, 0, [], None)
    assert [one["utterances"] for one in told["manifests"]] == [40, 12, 12]
    assert (tmp_path / "out" / "rejects.jsonl").read_text() == ""


def test_errors_give_1_and_the_rejects_are_a_manifest(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = plant_ten(corpus)
    assert _call(*corpus.write(), *_SMALL) == 1
    folder = corpus.folder / "doctor"  # beside the first manifest
    told = json.loads((folder / "doctor.json").read_text())
    found = {(one["level"], one["check"], item["id"]) for one in told["findings"] for item in one["items"]}
    assert found == planted
    assert (told["errors"], told["warnings"]) == (6, 4)
    rejects = read_manifest(folder / "rejects.jsonl")
    assert len(rejects) == 5
    assert all(one.audio.exists() for one in rejects)
    reasons = {line["id"]: line["reason"] for line in map(json.loads, (folder / "rejects.jsonl").open())}
    assert "truncated" in reasons["train-00"] and "8000" in reasons["train-05"]
    out = capsys.readouterr().out
    assert "Something must be fixed: 6 errors, 4 warnings." in out
    assert all(check in out for _, check, _ in planted)


def test_no_text_becomes_markup(corpus: Corpus, tmp_path: Path) -> None:
    text = "</script><script>alert(1)</script><!-- \u2028 [bold]x[/bold] <img src=x onerror=alert(1)>"
    corpus.change("train-01", text=text, speaker=text)
    corpus.change("dev-01", text=text)
    _call(*corpus.write(), "--out", tmp_path, *_SMALL)
    page = (tmp_path / "doctor.html").read_text()
    assert page.lower().count("<script") == 2 == page.lower().count("</script")  # the data and the code
    assert "<img" not in page and "<!--" not in page
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data and text in [row[3] for row in json.loads(data[1])["rows"]]
    code = (Path(__file__).parents[2] / "asr" / "doctor" / "page.js").read_text()
    assert "innerHTML" not in code and "document.write" not in code and "insertAdjacent" not in code


def test_ids_and_texts_are_printed_as_they_are(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    corpus.change("train-01", text="[bold]   ", id="[red]")
    corpus.replace("train-03", 0 * corpus.samples("train-03"))
    corpus.change("train-03", text="[/x]")
    _call(*corpus.write(), *_SMALL)
    assert "[/x]" in capsys.readouterr().out


def test_a_model_ranks_the_transcripts(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    made = learned(tmp_path_factory)
    lines = [json.loads(line) for line in made.test.read_text().splitlines()]
    for line in lines:
        line["audio_filepath"] = str((made.test.parent / line["audio_filepath"]).resolve())
    right, lines[1]["text"] = lines[1]["text"], "fa fa fa"
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert _call(tmp_path / "test.jsonl", "--model", made.out / "model", "--threads", 1) == 0
    told = json.loads((tmp_path / "doctor" / "doctor.json").read_text())
    first = told["unlikely"][0]
    assert (first["id"], first["text"], first["heard"]) == (lines[1]["id"], "fa fa fa", right)
    out = capsys.readouterr().out
    assert "hears something else than the transcript in 1 of 12" in out and "fa fa fa" in out
    lines[2]["text"] = "sol"
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert _call(tmp_path / "test.jsonl", "--model", made.out / "model", "--threads", 1) == 1
    assert "Transcripts with words that the model lack" in capsys.readouterr().out


def test_bad_input_is_a_sentence(
    corpus: Corpus, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    train, dev, _ = corpus.write()
    empty, config, model = tmp_path / "empty.jsonl", tmp_path / "c.yaml", tmp_path / "model"
    empty.write_text("\n")
    config.write_text("encoder:\n  hiden: 3\n")
    model.mkdir()
    trained = learned(tmp_path_factory).out / "model"
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in trained.iterdir():
        if path.name != "tokens.txt":
            (bare / path.name).write_bytes(path.read_bytes())
    for arguments, status, fragment in [
        ((), 2, "Missing argument"),
        (_SMALL, 2, "name a manifest"),
        ((tmp_path / "none.jsonl",), 1, "none.jsonl: could not be read"),
        ((empty,), 1, "holds no utterances"),
        ((train, dev, corpus.folder / ".." / corpus.folder.name / "train.jsonl"), 2, "is named twice"),
        ((train, "--config", config), 2, "did you mean 'encoder.hidden'"),
        ((train, "encoder.hiden=3"), 2, "did you mean 'encoder.hidden'"),
        ((train, "--config", tmp_path / "no.yaml"), 1, "could not be read"),
        ((train, "--model", model), 1, "SHA256SUMS is missing"),
        ((train, "--model", bare), 1, "tokens.txt: is missing"),
        ((train, "--model", trained, *_SMALL), 2, "either --model or --config"),
        ((train, "--out", train), 1, "not a folder that can be written to"),
    ]:
        assert _call(*arguments) == status, arguments
        told = capsys.readouterr().err
        assert fragment in " ".join(told.split()), told
    (corpus.folder / "splits.json").write_text("[1]")
    assert _call(train) == 1
    assert "splits.json: not what asr data wrote there" in capsys.readouterr().err
    assert not (corpus.folder / "doctor").exists()


def test_what_is_unusual_but_right_is_no_error(tmp_path: Path) -> None:
    samples = babble("go there", 1, 8000)
    soundfile.write(tmp_path / "stereo.mp3", np.stack([samples, samples / 2], axis=1), 8000, format="MP3")
    soundfile.write(tmp_path / "two.wav", np.concatenate([babble("go there", 2), babble("go there", 3)]), RATE)
    half = soundfile.info(tmp_path / "two.wav").duration / 2
    lines = [
        {"id": "a/b/../c?d#e", "audio_filepath": str(tmp_path / "stereo.mp3"), "duration": len(samples) / 8000},
        {"audio_filepath": "two.wav", "offset": 0.0, "duration": half},
        {"audio_filepath": "two.wav", "offset": half, "duration": half},
    ]
    for name, some in (("one", lines[:1]), ("all", lines)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({**line, "text": "go there"}) + "\n" for line in some))
        assert _call(path, "--out", tmp_path / name, *_SMALL) == 0
        told = json.loads((tmp_path / name / "doctor.json").read_text())
        assert {one["check"] for one in told["findings"]} <= {
            "rare-characters",
            "same-text",
            "rate",
            "channels",
            "low-rate",
        }
        assert told["errors"] == 0


def test_one_utterance_that_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", babble("go", 1), RATE)
    line = {"audio_filepath": "a.wav", "duration": soundfile.info(tmp_path / "a.wav").duration, "text": None}
    (tmp_path / "train.jsonl").write_text(json.dumps(line) + "\n")
    assert _call(tmp_path / "train.jsonl") == 1
    assert "lists the utterance that had better not be used" in " ".join(capsys.readouterr().out.split())
    (reject,) = read_manifest(tmp_path / "doctor" / "rejects.jsonl")
    assert (reject.text, reject.audio.resolve()) == ("", (tmp_path / "a.wav").resolve())


def test_sets_of_the_same_name_are_told_apart(corpus: Corpus, tmp_path: Path) -> None:
    other = Corpus(tmp_path / "other", seed=2)
    _call(corpus.write()[0], other.write()[0], "--out", tmp_path / "out")
    told = json.loads((tmp_path / "out" / "doctor.json").read_text())
    assert [one["name"] for one in told["manifests"]] == ["corpus/train", "other/train"]


def test_ctrl_c_leaves_what_was_there(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = corpus.write()
    assert _call(*paths) == 0
    before = (corpus.folder / "doctor" / "doctor.json").read_bytes()
    plant_ten(corpus)

    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("asr.doctor.report.doctor_page", interrupt)
    assert _call(*corpus.write()) == 130
    assert (corpus.folder / "doctor" / "doctor.json").read_bytes() == before
    assert not [path for path in (corpus.folder / "doctor").iterdir() if path.name.endswith(".part")]
