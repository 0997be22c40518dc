"""Headers that lie, files that are none, files that change: samples that are right, or one sentence."""

from __future__ import annotations

import io
import os
import re
import resource
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr import audio
from asr.audio import examine, probe, read_audio, stream_audio
from asr.errors import AsrError
from tests.test_audio import speechlike, write

RATE = 16000


@pytest.fixture(autouse=True)
def _without_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


def _stream(path: Path) -> np.ndarray:
    return np.concatenate([np.empty(0, np.float32), *stream_audio(path, RATE)])


_DOORS: list[Callable[[Path], object]] = [probe, examine, _stream, lambda path: read_audio(path, RATE)]


def _refused(path: Path, sentence: str) -> bool:
    """Whether every way to read it says this sentence, with its name and not at length."""
    told = []
    for door in _DOORS:
        with pytest.raises(AsrError) as error:
            door(path)
        told.append(str(error.value))
    return all(
        re.search(sentence, one) and one.startswith(f"{path}: ") and len(one) < 250 + len(str(path)) for one in told
    )


def _wav(
    path: Path,
    *,
    rate: int = RATE,
    channels: int = 1,
    align: int | None = None,
    declared: int | None = None,
    data: bytes | None = None,
    tail: bytes = b"",
) -> Path:
    """A 16-bit WAV file of a second, or what its header makes of it."""
    samples = (speechlike(1.0, RATE, max(1, channels)) * 20000).astype("<i2").tobytes() if data is None else data
    width = 2 * channels if align is None else align
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * width % 2**32, width % 2**16, 16)
    size = len(samples) if declared is None else declared
    body = b"WAVEfmt \x10\0\0\0" + form + b"data" + struct.pack("<I", size) + samples + tail
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"rate": 0}, "not audio that libsndfile reads"),
        ({"rate": 1}, "its header says 1 samples a second"),
        ({"rate": 999}, "its header says 999 samples a second"),
        ({"rate": 2**31 - 1}, "its header says 2147483647 samples a second"),
        ({"rate": 2**32 - 1}, "not audio that libsndfile reads"),
        ({"channels": 0, "data": bytes(9000)}, "not audio that libsndfile reads"),
        ({"channels": 30000, "data": bytes(600000)}, "not audio that libsndfile reads"),
        ({"declared": 20000}, r"its header says 0\.62 s, but about 0\.3[78] s more follow; was the recording broken"),
        ({"declared": 64000}, r"truncated, 1\.00 s of 2\.00 s are there"),
        ({"declared": 0, "data": b""}, "holds no audio samples"),
    ],
)
def test_a_header_that_cannot_be(tmp_path: Path, fields: dict[str, int], sentence: str) -> None:
    assert _refused(_wav(tmp_path / "a.wav", **fields), sentence)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "tail",
    [
        b"LIST\x0a\0\0\0INFOxxxxxx",
        b"ID3\x03\0" + bytes(range(1, 256)) * 40,
        b"TAG" + b"x" * 125,
        bytes(90000),
        b"\x01\xfe\x03\xfc" * 200,
    ],
)
def test_what_may_follow_the_samples(tmp_path: Path, tail: bytes) -> None:
    path = _wav(tmp_path / "a.wav", tail=tail)
    for door in _DOORS:
        door(path)
    assert len(_stream(path)) == RATE


@pytest.mark.parametrize(
    ("kind", "chunk", "size"), [("WAVEX", b"data", struct.pack("<I", 8000)), ("AIFF", b"SSND", struct.pack(">I", 8008))]
)
def test_less_declared_than_there_is_in_other_formats(tmp_path: Path, kind: str, chunk: bytes, size: bytes) -> None:
    path = write(tmp_path / "a.bin", speechlike(1.0), kind)
    data = path.read_bytes()
    at = data.index(chunk) + 4
    data = data[:at] + size + data[at + 4 :]
    frames = data.index(b"COMM") + 10 if kind == "AIFF" else 0
    path.write_bytes(data[:frames] + struct.pack(">I", 4000) + data[frames + 4 :] if frames else data)
    assert _refused(path, r"its header says 0\.25 s, but about 0\.75 s more follow; was the recording broken off\?")


