"""``asr decode`` and ``asr verify``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from asr.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asr.decode.settings import SearchSettings, Tuned
    from asr.decode.system import System
    from asr.model.acoustic import Recogniser

_PHONES = (
    "note: a model of phones, so phones are what is written; words come of --lexicon (asr lexicon makes one) and --lm"
)
_CTC_ALONE = (
    "note: by CTC alone; the attention decoder of a model takes part in a search with that model (--ctc-weight, --lm, "
    "--beam …)"
)
_WHOLE = (
    "note: this model was trained on whole utterances alone, so chunks will cost it words; train with "
    "train.chunk_share=0.5 for one that is used to both"
)
_DEVICE = typer.Option("auto", "--device", help="auto, cpu or cuda.")
_THREADS = typer.Option(0, "--threads", min=0, help="CPU threads; 0: every core.")


def decode(
    models: list[Path] = typer.Option(..., "--model", help="Model folder; several times: they recognise together."),
    manifest: Path = typer.Option(..., "--manifest", help="What to decode."),
    out: Path | None = typer.Option(None, "--out", help="Default: decode/<manifest's name> beside the model folder."),
    lm: Path | None = typer.Option(None, "--lm", help="N-gram language model: .safetensors or ARPA."),
    lexicon: Path | None = typer.Option(None, "--lexicon", help="Only its words: lines of WORD TOKEN TOKEN …"),
    closed: bool = typer.Option(False, "--closed-vocabulary", help="Only words of --lm, in the model's tokens."),
    rescore: Path | None = typer.Option(None, "--rescore", help="Folder of an LSTM language model for the n best."),
    hotwords: str | None = typer.Option(None, "--hotwords", metavar='"A B, C"', help="Phrases to listen for."),
    hotword_weight: float | None = typer.Option(None, "--hotword-weight", help="Their boost, nats a word; default: 2."),
    beam: int | None = typer.Option(None, "--beam", min=1, help="Prefixes kept; tuned, else 16. With --tune: at most."),
    lm_weight: float | None = typer.Option(None, "--lm-weight", help="Alpha; tuned, else 0.5."),
    word_bonus: float | None = typer.Option(None, "--word-bonus", help="Beta, nats a word; tuned, else 0."),
    ctc_weight: float | None = typer.Option(
        None, "--ctc-weight", help="CTC's share beside an attention decoder, 0 to 1; tuned, else 0.5; 1: CTC alone."
    ),
    blank_skip: float | None = typer.Option(None, "--blank-skip", help="Pass over frames so surely blank; 1: none."),
    latency: float | None = typer.Option(
        None, "--latency", metavar="SECONDS", help="Chunk by chunk, as a stream of this latency is heard; e.g. 1.0."
    ),
    tune: bool = typer.Option(False, "--tune", help="Find weights and beam on this manifest, a dev set; store them."),
    audio: str | None = typer.Option(None, "--audio", help="What the recordings went through, for the receipt."),
    device: str = _DEVICE,
    threads: int = _THREADS,
) -> None:
    """Decode a manifest into hypotheses with times and confidences; score them with `asr score`.

    Greedily, or by a beam search as soon as one of its options is given. What --tune found is used wherever the same
    language models and the same lexicon or closed vocabulary are named again.
    """
    options = {
        "lm": lm and lm.as_posix(),
        "lexicon": lexicon and lexicon.as_posix(),
        "rescore": rescore and rescore.as_posix(),
        "closed": closed or None,
        "hotwords": None if hotwords is None else [phrase.strip() for phrase in hotwords.split(",")],
        "hotword_weight": hotword_weight,
        "beam": None if tune else beam,  # of --tune it is the widest that is tried
        "lm_weight": lm_weight,
        "word_bonus": word_bonus,
        "ctc_weight": ctc_weight,
        "blank_skip": blank_skip,
    }
    given = {name: value for name, value in options.items() if value is not None}
    _check(given, tune)
    if tune and latency is not None:
        raise UsageError("--tune tunes on whole utterances: leave out --latency; what it finds is used with it, too")
    if len(models) > 1 and out is None and not tune:
        raise UsageError("several models have no folder that is theirs: say with --out where the hypotheses go")

    from asr.cli.progress import AUDIO, progress
    from asr.decode.ensemble import load_models
    from asr.decode.run import decode_to_folder
    from asr.decode.settings import ENSEMBLES_FILE, FILE, make_settings
    from asr.decode.tune_run import tune_to_folder
    from asr.runtime import available_threads, set_up

    where = set_up(device, threads)
    recognisers = load_models(models)
    for one in recognisers:
        one.model.to(where)
    if latency is not None:
        _check_latency(recognisers, latency)
    recogniser, count = recognisers[0], len(recognisers)
    cores = threads or available_threads()
    if tune:
        if lm is None and (count > 1 or recogniser.model.decoder is None or ctc_weight == 1):
            raise UsageError("--tune weighs a language model against the sound: say which with --lm")
        with progress("log-probs", AUDIO) as report:
            settings = make_settings(given)
            failed = tune_to_folder(recognisers, settings, models, manifest, where, cores, report, print, beam)
        print(f"stored: {models[0] / (ENSEMBLES_FILE if count > 1 else FILE)}")
        _tell(failed, "they were left out")
        return
    folder, command = out or models[0].parent / "decode" / manifest.stem, shlex.join(["asr", *sys.argv[1:]])
    system = _system(models, recognisers, given, cores).with_latency(latency)
    with progress("decoding", AUDIO) as report:
        failed = decode_to_folder(recognisers, system, models, manifest, folder, where, audio, command, report)
    print(f"hypotheses: {folder / 'hyp.jsonl'}")
    _tell(failed, "they will be scored as deletions")


def _system(models: Sequence[Path], recognisers: Sequence[Recogniser], given: dict[str, Any], cores: int) -> System:
    """What is to decode, with a note of what its user may not expect of it."""
    from asr.decode.settings import settle
    from asr.decode.system import Search, greedy_system

    recogniser, count = recognisers[0], len(recognisers)
    if "lexicon" not in given and recogniser.tokenizer.kind == "phone":
        print(_PHONES, file=sys.stderr)
    if given:
        settings = settle(_tunings(models, recognisers), given)
        system = Search(recogniser, settings, cores, count, recogniser.model.decoder).system()
        _note_untuned(settings, given, count)
    else:
        system = greedy_system(recogniser, count)
    attentive = any(one.model.decoder is not None for one in recognisers)
    if attentive and not system.encoded and given.get("ctc_weight") != 1:
        print(_CTC_ALONE, file=sys.stderr)
    return system


def _check_latency(recognisers: Sequence[Recogniser], latency: float) -> None:
    """Refuses what models cannot do, before any folder is made, and says what they were not trained for."""
    for one in recognisers:
        one.model.config.chunking(latency)
    if not all(one.model.config.train.chunk_share for one in recognisers):
        print(_WHOLE, file=sys.stderr)


def _note_untuned(settings: SearchSettings, given: dict[str, Any], models: int) -> None:
    if settings.lm is not None and settings.lm_sha256 is None and "lm_weight" not in given:
        print(
            f"note: no weights were tuned for {'these models' if models > 1 else 'this model'} with {settings.lm}, "
            "defaults are used; asr decode --tune finds better ones on a dev set",
            file=sys.stderr,
        )


def _check(given: dict[str, Any], tune: bool) -> None:
    """Refuses options that mean nothing without, or beside, each other."""
    for name, reason in {
        "rescore": "--rescore scores the n best of a search with an n-gram model",
        "closed": "--closed-vocabulary takes the words of an n-gram model",
    }.items():
        if name in given and "lm" not in given:
            raise UsageError(f"{reason}: say which with --lm")
    if "closed" in given and "lexicon" in given:
        raise UsageError("--closed-vocabulary and --lexicon are two ways to say which words there are: give one")
    for name in ("lm_weight", "word_bonus"):
        if tune and name in given:
            raise UsageError(f"--tune looks for it itself: leave out --{name.replace('_', '-')}")


def _tell(failed: dict[str, str], consequence: str) -> None:
    """Names what was not decoded, and ends the command with status 1 if there is any."""
    if failed:
        for reason in failed.values():
            print(f"not decoded: {reason}", file=sys.stderr)
        print(f"{len(failed)} utterances were not decoded; {consequence}", file=sys.stderr)
        raise typer.Exit(1)


def _tunings(models: Sequence[Path], recognisers: Sequence[Recogniser]) -> list[Tuned]:
    """What was tuned for the model, or for several together."""
    from asr.decode.ensemble import ensemble_sha256
    from asr.decode.settings import read_tuned, read_tuned_ensemble

    digest = ensemble_sha256(recognisers)
    return read_tuned(models[0], digest) if len(models) == 1 else read_tuned_ensemble(models, digest)


def verify(
    receipt: Path = typer.Argument(..., help="A result.json."),
    models: list[Path] = typer.Option([], "--model", help="Model folder, if it is not where the receipt says."),
    manifest: Path | None = typer.Option(None, "--manifest", help="Manifest, if it is not where the receipt says."),
    device: str = _DEVICE,
    threads: int = _THREADS,
) -> None:
    """Decode and score again what a receipt says, and compare every count."""
    from asr.runtime import set_up
    from asr.score.verify import verify_receipt

    differing = verify_receipt(receipt, models, manifest, set_up(device, threads))
    if differing:
        for line in differing:
            print(line)
        raise typer.Exit(1)
    print(f"{receipt}: verified, every count is the same")
