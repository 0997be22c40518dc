"""Where machine code is kept: it is found again, made anew when a kernel changes, and never taken from a stranger."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numba
import numpy as np
import pytest

from asr import compiled


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with two kernel files and one without kernels."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "caller.py").write_text("from asr.compiled import kernel\n")
    (package / "called.py").write_text("from asr.compiled import inlined\n")
    (package / "plain.py").write_text("x = 1\n")
    monkeypatch.setattr(compiled, "_PACKAGE", package)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return package


def test_the_folder_changes_with_any_kernel_file_and_with_nothing_else(package: Path, tmp_path: Path) -> None:
    first = compiled.cache_folder()
    assert first.parent == tmp_path / "cache" / "asr"
    (package / "plain.py").write_text("x = 2\n")
    assert compiled.cache_folder() == first
    for name in ("caller.py", "called.py"):
        before = compiled.cache_folder()
        (package / name).write_text((package / name).read_text() + "# changed\n")
        assert compiled.cache_folder() != before


def test_a_changed_kernel_that_another_one_calls_is_compiled_again(tmp_path: Path) -> None:
    package = tmp_path / "copy" / "asr"
    package.mkdir(parents=True)
    shutil.copy(Path(compiled.__file__), package / "compiled.py")
    (package / "__init__.py").write_text("")
    (package / "caller.py").write_text(
        "from asr.called import called\nfrom asr.compiled import kernel\n\n\n"
        "@kernel\ndef caller(x):\n    return called(x)\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}

    def result(factor: int) -> tuple[str, int]:
        (package / "called.py").write_text(
            f"from asr.compiled import kernel\n@kernel\ndef called(x):\n    return {factor} * x\n"
        )
        program = (
            "from asr.caller import caller; value = caller(7); print(value, sum(caller.stats.cache_hits.values()))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=package.parent, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        value, hits = done.stdout.split()
        return value, int(hits)

    assert result(2) == ("14", 0)
    assert result(2) == ("14", 1)
    assert result(3) == ("21", 0)


def test_a_home_that_cannot_be_written_gives_way_to_a_private_temporary_folder(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # no folder can be made in a file, even by root
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = compiled.cache_folder()
    assert folder.parent == tmp_path / f"asr-{os.getuid()}"
    assert folder.parent.stat().st_mode & 0o077 == 0
    assert compiled.cache_folder() == folder


def test_a_temporary_folder_that_others_can_write_to_is_not_used(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    open_to_all = tmp_path / f"asr-{os.getuid()}"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    folder = compiled.cache_folder().parent
    assert folder.parent == tmp_path
    assert folder != open_to_all
    assert folder.stat().st_mode & 0o077 == 0


def test_a_kernel_only_borrows_its_arrays() -> None:
    @compiled.kernel
    def fill(array, value):  # type: ignore[no-untyped-def]
        for place in range(len(array)):
            array[place] = value
        return array[0]

    array = np.zeros(4)
    before = sys.getrefcount(array)
    assert [fill(array, 1.0 * value) for value in range(100)][-1] == 99
    assert sys.getrefcount(array) == before
    assert array.tolist() == [99.0] * 4


def test_a_kernel_that_would_make_an_array_is_refused() -> None:
    @compiled.kernel
    def make(size):  # type: ignore[no-untyped-def]
        return np.zeros(size)

    with pytest.raises(numba.core.errors.NumbaError, match="array"):
        make(3)
