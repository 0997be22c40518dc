"""How a command tells what is wrong with what it was given."""

from __future__ import annotations

import subprocess


def told(done: subprocess.CompletedProcess[str], status: int, *fragments: object) -> str:
    """The one line that says it: it holds every fragment; the exit status is right and there is no traceback."""
    output = done.stdout + done.stderr
    assert "Traceback" not in output, output
    assert done.returncode == status, output
    lines = [line for line in output.splitlines() if all(str(fragment) in line for fragment in fragments)]
    assert len(lines) == 1, output
    return lines[0]


def fatal(done: subprocess.CompletedProcess[str], status: int, *fragments: object) -> None:
    """The same for what ends a command: the sentence is the only one of its kind and stands at the end."""
    line = told(done, status, *fragments)
    assert line.startswith("error: ")
    assert done.stderr.count("error: ") == 1
    assert done.stderr.splitlines()[-1] == line
