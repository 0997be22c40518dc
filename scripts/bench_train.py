"""How fast the acoustic model trains, beside the same size built the usual way; audio hours trained an hour.

    python scripts/bench_train.py [--rounds 5] [--threads 2]

"Usual" is ``nn.LSTM(bidirectional=True)`` over packed sequences in float32 with the C library's own allocator
settings; "asr" is what ``asr train`` runs: each direction on its own over padded input, bfloat16 where the hardware has
it, freed memory kept. Both take whole steps (forward, CTC, backward, AdamW) over the same batches of 80-band features
with the same 3 × 256 units, each in a process of its own, in turn, so that other load on the machine meets both.

    python scripts/bench_train.py --cells [--rounds 5] [--threads 2]

times one bidirectional layer of every recurrent cell, forwards and backwards over 32 × 120 × 256, in turns of one
process, beside `lstm`, whose two directions are length-reversed `nn.LSTM`s.

    python scripts/bench_train.py --curve MANIFEST

trains in float32 and in bfloat16 on real speech, from the same weights with the same batches, and prints both loss
curves (that the usual construction gives the numbers of float32 to 1e-5 is a test).
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
from typing import Any, get_args

from asr.runtime import cpu_name, keep_freed_memory, wait_briefly

LENGTHS = {"1–3 s": (1.0, 3.0, 60), "10–15 s": (10.0, 15.0, 16)}  # seconds from, to, utterances in a batch
VOCABULARY, STEPS, WARM_UP = 28, 6, 2
CURVE_EPOCHS = 10
VARIANTS = ("usual float32", "asr float32", "asr bfloat16")
LAYER = (32, 120, 256)  # utterances, frames, units of the input and of each direction


def make_model(variant: str):
    import torch
    from torch import nn

    from asr.config import Config
    from asr.model.acoustic import AcousticModel

    torch.manual_seed(1)
    model = AcousticModel(Config(), VOCABULARY)
    if variant.startswith("asr"):
        return model

    class Packed(nn.Module):
        """The usual construction, with the weights of the model above."""

        def __init__(self) -> None:
            super().__init__()
            encoder = Config().encoder
            self.subsampling, self.head = model.encoder.subsampling, model.head
            self.lstm = nn.LSTM(
                self.subsampling.outputs, encoder.hidden, encoder.layers, batch_first=True, dropout=encoder.dropout,
                bidirectional=True,
            )  # fmt: skip
            self.dropout = nn.Dropout(encoder.dropout)
            for number, layer in enumerate(model.encoder.stack.layers):
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    for suffix, direction in (("", layer.forwards), ("_reverse", layer.backwards)):
                        source = direction.get_parameter(f"{kind}_l0").data
                        self.lstm.get_parameter(f"{kind}_l{number}{suffix}").data.copy_(source)

        def forward(self, features, frames):
            lengths = (frames + 2) // 3
            x = self.subsampling(features)
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            y, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
            return self.head(self.dropout(y)).log_softmax(2), lengths

    return Packed()


def step(model, optimizer, features, frames, labels, bfloat16: bool) -> float:
    import torch

    from asr.model.ctc import ctc_loss

    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        log_probs, lengths = model(features, frames)
    loss = ctc_loss(log_probs, lengths, labels).sum() / sum(map(len, labels))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return loss.item()


def work(variant: str, lengths: str, threads: int) -> None:
    """Prints the audio hours an hour of one process as JSON."""
    if variant.startswith("asr"):
        keep_freed_memory()
    import torch

    torch.set_num_threads(threads)
    low, high, count = LENGTHS[lengths]
    model = make_model(variant).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    random = torch.Generator().manual_seed(1)
    rates = []
    for number in range(WARM_UP + STEPS):
        seconds = low + (high - low) * torch.rand(count, generator=random)
        frames = (100 * seconds).long()
        features = torch.randn(count, int(frames.max()), 80, generator=random)
        features *= (torch.arange(features.shape[1]) < frames[:, None])[:, :, None]
        labels = [torch.randint(1, VOCABULARY, (int(10 * one),), generator=random).tolist() for one in seconds]
        begin = time.perf_counter()
        step(model, optimizer, features, frames, labels, variant.endswith("bfloat16"))
        if number >= WARM_UP:
            rates.append(float(seconds.sum()) / (time.perf_counter() - begin))
    print(json.dumps(statistics.median(rates)))


def curve(variant: str, manifest: Path, threads: int) -> None:
    """Prints the losses of one process over some epochs of real speech as JSON."""
    keep_freed_memory()
    import torch

    from asr.config import Config
    from asr.features import Features
    from asr.manifest import read_manifest
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
    model = make_model(variant).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    losses = []
    for epoch in range(CURVE_EPOCHS):
        torch.manual_seed(epoch)
        items = [Item(index, 0, one.samples / 16000) for index, one in enumerate(selected)]
        for batch in plan_epoch(items, 60.0, 1, epoch):
            loaded = load_batch(batch, selected, [1.0], 16000)
            features, frames = front_end(*loaded.padded(torch.device("cpu")))
            labels = [selected[item.utterance].labels for item in loaded.items]
            losses.append(step(model, optimizer, features, frames, labels, variant.endswith("bfloat16")))
    print(json.dumps(losses))


def layers(turns: int, threads: int) -> None:
    """Prints the seconds that a layer of each cell takes in each turn, for both precisions, as JSON."""
    keep_freed_memory()
    import torch

    from asr.config import EncoderConfig
    from asr.model.padding import reversal
    from asr.model.recurrent import BidirectionalLayer

    torch.set_num_threads(threads)
    number, steps, units = LAYER
    random = torch.Generator().manual_seed(1)
    x = torch.randn(LAYER, generator=random).requires_grad_()
    order = reversal(torch.randint(steps // 2, steps + 1, (number,), generator=random), steps)
    configs = {cell: EncoderConfig(cell=cell, hidden=units) for cell in cells()}
    made = {cell: BidirectionalLayer(cell, units, units, one.direction_width) for cell, one in configs.items()}
    seconds: dict[str, list[float]] = {}
    for precision in ("float32", "bfloat16"):
        for turn in range(1 + turns):
            for cell, layer in made.items():
                begin = time.perf_counter()
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
                    output = layer(x, order)
                output.backward(torch.ones_like(output))
                if turn:  # the first warms up
                    seconds.setdefault(f"{cell} {precision}", []).append(time.perf_counter() - begin)
    print(json.dumps(seconds))


def cells() -> list[str]:
    """Every recurrent cell, `lstm` first."""
    from asr.config import EncoderConfig

    return list(get_args(EncoderConfig.model_fields["cell"].annotation))


def print_cells(rounds: int, threads: str) -> None:
    """The table of ``--cells``."""
    precisions = ("float32", "bfloat16")
    print(f"{'ms a layer':>10} " + " ".join(f"{one:>9}   / lstm, turn by turn" for one in precisions))
    layer = child("--layers", "--rounds", str(rounds), "--threads", threads)
    for cell in cells():
        row = f"{cell:>10} "
        for precision in precisions:
            times = layer[f"{cell} {precision}"]
            ratios = [one / other for one, other in zip(times, layer[f"lstm {precision}"], strict=True)]
            row += f"{1000 * statistics.median(times):>9.0f}   {spread(ratios):>20} "
        print(row.rstrip(), flush=True)


def spread(ratios: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f})"


def child(*arguments: str) -> Any:
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cells", action="store_true")
    parser.add_argument("--curve", type=Path, metavar="MANIFEST")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--losses", nargs=1, help=argparse.SUPPRESS)
    parser.add_argument("--layers", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    threads = str(arguments.threads)
    wait_briefly()  # both variants: a busy machine would slow the usual one even more
    if arguments.work:
        work(arguments.work[0], arguments.work[1], arguments.threads)
        return
    if arguments.losses:
        curve(arguments.losses[0], arguments.curve, arguments.threads)
        return
    if arguments.layers:
        layers(arguments.rounds, arguments.threads)
        return
    print(f"{cpu_name()}, {threads} threads, load {os.getloadavg()[0]:.1f} before the start")
    if arguments.cells:
        print_cells(arguments.rounds, threads)
        return
    if arguments.curve:
        curves = [child("--losses", one, "--curve", str(arguments.curve), "--threads", threads) for one in VARIANTS[1:]]
        print(f"{'steps':>9} " + " ".join(f"{one:>14}" for one in VARIANTS[1:]) + "   mean loss [nats a label]")
        tenth = max(1, len(curves[0]) // 10)
        for begin in range(0, len(curves[0]), tenth):
            means = [statistics.mean(losses[begin : begin + tenth]) for losses in curves]
            print(f"{begin + 1:>4}–{begin + tenth:<4} " + " ".join(f"{one:>14.3f}" for one in means))
        return
    print(f"{'utterances':>10} " + " ".join(f"{one:>14}" for one in VARIANTS) + "   asr / usual, round by round")
    for lengths in LENGTHS:
        rounds = [
            [child("--work", one, lengths, "--threads", threads) for one in VARIANTS] for _ in range(arguments.rounds)
        ]
        medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
        ratios = [row[-1] / row[0] for row in rounds]
        print(
            f"{lengths:>10} " + " ".join(f"{one:>14.0f}" for one in medians) + f"   {spread(ratios)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
