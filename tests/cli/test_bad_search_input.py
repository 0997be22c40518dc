"""Language models, lexicons and tuned settings that cannot be used: one sentence each, the right status."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from asr.lm.kneser_ney import estimate
from asr.manifest import read_manifest
from tests.cli.told import fatal
from tests.tones import asr

_ARPA = """\\data\\
ngram 1=5
ngram 2=2

\\1-grams:
-99 <s> -0.3
-0.7 </s>
-1.5 <unk>
-0.6 do -0.2
-0.6 re -0.2

\\2-grams:
-0.2 <s> do
-0.3 do re

\\end\\
"""


def _decode_with(
    tone_run: Path, out: Path, *options: object, model: Path | None = None
) -> subprocess.CompletedProcess[str]:
    folder = model or tone_run / "run" / "model"
    arguments = ("--model", folder, "--manifest", tone_run / "dev.jsonl", "--threads", 1, *options)
    return asr("decode", *arguments, *(() if "--tune" in options else ("--out", out)))


@pytest.mark.parametrize(
    ("name", "content", "fragments"),
    [
        ("lm.txt", "do re mi\n", ("lm.txt: not a language model", "asr lm train")),
        ("lm.arpa", "", ("lm.arpa: ",)),
        ("lm.arpa", _ARPA.replace("ngram 2=2", "ngram 2=3"), ("lm.arpa", "2-grams", "3", "2")),
        ("lm.arpa", _ARPA.replace("-0.6 re -0.2", "re -0.2"), ("lm.arpa:10", "'re' is not a number")),
        ("lm.arpa", _ARPA.partition("-0.3 do re")[0], ("lm.arpa",)),
        ("lm.arpa", _ARPA.replace(" do", " DO").replace(" re", " RE"), ("lower case, this language model upper case",)),
        ("lm.arpa", None, ("lm.arpa: could not be read", "No such file")),
    ],
)
def test_a_language_model_that_cannot_be_used(
    tone_run: Path, tmp_path: Path, name: str, content: str | None, fragments: tuple[str, ...]
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    fatal(_decode_with(tone_run, tmp_path / "out", "--lm", tmp_path / name), 1, *fragments)
    assert not (tmp_path / "out").exists()


def test_a_language_model_that_was_cut_off_or_is_of_the_other_kind(tone_run: Path, tmp_path: Path) -> None:
    lm = tmp_path / "lm.safetensors"
    estimate((one.text for one in read_manifest(tone_run / "train.jsonl")), 2).save(lm)
    fatal(_decode_with(tone_run, tmp_path / "out", "--lm", lm, "--rescore", lm), 1, lm, "a file, not a model folder")
    model = tone_run / "run" / "model"
    fatal(_decode_with(tone_run, tmp_path / "out", "--lm", model), 1, model, "needed is the file of an n-gram model")
    for kept in (20, lm.stat().st_size - 10):
        cut = tmp_path / "cut.safetensors"
        cut.write_bytes(lm.read_bytes()[:kept])
        fatal(_decode_with(tone_run, tmp_path / "out", "--lm", cut), 1, cut)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "status", "fragments"),
    [
        (("--lexicon", "DO do\nSOL so l\n"), 1, ("lexicon.txt, line 2", "'SOL'", "'so'", "not a token")),
        (("--lexicon", "DO\n"), 1, ("lexicon.txt, line 1", "'DO' has no tokens")),
        (("--lexicon", ""), 1, ("lexicon.txt: no words",)),
        (("--hotwords", "do, "), 2, ("hotword '' is empty",)),
        (("--tune",), 2, ("--tune", "--lm")),
    ],
)
def test_a_search_that_cannot_be_done(
    tone_run: Path, tmp_path: Path, options: tuple[str, ...], status: int, fragments: tuple[str, ...]
) -> None:
    if options[0] == "--lexicon":
        (tmp_path / "lexicon.txt").write_text(options[1])
        options = ("--lexicon", str(tmp_path / "lexicon.txt"))
    fatal(_decode_with(tone_run, tmp_path / "out", *options), status, *fragments)
    assert not (tmp_path / "out").exists()
    assert not (tone_run / "run" / "model" / "decode.yaml").exists()


def test_tuned_settings_that_are_damaged_or_of_another_model(tone_run: Path, tmp_path: Path) -> None:
    model, lm, stored = tmp_path / "model", tmp_path / "lm.arpa", tmp_path / "model" / "decode.yaml"
    shutil.copytree(tone_run / "run" / "model", model)
    lm.write_text(_ARPA)
    tuned = _decode_with(tone_run, tmp_path, "--lm", lm, "--tune", model=model)
    assert tuned.returncode == 0, tuned.stderr
    good = stored.read_text()
    spoiled = {
        good.replace("lm_weight: ", "lm_weight: much"): "search.lm_weight: Input should be a valid number",
        good.replace("model_sha256: ", "model_sha256: 0"): "was tuned for another model than the one that lies there",
    }
    for content, reason in spoiled.items():
        stored.write_text(content)
        done = _decode_with(tone_run, tmp_path / "out", "--lm", lm, model=model)
        fatal(done, 1, stored, reason, "run asr decode --tune again")
    assert _decode_with(tone_run, tmp_path / "out", model=model).returncode == 0  # greedy, which needs none of it
