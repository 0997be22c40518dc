"""``asr lm``: language models of words or tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from asr.cli.lm_recurrent import train_lstm
from asr.errors import AsrError, UsageError

if TYPE_CHECKING:
    from asr.lm.ngram import NgramModel
    from asr.lm.perplexity import Perplexity

app = typer.Typer(help="Train language models, measure them, and change their format.", no_args_is_help=True)

_TEXT_HELP = "One sentence a line (.gz too), or a manifest (.jsonl), or - for standard input"
_NORMALISE = typer.Option("none", "--normalise", metavar="none|basic|english", help="What is done to the text.")
_TOKENS = typer.Option(
    None, "--tokens", metavar="MODEL_FOLDER", help="The language model is one of this acoustic model's tokens."
)
_PRUNE_ENTROPY = typer.Option(
    0.0,
    "--prune-entropy",
    min=0.0,
    help="Drop n-grams whose loss raises the perplexity by less than this share; 1e-8, say.",
)
_SIZE = typer.Option(
    None, "--size", metavar="MB", help="Store in 8 bits, and prune by entropy until the file is no larger than this."
)
_HELD_OUT = typer.Option(None, "--held-out", metavar="FILE", help="Text to tell what pruning costs in perplexity.")


@app.command()
def train(
    text: list[Path] = typer.Option(..., "--text", metavar="FILE", help=f"{_TEXT_HELP}; may be given several times."),
    out: Path = typer.Option(..., "--out", metavar="FILE", help="The model: lm.safetensors, say."),
    order: int = typer.Option(4, "--order", min=1, help="The longest n-gram."),
    vocabulary: int | None = typer.Option(
        None, "--vocabulary", min=1, metavar="N", help="Only the N most frequent words; default: all."
    ),
    prune: str = typer.Option("0", "--prune", metavar="0,0,1", help="Drop n-grams met so often or less, by length."),
    prune_entropy: float = _PRUNE_ENTROPY,
    size: float | None = _SIZE,
    arpa: Path | None = typer.Option(None, "--arpa", metavar="FILE", help="Write it as ARPA, too; gzipped if .gz."),
    tokens: Path | None = _TOKENS,
    normalise: str = _NORMALISE,
    held_out: Path | None = _HELD_OUT,
) -> None:
    """Estimate an n-gram model from text: interpolated modified Kneser-Ney, as KenLM's lmplz does it."""
    import functools
    import time

    from asr.cli.progress import progress
    from asr.lm.kneser_ney import estimate
    from asr.lm.lines import size_of

    _check_sizes(prune_entropy, size)
    _check_outputs(out, arpa)
    thresholds = _thresholds(prune)
    change, unit = _change(normalise, tokens), "word" if tokens is None else "token"
    held_out_lines = None if held_out is None else list(_lines(held_out, change))
    begin = time.monotonic()
    total = sum(map(size_of, text))

    def lines(report: Callable[[int, int | None], None]) -> Iterator[str]:
        for position, path in enumerate(text):
            before = sum(map(size_of, text[:position]))
            yield from _lines(path, change, functools.partial(_report_behind, report, before, total or None))

    with progress("counting and estimating") as report:
        model = estimate(lines(report), order, unit, vocabulary, thresholds)
    _write(model, out, arpa, prune_entropy, size, held_out_lines)
    print(f"{time.monotonic() - begin:.1f} s")


app.command("train-lstm")(train_lstm)


