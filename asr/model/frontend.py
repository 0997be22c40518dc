"""Front ends: from feature frames to fewer and richer ones, before the recurrent stack.

Every kind gives ⌈T / factor⌉ frames for T, and reads zeros behind an utterance's end, as it would alone: what a bias or
a norm writes there is masked after each convolution. Norms look at one frame at a time, never at the batch. Where
features are taken for a picture, deltas are further bands of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asr.model.config import SubsamplingConfig
from asr.model.padding import join_frames, mask_padding, shortened


class Stacking(nn.Module):
    """Puts ``factor`` neighbouring frames side by side: nothing is learned and nothing is lost."""

    def __init__(self, features: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.outputs = features * factor

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Shape (N, T, F), padding zero → (N, ⌈T / factor⌉, F · factor). Needs no ``lengths``: it writes no bias."""
        return join_frames(x, self.factor)


class StridedConvolution(nn.Module):
    """One convolution over time with a stride of ``factor``, then ReLU."""

    def __init__(self, features: int, factor: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(features, channels, kernel, stride=factor, padding=kernel // 2)
        self.outputs = channels

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Shape (N, T, F), padding zero → (N, ⌈T / factor⌉, channels). What lies behind the end holds no meaning."""
        return torch.relu(self.convolution(x.transpose(1, 2))).transpose(1, 2)  # (N, S, channels)


class _TimeConvolution(nn.Module):
    """A convolution over time, layer norm and ReLU."""

    def __init__(self, inputs: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv1d(inputs, channels, kernel, stride=stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Shape (N, T, inputs), padding zero → (N, ⌈T / stride⌉, channels), padding zero, and its lengths."""
        x = self.convolution(x.transpose(1, 2)).transpose(1, 2)  # (N, S, channels)
        lengths = shortened(lengths, self.stride)
        return mask_padding(torch.relu(self.norm(x)), lengths), lengths


class TimeConvolutions(nn.Module):
    """Two convolutions over time, each with layer norm and ReLU."""

    def __init__(self, features: int, config: SubsamplingConfig, channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for stride, kernel in zip(config.strides, config.kernels, strict=True):
            self.layers.append(_TimeConvolution(features, channels, kernel, stride))
            features = channels
        self.outputs = channels

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Shape (N, T, F), padding zero, lengths (N,) → (N, ⌈T / factor⌉, channels)."""
        for layer in self.layers:
            x, lengths = layer(x, lengths)
        return x


class _PlaneConvolution(nn.Module):
    """A convolution over time and frequency, layer norm over a frame and ReLU.

    Planes lie as (N, T, F, C) in memory: so a frame is one stretch to norm, and oneDNN convolves fastest; but not with
    tall kernels, whose gradients in float32 take some 30 times as long there as in (N, C, T, F).
    """

    def __init__(
        self, inputs: int, channels: int, bands: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)
    ) -> None:
        super().__init__()
        self.stride = stride
        self.tall = kernel[1] > 3
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.convolution = nn.Conv2d(inputs, channels, kernel, stride=stride, padding=padding)
        self.bands = -(-bands // stride[1])
        self.norm = nn.LayerNorm([self.bands, channels])

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Shape (N, T, F, C), padding zero → (N, ⌈T / stride⌉, bands, channels), padding zero, and its lengths."""
        x = x.permute(0, 3, 1, 2)  # (N, C, T, F)
        if self.tall:
            # A single plane keeps strides that oneDNN misreads where there are one or two bands: give it plain ones.
            x = x.contiguous().flatten().view(x.shape)
        x = self.convolution(x).permute(0, 2, 3, 1)  # (N, S, F, channels)
        lengths = shortened(lengths, self.stride[0])
        return mask_padding(torch.relu(self.norm(x)), lengths), lengths


class Vgg(nn.Module):
    """Two blocks of two 3 × 3 convolutions and a pooling (Simonyan and Zisserman 2015; for CTC, Hori et al. 2017).

    The second block has twice the channels of the first. A block halves the bands, and pools time by its stride.
    """

    def __init__(self, features: int, config: SubsamplingConfig, channels: int) -> None:
        super().__init__()
        self.strides = config.strides
        self.layers = nn.ModuleList()
        inputs = 1
        for block in (1, 2):
            for _ in range(2):
                self.layers.append(_PlaneConvolution(inputs, block * channels, features, (3, 3)))
                inputs = block * channels
            features = -(-features // 2)
        self.outputs = features * inputs

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Shape (N, T, F), padding zero, lengths (N,) → (N, ⌈T / factor⌉, ⌈F / 4⌉ · 2 · channels)."""
        x = x[:, :, :, None]  # (N, T, F, 1)
        for block, stride in enumerate(self.strides):
            for layer in self.layers[2 * block : 2 * block + 2]:
                x, lengths = layer(x, lengths)
            # Nothing is below zero behind a ReLU, so the zeros of the padding never win.
            pooled = nn.functional.max_pool2d(x.permute(0, 3, 1, 2), (stride, 2), ceil_mode=True)
            x, lengths = pooled.permute(0, 2, 3, 1), shortened(lengths, stride)  # (N, ⌈T / stride⌉, ⌈F / 2⌉, C)
        return x.flatten(2)  # (N, S, F · C)


class DeepSpeech2(nn.Module):
    """Two convolutions with large kernels and strides (Amodei et al. 2016), 41 and 21 bands high, each halving them."""

    def __init__(self, features: int, config: SubsamplingConfig, channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        inputs = 1
        for stride, frames, height in zip(config.strides, config.kernels, (41, 21), strict=True):
            layer = _PlaneConvolution(inputs, channels, features, (frames, height), (stride, 2))
            self.layers.append(layer)
            inputs, features = channels, layer.bands
        self.outputs = features * channels

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Shape (N, T, F), padding zero, lengths (N,) → (N, ⌈T / factor⌉, ⌈F / 4⌉ · channels)."""
        x = x[:, :, :, None]  # (N, T, F, 1)
        for layer in self.layers:
            x, lengths = layer(x, lengths)
        return x.flatten(2)  # (N, S, F · C)


FrontEnd = Stacking | StridedConvolution | TimeConvolutions | Vgg | DeepSpeech2


def make_front_end(config: SubsamplingConfig, features: int, hidden: int) -> FrontEnd:
    """The front end that a config asks for.

    Args:
        config: its kind, factor, channels and kernel.
        features: F.
        hidden: H; convolutions over time have 2H channels unless told otherwise, those over planes 32.
    """
    if config.kind == "stack":
        return Stacking(features, config.factor)
    if config.kind == "conv":
        return StridedConvolution(features, config.factor, config.channels or 2 * hidden, config.kernels[0])
    if config.kind == "conv1d":
        return TimeConvolutions(features, config, config.channels or 2 * hidden)
    if config.kind == "vgg":
        return Vgg(features, config, config.channels or 32)
    return DeepSpeech2(features, config, config.channels or 32)
