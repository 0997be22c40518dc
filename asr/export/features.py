"""`asr.features` as a part of an ONNX graph: waveforms → normalised features.

All between a frame's samples and its spectrum is linear: removing the mean, pre-emphasis, window, Fourier transform.
Pre-emphasis is done once to a waveform and not once to a frame, for it differs only in a frame's first sample, which
the Povey window makes zero; so the loud low frequencies are gone before the product with the Fourier matrix rounds.
Window and transform are one matrix.

What an utterance's features are must not depend on what lies beside it, not in the last bit: eight bits make a step of
a difference of rounding. ONNX Runtime's reductions, and its products with a single row, add in an order that depends on
the sizes; its pooling and its cumulative sums do not.
"""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto

from asr.errors import AsrError
from asr.export.graph import Graph, inside, integer, mask, real, row
from asr.features import DEVIATION_FLOOR, EPSILON, FULL_SCALE, Features, delta_filters

_ALIKE = 8  # logarithms are taken up to so many at a time; what is left over at the end rounds otherwise


def add_features(graph: Graph, features: Features, waveforms: str, lengths: str) -> tuple[str, str]:
    """Adds what `Features.forward` does.

    Args:
        graph: to which.
        features: with its statistics.
        waveforms: float32, (N, L).
        lengths: int64, (N,).

    Returns:
        features (N, T, F), zero behind each utterance's own frames, and their number (N,).

    Raises:
        AsrError: it normalises by speaker.
    """
    config = features.config
    if config.cmvn == "speaker":
        raise AsrError(
            "this model normalises by speaker, which needs a manifest: it cannot be exported; train with "
            "features.cmvn=global or utterance"
        )
    frames = graph.op("Max", _frames(graph, features, lengths), integer(0))
    steps = _frames(graph, features, graph.size(waveforms, 1))
    if not config.snip_edges:
        waveforms = _reflected(graph, features, waveforms, lengths, steps)
    own = inside(graph, frames, steps)
    x = _static(graph, features, waveforms, steps, own, frames)
    if config.deltas:
        x = graph.op("Concat", x, *_differences(graph, config.deltas, x, frames, steps), axis=2)
    if config.cmvn == "utterance":
        x = _normalise_each(graph, mask(graph, x, own), own, frames)
    elif config.cmvn == "global":
        x = graph.op("Div", graph.op("Sub", x, real(features.mean)), real(features.std))
    return mask(graph, x, own), frames


def _frames(graph: Graph, features: Features, samples: str) -> str:
    """As `Features.frames`; may be negative where samples are fewer than a frame's."""
    size, shift = features.frame_samples, features.shift_samples
    more = shift - size if features.config.snip_edges else shift // 2  # ONNX divides towards zero
    return graph.op("Div", graph.op("Add", samples, integer(more)), integer(shift))


