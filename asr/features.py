"""Features: log-mel filterbank and MFCC by Kaldi's definitions, differences, mean and variance normalisation.

The front end is a part of the model, without learned parameters, always in float32. It is two maps, so that they can be
used apart: `Features.raw` from waveforms (N, L) to features (N, T, F), and `Features.normalise`.

Source: Kaldi, src/feat/{feature-window,mel-computations,feature-fbank,feature-mfcc,feature-functions}.cc, with its
defaults: DC offset removed from each frame, pre-emphasis, Povey window, FFT of the next power of two, power spectrum,
triangles in mel, natural logarithm of at least the float32 epsilon. MFCC: liftered by 22, and the first coefficient is
the frame's log energy before pre-emphasis and window (``use_energy`` and ``raw_energy``, both true in Kaldi).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from asr.config import FeatureConfig
from asr.errors import AsrError, UsageError

FULL_SCALE = 32768.0  # Kaldi computes on the scale of 16-bit samples
LIFTER = 22.0
DELTA_WINDOW = 2
EPSILON = torch.finfo(torch.float32).eps
# Rounding must not become a feature where a band never changes, as in digital silence; real bands deviate by 0.3 to 4.
DEVIATION_FLOOR = 1e-2
# On the CPU the buffers of a piece must stay in the cache, or be kept by the allocator, to be worth anything.
PIECE_SECONDS = 10.0


def mel_filterbank(mels: int, rate: int, fft: int, low: float, high: float) -> Tensor:
    """Kaldi's triangular filters, equally spaced and linear in mel = 1127 ln(1 + f / 700).

    Args:
        mels: number of bands.
        rate: sample rate [Hz].
        fft: length of the FFT.
        low: lower edge of the first band [Hz].
        high: upper edge of the last band [Hz].

    Returns:
        float64, shape (fft / 2, mels): the weight of each FFT bin in each band. The Nyquist bin has none, as in Kaldi.
    """

    def mel(hertz: Tensor) -> Tensor:
        return 1127 * torch.log1p(hertz / 700)

    first, last = mel(torch.tensor([low, high], dtype=torch.float64)).tolist()
    edges = torch.linspace(first, last, mels + 2, dtype=torch.float64)
    bins = mel(torch.arange(fft // 2, dtype=torch.float64) * rate / fft)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0)


def cepstral_transform(mels: int, cepstra: int) -> Tensor:
    """The orthonormal DCT-II and the lifter 1 + 11 sin(πk / 22) in one matrix: float64, shape (mels, cepstra)."""
    k = torch.arange(cepstra, dtype=torch.float64)
    n = torch.arange(mels, dtype=torch.float64)[:, None]
    dct = torch.cos(math.pi / mels * (n + 0.5) * k) * math.sqrt(2 / mels)
    dct[:, 0] = math.sqrt(1 / mels)
    return dct * (1 + LIFTER / 2 * torch.sin(math.pi * k / LIFTER))


def delta_filters(order: int) -> list[Tensor]:
    """Kaldi's regression over ±2 frames, and that regression of itself for the second order.

    Returns:
        a float64 filter for each order o = 1 … ``order``, shape (4 o + 1,), applied as Σ_j filter[j] · x[t + j - 2 o].
    """
    ramp = torch.arange(-DELTA_WINDOW, DELTA_WINDOW + 1, dtype=torch.float64)
    ramp /= ramp.square().sum()
    filters = [torch.ones(1, dtype=torch.float64)]
    for _ in range(order):
        longer = torch.zeros(len(filters[-1]) + 2 * DELTA_WINDOW, dtype=torch.float64)
        for shift, weight in enumerate(ramp):
            longer[shift : shift + len(filters[-1])] += weight * filters[-1]
        filters.append(longer)
    return filters[1:]


def estimate_cmvn(features: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every feature over all frames; sums in float64.

    Args:
        features: raw features of one utterance each, shape (T, F): of a training set for global normalisation, of one
            speaker for speaker normalisation.

    Returns:
        mean and standard deviation (floored), float32, shape (F,) each.

    Raises:
        AsrError: there is not a single frame.
    """
    frames = 0
    total = square = torch.zeros((), dtype=torch.float64)
    for one in features:
        exact = one.detach().to("cpu", torch.float64)
        frames += len(exact)
        total = total + exact.sum(0)
        square = square + exact.square().sum(0)
    if frames == 0:
        raise AsrError("mean and variance cannot be estimated: there is not one frame, every utterance is too short")
    mean = total / frames
    deviation = (square / frames - mean.square()).clamp(min=0).sqrt().clamp(min=DEVIATION_FLOOR)
    return mean.float(), deviation.float()


