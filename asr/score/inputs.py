"""What ``asr score`` reads: references and hypotheses in any of the formats, matched by id or line by line."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from asr.errors import AsrError, UsageError
from asr.files import read_any_text
from asr.score import formats, timed
from asr.score.formats import FORMATS, detect, tell_apart, unique, with_ids
from asr.score.hypotheses import Hypothesis, json_hypotheses
from asr.score.references import Reference, json_references
from asr.score.tables import Columns, read_table

_NAMED = 3  # ids that a sentence names
_PACKED = {".gz", ".bz2", ".xz", ".zst", ".zip"}
_WORDS = {"trn": formats.trn, "kaldi": formats.kaldi, "lines": formats.lines}


@dataclass(frozen=True)
class Pair:
    """References and what was recognised.

    Attributes:
        references: in the order of their file, each id once.
        hypotheses: by id; some may be missing, and some of utterances that are not among the references.
        ref_format, hyp_format: how the files were read, see `asr.score.formats.FORMATS`.
        notes: sentences for the user on how they were read.
        numbered: whether neither file has ids: utterances are numbered in their order.
        segments: of an STM file, those that are not to be scored among them.
    """

    references: list[Reference]
    hypotheses: dict[str, Hypothesis]
    ref_format: str
    hyp_format: str
    notes: list[str] = field(default_factory=list)
    numbered: bool = False
    segments: list[timed.Segment] | None = None


@dataclass(frozen=True)
class _File:
    path: Path
    text: str
    format: str | None
    notes: list[str]


@dataclass(frozen=True)
class _References:
    every: list[Reference]
    format: str
    numbered: bool = False
    segments: list[timed.Segment] | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Hypotheses:
    every: dict[str, Hypothesis]
    format: str
    numbered: bool = False
    notes: list[str] = field(default_factory=list)


def _open(path: Path, named: str | None, option: str) -> _File:
    if named is not None and named not in FORMATS:
        raise UsageError(f"--{option}: there is no format {named!r}; there are {', '.join(FORMATS)}")
    if path.suffix.lower() in _PACKED and path.is_file():
        raise AsrError(f"{path}: is compressed ({path.suffix}); unpack it first")
    text, note = read_any_text(path)
    return _File(path, text, named or detect(path, text), [] if note is None else [note])


def _table(file: _File, columns: Columns, hypotheses: bool) -> tuple[dict[str, Reference], bool, str]:
    rows = read_table(file.path, file.text, str(file.format), columns, hypotheses)
    ids, texts = rows.columns
    matched = "no column of ids, rows are numbered" if ids is None else f"ids from column {ids!r}"
    return rows.references, ids is None, f"{file.path}: texts from column {texts!r}, {matched}"


def _references(file: _File, columns: Columns) -> _References:
    path, text, name = file.path, file.text, str(file.format)
    if name == "jsonl":
        found = _References(list(unique(path, text, json_references).values()), name)
    elif name in ("csv", "tsv"):
        rows, numbered, note = _table(file, columns, hypotheses=False)
        found = _References(list(rows.values()), name, numbered, notes=[note])
    elif name == "stm":
        segments = timed.read_stm(path, text)
        scored = [one for one in segments if not one.ignored]
        spoken = [Reference(one.id, one.text, one.speaker, one.end - one.start) for one in scored]
        left_out = f"{path}: {len(segments) - len(scored)} of {len(segments)} segments are marked to be ignored"
        found = _References(spoken, name, False, segments, [left_out] if len(scored) < len(segments) else [])
    elif name == "ctm":
        words = timed.by_file(path, timed.read_ctm(path, text))
        found = _References([Reference(one, said.text) for one, said in words.items()], name)
    else:
        texts = unique(path, text, _WORDS[name])
        found = _References([Reference(one, said) for one, said in texts.items()], name, name == "lines")
    if not found.every:
        raise AsrError(f"{path}: holds no references (read as {name})")
    return found


def _hypotheses(file: _File, columns: Columns, segments: list[timed.Segment] | None) -> _Hypotheses:
    path, text, name = file.path, file.text, str(file.format)
    if name == "jsonl":
        found = _Hypotheses(unique(path, text, json_hypotheses), name)
    elif name in ("csv", "tsv"):
        rows, numbered, note = _table(file, columns, hypotheses=True)
        found = _Hypotheses({one: Hypothesis(row.text) for one, row in rows.items()}, name, numbered, [note])
    elif name == "stm":
        scored = [one for one in timed.read_stm(path, text) if not one.ignored]
        found = _Hypotheses({one.id: Hypothesis(one.text) for one in scored}, name)
    elif name == "ctm" and segments is not None:
        words, ignored = timed.by_segment(segments, timed.read_ctm(path, text))
        note = f"{path}: {ignored} words lie in segments that are marked to be ignored"
        found = _Hypotheses(words, name, False, [note] if ignored else [])
    elif name == "ctm":
        found = _Hypotheses(timed.by_file(path, timed.read_ctm(path, text)), name)
    else:
        texts = unique(path, text, _WORDS[name])
        found = _Hypotheses({one: Hypothesis(heard) for one, heard in texts.items()}, name, name == "lines")
    if not found.every:
        raise AsrError(f"{path}: holds no hypotheses (read as {name}); decode first")
    return found


def _decided(file: _File, known: Iterable[str], numbered: bool) -> _File:
    """With the format that the other side's ids decide, where the file alone did not tell."""
    if file.format is not None:
        return file
    kaldi = not numbered and with_ids(file.text, set(known))
    return replace(file, format="kaldi" if kaldi else "lines")


