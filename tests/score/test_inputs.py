from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError, UsageError
from asr.score.formats import FORMATS
from asr.score.hypotheses import Hypothesis
from asr.score.inputs import Columns, Pair, read_other, read_pair
from asr.score.references import Reference

_SAID = {"spk1-utt1": "straße naïve one", "spk1-utt2": "two  three", "spk2-utt1": "", "spk2/utt2": "cinq été"}
_HEARD = {"spk2/utt2": "cinq", "spk1-utt1": "strasse naïve one", "spk1-utt2": "two été three", "spk2-utt1": ""}
_WITH_IDS = ("jsonl", "trn", "kaldi", "csv", "tsv")


def _table(texts: dict[str, str], parted: str) -> str:
    file = io.StringIO()
    plain = {"quoting": csv.QUOTE_NONE} if parted == "\t" else {}
    writer = csv.writer(file, delimiter=parted, lineterminator="\n", quotechar=None if plain else '"', **plain)
    writer.writerows([("id", "text"), *texts.items()])
    return file.getvalue()


def _written(texts: dict[str, str], name: str) -> str:
    """Texts in a format."""
    if name == "jsonl":
        return "".join(json.dumps({"id": one, "text": text}, ensure_ascii=False) + "\n" for one, text in texts.items())
    if name == "trn":
        return "".join(f"{text} ({one})\n" for one, text in texts.items())
    if name == "kaldi":
        return "".join(f"{one} {text}\n" for one, text in texts.items())
    if name == "lines":
        return "".join(f"{text}\n" for text in texts.values())
    if name == "stm":
        return "".join(f"{one} 1 ann 0.00 9.00 <o> {text}\n" for one, text in texts.items())
    if name == "ctm":
        return "".join(
            f"{one} 1 {place}.25 0.50 {word} 0.75\n"
            for one, text in texts.items()
            for place, word in enumerate(text.split())
        )
    return _table(texts, "," if name == "csv" else "\t")


def _words(texts: dict[str, str]) -> dict[str, list[str]]:
    return {one: text.split() for one, text in texts.items()}


def _found(pair: Pair) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    said = {one.id: one.text for one in pair.references}
    return _words(said), _words({one: heard.text for one, heard in pair.hypotheses.items()})


def _read(folder: Path, ref: str | bytes, hyp: str | bytes, **arguments: str) -> Pair:
    for name, content in (("ref.txt", ref), ("hyp.txt", hyp)):
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_pair(folder / "ref.txt", folder / "hyp.txt", **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("ref", "hyp"), list(itertools.product(_WITH_IDS, _WITH_IDS)))
def test_the_same_words_in_every_pair_of_formats(tmp_path: Path, ref: str, hyp: str) -> None:
    pair = _read(tmp_path, _written(_SAID, ref), _written(_HEARD, hyp))
    assert (pair.ref_format, pair.hyp_format) == (ref, hyp)
    assert _found(pair) == (_words(_SAID), _words(_HEARD))
    assert not pair.numbered and not any("line by line" in note for note in pair.notes)


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_in_every_encoding(tmp_path: Path, name: str, codec: str) -> None:
    said, heard = _SAID, {one: _HEARD[one] for one in _SAID}
    if name == "ctm":
        said, heard = ({one: text for one, text in texts.items() if text} for texts in (said, heard))
    pair = _read(
        tmp_path, _written(said, name).encode(codec), _written(heard, name).replace("\n", "\r\n").encode(codec)
    )
    assert (pair.ref_format, pair.hyp_format) == (name, name)
    found = _found(pair)
    assert [list(texts.values()) for texts in found] == [list(_words(texts).values()) for texts in (said, heard)]
    if name not in ("lines", "stm"):
        assert found == (_words(said), _words(heard))
    guessed = [note for note in pair.notes if "is not UTF-8" in note]
    assert len(guessed) == (2 if codec in ("latin-1", "cp1252") else 0)


def test_ctm_goes_to_the_segments_of_an_stm_file(tmp_path: Path) -> None:
    stm = "f 1 ann 0.5 2.5 <o> one two\nf 1 gap 2.5 4 IGNORE_TIME_SEGMENT_IN_SCORING\nf 1 bob 4 5 three\n"
    ctm = "f 1 0.50 0.40 one 0.9\nf 1 1.50 0.40 too 0.5\nf 1 3.00 0.40 noise 0.1\nf 1 4.00 0.50 three 1\n"
    pair = _read(tmp_path, stm, ctm)
    assert pair.references == [
        Reference("f_1_0.50-2.50", "one two", "ann", 2.0),
        Reference("f_1_4.00-5.00", "three", "bob", 1.0),
    ]
    assert pair.hypotheses == {
        "f_1_0.50-2.50": Hypothesis("one too", None, (0.9, 0.5), ((0.5, 0.9), (1.5, 1.9))),
        "f_1_4.00-5.00": Hypothesis("three", None, (1.0,), ((4.0, 4.5),)),
    }
    assert pair.notes == [
        f"{tmp_path / 'ref.txt'}: 1 of 3 segments are marked to be ignored",
        f"{tmp_path / 'hyp.txt'}: 1 words lie in segments that are marked to be ignored",
    ]
    other = tmp_path / "other.ctm"
    other.write_text("f 1 0.50 0.40 none\n")
    assert read_other(pair, tmp_path / "ref.txt", other).hypotheses["f_1_0.50-2.50"].text == "none"


