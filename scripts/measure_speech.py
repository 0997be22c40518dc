"""How much speech the voice activity detector loses, and how much silence it lets through; beside WebRTC's.

    python scripts/measure_speech.py MODEL MANIFEST

MANIFEST should be a development set of LibriSpeech's, whose utterances are joined to long recordings. The words' places
come from MODEL, which aligns the known texts to the clean recordings. Then these are made worse, and what of the words'
time is kept is counted. WebRTC's detector (package webrtcvad-wheels, left out where it is not installed) decides about
each hundredth of a second; the same padding is put around what it calls speech.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from asr.audio import read_utterance, resample
from asr.cli.main import run
from asr.decode.align import median_odds, word_times
from asr.manifest import read_manifest
from asr.model.acoustic import load_model
from asr.runtime import set_up
from asr.tokens import BLANK
from asr.transcribe.backend import TorchBackend
from asr.transcribe.segment import FRAMES_PER_SECOND, PADDING, speech_frames

try:
    import webrtcvad
except ImportError:
    webrtcvad = None

Detector = Callable[[np.ndarray], np.ndarray]  # samples → whether to keep each hundredth of a second
_RATE = 16000
_SILENT_SECONDS = 120


def recordings(model: Path, manifest: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each long recording its samples, and start and end of each word [s], shape (words, 2)."""
    backend = TorchBackend(load_model(model), set_up("cpu", 1))
    utterances = sorted(read_manifest(manifest), key=lambda one: one.id)
    samples = [read_utterance(one, _RATE) for one in utterances]
    rows = [backend.log_probs([one])[0] for one in samples]
    background = median_odds(rows, BLANK)
    joined: dict[str, list[np.ndarray]] = {}
    words: dict[str, list[tuple[float, float]]] = {}
    for one, sound, row in zip(utterances, samples, rows, strict=True):
        chapter = one.id.rpartition("-")[0]
        begin = sum(map(len, joined.setdefault(chapter, []))) / _RATE
        joined[chapter].append(sound)
        tokens: list[int] = []
        groups = []
        for word in one.text.split():
            spelled = backend.tokenizer.encode(word)
            groups.append(range(len(tokens), len(tokens) + len(spelled)))
            tokens += spelled
        times = word_times(row, tokens, groups, BLANK, backend.frame_seconds, background, duration=one.duration)
        words.setdefault(chapter, []).extend((begin + start, begin + end) for start, end in times)
    return [(np.concatenate(joined[chapter]), np.array(words[chapter])) for chapter in joined]


def noisy(samples: np.ndarray, noise: np.ndarray, decibels: float = 10.0) -> np.ndarray:
    """With noise so many decibels below; attenuated where it would clip."""
    noise = np.resize(noise, len(samples))
    mixed = samples + noise * np.sqrt(np.square(samples).mean() / np.square(noise).mean() / 10 ** (decibels / 10))
    return (mixed / max(1.0, np.abs(mixed).max())).astype(np.float32)


def telephone(samples: np.ndarray) -> np.ndarray:
    """Through 8 kHz and mu-law, and back."""
    narrow = resample(samples, _RATE, 8000).clip(-1, 1)
    code = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256) * 127) / 127
    return resample((np.sign(code) * (256 ** np.abs(code) - 1) / 255).astype(np.float32), 8000, _RATE)


def conditions(babble: np.ndarray) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    random = np.random.default_rng(1)
    steps = np.float32([1.0, 0.1])
    return {
        "clean": lambda samples: samples,
        "white noise, 10 dB": lambda samples: noisy(samples, random.standard_normal(len(samples))),
        "babble, 10 dB": lambda samples: noisy(samples, babble),
        "20 dB softer, 16 bits": lambda samples: np.round(samples * np.float32(3276.8)) / np.float32(32768),
        "every other 8 s 20 dB softer": lambda samples: samples * np.resize(np.repeat(steps, 8 * _RATE), len(samples)),
        "telephone, mu-law": telephone,
    }


