"""Text formats of references and hypotheses: reading them, and telling by its content which one a file has."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from asr.columns import TEXT_COLUMNS
from asr.errors import AsrError
from asr.score.controls import check_id

FORMATS = {
    "jsonl": "JSON lines: a manifest or what asr decode writes (id, text, …; NeMo's pred_text)",
    "trn": "sclite's transcripts: words (id)",
    "kaldi": "Kaldi's text: id words",
    "csv": "a table with a header, parted by commas or semicolons",
    "tsv": "a table with a header, parted by tabs",
    "lines": "words only, line by line in the same order on both sides",
    "stm": "NIST's segment time marks: file channel speaker start end <labels> words",
    "ctm": "NIST's word time marks: file channel start duration word confidence",
}
_SAMPLE = 1000  # lines that a format is judged by
_MARKUP = re.compile(r"(?:^|\s)(\{|\([^()]*\)(?=\s|$)|@(?=\s|$)|<ALT)")
REFERENCE_HEADINGS = (
    "reference",
    "ref",
    "reference_text",
    "ref_text",
    "ground_truth",
    *TEXT_COLUMNS,
    "target",
    "label",
)
HYPOTHESIS_HEADINGS = (
    *("hypothesis", "hyp", "prediction", "predicted", "pred", "pred_text", "hypothesis_text", "hyp_text"),
    *("recognised", "recognized", "output", *TEXT_COLUMNS),
)

Entry = TypeVar("Entry")


def unique(path: Path, text: str, entries: Callable[[Path, str], Iterator[tuple[int, str, Entry]]]) -> dict[str, Entry]:
    """What ``entries`` makes of a file's text, by id, in its order.

    Args:
        path: the file, for the sentence.
        text: what it holds.
        entries: yields line number, id and what is known of it.

    Raises:
        AsrError: an id occurs twice (the sentence names both lines) or holds a control character; what ``entries``
            raises.
    """
    found: dict[str, Entry] = {}
    for number, name, entry in entries(path, text):
        if name in found:
            first = next(line for line, other, _ in entries(path, text) if other == name)
            raise AsrError(f"{path}:{number}: the id {name!r} stands on line {first} already")
        check_id(name, f"{path}:{number}")
        found[name] = entry
    return found


def check_markup(text: str, where: str) -> None:
    """Refuses what NIST's tools do not read as plain words: ``{ a / b }``, ``(optional)`` words and ``@`` for no word.

    Raises:
        AsrError: there is such a thing in the text.
    """
    if "(" in text or "{" in text or "@" in text or "<" in text:
        found = _MARKUP.search(text)
        if found:
            raise AsrError(
                f"{where}: {found.group(1)!r} is NIST's markup of alternative, optional or empty words, which would be "
                "miscounted as plain words; write out what is meant, or use a format without markup (csv, jsonl, kaldi)"
            )


def trn(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, id and words of sclite's transcripts: the id in parentheses ends the line; ``;;`` is a comment.

    Raises:
        AsrError: a line without its id, or with NIST's markup.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if not line or line.startswith(";;"):
            continue
        opening = line.rfind("(")
        name = line[opening + 1 : -1].strip()
        if opening < 0 or line[-1] != ")" or not name or ")" in name:
            seen = line if len(line) < 60 else f"… {line[-50:]}"
            raise AsrError(f"{path}:{number}: a line of a trn file ends in its id in parentheses, this is {seen!r}")
        words = line[:opening].rstrip()
        check_markup(words, f"{path}:{number}")
        yield number, name, words


def kaldi(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, id and words of Kaldi's ``text``: the first field of a line is its id, which may stand alone."""
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split(None, 1)
        if fields:
            yield number, fields[0], fields[1].rstrip() if len(fields) == 2 else ""


