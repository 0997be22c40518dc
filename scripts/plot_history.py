"""Draws a run's learning curves as an SVG: python scripts/plot_history.py exp/an4/seed1/history.jsonl docs/an4.svg"""

from __future__ import annotations

import json
import sys
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 660, 260, 48, 112, 16, 40
# Readable on a light page and on a dark one.
CURVES = {"dev_wer": ("dev WER", "#d9534f"), "dev_cer": ("dev CER", "#3b82c4")}
INK = "#888888"


def draw(history: list[dict[str, float]]) -> str:
    """Error rates in percent over epochs, on a scale to 100 %."""
    last = len(history)

    def x(epoch: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * epoch / last

    def y(percent: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(percent, 100) / 100)

    box = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="12">']
    for percent in range(0, 101, 20):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(percent):.1f}" y2="{y(percent):.1f}" stroke="{INK}" '
            f'stroke-opacity="0.3"/><text x="{LEFT - 8}" y="{y(percent) + 4:.1f}" text-anchor="end" fill="{INK}">'
            f"{percent} %</text>"
        )
    for epoch in range(0, last + 1, max(1, round(last / 5))):
        parts.append(
            f'<text x="{x(epoch):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="{INK}">{epoch}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle" fill="{INK}">epoch</text>'
    )
    for shift, (key, (name, colour)) in enumerate(CURVES.items()):
        points = " ".join(f"{x(row['epoch']):.1f},{y(row[key]):.1f}" for row in history)
        end = y(history[-1][key]) + (-2, 12)[shift]
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{WIDTH - RIGHT + 6}" y="{end:.1f}" fill="{colour}">{name} {history[-1][key]:.1f} %</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = map(Path, sys.argv[1:])
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(draw(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
