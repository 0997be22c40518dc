"""How fast models train, every cell and front end, beside the encoders of others; audio hours trained an hour.

    python scripts/bench_train.py [--rounds 3] [--threads 2] [--python speechbrain=PATH] [--python espnet=PATH]

"asr" is what ``asr train`` runs: each direction on its own over padded input, freed memory kept, in float32 and, where
the hardware has it, in bfloat16. The others run in float32 with the C library's own allocator settings, as people run
them. All take whole steps (features given; forward, CTC, backward, clipping, AdamW) over the same batches of 80-band
features: 60 utterances of 1–3 s, and 16 of 10–15 s. Each has a process of its own, in turn, round by round, so that
other load on the machine meets all. Speeds are medians of the rounds (least–most); "lstm / this" is how many times as
fast asr's lstm was in the same round; behind bfloat16, where others have no speed, that is its bfloat16 against their
float32. ``--utterances 1`` makes batches so small
that it is quickly seen whether every row works; its numbers say nothing.

PATH is the Python of an environment with the encoders. With a torch of its own each takes 5 GB:

    python -m venv SPEECHBRAIN
    SPEECHBRAIN/bin/pip install "torch>=2.11,<2.12" "torchaudio>=2.11,<2.12" numpy sentencepiece packaging pyyaml
    SPEECHBRAIN/bin/pip install --no-deps speechbrain hyperpyyaml "ruamel.yaml<0.19" tqdm scipy
    python -m venv ESPNET
    ESPNET/bin/pip install "torch>=2.11,<2.12" numpy
    ESPNET/bin/pip install --no-deps espnet typeguard

To save that, let it see this project's packages, then only the lines with --no-deps are needed:

    python -c "import site; print(site.getsitepackages()[0])" > shared.pth
    cp shared.pth ESPNET/lib/python3*/site-packages

    python scripts/bench_train.py --cells [--rounds 5] [--threads 2]

times one bidirectional layer of every recurrent cell, forwards and backwards over 32 × 120 × 256, in turns of one
process, beside `lstm`, whose two directions are length-reversed `nn.LSTM`s: the table above tells of whole models, this
one of the cells alone.

    python scripts/bench_train.py --curve MANIFEST

trains in float32 and in bfloat16 on real speech, from the same weights with the same batches, and prints both loss
curves.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple, get_args

from asr.runtime import cpu_name, keep_freed_memory, wait_briefly

WORKER = Path(__file__).with_name("bench_train_worker.py")
OWN = (sys.executable, __file__)
CURVE_EPOCHS = 10
PRECISIONS = ("float32", "bfloat16")
LAYER = (32, 120, 256)  # utterances, frames, units of the input and of each direction
LEGEND = """
frames/s: of the encoder's last layer, for each second of audio. All have three bidirectional layers of 256 units,
dropout 0.2 and a linear CTC head; all are LSTMs but for the cells named otherwise.
asr: cells have the front end stack, which puts 3 frames side by side; conv to deepspeech2 are front ends, also 3 to 1,
  with the cell lstm: 512 channels over time, 32 over planes (vgg: 32, then 64).
nn.LSTM, packed: asr's lstm as it is usually written, with PyTorch's own bidirectional layers over packed sequences.
ESPnet, stacked: RNNEncoder without projections, given asr's stacked frames; ends in a linear layer of 256 and a tanh.
ESPnet, projected: RNNEncoder with a linear layer of 256 behind each layer, which the next reads; it drops frames only
  behind its layers, here two of three behind the first, which so reads three times as many as asr's (by default every
  second one, behind each of the first two layers).
ESPnet, VGG: VGGRNNEncoder, the same linear layers, behind convolutions of 64 and 128 channels that make 1 frame of 4.
SpeechBrain, CRDNN: LSTM for its light GRU, with the channels of asr's vgg, 32 and 64 (its own recipes' 128 and 256 are
  about 16 times the work); 3 frames to 1 by pooling, but behind all convolutions; then two linear layers of 256 with
  batch norm. It is told of no lengths: not packed, therefore fast, but it reads the padding, and what it says of an
  utterance depends on the batch."""


class Row(NamedTuple):
    """A line of the table: its name, and the overrides of asr's config, or whose Python runs which encoder."""

    name: str
    overrides: tuple[str, ...] = ()
    python: str = ""
    encoder: str = ""


OTHERS = [
    Row("nn.LSTM, packed", (), "here", "packed"),
    Row("ESPnet, stacked", (), "espnet", "espnet stacked"),
    Row("ESPnet, projected", (), "espnet", "espnet"),
    Row("ESPnet, VGG", (), "espnet", "espnet vgg"),
    Row("SpeechBrain, CRDNN", (), "speechbrain", "crdnn"),
]