@pytest.mark.parametrize("align", [0, 1, 60000, 65535])
def test_a_block_size_that_nobody_needs(tmp_path: Path, align: int) -> None:
    np.testing.assert_array_equal(_stream(_wav(tmp_path / "a.wav", align=align)), _stream(_wav(tmp_path / "b.wav")))


@pytest.mark.parametrize("coding", ["IMA_ADPCM", "MS_ADPCM", "GSM610"])
@pytest.mark.parametrize("align", [0, 1, 7, 0xFFFF])
def test_a_block_size_that_cannot_be(tmp_path: Path, coding: str, align: int) -> None:
    path = write(tmp_path / "a.wav", speechlike(0.5), subtype=coding)
    data = bytearray(path.read_bytes())
    data[32:34] = align.to_bytes(2, "little")
    path.write_bytes(data)
    for door in _DOORS:
        try:
            door(path)
        except AsrError as told:
            assert str(told).startswith(f"{path}: ")


def test_a_header_with_nothing_behind_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", speechlike(0.5), subtype="GSM610")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"data") + 8])
    assert _refused(path, "holds no audio samples")


def test_a_segment_is_not_taken_from_another_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", speechlike(0.5), "MP3", "MPEG_LAYER_III")
    data = path.read_bytes()
    path.write_bytes(data[:131] + data)
    with pytest.raises(AsrError, match=r"damaged or truncated, decoding failed \(another place was found"):
        read_audio(path, RATE, 0.1, 0.05)