@app.command()
def perplexity(
    model: Path = typer.Argument(
        metavar="LM", help="What `asr lm train` wrote, an ARPA file, or the folder of an LSTM model."
    ),
    texts: list[Path] = typer.Argument(metavar="TEXT...", help=f"{_TEXT_HELP}."),
    tokens: Path | None = _TOKENS,
    normalise: str = _NORMALISE,
) -> None:
    """Perplexity of texts: exp(−mean ln P) over every word and the </s> behind each sentence, as KenLM's query has it.

    Once with the words outside the vocabulary (OOV), each at the probability of <unk>, and once without them; they then
    still stand in the histories of other words. Empty lines are passed over. Bits a word include the OOV words. An LSTM
    model's words are counted as words whatever units it predicts; it is not measured without its OOV words.
    """
    from asr.lm.perplexity import Perplexity

    if model.is_dir() and tokens is not None:
        raise UsageError(f"{model}: an LSTM model spells words itself, for which --tokens is not wanted")
    change = _change(normalise, tokens)
    measure = _measure_recurrent(model) if model.is_dir() else _measure_ngram(_load(model, tokens is not None))
    total = Perplexity()
    rows: list[tuple[str, Perplexity]] = []
    for path in texts:
        measured = measure(_lines(path, change, marks=("<s>", "</s>")), str(path))
        rows.append((str(path), measured))
        total += measured
    if len(texts) > 1:
        rows.append(("all", total))
    print(f"{'ppl':>10} {'without OOV':>12} {'bits/word':>10} {'OOV':>9} {'share':>8} {'words':>11} {'sentences':>10}")
    for name, one in rows:
        without = f"{'-':>12}" if model.is_dir() and one.unknown else f"{one.without_unknown:12.2f}"
        print(
            f"{one.with_unknown:10.2f} {without} {one.bits:10.3f} {one.unknown:9,} "
            f"{one.unknown / one.words:8.2%} {one.words:11,} {one.sentences:10,}   {name}"
        )


def _measure_ngram(model: NgramModel) -> Callable[[Iterator[str], str], Perplexity]:
    import functools

    from asr.lm.perplexity import perplexity

    return functools.partial(perplexity, model)


def _measure_recurrent(folder: Path) -> Callable[[Iterator[str], str], Perplexity]:
    """The same for an LSTM model, which does not tell what the words outside its vocabulary cost it."""
    from asr.lm.perplexity import Perplexity
    from asr.lm.recurrent import load_recurrent

    loaded = load_recurrent(folder)

    def measure(lines: Iterator[str], what: str) -> Perplexity:
        found = loaded.perplexity(lines)
        if not found.words:
            raise AsrError(f"{what}: holds no words, so it has no perplexity")
        return Perplexity(found.sentences, found.words, found.unknown, found.log_prob)

    return measure


@app.command()
def convert(
    model: Path = typer.Argument(metavar="LM", help="What `asr lm train` wrote, or an ARPA file."),
    out: Path = typer.Argument(
        metavar="OUT", help="lm.arpa, lm.arpa.gz or lm.safetensors: the ending says the format."
    ),
    unit: str = typer.Option("word", "--unit", metavar="word|token", help="What the words of an ARPA file are."),
    prune_entropy: float = _PRUNE_ENTROPY,
    size: float | None = _SIZE,
    tokens: Path | None = _TOKENS,
    normalise: str = _NORMALISE,
    held_out: Path | None = _HELD_OUT,
) -> None:
    """Write a language model in another format, smaller if wanted."""
    if unit not in ("word", "token"):
        raise UsageError(f"--unit must be word or token, not {unit!r}")
    as_arpa = _is_arpa(out)
    if not as_arpa and out.suffix != ".safetensors":
        raise UsageError(f"{out}: its name must end in .arpa, .arpa.gz or .safetensors, which says the format")
    if as_arpa and size is not None:
        raise UsageError("--size is for .safetensors; an ARPA file has no 8-bit form")
    _check_sizes(prune_entropy, size)
    _check_outputs(out, None)
    change = _change(normalise, tokens)
    held_out_lines = None if held_out is None else list(_lines(held_out, change))
    loaded = _load(model, None, unit)
    if as_arpa:
        _write(loaded, None, out, prune_entropy, size, held_out_lines)
    else:
        _write(loaded, out, None, prune_entropy, size, held_out_lines)


def _report_behind(report: Callable[[int, int | None], None], before: int, total: int | None, read: int) -> None:
    report(before + read, total)


def _is_arpa(path: Path) -> bool:
    return path.name.endswith((".arpa", ".arpa.gz"))


