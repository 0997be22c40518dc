"""``asr decode`` and ``asr verify``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from asr.errors import UsageError

if TYPE_CHECKING:
    from asr.decode.settings import SearchSettings

_DEVICE = typer.Option("auto", "--device", help="auto, cpu or cuda.")
_THREADS = typer.Option(0, "--threads", min=0, help="CPU threads; 0: every core.")


def decode(
    model: Path = typer.Option(..., "--model", help="Model folder."),
    manifest: Path = typer.Option(..., "--manifest", help="What to decode."),
    out: Path | None = typer.Option(None, "--out", help="Default: decode/<manifest's name> beside the model folder."),
    lm: Path | None = typer.Option(None, "--lm", help="N-gram language model: .safetensors or ARPA."),
    lexicon: Path | None = typer.Option(None, "--lexicon", help="Only its words: lines of WORD TOKEN TOKEN …"),
    rescore: Path | None = typer.Option(None, "--rescore", help="Folder of an LSTM language model for the n best."),
    hotwords: str | None = typer.Option(None, "--hotwords", metavar='"A B, C"', help="Phrases to listen for."),
    hotword_weight: float | None = typer.Option(None, "--hotword-weight", help="Their boost [nats a word].  [2]"),
    beam: int | None = typer.Option(None, "--beam", min=1, help="Prefixes kept.  [tuned, else 16]"),
    lm_weight: float | None = typer.Option(None, "--lm-weight", help="Alpha.  [tuned, else 0.5]"),
    word_bonus: float | None = typer.Option(None, "--word-bonus", help="Beta [nats a word].  [tuned, else 0]"),
    blank_skip: float | None = typer.Option(None, "--blank-skip", help="Pass over frames so surely blank.  [1: none]"),
    tune: bool = typer.Option(False, "--tune", help="Find weights and beam on this manifest, a dev set; store them."),
    audio: str | None = typer.Option(None, "--audio", help="What the recordings went through, for the receipt."),
    device: str = _DEVICE,
    threads: int = _THREADS,
) -> None:
    """Decode a manifest into hypotheses with times and confidences; score them with `asr score`.

    Greedily, or by a beam search as soon as one of its options is given. What --tune found is used wherever the same
    language model, lexicon and LSTM are named again.
    """
    phrases = None if hotwords is None else [phrase.strip() for phrase in hotwords.split(",")]
    files = {"lm": lm, "lexicon": lexicon, "rescore": rescore}
    numbers = {
        "hotwords": phrases,
        "hotword_weight": hotword_weight,
        "beam": beam,
        "lm_weight": lm_weight,
        "word_bonus": word_bonus,
        "blank_skip": blank_skip,
    }
    given: dict[str, Any] = {name: path.as_posix() for name, path in files.items() if path is not None}
    given |= {name: value for name, value in numbers.items() if value is not None}
    if tune and lm is None:
        raise UsageError("--tune weighs a language model against the sound: say which with --lm")
    if rescore is not None and lm is None:
        raise UsageError("--rescore scores the n best of a search with an n-gram model: say which with --lm")

    from asr.cli.progress import progress
    from asr.decode.run import decode_to_folder
    from asr.decode.system import Search, greedy_system
    from asr.decode.tune_run import tune_to_folder
    from asr.model.acoustic import load_model
    from asr.runtime import available_threads, set_up

    where = set_up(device, threads)
    recogniser = load_model(model)
    recogniser.model.to(where)
    settings = _settings(model, recogniser.sha256, given) if given else None
    if settings is not None and tune:
        with progress("log-probs", "seconds of audio") as report:
            tune_to_folder(recogniser, settings, model, manifest, where, threads or available_threads(), report, print)
        print(f"stored: {model / 'decode.yaml'}")
        return
    folder = out or model.parent / "decode" / manifest.stem
    command = shlex.join(["asr", *sys.argv[1:]])
    system = greedy_system(recogniser)
    if settings is not None:
        system = Search(recogniser, settings, threads or available_threads()).system()
    with progress("decoding", "seconds of audio") as report:
        failed = decode_to_folder(recogniser, system, model, manifest, folder, where, audio, command, report)
    print(f"hypotheses: {folder / 'hyp.jsonl'}")
    if failed:
        for reason in failed.values():
            print(f"not decoded: {reason}", file=sys.stderr)
        print(f"{len(failed)} utterances were not decoded; they will be scored as deletions", file=sys.stderr)
        raise typer.Exit(1)


def _settings(model: Path, model_sha256: str, given: dict[str, Any]) -> SearchSettings:
    """What was given, over what was tuned for the same files, over the defaults."""
    from asr.decode.settings import SearchSettings, read_tuned

    tuned = read_tuned(model, model_sha256)
    fresh = SearchSettings.model_validate(given)
    if tuned is None:
        settings = fresh
    elif all(getattr(tuned.search, name) == getattr(fresh, name) for name in ("lm", "lexicon", "rescore")):
        settings = tuned.search.changed(**given)
    else:
        settings = fresh.calibration_of(tuned.search)
    if settings.lm is not None and settings.lm_sha256 is None and "lm_weight" not in given:
        print(
            f"note: no weights were tuned for this model with {settings.lm}, defaults are used; "
            "asr decode --tune finds better ones on a dev set",
            file=sys.stderr,
        )
    return settings


def verify(
    receipt: Path = typer.Argument(..., help="A result.json."),
    model: Path | None = typer.Option(None, "--model", help="Model folder, if it is not where the receipt says."),
    manifest: Path | None = typer.Option(None, "--manifest", help="Manifest, if it is not where the receipt says."),
    device: str = _DEVICE,
    threads: int = _THREADS,
) -> None:
    """Decode and score again what a receipt says, and compare every count."""
    from asr.runtime import set_up
    from asr.score.verify import verify_receipt

    differing = verify_receipt(receipt, model, manifest, set_up(device, threads))
    if differing:
        for line in differing:
            print(line)
        raise typer.Exit(1)
    print(f"{receipt}: verified, every count is the same")
