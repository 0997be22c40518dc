"""The part of the config that says how the network is built; see `asr.config`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from asr.strict import Strict, refuse_idle

# How the two layers of a front end share a factor.
_STRIDES = {1: (1, 1), 2: (2, 1), 3: (3, 1), 4: (2, 2), 5: (5, 1), 6: (3, 2), 7: (7, 1), 8: (4, 2)}


class SubsamplingConfig(Strict):
    """What stands between features and the recurrent stack; see `asr.model.frontend`."""

    kind: Literal["stack", "conv", "conv1d", "vgg", "deepspeech2"] = Field(
        "stack", description="neighbouring frames side by side, one or two convolutions over time, or ones over planes"
    )
    factor: int = Field(3, ge=1, le=8, description="feature frames for each encoder frame")
    channels: int = Field(0, ge=0, description="of the (first) convolutions; 0: 2H over time, 32 over planes")
    kernel: int = Field(
        0, ge=0, le=501, description="frames that a convolution sees; 0: 2 strides + 1, for deepspeech2 11"
    )

    @model_validator(mode="after")
    def _consistent(self) -> SubsamplingConfig:
        if self.kind == "stack" and self.channels:
            raise ValueError(f"stack has no channels, these are {self.channels}")
        if self.kind in ("stack", "vgg") and self.kernel:
            raise ValueError(f"kernel is not for {self.kind}, it is {self.kernel}")
        if self.kernel and self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, as many frames before as behind, it is {self.kernel}")
        longest = self.factor if self.kind == "conv" else max(self.strides)
        if 0 < self.kernel < longest:
            raise ValueError(f"kernel must be at least the stride {longest}, or frames are passed over: {self.kernel}")
        if self.kind == "vgg" and longest > 3:
            raise ValueError(f"factor must be 1, 2, 3, 4 or 6 for vgg, which pools in two steps, it is {self.factor}")
        return self

    @property
    def strides(self) -> tuple[int, int]:
        """How many frames of the one below each frame of the first and of the second layer stands for."""
        return _STRIDES[self.factor]

    @property
    def kernels(self) -> tuple[int, int]:
        """Frames that its first and second convolution over time see."""
        usual = 11 if self.kind == "deepspeech2" else 0
        strides = (self.factor, 1) if self.kind == "conv" else self.strides
        first, second = (self.kernel or usual or 2 * stride + 1 for stride in strides)
        return first, second


class AttentionConfig(Strict):
    """Self-attention on top of the recurrent stack; see `asr.model.attention`."""

    layers: int = Field(0, ge=0, description="0: none")
    heads: int = Field(4, ge=1, description="a divisor of what the recurrent layers say of a frame, W")
    feed_forward: int = Field(0, ge=0, description="inner units of its feed-forward networks; 0: four times W")

    @model_validator(mode="after")
    def _consistent(self) -> AttentionConfig:
        if not self.layers:
            refuse_idle(self, AttentionConfig.model_fields, "there are no layers of it", "give layers")
        return self


Cell = Literal["lstm", "gru", "rnn", "peephole", "projected", "layernorm"]


Direction = Literal["both", "forwards", "backwards"]


class EncoderConfig(Strict):
    subsampling: SubsamplingConfig = SubsamplingConfig()
    cell: Cell = Field("lstm", description="rnn: tanh; peephole, projected and layernorm are LSTMs")
    direction: Direction = Field("both", description="in which each layer reads")
    layers: int = Field(3, ge=1)
    hidden: int = Field(256, ge=1, description="H, units of one direction")
    recurrent_projection: int = Field(
        0, ge=0, description="for projected: width through which the recurrence goes; 0: half of hidden"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="between layers and before the head")
    dropout_kind: Literal["plain", "locked"] = Field("plain", description="locked: one mask for all of an utterance")
    weight_dropout: float = Field(0.0, ge=0, lt=1, description="share of the hidden-to-hidden weights dropped a step")
    projection: int = Field(0, ge=0, description="width of a linear map after each layer but the last; 0: none")
    layer_norm: bool = Field(False, description="normalise each layer's output")
    connection: Literal["none", "residual", "highway"] = Field(
        "none", description="a way around each layer, from the second on, that is as wide as what it reads"
    )
    pyramid: int = Field(0, ge=0, description="lower layers behind each of which pairs of frames are joined")
    attention: AttentionConfig = AttentionConfig()

    @model_validator(mode="after")
    def _consistent(self) -> EncoderConfig:
        if self.cell != "projected":
            refuse_idle(self, ["recurrent_projection"], f"this is cell={self.cell}", "give cell=projected")
        if self.pyramid >= self.layers:
            raise ValueError(f"pyramid ({self.pyramid}) must be less than layers ({self.layers})")
        width, heads = self.layer_width, self.attention.heads
        if self.attention.layers and width % heads:
            raise ValueError(f"attention.heads must divide what the recurrent layers say of a frame, {width}: {heads}")
        if self.connection != "none" and not any(self.spanned_layers):
            raise ValueError(
                f"connection {self.connection} finds no layer from the second on that is as wide as what it reads: "
                f"give more layers, or a projection of {width} or none"
            )
        return self

    @property
    def factor(self) -> int:
        """Feature frames for each encoder frame."""
        return self.subsampling.factor * 2**self.pyramid

    @property
    def direction_width(self) -> int:
        """R, what one direction of a layer says of a frame: H, or the recurrent projection."""
        if self.cell == "projected":
            return self.recurrent_projection or (self.hidden + 1) // 2
        return self.hidden

    @property
    def layer_width(self) -> int:
        """W, what a layer says of a frame, all directions together."""
        return (2 if self.direction == "both" else 1) * self.direction_width

    @property
    def layer_widths(self) -> list[int]:
        """What each layer says of a frame, behind its projection."""
        last = self.layer_width
        return [self.projection or last] * (self.layers - 1) + [last]

    @property
    def spanned_layers(self) -> list[bool]:
        """Which layers a connection leads around: those as wide as what they read, the first never."""
        widths = self.layer_widths
        read = [width * (2 if number < self.pyramid else 1) for number, width in enumerate(widths)]
        return [False, *(width == before for width, before in zip(widths[1:], read, strict=False))]


class DecoderConfig(Strict):
    """An attention decoder beside CTC, over the same encoder; see `asr.model.attention_decoder`."""

    weight: float = Field(0.0, ge=0, lt=1, description="of its loss in training, taken off CTC's; 0: there is none")
    hidden: int = Field(256, ge=1, description="units of its LSTM")
    embedding: int = Field(128, ge=1, description="width of a token's embedding")
    attention: int = Field(128, ge=1, description="width in which frames are compared with its state, and seen")
    dropout: float = Field(0.2, ge=0, lt=1, description="behind the embedding and before the softmax")

    @model_validator(mode="after")
    def _consistent(self) -> DecoderConfig:
        if not self.weight:
            refuse_idle(self, DecoderConfig.model_fields, "there is no such decoder", "give weight")
        return self
