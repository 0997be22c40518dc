from __future__ import annotations

import base64
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import typer

from asr.audio import read_utterance
from asr.augment import Augmenter, generator, spec_augment, speed
from asr.augment.preview import _MASK, png
from asr.cli.augment import augment
from asr.cli.main import run
from asr.config import read_config
from asr.manifest import read_manifest
from tests.tones import RATE, TINY, write_tones

ALL = (
    "augment.reverberation_probability=1",
    "augment.coloured_noise_probability=1",
    "augment.gain_probability=1",
    "augment.codec_probability=1",
)
MASKS = ("augment.frequency_masks=2", "augment.frequency_width=4", "augment.time_masks=8", "augment.time_width=5")


def _call(*arguments: object) -> int:
    """The exit status of ``asr augment`` with these arguments."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command("augment")(augment)
    with pytest.raises(SystemExit) as left:
        run(lambda: app([*map(str, arguments)]))
    return int(left.value.code or 0)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_tones(tmp_path, "train", 7, seed=1)


def _pictures(page: Path) -> list[np.ndarray]:
    """Pixels of the page's pictures, shape (height, width, 3) each, decoded by hand."""
    decoded = []
    for text in re.findall(r'src="data:image/png;base64,([^"]+)"', page.read_text()):
        file = base64.b64decode(text)
        assert file.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", file[16:24])
        place, data = 8, b""
        while place < len(file):
            (length,) = struct.unpack(">I", file[place : place + 4])
            kind, content = file[place + 4 : place + 8], file[place + 8 : place + 8 + length]
            assert struct.unpack(">I", file[place + 8 + length : place + 12 + length])[0] == zlib.crc32(kind + content)
            data += content if kind == b"IDAT" else b""
            place += 12 + length
        rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, 1 + 3 * width)
        assert not rows[:, 0].any()
        decoded.append(rows[:, 1:].reshape(height, width, 3))
    return decoded


