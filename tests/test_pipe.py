"""Sound that comes through a pipe: the samples that a file would give, as soon as they are there."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import read_audio, stream_audio
from asr.errors import AsrError, UsageError
from asr.pipe import standard_input, stream_pipe
from tests.test_audio import speechlike

RATE = 16000
_UNSOUGHT = [
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "ULAW"),
    ("WAV", "ALAW"),
    ("WAVEX", "PCM_16"),
    ("WAVEX", "FLOAT"),
]
_SOUGHT = [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16"), ("WAV", "IMA_ADPCM")]


class Dripping(io.RawIOBase):
    """A pipe that brings a few bytes at a time and cannot seek."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size, self._at = data, size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        piece = self._data[self._at : self._at + min(self._size, len(buffer))]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    @property
    def left(self) -> int:
        return len(self._data) - self._at


def _written(path: Path, kind: str, coding: str, channels: int = 1, rate: int = RATE, seconds: float = 0.5) -> bytes:
    soundfile.write(path, speechlike(seconds, rate, channels), rate, coding, format=kind)
    return path.read_bytes()


def _all(blocks: Iterator[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.float32), *blocks])


def _sizes(data: bytes, promise: int) -> bytes:
    """A WAV file as it is written by a program that cannot go back to say how long it became."""
    at = data.index(b"data") + 4
    size = promise.to_bytes(4, "little")
    return data[:4] + size + data[8:at] + size + data[at + 4 :]


@pytest.mark.parametrize(("kind", "coding"), [*_UNSOUGHT, *_SOUGHT])
@pytest.mark.parametrize(("channels", "rate", "drip"), [(1, RATE, 999), (2, 44100, 4096)])
def test_a_pipe_gives_what_the_file_gives(
    tmp_path: Path, kind: str, coding: str, channels: int, rate: int, drip: int
) -> None:
    data = _written(tmp_path / "a.bin", kind, coding, channels, rate)
    pipe = Dripping(data, drip)
    read = _all(stream_pipe(pipe, RATE))  # type: ignore[arg-type]
    np.testing.assert_allclose(read, read_audio(tmp_path / "a.bin", RATE), atol=1e-6)
    assert pipe.left == 0  # nobody who writes to it meets a broken pipe


@settings(max_examples=40, deadline=None)
@given(
    frames=st.integers(1, 5000),
    channels=st.integers(1, 3),
    rate=st.sampled_from([8000, 16000, 44100]),
    drip=st.integers(20, 3000),
    promise=st.sampled_from([None, 0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]),
)
def test_however_the_bytes_come_the_samples_are_the_same(
    frames: int, channels: int, rate: int, drip: int, promise: int | None
) -> None:
    samples = np.random.default_rng(frames).uniform(-0.5, 0.5, (frames, channels))
    file = io.BytesIO()
    soundfile.write(file, samples, rate, "PCM_16", format="WAV")
    data = file.getvalue() if promise is None else _sizes(file.getvalue(), promise)
    read = _all(stream_pipe(Dripping(data, drip), RATE))  # type: ignore[arg-type]
    whole = _all(stream_pipe(io.BytesIO(file.getvalue()), RATE))
    np.testing.assert_array_equal(read, whole)


def test_blocks_come_before_the_pipe_ends(tmp_path: Path) -> None:
    data = _sizes(_written(tmp_path / "a.wav", "WAV", "PCM_16"), 0x7FFFFFFF)
    source, sink = os.pipe()
    with open(source, "rb") as file, open(sink, "wb", buffering=0) as writer:  # noqa: PTH123
        blocks = stream_pipe(file, RATE)
        come = 0
        for begin in range(0, len(data), 1600):
            piece = data[begin : begin + 1600]
            writer.write(piece)
            come += len(next(blocks))
            assert come == (begin + len(piece) - 44) // 2
        threading.Timer(0.05, writer.close).start()
        assert next(blocks, None) is None


def test_a_resampled_stream_stays_close_behind(tmp_path: Path) -> None:
    data = _written(tmp_path / "a.wav", "WAV", "PCM_16", rate=44100, seconds=2.0)
    pipe = Dripping(data, 4410)
    come = 0
    for block in stream_pipe(pipe, RATE):  # type: ignore[arg-type]
        come += len(block)
        heard = (len(data) - pipe.left - 44) / 2 / 44100
        assert heard - come / RATE < 0.15
    assert come == 2 * RATE


