"""Runs of before a key of their config existed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from asr.files import read_text, sha256, write_text
from asr.yaml_files import read_yaml, to_yaml


def forget(out: Path, key: str) -> None:
    """Takes a key, dots between its parts, out of a run's checkpoint and, where it is finished, out of its model."""
    latest, model = out / "checkpoints" / "latest.pt", out / "model"
    state = torch.load(latest, weights_only=True)
    _forget_mark(state["fingerprint"], key)
    torch.save(state, latest)
    if model.exists():
        fields = read_yaml(model / "config.yaml")
        _forget_mark(fields["trained"]["fingerprint"], key)
        _pop(fields.get("recurrent") or fields.get("g2p") or fields, key)
        write_text(model / "config.yaml", to_yaml(fields))
        names = [line.split("  ")[1] for line in read_text(model / "SHA256SUMS").splitlines()]
        write_text(model / "SHA256SUMS", "".join(f"{sha256(model / name)}  {name}\n" for name in names))


def _forget_mark(fingerprint: dict[str, str], key: str) -> None:
    mark = json.loads(fingerprint["config"])
    _pop(mark, key)
    fingerprint["config"] = json.dumps(mark, sort_keys=True)


def _pop(fields: dict[str, Any], key: str) -> None:
    *parents, leaf = key.split(".")
    for parent in parents:
        fields = fields[parent]
    del fields[leaf]
