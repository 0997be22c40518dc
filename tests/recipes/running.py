"""Running a recipe's script in a copy of the tree, and reading off its output what it did."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def environment(**more: object) -> dict[str, str]:
    """Finds the command ``asr`` that belongs to the running interpreter."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if name != "ASR_CORPORA"}
    return {**kept, "PATH": path, **{name: str(value) for name, value in more.items()}}


def run(
    tree: Path, recipe: str, *arguments: object, cwd: Path | None = None, **variables: object
) -> subprocess.CompletedProcess[str]:
    script = recipe if recipe.endswith(".sh") else f"{recipe}/run.sh"
    return subprocess.run(
        ["bash", str(tree / "recipes" / script), *map(str, arguments)],
        cwd=cwd or tree,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=300,
    )


def done_before(output: str) -> list[int]:
    return [int(line.split()[1].rstrip(":")) for line in output.splitlines() if "done already" in line]


def begun(output: str) -> list[int]:
    lines = [line for line in output.splitlines() if line.startswith("stage ") and "done already" not in line]
    return [int(line.split()[1].rstrip(":")) for line in lines]


def no_traceback(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr
