"""What libsndfile does not read, through FFmpeg: the program itself where it is installed, stand-ins everywhere."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr import ffmpeg
from asr.audio import read_audio, stream_audio
from asr.errors import AsrError
from tests.test_audio import speechlike

RATE = 16000
SECONDS = 3.0
needs_ffmpeg = pytest.mark.skipif(not ffmpeg.installed(), reason="FFmpeg is not installed")

StandIn = Callable[[str], Path]

_PICTURES = ["-f", "lavfi", "-i", f"testsrc=d={SECONDS}:s=32x32:r=25"]
_MADE = {
    "a.m4a": ["-c:a", "aac"],
    "begins.m4a": ["-c:a", "aac", "-movflags", "+faststart"],
    "a.aac": ["-c:a", "aac"],
    "a.wma": ["-c:a", "wmav2"],
    "a.mka": ["-c:a", "ac3"],
    "a.tta": ["-c:a", "tta"],
    "a.wv": ["-c:a", "wavpack"],
    "a.mp4": [*_PICTURES, "-c:v", "mpeg4", "-c:a", "aac", "-movflags", "+faststart"],
    "a.mkv": [*_PICTURES, "-c:v", "mpeg4", "-c:a", "flac"],
    "a.avi": [*_PICTURES, "-c:v", "mpeg4", "-c:a", "ac3"],
    "a.flv": [*_PICTURES, "-c:v", "flv", "-c:a", "aac"],
    "a.m2ts": [*_PICTURES, "-c:v", "mpeg2video", "-c:a", "ac3"],
}


def _ffmpeg(*arguments: object) -> None:
    command = ["ffmpeg", "-nostdin", "-y", "-v", "error", "-threads", "1", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=60)


def _read(path: Path) -> np.ndarray:
    return np.concatenate([np.empty(0, np.float32), *stream_audio(path, RATE)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same three seconds in each format."""
    folder = tmp_path_factory.mktemp("ffmpeg")
    soundfile.write(folder / "a.wav", speechlike(SECONDS), RATE)
    for name, options in _MADE.items():
        _ffmpeg("-i", folder / "a.wav", *options, folder / name)
    return {name: folder / name for name in [*_MADE, "a.wav"]}


@needs_ffmpeg
@pytest.mark.parametrize("name", _MADE)
def test_every_format_gives_the_sound(made: dict[str, Path], name: str) -> None:
    original, read = _read(made["a.wav"]), _read(made[name])
    assert read.dtype == np.float32
    assert abs(len(read) - len(original)) < 0.15 * RATE
    # A raw stream keeps the samples with which its encoder began.
    middle = original[RATE : 2 * RATE]
    best = max(np.corrcoef(middle, read[RATE + lag : 2 * RATE + lag])[0, 1] for lag in range(-1600, 1600, 8))
    assert best > 0.9


@needs_ffmpeg
@pytest.mark.parametrize("name", [name for name in _MADE if name not in ("a.aac", "a.m2ts")])
@pytest.mark.parametrize("share", [0.35, 0.8])
def test_a_file_that_was_cut_is_never_silently_short(
    made: dict[str, Path], name: str, share: float, tmp_path: Path
) -> None:
    cut = tmp_path / name
    data = made[name].read_bytes()
    cut.write_bytes(data[: int(share * len(data))])
    with pytest.raises(AsrError, match=r"/a\.\w+: .*truncated|/begins.m4a: .*truncated"):
        _read(cut)


@needs_ffmpeg
def test_damage_within_is_an_error(made: dict[str, Path], tmp_path: Path) -> None:
    data = bytearray(made["begins.m4a"].read_bytes())
    middle = len(data) * 2 // 3
    data[middle : middle + 300] = bytes(range(256))[:300] + bytes(44)
    (tmp_path / "a.m4a").write_bytes(data)
    with pytest.raises(AsrError, match=r"a\.m4a: damaged or truncated, FFmpeg stopped \(.*\); copy"):
        _read(tmp_path / "a.m4a")


