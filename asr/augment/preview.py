"""What augmentation makes of a few utterances: a WAV before and after, and a page with pictures of both."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import soundfile
import torch

from asr.audio import read_utterance
from asr.augment.copies import generator, speed
from asr.augment.masks import spec_augment
from asr.augment.warp import draw_factor, warp_bands
from asr.augment.waveform import Augmenter
from asr.config import Config
from asr.errors import AsrError
from asr.features import Features
from asr.files import make_folder, replacing, write_text
from asr.manifest import Utterance
from asr.page import page

# From faint to loud; a mask is of a grey that is none of them.
_COLOURS = np.array([[13, 8, 60], [84, 39, 143], [190, 55, 120], [244, 136, 73], [252, 230, 140]], dtype=float)
_MASK = 165
_WIDTH = 9.0  # [rem] of a second's picture


@dataclass(frozen=True)
class Copy:
    """One copy of an utterance as training hears it.

    Attributes:
        wav: its file's name.
        drawn: in words, what was done to it.
        picture: log-mel spectrogram with SpecAugment's masks, PNG.
        seconds: its length [s].
    """

    wav: str
    drawn: tuple[str, ...]
    picture: bytes
    seconds: float


@dataclass(frozen=True)
class Preview:
    """An utterance before, and its copies after.

    Attributes:
        utterance: as in the manifest.
        before: as it is.
        copies: one for each speed.
    """

    utterance: Utterance
    before: Copy
    copies: list[Copy]


def png(pixels: np.ndarray) -> bytes:
    """A picture as a PNG file (ISO/IEC 15948); pixels are bytes, shape (height, width, 3), red, green, blue."""
    height, width, _ = pixels.shape
    unfiltered = np.zeros((height, 1), np.uint8)
    rows = np.concatenate([unfiltered, pixels.reshape(height, -1)], axis=1)  # (height, 1 + 3 · width)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _log_mel(samples: np.ndarray, config: Config) -> np.ndarray:
    """Shape (T, mels), whatever the model's features are."""
    plain = {"kind": "fbank", "deltas": 0, "cmvn": "none", "dither": 0.0}
    features = Features(config.features.model_copy(update=plain)).eval()
    return features.raw(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))[0][0].numpy()


def _masks(key: tuple[int, int, str, int], frames: int, config: Config) -> np.ndarray:
    """What SpecAugment hides of an utterance's mel bands: bool, shape (T, mels)."""
    ones = torch.ones(1, frames, config.features.dimension)
    hidden = spec_augment(ones, torch.tensor([frames]), [generator(*key)], config.augment, config.features)[0] == 0
    if config.features.kind == "fbank":
        return hidden[:, : config.features.mels].numpy()
    return np.repeat(hidden.all(dim=1).numpy()[:, None], config.features.mels, axis=1)  # (T, mels)


def _picture(mel: np.ndarray, limits: tuple[float, float], hidden: np.ndarray | None = None) -> bytes:
    """PNG of a spectrogram of shape (T, mels), time to the right, low bands below; ``limits`` are faint and loud."""
    low, high = limits
    shades = np.clip((mel - low) / max(high - low, 1e-3), 0, 1) * (len(_COLOURS) - 1)
    places = np.arange(len(_COLOURS))
    pixels = np.stack([np.interp(shades, places, channel) for channel in _COLOURS.T], axis=-1)  # (T, mels, 3)
    if hidden is not None:
        pixels[hidden] = _MASK
    return png(np.rint(pixels).astype(np.uint8).transpose(1, 0, 2)[::-1])  # (mels, T, 3)


def _write(path: Path, samples: np.ndarray, rate: int) -> None:
    with replacing(path) as temporary:  # float: what exceeds full scale is in training, too
        soundfile.write(temporary, samples, rate, format="WAV", subtype="FLOAT")


def _hidden(masks: np.ndarray) -> list[str]:
    if not masks.any():
        return []
    bands, share = np.count_nonzero(masks.all(axis=0)), np.mean(masks.all(axis=1))
    return [f"SpecAugment hides {bands} of {masks.shape[1]} bands and {share:.0%} of the time"]


