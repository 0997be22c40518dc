"""The library's face: `asr.load_model`, and the search that it chooses."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import asr
from asr.audio import read_audio
from asr.decode.settings import SearchSettings, Tuned, write_tuned
from asr.errors import UsageError
from asr.export.folder import export
from asr.files import sha256
from asr.lm.kneser_ney import estimate
from asr.manifest import read_manifest
from asr.transcribe import load
from asr.transcribe.onnx_backend import OnnxBackend
from asr.transcribe.transcript import Transcript


@pytest.fixture
def model(tone_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tone_run / "run" / "model", tmp_path / "model"))


@pytest.fixture
def lm(tmp_path: Path) -> Path:
    path = tmp_path / "lm.safetensors"
    estimate(iter(["do re", "re mi fa", "fa do", "mi"] * 5), 2, "word").save(path)
    return path


def _tune(model: Path, lm: Path, **more: str) -> None:
    search = SearchSettings(lm=lm.as_posix(), lm_sha256=sha256(lm), lm_weight=0.25, beam=7, **more)
    write_tuned(
        model,
        Tuned(
            search=search,
            model_sha256=sha256(model / "SHA256SUMS"),
            manifest="dev.jsonl",
            manifest_sha256="",
            wer=1.0,
            wer_greedy=2.0,
            calibration_error=0.1,
        ),
    )


def test_a_file_is_transcribed_in_a_line(tone_run: Path) -> None:
    one = read_manifest(tone_run / "dev.jsonl")[0]
    said = asr.load_model(tone_run / "run" / "model", threads=1).transcribe(one.audio)
    assert isinstance(said, Transcript)
    assert said.text == one.text
    assert said.audio == one.audio


def test_what_was_tuned_last_is_used_where_its_files_are(model: Path, lm: Path) -> None:
    assert asr.load_model(model).system.name == "greedy"
    _tune(model, lm)
    search = asr.load_model(model).system.search
    assert search is not None
    assert (search.lm, search.beam, search.lm_weight) == (lm.as_posix(), 7, 0.25)
    assert asr.load_model(model, lm_weight=0.5, hotwords=["do do"]).system.search == search.changed(
        lm_weight=0.5, hotwords=["do do"]
    )
    shutil.move(lm, model / lm.name)  # brought along with the model
    moved = asr.load_model(model).system.search
    assert moved == search.changed(lm=(model / lm.name).as_posix())
    (model / lm.name).unlink()
    assert asr.load_model(model).system.name == "greedy"


def test_the_lexicon_of_the_search_is_not_the_models_own_of_the_same_name(
    model: Path, lm: Path, tmp_path: Path
) -> None:
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("do do\nre re\n")
    (model / lexicon.name).write_text("do do\n")
    _tune(model, lm, lexicon=lexicon.as_posix(), lexicon_sha256=sha256(lexicon))
    search = asr.load_model(model).system.search
    assert search is not None
    assert search.lexicon == lexicon.as_posix()
    lexicon.unlink()
    assert asr.load_model(model).system.name == "greedy"


def test_a_language_model_that_is_named_is_used(model: Path, lm: Path, tone_run: Path) -> None:
    transcriber = asr.load_model(model, lm=lm, beam=4)
    assert transcriber.system.name == "beam+2gram"
    one = read_manifest(tone_run / "dev.jsonl")[1]
    assert transcriber.transcribe(one.audio).text == one.text


def test_what_is_given_replaces_that_part_of_the_tuned_search_alone(
    model: Path, lm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lexicon = tmp_path / "words.txt"
    lexicon.write_text("do do\nre re\nmi mi\nfa fa\n")
    _tune(model, lm, lexicon=lexicon.as_posix(), lexicon_sha256=sha256(lexicon), word_bonus=0.75)
    other = tmp_path / "other.safetensors"
    estimate(iter(["do re mi", "fa"] * 5), 2, "word").save(other)
    fewer = tmp_path / "fewer.txt"
    fewer.write_text("do do\nre re\n")
    tuned = asr.load_model(model).system.search
    assert tuned is not None
    monkeypatch.chdir(tmp_path)
    assert asr.load_model(model, lm="lm.safetensors", lexicon="words.txt").system.search == tuned.changed(
        lm="lm.safetensors", lexicon="words.txt"
    )
    assert asr.load_model(model, lm=other).system.search == tuned.changed(lm=other.as_posix(), lm_sha256=sha256(other))
    assert asr.load_model(model, lexicon=fewer, beam=3).system.search == tuned.changed(
        lexicon=fewer.as_posix(), lexicon_sha256=sha256(fewer), beam=3
    )


def test_options_that_cannot_be_are_sentences(model: Path, lm: Path) -> None:
    _tune(model, lm)
    with pytest.raises(UsageError, match=r"lm_weight: .*finite number, this is 'nan'"):
        asr.load_model(model, lm_weight=float("nan"))
    with pytest.raises(UsageError, match=r"hotwords are a list of phrases, such as \['do re'\]"):
        asr.load_model(model, hotwords="do re")
    with pytest.raises(UsageError, match="--precision half: it is one of auto, float32"):
        asr.load_model(model, precision="half")  # type: ignore[arg-type]
    transcriber = asr.load_model(model)
    with pytest.raises(UsageError, match="nothing is read over the network"):
        transcriber.transcribe("https://example.org/a.wav")
    with pytest.raises(ValueError, match="at least 1000 Hz, this is 0"):
        transcriber.transcribe(np.zeros(9000, np.float32), rate=0)


def test_without_a_model_one_must_come_with_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(load, "PACKAGED", tmp_path)
    with pytest.raises(UsageError, match="no model came with this installation"):
        asr.load_model()


def test_samples_are_transcribed_too(model: Path) -> None:
    assert asr.load_model(model).transcribe(np.zeros(16000, np.float32) + 1e-6).text == ""


def test_an_exported_model_brings_its_search_along(model: Path, lm: Path, tone_run: Path, tmp_path: Path) -> None:
    _tune(model, lm)
    out = tmp_path / "exported"
    for int8, written in ((False, "float32"), (True, "int8")):
        export(model, out, int8)
        lm.rename(tmp_path / "elsewhere")
        transcriber = asr.load_model(out, threads=1)
        (tmp_path / "elsewhere").rename(lm)
        assert isinstance(transcriber.backend, OnnxBackend)
        search = transcriber.system.search
        assert search is not None
        assert (search.lm, search.beam, search.lm_weight) == ((out / lm.name).as_posix(), 7, 0.25)
        for one in read_manifest(tone_run / "dev.jsonl")[:3]:
            assert transcriber.transcribe(one.audio).text == one.text
            stream = transcriber.stream(0.6)
            events = stream.accept(read_audio(one.audio, stream.rate)) + stream.finish()
            assert " ".join(event.segment.text for event in events if event.final) == one.text
        with pytest.raises(UsageError, match=f"was exported in {written}, and --precision says bfloat16"):
            asr.load_model(out, precision="bfloat16")


def test_bfloat16_hears_the_same_words(model: Path, tone_run: Path) -> None:
    one = read_manifest(tone_run / "dev.jsonl")[2]
    transcriber = asr.load_model(model, precision="bfloat16", threads=1)
    assert transcriber.transcribe(one.audio).text == one.text
    with pytest.raises(UsageError, match="needs a model that asr export --int8 made"):
        asr.load_model(model, precision="int8")
