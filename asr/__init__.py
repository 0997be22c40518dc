"""Train your own speech recogniser from a folder of recordings, and transcribe with it.

from asr import load_model
print(load_model("exp/mine/seed1/model").transcribe("talk.wav").text)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "load_model"]

if TYPE_CHECKING:
    from asr.transcribe.load import load_model


def __getattr__(name: str) -> Any:
    """Imports what transcribes when it is asked for, so that ``asr --help`` is quick."""
    if name == "load_model":
        from asr.transcribe.load import load_model

        return load_model
    raise AttributeError(f"module 'asr' has no attribute {name!r}")
