"""``asr verify``'s work: the number on a receipt, made again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import ValidationError

from asr.decode.ensemble import load_models, networks
from asr.decode.manifest import decode_manifest
from asr.decode.settings import SearchSettings, first_mistake
from asr.decode.system import Search, greedy_system
from asr.errors import AsrError
from asr.files import sha256
from asr.manifest import read_manifest
from asr.score.align import Alignment
from asr.score.hypotheses import Hypothesis
from asr.score.receipt import read_fields, score_fields
from asr.score.references import Reference
from asr.score.result import Settings, score

COMPARED = ("wer", "cer", "ser", "utterances", "words", "substitutions", "deletions", "insertions", "failed")
_NEEDED = (*COMPARED, "manifest", "manifest_sha256", "model", "model_sha256", "normalise", "bootstrap_seed")


def verify_receipt(receipt: Path, models: Sequence[Path], manifest: Path | None, device: torch.device) -> list[str]:
    """Decodes and scores again, and compares with the receipt.

    Args:
        receipt: a ``result.json``.
        models: model folders; none: where the receipt says.
        manifest: None: where the receipt says.
        device: where to compute.

    Returns:
        A sentence for each count that differs; none if the receipt is true.

    Raises:
        AsrError: the receipt is incomplete, or models or manifest are not the ones it is about.
    """
    fields = read_fields(receipt)
    missing = [name for name in _NEEDED if name not in fields]
    if missing:
        raise AsrError(f"{receipt}: not a full receipt, it lacks {', '.join(missing)}")
    if not isinstance(fields["bootstrap_seed"], int) or not isinstance(fields["normalise"], str):
        raise AsrError(f"{receipt}: bootstrap_seed must be a whole number and normalise a name; score again")
    # Receipts of old do not name the costs, which were always these.
    alignment: Alignment = "sclite" if fields.get("alignment") == "sclite" else "unit"
    settings = Settings(fields["normalise"], alignment, seed=fields["bootstrap_seed"])
    models = models or [Path(str(path)) for path in _several(fields["model"])]
    manifest = manifest or Path(str(fields["manifest"]))
    sums = _several(fields["model_sha256"])
    if len(models) != len(sums):
        raise AsrError(f"{receipt}: was made with {len(sums)} models, {len(models)} are given; name as many")
    recognisers = load_models(models)
    utterances = read_manifest(manifest)
    seen = [*zip(["model"] * len(models), models, [one.sha256 for one in recognisers], sums, strict=True)]
    for what, path, found, needed in (*seen, ("manifest", manifest, sha256(manifest), fields["manifest_sha256"])):
        if found != needed:
            raise AsrError(f"{path}: not the {what} of this receipt: its SHA-256 is {found}, not {needed}")
    for one in recognisers:
        one.model.to(device)
    count, threads = len(recognisers), torch.get_num_threads()
    system = greedy_system(recognisers[0], count)
    if fields.get("search") is not None:
        search = _search(fields["search"], receipt)
        system = Search(recognisers[0], search, threads, count, recognisers[0].model.decoder).system()
    network, *others = networks(recognisers)
    decoded, failed = decode_manifest(
        utterances,
        network,
        system.decode,
        device,
        others=others,
        encoded=system.encoded,
        latency=_latency(fields.get("latency"), receipt),
    )
    hypotheses = {name: Hypothesis(one.text) for name, one in decoded.items()}
    hypotheses |= {name: Hypothesis("", reason) for name, reason in failed.items()}
    references = [Reference(one.id, one.text, one.speaker, one.duration, one) for one in utterances]
    again = score_fields(score(references, hypotheses, settings))
    return [
        f"{name}: the receipt says {fields[name]}, decoding again gives {again[name]}"
        for name in COMPARED
        if fields[name] != again[name]
    ]


def _several(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _latency(value: object, receipt: Path) -> float | None:
    if value is not None and not isinstance(value, float):
        raise AsrError(f"{receipt}: latency must be a number of seconds such as 1.0, this is {value!r}; decode again")
    return value


def _search(fields: object, receipt: Path) -> SearchSettings:
    try:
        return SearchSettings.model_validate(fields)
    except ValidationError as error:
        raise AsrError(f"{receipt}: search: {first_mistake(error)}; decode again") from error