def silences() -> dict[str, np.ndarray]:
    """Recordings in which nobody speaks, (samples,) each."""
    random = np.random.default_rng(2)
    count = _SILENT_SECONDS * _RATE
    white, at = random.standard_normal(count), np.arange(count) / _RATE
    spectrum = np.fft.rfft(white)
    room = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), count)
    hum = sum(np.sin(2 * np.pi * 50 * k * at + k) / k for k in range(1, 12))
    kinds = {
        "digital silence": 0 * at,
        "offset and hiss": 0.05 + 1e-3 * white,
        "hiss, -30 dB": 10**-1.5 * white,
        "room, -50 dB": 10**-2.5 * room / room.std(),
        "room, a fan": 6e-3 * room / room.std() * (1 + 0.2 * np.sin(44 * at)),
        "hum": 0.02 * hum + 1e-3 * white,
    }
    return {name: samples.astype(np.float32) for name, samples in kinds.items()}


def ours(samples: np.ndarray) -> np.ndarray:
    return np.concatenate([keep for _, keep in speech_frames([samples], _RATE)])


def webrtc(mode: int) -> Detector:
    """WebRTC's detector with our padding; modes 0 to 3, the higher the more it takes for silence."""

    def detect(samples: np.ndarray) -> np.ndarray:
        detector: Any = webrtcvad.Vad(mode)
        raw, step = (samples.clip(-1, 1) * 32767).astype("<i2").tobytes(), 2 * _RATE // FRAMES_PER_SECOND
        speech = [detector.is_speech(raw[at : at + step], _RATE) for at in range(0, len(raw) - step + 1, step)]
        around = np.ones(2 * round(PADDING * FRAMES_PER_SECOND) + 1)
        return np.asarray(np.convolve(speech, around, "same") > 0.5)

    return detect


def kept(detect: Detector, worse: list[np.ndarray], words: list[np.ndarray]) -> str:
    """Of words' time the share lost, how many words lose some and all of it, and of pauses' time the share kept."""
    lost = spoken = some = whole = quiet = through = 0
    for samples, spans in zip(worse, words, strict=True):
        total = np.concatenate([[0], np.cumsum(detect(samples))])
        frames = np.round(spans * FRAMES_PER_SECOND).astype(int).clip(max=len(total) - 1)
        length = frames[:, 1] - frames[:, 0]
        missing = length - (total[frames[:, 1]] - total[frames[:, 0]])
        lost, spoken, some = lost + missing.sum(), spoken + length.sum(), some + np.count_nonzero(missing)
        whole += np.count_nonzero((missing == length) & (length > 0))
        pauses = np.stack([frames[:-1, 1], frames[1:, 0]], axis=1)
        pauses = pauses[pauses[:, 1] - pauses[:, 0] > 2 * PADDING * FRAMES_PER_SECOND]
        quiet, through = quiet + np.sum(pauses[:, 1] - pauses[:, 0]), through + np.diff(total[pauses]).sum()
    return f"{100 * lost / spoken:8.3f} % {some:6d} {whole:6d} {100 * through / quiet:10.0f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("manifest", type=Path)
    arguments = parser.parse_args()
    clean = recordings(arguments.model, arguments.manifest)
    words = [spans for _, spans in clean]
    shortest = min(len(samples) for samples, _ in clean)
    babble = np.sum([np.roll(samples[:shortest], 7 * _RATE * k) for k in (1, 2) for samples, _ in clean], axis=0)
    detectors = {"ours": ours}
    if webrtcvad is not None:
        detectors |= {f"WebRTC's, {mode}": webrtc(mode) for mode in range(4)}
    print(f"{sum(map(len, words)):,} words of {arguments.manifest}, places from {arguments.model}")
    print(f"{'':30}{'':13}time lost  words   whole  pauses kept")
    for condition, change in conditions(babble).items():
        worse = [change(samples) for samples, _ in clean]
        for name, detect in detectors.items():
            print(f"{condition:30}{name:12}{kept(detect, worse, words)}", flush=True)
    print("share kept where nobody speaks:")
    for condition, samples in silences().items():
        shares = [f"{name} {100 * detect(samples).mean():.1f} %" for name, detect in detectors.items()]
        print(f"{condition:30}{', '.join(shares)}")
    print("real time fits into the CPU time:")
    for name, detect in detectors.items():
        begin = time.process_time()
        for samples, _ in clean:
            detect(samples)
        print(
            f"{name:12}{sum(len(samples) for samples, _ in clean) / _RATE / (time.process_time() - begin):,.0f} times"
        )


if __name__ == "__main__":
    run(main)
