"""Draws what every system of AN4's tables is worth beside the tables' first: docs/an4_tables.svg.

    python scripts/picture_tables.py RECEIPTS TABLE [TABLE ...] > docs/an4_tables.svg

RECEIPTS as for scripts/table_an4.py, whose printed tables the TABLEs are; what stands behind the underscore of a
file's name is its title. A dot is the difference in WER, the line its 95 % interval by a paired bootstrap over
utterances, each with the errors of all seeds together.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

import numpy as np
from table_an4 import System, load_systems

from asr.score.significance import paired_bootstrap

INK, BETTER, WORSE, NEITHER = "#888888", "#0072b2", "#d55e00", "#888888"  # legible on white and on black
WIDTH, LEFT, RIGHT, LINE, TOP = 760, 150, 70, 20, 20


def names_in(table: Path) -> list[str]:
    """The systems of a printed table, the first of which the others are held against."""
    lines = [line for line in table.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [line.split("|")[1].strip() for line in lines[2:]]


def differences(systems: list[System]) -> list[tuple[str, float, float, float]]:
    """Name, difference to the first and its interval [points], the best first."""
    base, rows = systems[0], []
    for system in systems[1:]:
        found = paired_bootstrap(system.errors, base.errors, base.words, seed=1)
        if found is None:
            raise SystemExit(f"{system.name}: there are too few utterances to tell it from {base.name}")
        rows.append((system.name, 100 * found.difference, 100 * found.low, 100 * found.high))
    return sorted(rows, key=lambda row: row[1])


def draw(groups: dict[str, list[tuple[str, float, float, float]]], base: str) -> str:
    """The picture; ``groups`` by title, as `differences` has them."""
    rows = [row for group in groups.values() for row in group]
    low, high = np.floor(min(0, *(row[2] for row in rows))), np.ceil(max(0, *(row[3] for row in rows)))
    height = TOP + LINE * (len(rows) + 2 * len(groups) + 1) + 6

    def x(points: float) -> float:
        return float(LEFT + (WIDTH - LEFT - RIGHT) * (points - low) / (high - low))

    bottom = height - 2 * LINE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12">'
    ]
    for tick in range(int(low), int(high) + 1):
        strong = 0.8 if tick == 0 else 0.2
        label = f"{tick:+d}".replace("-", "−") if tick else escape(base)
        parts.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{bottom}" stroke="{INK}" '
            f'stroke-opacity="{strong}"/>'
            f'<text x="{x(tick):.1f}" y="{bottom + 16}" text-anchor="middle" fill="{INK}">{label}</text>'
        )
    axis = "difference in WER [points], 95 % interval"
    parts.append(
        f'<text x="{(x(low) + x(high)) / 2:.1f}" y="{height - 6}" text-anchor="middle" fill="{INK}">{axis}</text>'
    )
    y = TOP
    for title, group in groups.items():
        y += LINE
        parts.append(f'<text x="8" y="{y}" font-weight="bold" fill="{INK}">{escape(title)}</text>')
        for name, difference, least, most in group:
            y += LINE
            colour = BETTER if most < 0 else WORSE if least > 0 else NEITHER
            figure = f"{difference:+.2f}".replace("-", "−")
            parts.append(
                f'<text x="{LEFT - 12}" y="{y}" text-anchor="end" fill="{INK}">{escape(name)}</text>'
                f'<line x1="{x(least):.1f}" x2="{x(most):.1f}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" '
                f'stroke-width="2"/><circle cx="{x(difference):.1f}" cy="{y - 4}" r="4" fill="{colour}"/>'
                f'<text x="{WIDTH - 8}" y="{y}" text-anchor="end" fill="{colour}">{figure}</text>'
            )
        y += LINE
    return "\n".join([*parts, "</svg>"])


if __name__ == "__main__":
    receipts, tables = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    loaded = {table: load_systems(receipts, names_in(table)) for table in tables}
    titles = {table: table.stem.partition("_")[2].replace("_", " ") for table in tables}
    print(draw({titles[table]: differences(systems) for table, systems in loaded.items()}, loaded[tables[0]][0].name))
