"""What ``transcribe-audio`` shows of speech while it is still being spoken."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asr.errors import printable

if TYPE_CHECKING:
    from asr.transcribe.stream import Event, Stream

_CLEAR = "\r\x1b[K"  # the line is written anew


def listen(blocks: Iterable[np.ndarray], stream: Stream, as_json: bool, name: Path | None = None) -> bool:
    """Prints each segment as it ends; on a terminal also what was understood of the present one, as it grows.

    Ctrl-C ends the recording: what was said up to there is printed.

    Args:
        blocks: float32, shape (samples,) each, at the model's rate.
        stream: that recognises them.
        as_json: a JSON line a segment: start, end [s], text, words.
        name: of the recording, told with each segment; None: there is only one.

    Returns:
        Whether Ctrl-C ended it.
    """
    partial = sys.stdout.isatty() and not as_json
    stopped = False
    try:
        for block in blocks:
            _show(stream.accept(block), partial, as_json, name)
    except KeyboardInterrupt:
        stopped = True
    _show(stream.finish(), partial, as_json, name)
    return stopped


def _show(events: Iterable[Event], partial: bool, as_json: bool, name: Path | None) -> None:
    begin = "" if name is None else f"{printable(name)}: "
    for event in events:
        text = event.segment.text
        if event.final and as_json:
            fields: dict[str, Any] = {} if name is None else {"audio": name.as_posix()}
            fields |= {"start": event.segment.start, "end": event.segment.end, "text": text}
            words = [asdict(word) for word in event.segment.words]
            print(
                json.dumps({**fields, "words": words}, ensure_ascii=sys.stdout.encoding.lower() != "utf-8"), flush=True
            )
        elif event.final:
            print(f"{_CLEAR if partial else ''}{begin}{text}", flush=True)
        elif partial:
            room = shutil.get_terminal_size().columns - 2
            print(f"{_CLEAR}{text if len(text) <= room else '…' + text[1 - room :]}", end="", flush=True)
