"""Recordings for the report's page: compressed audio and small spectrograms, by a few threads, in bounded memory."""

from __future__ import annotations

import io
import os
import threading
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from asr.errors import AsrError
from asr.manifest import Utterance

if TYPE_CHECKING:
    from asr.features import Features

# MP3 is what every browser plays, Safari of any age included. Variable bit rate at 0.7 comes to 3.6 kB/s at 16 kHz and
# 2.5 kB/s at 8 kHz, both of which it knows as they are; speech gains nothing above 16 kHz.
_RATES = (8000, 11025, 12000, 16000)
_QUALITY = 0.7
BASE64 = 4 / 3  # bytes in the page for each byte embedded

_THREADS = 4
_AHEAD = 4 * _THREADS  # recordings held at a time
_WINDOW = 32.0  # [ms] of a spectrogram's frame, at least; at 8 kHz 40 bands need as much


@dataclass(frozen=True)
class MediaSettings:
    """What a page may hold of the recordings.

    Attributes:
        audio_limit_mb: audio within the page at most, as it stands there (base64) [MB]; beyond it files are linked.
    """

    audio_limit_mb: float = 20.0


@dataclass(frozen=True)
class Resolution:
    """How finely spectrograms are kept.

    Attributes:
        shift: from frame to frame [ms].
        bands: mel bands.
        levels: shades.
        bytes_per_second: what a second of speech comes to, compressed.
    """

    shift: float
    bands: int
    levels: int
    bytes_per_second: int


@dataclass(frozen=True)
class Recording:
    """What the page holds of an utterance's recording.

    Attributes:
        audio: MP3; None where it is linked or could not be read.
        link: the file as seen from the page, where it is not embedded.
        spectrogram: see `spectrogram`; None where there is none.
        error: why there is nothing.
    """

    audio: bytes | None = None
    link: str | None = None
    spectrogram: bytes | None = None
    error: str | None = None


# From fine to coarse; bytes measured on LibriSpeech's dev set.
_RESOLUTIONS = (
    Resolution(10, 40, 32, 2080),
    Resolution(20, 40, 32, 1060),
    Resolution(20, 40, 16, 790),
    Resolution(30, 40, 16, 540),
    Resolution(40, 32, 16, 330),
    Resolution(80, 24, 16, 130),
)
_SPECTROGRAMS = 18e6  # bytes in the page for all spectrograms


def resolution(seconds: float) -> Resolution | None:
    """The finest at which spectrograms of so much audio keep the page small; None above 28 hours, where none does."""
    fits = (one for one in _RESOLUTIONS if seconds * one.bytes_per_second * BASE64 <= _SPECTROGRAMS)
    return next(fits, None)


def playing_rate(rate: int) -> int:
    """The sample rate at which a recording is embedded: its own where MP3 has it, else 16 kHz."""
    return rate if rate in _RATES else _RATES[-1]


def compress(samples: np.ndarray, rate: int) -> bytes:
    """MP3 of float32 samples, shape (samples,); ``rate`` is one that `playing_rate` gives [Hz]."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(
        file,
        np.clip(samples, -1, 1),
        rate,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="VARIABLE",
        compression_level=_QUALITY,
    )
    return file.getvalue()


def front_end(rate: int, kept: Resolution) -> Features:
    """Log-mel features at a page's resolution, frames centred on multiples of the shift."""
    from asr.config import FeatureConfig
    from asr.features import Features

    length = max(_WINDOW, kept.shift)
    config = FeatureConfig(
        rate=rate, mels=kept.bands, frame_shift=kept.shift, frame_length=length, snip_edges=False, cmvn="none"
    )
    return Features(config).eval()