def _reflected(graph: Graph, features: Features, waveforms: str, lengths: str, steps: str) -> str:
    """All samples of so many frames, as Kaldi goes on beyond a waveform's ends. (N, L), (N,) → (N, P)."""
    size, shift = features.frame_samples, features.shift_samples
    samples = graph.op("Add", graph.op("Mul", steps, integer(shift)), integer(size - shift))
    position = graph.op("Add", graph.count(samples), integer(shift // 2 - size // 2))  # (P,)
    twice = graph.op("Unsqueeze", graph.op("Mul", graph.op("Max", lengths, integer(1)), integer(2)), row(1))  # (N, 1)
    index = graph.op("Mod", position, twice)  # (N, P)
    index = graph.op("Min", index, graph.op("Sub", graph.op("Sub", twice, integer(1)), index))
    return graph.op("GatherElements", waveforms, index, axis=1)


def _static(graph: Graph, features: Features, waveforms: str, steps: str, own: str, frames: str) -> str:
    """Every frame of log-mel energies or cepstra, without differences. (N, samples) → (N, T, F)."""
    config = features.config
    before = graph.op("Mul", graph.op("Pad", waveforms, row(0, 1, 0, -1)), real(config.preemphasis))
    emphasised = graph.op("Sub", waveforms, before)  # (N, samples)
    framing = _Framing(graph, features, steps)
    mean = _means(graph, features, waveforms)
    offset = graph.op("Mul", mean, real(1 - config.preemphasis))
    centred = graph.op("Sub", framing.cut(emphasised), offset)  # (N, T, frame_samples)
    spectrum = graph.op("MatMul", centred, _fourier(graph, features))  # (N, T, fft): real parts, then imaginary ones
    more = int(config.kind == "mfcc")  # the energy
    spare = -(config.mels + more) % _ALIKE
    bands = np.pad(real(features.filterbank), ((0, 0), (0, spare)))
    both = graph.op("Concat", bands, bands, axis=0)  # adds the squares of real and imaginary parts
    powers = graph.op("MatMul", graph.op("Mul", spectrum, spectrum), both)
    if config.floor is not None:
        powers = graph.op("Max", powers, real(EPSILON))
        level = _mean(graph, mask(graph, powers, own), frames)
        powers = graph.op("Add", powers, graph.op("Mul", level, real(10 ** (-config.floor / 10))))
    if config.kind == "fbank":
        return graph.op("Slice", _logarithms(graph, powers), row(0), row(config.mels), row(2))
    steady = graph.op("Sub", framing.cut(waveforms), mean)  # (N, T, frame_samples)
    energy = graph.op("GlobalAveragePool", graph.op("Mul", steady, steady))  # (N, T, 1)
    energy = graph.op("Mul", energy, real(features.frame_samples * FULL_SCALE**2))
    cepstral = np.zeros((1 + config.mels + spare, config.cepstra), np.float32)
    cepstral[0, 0] = 1
    cepstral[1 : 1 + config.mels, 1:] = real(features.cepstral)[:, 1:]
    return graph.op("MatMul", _logarithms(graph, graph.op("Concat", energy, powers, axis=2)), cepstral)


def _logarithms(graph: Graph, powers: str) -> str:
    return graph.op("Log", graph.op("Max", powers, real(EPSILON)))


def _means(graph: Graph, features: Features, waveforms: str) -> str:
    """Of each frame. (N, samples) → (N, T, 1)."""
    size, shift = [features.frame_samples], [features.shift_samples]
    means = graph.op("AveragePool", graph.op("Unsqueeze", waveforms, row(1)), kernel_shape=size, strides=shift)
    return graph.op("Transpose", means, perm=[0, 2, 1])  # of (N, 1, T)


def _fourier(graph: Graph, features: Features) -> str:
    """Window and Fourier transform of a frame: (frame_samples, fft), real parts and then imaginary ones.

    The graph holds one period of a cosine and makes the matrix when it is loaded, in float64; the matrix itself would
    be a seventh of a small model's file.
    """
    size, fft = features.frame_samples, features.fft
    period = np.cos(2 * math.pi / fft * np.arange(fft))
    turns = graph.op("Mul", np.arange(size)[:, None], np.arange(fft // 2))  # of a circle, in parts of fft
    turns = graph.op("Concat", turns, graph.op("Sub", turns, integer(fft // 4)), axis=1)  # a sine lags by a quarter
    waves = graph.op("Gather", period, graph.op("Mod", turns, integer(fft)))
    window = features.window[:size].double().numpy()[:, None]
    return graph.op("Cast", graph.op("Mul", waves, window), to=TensorProto.FLOAT)


class _Framing:
    """Cuts waveforms into overlapping frames, block by block: a block is what frame and shift both are multiples of."""

    def __init__(self, graph: Graph, features: Features, steps: str) -> None:
        self._graph, self._size = graph, features.frame_samples
        self._block = math.gcd(features.frame_samples, features.shift_samples)
        each, shift = features.frame_samples // self._block, features.shift_samples // self._block
        first = graph.op("Mul", graph.op("Unsqueeze", graph.count(steps), row(1)), integer(shift))
        self._index = graph.op("Add", first, np.arange(each))  # (T, blocks of a frame)
        blocks = graph.op("Add", graph.op("Mul", steps, integer(shift)), integer(each - shift))
        self._samples = graph.op("Mul", blocks, integer(self._block))

    def cut(self, waveforms: str) -> str:
        """(N, samples) → (N, T, frame_samples)."""
        whole = self._graph.op("Slice", waveforms, row(0), self._samples, row(1))
        blocks = self._graph.op("Reshape", whole, row(0, -1, self._block))
        frames = self._graph.op("Gather", blocks, self._index, axis=1)
        return self._graph.op("Reshape", frames, row(0, 0, self._size))


def _differences(graph: Graph, order: int, x: str, frames: str, steps: str) -> list[str]:
    """As `Features._differences`. (N, T, D) → [(N, T, D), …]."""
    last = graph.op("Unsqueeze", graph.op("Max", graph.op("Sub", frames, integer(1)), integer(0)), row(1))  # (N, 1)
    differences = []
    for weights in delta_filters(order):
        terms = []
        for shift, weight in enumerate(weights.tolist(), start=-(len(weights) // 2)):
            position = graph.op("Max", graph.op("Add", graph.count(steps), integer(shift)), integer(0))
            index = graph.op("Unsqueeze", graph.op("Min", position, last), row(2))  # (N, T, 1)
            terms.append(graph.op("Mul", graph.op("GatherND", x, index, batch_dims=1), real(weight)))
        differences.append(graph.op("Sum", *terms))
    return differences


def _normalise_each(graph: Graph, x: str, own: str, frames: str) -> str:
    """Each utterance by its own frames. (N, T, F), zero behind its end → (N, T, F), anything there."""
    centred = mask(graph, graph.op("Sub", x, _mean(graph, x, frames)), own)
    deviation = graph.op("Sqrt", _mean(graph, graph.op("Mul", centred, centred), frames))
    return graph.op("Div", centred, graph.op("Max", deviation, real(DEVIATION_FLOOR)))


def _mean(graph: Graph, x: str, frames: str) -> str:
    """Over each utterance's own frames, one after another, so that zeros behind the end change nothing. → (N, 1, F)."""
    count = graph.op("Cast", graph.op("Max", frames, integer(1)), to=TensorProto.FLOAT)
    sums = graph.op("CumSum", x, integer(1))
    last = graph.op("Slice", sums, row(-1), row(2**62), row(1))
    return graph.op("Div", last, graph.op("Unsqueeze", count, row(1, 2)))