def _both_decided(ref: _File, hyp: _File) -> tuple[_File, _File, list[str]]:
    chosen, doubt = tell_apart(ref.text, hyp.text)
    if chosen is None:
        raise UsageError(
            f"{ref.path} and {hyp.path}: Kaldi's text or plain lines? {doubt}; say --ref-format and --hyp-format "
            "kaldi (a line begins with its id) or lines (words only)"
        )
    notes = [f"{ref.path} and {hyp.path}: {doubt}"] if doubt else []
    return replace(ref, format=chosen), replace(hyp, format=chosen), notes


def _check_sources(ref: _File, hyp: _File, columns: Columns) -> None:
    """One file may hold both sides, but not one text."""
    if not ref.path.samefile(hyp.path):
        return
    if hyp.format == "jsonl" and '"pred_text"' in hyp.text:
        return
    if ref.format == hyp.format and hyp.format in ("csv", "tsv"):
        said, heard = (read_table(one.path, one.text, str(one.format), columns, one is hyp) for one in (ref, hyp))
        if said.columns[1] != heard.columns[1]:
            return
    raise UsageError(f"{ref.path}: the references and the hypotheses are the same texts of the same file")


def _swapped(ref: _File, hyp: _File) -> list[str]:
    """A sentence where the hypotheses are a manifest without predictions, and the references are none."""
    first, other = (one.text.lstrip().partition("\n")[0] for one in (ref, hyp))
    manifest = '"audio_filepath"' in other and '"pred_text"' not in other and '"audio_filepath"' not in first
    if not (manifest and ref.format == hyp.format == "jsonl"):
        return []
    return [f"{hyp.path} is a manifest and {ref.path} is none; REF comes first, they may be the wrong way round"]


def _some(ids: Collection[str]) -> str:
    return ", ".join(map(repr, list(ids)[:_NAMED])) + (" …" if len(ids) > _NAMED else "")


def _check_match(ref: Path, said: _References, hyp: Path, heard: _Hypotheses) -> None:
    if said.numbered != heard.numbered:
        without, its, other = (ref, said.format, hyp) if said.numbered else (hyp, heard.format, ref)
        raise UsageError(
            f"{without} has no ids (it was read as {its}), {other} has: they cannot be matched; both must have ids or "
            "neither; --ref-format and --hyp-format say how to read them"
        )
    if said.numbered and len(said.every) != len(heard.every):
        raise AsrError(
            f"{hyp}: has {len(heard.every)} utterances, {ref} has {len(said.every)}; without ids they are matched line "
            "by line, and both need as many"
        )
    ids = [one.id for one in said.every]
    if heard.every.keys().isdisjoint(ids):
        raise AsrError(
            f"{hyp}: none of its ids ({_some(heard.every)}; read as {heard.format}) is among those of {ref} "
            f"({_some(ids)}; read as {said.format}); both sides need the same ids"
        )


