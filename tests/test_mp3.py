"""MP3 files that do not tell how long they are."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr import ffmpeg
from asr.audio import examine, probe, read_audio, stream_audio
from asr.errors import AsrError
from asr.mp3 import _frame_length, is_of_unknown_length
from tests.test_audio import speechlike

RATE = 16000


def _frames(data: bytes) -> list[bytes]:
    """The frames of an MP3 file without tags."""
    frames, at = [], 0
    while length := _frame_length(data[at : at + 4]):
        frames.append(data[at : at + length])
        at += length
    assert at == len(data)
    return frames


def _written(rate: int, bit_rate: str, seconds: float = 2.0) -> bytes:
    """Of a bit rate that is constant, or varies: loud, then silent."""
    samples = speechlike(seconds, rate)
    samples[len(samples) // 2 :] = 0
    file = io.BytesIO()
    with soundfile.SoundFile(
        file, "w", rate, 1, "MPEG_LAYER_III", format="MP3", bitrate_mode=bit_rate, compression_level=0.5
    ) as sink:
        sink.write(samples)
    return file.getvalue()


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize("bit_rate", ["CONSTANT", "VARIABLE"])
def test_the_length_is_unknown_where_the_bit_rate_varies_and_nothing_counts(
    tmp_path: Path, rate: int, bit_rate: str
) -> None:
    path = tmp_path / "a.mp3"
    data = _written(rate, bit_rate)
    frames = _frames(data)
    counted = any(count in frames[0] for count in (b"Xing", b"Info"))
    assert counted
    path.write_bytes(data)
    assert not is_of_unknown_length(path)
    assert abs(probe(path).duration - 2.0) < 0.2
    path.write_bytes(b"".join(frames[1:]))
    assert is_of_unknown_length(path) == (bit_rate == "VARIABLE")
    tag = b"ID3\x04\0\0\0\0\x02\x01" + bytes(257)
    path.write_bytes(tag + b"".join(frames[1:]))
    assert is_of_unknown_length(path) == (bit_rate == "VARIABLE")


def test_it_is_refused_where_ffmpeg_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    path = tmp_path / "a.mp3"
    path.write_bytes(b"".join(_frames(_written(RATE, "VARIABLE"))[1:]))
    for use in (probe, examine, lambda one: read_audio(one, RATE), lambda one: list(stream_audio(one, RATE))):
        with pytest.raises(AsrError, match=r"a\.mp3: its header does not say how long it is .*; convert it"):
            use(path)


@pytest.mark.skipif(not ffmpeg.installed(), reason="FFmpeg is not installed")
def test_ffmpeg_reads_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    data = _written(RATE, "VARIABLE", 6.0)
    path.write_bytes(data)
    whole = read_audio(path, RATE)
    path.write_bytes(b"".join(_frames(data)[1:]))
    read = np.concatenate(list(stream_audio(path, RATE)))
    assert abs(len(read) - len(whole)) < 0.2 * RATE


def test_an_hour_takes_a_fraction_of_a_second(tmp_path: Path) -> None:
    frames = _frames(_written(RATE, "CONSTANT"))[1:]
    path = tmp_path / "a.mp3"
    path.write_bytes(b"".join(frames) * (3600 * RATE // 576 // len(frames)))
    begin = time.perf_counter()
    assert not is_of_unknown_length(path)
    assert time.perf_counter() - begin < 2
    begin = time.perf_counter()
    assert not is_of_unknown_length(path)
    assert time.perf_counter() - begin < 0.01
