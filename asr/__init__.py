"""Train your own speech recogniser from a folder of recordings, and transcribe with it.

from asr import load_model
print(load_model("exp/mine/seed1/model").transcribe("talk.wav").text)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["AsrError", "Segment", "Transcriber", "Transcript", "Word", "__version__", "load_model"]

if TYPE_CHECKING:
    from asr.decode.hypothesis import Word
    from asr.errors import AsrError
    from asr.transcribe.load import load_model
    from asr.transcribe.transcriber import Transcriber
    from asr.transcribe.transcript import Segment, Transcript

_FROM = {
    "AsrError": "asr.errors",
    "Segment": "asr.transcribe.transcript",
    "Transcriber": "asr.transcribe.transcriber",
    "Transcript": "asr.transcribe.transcript",
    "Word": "asr.decode.hypothesis",
    "load_model": "asr.transcribe.load",
}


def __getattr__(name: str) -> Any:
    """Imports what transcribes when it is asked for, so that ``asr --help`` is quick."""
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    raise AttributeError(f"module 'asr' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