def _with_speakers(references: list[Reference], utt2spk: Path) -> list[Reference]:
    text, _ = read_any_text(utt2spk)
    speakers: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.rsplit(None, 1)  # from the end: an id may hold white space, a speaker does not
        if not fields:
            continue
        if len(fields) < 2:
            raise AsrError(f"{utt2spk}:{number}: a line must hold an id and its speaker, this is {line.strip()!r}")
        if speakers.setdefault(fields[0].strip(), fields[1]) != fields[1]:
            raise AsrError(f"{utt2spk}:{number}: the id {fields[0].strip()!r} has another speaker before")
    missing = [one.id for one in references if one.speaker is None and one.id not in speakers]
    if missing:
        raise AsrError(
            f"{utt2spk}: names no speaker of {len(missing)} of {len(references)} utterances ({_some(missing)})"
        )
    return [one if one.speaker is not None else replace(one, speaker=speakers[one.id]) for one in references]


def read_pair(
    ref: Path,
    hyp: Path,
    ref_format: str | None = None,
    hyp_format: str | None = None,
    columns: Columns = Columns(),  # noqa: B008 (frozen)
    utt2spk: Path | None = None,
) -> Pair:
    """Reads references and hypotheses.

    Nothing is dropped: references without a hypothesis and hypotheses without a reference are left to the scoring.

    Args:
        ref: what was said.
        hyp: what was recognised; it may be the same table or manifest, if another column or field holds it.
        ref_format, hyp_format: a name of `asr.score.formats.FORMATS`; None: chosen by content.
        columns: of tables, where they have no usual names.
        utt2spk: Kaldi's file of ids and their speakers, for references that name none.

    Raises:
        UsageError: no such format or column, a format that cannot be told by content, or one text on both sides.
        AsrError: a file is missing, empty or malformed, an id occurs twice, the sides have no id in common or, without
            ids, not as many utterances; ``utt2spk`` lacks an id.
    """
    said_in, heard_in = _open(ref, ref_format, "ref-format"), _open(hyp, hyp_format, "hyp-format")
    notes: list[str] = []
    if said_in.format is None and heard_in.format is None:
        said_in, heard_in, notes = _both_decided(said_in, heard_in)
    if said_in.format is None:
        heard = _hypotheses(heard_in, columns, None)
        said_in = _decided(said_in, heard.every, heard.numbered)
        said = _references(said_in, columns)
    else:
        said = _references(said_in, columns)
        heard_in = _decided(heard_in, (one.id for one in said.every), said.numbered)
        heard = _hypotheses(heard_in, columns, said.segments)
    _check_sources(said_in, heard_in, columns)
    _check_match(ref, said, hyp, heard)
    references = said.every if utt2spk is None else _with_speakers(said.every, utt2spk)
    notes = [*said_in.notes, *heard_in.notes, *notes, *_swapped(said_in, heard_in), *said.notes, *heard.notes]
    return Pair(references, heard.every, said.format, heard.format, notes, said.numbered, said.segments)


def read_other(pair: Pair, ref: Path, hyp: Path, hyp_format: str | None = None, columns: Columns = Columns()) -> Pair:  # noqa: B008
    """Another system's hypotheses against the same references.

    Args:
        pair: as `read_pair` gave it.
        ref: the file of the references, for sentences.
        hyp: what the other system recognised.
        hyp_format: its format; None: chosen by content.
        columns: of a table.

    Returns:
        The pair with the other's hypotheses, and notes on them only.

    Raises:
        UsageError, AsrError: as `read_pair`.
    """
    said = _References(pair.references, pair.ref_format, pair.numbered, pair.segments)
    file = _decided(_open(hyp, hyp_format, "hyp-format"), (one.id for one in said.every), said.numbered)
    heard = _hypotheses(file, columns, said.segments)
    _check_sources(replace(file, path=ref, format=pair.ref_format), file, columns)
    _check_match(ref, said, hyp, heard)
    return replace(pair, hypotheses=heard.every, hyp_format=heard.format, notes=[*file.notes, *heard.notes])