@pytest.mark.parametrize(("rate", "channels"), [(384_000, 1), (1000, 1), (999_999, 1), (RATE, 16), (44100, 200)])
def test_what_is_rare_but_can_be(tmp_path: Path, rate: int, channels: int) -> None:
    path = write(tmp_path / "a.wav", speechlike(0.5, rate, channels), rate=rate)
    assert abs(len(_stream(path)) - RATE // 2) <= 1
    np.testing.assert_array_equal(_stream(path), read_audio(path, RATE))


def test_a_thousand_channels_need_no_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with soundfile.SoundFile(path, "w", RATE, 1000, "PCM_16") as file:
        for _ in range(20):
            file.write(np.full((1000, 1000), 0.25))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert all(np.allclose(block, 0.25) for block in stream_audio(path, RATE))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # [kB]; 80 MB as float32


@pytest.mark.parametrize("level", [0.0, 0.5, -1.0])
def test_silence_and_a_constant_are_read_as_they_are(tmp_path: Path, level: float) -> None:
    path = write(tmp_path / "a.wav", np.full((RATE, 1), level, np.float32), subtype="FLOAT")
    np.testing.assert_array_equal(_stream(path), np.full(RATE, level, np.float32))


@pytest.mark.parametrize(
    ("kind", "subtype"), [("WAV", "PCM_16"), ("AIFF", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")]
)
def test_a_file_that_grows_is_read_as_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, subtype: str
) -> None:
    path = write(tmp_path / "a.bin", speechlike(1.0), kind, subtype)
    whole = _stream(path)
    monkeypatch.setattr("asr.audio._BLOCK", 1000)
    blocks = stream_audio(path, RATE)
    read = [next(blocks)]
    with path.open("ab") as file:
        file.write(np.random.default_rng(1).bytes(50_000))
    np.testing.assert_array_equal(np.concatenate([*read, *blocks]), whole)


@pytest.mark.parametrize(("kind", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16")])
def test_a_file_that_shrinks_is_truncated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, subtype: str
) -> None:
    path = write(tmp_path / "a.bin", speechlike(20.0), kind, subtype)
    monkeypatch.setattr("asr.audio._BLOCK", 1000)
    blocks = stream_audio(path, RATE)
    next(blocks)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(AsrError, match="truncated"):
        list(blocks)


def test_pipes_devices_and_sockets_are_not_waited_for(tmp_path: Path) -> None:
    begin = time.monotonic()
    os.mkfifo(tmp_path / "pipe.wav")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.wav"))
        for path in (tmp_path / "pipe.wav", tmp_path / "socket.wav", Path("/dev/zero"), Path("/dev/null")):
            assert _refused(path, r"is a pipe or a device, not a file; sound can come by standard input \(-\) instead")
    assert time.monotonic() - begin < 1


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "broken.wav").symlink_to("nowhere")
    assert _refused(tmp_path / "loop.wav", "could not be read \\(Too many levels of symbolic links\\)")
    assert _refused(tmp_path / "broken.wav", "there is no such file")
    assert _refused(tmp_path / "nul\0.wav", "there is no such file")
    with pytest.raises(AsrError, match=r"could not be read \(File name too long\)"):
        probe(tmp_path / ("x" * 300))
    assert _refused(tmp_path, "is a folder, not an audio file")


def test_a_file_that_may_not_be_read() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = write(Path(folder) / "a.wav", speechlike(0.1))
        path.chmod(0)
        Path(folder).chmod(0o755)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)  # root may read everything
            assert _refused(path, r"could not be read \(Permission denied\)")
        finally:
            os.seteuid(user)


def test_a_name_that_is_not_text(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9t\xe9.wav"))
    path.write_bytes(write(tmp_path / "a.wav", speechlike(0.5)).read_bytes())
    np.testing.assert_array_equal(_stream(path), read_audio(tmp_path / "a.wav", RATE))


def test_a_file_of_a_terabyte_with_nothing_in_it(tmp_path: Path) -> None:
    heads = {
        "RIFF": _wav(tmp_path / "a.wav").read_bytes()[:44],
        "zeros": b"",
        "ID3": b"ID3\x03\0\0\0\0\0\x0a" + bytes(10),
    }
    heads["RIFF"] = heads["RIFF"][:40] + struct.pack("<I", 0xFFFFF000)
    begin = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, head in heads.items():
        path = tmp_path / name
        path.write_bytes(head)
        os.truncate(path, 1 << 40)
        if name == "RIFF":  # a day of silence: read block by block
            blocks = stream_audio(path, RATE)
            assert len(next(blocks)) == 1 << 20
            assert not next(blocks).any()
        else:
            assert _refused(path, "not audio that libsndfile reads")
    assert time.monotonic() - begin < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000


_WRITTEN = [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")]


@settings(max_examples=50, deadline=None)
@given(
    kind=st.sampled_from(_WRITTEN),
    frames=st.integers(2000, 9000),
    channels=st.integers(1, 2),
    rate=st.sampled_from([8000, 16000, 44100, 48000]),
    to=st.sampled_from([8000, 16000]),
    block=st.integers(50, 12000),
)
def test_however_it_is_cut_into_blocks_a_file_has_the_same_samples(
    tmp_path_factory: pytest.TempPathFactory,
    kind: tuple[str, str],
    frames: int,
    channels: int,
    rate: int,
    to: int,
    block: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "blocks.bin"
    file = io.BytesIO()
    soundfile.write(file, speechlike(1.2, 8000, channels)[:frames], rate, kind[1], format=kind[0])
    path.write_bytes(file.getvalue())
    whole = read_audio(path, to)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audio, "_BLOCK", block)
        stretches = list(stream_audio(path, to))
        assert all(len(stretch) for stretch in stretches)
        # Decoding MP3, libmpg123 rounds in another order after it was stopped.
        rounding = 1e-6 if kind[0] == "MP3" else 0.0
        np.testing.assert_allclose(np.concatenate(stretches), whole, rtol=0, atol=rounding)
        np.testing.assert_allclose(read_audio(path, to), whole, rtol=0, atol=rounding)
