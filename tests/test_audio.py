"""Reading audio: every format, segments, resampling, and what is wrong with a file said in one sentence."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio import examine, probe, read_audio, read_utterance, resample, stream_audio
from asr.errors import AsrError
from asr.manifest import Utterance
from tests.corpora import corpus_folder

RATE = 16000
LOSSLESS = [
    ("WAV", "PCM_U8", 1e-2),
    ("WAV", "PCM_16", 1e-4),
    ("WAV", "PCM_24", 1e-6),
    ("WAV", "PCM_32", 1e-6),
    ("WAV", "FLOAT", 1e-6),
    ("WAV", "DOUBLE", 1e-6),
    ("WAV", "ULAW", 3e-2),
    ("WAV", "ALAW", 3e-2),
    ("WAVEX", "PCM_16", 1e-4),
    ("RF64", "PCM_16", 1e-4),
    ("W64", "PCM_16", 1e-4),
    ("FLAC", "PCM_S8", 1e-2),
    ("FLAC", "PCM_16", 1e-4),
    ("FLAC", "PCM_24", 1e-6),
    ("AIFF", "PCM_16", 1e-4),
    ("AIFF", "PCM_24", 1e-6),
    ("AU", "PCM_16", 1e-4),
    ("CAF", "PCM_16", 1e-4),
    ("CAF", "ALAC_16", 1e-4),
    ("NIST", "PCM_16", 1e-4),
]
LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("WAV", "IMA_ADPCM"), ("WAV", "GSM610")]


def speechlike(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """Low-passed noise with a 440 Hz tone, shape (samples, channels): codecs keep it, and no two stretches agree."""
    generator = np.random.default_rng(7)
    noise = np.convolve(generator.standard_normal(round(seconds * rate)), np.ones(32) / 32, "same")
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(len(noise)) / rate)
    return np.stack([(0.3 * noise + tone).astype(np.float32)] * channels, axis=1)


def write(path: Path, samples: np.ndarray, kind: str = "WAV", subtype: str = "PCM_16", rate: int = RATE) -> Path:
    soundfile.write(path, samples, rate, format=kind, subtype=subtype)
    return path


@pytest.mark.parametrize(("kind", "subtype", "error"), LOSSLESS)
def test_every_lossless_width_gives_the_samples_back(tmp_path: Path, kind: str, subtype: str, error: float) -> None:
    samples = speechlike(1.5)
    path = write(tmp_path / "a.bin", samples, kind, subtype)
    read = read_audio(path, RATE)
    assert read.dtype == np.float32 and read.shape == (len(samples),)
    assert np.abs(read - samples[:, 0]).max() < error
    assert probe(path).duration == 1.5 and examine(path) == 1.5


@pytest.mark.parametrize(("kind", "subtype"), LOSSY)
def test_lossy_formats_keep_length_and_sound(tmp_path: Path, kind: str, subtype: str) -> None:
    samples = speechlike(2.0)
    read = read_audio(write(tmp_path / "a.bin", samples, kind, subtype), RATE)
    assert abs(len(read) - len(samples)) < 0.08 * RATE
    spectrum = np.abs(np.fft.rfft(read[:RATE]))
    assert abs(spectrum.argmax() - 440) <= 1
    assert 0.2 < spectrum.max() / (RATE / 2) < 0.4


@pytest.mark.parametrize(
    ("kind", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("NIST", "PCM_16"), ("AIFF", "PCM_24"), *LOSSY]
)
def test_a_segment_is_that_slice_of_the_whole(tmp_path: Path, kind: str, subtype: str) -> None:
    path = write(tmp_path / "a.bin", speechlike(3.0), kind, subtype)
    whole = read_audio(path, RATE)
    for offset, duration in [(0.0, 0.5), (1.25, 0.5), (2.9, 0.05), (0.123, 1.7)]:
        begin = round(offset * RATE)
        segment = read_audio(path, RATE, offset, duration)
        assert len(segment) == round(duration * RATE)
        # A Vorbis segment may lie a whole block beside its place near the end, an Opus decoder settles gradually.
        lags = range(-1024, 1025) if subtype == "VORBIS" and offset == 2.9 else [0]
        slices = (whole[begin + lag : begin + lag + len(segment)] for lag in lags)
        best = min(np.abs(segment - part).max() for part in slices if len(part) == len(segment))
        assert best < (3e-3 if subtype == "OPUS" else 1e-4)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channel_count_becomes_mono_at_the_rate_asked(tmp_path: Path, rate: int, channels: int) -> None:
    path = write(tmp_path / "a.wav", speechlike(1.0, rate, channels), rate=rate)
    assert (probe(path).rate, probe(path).channels, probe(path).frames) == (rate, channels, rate)
    read = read_audio(path, RATE)
    assert abs(len(read) - RATE) <= 1
    assert abs(np.abs(np.fft.rfft(read, RATE)).argmax() - 440) <= 1


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = np.full(800, 0.5, np.float32), np.full(800, -0.1, np.float32)
    path = write(tmp_path / "a.wav", np.stack([left, right], axis=1), subtype="FLOAT")
    np.testing.assert_allclose(read_audio(path, RATE), 0.2, atol=1e-6)


@pytest.mark.parametrize(("rate", "to"), [(8000, 16000), (44100, 16000), (48000, 16000), (16000, 8000)])
def test_resampling_keeps_a_sine_and_removes_what_would_fold(rate: int, to: int) -> None:
    sine = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(2 * rate) / rate)).astype(np.float32)
    out = resample(sine, rate, to)
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(len(out)) / to)
    middle = slice(to // 10, -to // 10)
    assert np.abs(out[middle] - expected[middle]).max() < 1e-3
    if to < rate:
        above = np.sin(2 * np.pi * 0.45 * rate * np.arange(rate) / rate).astype(np.float32)
        assert np.abs(resample(above, rate, to)[middle]).max() < 1e-3


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("WAV", "GSM610"),
        ("WAV", "IMA_ADPCM"),
        ("WAVEX", "PCM_24"),
        ("RF64", "PCM_16"),
        ("W64", "PCM_16"),
        ("AIFF", "PCM_16"),
        ("AU", "PCM_16"),
        ("VOC", "PCM_16"),
        ("NIST", "PCM_16"),
        ("CAF", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
    ],
)
def test_a_truncated_file_is_noticed_from_its_header(tmp_path: Path, kind: str, subtype: str) -> None:
    path = write(tmp_path / "a.bin", speechlike(4.0), kind, subtype)
    probe(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for use in (probe, examine, lambda file: read_audio(file, RATE)):
        with pytest.raises(AsrError, match=r"a\.bin: (truncated|not audio)"):
            use(path)


@pytest.mark.parametrize(("kind", "subtype"), [("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III")])
def test_a_truncated_stream_is_noticed_when_it_is_read(tmp_path: Path, kind: str, subtype: str) -> None:
    path = write(tmp_path / "a.bin", speechlike(4.0), kind, subtype)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AsrError, match="truncated"):
        read_audio(path, RATE)
    with pytest.raises(AsrError, match="truncated"):
        examine(path)


@pytest.mark.parametrize("promise", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_wav_written_to_a_pipe_is_not_taken_for_truncated(tmp_path: Path, promise: int) -> None:
    path = write(tmp_path / "a.wav", speechlike(1.0))
    header = bytearray(path.read_bytes())
    header[4:8] = header[40:44] = promise.to_bytes(4, "little")
    path.write_bytes(header)
    assert probe(path).frames == RATE


def test_a_flac_that_does_not_know_its_length_is_refused_with_advice(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", speechlike(1.0), "FLAC")
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # total samples, the last 36 bits of this part of STREAMINFO
    data[22:26] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(AsrError, match=r"does not say how long it is.*convert"):
        probe(path)


def test_bad_files_get_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not audio at all " * 100)
    write(tmp_path / "none.wav", np.zeros((0, 1), np.float32))
    for name, sentence in [
        ("missing.wav", "there is no such file"),
        ("empty.wav", r"empty \(0 bytes\)"),
        ("text.wav", "not audio"),
        ("none.wav", "no audio samples"),
        (".", "is a folder"),
    ]:
        with pytest.raises(AsrError, match=sentence):
            read_audio(tmp_path / name, RATE)


def test_samples_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    samples = speechlike(1.0)
    samples[100:103, 0] = np.nan, np.inf, -np.inf
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    for use in (examine, lambda file: read_audio(file, RATE)):
        with pytest.raises(AsrError, match="3 samples are NaN or infinite"):
            use(path)
    assert np.isfinite(read_audio(path, RATE, 0.5)).all()


def test_silence_is_refused_as_an_utterance_but_can_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.zeros((RATE, 1), np.float32))
    assert not read_audio(path, RATE).any()
    with pytest.raises(AsrError, match="nothing but zeros"):
        examine(path)
    with pytest.raises(AsrError, match=r"u1: .*nothing but zeros"):
        read_utterance(Utterance("u1", path, 1.0, "x"), RATE)


def test_a_hundredth_of_a_second_is_read_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", speechlike(0.01))
    assert len(read_audio(path, RATE)) == 160
    assert len(read_audio(path, 8000)) == 80


def test_a_segment_beyond_the_end_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", speechlike(1.0))
    for offset in (1.0, 5.0, -0.5):
        with pytest.raises(AsrError, match=r"the file ends at 1\.00 s"):
            read_audio(path, RATE, offset, 0.5)


def test_the_manifest_and_the_file_must_agree(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", speechlike(2.0))
    assert len(read_utterance(Utterance("u", path, 2.05, "x"), RATE)) == 2 * RATE
    assert len(read_utterance(Utterance("u", path, 0.5, "x", offset=1.0), RATE)) == RATE // 2
    for utterance in (
        Utterance("u", path, 2.2, "x"),
        Utterance("u", path, 1.8, "x"),
        Utterance("u", path, 1.2, "x", offset=1.0),
    ):
        with pytest.raises(AsrError, match=r"u: the manifest says .* has 2\.00 s"):
            read_utterance(utterance, RATE)


@pytest.mark.parametrize(("kind", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16")])
def test_a_segment_of_an_hour_is_read_without_decoding_the_hour(tmp_path: Path, kind: str, subtype: str) -> None:
    minute = speechlike(60.0, 8000)
    path = tmp_path / "hour.bin"
    with soundfile.SoundFile(path, "w", 8000, 1, format=kind, subtype=subtype) as file:
        for _ in range(60):
            file.write(minute)
    begin = time.perf_counter()
    segment = read_audio(path, 8000, 3000.25, 2.0)
    assert time.perf_counter() - begin < 0.2
    np.testing.assert_allclose(segment, minute[2000:18000, 0], atol=1e-4)


def test_sphere_of_an4() -> None:
    folder = corpus_folder("an4")
    path = folder / "wav" / "an4_clstk" / "fash" / "an251-fash-b.sph"
    info = probe(path)
    assert (info.rate, info.channels, info.frames) == (16000, 1, 16000)
    raw = np.frombuffer(path.read_bytes()[1024:], "<i2") / 32768  # byte order 01 in its header
    np.testing.assert_allclose(read_audio(path, 16000), raw, atol=1e-6)


def test_a_cut_sphere_file_of_an4(tmp_path: Path) -> None:
    whole = corpus_folder("an4") / "wav" / "an4_clstk" / "fash" / "an251-fash-b.sph"
    cut = tmp_path / "cut.sph"
    cut.write_bytes(whole.read_bytes()[:16512])
    with pytest.raises(AsrError, match=r"truncated, 0\.48 s of 1\.00 s are there"):
        probe(cut)


@pytest.mark.parametrize(("rate", "channels"), [(RATE, 1), (RATE, 2), (8000, 1), (44100, 2), (11025, 3)])
def test_a_file_read_in_blocks_is_the_file_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: int, channels: int
) -> None:
    path = write(tmp_path / "a.wav", speechlike(3.7, rate, channels), rate=rate)
    whole = read_audio(path, RATE)
    monkeypatch.setattr("asr.audio._BLOCK", 7001)
    blocks = list(stream_audio(path, RATE))
    assert len(blocks) > 3
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)


def test_blocks_end_with_the_sentence_where_the_fault_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = speechlike(2)
    samples[-1] = np.nan
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    monkeypatch.setattr("asr.audio._BLOCK", RATE)
    blocks = stream_audio(path, RATE)
    assert len(next(blocks)) == RATE
    with pytest.raises(AsrError, match=r"a\.wav: 1 samples are NaN"):
        next(blocks)
