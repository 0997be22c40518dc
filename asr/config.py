"""The config: one YAML a model, read into strict types.

Every field has its unit and its default here; a config file names only what differs. An unknown key or a wrong type is
an error that names the key, the file and the nearest valid key. ``key=value`` overrides (``train.epochs=5``) come last.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import Field, ValidationError, model_validator

from asr.errors import UsageError
from asr.latency import Chunking, divide
from asr.model.config import DecoderConfig, EncoderConfig
from asr.strict import Strict, explain, refuse_idle
from asr.yaml_files import parse_yaml, read_yaml


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
    floor: float | None = Field(
        None, gt=0, le=100, description="[dB] below each band's mean power in a recording, added to it as an even noise"
    )
    deltas: Literal[0, 1, 2] = Field(0, description="append this many orders of differences")
    cmvn: Literal["none", "utterance", "speaker", "global"] = Field(
        "global", description="mean and variance normalisation; global is what streaming and transcription need"
    )

    @model_validator(mode="after")
    def _consistent(self) -> FeatureConfig:
        if self.kind == "mfcc" and self.cepstra > self.mels:
            raise ValueError(f"cepstra ({self.cepstra}) cannot exceed mels ({self.mels})")
        if self.kind == "mfcc" and self.floor is not None:
            raise ValueError("floor is a power of mel bands, and kind=mfcc has none: leave it at null")
        nyquist = self.rate / 2
        high = self.band[1]
        if not self.low_frequency < high <= nyquist:
            raise ValueError(f"the bands must lie between 0 and {nyquist:.0f} Hz, not {self.low_frequency} to {high}")
        return self

    @property
    def band(self) -> tuple[float, float]:
        """The lowest and the highest frequency of the filterbank [Hz]."""
        high = self.high_frequency if self.high_frequency > 0 else self.rate / 2 + self.high_frequency
        return self.low_frequency, high

    @property
    def frame_samples(self) -> int:
        """Samples of a frame."""
        return int(self.rate * 0.001 * self.frame_length)

    @property
    def shift_samples(self) -> int:
        """Samples from one frame to the next."""
        return int(self.rate * 0.001 * self.frame_shift)

    def frames(self, samples: int) -> int:
        """The exact number of frames of so many samples; 0 if they are too few for one."""
        if self.snip_edges:
            return max(0, (samples - self.frame_samples) // self.shift_samples + 1)
        return (samples + self.shift_samples // 2) // self.shift_samples

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
        if self.kind != "phone":
            refuse_idle(self, ("dictionary", "g2p", "stress"), f"this is kind={self.kind}", "give kind=phone")
        if self.kind not in ("unigram", "bpe"):
            refuse_idle(self, ["size"], f"this is kind={self.kind}", "give kind=unigram or kind=bpe")
        if self.kind != "char":
            refuse_idle(self, ["characters"], f"this is kind={self.kind}", "give kind=char")
        return self


Codec = Literal["telephone", "mu-law", "a-law", "gsm", "mp3", "opus"]
Range = Annotated[list[float], Field(min_length=2, max_length=2)]  # lowest and highest, drawn uniformly


class AugmentConfig(Strict):
    """What is done to the training audio; each copy of an utterance is one item of an epoch.

    A probability is the share of items that get what follows it. Sound goes through the kinds in this order: speed,
    reverberation, coloured noise, noise, gain, codec, vocal tract, SpecAugment.
    """

    speeds: list[float] = Field([1.0], min_length=1, description="one copy of every utterance for each")
    frequency_masks: int = Field(0, ge=0, description="SpecAugment: bands silenced")
    frequency_width: int = Field(15, ge=1, description="most mel bands of one mask")
    time_masks: float = Field(0.0, ge=0, description="SpecAugment: stretches silenced, for each second of audio")
    time_width: int = Field(10, ge=1, description="most frames of one mask")
    vocal_tract: Range = Field([1.0, 1.0], description="what frequencies are multiplied by: other throats")
    reverberation_probability: float = Field(0.0, ge=0, le=1, description="simulated rooms")
    room_size: Range = Field([3.0, 10.0], description="length and width, each [m]")
    room_height: Range = Field([2.4, 4.0], description="[m]")
    absorption: Range = Field([0.2, 0.8], description="share of the energy that all walls of a room take")
    coloured_noise_probability: float = Field(0.0, ge=0, le=1, description="synthetic noise, which needs no recordings")
    coloured_noise_snr: Range = Field([10.0, 30.0], description="speech over noise [dB]")
    coloured_noise_slope: Range = Field([-6.0, 0.0], description="0 white, -3 pink, -6 brown [dB an octave]")
    noise: str | None = Field(None, description="folder of noise and music recordings to mix in")
    noise_probability: float = Field(0.5, ge=0, le=1, description="where there is such a folder")
    noise_snr: Range = Field([5.0, 20.0], description="speech over noise [dB]")
    gain_probability: float = Field(0.0, ge=0, le=1, description="louder or softer")
    gain: Range = Field([-10.0, 10.0], description="[dB]")
    gain_clip: bool = Field(False, description="cut off what exceeds full scale after the gain")
    codec_probability: float = Field(0.0, ge=0, le=1, description="telephone band and codecs")
    codecs: list[Codec] = Field(list(get_args(Codec)), min_length=1, description="one of them is drawn, evenly")
    codec_bitrate: Range = Field([12.0, 64.0], description="of mp3 and opus [kbit/s]")

    @model_validator(mode="after")
    def _consistent(self) -> AugmentConfig:
        if self.noise is None:
            refuse_idle(self, ("noise_probability", "noise_snr"), "no recordings are mixed in", "give noise=FOLDER")
        if any(not 0.5 <= speed <= 2 for speed in self.speeds):
            raise ValueError(f"speeds must lie between 0.5 and 2, these are {self.speeds}")
        if len(set(self.speeds)) != len(self.speeds):
            raise ValueError(f"each of the speeds must stand once, these are {self.speeds}")
        if len(set(self.codecs)) != len(self.codecs):
            raise ValueError(f"each of the codecs must stand once, these are {self.codecs}")
        for name, (least, most) in _LIMITS.items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ValueError(
                    f"{name} must be the lowest and the highest value, between {least:g} and {most:g}; this is "
                    f"{[low, high]}"
                )
        return self


_LIMITS = {
    "vocal_tract": (0.5, 2),
    "room_size": (1, 50),
    "room_height": (1, 50),
    "absorption": (0.05, 0.99),
    "coloured_noise_snr": (-30, 100),
    "coloured_noise_slope": (-12, 6),
    "noise_snr": (-30, 100),
    "gain": (-60, 60),
    "codec_bitrate": (8, 256),
}


class TrainConfig(Strict):
    initial: str | None = Field(None, description="folder of a trained model whose weights are begun with")
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
    average_over: Literal["last", "best"] | None = Field(
        None,
        description="which epochs: the last, or the best by dev WER; default: the best if patience is set",
    )
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of the moving average of weights, which is judged and kept, average is 1; 0: none",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="weight of each frame's divergence from the uniform distribution, taken off CTC's"
    )
    intermediate: list[int] = Field(
        [], description="recurrent layers after which the head is trained too, counted from 1"
    )
    intermediate_weight: float = Field(
        0.3, gt=0, lt=1, description="of their mean CTC loss, taken off the last layer's"
    )
    letters_weight: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="of the CTC loss of letters, which a second head learns beside phones, taken off theirs",
    )
    chunk_share: float = Field(
        0.0, ge=0, le=1, description="of the steps, trained chunk by chunk, as streams are read; see asr.model.chunks"
    )
    chunk_latency: Range = Field([0.4, 2.0], description="of such a step, a chunk and its context together [s]")
    checkpoint_minutes: float = Field(10.0, gt=0, description="state is saved so often, and after every epoch")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="auto: bfloat16 where it is faster")

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if self.max_seconds > self.batch_seconds:
            raise ValueError(f"max_seconds ({self.max_seconds}) cannot exceed batch_seconds ({self.batch_seconds})")
        if len(set(self.intermediate)) != len(self.intermediate):
            raise ValueError(f"each of the intermediate layers must stand once, these are {self.intermediate}")
        if not self.intermediate:
            refuse_idle(self, ["intermediate_weight"], "there are no intermediate layers", "give intermediate")
        if not self.chunk_share:
            refuse_idle(self, ["chunk_latency"], "no steps are trained by chunks", "give chunk_share")
        low, high = self.chunk_latency
        if not 0 < low <= high <= 30:
            raise ValueError(
                f"chunk_latency must be the lowest and the highest value, above 0 and up to 30; this is {[low, high]}"
            )
        return self

    @property
    def averages_best(self) -> bool:
        """Whether the best epochs are averaged, not the last, which patience lets run behind the best."""
        return self.average_over == "best" or (self.average_over is None and self.patience > 0)


class Config(Strict):
    """Everything that makes a model what it is, apart from the recordings."""

    seed: int = Field(1, ge=0, lt=2**31)
    features: FeatureConfig = FeatureConfig()
    tokens: TokenConfig = TokenConfig()
    encoder: EncoderConfig = EncoderConfig()
    decoder: DecoderConfig = DecoderConfig()
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        layers, encoder = self.train.intermediate, self.encoder
        first = encoder.pyramid + 1  # below, frames are others than the last layer's
        if any(not first <= layer < encoder.layers for layer in layers):
            raise ValueError(
                f"train.intermediate names recurrent layers above the pyramid and below the last, from {first} to "
                f"{encoder.layers - 1}; it is {layers}"
            )
        width = encoder.layer_width
        if layers and encoder.projection not in (0, width):
            raise ValueError(
                f"train.intermediate shares the last layer's head, which takes {width} numbers a frame: "
                f"encoder.projection must be 0, it is {encoder.projection}"
            )
        if self.train.letters_weight and self.tokens.kind != "phone":
            raise ValueError(
                f"train.letters_weight teaches letters beside phones, and tokens.kind is {self.tokens.kind}: "
                "leave it at 0"
            )
        if self.augment.vocal_tract != [1, 1] and self.features.kind != "fbank":
            raise ValueError("augment.vocal_tract moves mel bands, and features.kind=mfcc has none: leave it at [1, 1]")
        if self.train.chunk_share:
            frame, low = 0.001 * self.features.frame_shift * encoder.factor, self.train.chunk_latency[0]
            if reason := self.whole_only:
                raise ValueError(f"train.chunk_share trains a model for streams, and {reason}")
            if low < 1.999 * frame:
                raise ValueError(
                    f"train.chunk_latency begins at {low:g} s; a chunk and what is heard behind it need an encoder "
                    f"frame each, so at least {2 * frame:g} s"
                )
        return self

    @property
    def whole_only(self) -> str | None:
        """Why such a model hears whole recordings only, as the end of a sentence; None: it can hear streams, too.

        What looks further than the recurrent layers do would give other numbers in a stream than in its recording.
        """
        features, encoder, front = self.features, self.encoder, self.encoder.subsampling.kind
        reasons = [
            (features.cmvn not in ("global", "none"), f"features.cmvn={features.cmvn} needs all of a recording"),
            (features.floor is not None, "features.floor lies below the mean power of all of a recording"),
            (features.deltas, "features.deltas look at the frames beside each"),
            (
                not features.snip_edges,
                "features.snip_edges=false invents what lies beyond a recording's ends",
            ),
            (front != "stack", f"encoder.subsampling.kind={front} looks at the frames beside each; stack does not"),
            (
                encoder.cell not in ("lstm", "gru", "rnn"),
                f"encoder.cell={encoder.cell} carries no state from chunk to chunk; lstm, gru and rnn do",
            ),
            (encoder.direction == "backwards", "encoder.direction=backwards begins where a recording ends"),
            (encoder.pyramid, "encoder.pyramid joins frames across chunks"),
            (encoder.attention.layers, "encoder.attention looks at all of a recording"),
            (self.decoder.weight, "the attention decoder (decoder.weight) looks at all of a recording"),
        ]
        return next((reason for holds, reason in reasons if holds), None)

    def chunking(self, latency: float) -> Chunking:
        """How such a model goes by chunks with a latency [s].

        Raises:
            UsageError: it cannot, or the latency is too short.
        """
        if reason := self.whole_only:
            raise UsageError(f"this model hears whole recordings only, not chunk by chunk: {reason}")
        return divide(latency, self.frame_seconds)

    @property
    def frame_seconds(self) -> float:
        """How far apart two encoder frames are [s]."""
        return self.encoder.factor * self.features.shift_samples / self.features.rate


def parse_config(fields: dict[str, Any], source: str) -> Config:
    """Checks nested dictionaries against the config's types.

    Raises:
        UsageError: an unknown key or a wrong value; names ``source``, the key and the nearest valid one.
    """
    try:
        return Config.model_validate(fields)
    except ValidationError as error:
        raise UsageError(explain(error, source, Config)) from error


def _override(fields: dict[str, Any], assignment: str) -> None:
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise UsageError(f"{assignment!r}: an override is written key=value, as in train.epochs=5")
    try:
        value = parse_yaml(text)
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
