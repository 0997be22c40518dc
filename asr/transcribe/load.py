"""A model made ready to transcribe: what computes its log-probs, and what makes words of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from asr.decode.settings import find_files, read_tuned, settle
from asr.decode.system import Search, System, greedy_system
from asr.errors import UsageError
from asr.model.folder import EXPORTED, G2P, WEIGHTS
from asr.runtime import available_threads

if TYPE_CHECKING:
    from asr.decode.settings import SearchSettings
    from asr.phones.dictionary import Phones
    from asr.transcribe.backend import Backend
    from asr.transcribe.transcriber import Transcriber

Precision = Literal["auto", "float32", "bfloat16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "bfloat16", "int8")
PACKAGED = Path(__file__).parent.parent / "packaged"  # the model that comes with the package


def load_model(
    model: str | Path | None = None,
    *,
    lm: str | Path | None = None,
    lexicon: str | Path | None = None,
    beam: int | None = None,
    lm_weight: float | None = None,
    hotwords: Sequence[str] = (),
    precision: Precision = "auto",
    device: str = "auto",
    threads: int = 0,
) -> Transcriber:
    """Loads a model folder, made by ``asr train`` or ``asr export``, and makes it ready to transcribe.

    The search is the one that ``asr decode --tune`` stored last with the model, if its language model is where it was
    or in the model folder; otherwise the best token of each frame. What is given replaces that part of it.

    Args:
        model: the folder; None: the model that comes with the package.
        lm: file of an n-gram language model.
        lexicon: file of a lexicon, for words of a model of phones, or to let no other words out.
        beam: prefixes kept; 1 or more.
        lm_weight: of the language model.
        hotwords: phrases to listen for.
        precision: what the network computes in; ``auto``: as it was exported, of other folders float32.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: of the CPU; 0: every core.

    Raises:
        AsrError: a file is missing, altered, or does not fit the others.
        UsageError: an option out of its range, or one that this model cannot meet.
    """
    from asr.transcribe.transcriber import Transcriber

    if isinstance(hotwords, str):
        raise UsageError(f"hotwords are a list of phrases, such as [{hotwords!r}], this is a string")
    folder = find_model(model)
    backend = load_backend(folder, precision, device, threads)
    options = {
        "lm": None if lm is None else Path(lm).as_posix(),
        "lexicon": None if lexicon is None else Path(lexicon).as_posix(),
        "beam": beam,
        "lm_weight": lm_weight,
        "hotwords": list(hotwords) or None,
    }
    given = {name: value for name, value in options.items() if value is not None}
    return Transcriber(backend, _system(folder, backend, given, threads))


def load_backend(folder: Path, precision: Precision, device: str, threads: int) -> Backend:
    """What computes log-probs, see `load_model`."""
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: it is one of {', '.join(PRECISIONS)}")
    exported = next((name for name in EXPORTED if (folder / name).is_file()), None)
    if exported is not None and not (folder / WEIGHTS).is_file():
        written = "int8" if "int8" in exported else "float32"
        if precision not in ("auto", written):
            raise UsageError(f"{folder}: was exported in {written}, and --precision says {precision}")
        if device not in ("auto", "cpu"):
            raise UsageError(f"{folder}: an exported model computes on the CPU; --device {device} is for others")
        from asr.transcribe.onnx_backend import OnnxBackend

        return OnnxBackend(folder, threads)
    if precision == "int8":
        raise UsageError(f"{folder}: --precision int8 needs a model that asr export --int8 made of it")
    from asr.model.acoustic import load_model as load_recogniser
    from asr.runtime import set_up
    from asr.transcribe.backend import TorchBackend

    where = set_up(device, threads)
    return TorchBackend(load_recogniser(folder), where, precision == "bfloat16")


def find_model(model: str | Path | None) -> Path:
    """The folder of a model; None stands for the packaged one.

    Raises:
        UsageError: none is named, and none came with the package.
    """
    if model is not None:
        return Path(model)
    if not (PACKAGED / "SHA256SUMS").is_file():
        raise UsageError("no model came with this installation: say with --model where one is (asr train makes them)")
    return PACKAGED


def _system(folder: Path, backend: Backend, given: dict[str, Any], threads: int) -> System:
    """What makes words of the model's log-probs: greedy, or a beam search, see `load_model`."""
    tunings = [tuned for tuned in read_tuned(folder, backend.sha256) if tuned.search.ctc_weight in (None, 1)]
    found = [find_files(tuned.search, folder) for tuned in reversed(tunings)]  # the newest first
    there = [search for search in found if search is not None]
    if {"lm", "lexicon"} & set(given):
        base = next((search for search in there if not _other_files(search, given)), there[0] if there else None)
    else:
        base = found[0] if found else None
    if base is not None:
        settings = _replaced(base, given)
    elif given:
        settings = settle(tunings, given)
    else:
        return greedy_system(backend)
    return Search(backend, settings, threads or available_threads(), spell=_speller(folder, settings)).system()


def _other_files(search: SearchSettings, given: dict[str, Any]) -> set[str]:
    """Which of the language model and the lexicon are given and are not those of a search."""
    named = {name: getattr(search, name) for name in ("lm", "lexicon") if name in given}
    return {name for name, path in named.items() if path is None or Path(path).resolve() != Path(given[name]).resolve()}


def _replaced(search: SearchSettings, given: dict[str, Any]) -> SearchSettings:
    """A tuned search with what is given in the place of what it was tuned with; hotwords are those given alone."""
    other = _other_files(search, given)
    values: dict[str, Any] = {f"{name}_sha256": None for name in other}
    if "lm" in other:  # the LSTM beside it was tuned together with it
        values |= {"rescore": None, "rescore_sha256": None, "rescore_weight": None}
    if "lexicon" in given:
        values["closed"] = False
    if "lm_weight" in given:
        values["rescore_weight"] = None
    return search.changed(**{**values, "hotwords": [], **given})


def _speller(folder: Path, settings: SearchSettings) -> Callable[[str], list[Phones]] | None:
    """What pronounces hotwords, if there are any and the folder has a grapheme-to-phoneme model."""
    if not settings.hotwords or not (folder / G2P).is_dir():
        return None
    from asr.phones.onnx_g2p import OnnxG2p

    g2p = OnnxG2p(folder / G2P)
    return lambda word: [one.phones for one in g2p.pronounce([word], nbest=2)[0]]
