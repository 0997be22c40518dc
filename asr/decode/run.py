"""``asr decode``'s work: hypotheses of a manifest in a folder, with everything a receipt must say about them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import soundfile
import torch

from asr.decode.ensemble import mean_frames, networks
from asr.decode.hypothesis import Hypothesis, Row
from asr.decode.manifest import decode_manifest
from asr.decode.posteriors import Sparse, sparse, write_posteriors
from asr.decode.system import System
from asr.files import make_folder, sha256, write_text
from asr.manifest import Utterance, read_manifest
from asr.model.acoustic import Recogniser
from asr.runtime import machine, peak_memory_mb

_TRAINED_ON = ("cpu", "threads", "gpu", "precision", "commit")  # what a model's minutes were measured on


def _describe_audio(utterances: list[Utterance], failed: dict[str, str]) -> str | None:
    """The format of the first readable file, which stands for the corpus."""
    for utterance in utterances:
        if utterance.id not in failed:
            info = soundfile.info(utterance.audio)
            return f"{info.format} {info.subtype} {info.samplerate} Hz"
    return None


def hypothesis_lines(
    utterances: list[Utterance], hypotheses: dict[str, Hypothesis], failed: dict[str, str]
) -> list[dict[str, object]]:
    """One JSON object an utterance, in the manifest's order: what was recognised, or why nothing was.

    JSON has no infinity: the score of what a lexicon forced upon frames that rule it out is None.
    """
    lines: list[dict[str, object]] = []
    for one in utterances:
        if one.id not in hypotheses:
            lines.append({"id": one.id, "error": failed[one.id]})
            continue
        fields = asdict(hypotheses[one.id])
        lines.append({"id": one.id, **fields, "score": fields["score"] if math.isfinite(fields["score"]) else None})
    return lines


def decode_to_folder(
    recognisers: Sequence[Recogniser],
    system: System,
    models: Sequence[Path],
    manifest: Path,
    out: Path,
    device: torch.device,
    audio: str | None,
    command: str,
    report: Callable[[int, int | None], None],
) -> dict[str, str]:
    """Decodes a manifest into ``hyp.jsonl``, ``posteriors.safetensors`` and ``decode.json``.

    Args:
        recognisers: one, or several that recognise together, on ``device``.
        system: what decodes; made for as many models.
        models: the folders that they lie in.
        manifest: what to decode.
        out: folder for both files.
        device: where to compute.
        audio: what the recordings went through; None: read off the first file.
        command: as the receipt is to quote it.
        report: told how many seconds of audio are done, and of how many.

    Returns:
        id → reason of what could not be decoded; everything else is written all the same.

    Raises:
        AsrError: the manifest cannot be read, or a file cannot be written.
    """
    utterances = read_manifest(manifest)
    make_folder(out)
    total = sum(one.duration for one in utterances)
    kept: dict[str, Sparse] = {}

    def keep(name: str, row: Row) -> None:
        kept[name] = sparse(mean_frames(row))

    model, *others = networks(recognisers)
    begin = time.monotonic()
    hypotheses, failed = decode_manifest(
        utterances,
        model,
        system.decode,
        device,
        lambda done: report(round(done), round(total)),
        keep=keep,
        others=others,
        encoded=system.encoded,
        latency=system.latency,
    )
    took = time.monotonic() - begin
    lines = hypothesis_lines(utterances, hypotheses, failed)
    write_text(out / "hyp.jsonl", "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    in_order = {one.id: kept[one.id] for one in utterances if one.id in kept}
    symbols, frame_seconds = recognisers[0].tokenizer.symbols, model.frame_seconds
    write_posteriors(out / "posteriors.safetensors", in_order, symbols, frame_seconds)
    receipt = {
        "corpus": manifest.resolve().parent.name,
        "split": manifest.stem,
        "system": system.name,
        "search": system.search.model_dump(exclude_none=True) if system.search else None,
        **({} if system.latency is None else {"latency": system.latency}),
        "real_time_factor": round(took / total, 6) if total else None,
        "audio": audio or _describe_audio(utterances, failed),
        "manifest": manifest.as_posix(),
        "manifest_sha256": sha256(manifest),
        "model": _of_each([folder.as_posix() for folder in models]),
        "command": command,
        "hypotheses_sha256": sha256(out / "hyp.jsonl"),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **_about(recognisers, device),
    }
    write_text(out / "decode.json", json.dumps(receipt, ensure_ascii=False, indent=2) + "\n")
    return failed


def _of_each(values: list[Any]) -> Any:
    """A single model's value, or the list of several models' values."""
    return values[0] if len(values) == 1 else values


def _alike(values: list[Any]) -> Any:
    """What all models share, or the list of their values."""
    return values[0] if all(value == values[0] for value in values) else values


def _total(values: list[Any]) -> Any:
    return None if None in values else round(sum(values), 2)


def _about(recognisers: Sequence[Recogniser], device: torch.device) -> dict[str, object]:
    """The receipt's fields about the models and this process; minutes and parameters are those of all together."""
    trained = [one.trained for one in recognisers]
    return {
        "train_minutes": _total([one.get("train_minutes") for one in trained]),
        "train_audio_hours": _alike([one.get("train_audio_hours") for one in trained]),
        "parameters": _total([one.get("parameters") for one in trained]),
        **{f"train_{key}": _alike([one.get(key) for one in trained]) for key in _TRAINED_ON},
        "config": _alike([one.get("config") for one in trained]),
        "seed": _alike([one.model.config.seed for one in recognisers]),
        "model_sha256": _of_each([one.sha256 for one in recognisers]),
        "peak_memory_mb": peak_memory_mb(),
        **machine(device),
    }
