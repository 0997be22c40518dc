from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from asr import runtime
from asr.errors import UsageError


def test_waiting_is_brief_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    runtime.wait_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == "20000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    runtime.wait_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")  # whoever says how to wait is obeyed
    runtime.wait_briefly()
    assert "GOMP_SPINCOUNT" not in os.environ


def test_threads_and_device() -> None:
    before = torch.get_num_threads()
    try:
        assert runtime.set_up("cpu", threads=1) == torch.device("cpu")
        assert torch.get_num_threads() == 1
        runtime.set_up("auto")
        assert torch.get_num_threads() == runtime.available_threads()
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("device", ["toaster", "cpu:x", ""])
def test_a_device_that_there_is_not(device: str) -> None:
    before = torch.get_num_threads()
    with pytest.raises(UsageError, match=f"--device {device}: not to be had on this machine") as caught:
        runtime.set_up(device, threads=before)
    assert "\n" not in str(caught.value)


def test_the_machine_in_a_receipt() -> None:
    fields = runtime.machine(torch.device("cpu"))
    assert list(fields) == ["cpu", "threads", "gpu", "versions", "commit"]
    assert fields["cpu"]
    versions = fields["versions"]
    assert isinstance(versions, dict)
    assert all(type(version) is str for version in versions.values())  # what YAML and JSON know
    assert {"asr", "python", "torch", "numpy", "libsndfile"} == set(versions)


def test_the_commit_is_marked_where_the_package_was_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"rev-parse": "0123abc\n", "status": ""}

    def git(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, stdout=answers[command[3]])

    monkeypatch.setattr(subprocess, "run", git)
    if runtime.commit() is None:
        pytest.skip("the package does not run from a git checkout")
    assert runtime.commit() == "0123abc"
    answers["status"] = " M asr/audio.py\n"
    assert runtime.commit() == "0123abc+"

    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert runtime.commit() is None


def test_memory() -> None:
    code = """if True:
        import numpy
        from asr.runtime import peak_memory_mb
        before = peak_memory_mb()
        numpy.ones(25_000_000)
        print(peak_memory_mb() - before)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 150 < float(done.stdout) < 260  # 200 MB
    free = runtime.available_memory_mb()
    assert free is None or free > 10


def test_cached_files_leave_a_container_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {
        "/proc/meminfo": "MemAvailable: 64000000 kB\n",
        "/sys/fs/cgroup/memory.max": "8000000000\n",
        "/sys/fs/cgroup/memory.current": "7900000000\n",
        "/sys/fs/cgroup/memory.stat": "anon 900000000\ninactive_file 5000000000\nactive_file 2000000000\n",
    }
    monkeypatch.setattr(Path, "read_text", lambda self: tables[str(self)])
    assert runtime.available_memory_mb() == pytest.approx(7100)
