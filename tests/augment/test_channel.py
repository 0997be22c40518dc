"""Codecs and gain: the band that is left, lengths, and that nothing is delayed."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import soundfile

from asr.augment import channel
from asr.augment.channel import WITH_BITRATE, amplify, check_codecs, transmit
from asr.augment.spectrum import fast_length
from asr.config import Codec
from asr.errors import AsrError

CODECS = get_args(Codec)
NARROW = ("telephone", "mu-law", "a-law", "gsm")
RATE = 16000


def noise(samples: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(1).standard_normal(samples)).astype(np.float32)


def levels(samples: np.ndarray, rate: int, edges: list[int]) -> list[float]:
    """Power between neighbouring edges [dB]."""
    power, hertz = np.abs(np.fft.rfft(samples)) ** 2, np.fft.rfftfreq(len(samples), 1 / rate)
    pairs = pairwise(edges)
    return [float(10 * np.log10(power[(hertz >= low) & (hertz < high)].mean() + 1e-12)) for low, high in pairs]


@pytest.mark.parametrize("codec", NARROW)
@pytest.mark.parametrize("rate", [16000, 44100])
def test_the_telephone_kills_what_it_does_not_carry(codec: Codec, rate: int) -> None:
    edges = [20, 150, 500, 3200, 4100, 7900]
    before, after = levels(noise(4 * rate), rate, edges), levels(transmit(noise(4 * rate), rate, codec), rate, edges)
    assert after[4] < before[4] - 50  # above 4 kHz
    if codec != "gsm":  # which is no waveform coder
        assert after[2] == pytest.approx(before[2], abs=1)
        assert after[0] < before[0] - 15


AT = [(codec, 64.0) for codec in NARROW[:3]] + [(codec, rate) for codec in WITH_BITRATE for rate in (16.0, 32.0, 64.0)]


@pytest.mark.parametrize(("codec", "bitrate"), AT)
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 48000])
def test_nothing_is_delayed(codec: Codec, bitrate: float, rate: int) -> None:
    """The strongest correlation lies at lag 0, within half a millisecond."""
    hertz = np.fft.rfftfreq(2 * rate, 1 / rate)
    spectrum = np.fft.rfft(noise(2 * rate)) * ((hertz > 400) & (hertz < 3000))
    band = np.fft.irfft(spectrum).astype(np.float32)
    heard = transmit(band, rate, codec, bitrate)
    cross = np.fft.irfft(np.conj(np.fft.rfft(band)) * np.fft.rfft(heard))
    lag = int(np.argmax(cross))
    assert min(lag, len(cross) - lag) <= 0.0005 * rate
    assert cross.max() / np.dot(band, band) > (0.7 if bitrate == 64 else 0.5)  # noise, which codecs do not keep


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("rate", [4000, 8000, 11025, 16000, 44100, 96000])
def test_lengths_stay_and_numbers_stay_finite(codec: Codec, rate: int) -> None:
    for samples in (1, 2, 159, 160, 161, 1000, 7919):
        for bitrate in (8.0, 64.0, 256.0) if codec in WITH_BITRATE else (64.0,):
            heard = transmit(noise(samples), rate, codec, bitrate)
            assert heard.shape == (samples,)
            assert heard.dtype == np.float32
            assert np.isfinite(heard).all()
    assert not np.abs(transmit(np.zeros(rate, np.float32), rate, codec)).max() > 1e-3
    loud = transmit(50 * noise(rate), rate, codec, 64.0)
    assert np.isfinite(loud).all()
    assert codec == "telephone" or np.abs(loud).max() < 5  # of 20; resampling swings beyond what was clipped


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_in_the_same_out(codec: Codec) -> None:
    np.testing.assert_array_equal(transmit(noise(5000), RATE, codec), transmit(noise(5000), RATE, codec))


@pytest.mark.parametrize("codec", ["mp3", "opus"])
@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize("bitrate", [32.0, 64.0])
def test_the_bit_rate_is_about_the_one_asked_for(
    codec: Codec, rate: int, bitrate: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: list[io.BytesIO] = []

    class Noted(io.BytesIO):
        def __init__(self) -> None:
            super().__init__()
            files.append(self)

    monkeypatch.setattr(channel.io, "BytesIO", Noted)
    transmit(noise(4 * rate), rate, codec, bitrate)
    assert len(files[0].getvalue()) * 8 / 4 / 1000 == pytest.approx(bitrate, rel=0.15)


def test_fewer_bits_are_worse() -> None:
    speechlike = noise(4 * RATE)
    errors = [float(np.square(transmit(speechlike, RATE, "mp3", one) - speechlike).mean()) for one in (16, 64, 160)]
    assert errors[0] > errors[1] > errors[2]


def test_gain_in_decibels_and_clipping_if_asked() -> None:
    samples = np.array([-0.5, 0.1, 0.9], np.float32)
    assert amplify(samples, 20.0, clip=False) == pytest.approx([-5, 1, 9])
    assert amplify(samples, 20.0, clip=True).tolist() == [-1, 1, 1]
    assert amplify(samples, -6.0206, clip=True) == pytest.approx(samples / 2, rel=1e-5)


def test_a_codec_that_libsndfile_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_codecs(CODECS)
    monkeypatch.setattr(soundfile, "available_subtypes", lambda container: {"PCM_16": "", "ULAW": ""})
    check_codecs(["telephone", "mu-law"])
    with pytest.raises(AsrError, match=r"augment\.codecs: libsndfile .* cannot write opus; leave it out or install"):
        check_codecs(["mu-law", "opus", "mp3"])


def test_fast_lengths_are_the_next_without_other_primes() -> None:
    plain = sorted(2**a * 3**b * 5**c for a in range(15) for b in range(10) for c in range(7))
    for samples in [*range(1, 1000), 9973, 10007]:
        assert fast_length(samples) == next(one for one in plain if one >= samples)
