from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from asr.decode.beam import BeamOptions
from asr.decode.rescore import Rescoring
from asr.decode.settings import (
    ENSEMBLES_FILE,
    FILE,
    SearchSettings,
    Tuned,
    first_mistake,
    read_tuned,
    read_tuned_ensemble,
    same_models,
    write_tuned,
    write_tuned_ensemble,
)
from asr.errors import AsrError
from asr.files import write_text
from asr.yaml_files import read_yaml, to_yaml


def _tuned(**search: Any) -> Tuned:
    return Tuned(
        search=SearchSettings.model_validate(search),
        model_sha256="a" * 64,
        manifest="dev.jsonl",
        manifest_sha256="b" * 64,
        wer=7.5,
        wer_greedy=9.0,
        calibration_error=0.02,
    )


def test_unchanged_settings_are_the_decoders_defaults() -> None:
    assert SearchSettings().options() == BeamOptions(nbest=BeamOptions.beam)
    assert SearchSettings().rescoring() == Rescoring()


def test_every_option_reaches_the_decoder_and_comes_back() -> None:
    options = BeamOptions(
        beam=7,
        token_limit=5,
        token_threshold=3.0,
        beam_threshold=9.0,
        blank_skip=0.9,
        lm_weight=1.25,
        word_bonus=-0.5,
        unknown_penalty=-4.0,
        nbest=7,
    )
    default = BeamOptions()
    assert all(getattr(options, one.name) != getattr(default, one.name) for one in fields(BeamOptions))
    assert SearchSettings().with_options(options).options() == options


def test_rescoring_follows_the_searchs_weight_until_it_has_its_own() -> None:
    settings = SearchSettings(lm_weight=1.25, word_bonus=2.0, unknown_penalty=-4.0, rescore_mix=0.3)
    assert settings.rescoring() == Rescoring(1.25, 0.3, 2.0, -4.0)
    assert settings.changed(rescore_weight=0.75).rescoring() == Rescoring(0.75, 0.3, 2.0, -4.0)


def test_a_calibration_can_be_taken_over_without_anything_else() -> None:
    measured = SearchSettings(
        lm="a", beam=64, background=[0.0, -9.0], shift_start=0.1, shift_end=-0.1, temperature=2.0, scale=0.5, offset=1.0
    )
    taken = SearchSettings(lm="b").calibration_of(measured)
    assert taken == measured.changed(lm="b", beam=BeamOptions.beam)


def test_what_is_stored_is_read_again(tmp_path: Path) -> None:
    tuned = _tuned(lm="lm.arpa", lm_sha256="c" * 64, closed=True, background=[0.0, -9.5], beam=64, rescore_weight=0.7)
    assert write_tuned(tmp_path, tuned) == tmp_path / FILE
    assert read_tuned(tmp_path, "a" * 64) == [tuned]


def test_each_set_of_language_models_has_a_tuning_of_its_own(tmp_path: Path) -> None:
    first, closed, rescored = _tuned(lm="lm"), _tuned(lm="lm", closed=True), _tuned(lm="lm", rescore="lstm")
    for one in (first, closed, rescored):
        write_tuned(tmp_path, one)
    again = _tuned(lm="lm", beam=99)
    write_tuned(tmp_path, again)
    assert read_tuned(tmp_path, "a" * 64) == [closed, rescored, again]


def test_a_new_model_s_tuning_replaces_the_old_one_s(tmp_path: Path) -> None:
    write_tuned(tmp_path, _tuned(lm="other"))
    tuned = _tuned(lm="lm").model_copy(update={"model_sha256": "d" * 64})
    write_tuned(tmp_path, tuned)
    assert read_tuned(tmp_path, "d" * 64) == [tuned]


def test_a_model_that_was_never_tuned_has_nothing_stored(tmp_path: Path) -> None:
    assert read_tuned(tmp_path, "a" * 64) == []