def ours() -> list[Row]:
    """Every cell, `lstm` first, and every other front end than its own."""
    from asr.model.config import SubsamplingConfig

    kinds = get_args(SubsamplingConfig.model_fields["kind"].annotation)
    front_ends = [Row(kind, (f"encoder.subsampling.kind={kind}",)) for kind in kinds if kind != "stack"]
    return [*(Row(cell, (f"encoder.cell={cell}",)) for cell in cells()), *front_ends]


def cells() -> list[str]:
    """Every recurrent cell, `lstm` first."""
    from asr.model.config import Cell

    return list(get_args(Cell))


def work(overrides: list[str], threads: int, utterances: int) -> None:
    """Prints what a model of asr's measures, as JSON."""
    keep_freed_memory()
    import torch
    from bench_train_worker import VOCABULARY, measure

    from asr.config import read_config
    from asr.model.acoustic import AcousticModel
    from asr.runtime import bfloat16_is_fast

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model = AcousticModel(read_config(None, overrides), VOCABULARY)
    precisions = PRECISIONS if bfloat16_is_fast(torch.device("cpu")) else PRECISIONS[:1]
    print(json.dumps(measure(model, precisions, utterances)))


def print_table(arguments: argparse.Namespace) -> None:
    """Whole training steps of every model."""
    pythons = {"here": sys.executable, **dict(arguments.python)}
    threads, utterances = str(arguments.threads), str(arguments.utterances)
    commands = {
        row: [*OWN, "--work", *row.overrides, "--threads", threads, "--utterances", utterances] for row in ours()
    }
    for row in OTHERS:
        if row.python in pythons:
            commands[row] = [pythons[row.python], str(WORKER), row.encoder, threads, utterances]
        else:
            print(f"{row.name}: skipped, no --python {row.python}=PATH")
    rounds: list[dict[Row, Any]] = []
    for number in range(arguments.rounds):
        rounds.append({})
        for row, command in commands.items():
            print(f"round {number + 1} of {arguments.rounds}: {row.name}", file=sys.stderr, flush=True)
            rounds[-1][row] = child(*command)
    lstm = next(iter(commands))
    for lengths in rounds[0][lstm]["rates"]:
        heads = " ".join(f"{one:>19} {'lstm / this':>20}" for one in PRECISIONS)
        print(f"\n{lengths:18} {'parameters':>10} {'frames/s':>8} {heads}")
        for row in commands:
            found = [one[row] for one in rounds]
            line = f"{row.name:18} {found[0]['parameters']:>10,} {found[0]['frames']:>8.1f}"
            for precision in PRECISIONS:
                own = [one["rates"][lengths].get(precision) for one in found]
                base = [one[lstm]["rates"][lengths].get(precision) for one in rounds]
                speeds = own if None not in own else [one["rates"][lengths]["float32"] for one in found]
                shown = spread(own, 1) if None not in own else ""
                ratio = "" if None in base else spread([a / b for a, b in zip(base, speeds, strict=True)], 2)
                line += f" {shown:>19} {ratio:>20}"
            print(line.rstrip(), flush=True)
    print(LEGEND)


def curve(precision: str, manifest: Path, threads: int) -> None:
    """Prints the losses of one process over some epochs of real speech as JSON."""
    keep_freed_memory()
    import torch
    from bench_train_worker import Batch, make_optimizer, step

    from asr.config import Config
    from asr.features import Features
    from asr.manifest import read_manifest
    from asr.model.acoustic import AcousticModel
    from asr.tokens import train_tokenizer
    from asr.train.batches import Item, plan_epoch
    from asr.train.load import load_batch
    from asr.train.select import Selected

    torch.set_num_threads(threads)
    config = Config()
    utterances = read_manifest(manifest)
    tokenizer = train_tokenizer(config.tokens, [one.text for one in utterances])
    selected = [Selected(one, tokenizer.encode(one.text), round(one.duration * 16000)) for one in utterances]
    front_end = Features(config.features.model_copy(update={"cmvn": "utterance"}))
    torch.manual_seed(1)
    model = AcousticModel(config, len(tokenizer)).train()
    optimizer = make_optimizer(model)
    losses = []
    for epoch in range(CURVE_EPOCHS):
        torch.manual_seed(epoch)
        items = [Item(index, 0, one.samples / 16000) for index, one in enumerate(selected)]
        for batch in plan_epoch(items, 60.0, 1, epoch):
            loaded = load_batch(batch, selected, [1.0], 16000)
            features, frames = front_end(*loaded.padded(torch.device("cpu")))
            labels = [selected[item.utterance].labels for item in loaded.items]
            loss, _ = step(model, optimizer, Batch(features, frames, labels), precision == "bfloat16")
            losses.append(loss)
    print(json.dumps(losses))


