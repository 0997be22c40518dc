"""How fast the filterbank is beside kaldi-native-fbank and torchaudio, on real speech, in times real time.

    python scripts/bench_features.py [--minutes 5] [--rounds 3]

Each round measures all of them once, one after the other, on the same utterances, from samples in memory to features;
the ratio is taken within a round, so that other load on the machine meets both sides. The speech is AN4 from the folder
``ASR_CORPORA`` (default data/downloads), or noise of similar lengths where that is missing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import kaldi_native_fbank
import numpy as np
import torch
from torchaudio.compliance import kaldi

from asr.audio import read_audio
from asr.config import FeatureConfig
from asr.features import FULL_SCALE, Features
from asr.runtime import cpu_name

RATE = 16000
MELS = 80
Extract = Callable[[np.ndarray], object]


def speech(minutes: float) -> tuple[list[np.ndarray], str]:
    """Utterances of about that much audio, float32 (samples,), and what they are."""
    folder = Path(os.environ.get("ASR_CORPORA", "data/downloads")) / "an4" / "wav"
    utterances: list[np.ndarray] = []
    missing = minutes * 60 * RATE
    for path in sorted(folder.rglob("*.sph")):
        if missing > 0:
            utterances.append(read_audio(path, RATE))
            missing -= len(utterances[-1])
    if utterances:
        return utterances, f"{len(utterances)} utterances of AN4"
    random = np.random.default_rng(1)
    while missing > 0:
        length = int(random.uniform(1, 5) * RATE)
        utterances.append(random.normal(0, 0.1, length).astype(np.float32))
        missing -= length
    return utterances, f"{len(utterances)} stretches of synthetic noise, as there is no AN4 in {folder}"


def ours() -> Extract:
    features = Features(FeatureConfig(rate=RATE, mels=MELS, cmvn="none")).eval()

    def extract(samples: np.ndarray) -> object:
        return features(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))

    return extract


def native() -> Extract:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = RATE
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = MELS

    def extract(samples: np.ndarray) -> object:
        fbank = kaldi_native_fbank.OnlineFbank(options)
        fbank.accept_waveform(RATE, samples * FULL_SCALE)
        fbank.input_finished()
        return [fbank.get_frame(frame) for frame in range(fbank.num_frames_ready)]

    return extract


def reference() -> Extract:
    def extract(samples: np.ndarray) -> object:
        waveform = torch.from_numpy(samples)[None] * FULL_SCALE
        return kaldi.fbank(waveform, num_mel_bins=MELS, sample_frequency=RATE, dither=0.0)

    return extract


def times_real_time(extract: Extract, utterances: list[np.ndarray], threads: int) -> float:
    torch.set_num_threads(threads)
    extract(utterances[0])
    start = time.perf_counter()
    for samples in utterances:
        extract(samples)
    return sum(map(len, utterances)) / RATE / (time.perf_counter() - start)


def load() -> str:
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="audio to extract from")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    utterances, what = speech(arguments.minutes)
    seconds = sum(map(len, utterances)) / RATE
    print(f"{what}, {seconds:.0f} s, {MELS} mel bands at {RATE} Hz; × real time")
    print(f"{cpu_name()}, {os.cpu_count()} cores, load average before: {load()}\n")
    systems: list[tuple[str, Extract, int]] = [
        ("asr.features, 1 thread", ours(), 1),
        ("asr.features, 2 threads", ours(), 2),
        ("kaldi-native-fbank", native(), 1),
        ("torchaudio.compliance, 1 thread", reference(), 1),
    ]
    rounds = [
        [times_real_time(extract, utterances, threads) for _, extract, threads in systems]
        for _ in range(arguments.rounds)
    ]
    print(f"{'':32}" + "".join(f"{f'round {number}':>10}" for number in range(1, len(rounds) + 1)) + f"{'median':>10}")
    for column, (name, _, _) in enumerate(systems):
        speeds = [measured[column] for measured in rounds]
        print(f"{name:32}" + "".join(f"{value:10,.0f}" for value in [*speeds, statistics.median(speeds)]))
    for column, threads in ((0, "1 thread"), (1, "2 threads")):
        ratios = [measured[column] / measured[2] for measured in rounds]
        name = f"ratio to kaldi-native, {threads}"
        print(f"{name:32}" + "".join(f"{value:10.1f}" for value in [*ratios, statistics.median(ratios)]))
    print(f"\nload average after: {load()}")


if __name__ == "__main__":
    main()
