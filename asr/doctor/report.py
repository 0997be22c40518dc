"""What the doctor says: a table, ``doctor.json``, and ``rejects.jsonl`` of what had better not be used."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asr.doctor.examine import Diagnosis, summary
from asr.doctor.finding import ERROR, INFORMATION, WARNING
from asr.doctor.page import doctor_page
from asr.files import write_text

_NAMED = 3  # items of each finding that the table names
_UNLIKELY = 10
_WIDTH = 120  # columns where there is no terminal
_STYLES = {ERROR: "bold red", WARNING: "yellow", INFORMATION: "dim"}


def fields(diagnosis: Diagnosis) -> dict[str, object]:
    """What ``doctor.json`` holds."""
    files = {(case.set, case.utterance.id): case.utterance.audio.as_posix() for case in diagnosis.cases}
    return {
        "errors": diagnosis.count(ERROR),
        "warnings": diagnosis.count(WARNING),
        "manifests": [summary(one, diagnosis.cases) for one in diagnosis.sets],
        "assumed": list(diagnosis.assumed),
        "findings": [
            {
                "check": finding.check,
                "level": finding.level,
                "says": finding.says,
                "advice": finding.advice,
                "items": [
                    {
                        "set": one.set,
                        "id": one.id,
                        **({"file": files[one.set, one.id]} if (one.set, one.id) in files else {}),
                        "says": one.says,
                        "numbers": {name: round(number, 6) for name, number in one.numbers.items()},
                    }
                    for one in finding.items
                ],
            }
            for finding in diagnosis.findings
        ],
        "unlikely": None if diagnosis.unlikely is None else [asdict(one) for one in diagnosis.unlikely],
    }


def _reject_lines(diagnosis: Diagnosis, folder: Path) -> list[dict[str, object]]:
    reasons = diagnosis.rejects()
    lines: list[dict[str, object]] = []
    taken: set[str] = set()
    for case in diagnosis.cases:
        one = case.utterance
        if (case.set, one.id) not in reasons:
            continue
        name = f"{case.set}/{one.id}" if one.id in taken else one.id
        taken.add(name)
        audio = Path(os.path.relpath(one.audio.resolve(), folder.resolve())).as_posix()
        placed = {"id": name, "audio_filepath": audio, "set": case.set, "reason": "; ".join(reasons[case.set, one.id])}
        lines.append({**case.fields, **placed})
    return lines


def _json_lines(lines: list[dict[str, object]]) -> str:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def write_diagnosis(out: Path, diagnosis: Diagnosis) -> None:
    """Writes ``rejects.jsonl``, ``doctor.html`` and, last, ``doctor.json``.

    Raises:
        AsrError: a file could not be written.
    """
    write_text(out / "rejects.jsonl", _json_lines(_reject_lines(diagnosis, out)))
    told = fields(diagnosis)
    write_text(out / "doctor.html", doctor_page(diagnosis, told, out))
    write_text(out / "doctor.json", json.dumps(told, ensure_ascii=False, indent=1) + "\n")


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)


def _manifests(manifests: list[Mapping[str, object]]) -> Table:
    table = _table()
    table.add_column("Manifest", overflow="fold")
    for heading in ("Utterances", "Hours", "Speakers", "Shortest", "Median", "Longest", "Hz"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in manifests:
        seconds, rates = one["seconds"], one["rates"]
        assert isinstance(seconds, dict) and isinstance(rates, dict)
        lengths = [f"{seconds[name]:.2f} s" if seconds else "" for name in ("0%", "50%", "100%")]
        counts = (f"{one['utterances']:,}", f"{one['hours']:.3f}", f"{one['speakers']:,}")
        table.add_row(Text(str(one["name"])), *counts, *lengths, " ".join(rates))
    return table


def _findings(diagnosis: Diagnosis) -> Table:
    table = _table()
    table.add_column("Level", no_wrap=True)
    table.add_column("Check", no_wrap=True)
    table.add_column("What was found, and what to do", overflow="fold")
    for finding in diagnosis.findings:
        text = Text(finding.says, style="bold")
        for one in finding.items[:_NAMED]:
            name = f"{one.set}/{one.id}: " if one.id and one.set else ""
            text.append(f"\n  {name}{one.says}", style="not bold")
        if len(finding.items) > _NAMED:
            text.append(f"\n  … and {len(finding.items) - _NAMED:,} more", style="not bold dim")
        text.append(f"\n→ {finding.advice}", style="not bold italic")
        table.add_row(Text(finding.level, style=_STYLES[finding.level]), finding.check, text)
    return table


def _draw(diagnosis: Diagnosis, out: Path, console: Console) -> None:
    # Texts and ids may hold what rich takes for markup, hence Text everywhere.
    console.print(_manifests([summary(one, diagnosis.cases) for one in diagnosis.sets]))
    console.print()
    for sentence in diagnosis.assumed:
        console.print(Text(sentence, style="dim"))
    if diagnosis.findings:
        console.print()
        console.print(_findings(diagnosis))
    if diagnosis.unlikely is not None:
        console.print()
        _draw_unlikely(diagnosis, console)
    console.print()
    verdict = "Something must be fixed" if diagnosis.failed else "Nothing must be fixed"
    counts = [(diagnosis.count(level), level) for level in (ERROR, WARNING)]
    told = ", ".join(f"{count:,} {level}{'' if count == 1 else 's'}" for count, level in counts)
    console.print(Text(f"{verdict}: {told}.", style="bold"))
    if rejects := diagnosis.rejects():
        many = "utterance" if len(rejects) == 1 else f"{len(rejects):,} utterances"
        console.print(Text(f"{out / 'rejects.jsonl'} lists the {many} that had better not be used."))
    console.print(Text(f"Everything is in {out / 'doctor.html'} and {out / 'doctor.json'}."))


def _draw_unlikely(diagnosis: Diagnosis, console: Console) -> None:
    unlikely = diagnosis.unlikely or []
    console.print(
        Text(
            f"The model hears something else than the transcript in {len(unlikely):,} of {len(diagnosis.cases):,} "
            "utterances. Where it doubts most:",
            style="bold",
        )
    )
    table = _table()
    table.add_column("Doubt", justify="right", no_wrap=True)
    table.add_column("Utterance", overflow="fold")
    table.add_column("Transcript", overflow="fold")
    table.add_column("Heard", overflow="fold")
    for one in unlikely[:_UNLIKELY]:
        table.add_row(f"{one.doubt:.1f}", Text(f"{one.set}/{one.id}"), Text(one.text), Text(one.heard))
    console.print(table)


def to_text(diagnosis: Diagnosis, out: Path) -> str:
    """The table as plain text."""
    file = io.StringIO()
    _draw(diagnosis, out, Console(file=file, width=_WIDTH, color_system=None, legacy_windows=False))
    return "".join(line.rstrip() + "\n" for line in file.getvalue().split("\n")[:-1])


def print_diagnosis(diagnosis: Diagnosis, out: Path) -> None:
    """The same on the standard output, in the terminal's width where there is one."""
    console = Console()
    if console.is_terminal:
        _draw(diagnosis, out, console)
    else:
        print(to_text(diagnosis, out), end="")