def layers(turns: int, threads: int) -> None:
    """Prints the seconds that a layer of each cell takes in each turn, for both precisions, as JSON."""
    keep_freed_memory()
    import torch

    from asr.model.config import EncoderConfig
    from asr.model.padding import reversal
    from asr.model.recurrent import RecurrentLayer

    torch.set_num_threads(threads)
    number, steps, units = LAYER
    random = torch.Generator().manual_seed(1)
    x = torch.randn(LAYER, generator=random).requires_grad_()
    order = reversal(torch.randint(steps // 2, steps + 1, (number,), generator=random), steps)
    configs = {cell: EncoderConfig(cell=cell, hidden=units) for cell in cells()}
    made = {cell: RecurrentLayer(cell, units, units, one.direction_width) for cell, one in configs.items()}
    seconds: dict[str, list[float]] = {}
    for precision in PRECISIONS:
        for turn in range(1 + turns):
            for cell, layer in made.items():
                begin = time.perf_counter()
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
                    output = layer(x, order)
                output.backward(torch.ones_like(output))
                if turn:  # the first warms up
                    seconds.setdefault(f"{cell} {precision}", []).append(time.perf_counter() - begin)
    print(json.dumps(seconds))


def print_cells(rounds: int, threads: str) -> None:
    """The table of ``--cells``."""
    print(f"{'ms a layer':>10} " + " ".join(f"{one:>9}   / lstm, turn by turn" for one in PRECISIONS))
    layer = child(*OWN, "--layers", "--rounds", str(rounds), "--threads", threads)
    for cell in cells():
        row = f"{cell:>10} "
        for precision in PRECISIONS:
            times = layer[f"{cell} {precision}"]
            ratios = [one / other for one, other in zip(times, layer[f"lstm {precision}"], strict=True)]
            row += f"{1000 * statistics.median(times):>9.0f}   {spread(ratios, 1):>20} "
        print(row.rstrip(), flush=True)


def print_curves(manifest: Path, threads: str) -> None:
    """The table of ``--curve``."""
    curves = [child(*OWN, "--losses", one, "--curve", str(manifest), "--threads", threads) for one in PRECISIONS]
    print(f"{'steps':>9} " + " ".join(f"{one:>14}" for one in PRECISIONS) + "   mean loss [nats a label]")
    tenth = max(1, len(curves[0]) // 10)
    for begin in range(0, len(curves[0]), tenth):
        means = [statistics.mean(losses[begin : begin + tenth]) for losses in curves]
        print(f"{begin + 1:>4}–{begin + tenth:<4} " + " ".join(f"{one:>14.3f}" for one in means))


def spread(values: list[float], digits: int) -> str:
    """Median (least–most)."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def child(*command: str) -> Any:
    """What a program says in its last line; ends this one with its errors if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"{command[0]}: cannot be run ({error.strerror})")
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def named(text: str) -> tuple[str, str]:
    """The NAME=PATH of ``--python``."""
    name, _, path = text.partition("=")
    if name not in {row.python for row in OTHERS} - {"here"} or not path:
        raise argparse.ArgumentTypeError(f"{text!r} must be espnet=PATH or speechbrain=PATH")
    return name, path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--utterances", type=int, default=60, help="at most so many in a batch")
    parser.add_argument("--python", action="append", default=[], type=named, metavar="NAME=PATH")
    parser.add_argument("--cells", action="store_true")
    parser.add_argument("--curve", type=Path, metavar="MANIFEST")
    parser.add_argument("--work", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--losses", help=argparse.SUPPRESS)
    parser.add_argument("--layers", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    wait_briefly()  # all of them, for children inherit it: a busy machine would slow the others even more
    if arguments.work is not None:
        work(arguments.work, arguments.threads, arguments.utterances)
    elif arguments.losses:
        curve(arguments.losses, arguments.curve, arguments.threads)
    elif arguments.layers:
        layers(arguments.rounds, arguments.threads)
    else:
        threads = str(arguments.threads)
        print(f"{cpu_name()}, {threads} threads, load {os.getloadavg()[0]:.1f} before the start")
        if arguments.cells:
            print_cells(arguments.rounds, threads)
        elif arguments.curve:
            print_curves(arguments.curve, threads)
        else:
            print_table(arguments)
        print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