class Features(nn.Module):
    """From waveforms to normalised features.

    Attributes:
        dimension: F.
        frame_samples: samples of a frame.
        shift_samples: samples from one frame to the next.
        mean, std: with ``cmvn: global`` only, buffers (F,) that are saved with the model; NaN until set or loaded.

    Raises:
        UsageError: the config leaves a frame without samples or a mel band without an FFT bin.
    """

    window: Tensor
    filterbank: Tensor
    cepstral: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        self.config = config
        self.dimension = config.dimension
        self.frame_samples, self.shift_samples = config.frame_samples, config.shift_samples
        if self.frame_samples < 2 or self.shift_samples < 1:
            raise UsageError(
                f"features: at {config.rate} Hz a frame of {config.frame_length} ms has {self.frame_samples} samples "
                f"and its shift of {config.frame_shift} ms {self.shift_samples}; at least 2 and 1 are needed"
            )
        self.fft = 1 << (self.frame_samples - 1).bit_length()
        position = torch.arange(self.frame_samples, dtype=torch.float64)
        povey = (0.5 - 0.5 * torch.cos(2 * math.pi * position / (self.frame_samples - 1))).pow(0.85)
        window = torch.zeros(self.fft, dtype=torch.float64)
        window[: self.frame_samples] = povey * FULL_SCALE
        self.register_buffer("window", window.float(), persistent=False)
        self.register_buffer("filterbank", self._filterbank(config.mels).float(), persistent=False)
        if config.kind == "mfcc":
            cepstral = cepstral_transform(config.mels, config.cepstra)
            self.register_buffer("cepstral", cepstral.float(), persistent=False)
        if config.cmvn == "global":
            self.register_buffer("mean", torch.full((self.dimension,), math.nan))
            self.register_buffer("std", torch.full((self.dimension,), math.nan))
        self._deltas = [filter_.tolist() for filter_ in delta_filters(config.deltas)]

    def _filterbank(self, mels: int) -> Tensor:
        config, (low, high) = self.config, self.config.band

        def bands(count: int) -> Tensor:
            return mel_filterbank(count, config.rate, self.fft, low, high)

        empty = int((bands(mels).sum(0) == 0).sum())
        if empty:
            fits = next((count for count in range(mels - 1, 3, -1) if bands(count).sum(0).all()), 0)
            advice = f"at most {fits} mels fit" if fits else "widen the band or lengthen the frame"
            raise UsageError(
                f"features.mels: of {mels} bands from {low:g} to {high:g} Hz {empty} lie between the "
                f"bins of an FFT of {self.fft} points at {config.rate} Hz; {advice}"
            )
        return bands(mels)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Features:
        """Follows the model to another device, and stays in float32 when the model becomes bfloat16."""
        return super()._apply(lambda tensor: tensor.to(fn(tensor).device), recurse)

    def frames(self, samples: int) -> int:
        """The exact number of frames of so many samples; 0 if they are too few for one."""
        return self.config.frames(samples)

    def forward(
        self,
        waveforms: Tensor,
        lengths: Tensor,
        statistics: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Features of a batch, normalised. See `raw` and `normalise`, whose arguments and errors these are.

        Returns:
            features, float32, shape (N, T, F), zero behind each utterance's own frames; and their number, int64 (N,).
        """
        features, frames = self.raw(waveforms, lengths, generator)
        return self.normalise(features, frames, statistics), frames

    @torch.no_grad()
    def raw(
        self, waveforms: Tensor, lengths: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Features before normalisation. What stands behind an utterance's own samples has no influence on them.

        Args:
            waveforms: shape (N, L), full scale ±1.
            lengths: samples of each utterance, int64, shape (N,).
            generator: draws the dither, on the waveforms' device; by default torch's global generator. Dither is added
                in training mode only, once to a sample and not, as in Kaldi, once to a sample in each frame.

        Returns:
            features, float32, shape (N, T, F), zero behind each utterance's own frames; and their number, int64 (N,).
            An utterance shorter than a frame has none, and T may be 0: the caller decides whether that is an error.

        Raises:
            ValueError: the shapes do not fit each other.
        """
        if waveforms.dim() != 2 or lengths.shape != waveforms.shape[:1] or lengths.is_floating_point():
            raise ValueError(
                f"waveforms (N, L) and integer lengths (N,) are needed, "
                f"not {tuple(waveforms.shape)} and {tuple(lengths.shape)} of {lengths.dtype}"
            )
        samples: list[int] = lengths.tolist()
        if any(not 0 <= one <= waveforms.shape[1] for one in samples):
            raise ValueError(f"lengths must lie between 0 and L = {waveforms.shape[1]}, these are {samples}")
        with torch.autocast(waveforms.device.type, enabled=False):
            waveforms = waveforms.float()
            if self.training and self.config.dither > 0:
                noise = torch.randn(waveforms.shape, generator=generator, device=waveforms.device)
                waveforms = torch.add(waveforms, noise, alpha=self.config.dither / FULL_SCALE)
            counts = [self.frames(one) for one in samples]
            frames = torch.tensor(counts, dtype=torch.int64, device=waveforms.device)
            if waveforms.device.type == "cpu":
                features = self._one_by_one(waveforms, samples, counts)
            else:
                features = self._batched(waveforms, lengths.to(waveforms.device), max(counts, default=0))
                features = _clear_padding(features, frames)
            if self.config.floor is not None:
                _add_floor(features, counts, self.config.floor)
            if self._deltas:
                features = torch.cat([features, *self._differences(features, frames)], dim=2)
                features = _clear_padding(features, frames)
            return features, frames

    def _one_by_one(self, waveforms: Tensor, samples: list[int], counts: list[int]) -> Tensor:
        """Utterance by utterance, piece by piece, from its own samples only. (N, L) → (N, T, F without deltas)."""
        width = self.dimension // (1 + self.config.deltas)
        features = waveforms.new_zeros(len(samples), max(counts, default=0), width)
        piece = max(1, int(PIECE_SECONDS * self.config.rate) // self.shift_samples)
        for waveform, length, count, out in zip(waveforms, samples, counts, features, strict=True):
            for first in range(0, count, piece):
                last = min(first + piece, count)
                out[first:last] = self._static(_stretch(waveform[:length], *self._span(first, last)))
        return features

    def _batched(self, waveforms: Tensor, lengths: Tensor, count: int) -> Tensor:
        """All at once, to keep a GPU busy. (N, L) → (N, T, F without deltas), meaningless behind an utterance's end."""
        if count == 0:
            return waveforms.new_zeros(len(waveforms), 0, self.dimension // (1 + self.config.deltas))
        begin, end = self._span(0, count)
        if self.config.snip_edges:
            return self._static(waveforms[:, begin:end])
        position = torch.arange(begin, end, device=waveforms.device)
        return self._static(waveforms.gather(1, _reflect(position, lengths.clamp(min=1)[:, None])))

    def _span(self, first: int, last: int) -> tuple[int, int]:
        """The samples that the frames from ``first`` up to ``last``, not included, cover; they may lie outside."""
        begin = first * self.shift_samples
        if not self.config.snip_edges:
            begin += self.shift_samples // 2 - self.frame_samples // 2
        return begin, begin + (last - first - 1) * self.shift_samples + self.frame_samples

    def _static(self, waveforms: Tensor) -> Tensor:
        """Every frame that fits, without differences. (…, samples) → (…, T, F)."""
        frames = waveforms.unfold(-1, self.frame_samples, self.shift_samples)  # (…, T, frame_samples)
        frames = frames - frames.mean(-1, keepdim=True)
        padded = frames.new_empty(*frames.shape[:-1], self.fft)  # (…, T, fft)
        padded[..., self.frame_samples :] = 0
        padded[..., 0] = 0  # whatever pre-emphasis makes of a frame's first sample, the Povey window is zero there
        emphasised = padded[..., 1 : self.frame_samples]
        torch.add(frames[..., 1:], frames[..., :-1], alpha=-self.config.preemphasis, out=emphasised)
        spectrum = torch.view_as_real(torch.fft.rfft(padded.mul_(self.window))).square_()  # (…, T, fft / 2 + 1, 2)
        power = spectrum[..., :-1, 0] + spectrum[..., :-1, 1]  # (…, T, fft / 2)
        mel = (power @ self.filterbank).clamp_(min=EPSILON).log_()  # (…, T, mels)
        if self.config.kind == "fbank":
            return mel
        cepstra = mel @ self.cepstral  # (…, T, cepstra)
        energy = frames.square().sum(-1).mul_(FULL_SCALE**2)
        cepstra[..., 0] = energy.clamp_(min=EPSILON).log_()
        return cepstra

    def _differences(self, features: Tensor, frames: Tensor) -> list[Tensor]:
        """Kaldi's add-deltas; an utterance goes on with its first and last frame. (N, T, D) → [(N, T, D), …]."""
        position = torch.arange(features.shape[1], device=features.device)
        last = (frames - 1).clamp(min=0)[:, None]
        differences = []
        for weights in self._deltas:
            total = torch.zeros_like(features)
            for shift, weight in enumerate(weights, start=-(len(weights) // 2)):
                index = torch.minimum((position + shift).clamp(min=0), last)  # (N, T)
                total.add_(features.gather(1, index[:, :, None].expand_as(features)), alpha=weight)
            differences.append(total)
        return differences

    def set_global(self, mean: Tensor, std: Tensor) -> None:
        """Sets what ``cmvn: global`` subtracts and divides by; see `estimate_cmvn`.

        Raises:
            ValueError: a wrong shape, a value that is not finite, a deviation that is not positive, another ``cmvn``.
        """
        if self.config.cmvn != "global":
            raise ValueError(f"cmvn is {self.config.cmvn!r}: there are no global statistics to set")
        if mean.shape != (self.dimension,) or std.shape != (self.dimension,):
            raise ValueError(
                f"mean and std need the shape ({self.dimension},), not {tuple(mean.shape)}, {tuple(std.shape)}"
            )
        if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
            raise ValueError("mean and std must be finite, and std positive")
        self.mean.copy_(mean)
        self.std.copy_(std)

    def normalise(self, features: Tensor, frames: Tensor, statistics: Tensor | None = None) -> Tensor:
        """Subtracts the mean and divides by the standard deviation, as ``cmvn`` says.

        Args:
            features: raw, shape (N, T, F), zero behind each utterance's own frames.
            frames: of each utterance, int64, shape (N,).
            statistics: for ``cmvn: speaker`` alone, shape (N, 2, F): mean and deviation of each utterance's speaker.

        Returns:
            float32, shape (N, T, F), zero behind each utterance's own frames.

        Raises:
            AsrError: statistics are needed and there are none.
            ValueError: there are statistics and ``cmvn`` takes none, or their shape is wrong.
        """
        kind = self.config.cmvn
        features = features.float()
        if kind == "speaker" and statistics is None:
            raise AsrError(
                "this model normalises by speaker, and no speaker's mean and deviation were given; decode a manifest "
                "with the field speaker, or train with features.cmvn=global for a model that transcribes any file"
            )
        if statistics is not None and (kind != "speaker" or statistics.shape != (len(features), 2, self.dimension)):
            raise ValueError(
                f"statistics of shape {tuple(statistics.shape)} for {len(features)} utterances with cmvn {kind!r}; "
                f"they are for 'speaker' alone, with shape (N, 2, {self.dimension})"
            )
        if kind == "none":
            return features
        with torch.autocast(features.device.type, enabled=False):
            if kind == "utterance":
                return _normalise_each(features, frames)
            mean, std = self._statistics(features, statistics)
            return _clear_padding((features - mean) / std, frames)

    def _statistics(self, features: Tensor, statistics: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and deviation that broadcast with (N, T, F)."""
        if statistics is not None:
            mean, std = statistics.to(features).unbind(1)  # (N, F) each
            return mean[:, None], std[:, None]
        if self.mean.isnan().any():
            raise AsrError(
                "the model has no mean and deviation of its features: estimate them on the training set first"
            )
        return self.mean, self.std


def _clear_padding(features: Tensor, frames: Tensor) -> Tensor:
    """Zero behind each utterance's own frames, in place. (N, T, F), (N,) → (N, T, F)."""
    behind = torch.arange(features.shape[1], device=features.device) >= frames[:, None]  # (N, T)
    return features.masked_fill_(behind[:, :, None], 0)


def _add_floor(features: Tensor, frames: list[int], decibels: float) -> None:
    """Adds even noise, so many decibels below the mean power of each band of an utterance. (N, T, mels), in place.

    What lies below it, and differs from microphone to microphone, is drowned: a simple form of the noise masking
    of Klatt (ICASSP 1976). One by one, as a sum over padding rounds differently.
    """
    for one, count in zip(features, frames, strict=True):
        if count:
            own = one[:count]
            level = own.logsumexp(0) - math.log(count)
            own.copy_(torch.logaddexp(own, level - decibels * math.log(10) / 10))


def _reflect(position: Tensor, length: Tensor) -> Tensor:
    """Kaldi's continuation beyond the ends, -1 → 0, -2 → 1, length → length - 1, as often as needed."""
    position = position.remainder(2 * length)
    return torch.minimum(position, 2 * length - 1 - position)


def _stretch(waveform: Tensor, begin: int, end: int) -> Tensor:
    """The samples from ``begin`` to ``end``, reflected where that is outside the waveform. (L,) → (end - begin,)."""
    length = len(waveform)
    if begin >= 0 and end <= length:
        return waveform[begin:end]
    before = _reflect(torch.arange(begin, max(begin, 0)), torch.tensor(length))
    behind = _reflect(torch.arange(min(length, end), end), torch.tensor(length))
    return torch.cat([waveform[before], waveform[max(begin, 0) : end], waveform[behind]])


def _normalise_each(features: Tensor, frames: Tensor) -> Tensor:
    """Each utterance by its own frames; one by one, as a sum over padding rounds differently. (N, T, F) → (N, T, F)."""
    normalised = torch.zeros_like(features)
    for one, count, out in zip(features, frames.tolist(), normalised, strict=True):
        if count == 0:
            continue
        centred = one[:count] - one[:count].mean(0)
        out[:count] = centred / centred.square().mean(0).sqrt().clamp(min=DEVIATION_FLOOR)
    return normalised
