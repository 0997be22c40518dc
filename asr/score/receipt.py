"""The receipt of a number: what was scored, how it was made and on what, in one flat JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from asr.errors import AsrError
from asr.files import read_text, sha256, write_text
from asr.score.hypotheses import to_trn
from asr.score.pra import pra_text
from asr.score.report import percent, upper_percent
from asr.score.result import Comparison, Result
from asr.text import normaliser

_TRAINED_ON = ("train_cpu", "train_threads", "train_gpu", "train_precision")
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
    "alignment",
    "resample",
    "bootstrap_seed",
    "calibration_error",
    "against",
    "against_wer",
    "against_p",
    "against_mapsswe_p",
    "against_bootstrap_p",
    "against_mcnemar_p",
    "against_difference_low",
    "against_difference_high",
    "search",
    "latency",
    "real_time_factor",
    "peak_memory_mb",
    "train_minutes",
    "train_audio_hours",
    *_TRAINED_ON,
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
# Of confidences, of a comparison, of a beam search, of a stream; and what receipts of old do not say.
OPTIONAL = (
    "calibration_error",
    "search",
    "latency",
    "alignment",
    "resample",
    *_TRAINED_ON,
    *(key for key in KEYS if key.startswith("against")),
)


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


def _significant(p_value: float) -> float:
    """Three digits, wherever they begin: a p-value is never 0."""
    return float(f"{p_value:.3g}")


def score_fields(result: Result, comparison: Comparison | None = None) -> dict[str, object]:
    """The score's part of a receipt; rates in percent, rounded to two decimals, None where undefined."""
    words, settings = result.words, result.settings
    fields: dict[str, object] = {
        "wer": percent(words.rate),
        "wer_low": percent(result.interval.low),
        "wer_high": upper_percent(result.interval.high),
        "wer_low_by_speaker": percent(result.by_speaker.low),
        "wer_high_by_speaker": upper_percent(result.by_speaker.high),
        "cer": percent(result.character_errors / result.characters if result.characters else None),
        "ser": percent(result.wrong / len(result.utterances)),
        "utterances": len(result.utterances),
        "words": words.reference_length,
        "substitutions": words.substitutions,
        "deletions": words.deletions,
        "insertions": words.insertions,
        "failed": len(result.failed),
        "normalise": settings.normalise,
        "alignment": settings.alignment,
        "resample": settings.resample,
        "bootstrap_seed": settings.seed,
    }
    if result.calibration_error is not None:
        fields["calibration_error"] = round(result.calibration_error, 4)
    if comparison is not None:
        fields |= {
            "against": comparison.path.as_posix(),
            "against_wer": percent(comparison.other.words.rate),
            "against_p": _significant(comparison.permutation),
            "against_mcnemar_p": _significant(comparison.sentences.p_value),
        }
        if comparison.segments is not None:
            fields["against_mapsswe_p"] = _significant(comparison.segments.p_value)
        if comparison.bootstrap is not None:
            fields |= {
                "against_bootstrap_p": _significant(comparison.bootstrap.p_value),
                "against_difference_low": percent(comparison.bootstrap.low),
                "against_difference_high": percent(comparison.bootstrap.high),
            }
    return fields


def _sha256(path: Path) -> str | None:
    """None of a pipe, which was read and cannot be a second time."""
    return sha256(path) if path.is_file() else None


def receipt_fields(
    result: Result, comparison: Comparison | None, references: Path, hypotheses: Path
) -> dict[str, object]:
    """The whole receipt.

    What is not the score's comes from ``decode.json`` beside ``hyp.jsonl``, if it is of these very hypotheses. The
    manifest that a receipt names is the one that was scored against.

    Raises:
        AsrError: ``decode.json`` is not a JSON object or tells of other hypotheses.
    """
    decoded = hypotheses.parent / "decode.json"
    own = hypotheses.name == "hyp.jsonl" and decoded.exists()
    fields = read_fields(decoded) if own else {}
    seen = _sha256(hypotheses)
    if fields.pop("hypotheses_sha256", None) != seen and fields:
        raise AsrError(f"{hypotheses}: was changed since {decoded} was written; decode again, or remove the latter")
    if not fields:
        fields = {"hypotheses": hypotheses.as_posix(), "hypotheses_sha256": seen}
    digest = _sha256(references)
    if digest is None or fields.get("manifest_sha256") != digest:
        fields |= {"manifest": references.as_posix(), "manifest_sha256": digest}
    return _in_order(fields | score_fields(result, comparison))


def written_into(folder: Path) -> dict[str, Path]:
    """What scoring writes, by what it is."""
    names = {
        "page": "report.html",
        "text": "report.txt",
        "pra": "hyp.pra",
        "references": "ref.trn",
        "hypotheses": "hyp.trn",
    }
    return {what: folder / name for what, name in {**names, "receipt": "result.json"}.items()}


def write_report(folder: Path, result: Result, text: str, receipt: Mapping[str, object], system: str) -> None:
    """Writes ``report.txt``, ``hyp.pra``, ``ref.trn``, ``hyp.trn`` and, last, the receipt ``result.json``.

    Args:
        folder: where to.
        result: the score.
        text: the report in words, see `asr.score.report.to_text`.
        receipt: what `receipt_fields` gives.
        system: what ``hyp.pra`` calls the hypotheses.

    Raises:
        AsrError: a file could not be written.
    """
    paths = written_into(folder)
    write_text(paths["text"], text)
    write_text(paths["pra"], pra_text(result, system))
    for what, texts in (("references", result.references), ("hypotheses", result.hypotheses)):
        write_text(paths[what], to_trn(texts, normaliser(result.settings.normalise).split))
    write_text(paths["receipt"], json.dumps(receipt, ensure_ascii=False, indent=2) + "\n")
