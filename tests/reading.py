"""A process that reads damaged recordings, so that the tests outlive it: it takes a path, and says what came of it."""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType

_RATE = 16000
_MORE = 1 << 29  # [bytes] that reading may need; the files hold a quarter of a second
_PATIENCE = 20.0  # [s]


class Reader:
    """Asks that process, and starts another one when it has died."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        # FFmpeg's own robustness is not what is tried here, and it takes a fifth of a second to start.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reading"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
            env={**os.environ, "PATH": ""},
        )

    def __call__(self, path: Path) -> list[str]:
        """What became of the file, through each of the doors: "… samples", "AsrError: …", or what must not be."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(str(path)) + "\n")
        if not select.select([process.stdout], [], [], _PATIENCE)[0]:
            process.kill()
        line = process.stdout.readline()
        if line:
            return list(json.loads(line))
        self.__exit__(None, None, None)
        status = process.returncode
        self._start()
        return [f"hung or died (status {status})"]

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()


def _main() -> None:
    from asr.audio import examine, probe, read_audio, stream_audio
    from asr.errors import AsrError
    from asr.pipe import stream_pipe

    def pipe(path: Path) -> int:
        with path.open("rb") as file:
            return sum(map(len, stream_pipe(file, _RATE)))

    doors = [
        lambda path: probe(path).frames,
        lambda path: len(read_audio(path, _RATE)),
        lambda path: sum(map(len, stream_audio(path, _RATE))),
        lambda path: len(read_audio(path, _RATE, 0.1, 0.05)),
        examine,
        pipe,
    ]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libsndfile prints what it was debugged with
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MORE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for line in sys.stdin:
        told = []
        for door in doors:
            try:
                told.append(f"{door(Path(json.loads(line)))} samples")
            except AsrError as error:
                told.append(f"AsrError: {error}")
            except Exception as error:
                told.append(f"{type(error).__name__}: {error}")
        print(json.dumps(told), file=answers, flush=True)


if __name__ == "__main__":
    _main()
