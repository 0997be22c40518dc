"""Kernels compiled by numba: one decorator, and where the machine code is kept between runs.

Compiling takes seconds, so the result is kept on disk, in a folder of the user's cache whose name is a digest of every
kernel file: numba itself looks only at the file of the function that is called, not at those that function calls. No
fastmath: it takes −inf for impossible.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

_PACKAGE = Path(__file__).resolve().parent


def _kernel_files() -> list[Path]:
    """Every file of the package that holds a kernel."""
    return sorted(path for path in _PACKAGE.rglob("*.py") if b"asr.compiled" in path.read_bytes())


def cache_folder() -> Path:
    """Where compiled kernels are kept: ``$XDG_CACHE_HOME/asr`` or ``~/.cache/asr``, else a folder for temporary files.

    The last part of the name is a digest of the kernels and of numba's version: new kernels, new folder.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for path in _kernel_files():
        digest.update(path.read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "asr"  # noqa: PTH111
    if not _writable(home):
        home = _temporary_folder()
    return home / f"kernels-{digest.hexdigest()[:16]}"


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _temporary_folder() -> Path:
    """A folder among temporary files that is this user's alone: what is loaded from it is run."""
    folder = Path(tempfile.gettempdir()) / f"asr-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="asr-"))


numba.config.CACHE_DIR = str(cache_folder())  # type: ignore[attr-defined]


def kernel(function: Callable[..., Any]) -> Any:
    """Compiles a function at its first call, without Python's lock, and keeps the machine code on disk.

    All arrays are the caller's: it can neither make nor return one. Numba then need not count who refers to them, which
    took more than half of the beam search's time: an atomic addition for each array of a tuple, in the innermost loops.
    (The option is numba's own for such functions; the compiler refuses one that makes an array all the same.)
    """
    return numba.njit(nogil=True, cache=True, _nrt=False)(function)  # type: ignore[call-overload]


def making_kernel(function: Callable[..., Any]) -> Any:
    """A kernel that makes arrays; its inner loops should be a `kernel` that fills them."""
    return numba.njit(nogil=True, cache=True)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """A function that is copied into the kernels that call it, which spares passing many arrays and compiling twice."""
    return numba.njit(nogil=True, inline="always")(function)
