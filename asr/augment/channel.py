"""What a recording goes through on its way: gain, the telephone's band, and codecs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile

from asr.audio import resample
from asr.augment.spectrum import shape_spectrum
from asr.config import Codec
from asr.errors import AsrError

TELEPHONE = 8000  # [Hz] sample rate of telephony
_BAND = (300.0, 3400.0)  # [Hz] what it carries (ITU-T G.712)
_EDGE = (100.0, 300.0)  # [Hz] over which it fades below and above


@dataclass(frozen=True)
class _Encoder:
    """What libsndfile calls a codec.

    Attributes:
        container, coding: libsndfile's names.
        rates: the sample rates that it takes, ascending [Hz].
    """

    container: str
    coding: str
    rates: tuple[int, ...] = (TELEPHONE,)


_ENCODERS = {
    "mu-law": _Encoder("WAV", "ULAW"),
    "a-law": _Encoder("WAV", "ALAW"),
    "gsm": _Encoder("WAV", "GSM610"),
    "mp3": _Encoder("MP3", "MPEG_LAYER_III", (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)),
    "opus": _Encoder("OGG", "OPUS", (8000, 12000, 16000, 24000, 48000)),
}
WITH_BITRATE = ("mp3", "opus")
_MP3_DELAY = 1105  # samples: 576 of LAME's and the 529 of every decoder


def check_codecs(codecs: Sequence[Codec]) -> None:
    """Makes sure that libsndfile has these encoders.

    Raises:
        AsrError: it lacks one; names it.
    """
    for codec in codecs:
        encoder = _ENCODERS.get(codec)
        if encoder and encoder.coding not in soundfile.available_subtypes(encoder.container):
            raise AsrError(
                f"augment.codecs: libsndfile {soundfile.__libsndfile_version__} cannot write {codec}; leave it out or "
                "install a newer soundfile"
            )


def _fitted(samples: np.ndarray, length: int) -> np.ndarray:
    """Cut off or filled up with zeros, as rounding and a codec's frames make it a little longer or shorter."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def _band(hertz: np.ndarray) -> np.ndarray:
    rise = np.clip((hertz - _BAND[0] + _EDGE[0]) / _EDGE[0], 0, 1)
    fall = np.clip((_BAND[1] + _EDGE[1] - hertz) / _EDGE[1], 0, 1)
    return np.sin(np.pi / 2 * rise) ** 2 * np.sin(np.pi / 2 * fall) ** 2


def _compression(codec: Codec, bitrate: float, rate: int) -> float:
    """libsndfile's compression level for a bit rate [kbit/s]: 0 is the codec's largest, 1 its smallest."""
    if codec == "opus":
        smallest, largest = 6.0, 256.0
    else:  # MPEG 2.5, MPEG 2, MPEG 1
        smallest, largest = (8.0, 64.0) if rate <= 12000 else (8.0, 160.0) if rate <= 24000 else (32.0, 320.0)
    level = (largest - bitrate) / (largest - smallest)
    return min(max(level, 0.0), 0.99)  # which MP3's encoder refuses at 1


def _coded(samples: np.ndarray, rate: int, codec: Codec, bitrate: float) -> np.ndarray:
    """Encoded and decoded in memory; float32, shape (samples,)."""
    encoder = _ENCODERS[codec]
    options: dict[str, object] = {}
    if codec in WITH_BITRATE:
        options["compression_level"] = _compression(codec, bitrate, rate)
    if codec == "mp3":
        options["bitrate_mode"] = "CONSTANT"
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), rate, encoder.coding, format=encoder.container, **options)
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    if codec == "mp3" and len(decoded) > len(samples):  # frames too small to hold the note of what is to be cut off
        decoded = decoded[_MP3_DELAY:]
    return _fitted(decoded, len(samples))


def transmit(samples: np.ndarray, rate: int, codec: Codec, bitrate: float = 24.0) -> np.ndarray:
    """Through a codec and back, in time with what it was.

    ``telephone`` is the band of 300 to 3400 Hz at 8 kHz alone; ``mu-law`` and ``a-law`` (ITU-T G.711) and ``gsm``
    (06.10) code that band. ``mp3`` and ``opus`` run at the samples' own rate, or the next above it that they take.

    Args:
        samples: float32, shape (samples,); codecs clip what exceeds full scale.
        rate: of the samples [Hz].
        codec: which.
        bitrate: for ``mp3`` and ``opus`` [kbit/s]; held to what the codec can do at that rate.

    Returns:
        float32, shape (samples,), at ``rate`` Hz.
    """
    if codec in WITH_BITRATE:
        rates = _ENCODERS[codec].rates
        taken = next((one for one in rates if one >= rate), rates[-1])
        coded = _coded(resample(samples, rate, taken), taken, codec, bitrate)
        return _fitted(resample(coded, taken, rate), len(samples))
    narrow = resample(shape_spectrum(samples, rate, _band), rate, TELEPHONE)
    if codec != "telephone":
        narrow = _coded(narrow, TELEPHONE, codec, bitrate)
    return _fitted(resample(narrow, TELEPHONE, rate), len(samples))


def amplify(samples: np.ndarray, decibels: float, clip: bool) -> np.ndarray:
    """Louder or softer, float32, shape (samples,); ``clip`` cuts off what exceeds full scale, ±1."""
    louder = samples * np.float32(10 ** (decibels / 20))
    return np.clip(louder, -1, 1) if clip else louder