def lines(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, the same as an id, and words; a blank line is an empty utterance, a last line end is not."""
    every = text.split("\n")
    if not every[-1]:
        every.pop()
    for number, line in enumerate(every, start=1):
        yield number, str(number), line.strip()


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), (dict, list))
    except (ValueError, RecursionError):
        return re.match(r'\s*(\{\s*"|\[\s*\{)', line) is not None


def _is_trn(line: str) -> bool:
    line = line.rstrip()
    return line.endswith(")") and "(" in line


def _is_time(field: str) -> bool:
    try:
        return 0 <= float(field) < float("inf")
    except ValueError:
        return False


def _is_stm(fields: list[str]) -> bool:
    return len(fields) >= 5 and _is_time(fields[3]) and _is_time(fields[4]) and float(fields[3]) <= float(fields[4])


def _is_ctm(fields: list[str]) -> bool:
    return 5 <= len(fields) <= 8 and _is_time(fields[2]) and _is_time(fields[3])


def _most(truths: list[bool]) -> bool:
    return 2 * sum(truths) > len(truths)


def heading(cell: str) -> str:
    """The name of a column as it is compared with usual ones."""
    return "_".join(cell.replace("-", " ").lower().split())


def delimiter(header: str, name: str) -> str:
    """What parts the columns of a table (``csv`` or ``tsv``) whose first line that is."""
    return "\t" if name == "tsv" else ";" if header.count(";") > header.count(",") else ","


def detect(path: Path, text: str) -> str | None:
    """The format of a file by its content, or None: Kaldi's ``text`` or plain lines, which one file does not tell.

    The name of the file decides only where the content could be one thing or another: digits that could be times, a
    first line that could be the names of columns.
    """
    # Most lines decide, not all of them, so that a malformed one is told as such when the file is read.
    sample = [line for line in text.split("\n", _SAMPLE)[:_SAMPLE] if line and not line.isspace()]
    suffix = path.suffix.lower().removeprefix(".")
    if not sample:
        return None
    first = sample[0]
    # A list in JSON is none of the formats, but will be told as what it is.
    if first.lstrip().startswith(("{", "[")) and (suffix in ("jsonl", "json") or _is_json(first)):
        return "jsonl"
    for name in ("csv", "tsv"):
        parts = first[:10_000].split(delimiter(first, name))
        known = {heading(part.strip().strip('"')) for part in parts} & {*REFERENCE_HEADINGS, *HYPOTHESIS_HEADINGS}
        if (len(parts) > 1) + bool(known) + (suffix == name) >= 2:
            return name
    data = [line for line in sample if not line.startswith(";;")]
    if not data:
        return suffix if suffix in ("trn", "stm", "ctm") else None
    if _most([_is_trn(line) for line in data]):
        return "trn"
    # Of a long line no more is needed than its first fields; a ninth says that it is no word time mark. Where words are
    # digits, or speakers numbers, the decimal point tells times from them.
    fields = [line.split(None, 8) for line in data]
    for name, fits, times in (("ctm", _is_ctm, slice(2, 3)), ("stm", _is_stm, slice(3, 5))):
        fitting = [one for one in fields if fits(one)]
        decimal = any("." in time for one in fitting for time in one[times])
        if 2 * len(fitting) > len(fields) and (decimal or suffix == name or len(data) < len(sample)):
            return name
    return suffix if suffix in ("stm", "ctm") else None  # malformed; reading it tells how


def _firsts(text: str, most: int = -1) -> list[str]:
    """The first fields of a text's lines; of the first lines only where ``most`` says how many."""
    every = text.split("\n", most)
    return [line.split(None, 1)[0] for line in (every if most < 0 else every[:most]) if line and not line.isspace()]


def _like_ids(firsts: list[str]) -> bool:
    """Whether nearly all of them hold a digit, ``_``, ``/``, ``.`` or ``-``, as few words do, and most occur once."""
    if not firsts:
        return False
    alike = [re.search(r"[\d_/.-]", first) is not None for first in firsts[:_SAMPLE]]
    return 10 * sum(alike) >= 9 * len(alike) and 2 * len(set(firsts)) > len(firsts)


def _surely_ids(firsts: list[str]) -> bool:
    """The same of what hardly a word looks like: ``spk_utt``, ``utt-1``, ``19-198-01``; not ``3rd``, ``well-known``."""
    alike = [re.search(r"[_/]|[^\W\d][.-]?\d|\d[.-].*[.-]\d", first) is not None for first in firsts[:_SAMPLE]]
    return _like_ids(firsts) and 10 * sum(alike) >= 9 * len(alike)


def _numeric(words: list[str]) -> bool:
    """Whether most of them are digits, perhaps with a decimal point or the like."""
    return _most([re.search(r"[^\W\d]", word) is None for word in words])


def with_ids(text: str, known: set[str]) -> bool:
    """Whether the lines of a file (Kaldi's ``text``, or plain) begin with ids, given those of the other side."""
    firsts = _firsts(text)
    shared = len(known.intersection(firsts))
    return 2 * shared > min(len(set(firsts)), len(known)) or _like_ids(firsts)


def tell_apart(reference: str, hypothesis: str) -> tuple[str, str] | tuple[None, str]:
    """Whether the lines of two files begin with ids (``kaldi``) or hold words only (``lines``).

    Ids are first fields that look like ids, most of them once, and that the files share.

    Returns:
        ``kaldi`` or ``lines`` and a sentence on any doubt, empty if there is none; or None and what speaks against
        either, where it would be a guess.
    """
    ours, theirs = _firsts(reference, _SAMPLE), _firsts(hypothesis, _SAMPLE)
    if _surely_ids(ours) and _surely_ids(theirs) and len(set(ours).intersection(theirs)) > 9:
        return "kaldi", ""  # which spares reading the first fields of a million lines
    ours, theirs = _firsts(reference), _firsts(hypothesis)
    said, heard = set(ours), set(theirs)
    sides = (_like_ids(ours), _like_ids(theirs))
    example = f"({ours[0]!r}, {theirs[0]!r})" if ours and theirs else ""
    if all(sides) and all(len(line.split(None, 1)) < 2 for line in reference.split("\n")):
        return "lines", ""  # one word a line
    if all(sides):
        if not said & heard:
            return None, f"the first fields look like ids {example}, but not one is on both sides"
        rest = [word for line in reference.split("\n", _SAMPLE)[:_SAMPLE] for word in line.split()[1:]]
        if _numeric(ours[:_SAMPLE]) and _numeric(rest):
            return None, f"digits begin the lines {example}, which may be ids or words"
        if len(ours) < 10 and not _surely_ids(ours):
            return None, f"{len(ours)} lines are too few to tell whether they begin with ids or words {example}"
        return "kaldi", ""
    if any(sides):
        side, other = ("reference", "hypotheses") if sides[0] else ("hypotheses", "reference")
        return None, f"the lines of the {side} seem to begin with ids, those of the {other} do not {example}"
    if said == heard and len(said) == len(ours) == len(theirs) and said != set(reference.split()):
        if ours != theirs or len(ours) > 20:
            return None, f"the lines begin with words {example}, each of them once and the same on both sides"
        return "lines", "every line begins with the same word on both sides; if those are ids, the format is kaldi"
    return "lines", ""
