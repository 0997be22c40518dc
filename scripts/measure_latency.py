"""What it costs to hear a stream instead of whole utterances: WER over latency, and what chunks take to compute.

    python scripts/measure_latency.py MODEL MANIFEST [--latencies 0.4,0.6,1.0,1.5,2.0] [--svg docs/latency.svg]

MODEL was trained or exported; its search is the one that was tuned last, without any the best token of each frame. Each
utterance is heard chunk by chunk as `asr.transcribe.stream.Stream` hears, and decoded as a whole. With 95 % intervals
over utterances; on one thread, in CPU time. The last line is the pass over whole utterances. What cannot be heard
counts as deletions, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from asr import load_model
from asr.audio import read_utterance
from asr.cli.main import run
from asr.errors import AsrError, UsageError
from asr.files import write_text
from asr.manifest import Utterance, read_manifest
from asr.score.hypotheses import Hypothesis
from asr.score.references import Reference
from asr.score.report import percent, upper_percent
from asr.score.result import Settings, score
from asr.transcribe.backend import Backend
from asr.transcribe.transcriber import Transcriber

LATENCIES = "0.4,0.6,1.0,1.5,2.0"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 300, 56, 130, 18, 42
COLOUR, INK = "#3b82c4", "#888888"  # readable on a light page and on a dark one


class Point(NamedTuple):
    """A latency [s], None: whole utterances; its WER with an interval [%]; and how fast the network is, × real time."""

    latency: float | None
    wer: float
    low: float
    high: float
    speed: float


def hear(backend: Backend, samples: np.ndarray, latency: float | None) -> np.ndarray:
    """The log-probs of a recording with a latency, shape (S, V)."""
    if latency is None:
        return backend.log_probs([samples])[0]
    streamed = backend.streamed(latency)
    return np.concatenate(streamed.accept(samples) + streamed.finish())


def measure(
    transcriber: Transcriber, utterances: Sequence[Utterance], latency: float | None
) -> tuple[Point, list[str]]:
    """Hears, decodes and scores with one latency; also says what could not be heard."""
    backend, rows, took, failed = transcriber.backend, {}, 0.0, {}
    for one in utterances:
        try:
            samples = read_utterance(one, backend.rate)
        except AsrError as error:
            failed[one.id] = str(error)
            continue
        if not backend.output_length(len(samples)):
            failed[one.id] = f"{one.id}: too short for one frame"
            continue
        begin = time.process_time()
        rows[one.id] = hear(backend, samples, latency)
        took += time.process_time() - begin
    found = zip(rows, transcriber.system.decode(list(rows.values())), strict=True)
    hypotheses = {name: Hypothesis(said.text) for name, said in found}
    hypotheses |= {name: Hypothesis("", reason) for name, reason in failed.items()}
    result = score([Reference(one.id, one.text) for one in utterances], hypotheses, Settings())
    wer, low, high = percent(result.words.rate), percent(result.interval.low), upper_percent(result.interval.high)
    if wer is None or low is None or high is None:
        raise UsageError(f"there is no WER with an interval: {result.interval.basis or 'no words'}")
    return Point(latency, wer, low, high, sum(one.duration for one in utterances) / took), list(failed.values())


def table(points: Sequence[Point]) -> str:
    """One line for each."""
    lines = ["latency     WER %   95 % interval    × real time"]
    for one in points:
        name = "whole" if one.latency is None else f"{one.latency:g} s"
        lines.append(f"{name:<8} {one.wer:8.2f}   {one.low:5.2f} – {one.high:5.2f} {one.speed:13,.0f}")
    return "\n".join(lines) + "\n"


def draw(points: Sequence[Point]) -> str:
    """An SVG of errors over latency: points with their intervals, and a line for whole utterances."""
    chunked = [one for one in points if one.latency is not None]
    (whole,) = (one for one in points if one.latency is None)
    right, top = max(one.latency or 0 for one in chunked) * 1.05, max(one.high for one in points) * 1.05
    step = next(step for step in (0.5, 1, 2, 5, 10, 20, 50, 100) if top / step <= 8 or step == 100)

    def x(latency: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * latency / right

    def y(wer: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - wer / top)

    def text(left: float, base: float, said: str, anchor: str = "middle", colour: str = INK) -> str:
        return f'<text x="{left:.1f}" y="{base:.1f}" text-anchor="{anchor}" fill="{colour}">{said}</text>'

    box = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="12">']
    for number in range(int(top / step) + 1):
        base, wer = y(number * step), number * step
        line = f'<line x1="{LEFT}" x2="{x(right):.1f}" y1="{base:.1f}" y2="{base:.1f}" stroke="{INK}"'
        parts += [f'{line} stroke-opacity="0.3"/>', text(LEFT - 8, base + 4, f"{wer:g} %", "end")]
    base = y(whole.wer)
    line = f'<line x1="{LEFT}" x2="{x(right):.1f}" y1="{base:.1f}" y2="{base:.1f}" stroke="{INK}" stroke-width="2"'
    parts += [f'{line} stroke-dasharray="6 4"/>', text(x(right) + 6, base + 4, f"whole {whole.wer:.2f} %", "start")]
    curve = " ".join(f"{x(one.latency or 0):.1f},{y(one.wer):.1f}" for one in chunked)
    parts.append(f'<polyline points="{curve}" fill="none" stroke="{COLOUR}" stroke-width="2"/>')
    for one in chunked:
        at = x(one.latency or 0)
        bar = f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y(one.low):.1f}" y2="{y(one.high):.1f}" stroke="{COLOUR}"/>'
        dot = f'<circle cx="{at:.1f}" cy="{y(one.wer):.1f}" r="3" fill="{COLOUR}"/>'
        parts += [bar, dot, text(at, HEIGHT - BOTTOM + 18, f"{one.latency:g}")]
    parts.append(text((LEFT + x(right)) / 2, HEIGHT - 6, "latency [s]; WER with its 95 % interval"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--latencies", default=LATENCIES, help="[s], with commas between them")
    parser.add_argument("--svg", type=Path, help="draws the curve")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        latencies = sorted(float(one) for one in arguments.latencies.split(","))
    except ValueError:
        seen = arguments.latencies
        raise UsageError(f"--latencies {seen}: needed are numbers of seconds, as in {LATENCIES}") from None
    transcriber, utterances = load_model(arguments.model, threads=1), read_manifest(arguments.manifest)
    search = transcriber.system.search
    if transcriber.backend.tokenizer.kind == "phone" and (search is None or search.lexicon is None):
        raise UsageError(f"{arguments.model}: writes phones; tune a search with a lexicon first (asr decode --tune)")
    for latency in latencies:
        transcriber.backend.streamed(latency)  # refuses what cannot be before any work
    print(
        f"{arguments.model}, {transcriber.system.name}, {arguments.manifest}: {len(utterances)} utterances", flush=True
    )
    measured = [measure(transcriber, utterances, latency) for latency in (*latencies, None)]
    points = [point for point, _ in measured]
    print(table(points), end="")
    if arguments.svg:
        write_text(arguments.svg, draw(points))
    if failed := measured[-1][1]:
        print("\n".join(f"not heard: {reason}" for reason in failed), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    run(main)