def test_ctm_against_other_formats_is_by_utterance(tmp_path: Path) -> None:
    pair = _read(tmp_path, "u-1 one two\nu-2 three\n", "u-1 1 0.00 0.50 one\nu-1 1 0.50 0.50 too\n")
    assert (pair.ref_format, pair.hyp_format) == ("kaldi", "ctm")
    assert pair.hypotheses == {"u-1": Hypothesis("one too", times=((0.0, 0.5), (0.5, 1.0)))}


def test_a_manifest_with_audio_and_one_without(tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [
        {"audio_filepath": "wavs/a b.wav", "duration": 1.5, "offset": 2, "text": "one", "speaker": 7, "lang": "en"},
        {"id": "spk one/utt", "text": None, "duration": 2},
    ]
    pair = _read(
        tmp_path,
        "".join(json.dumps(line) + "\n" for line in lines),
        '{"audio_filepath": "wavs/a b.wav", "duration": 1.5, "offset": 2, "text": "one", "pred_text": "won"}\n',
    )
    first, second = pair.references
    assert (first.id, first.speaker, first.duration) == ("wavs-a_b@2.00", "7", 1.5)
    assert first.utterance and first.utterance.audio == tmp_path / "wavs" / "a b.wav" and first.utterance.offset == 2
    assert second == Reference("spk one/utt", "", None, 2.0)
    assert pair.hypotheses == {"wavs-a_b@2.00": Hypothesis("won")}


def test_one_file_may_hold_both_sides(tmp_path: Path) -> None:
    table = tmp_path / "results.csv"
    table.write_text("reference,prediction\none two,one too\nthree,three\n")
    pair = read_pair(table, table)
    assert _found(pair) == ({"1": ["one", "two"], "2": ["three"]}, {"1": ["one", "too"], "2": ["three"]})
    assert pair.numbered and pair.notes == [
        f"{table}: texts from column 'reference', no column of ids, rows are numbered",
        f"{table}: texts from column 'prediction', no column of ids, rows are numbered",
    ]
    manifest = tmp_path / "predicted.jsonl"
    manifest.write_text('{"audio_filepath": "a.wav", "duration": 1, "text": "one", "pred_text": "won"}\n')
    assert read_pair(manifest, manifest).hypotheses == {"a": Hypothesis("won")}
    assert read_other(read_pair(manifest, manifest), manifest, manifest).hypotheses == {"a": Hypothesis("won")}


@pytest.mark.parametrize("name", ["jsonl", "trn", "kaldi", "csv", "lines"])
def test_one_text_on_both_sides_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "ref.txt"
    path.write_text(_written(_SAID, name), encoding="utf-8")
    with pytest.raises(UsageError, match="the same texts of the same file"):
        read_pair(path, path)
    (tmp_path / "hyp.txt").write_text(_written(_SAID, name), encoding="utf-8")  # a copy is somebody's perfect system
    pair = read_pair(path, tmp_path / "hyp.txt")
    with pytest.raises(UsageError, match="the same texts of the same file"):
        read_other(pair, path, path)


def test_formats_by_name_overrule_content(tmp_path: Path) -> None:
    pair = _read(tmp_path, "1 2 3\n4 5\n", "1 2 3\n4 6\n", ref_format="lines", hyp_format="lines")
    assert _found(pair)[1] == {"1": ["1", "2", "3"], "2": ["4", "6"]}
    pair = _read(tmp_path, "1 2 3\n4 5\n", "1 2 3\n4 6\n", ref_format="kaldi")  # the other side follows
    assert _found(pair)[1] == {"1": ["2", "3"], "4": ["6"]}
    pair = _read(tmp_path, "1 2 3\n4 5\n", "1 2 3\n4 6\n", hyp_format="lines")
    assert (pair.ref_format, _found(pair)[0]) == ("lines", {"1": ["1", "2", "3"], "2": ["4", "5"]})
    with pytest.raises(UsageError, match="--ref-format: there is no format 'xml'; there are jsonl, trn"):
        _read(tmp_path, "one\n", "one\n", ref_format="xml")


def test_speakers_of_utt2spk(tmp_path: Path) -> None:
    speakers = tmp_path / "utt2spk"
    (tmp_path / "hyp.trn").write_text("one (utt 1)\n")
    (tmp_path / "ref.trn").write_text("one (utt 1)\ntwo (utt2)\n")
    speakers.write_text("utt 1 ann\nutt2 bob\nutt3 carl\n")
    pair = read_pair(tmp_path / "ref.trn", tmp_path / "hyp.trn", utt2spk=speakers)
    assert [one.speaker for one in pair.references] == ["ann", "bob"]
    (tmp_path / "ref.csv").write_text("id,text,speaker\nutt 1,one,dora\nutt4,two,emil\n")
    pair = read_pair(tmp_path / "ref.csv", tmp_path / "hyp.trn", utt2spk=speakers)
    assert [one.speaker for one in pair.references] == ["dora", "emil"]
    for content, sentence in (
        ("utt 1 ann\n", "names no speaker of 1 of 2 utterances ('utt2')"),
        ("utt 1 ann\nutt2\n", "utt2spk:2: a line must hold an id and its speaker, this is 'utt2'"),
        ("utt2 ann\nutt2 bob\n", "utt2spk:2: the id 'utt2' has another speaker before"),
    ):
        speakers.write_text(content)
        with pytest.raises(AsrError) as told:
            read_pair(tmp_path / "ref.trn", tmp_path / "hyp.trn", utt2spk=speakers)
        assert sentence in str(told.value)


@pytest.mark.parametrize(
    ("ref", "hyp", "error", "sentence"),
    [
        ("u-1 one\n", "", AsrError, "hyp.txt: the file is empty (0 bytes)"),
        ("u-1 one\n", "\n\n", UsageError, "hyp.txt: Kaldi's text or plain lines?"),
        (
            "f 1 gap 0.0 1.5 IGNORE_TIME_SEGMENT_IN_SCORING\n",
            "f 1 0.1 0.2 one\n",
            AsrError,
            "ref.txt: holds no references (read as stm)",
        ),
        ("id,text\n", "id,text\n1,one\n", AsrError, "ref.txt: holds no references (read as csv)"),
        ("id,text\n1,one\n", "id,text\n", AsrError, "hyp.txt: holds no hypotheses (read as csv)"),
        ("u-1 one\nu-2 two\n", "one (a)\n", AsrError, "none of its ids ('a'; read as trn) is among those of"),
        ("one (spk/u1)\n", "u1 one\n", AsrError, "('u1'; read as kaldi) is among those of"),
        ("one (spk/u1)\n", "the one\nand the other\n", UsageError, "has no ids (it was read as lines)"),
        ("text\none\n", "one (a)\n", UsageError, "has no ids (it was read as lines)"),
        ("the one\nand the other\n", "the one\n", AsrError, "has 1 utterances,"),
        ("the u-1 one\nand u-2 two\n", "u-1 one\nu-2 two\n", UsageError, "say --ref-format and --hyp-format"),
        ("u-1 one\nu-2 two\nu-1 one\n", "u-1 one\nu-2 two\n", AsrError, "ref.txt:3: the id 'u-1' stands on line 1"),
        (
            '{"id": "a", "text": "one"}\n{"id": "a", "text": "b"}\n',
            "a one\n",
            AsrError,
            "ref.txt:2: the id 'a' stands on",
        ),
        ('{"id": "a"}\n', "a one\n", AsrError, "ref.txt:1: the field 'text' is missing; there are ['id']"),
        ('{"id": "a", "text": "one"}\n[', "a one\n", AsrError, "ref.txt:2: not a JSON object"),
        ('{"id": "a", "text": 1}\n', "a one\n", AsrError, "ref.txt:1: 'text' must be a string, this is 1"),
        ('{"id": "a", "text": "\\ud800"}\n', "a one\n", AsrError, "ref.txt:1: 'text' holds half a surrogate pair"),
        ('{"id": true, "text": ""}\n', "a one\n", AsrError, "ref.txt:1: 'id' must be a string, this is True"),
        ('{"audio_filepath": "/", "text": ""}\n', "a one\n", AsrError, "ref.txt:1: the field 'id' is missing"),
        ('{"audio_filepath": "a.wav", "offset": "x", "text": ""}\n', "a b\n", AsrError, "'offset' must be a number"),
    ],
)
def test_wrong_inputs_get_a_sentence(tmp_path: Path, ref: str, hyp: str, error: type[AsrError], sentence: str) -> None:
    with pytest.raises(error) as told:
        _read(tmp_path, ref, hyp)
    assert sentence in str(told.value)
    assert told.value.exit_status == error.exit_status


def test_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.trn").write_text("one (a)\n")
    for ref, hyp in ((tmp_path, tmp_path / "a.trn"), (tmp_path / "a.trn", tmp_path / "none.trn")):
        with pytest.raises(AsrError, match="could not be read"):
            read_pair(ref, hyp)


def test_a_compressed_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.trn").write_text("one (a)\n")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"id": "a", "text": "one"}\n'))
    with pytest.raises(AsrError, match=r"a\.jsonl\.gz: is compressed \(\.gz\); unpack it first"):
        read_pair(tmp_path / "a.jsonl.gz", tmp_path / "a.trn")


def test_a_manifest_in_place_of_the_hypotheses_is_noticed(tmp_path: Path) -> None:
    manifest = '{"audio_filepath": "a.wav", "duration": 1.0, "id": "a", "text": "one"}\n'
    heard = '{"id": "a", "text": "one"}\n'
    assert "they may be the wrong way round" in " ".join(_read(tmp_path, heard, manifest).notes)
    for ref, hyp in (
        (manifest, heard),
        (manifest, manifest),
        (heard, heard),
        (heard, manifest.replace("}", ', "pred_text": "one"}')),
    ):
        assert not _read(tmp_path, ref, hyp).notes


def test_ids_with_line_breaks_are_refused_in_every_format_that_can_hold_them(tmp_path: Path) -> None:
    for text in ('{"id": "a\\nb", "text": "one"}\n', 'id,text\n"a\nb",one\n'):
        with pytest.raises(AsrError, match=r"ref\.txt:[12]: the id 'a\\nb' holds a line break"):
            _read(tmp_path, text, "one (a)\n")
    for text in ("rec\x1b A ann 0.5 1.5 one\n", "rec\x1b A 0.5 0.5 one\n"):
        with pytest.raises(AsrError, match=r"ref\.txt:1: the id 'rec\\x1b"):
            _read(tmp_path, text, "one (a)\n")


def test_missing_and_extra_hypotheses_are_left_to_the_scoring(tmp_path: Path) -> None:
    pair = _read(tmp_path, _written(_SAID, "kaldi"), "spk1-utt1 one\nspk9-utt9 nine\n")
    assert [one.id for one in pair.references] == list(_SAID)
    assert list(pair.hypotheses) == ["spk1-utt1", "spk9-utt9"]


def test_another_system_must_fit_the_same_references(tmp_path: Path) -> None:
    pair = _read(tmp_path, "the one\nand two\n", "the one\nand two\n")
    other = tmp_path / "other.txt"
    other.write_text("the won\nand too\n")
    found = read_other(pair, tmp_path / "ref.txt", other)
    assert (_found(found)[1], found.notes) == ({"1": ["the", "won"], "2": ["and", "too"]}, [])
    other.write_text("the won\n")
    with pytest.raises(AsrError, match="has 1 utterances"):
        read_other(pair, tmp_path / "ref.txt", other)
    other.write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(UsageError, match=r"name the column with --hyp-column"):
        read_other(pair, tmp_path / "ref.txt", other, "csv")
    assert read_other(pair, tmp_path / "ref.txt", other, "csv", Columns(hypothesis="b", id=None)).numbered


def test_a_line_of_ten_megabytes(tmp_path: Path) -> None:
    words = "word " * 2_000_000
    for name in ("trn", "kaldi", "jsonl"):
        pair = _read(tmp_path, _written({"u-1": words}, name), _written({"u-1": words}, name))
        assert (pair.ref_format, len(pair.references[0].text.strip())) == (name, len(words.strip()))


_WORD = st.text(st.characters(categories=["L", "N", "M"]), min_size=1, max_size=5)
_TEXTS = st.lists(_WORD, max_size=4).map(" ".join)
_NAME = st.text("abcXYZ0123456789_-/.", min_size=1, max_size=6)
_SPACED = st.lists(_NAME, min_size=1, max_size=3).map(" ".join)


@given(st.dictionaries(_SPACED, _TEXTS, min_size=1), st.sampled_from(["jsonl", "trn", "csv", "tsv"]))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str], name: str) -> None:
    folder = tmp_path_factory.mktemp("trip")
    pair = _read(folder, _written(texts, name), _written(dict(reversed(texts.items())), name))
    assert (pair.ref_format, _found(pair)) == (name, (_words(texts), _words(texts)))


@given(st.dictionaries(_NAME.map("u1-".__add__), _TEXTS, min_size=10), st.sampled_from(["kaldi", "lines"]))
def test_what_is_written_without_punctuation_is_read(
    tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str], name: str
) -> None:
    folder, written = tmp_path_factory.mktemp("trip"), _written(texts, name)
    pair = _read(folder, written, written, ref_format=name)
    assert (pair.hyp_format, [one.text.split() for one in pair.references]) == (
        name,
        [text.split() for text in texts.values()],
    )
    if any(texts.values()) and name == "kaldi":
        assert _read(folder, written, written).ref_format == "kaldi"