def spectrogram(samples: np.ndarray, features: Features, kept: Resolution) -> bytes:
    """A log-mel spectrogram in few shades, compressed.

    Each frame is ``kept.bands`` bytes, from low to high: the first band's shade and then differences from band to band,
    modulo 256, all of it as zlib makes it smaller. The shades span what is heard in this recording.

    Args:
        samples: float32, shape (samples,).
        features: of `front_end`, for the samples' rate.
        kept: the same resolution.
    """
    import torch

    mel = features.raw(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))[0][0].numpy()  # (T, bands)
    if mel.size == 0:
        return zlib.compress(b"")
    low, high = np.percentile(mel, [5, 99.8])
    shades = np.rint((mel - low) / max(high - low, 1e-3) * (kept.levels - 1))
    shades = np.clip(shades, 0, kept.levels - 1).astype(np.uint8)
    return zlib.compress(np.diff(shades, axis=1, prepend=np.uint8(0)).tobytes(), 9)


def posterior_bytes(frames: np.ndarray, tokens: np.ndarray, probabilities: np.ndarray) -> bytes:
    """Sparse posteriors, compressed: steps from frame to frame, tokens (16 bits each), probabilities in 255 steps.

    Args:
        frames, tokens: integers, shape (entries,), frames ascending.
        probabilities: 0 to 1, shape (entries,).
    """
    steps = np.diff(frames.astype(np.int64), prepend=0).astype("<u2")
    shades = np.rint(np.asarray(probabilities) * 255).astype(np.uint8)
    return zlib.compress(steps.tobytes() + tokens.astype("<u2").tobytes() + shades.tobytes(), 9)


def link(utterance: Utterance, folder: Path) -> str:
    """The recording as seen from a page in ``folder``, with the stretch of it that is the utterance."""
    path = os.path.relpath(utterance.audio.resolve(), folder.resolve())
    begin = utterance.offset
    stretch = "" if begin is None else f"#t={begin:.3f},{begin + utterance.duration:.3f}"
    return quote(os.fsencode(Path(path).as_posix())) + stretch


def recordings(
    utterances: Sequence[Utterance], settings: MediaSettings, kept: Resolution | None, folder: Path
) -> Iterator[Recording]:
    """Reads, compresses and pictures the recordings one after the other, a few ahead of the one that is asked for.

    Audio is embedded until the first that no longer fits the limit; those behind it are linked.

    Args:
        utterances: in the order in which they shall be embedded.
        settings: how much is embedded.
        kept: resolution of the spectrograms; None for none.
        folder: where the page lies.

    Yields:
        One for each utterance, in that order.
    """
    left = settings.audio_limit_mb * 1e6 / BASE64
    full = threading.Event()
    if left <= 0:
        full.set()
    threads = threading.local()

    def make(utterance: Utterance) -> Recording:
        try:
            import torch  # noqa: F401 (of `spectrogram`)

            from asr.audio import probe, read_audio  # brings soundfile; texts are scored where neither is installed
        except ModuleNotFoundError as error:
            return Recording(error=f"recordings are not read: {error.name} is not installed")
        try:
            rate = playing_rate(probe(utterance.audio).rate)
            stretch = None if utterance.offset is None else utterance.duration
            samples = read_audio(utterance.audio, rate, utterance.offset or 0.0, stretch)
        except AsrError as error:
            return Recording(error=str(error))
        picture = None
        if kept is not None:
            known: dict[int, Features] = threads.__dict__.setdefault("features", {})
            if rate not in known:
                known[rate] = front_end(rate, kept)
            picture = spectrogram(samples, known[rate], kept)
        audio = None if full.is_set() else compress(samples, rate)
        return Recording(audio, link(utterance, folder), picture)

    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[Future[Recording]] = deque()
        todo = iter(utterances)
        try:
            for utterance in todo:
                waiting.append(pool.submit(make, utterance))
                if len(waiting) < _AHEAD:
                    continue
                found = waiting.popleft().result()
                left -= len(found.audio or b"")
                yield _fitted(found, left, full)
            while waiting:
                found = waiting.popleft().result()
                left -= len(found.audio or b"")
                yield _fitted(found, left, full)
        finally:
            for future in waiting:
                future.cancel()


def _fitted(found: Recording, left: float, full: threading.Event) -> Recording:
    """Without what no longer fits; ``left`` counts the recording in."""
    if found.audio is None:
        return found
    if left < 0:
        full.set()
    if full.is_set():
        return Recording(None, found.link, found.spectrogram)
    return Recording(found.audio, None, found.spectrogram)
