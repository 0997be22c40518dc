"""How a search decodes: what ``asr decode --tune`` stores with the model, and what a receipt needs to repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from asr.decode.beam import BeamOptions
from asr.decode.rescore import Rescoring
from asr.errors import AsrError, UsageError
from asr.files import sha256, write_text
from asr.strict import Strict
from asr.tokens import LEXICON
from asr.yaml_files import read_yaml, to_yaml

FILE = "decode.yaml"
ENSEMBLES_FILE = "ensembles.yaml"
_CALIBRATED = ("background", "shift_start", "shift_end", "temperature", "scale", "offset")


class SearchSettings(Strict):
    """A beam search with its language models, lexicon and hotwords.

    The numbers are those of `BeamOptions` and `Rescoring`, the last six those of `asr.decode.align.word_times` and
    `asr.decode.confidence.Calibration`.
    """

    lm: str | None = Field(None, description="file of the n-gram language model")
    lm_sha256: str | None = None
    lexicon: str | None = Field(None, description="file of the lexicon")
    lexicon_sha256: str | None = None
    closed: bool = Field(False, description="only words of the n-gram model, spelled in the model's own tokens")
    hotwords: list[str] = Field([], description="phrases to listen for")
    hotword_weight: float = Field(2.0, description="[nats a word]")
    beam: int = BeamOptions.beam
    token_limit: int = BeamOptions.token_limit
    token_threshold: float = BeamOptions.token_threshold
    beam_threshold: float = BeamOptions.beam_threshold
    blank_skip: float = BeamOptions.blank_skip
    lm_weight: float = BeamOptions.lm_weight
    word_bonus: float = BeamOptions.word_bonus
    ctc_weight: float | None = Field(
        None, ge=0, le=1, description="CTC's share beside an attention decoder; 1, or no such decoder: CTC alone"
    )
    unknown_penalty: float = BeamOptions.unknown_penalty
    rescore: str | None = Field(None, description="folder of the LSTM language model that scores the n best anew")
    rescore_sha256: str | None = None
    rescore_weight: float | None = Field(None, description="of both language models together; None: lm_weight")
    rescore_mix: float = Field(Rescoring.mix, description="the LSTM's share of it")
    background: list[float] | None = None
    shift_start: float = 0.0
    shift_end: float = 0.0
    temperature: float = Field(1.0, gt=0)
    scale: float = Field(1.0, ge=0)
    offset: float = 0.0

    def options(self) -> BeamOptions:
        """What the decoder takes; as many candidates as it keeps."""
        named = {field.name: getattr(self, field.name) for field in fields(BeamOptions) if field.name != "nbest"}
        return BeamOptions(**named, nbest=self.beam)

    def rescoring(self) -> Rescoring:
        """How the scores of both language models are put together."""
        weight = self.lm_weight if self.rescore_weight is None else self.rescore_weight
        return Rescoring(weight, self.rescore_mix, self.word_bonus, self.unknown_penalty)

    def with_options(self, options: BeamOptions) -> SearchSettings:
        """These settings with other options of the search."""
        return self.changed(**{name: value for name, value in asdict(options).items() if name != "nbest"})

    def changed(self, **values: Any) -> SearchSettings:
        """These settings with other values.

        Raises:
            UsageError: a value of the wrong type or out of its range.
        """
        return make_settings({**self.model_dump(), **values})

    def calibration_of(self, other: SearchSettings) -> SearchSettings:
        """These settings with the other's times and confidences."""
        return self.changed(**{name: getattr(other, name) for name in _CALIBRATED})


def same_models(one: SearchSettings, other: SearchSettings) -> bool:
    """Whether two searches name the same files, however they spell the paths, and the same vocabulary.

    Nor are a search by CTC alone and one with an attention decoder the same.
    """

    def named(settings: SearchSettings) -> list[Path | None]:
        paths = (settings.lm, settings.lexicon, settings.rescore)
        return [None if path is None else Path(path).resolve() for path in paths]

    alike = named(one) == named(other) and one.closed == other.closed
    return alike and (one.ctc_weight == 1) == (other.ctc_weight == 1)


def sum_of(path: Path) -> str:
    """What stands for every byte of a file, or of a model folder."""
    return sha256(path / "SHA256SUMS" if path.is_dir() else path)


def find_files(settings: SearchSettings, folder: Path) -> SearchSettings | None:
    """The settings with their files where they are: in the model folder, or where they are named; None: not there.

    A model of phones has a lexicon of its own, which is seldom that of the search: of two files the sums decide, and it
    alone is none.
    """
    found = {}
    for name in ("lm", "lexicon", "rescore"):
        named = getattr(settings, name)
        if named is None:
            continue
        places = [place for place in (folder / Path(named).name, Path(named)) if place.exists()]
        if len(places) > 1 or folder / LEXICON in places:
            meant = getattr(settings, f"{name}_sha256")
            right = [place for place in places if meant in (None, sum_of(place))]
            places = right or [place for place in places if place != folder / LEXICON]
        if not places:
            return None
        found[name] = places[0].as_posix()
    return settings.changed(**found)


