"""``asr score``: error rates of hypotheses, with their intervals."""

from __future__ import annotations

from pathlib import Path

import typer


def score(
    manifest: Path = typer.Argument(metavar="REF_MANIFEST", help="The manifest that was decoded."),
    hypotheses: Path = typer.Argument(metavar="HYP.JSONL", help="What asr decode wrote."),
    out: Path | None = typer.Option(None, "--out", help="Folder for the report (default: that of HYP.JSONL)."),
    normalise: str = typer.Option("none", "--normalise", help="Normaliser for both sides: none or basic."),
    against: Path | None = typer.Option(
        None, "--against", metavar="HYP.JSONL", help="Another system's hypotheses, for a paired test."
    ),
    seed: int = typer.Option(1, "--seed", min=0, help="Seed of the bootstrap."),
) -> None:
    """Word, character and sentence error rates with 95 % intervals: report.txt, result.json, ref.trn and hyp.trn.

    An utterance that failed or has no hypothesis is named, counts as deletions and makes the exit status 1.
    """
    from asr.score.receipt import write_report
    from asr.score.report import print_report, score_manifest

    result = score_manifest(manifest, hypotheses, normalise, seed, against)
    write_report(out or hypotheses.parent, result, manifest, hypotheses)
    print_report(result)
    if result.failed:
        raise typer.Exit(1)