def test_it_writes_what_training_would_be_given(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    settings = (*TINY, *ALL, *MASKS, "augment.speeds=[1.0, 1.1]")
    chosen = ("--id", "train-004", "--id", "train-001", "--seed", 5, "--epoch", 3)
    assert _call(manifest, *settings, "--out", out, *chosen) == 0
    said = capsys.readouterr().out.splitlines()
    config = read_config(None, list(settings))
    augmenter = Augmenter(config.augment, RATE, 5)
    pictures = iter(_pictures(out / "augment.html"))
    lines = iter(said)
    known = {one.id: one for one in read_manifest(manifest)}
    for number, name in (("01", "train-004"), ("02", "train-001")):
        samples = read_utterance(known[name], RATE)
        np.testing.assert_array_equal(soundfile.read(out / f"{number}-before.wav", dtype="float32")[0], samples)
        assert not (next(pictures) == _MASK).all(axis=2).any()
        for copy, factor in enumerate((1.0, 1.1)):
            expected = augmenter(speed(samples, factor), 2, name, copy)
            written, rate = soundfile.read(out / f"{number}-after-{factor:g}.wav", dtype="float32")
            assert rate == RATE
            np.testing.assert_array_equal(written, expected.samples)
            line = next(lines)
            assert line.startswith(f"{name}: {number}-after-{factor:g}.wav: ")
            assert all(drawn in line for drawn in expected.drawn) and len(expected.drawn) == 4
            grey = (next(pictures) == _MASK).all(axis=2)  # (mels, T)
            ones = torch.ones(1, grey.shape[1], config.features.dimension)
            generators = [generator(5, 2, name, copy)]
            masked = spec_augment(ones, torch.tensor([grey.shape[1]]), generators, config.augment, config.features)
            np.testing.assert_array_equal(grey, (masked[0] == 0).numpy().T[::-1])
    assert said[-1] == f"Everything is in {out / 'augment.html'}."
    assert len(list(out.iterdir())) == 7


def test_the_first_five_and_another_epoch(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for epoch in (1, 1, 2):
        assert _call(manifest, *TINY, *ALL, "--out", tmp_path / f"{epoch}", "--epoch", epoch) == 0
        told.append(capsys.readouterr().out.splitlines()[:-1])
        assert [line.partition(":")[0] for line in told[-1]] == [f"train-00{number}" for number in range(5)]
    assert told[0] == told[1]
    assert not set(told[0]) & set(told[2])


@pytest.mark.parametrize("kind", ["fbank", "mfcc"])
def test_one_recording_and_a_config(
    kind: str, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "conf.yaml"
    config.write_text(f"features: {{rate: 8000, kind: {kind}, deltas: 1}}\naugment: {{time_masks: 5}}\n")
    assert _call(tmp_path / "train" / "003.wav", "--config", config, "--out", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert out.startswith("003: 01-after.wav: SpecAugment hides 0 of 80 bands and ")
    before, after = _pictures(tmp_path / "out" / "augment.html")
    assert before.shape == after.shape and before.shape[0] == 80


def test_a_throat_is_seen_and_told(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tone = tmp_path / "train" / "003.wav"
    settings = (*TINY, "features.mels=40", "augment.vocal_tract=[1.3, 1.3]")
    assert _call(tone, *settings, "--out", tmp_path / "out") == 0
    assert "003: 01-after.wav: frequencies × 1.3, seen and not heard" in capsys.readouterr().out
    before, after = (picture.sum(axis=2).mean(axis=1)[::-1] for picture in _pictures(tmp_path / "out" / "augment.html"))
    lower, higher = (np.arange(40) @ rows / rows.sum() for rows in (before, after))  # low bands come first
    assert higher > lower + 0.5
    samples, written = (soundfile.read(path)[0] for path in (tone, tmp_path / "out" / "01-after.wav"))
    np.testing.assert_array_equal(samples, written)


def test_no_kind_is_told_too(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call(tmp_path / "train" / "003.wav", *TINY, "--out", tmp_path / "out") == 0
    assert "01-after.wav: nothing was drawn\n" in capsys.readouterr().out
    before, after = _pictures(tmp_path / "out" / "augment.html")
    np.testing.assert_array_equal(before, after)


def test_no_text_becomes_markup(manifest: Path, tmp_path: Path) -> None:
    text = "</p><script>alert(1)</script><img src=x onerror=alert(1)>"
    manifest.write_text(manifest.read_text().replace('"do', f'"{text} do').replace("train-000", "<b>&"))
    assert _call(manifest, *TINY, "--out", tmp_path / "out") == 0
    page = (tmp_path / "out" / "augment.html").read_text()
    assert page.count("<script") == 2  # the shell's own
    assert "<img src" not in page and "<b>" not in page
    assert "&lt;script&gt;" in page and "&lt;b&gt;&amp;" in page


def test_what_cannot_be_read_is_named_and_the_rest_is_written(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train" / "001.wav").write_bytes(b"no audio")
    assert _call(manifest, *TINY, "--out", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 5
    assert "not shown: " in said.err and "001.wav: not audio that libsndfile reads" in said.err


@pytest.mark.parametrize(
    ("arguments", "status", "fragments"),
    [
        (
            ("train.jsonl", "--id", "train-9"),
            2,
            ("with the id 'train-9'; there are train-000, train-001",),
        ),
        (("train/000.wav", "--id", "train-0"), 2, ("--id picks utterances of a manifest", "000.wav is a recording")),
        (("train/gone.wav",), 1, ("gone.wav: there is no such file",)),
        (("gone.jsonl",), 1, ("gone.jsonl: could not be read",)),
        (("train.jsonl", "augment.nois=x"), 2, ("there is no key 'augment.nois'; did you mean 'augment.noise'?",)),
        (("train.jsonl", "augment.noise=x/y"), 1, ("augment.noise: x/y: there is no such folder",)),
        (("train.jsonl", "augment.noise=train/empty"), 1, ("train/empty: holds no audio files",)),
        (("train.jsonl", "augment.codecs=[mp4]"), 2, ("augment.codecs.0", "'mp4'")),
        (("train.jsonl", "augment.codecs=[gsm, gsm]"), 2, ("each of the codecs must stand once",)),
        (("train.jsonl", "augment.noise_snr=10"), 2, ("augment.noise_snr", "(seen: 10)")),
        (("train.jsonl", "augment.noise_snr=[10]"), 2, ("augment.noise_snr", "2 items")),
        (
            ("train.jsonl", "augment.coloured_noise_snr=[20, 10]"),
            2,
            ("coloured_noise_snr must be the lowest and the highest value",),
        ),
        (
            ("train.jsonl", "augment.absorption=[0, 0.5]"),
            2,
            ("absorption", "0.05 and 0.99; this is [0.0, 0.5]"),
        ),
        (("train.jsonl", "augment.gain_probability=2"), 2, ("augment.gain_probability", "(seen: 2)")),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: tuple[str, ...],
    status: int,
    fragments: tuple[str, ...],
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train" / "empty").mkdir()
    assert _call(*arguments, "--out", "out") == status
    said = capsys.readouterr()
    assert said.out == ""
    (sentence,) = said.err.splitlines()
    assert sentence.startswith("error: ")
    for fragment in fragments:
        assert fragment in sentence
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_to(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call(manifest, *TINY, "--out", "/proc/asr") == 1
    assert "/proc/asr: not a folder that can be written to" in capsys.readouterr().err


def test_a_picture_is_a_picture() -> None:
    """Read by another program's rules: size, and rows from the top."""
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    file = png(pixels)
    assert struct.unpack(">IIBBBBB", file[16:29]) == (3, 2, 8, 2, 0, 0, 0)
    data = zlib.decompress(file[file.index(b"IDAT") + 4 : file.index(b"IEND") - 8])
    assert data == b"\0" + pixels[0].tobytes() + b"\0" + pixels[1].tobytes()