def test_what_was_tuned_for_another_model_is_refused(tmp_path: Path) -> None:
    write_tuned(tmp_path, _tuned())
    with pytest.raises(AsrError, match=r"decode\.yaml: was tuned for another model .* run asr decode --tune again"):
        read_tuned(tmp_path, "d" * 64)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"beam": "wide"}, "search.beam: Input should be a valid integer, this is 'wide'"),
        ({"beams": 16}, "search.beams: Extra inputs are not permitted"),
        ({"lm_weight": float("nan")}, "search.lm_weight: Input should be a finite number"),
        ({"temperature": 0.0}, "search.temperature: Input should be greater than 0"),
        ({"beam": 0}, "cannot be used (beam must be at least 1, not 0)"),
        ({"rescore_mix": 1.5}, "cannot be used (mix must lie between 0 and 1, not 1.5)"),
    ],
)
def test_a_damaged_file_is_told_with_its_key(tmp_path: Path, change: dict[str, object], sentence: str) -> None:
    path = write_tuned(tmp_path, _tuned())
    stored = read_yaml(path)
    stored["tunings"][0]["search"] |= change
    write_text(path, to_yaml(stored))
    with pytest.raises(AsrError) as told:
        read_tuned(tmp_path, "a" * 64)
    where = "" if sentence.startswith("cannot") else "tunings.0."
    assert str(told.value).startswith(f"{path}: {where}{sentence}")
    assert str(told.value).endswith("; run asr decode --tune again")


@pytest.mark.parametrize("content", ["search: [1", "- 1\n", "", "search: 3\n"])
def test_a_file_of_something_else_is_told(tmp_path: Path, content: str) -> None:
    write_text(tmp_path / FILE, content)
    with pytest.raises(AsrError, match=r"decode\.yaml: .*run asr decode --tune again") as told:
        read_tuned(tmp_path, "a" * 64)
    assert told.value.exit_status == 1


def test_the_first_mistake_names_key_value_and_need() -> None:
    with pytest.raises(ValidationError) as found:
        SearchSettings.model_validate({"hotwords": ["a", 3]})
    assert first_mistake(found.value) == "hotwords.1: Input should be a valid string, this is '3'"


def test_the_same_models_are_the_same_files_however_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one = SearchSettings(lm="lm/3gram.arpa", lm_weight=1.0)
    assert same_models(one, SearchSettings(lm=f"{tmp_path}/lm/../lm/3gram.arpa"))
    for other in (
        SearchSettings(),
        SearchSettings(lm="lm/4gram.arpa"),
        one.changed(lexicon="lexicon.txt"),
        one.changed(rescore="lstm"),
        one.changed(closed=True),
    ):
        assert not same_models(one, other)


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    return folders


def test_an_ensembles_tuning_lies_beside_its_first_model_and_is_found_in_any_order(models: list[Path]) -> None:
    first, other = _tuned(lm="lm"), _tuned(lm="other")
    assert write_tuned_ensemble(models, first) == models[0] / ENSEMBLES_FILE
    write_tuned_ensemble(models, other)
    for order in (models, models[::-1]):
        assert read_tuned_ensemble(order, "a" * 64) == [first, other]
    assert [folder.name for folder in models if (folder / ENSEMBLES_FILE).exists()] == ["a"]
    assert not (models[0] / FILE).exists()


def test_a_model_may_be_part_of_many_ensembles(models: list[Path]) -> None:
    other = _tuned(lm="lm").model_copy(update={"model_sha256": "d" * 64})
    write_tuned_ensemble(models, _tuned(lm="lm"))
    write_tuned_ensemble(models[:2], other)
    assert read_tuned_ensemble(models, "a" * 64) == [_tuned(lm="lm")]
    assert read_tuned_ensemble(models[:2], "d" * 64) == [other]
    assert read_tuned_ensemble(models, "e" * 64) == []


def test_tuning_an_ensemble_anew_replaces_what_was_found_wherever_it_lies(models: list[Path]) -> None:
    write_tuned_ensemble(models, _tuned(lm="lm"))
    again = _tuned(lm="lm", beam=99)
    write_tuned_ensemble(models[::-1], again)
    for order in (models, models[::-1]):
        assert read_tuned_ensemble(order, "a" * 64) == [again]


def test_an_ensembles_damaged_file_is_told_and_written_over_by_tuning(models: list[Path]) -> None:
    write_text(models[1] / ENSEMBLES_FILE, "search: [")
    with pytest.raises(AsrError, match=r"ensembles\.yaml: .*run asr decode --tune again"):
        read_tuned_ensemble(models, "a" * 64)
    write_tuned_ensemble(models[1:], _tuned(lm="lm"))
    assert read_tuned_ensemble(models, "a" * 64) == [_tuned(lm="lm")]
