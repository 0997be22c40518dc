"""The page as a browser shows it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from asr.config import Config
from asr.doctor.examine import examine
from asr.doctor.report import write_diagnosis
from asr.doctor.sets import read_sets
from tests.doctor.speech import Corpus, plant_ten


@pytest.fixture
def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    return pytest.skip("needs a headless Chromium")


def test_a_browser_shows_findings_and_utterances_as_text(chromium: str, tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus")
    plant_ten(corpus)
    write_diagnosis(tmp_path, examine(read_sets(corpus.write()), Config(), "conf.yaml", None))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run([chromium, *options, (tmp_path / "doctor.html").as_uri()], capture_output=True, timeout=120)
    shown = done.stdout.decode()
    assert "Something must be fixed." in shown and "6 errors" in shown and "4 warnings" in shown
    body = shown[: shown.index('<script type="application/json"')]
    assert "<script" not in body and "&lt;script&gt;alert(1)&lt;/script&gt;" in body
    assert body.count("<details") == 10
    assert len(re.findall(r'<td class="id">', body)) == 65
    assert body.count("<svg") == 3 and "65 of 65" in body
