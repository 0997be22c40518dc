"""Decoding by the program ``ffmpeg`` what libsndfile does not read: M4A, WMA, AMR, WebM, the sound of videos."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from asr.errors import AsrError

# What such recordings are named, as far as libsndfile does not read them. Not .ts: that is TypeScript as often.
# fmt: off
SUFFIXES = frozenset([
    ".m4a", ".m4b", ".aac", ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".wma", ".wmv", ".asf", ".webm", ".mkv",
    ".mka", ".amr", ".awb", ".ogv", ".spx", ".ac3", ".eac3", ".dts", ".wv", ".ape", ".tta", ".tak", ".mpc", ".dsf",
    ".dss", ".ra", ".rm", ".avi", ".flv", ".f4v", ".mpg", ".mpeg", ".vob", ".m2ts",
])
# Formats that hold their sound themselves. A playlist (HLS, DASH, concat, SDP) is a list of other files and addresses:
# whoever sends one under another name must not get what it points to.
_DEMUXERS = (
    "mov", "matroska", "asf", "amr", "amrnb", "amrwb", "aac", "ac3", "eac3", "dts", "dtshd", "mp3", "ogg", "flac",
    "wav", "w64", "aiff", "caf", "au", "ape", "wv", "tta", "tak", "mpc", "mpc8", "dsf", "dss", "rm", "avi", "flv",
    "live_flv", "mpeg", "mpegts", "gsm", "truehd",
)
# fmt: on
_LARGEST = 1 << 28  # [bytes] that FFmpeg may want at once; bounds the silence for a gap too (over an hour at 16 kHz)
_PATIENCE = 60.0  # [s] without a sign of life
_BLOCK = 1 << 22  # [bytes] of float32: about a minute
_PIECE = 1 << 16
_SAID = 1 << 14  # [bytes] kept of what FFmpeg says

# Said of the sound, though the exit status be 0.
_SHORT = re.compile(r"File ended prematurely|partial file|Failed to compensate|Truncating packet")
_FAULT = re.compile(r"^(?:\[[^\]]* @ [^\]]*\] )*\[(?:error|fatal|panic)\] (.+)$", re.MULTILINE)
_NOT_AUDIO = re.compile(r"^(Format not on whitelist|Invalid data found when processing input)")


def installed() -> bool:
    """Whether the program is there."""
    return shutil.which("ffmpeg") is not None


def decode(path: Path, rate: int) -> Iterator[np.ndarray]:
    """Decodes the first sound track of a file, in bounded memory.

    Times are those of a player: a track that begins late, and stretches that were not recorded, come out as silence
    (of up to an hour at once). Channels are mixed by FFmpeg, which averages two. FFmpeg opens this file and nothing
    else: no network, no playlists. It is killed when the reader stops.

    Args:
        path: a regular file.
        rate: to resample to [Hz].

    Yields:
        float32, shape (samples,) each.

    Raises:
        AsrError: the program is missing, does not know the format, finds the file damaged or cut short (which it may
            notice only at the end), or stands still for a minute.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise AsrError(f"{path}: FFmpeg is not installed")
    if _is_cut(path):
        raise AsrError(f"{path}: truncated; copy or record it again")
    try:
        process = subprocess.Popen(
            [program, *_arguments(path, rate)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
    except OSError as error:
        raise AsrError(f"{path}: FFmpeg ({program}) could not be started ({error.strerror})") from error
    said = bytearray()
    samples = 0
    try:
        for block in _blocks(process, said, path):
            if not np.isfinite(block).all():
                raise AsrError(f"{path}: {np.count_nonzero(~np.isfinite(block))} samples are NaN or infinite")
            samples += len(block)
            yield block
        status = process.wait(_PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise AsrError(f"{path}: FFmpeg did not end") from error
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    _check(path, status, said.decode(errors="replace"), samples)


def _arguments(path: Path, rate: int) -> list[str]:
    # "file:" and the whole path: no name is taken for an option, an address or a pattern of numbers.
    source = f"file:{path.absolute()}"
    reading = ["-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+warning", "-max_alloc", str(_LARGEST)]
    reading += ["-xerror", "-protocol_whitelist", "file,pipe", "-format_whitelist", ",".join(_DEMUXERS)]
    reading += ["-threads", "1", "-vn", "-sn", "-dn", "-i", source, "-map", "0:a:0"]
    # Mixed and resampled first, so that the silence that fills a gap is as small as it can be.
    timed = f"aresample={rate}:ochl=mono,aresample=async=1:first_pts=0:min_hard_comp=0.1"
    return [*reading, "-af", timed, "-ac", "1", "-ar", str(rate), "-f", "f32le", "pipe:1"]


def _blocks(process: subprocess.Popen[bytes], said: bytearray, path: Path) -> Iterator[np.ndarray]:
    """What FFmpeg writes, until it closes its output, in blocks; what it says goes to ``said``.

    Raises:
        AsrError: nothing came for a minute.
    """
    gathered = bytearray()
    for piece in _output(process, said, path):
        gathered += piece
        if len(gathered) >= _BLOCK:
            yield np.frombuffer(bytes(gathered[:_BLOCK]), "<f4")
            del gathered[:_BLOCK]
    if whole := len(gathered) // 4 * 4:
        yield np.frombuffer(bytes(gathered[:whole]), "<f4")


def _output(process: subprocess.Popen[bytes], said: bytearray, path: Path) -> Iterator[bytes]:
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            selector.register(pipe, selectors.EVENT_READ)  # type: ignore[arg-type]
        while selector.get_map():
            ready = selector.select(_PATIENCE)
            if not ready:
                raise AsrError(f"{path}: FFmpeg stood still for {_PATIENCE:.0f} s and was stopped; is the disk there?")
            for key, _ in ready:
                piece = os.read(key.fd, _PIECE)
                if not piece:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    yield piece
                else:  # the first faults tell most, the last line why it ended
                    said += piece
                    del said[_SAID : max(_SAID, len(said) - _SAID)]


def _check(path: Path, status: int, said: str, samples: int) -> None:
    """Refuses what FFmpeg did not read to its end."""
    if "matches no streams" in said:
        raise AsrError(f"{path}: holds no sound; is it a video without a sound track?")
    faults = [line.replace(f"file:{path.absolute()}: ", "") for line in _FAULT.findall(said)]
    if status and faults and _NOT_AUDIO.match(faults[0]) and not samples:
        raise AsrError(f"{path}: not audio that libsndfile or FFmpeg reads; convert it to WAV or FLAC")
    if status:
        why = faults[0] if faults else f"exit status {status}" if status > 0 else f"killed by signal {-status}"
        raise AsrError(f"{path}: damaged or truncated, FFmpeg stopped ({why}); copy or record it again")
    if short := next(filter(_SHORT.search, faults), None):
        raise AsrError(f"{path}: damaged or truncated ({short}); copy or record it again")
    if not samples:
        raise AsrError(f"{path}: holds no audio samples")


def _is_cut(path: Path) -> bool:
    """Whether an Ogg, FLV or AVI file lacks its end, at which FFmpeg says nothing."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            head = file.read(12)
            if head.startswith(b"OggS"):
                return _is_cut_ogg(file, size)
            if head.startswith(b"FLV"):
                return _is_cut_flv(file, size)
            if head.startswith(b"RIFF") and head.endswith(b"AVI "):
                return _is_cut_riff(file, size)
    except OSError as error:
        raise AsrError(f"{path}: could not be read ({error.strerror})") from error
    return False


def _is_cut_ogg(file: IO[bytes], size: int) -> bool:
    """An Ogg file's last page is marked as such; a page has at most 65,307 bytes."""
    file.seek(max(0, size - (1 << 17)))
    tail = file.read()
    page = tail.rfind(b"OggS\0")
    return page < 0 or len(tail) < page + 27 or not tail[page + 5] & 4


def _is_cut_flv(file: IO[bytes], size: int) -> bool:
    """An FLV file ends with the length of its last tag, whose head says the same."""
    with contextlib.suppress(OSError):  # a length that reaches back behind the beginning
        file.seek(size - 4)
        length = int.from_bytes(file.read(4), "big")
        file.seek(size - 4 - length)
        tag = file.read(4)
        return length != int.from_bytes(tag[1:4], "big") + 11
    return True


def _is_cut_riff(file: IO[bytes], size: int) -> bool:
    """An AVI file is one RIFF chunk after another, each of a length that it gives; 0: its writer never came back."""
    begin = 0
    while begin + 8 <= size:
        file.seek(begin)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if not head.startswith(b"RIFF") or not length:
            break
        begin += 8 + length + length % 2
    return begin > size + 1
