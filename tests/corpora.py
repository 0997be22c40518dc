"""Where tests find real speech: the folder ``ASR_CORPORA``, by default ``data/downloads``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def corpus_folder(name: str) -> Path:
    """The folder of one corpus in its publisher's layout; skips the test, with the reason, where it is missing."""
    folder = Path(os.environ.get("ASR_CORPORA", ROOT / "data" / "downloads")).resolve() / name
    if not folder.exists():
        pytest.skip(f"needs the corpus {folder}: set ASR_CORPORA to a folder that holds it")
    return folder
