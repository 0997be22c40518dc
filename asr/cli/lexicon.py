"""``asr lexicon``."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from asr.errors import AsrError, UsageError


def lexicon(
    dictionary: Path = typer.Option(..., "--dictionary", help="Pronouncing dictionary: lines of WORD PHONE PHONE …"),
    out: Path = typer.Option(..., "--out", metavar="FILE", help="The lexicon, for asr decode --lexicon."),
    g2p: Path | None = typer.Option(None, "--g2p", metavar="MODEL", help="Pronounces what the dictionary lacks."),
    words: Path | None = typer.Option(None, "--words", metavar="FILE", help="Words, separated by white space."),
    lm: Path | None = typer.Option(None, "--lm", metavar="FILE", help="The words of this n-gram model."),
    stress: bool = typer.Option(False, "--stress", help="Vowels keep the digit of their stress."),
    nbest: int = typer.Option(1, "--nbest", min=1, help="Most pronunciations of a word that --g2p makes up."),
) -> None:
    """Write all pronunciations of a list of words, or of a language model's vocabulary, as asr decode reads them.

    Words that nobody can pronounce are named and left out, and the exit status is 1.
    """
    from asr.files import read_text, write_text
    from asr.phones.dictionary import lexicon_lines
    from asr.phones.lexicon import pronounce

    if (words is None) == (lm is None):
        raise UsageError("whose words? Give either --words FILE or --lm FILE")
    wanted = read_text(words).split() if words is not None else _vocabulary(lm)
    if not wanted:
        raise AsrError(f"{words or lm}: holds no words")
    found = pronounce(wanted, dictionary, g2p, stress, nbest)
    if not found.words:
        raise AsrError(
            f"{dictionary}: none of the {len(found.missing):,} words has a pronunciation; is it their language?"
        )
    write_text(out, lexicon_lines(found.words))
    total = len(found.words) + len(found.missing)
    print(
        f"{out}: {len(found.words):,} words, {sum(map(len, found.words.values())):,} pronunciations; by the "
        f"grapheme-to-phoneme model {len(found.guessed):,} words, {len(found.guessed) / total:.2%}"
    )
    if found.missing:
        for reason in found.missing.values():
            print(f"left out: {reason}", file=sys.stderr)
        raise AsrError(f"{len(found.missing):,} of {total:,} words have no pronunciation; the others are in {out}")


def _vocabulary(lm: Path | None) -> list[str]:
    from asr.lm.ngram import SPECIAL, load_lm

    if lm is None:
        return []
    model = load_lm(lm)
    if model.unit != "word":
        raise UsageError(f"{lm}: a model of tokens, which has no words to pronounce")
    return [word for word in model.vocabulary if word not in SPECIAL]
