"""The receipt of a number: what was scored, how it was made and on what, in one flat JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from asr.errors import AsrError
from asr.files import read_text, sha256, write_text
from asr.score.hypotheses import to_trn
from asr.score.report import Result, to_text

KEYS = (
    "corpus",
    "split",
    "system",
    "wer",
    "wer_low",
    "wer_high",
    "wer_low_by_speaker",
    "wer_high_by_speaker",
    "cer",
    "ser",
    "utterances",
    "words",
    "substitutions",
    "deletions",
    "insertions",
    "failed",
    "normalise",
    "bootstrap_seed",
    "calibration_error",
    "against",
    "against_wer",
    "against_p",
    "search",
    "real_time_factor",
    "peak_memory_mb",
    "train_minutes",
    "train_audio_hours",
    "train_commit",
    "parameters",
    "seed",
    "cpu",
    "threads",
    "gpu",
    "versions",
    "audio",
    "commit",
    "manifest",
    "manifest_sha256",
    "model",
    "model_sha256",
    "config",
    "command",
    "date",
)
# Of confidences, of a comparison, and of a beam search.
OPTIONAL = ("calibration_error", "against", "against_wer", "against_p", "search")


def read_fields(path: Path) -> dict[str, object]:
    """A receipt, or the part of it that ``asr decode`` writes.

    Raises:
        AsrError: missing, or not a JSON object.
    """
    try:
        fields = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise AsrError(f"{path}:{error.lineno}: not JSON ({error.msg}); remove the file or decode again") from error
    if not isinstance(fields, dict):
        raise AsrError(f"{path}: a receipt is a JSON object, this is {type(fields).__name__}")
    return fields


def _in_order(fields: Mapping[str, object]) -> dict[str, object]:
    known = {key: fields[key] for key in KEYS if key in fields}
    return known | {key: value for key, value in fields.items() if key not in known}


def write_report(folder: Path, result: Result, manifest: Path, hypotheses: Path) -> None:
    """Writes ``report.txt``, ``ref.trn``, ``hyp.trn`` and the receipt ``result.json``.

    What is not the score's comes from ``decode.json`` beside the hypotheses, if it is of these very hypotheses. The
    manifest that a receipt names is the one that was scored against.

    Raises:
        AsrError: ``decode.json`` is not a JSON object or tells of other hypotheses, or a file could not be written.
    """
    decoded = hypotheses.parent / "decode.json"
    fields = read_fields(decoded) if decoded.exists() else {}
    if fields.pop("hypotheses_sha256", None) != sha256(hypotheses) and fields:
        raise AsrError(f"{hypotheses}: was changed since {decoded} was written; decode again, or remove the latter")
    digest = sha256(manifest)
    if fields.get("manifest_sha256") != digest:
        fields |= {"manifest": manifest.as_posix(), "manifest_sha256": digest}
    receipt = _in_order(fields | result.fields())
    write_text(folder / "report.txt", to_text(result))
    write_text(folder / "ref.trn", to_trn(result.references))
    write_text(folder / "hyp.trn", to_trn(result.hypotheses))
    write_text(folder / "result.json", json.dumps(receipt, ensure_ascii=False, indent=2) + "\n")
