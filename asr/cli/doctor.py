"""``asr doctor``: what is wrong with manifests, told before training."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from asr.errors import UsageError

_OVERRIDE = re.compile(r"[a-z_.]+=")


def doctor(
    arguments: list[str] = typer.Argument(
        metavar="MANIFEST", help="The sets, such as train, dev and test; and KEY=VALUE overrides of the config."
    ),
    config: Path | None = typer.Option(None, "--config", metavar="YAML", help="Of the model that is to be trained."),
    model: Path | None = typer.Option(None, "--model", metavar="DIR", help="A trained model, to find label errors."),
    out: Path | None = typer.Option(None, "--out", help="Folder to write to (default: doctor beside the first set)."),
    device: str = typer.Option("auto", "--device", help="For --model: auto, cpu or cuda."),
    threads: int = typer.Option(0, "--threads", min=0, help="For --model: CPU threads; 0: every core."),
) -> None:
    """Look a corpus over before training: doctor.html, doctor.json and rejects.jsonl.

    Recordings, transcripts, what stands in two sets, and whether it all fits the model. Exit status 1 if something
    must be fixed.
    """
    from asr.config import read_config

    overrides = [one for one in arguments if _OVERRIDE.match(one) and not Path(one).exists()]
    manifests = [Path(one) for one in arguments if one not in overrides]
    if not manifests:
        raise UsageError("name a manifest at the least, such as data/mine/train.jsonl")
    if model is not None and (config is not None or overrides):
        raise UsageError("--model has a config of its own: give either --model or --config and KEY=VALUE")
    settings = read_config(config, overrides)  # before torch is imported: a misspelt key is told at once
    source = " ".join([config.as_posix() if config else "defaults", *overrides]) if config or overrides else ""

    from asr.doctor.sets import read_parting, read_sets
    from asr.files import make_folder

    sets = read_sets(manifests)
    for one in sets:
        read_parting(one.path.parent)

    from dataclasses import replace

    from asr.cli.progress import progress
    from asr.doctor.examine import examine
    from asr.doctor.report import print_diagnosis, write_diagnosis
    from asr.doctor.unlikely import least_likely
    from asr.model.acoustic import load_model
    from asr.runtime import set_up

    place = set_up(device, threads)
    recogniser = load_model(model) if model else None
    if recogniser and model:
        settings, source = recogniser.model.config, model.as_posix()
    out = out or manifests[0].parent / "doctor"
    make_folder(out)
    with progress("reading every recording", "recordings") as report:
        diagnosis = examine(sets, settings, source, recogniser, report)
    if recogniser:
        recogniser.model.to(place)
        with progress("listening with the model", "seconds") as report:
            diagnosis = replace(diagnosis, unlikely=least_likely(diagnosis.cases, recogniser, place, report))
    write_diagnosis(out, diagnosis)
    print_diagnosis(diagnosis, out)
    if diagnosis.failed:
        raise typer.Exit(1)