def test_less_than_the_header_promises_is_truncated(tmp_path: Path) -> None:
    data = _written(tmp_path / "a.wav", "WAV", "PCM_16")
    with pytest.raises(AsrError, match=r"^standard input: truncated, 0\.25 s of 0\.50 s came$"):
        _all(stream_pipe(io.BytesIO(data[: 44 + RATE // 2]), RATE))
    with pytest.raises(AsrError, match=r"^standard input: .*truncated"):
        flac = _written(tmp_path / "a.flac", "FLAC", "PCM_16", seconds=4.0)
        _all(stream_pipe(io.BytesIO(flac[: len(flac) // 2]), RATE))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the file is empty"),
        (b"RIFF", "not audio"),
        (b"RIFF\0\0\0\0WAVE", "not audio"),
        (b"RIFF\xff\xff\xff\xffWAVEjunk\xff\xff\xff\xff" + bytes(5000), "not audio"),
        (b"This is not audio." * 9, "not audio"),
    ],
)
def test_what_is_no_recording(data: bytes, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AsrError, match=f"^standard input: {sentence}"):
        _all(stream_pipe(io.BytesIO(data), RATE))


def test_a_pipe_without_a_sample(tmp_path: Path) -> None:
    data = _written(tmp_path / "a.wav", "WAV", "PCM_16")[:44]
    with pytest.raises(AsrError, match=r"standard input: (holds no audio samples|truncated, 0\.00 s)"):
        _all(stream_pipe(io.BytesIO(data), RATE))


def test_samples_that_are_not_finite_are_counted() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.array([0, np.nan, np.inf, 1]), RATE, "FLOAT", format="WAV")
    with pytest.raises(AsrError, match="2 samples are NaN or infinite"):
        _all(stream_pipe(io.BytesIO(file.getvalue()), RATE))


def test_a_disk_without_room_for_what_must_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _written(tmp_path / "a.flac", "FLAC", "PCM_16")

    class Full(io.BytesIO):
        name = "/tmp/x"

        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", lambda **_: Full())
    with pytest.raises(AsrError, match=r"standard input: could not be kept in /tmp/x \(No space left on device\)"):
        _all(stream_pipe(io.BytesIO(data), RATE))


def test_what_was_kept_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _written(tmp_path / "a.flac", "FLAC", "PCM_16")
    kept = tmp_path / "kept"
    kept.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(kept))
    blocks = stream_pipe(io.BytesIO(data), RATE)
    next(blocks)
    assert list(kept.iterdir())
    blocks.close()  # type: ignore[attr-defined]
    assert not list(kept.iterdir())


def test_a_dash_is_standard_input(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from asr.audio import stream_audio\n"
        "for block in stream_audio(Path('-'), 16000): sys.stdout.buffer.write(block.tobytes())"
    )
    for kind in ("WAV", "FLAC"):
        data = _written(tmp_path / "a.bin", kind, "PCM_16")
        done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, timeout=60)
        assert done.stderr == b""
        np.testing.assert_array_equal(np.frombuffer(done.stdout, np.float32), read_audio(tmp_path / "a.bin", RATE))


def test_a_terminal_is_no_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = os.openpty()
    with open(follower) as terminal:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdin", terminal)
        with pytest.raises(UsageError, match="standard input is no recording but a terminal"):
            next(stream_audio(Path("-"), RATE))
    os.close(leader)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError):
        standard_input()


def test_a_wav_file_whose_writer_never_came_back_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    data = _written(path, "WAV", "PCM_16", 2, seconds=1.0)
    whole = read_audio(path, RATE)
    path.write_bytes(_sizes(data, 0))
    np.testing.assert_allclose(_all(stream_audio(path, RATE)), whole, atol=1e-6)
    with pytest.raises(AsrError, match=r"a\.wav: its header says 0\.00 s, but about 1\.00 s more follow"):
        read_audio(path, RATE)


def test_what_cannot_be_read_one_by_one_is_not_tried_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    data = _written(path, "WAV", "IMA_ADPCM")
    path.write_bytes(_sizes(data, 0))
    for use in (lambda: _all(stream_audio(path, RATE)), lambda: _all(stream_pipe(io.BytesIO(path.read_bytes()), RATE))):
        with pytest.raises(AsrError, match=r"its header says 0\.00 s"):
            use()


def test_an_hour_comes_in_small_blocks() -> None:
    head = io.BytesIO()
    soundfile.write(head, np.zeros(1), RATE, "PCM_16", format="WAV")
    start = _sizes(head.getvalue(), 0xFFFFFFFF)

    class Hour(Dripping):
        def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
            if self.left:
                return super().readinto(buffer)
            self._size = min(len(buffer), len(start) + 3600 * 2 * RATE - self._at)
            self._at += self._size
            buffer[: self._size] = bytes(self._size)
            return self._size

        @property
        def left(self) -> int:
            return max(0, super().left)

    lengths = [len(block) for block in stream_pipe(Hour(start, 46), RATE)]  # type: ignore[arg-type]
    assert sum(lengths) == 3600 * RATE + 1
    assert max(lengths) <= 1 << 15
