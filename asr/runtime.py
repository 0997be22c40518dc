"""The machine a command runs on: device, threads, precision, memory, and how a receipt describes them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import UsageError

if TYPE_CHECKING:
    import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BYTES = 1 << 30


def wait_briefly() -> None:
    """Bounds how long OpenMP's threads spin while they wait for each other; call it before torch is imported.

    GNU's OpenMP spins for milliseconds by default: where another program wants that core, each of the thousands of
    barriers in an LSTM costs a time slice, and training runs 10 times slower. Without any spinning the threads fall
    asleep at every barrier, which on a quiet virtual machine is as bad. Some 20,000 turns keep most of both.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def keep_freed_memory() -> None:
    """Lets glibc keep big freed tensors instead of handing them back to the kernel at every free.

    First touch of fresh pages is what slows training on virtual machines. No effect with another C library.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, 2 * _KEEP_BYTES - 1)


def available_threads() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_up(device: str, threads: int = 0) -> torch.device:
    """Prepares the process for work with tensors: allocator, threads (0: every core), full float32 on CUDA, device.

    Raises:
        UsageError: there is no such device here.
    """
    import torch

    keep_freed_memory()
    torch.set_num_threads(threads or available_threads())
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {device}: not to be had on this machine ({str(error).splitlines()[0]})") from error
    return chosen


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 natively (AMX or AVX512-BF16 on a CPU, Ampere or later on CUDA)."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def peak_memory_mb() -> float:
    """Most memory this process has held at once [MB]."""
    own = _number("/proc/self/status", "VmHWM:")
    if own is not None:  # a process starts with the peak of the one that started it in its ru_maxrss
        return round(own * 1024 / 1e6, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def available_memory_mb() -> float | None:
    """Memory that is free for this process, a container's limit minded [MB]; None where the system does not tell."""
    free = _number("/proc/meminfo", "MemAvailable:")
    if free is None:
        return None
    with contextlib.suppress(OSError, ValueError):  # no such files, or "max"
        limit, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text()) for name in ("max", "current"))
        # Cached files count as used, though they make room at once; recordings that were read soon fill a container.
        cached = sum(_number("/sys/fs/cgroup/memory.stat", f"{kind}_file ") or 0 for kind in ("active", "inactive"))
        return min(free * 1024 / 1e6, (limit - used + cached) / 1e6)
    return free * 1024 / 1e6


def _number(table: str, name: str) -> int | None:
    """The number on a line of one of Linux's tables; None where there is no such table or line."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(table).read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return None


def cpu_name() -> str:
    """The processor's name, as the system gives it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str | None:
    """The git commit of the source tree this package runs from, "+" behind it if the tree was changed; else None."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", "asr") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def machine(device: torch.device) -> dict[str, object]:
    """The receipt's fields about the machine and its software: cpu, threads, gpu (if used), versions, commit."""
    import numpy
    import soundfile
    import torch

    from asr import __version__

    versions = {
        "asr": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a subclass of str, which YAML does not know
        "numpy": numpy.__version__,
        "libsndfile": soundfile.__libsndfile_version__,
    }
    return {
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "versions": versions,
        "commit": commit(),
    }
