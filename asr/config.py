"""The config: one YAML a model, read into strict types.

Every field has its unit and its default here; a config file names only what differs. An unknown key or a wrong type is
an error that names the key, the file and the nearest valid key. ``key=value`` overrides (``train.epochs=5``) come last.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from asr.errors import UsageError
from asr.files import read_text


class _Loader(yaml.SafeLoader):
    """YAML 1.1, but 1e-3 is a number."""


class _Dumper(yaml.SafeDumper):
    """Quotes a string that `_Loader` would take for a number."""


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class FeatureConfig(Strict):
    """The front end, by Kaldi's definitions and with Kaldi's defaults but for 80 bands and no dither."""

    kind: Literal["fbank", "mfcc"] = "fbank"
    rate: int = Field(16000, ge=4000, le=96000, description="sample rate [Hz]; audio of another rate is resampled")
    mels: int = Field(80, ge=4, le=256, description="mel bands")
    cepstra: int = Field(13, ge=1, description="cepstral coefficients, for mfcc")
    frame_length: float = Field(25.0, gt=0, description="[ms]")
    frame_shift: float = Field(10.0, gt=0, description="[ms]")
    low_frequency: float = Field(20.0, ge=0, description="lower edge of the first band [Hz]")
    high_frequency: float = Field(0.0, description="upper edge of the last band [Hz]; 0 or less: so far below Nyquist")
    preemphasis: float = Field(0.97, ge=0, le=1)
    dither: float = Field(0.0, ge=0, description="standard deviation of added noise, on the scale of 16-bit samples")
    snip_edges: bool = Field(True, description="only frames that lie wholly inside the signal")
    deltas: Literal[0, 1, 2] = Field(0, description="append this many orders of differences")
    cmvn: Literal["none", "utterance", "speaker", "global"] = Field(
        "global", description="mean and variance normalisation; global is what streaming and transcription need"
    )

    @model_validator(mode="after")
    def _consistent(self) -> FeatureConfig:
        if self.kind == "mfcc" and self.cepstra > self.mels:
            raise ValueError(f"cepstra ({self.cepstra}) cannot exceed mels ({self.mels})")
        nyquist = self.rate / 2
        high = self.high_frequency if self.high_frequency > 0 else nyquist + self.high_frequency
        if not self.low_frequency < high <= nyquist:
            raise ValueError(f"the bands must lie between 0 and {nyquist:.0f} Hz, not {self.low_frequency} to {high}")
        return self

    @property
    def dimension(self) -> int:
        """F, the features of a frame."""
        return (self.mels if self.kind == "fbank" else self.cepstra) * (1 + self.deltas)


class TokenConfig(Strict):
    kind: Literal["char", "unigram", "bpe", "word", "phone"] = "char"
    size: int = Field(200, ge=4, description="pieces of a unigram or bpe model, the blank included")
    characters: str | None = Field(None, description="for char: the only ones allowed; default: those of train and dev")
    dictionary: str | None = Field(None, description="for phone: file of the pronouncing dictionary")
    g2p: str | None = Field(None, description="for phone: model folder that pronounces the words it lacks")
    stress: bool = Field(False, description="for phone: vowels keep the digit of their stress")

    @model_validator(mode="after")
    def _consistent(self) -> TokenConfig:
        if self.kind == "phone" and not self.dictionary:
            raise ValueError("kind=phone needs a pronouncing dictionary: say which with tokens.dictionary=FILE")
        if self.kind != "phone" and (self.dictionary or self.g2p or self.stress):
            raise ValueError(f"dictionary, g2p and stress are for kind=phone, this is kind={self.kind}")
        return self


class SubsamplingConfig(Strict):
    kind: Literal["stack", "conv"] = Field("stack", description="stack neighbouring frames, or one strided convolution")
    factor: int = Field(3, ge=1, le=8, description="feature frames for each encoder frame")


class EncoderConfig(Strict):
    subsampling: SubsamplingConfig = SubsamplingConfig()
    cell: Literal["lstm", "gru"] = "lstm"
    layers: int = Field(3, ge=1)
    hidden: int = Field(256, ge=1, description="H, units of one direction")
    dropout: float = Field(0.2, ge=0, lt=1, description="between layers and before the head")
    projection: int = Field(0, ge=0, description="width of a linear map after each layer but the last; 0: none")
    layer_norm: bool = Field(False, description="normalise each layer's output")


class AugmentConfig(Strict):
    """What is done to the training audio; each copy of an utterance is one item of an epoch."""

    speeds: list[float] = Field([1.0], min_length=1, description="one copy of every utterance for each")
    frequency_masks: int = Field(0, ge=0, description="SpecAugment: bands silenced")
    frequency_width: int = Field(15, ge=1, description="most mel bands of one mask")
    time_masks: float = Field(0.0, ge=0, description="SpecAugment: stretches silenced, for each second of audio")
    time_width: int = Field(10, ge=1, description="most frames of one mask")

    @model_validator(mode="after")
    def _consistent(self) -> AugmentConfig:
        if any(not 0.5 <= speed <= 2 for speed in self.speeds):
            raise ValueError(f"speeds must lie between 0.5 and 2, these are {self.speeds}")
        if len(set(self.speeds)) != len(self.speeds):
            raise ValueError(f"each of the speeds must stand once, these are {self.speeds}")
        return self


class TrainConfig(Strict):
    epochs: int = Field(30, ge=1)
    batch_seconds: float = Field(120.0, gt=0, description="padded audio in one batch [s]")
    max_seconds: float = Field(30.0, gt=0, description="longest utterance that is trained on [s]")
    accumulate: int = Field(1, ge=1, description="batches whose gradients make one step")
    learning_rate: float = Field(1e-3, gt=0, description="at the end of the warm-up")
    warmup_epochs: float = Field(1.0, ge=0, description="linear rise; then half a cosine down to a hundredth")
    weight_decay: float = Field(1e-2, ge=0)
    clip: float = Field(5.0, gt=0, description="largest norm of a step's gradient")
    patience: int = Field(0, ge=0, description="stop after so many epochs without a better dev WER; 0: never")
    average: int = Field(5, ge=1, description="epochs whose weights are averaged for the final model")
    average_over: Literal["last", "best"] = Field("last", description="which epochs: the last, or the best by dev WER")
    checkpoint_minutes: float = Field(10.0, gt=0, description="state is saved so often, and after every epoch")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 where it is faster")

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if self.max_seconds > self.batch_seconds:
            raise ValueError(f"max_seconds ({self.max_seconds}) cannot exceed batch_seconds ({self.batch_seconds})")
        return self


class Config(Strict):
    """Everything that makes a model what it is, apart from the recordings."""

    seed: int = Field(1, ge=0, lt=2**31)
    features: FeatureConfig = FeatureConfig()
    tokens: TokenConfig = TokenConfig()
    encoder: EncoderConfig = EncoderConfig()
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()


def _known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += _known_keys(field.annotation, f"{prefix}{name}.")
    return keys


def _explain(error: ValidationError, source: str) -> str:
    """One sentence a mistake: the key, what was seen, what was needed, the nearest valid key."""
    sentences = []
    for mistake in error.errors():
        key = ".".join(str(part) for part in mistake["loc"])
        if mistake["type"] == "extra_forbidden":
            known = _known_keys(Config)
            elsewhere = [name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]]
            near = get_close_matches(key, elsewhere, cutoff=0) or get_close_matches(key, known)
            sentences.append(f"there is no key {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        else:
            reason = mistake["msg"].removeprefix("Value error, ")
            seen = "" if isinstance(mistake["input"], dict) else f" (seen: {mistake['input']!r})"
            sentences.append(f"{key}: {reason}{seen}" if key else reason)
    return f"{source}: " + "; ".join(sentences)


def parse_config(fields: dict[str, Any], source: str) -> Config:
    """Checks nested dictionaries against the config's types.

    Raises:
        UsageError: an unknown key or a wrong value; names ``source``, the key and the nearest valid one.
    """
    try:
        return Config.model_validate(fields)
    except ValidationError as error:
        raise UsageError(_explain(error, source)) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping (an empty file counts as one).

    Raises:
        UsageError: not YAML, or not a mapping; gives the line.
    """
    try:
        fields = yaml.load(read_text(path), Loader=_Loader)  # a SafeLoader
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 2024-13-01 is YAML for a date, but there is none
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(f"{where}: not YAML ({getattr(error, 'problem', error)})") from error
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise UsageError(f"{path}: a config is a mapping of keys to values, this is a {type(fields).__name__}")
    return fields


def _override(fields: dict[str, Any], assignment: str) -> None:
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise UsageError(f"{assignment!r}: an override is written key=value, as in train.epochs=5")
    try:
        value = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{assignment!r}: the value is not YAML") from error
    *parents, leaf = key.split(".")
    for parent in parents:
        inner = fields.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise UsageError(f"{assignment!r}: {parent!r} is a value, it has no keys under it")
        fields = inner
    fields[leaf] = value


def read_config(path: Path | None, overrides: list[str] | None = None) -> Config:
    """Reads a config file (None: the defaults) and applies ``key=value`` overrides.

    Raises:
        UsageError: see `parse_config`.
    """
    fields = read_yaml(path) if path else {}
    for assignment in overrides or []:
        _override(fields, assignment)
    source = " with ".join([str(path) if path else "the defaults", *([" ".join(overrides)] if overrides else [])])
    return parse_config(fields, source)


def to_yaml(fields: dict[str, Any]) -> str:
    """YAML in the order given; what `read_yaml` reads back."""
    return yaml.dump(fields, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
