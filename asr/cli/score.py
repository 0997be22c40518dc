"""``asr score``: error rates of hypotheses, with their intervals, tests and a page to look at."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from asr.errors import UsageError

if TYPE_CHECKING:
    from asr.score.inputs import Columns
    from asr.score.result import Comparison, Result

_FORMATS = "jsonl, trn, kaldi, csv, tsv, lines, stm or ctm"


def score(
    references: Path = typer.Argument(metavar="REF", help="What was said: a manifest, trn, Kaldi text, CSV, STM, …"),
    hypotheses: Path = typer.Argument(metavar="HYP", help="What was recognised: hyp.jsonl, trn, Kaldi text, CTM, …"),
    out: Path | None = typer.Option(None, "--out", help="Folder for the report; default: HYP's, or HYP.score."),
    normalise: str = typer.Option("none", "--normalise", help="Normaliser for both sides: none, basic or english."),
    alignment: Literal["unit", "sclite"] = typer.Option(
        "unit", "--alignment", help="Costs: all errors 1, or sclite's."
    ),
    resample: Literal["utterance", "speaker"] = typer.Option(
        "utterance", "--resample", help="What the 95 % interval is over."
    ),
    against: Path | None = typer.Option(
        None, "--against", metavar="HYP", help="Another system's hypotheses, for paired tests."
    ),
    allow_extra: bool = typer.Option(False, "--allow-extra", help="Pass over hypotheses without a reference."),
    ref_format: str | None = typer.Option(None, "--ref-format", help=f"{_FORMATS}; default: seen in the file."),
    hyp_format: str | None = typer.Option(None, "--hyp-format", help="The same of HYP, and of --against."),
    id_column: str | None = typer.Option(None, "--id-column", help="CSV, TSV: column of ids; default: guessed."),
    ref_column: str | None = typer.Option(None, "--ref-column", help="CSV, TSV: column of what was said."),
    hyp_column: str | None = typer.Option(None, "--hyp-column", help="CSV, TSV: column of what was recognised."),
    speaker_column: str | None = typer.Option(None, "--speaker-column", help="CSV, TSV: column of speakers in REF."),
    utt2spk: Path | None = typer.Option(None, "--utt2spk", help="Lines of ID SPEAKER, where REF names no speakers."),
    page: bool = typer.Option(True, "--page/--no-page", help="Write report.html."),
    audio_limit: float = typer.Option(20, "--audio-limit", min=0, metavar="MB", help="Audio within the page, at most."),
    seed: int = typer.Option(1, "--seed", min=0, help="Seed of the bootstrap."),
) -> None:
    """Word, character and sentence error rates with 95 % intervals, alignments, and a page with everything in it.

    Writes report.txt, result.json, hyp.pra, ref.trn, hyp.trn and report.html. An utterance that failed or has no
    hypothesis is named, counts as deletions and makes the exit status 1.
    """
    from asr.score.inputs import Columns, read_other, read_pair
    from asr.score.receipt import receipt_fields, write_report
    from asr.score.report import print_report, to_text
    from asr.score.result import Settings, compare, score
    from asr.splits import how_split
    from asr.text import normaliser

    gc.disable()  # texts live as long as the command, and looking through millions of them takes a third of its time
    normaliser(normalise)  # a name that is wrong is told before anything is read
    folder = out or _default_folder(hypotheses)
    if against is not None and against.exists() and hypotheses.exists() and against.samefile(hypotheses):
        raise UsageError(f"{against}: --against needs the hypotheses of another system, this is HYP itself")
    _spare(folder, [references, hypotheses, *([against] if against else [])])
    settings = Settings(normalise, alignment, resample, seed, allow_extra)
    columns = Columns(id=id_column, reference=ref_column, hypothesis=hyp_column, speaker=speaker_column)
    pair = read_pair(references, hypotheses, ref_format, hyp_format, columns, utt2spk)
    _check_columns(columns, pair.ref_format, pair.hyp_format, against is not None)
    notes = [f"references read as {pair.ref_format}, hypotheses as {pair.hyp_format}", *pair.notes]
    result = score(pair.references, pair.hypotheses, settings, notes, how_split(references.parent), hypotheses)
    comparison = None
    if against is not None:
        other = read_other(pair, references, against, hyp_format, columns)
        there = score(pair.references, other.hypotheses, settings, other.notes, source=against)
        comparison = compare(result, there, against, _names(hypotheses, against))
    receipt = receipt_fields(result, comparison, references, hypotheses)
    text = to_text(result, comparison)
    write_report(folder, result, text, receipt, hypotheses.as_posix())
    print_report(result, comparison, text)
    if page:
        _write_page(folder, result, comparison, receipt, hypotheses, audio_limit)
    if result.failed:
        raise typer.Exit(1)


def _default_folder(hypotheses: Path) -> Path:
    """Where ``asr decode`` wrote; elsewhere a folder of its own, since the neighbours are somebody's files."""
    if hypotheses.as_posix().startswith(("/dev/", "/proc/")):
        raise UsageError(f"{hypotheses}: nothing can be written beside a pipe; say where with --out")
    return hypotheses.parent if hypotheses.name == "hyp.jsonl" else hypotheses.with_name(f"{hypotheses.name}.score")