def make_settings(given: Mapping[str, Any]) -> SearchSettings:
    """What was given, over the defaults.

    Raises:
        UsageError: a value of the wrong type or out of its range.
    """
    try:
        return SearchSettings.model_validate(given)
    except ValidationError as error:
        raise UsageError(first_mistake(error)) from error


def settle(tunings: Sequence[Tuned], given: Mapping[str, Any]) -> SearchSettings:
    """What was given, over what was tuned for the same files, over the defaults.

    A weight that is given is that of the rescoring, too; hotwords are those given, never those tuned with.

    Raises:
        UsageError: a value of the wrong type or out of its range.
    """
    fresh = make_settings(given)
    if not tunings:
        return fresh
    for tuned in tunings:
        if same_models(tuned.search, fresh):
            both = {"rescore_weight": None} if "lm_weight" in given else {}
            return tuned.search.changed(**{"hotwords": [], **both, **given})
    return fresh.calibration_of(tunings[-1].search)


def first_mistake(error: ValidationError) -> str:
    """The key that pydantic met first, what was seen there and what was needed."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}, this is {str(first['input'])[:80]!r}"


class Tuned(Strict):
    """What was found on a development set, and on which.

    Attributes:
        search: the best settings.
        model_sha256: of the model that they are for; of several, `asr.decode.ensemble.ensemble_sha256`.
        manifest, manifest_sha256: the development set.
        wer, wer_greedy: on that set, with the search and without [%]; without one, phones make no words: None.
        calibration_error: expected calibration error of the words' confidences on that set.
    """

    search: SearchSettings
    model_sha256: str
    manifest: str
    manifest_sha256: str
    wer: float
    wer_greedy: float | None
    calibration_error: float


class _Stored(Strict):
    """All that was found for a model, one for each set of language models, lexicon and vocabulary; the newest last."""

    tunings: list[Tuned]


def write_tuned(model: Path, tuned: Tuned) -> Path:
    """Stores it in the model folder, beside what `SHA256SUMS` covers: tuning does not make it another model.

    What was found for the same files before is replaced; what was found for others stays.

    Raises:
        AsrError: it could not be written.
    """
    path = model / FILE
    try:
        former = read_tuned(model, tuned.model_sha256)
    except AsrError:  # of another model, or damaged: of no use to anybody
        former = []
    others = [one for one in former if not same_models(one.search, tuned.search)]
    write_text(path, to_yaml(_Stored(tunings=[*others, tuned]).model_dump()))
    return path


def read_tuned(model: Path, model_sha256: str) -> list[Tuned]:
    """What `write_tuned` stored, the newest last; nothing where the model was never tuned.

    Raises:
        AsrError: malformed, or of another model than the one that lies there.
    """
    path = model / FILE
    tunings = _read(path)
    if any(tuned.model_sha256 != model_sha256 for tuned in tunings):
        raise AsrError(f"{path}: was tuned for another model than the one that lies there; run asr decode --tune again")
    return tunings


def _read(path: Path) -> list[Tuned]:
    if not path.exists():
        return []
    try:
        tunings = _Stored.model_validate(read_yaml(path)).tunings
        for tuned in tunings:
            tuned.search.options()
            tuned.search.rescoring()
    except ValidationError as error:
        raise AsrError(f"{path}: {first_mistake(error)}; run asr decode --tune again") from error
    except UsageError as error:  # not YAML, or a number out of its range
        raise AsrError(f"{path}: cannot be used ({error}); run asr decode --tune again") from error
    return tunings


def write_tuned_ensemble(models: Sequence[Path], tuned: Tuned) -> Path:
    """Stores what was found for several models together beside the first of them, in a file of its own.

    One model may be part of many ensembles: each entry holds the sum of its models (`asr.decode.ensemble`). What was
    found for the same models and files before is replaced, beside whichever of them it lies.

    Raises:
        AsrError: it could not be written.
    """
    for number, model in enumerate(models):
        path = model / ENSEMBLES_FILE
        try:
            former = _read(path)
        except AsrError:  # damaged: of no use to anybody
            former = []
        others = [
            one for one in former if one.model_sha256 != tuned.model_sha256 or not same_models(one.search, tuned.search)
        ]
        kept = [*others, tuned] if number == 0 else others
        if kept != former:
            write_text(path, to_yaml(_Stored(tunings=kept).model_dump()))
    return models[0] / ENSEMBLES_FILE


def read_tuned_ensemble(models: Sequence[Path], model_sha256: str) -> list[Tuned]:
    """What `write_tuned_ensemble` stored for these models, in whatever order they are named, the newest last.

    Raises:
        AsrError: a file is malformed.
    """
    found = [tuned for model in models for tuned in _read(model / ENSEMBLES_FILE)]
    return [tuned for tuned in found if tuned.model_sha256 == model_sha256]
