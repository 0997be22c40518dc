"""What transcribing with an exported model imports does not import PyTorch."""

from __future__ import annotations

import subprocess
import sys

MODULES = [
    "asr.audio",
    "asr.cli.main",
    "asr.cli.transcribe",
    "asr.config",
    "asr.decode.system",
    "asr.files",
    "asr.lm.ngram",
    "asr.loading",
    "asr.manifest",
    "asr.model.folder",
    "asr.runtime",
    "asr.tokens",
    "asr.transcribe.backend",
    "asr.transcribe.load",
    "asr.transcribe.onnx_backend",
    "asr.transcribe.transcriber",
    "asr.transcribe.transcript",
]


def test_none_of_them_imports_it() -> None:
    each = f'for name in {MODULES}:\n  importlib.import_module(name)\n  assert "torch" not in sys.modules, name'
    code = f"import importlib, sys\n{each}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