def _check_columns(columns: Columns, ref_format: str, hyp_format: str, compared: bool) -> None:
    """Refuses names of columns where there are none: they would say nothing."""
    ref, hyp = ref_format in ("csv", "tsv"), hyp_format in ("csv", "tsv") or compared
    for option, name, table in (
        ("id-column", columns.id, ref or hyp),
        ("ref-column", columns.reference, ref),
        ("hyp-column", columns.hypothesis, hyp),
        ("speaker-column", columns.speaker, ref),
    ):
        if name is not None and not table:
            raise UsageError(
                f"--{option} {name}: is for tables, but REF was read as {ref_format} and HYP as {hyp_format}; leave it "
                "out, or say --ref-format or --hyp-format csv or tsv"
            )


def _spare(folder: Path, inputs: list[Path]) -> None:
    """Refuses to write over what is read."""
    from asr.score.receipt import written_into

    for path in written_into(folder).values():
        for one in inputs:
            if path.exists() and one.exists() and path.samefile(one):
                raise UsageError(f"{one}: the report would be written over it; choose another folder with --out")


def _names(hypotheses: Path, against: Path) -> tuple[str, str]:
    """What sentences call two systems: as they were decoded, if that tells them apart, else by their files."""
    from asr.score.receipt import read_fields

    systems = [
        str(read_fields(path.parent / "decode.json").get("system", ""))
        for path in (hypotheses, against)
        if path.name == "hyp.jsonl" and (path.parent / "decode.json").exists()
    ]
    if len(systems) == 2 and all(systems) and systems[0] != systems[1]:
        return systems[0], systems[1]
    return hypotheses.as_posix(), against.as_posix()


def _history(receipt: dict[str, object]) -> list[dict[str, float]]:
    """What training wrote, epoch by epoch, beside the model that a receipt names; nothing where it is elsewhere."""
    import json

    from asr.errors import AsrError
    from asr.files import read_text

    path = Path(str(receipt.get("model", ""))).parent / "history.jsonl"
    if "model" not in receipt or not path.exists():
        return []
    try:
        return [json.loads(line) for line in read_text(path).splitlines() if line.strip()]
    except json.JSONDecodeError as error:
        raise AsrError(f"{path}: not what asr train wrote there ({error.msg})") from error


def _write_page(
    folder: Path,
    result: Result,
    comparison: Comparison | None,
    receipt: dict[str, object],
    hypotheses: Path,
    audio_limit: float,
) -> None:
    from asr.cli.progress import progress
    from asr.score.media import MediaSettings
    from asr.score.page import write_page

    posteriors = hypotheses.parent / "posteriors.safetensors"
    with progress("page", "utterances") as report:
        write_page(
            folder / "report.html",
            result,
            comparison,
            receipt,
            _history(receipt),
            posteriors if hypotheses.name == "hyp.jsonl" and posteriors.exists() else None,
            MediaSettings(audio_limit_mb=audio_limit),
            report,
        )
    print(f"page: {folder / 'report.html'}")