def _preview(utterance: Utterance, name: str, config: Config, augmenter: Augmenter, epoch: int, out: Path) -> Preview:
    rate, speeds = config.features.rate, config.augment.speeds
    samples = read_utterance(utterance, rate)
    mel = _log_mel(samples, config)
    if not len(mel):
        raise AsrError(f"{utterance.id}: {len(samples) / rate:.3f} s are too short for one frame")
    limits = (float(np.percentile(mel, 5)), float(np.percentile(mel, 99.8)))
    before = Copy(f"{name}-before.wav", (), _picture(mel, limits), len(samples) / rate)
    _write(out / before.wav, samples, rate)
    copies = []
    for number, factor in enumerate(speeds):
        key = (augmenter.seed, epoch, utterance.id, number)
        done = augmenter(speed(samples, factor), *key[1:])
        mel, throat = _log_mel(done.samples, config), draw_factor(generator(*key, "throat"), config.augment)
        if throat != 1:
            mel = warp_bands(torch.from_numpy(mel)[None], [throat], config.features)[0].numpy()
        masks = _masks(key, len(mel), config)
        faster = [f"speed {factor:g}"] if factor != 1 else []
        moved = [f"frequencies × {throat:g}, seen and not heard"] if throat != 1 else []
        drawn = (*faster, *done.drawn, *moved, *_hidden(masks))
        wav = f"{name}-after.wav" if len(speeds) == 1 else f"{name}-after-{factor:g}.wav"
        copies.append(
            Copy(wav, drawn or ("nothing was drawn",), _picture(mel, limits, masks), len(done.samples) / rate)
        )
        _write(out / wav, done.samples, rate)
    return Preview(utterance, before, copies)


def _shown(title: str, copy: Copy) -> str:
    image = base64.b64encode(copy.picture).decode()
    return (
        f"<h3>{escape(title)}</h3>\n"
        f'<img alt="log-mel spectrogram" style="width: {copy.seconds * _WIDTH:.2f}rem" '
        f'src="data:image/png;base64,{image}">\n'
        f'<audio controls preload="none" src="{copy.wav}"></audio>\n'
    )


def _body(previews: Sequence[Preview], config: Config, seed: int, epoch: int) -> str:
    cards = []
    for one in previews:
        copies = "".join(_shown("; ".join(copy.drawn), copy) for copy in one.copies)
        cards.append(
            f'<section class="card"><h2 class="name">{escape(one.utterance.id)}</h2>\n'
            f"<p>{escape(one.utterance.text)}</p>\n{_shown('before', one.before)}{copies}</section>\n"
        )
    return (
        "<header><h1>asr augment</h1>\n"
        f'<p class="soft">What training with seed {seed} hears in epoch {epoch + 1}: log-mel spectrograms, '
        f"{config.features.mels} bands from low (below) to high, {config.features.frame_shift:g} ms a frame, all of an "
        "utterance in the same colours, what SpecAugment hides in grey.</p></header>\n" + "".join(cards)
    )


def write_previews(
    utterances: Sequence[Utterance], config: Config, seed: int, epoch: int, out: Path
) -> tuple[list[Preview], dict[str, str]]:
    """Writes ``augment.html`` and, for each utterance, WAV files of what training would be given.

    Args:
        utterances: their ids are what is drawn from.
        config: as for training.
        seed: of the training run.
        epoch: counted from 0.
        out: the folder to write to.

    Returns:
        What was drawn, and id → reason of every utterance that could not be read.

    Raises:
        AsrError: a noise folder or codec that cannot be used, or an ``out`` that cannot be written to.
    """
    augmenter = Augmenter(config.augment, config.features.rate, seed)
    make_folder(out)
    previews: list[Preview] = []
    failed: dict[str, str] = {}
    for number, utterance in enumerate(utterances, start=1):
        try:
            previews.append(_preview(utterance, f"{number:02}", config, augmenter, epoch, out))
        except AsrError as error:
            failed[utterance.id] = str(error)
    style = Path(__file__).with_name("preview.css")
    write_text(out / "augment.html", page("asr augment", _body(previews, config, seed, epoch), [style], [], None))
    return previews, failed
