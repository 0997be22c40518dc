"""The tree that recipes run in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.corpora import ROOT


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    copy = tmp_path / "a tree"
    shutil.copytree(ROOT / "recipes", copy / "recipes")
    return copy
