"""How fast an exported model is, and what eight bits cost, beside PyTorch.

    python scripts/bench_export.py [--threads 1 2] [--model DIR --manifest FILE]

First speed, of untrained models of 3 x 256 and 4 x 320 units a direction over 16 stretches of noise, 8 to 10 s long,
one by one and all together, in times real time. On one thread it is CPU time that counts, so that other load on the
machine does not; on several, time of the clock, which other load spoils. With a model and a manifest also WER, how many
texts differ from PyTorch's, and how many change from alone to batches of 16 drawn at random.

The ways: PyTorch in float32; ``asr export``; ``asr export --int8``; and what onnxruntime.quantization makes of the
float32 graph, whose numbers depend on the batch.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from asr.audio import read_utterance
from asr.config import Config, read_config
from asr.decode.greedy import greedy
from asr.export.model import to_onnx
from asr.manifest import read_manifest
from asr.model.acoustic import AcousticModel, Recogniser, load_model
from asr.model.folder import EXPORTED, save_files
from asr.runtime import cpu_name
from asr.score.align import texts_wer
from asr.tokens import BLANK, Tokenizer
from asr.transcribe.backend import Backend, TorchBackend
from asr.transcribe.onnx_backend import OnnxBackend

SIZES = ((3, 256), (4, 320))
BATCH, ROUNDS = 16, 2


def ways(recogniser: Recogniser, folder: Path) -> dict[str, Path | None]:
    """Folders of the exported models; None for PyTorch."""
    model, fields = recogniser.model, recogniser.model.config.model_dump()
    float32 = to_onnx(model)
    onnx.save(float32, folder / "float32.onnx")
    quantize_dynamic(
        folder / "float32.onnx",
        folder / "dynamic.onnx",
        op_types_to_quantize=["LSTM"],
        per_channel=True,
        weight_type=QuantType.QInt8,
    )
    made = {
        "onnx float32": float32.SerializeToString(),
        "onnx --int8": to_onnx(model, int8=True).SerializeToString(),
        "int8 dynamic": (folder / "dynamic.onnx").read_bytes(),
    }
    found: dict[str, Path | None] = {"pytorch float32": None}
    for number, (name, content) in enumerate(made.items()):
        found[name] = folder / str(number)
        save_files(folder / str(number), {EXPORTED["int8" in name]: content}, recogniser.tokenizer, fields)
    return found


def load(recogniser: Recogniser, folder: Path | None, threads: int) -> Backend:
    torch.set_num_threads(threads)
    return TorchBackend(recogniser, torch.device("cpu")) if folder is None else OnnxBackend(folder, threads)


def size(folder: Path | None, recogniser: Recogniser) -> float:
    """Of the network [MB]."""
    if folder is None:
        return 4e-6 * recogniser.model.parameters_count
    return next(path.stat().st_size for path in folder.iterdir() if path.name in EXPORTED) / 1e6


def quickest(work: Callable[[], object], threads: int) -> float:
    """The least time of some rounds [s]; the first warms up."""
    clock = time.process_time if threads == 1 else time.perf_counter
    took = []
    for _ in range(1 + ROUNDS):
        begin = clock()
        work()
        took.append(clock() - begin)
    return min(took[1:])


def untrained(config: Config) -> Recogniser:
    tokenizer = Tokenizer("char", ["<blank>", "<space>", *"abcdefghijklmnopqrstuvwxyz'"])
    torch.manual_seed(1)
    model = AcousticModel(config, len(tokenizer)).eval()
    model.features.set_global(torch.full((80,), 6.0), torch.full((80,), 3.0))
    return Recogniser(model, tokenizer, {}, "")


def speed(threads: Sequence[int]) -> None:
    random = np.random.default_rng(0)
    lengths = np.linspace(8, 10, BATCH)  # batches are made by length
    waveforms = [(0.1 * random.standard_normal(int(16000 * one))).astype(np.float32) for one in lengths]
    print(f"{cpu_name()}: times real time, alone / {BATCH} together")
    print(f"{'':24s}{'MB':>6s}" + "".join(f"{f'{count} thread(s)':>16s}" for count in threads))
    for layers, hidden in SIZES:
        config = read_config(None, [f"encoder.layers={layers}", f"encoder.hidden={hidden}"])
        recogniser = untrained(config)
        with tempfile.TemporaryDirectory() as folder:
            for name, where in ways(recogniser, Path(folder)).items():
                cells = []
                for count in threads:
                    backend = load(recogniser, where, count)
                    alone = quickest(lambda backend=backend: [backend.log_probs([one]) for one in waveforms], count)
                    together = quickest(lambda backend=backend: backend.log_probs(waveforms), count)
                    cells.append(f"{lengths.sum() / alone:8.0f} /{lengths.sum() / together:5.0f}")
                mega = size(where, recogniser)
                print(
                    f"{layers} x {hidden} {name:16s}{mega:6.1f}" + "".join(f"{one:>16s}" for one in cells), flush=True
                )


def accuracy(model: Path, manifest: Path) -> None:
    recogniser = load_model(model)
    utterances = read_manifest(manifest)
    waveforms = [read_utterance(one, recogniser.model.config.features.rate) for one in utterances]
    print(f"\n{model}, {manifest}: {len(utterances)} texts, greedy")
    print(f"{'':24s}{'WER':>7s}{'other than PyTorch':>20s}{'other in a batch':>18s}{'log-probs in a batch':>22s}")
    first: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, where in ways(recogniser, Path(folder)).items():
            backend = load(recogniser, where, 1)
            alone = [backend.log_probs([one])[0] for one in waveforms]
            batched: dict[int, np.ndarray] = {}
            order = np.random.default_rng(1).permutation(len(waveforms))
            for begin in range(0, len(order), BATCH):
                some = order[begin : begin + BATCH].tolist()
                batched |= zip(some, backend.log_probs([waveforms[index] for index in some]), strict=True)
            apart = max(float(np.abs(one - batched[index]).max()) for index, one in enumerate(alone))
            texts = [greedy(one, BLANK, backend.tokenizer, backend.frame_seconds).text for one in alone]
            others = [
                greedy(batched[index], BLANK, backend.tokenizer, backend.frame_seconds).text
                for index in range(len(alone))
            ]
            first = first or texts
            wer = 100 * texts_wer([one.text for one in utterances], texts)[0].rate
            changed = sum(one != other for one, other in zip(texts, first, strict=True))
            moved = sum(one != other for one, other in zip(texts, others, strict=True))
            print(f"{name:24s}{wer:7.2f}{changed:20d}{moved:18d}{apart:22.2g}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2], help="none: no speed")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--manifest", type=Path)
    arguments = parser.parse_args()
    logging.disable()  # quantize_dynamic gives advice for pictures
    if arguments.threads:
        speed(arguments.threads)
    if arguments.model and arguments.manifest:
        accuracy(arguments.model, arguments.manifest)


if __name__ == "__main__":
    main()