@needs_ffmpeg
@pytest.mark.parametrize(
    "name", ["-i.m4a", "concat:a|b.m4a", "http:x.m4a", "a%03d.m4a", "new\nline.m4a", "größe ' \".m4a", "data:,x.m4a"]
)
def test_any_name_is_only_a_name(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(made["a.m4a"], tmp_path / name)
    assert len(_read(Path(name))) > 2 * RATE
    raw = os.fsdecode(b"\xff\xfe.m4a")
    shutil.copy(made["a.m4a"], tmp_path / raw)
    assert len(_read(Path(raw))) > 2 * RATE


def _playlists(secret: Path) -> dict[str, str]:
    return {
        "hls.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\n{secret.name}\n#EXT-X-ENDLIST\n",
        "whole.m4a": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "net.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
        "concat.m4a": f"ffconcat version 1.0\nfile {secret.name}\n",
        "dash.mp4": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:'
        f'isoff-on-demand:2011"><Period><AdaptationSet><Representation id="1"><BaseURL>{secret.name}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>",
        "sdp.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    }


@needs_ffmpeg
def test_a_playlist_under_another_name_reads_no_other_file(made: dict[str, Path], tmp_path: Path) -> None:
    secret = tmp_path / "secret.ts"
    shutil.copy(made["a.m2ts"], secret)
    assert len(_read(secret)) > 2 * RATE
    for name, text in _playlists(secret).items():
        (tmp_path / name).write_text(text)
        with pytest.raises(AsrError, match=f"{name}: not audio that libsndfile or FFmpeg reads"):
            _read(tmp_path / name)


@needs_ffmpeg
def test_what_is_no_audio(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("This is not audio. " * 100)
    (tmp_path / "b.bin").write_bytes(np.random.default_rng(3).bytes(20000))
    (tmp_path / "c.wav").write_text("This is not audio. " * 100)
    for name in ("a", "b.bin", "c.wav"):
        with pytest.raises(AsrError, match="not audio that libsndfile or FFmpeg reads; convert it"):
            _read(tmp_path / name)


@needs_ffmpeg
def test_a_video_without_sound(tmp_path: Path) -> None:
    _ffmpeg(*_PICTURES, "-c:v", "mpeg4", tmp_path / "a.mp4")
    with pytest.raises(AsrError, match=r"a\.mp4: holds no sound"):
        _read(tmp_path / "a.mp4")


@needs_ffmpeg
def test_times_are_those_of_a_player(made: dict[str, Path], tmp_path: Path) -> None:
    wav = made["a.wav"]
    _ffmpeg(*_PICTURES, "-itsoffset", 1.5, "-i", wav, "-c:v", "mpeg4", "-c:a", "flac", tmp_path / "late.mkv")
    _ffmpeg("-i", wav, "-af", r"asetpts=PTS+gt(T\,1)*5/TB", "-c:a", "flac", tmp_path / "gap.mka")
    original, late, gap = _read(wav), _read(tmp_path / "late.mkv"), _read(tmp_path / "gap.mka")
    assert abs(len(late) - 4.5 * RATE) < 0.1 * RATE
    assert not late[: int(1.4 * RATE)].any()
    np.testing.assert_allclose(late[-RATE:], original[-RATE:], atol=1e-3)
    assert abs(len(gap) - 8 * RATE) < 0.1 * RATE
    np.testing.assert_allclose(gap[-RATE:], original[-RATE:], atol=1e-3)


@needs_ffmpeg
def test_a_gap_of_a_day_is_an_error_and_not_gigabytes(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffmpeg, "_LARGEST", 1 << 25)
    _ffmpeg("-i", made["a.wav"], "-af", r"asetpts=PTS+gt(T\,1)*80000/TB", "-c:a", "aac", tmp_path / "gap.mka")
    silence = 0
    with pytest.raises(AsrError, match="Failed to compensate"):
        for block in ffmpeg.decode(tmp_path / "gap.mka", RATE):
            silence += len(block)
    assert 4 * silence < 1 << 26  # [bytes]; FFmpeg holds in memory what fills a gap


@needs_ffmpeg
def test_a_flac_file_that_does_not_know_its_length(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", speechlike(1.0), RATE)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    whole = read_audio(tmp_path / "a.flac", RATE)
    (tmp_path / "a.flac").write_bytes(data)
    np.testing.assert_allclose(_read(tmp_path / "a.flac"), whole, atol=1e-6)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Puts a shell script in FFmpeg's place; gives a file that only FFmpeg would read."""

    def _stand_in(script: str) -> Path:
        program = tmp_path / "bin" / "ffmpeg"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        audio = tmp_path / "a.m4a"
        audio.write_bytes(bytes(1000))
        return audio

    return _stand_in


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("exit 0", "holds no audio samples"),
        ("exit 3", r"FFmpeg stopped \(exit status 3\)"),
        ("kill -9 $$", r"FFmpeg stopped \(killed by signal 9\)"),
        ("echo '[x @ 0x1] [error] the moon is full' >&2; exit 1", r"FFmpeg stopped \(the moon is full\)"),
        ("head -c 64000 /dev/zero; kill -9 $$", r"FFmpeg stopped \(killed by signal 9\)"),
        ("head -c 64000 /dev/zero; exit 1", r"FFmpeg stopped \(exit status 1\)"),
        ("head -c 64000 /dev/zero; echo '[m @ 0x1] [error] File ended prematurely' >&2", "damaged or truncated"),
        ("yes '[x @ 0x1] [error] first' | head -c 9000000 >&2; exit 1", r"FFmpeg stopped \(first\)"),
        ("printf '\\000\\000\\300\\177\\000\\000\\200\\377'", "2 samples are NaN or infinite"),
    ],
)
def test_a_program_that_fails(stand_in: StandIn, script: str, sentence: str) -> None:
    with pytest.raises(AsrError, match=rf"a\.m4a: .*{sentence}"):
        _read(stand_in(script))


@pytest.mark.parametrize("script", ["exec sleep 1000", "head -c 64000 /dev/zero; exec sleep 1000"])
def test_a_program_that_stands_still(stand_in: StandIn, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "_PATIENCE", 0.3)
    begin = time.monotonic()
    with pytest.raises(AsrError, match="FFmpeg stood still"):
        _read(stand_in(script))
    assert time.monotonic() - begin < 5


def test_a_program_that_closes_its_output_and_stays(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "_PATIENCE", 0.3)
    with pytest.raises(AsrError, match="FFmpeg did not end"):
        _read(stand_in("head -c 64000 /dev/zero; exec sleep 1000 >&- 2>&-"))


def test_a_program_that_cannot_be_started(stand_in: StandIn, tmp_path: Path) -> None:
    audio = stand_in("")
    (tmp_path / "bin" / "ffmpeg").write_bytes(b"\x7fELF nonsense")
    with pytest.raises(AsrError, match=r"FFmpeg \(.*bin/ffmpeg\) could not be started \(Exec format error\)"):
        _read(audio)


def test_what_it_writes_is_read_in_blocks_of_whole_samples(stand_in: StandIn) -> None:
    blocks = list(
        stream_audio(stand_in("printf '\\000\\000'; sleep 0.1; head -c 9000000 /dev/zero; printf '\\200\\077'"), RATE)
    )
    assert [len(block) for block in blocks] == [1 << 20, 1 << 20, 2250001 - (1 << 21)]
    assert blocks[-1][-1] == 1.0


def test_it_is_killed_when_the_reader_stops(stand_in: StandIn, tmp_path: Path) -> None:
    audio = stand_in(f"echo $$ > {tmp_path}/pid; exec cat /dev/zero")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    blocks = stream_audio(audio, RATE)
    for _ in range(50):
        assert len(next(blocks)) == 1 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000  # [kB]; 200 MB were read
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, 0)
    blocks.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_sentence_where_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a.M4A").write_bytes(bytes(1000))
    (tmp_path / "a").write_bytes(bytes(1000))
    with pytest.raises(AsrError, match=r"a\.M4A: libsndfile does not read this format; install FFmpeg and it will be"):
        _read(tmp_path / "a.M4A")
    with pytest.raises(AsrError, match=r"not audio that libsndfile reads; .* or install FFmpeg, which reads more"):
        _read(tmp_path / "a")