def _check_sizes(prune_entropy: float, size: float | None) -> None:
    if not prune_entropy < float("inf"):
        raise UsageError(f"--prune-entropy must be a small number such as 1e-8, not {prune_entropy}")
    if size is not None and not 0 < size < float("inf"):
        raise UsageError(f"--size must be a number of megabytes above 0, not {size:g}")


def _check_outputs(out: Path, arpa: Path | None) -> None:
    """Finds out before long work that its result could not be written."""
    from asr.files import make_folder

    for path in (out, arpa):
        if path is not None:
            if path.is_dir():
                raise UsageError(f"{path}: is a folder; name a file")
            make_folder(path.parent)
    if arpa is not None and arpa.resolve() == out.resolve():
        raise UsageError(f"{out}: --out and --arpa name the same file")


def _thresholds(prune: str) -> list[int]:
    try:
        return [int(number) for number in prune.split(",")]
    except ValueError as error:
        raise UsageError(
            f"--prune takes whole numbers with commas between them, such as 0,0,1, not {prune!r}"
        ) from error


def _change(normalise: str, tokens: Path | None) -> Callable[[str], str]:
    """What is done to each line: normalised, and for a token model spelled in the acoustic model's tokens."""
    from asr.text import normaliser

    change = normaliser(normalise)
    if tokens is None:
        return change
    from asr.model.acoustic import load_model

    tokenizer = load_model(tokens).tokenizer
    return lambda text: " ".join(tokenizer.symbols[token] for token in tokenizer.encode(change(text)))


def _lines(
    path: Path,
    change: Callable[[str], str],
    report: Callable[[int], None] = lambda done: None,
    marks: tuple[str, ...] = ("<s>", "</s>", "<unk>"),
) -> Iterator[str]:
    from asr.lm.lines import read_lines

    return read_lines(path, change, marks, report)


def _load(path: Path, over_tokens: bool | None, unit: str = "word") -> NgramModel:
    from asr.cli.progress import progress
    from asr.lm.ngram import load_lm

    with progress(f"reading {path}") as report:
        model = load_lm(path, "token" if over_tokens else unit, report)
    if over_tokens is not None and over_tokens != (model.unit == "token"):
        raise UsageError(
            f"{path}: its words are tokens of an acoustic model; name that with --tokens"
            if model.unit == "token"
            else f"{path}: a model of words, for which --tokens is not wanted"
        )
    for note in model.notes:
        print(f"note: {note}")
    return model


def _write(
    model: NgramModel,
    out: Path | None,
    arpa: Path | None,
    prune_entropy: float,
    size: float | None,
    held_out: list[str] | None,
) -> None:
    """Prunes, writes and reports."""
    from asr.cli.progress import progress
    from asr.lm.arpa import write_arpa
    from asr.lm.ngram import load_lm
    from asr.lm.perplexity import perplexity as measure
    from asr.lm.prune import prune, prune_to_size
    from asr.lm.storage import write_model

    before = None if held_out is None else measure(model, held_out, "held-out text").with_unknown
    smaller = prune(model, prune_entropy)
    if size is not None:
        smaller = prune_to_size(smaller, size * 1e6)
    if out is not None:
        write_model(smaller, out, eight_bit=size is not None)
        if size is not None:
            smaller = load_lm(out)  # what an ARPA file and the perplexity are to show, too
    if arpa is not None:
        with progress(f"writing {arpa}", "n-grams") as report:
            write_arpa(smaller, arpa, report)
    for length, count in enumerate(smaller.counts, start=1):
        print(f"{length}-grams {count:12,}")
    for note in smaller.notes:
        print(f"note: {note}")
    for path in (out, arpa):
        if path is not None:
            print(f"{path}: {path.stat().st_size / 1e6:,.1f} MB")
    if before is not None and held_out is not None:
        after = measure(smaller, held_out, "held-out text").with_unknown
        print(f"perplexity of the held-out text: {before:.2f} as estimated, {after:.2f} as written")
