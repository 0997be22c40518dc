"""Programs that a benchmark runs: what they say, and what they use."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple


class Used(NamedTuple):
    """What a program used and said: CPU time, user and system of all threads [s], wall time [s], largest resident
    set [GB], standard output and errors together."""

    cpu: float
    wall: float
    peak: float
    output: str


def run(command: list[str]) -> Used:
    """Runs a program; ends this one, with what it said, if it fails."""
    with tempfile.TemporaryFile("w+") as said:
        begin = time.monotonic()
        # Not through subprocess.run: only wait4 tells what this one child used.
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        output = said.read()
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit status {process.returncode}\n{output}")
    kilo = 1 if sys.platform == "darwin" else 1024
    return Used(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * kilo / 1e9, output)
