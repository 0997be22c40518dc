from __future__ import annotations

from pathlib import Path

import pytest

from asr.errors import AsrError, UsageError
from asr.score.tables import Columns, read_table

_PATH = Path("some")


def _table(text: str, name: str = "csv", hypotheses: bool = False, columns: Columns | None = None) -> dict[str, str]:
    rows = read_table(_PATH, text, name, columns or Columns(), hypotheses)
    return {one: row.text for one, row in rows.references.items()}


def test_columns_by_usual_names() -> None:
    both = 'ID,Speaker,duration,Reference,Prediction\nspk one/1,ann,1.5,"one, ""two""\nthree",one two\n2,,,four,five\n'
    rows = read_table(_PATH, both, "csv", Columns(), False).references
    assert [(one.id, one.text, one.speaker, one.duration) for one in rows.values()] == [
        ("spk one/1", 'one, "two"\nthree', "ann", 1.5),
        ("2", "four", None, None),
    ]
    assert _table(both, hypotheses=True) == {"spk one/1": "one two", "2": "five"}


def test_columns_by_name_semicolons_and_quotes_of_tsv() -> None:
    named = Columns(id="Datei", reference="gesagt", hypothesis="erkannt")
    text = "Datei;gesagt;erkannt\na;eins, zwei;eins\n"
    assert _table(text, columns=named) == {"a": "eins, zwei"}
    assert _table(text, columns=named, hypotheses=True) == {"a": "eins"}
    assert _table('path\tsentence\nclips/a.mp3\tsay "one\n', "tsv") == {"clips-a": 'say "one'}


def test_paths_of_windows_meet_those_of_others() -> None:
    text = "path,text\nclips\\a.mp3,one\nclips\\b c.mp3,two\n"
    assert _table(text) == _table(text.replace("\\", "/")) == {"clips-a": "one", "clips-b_c": "two"}


def test_rows_without_ids_are_numbered() -> None:
    assert _table("reference,hypothesis\none,two\n\nthree,\n") == {"1": "one", "2": "three"}
    assert _table("text\none\n\ntwo\n") == {"1": "one", "2": "", "3": "two"}
    assert read_table(_PATH, "text\none\n", "csv", Columns(), False).columns == (None, "text")


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("a,b\n1,2\n", UsageError, "some:1: no column has a usual name"),
        ("id,text\n1,one\n2\n", AsrError, "some:3: has 1 columns, the header has 2"),
        ("id,text\n1,one\n\n1,two\n", AsrError, "some:4: the id '1' stands on line 2 already"),
        ("id,text\n,one\n", AsrError, "some:2: the id is empty (column 'id')"),
        ("path,text\n,one\n", AsrError, "some:2: the id is empty (column 'path')"),
        ("id,text,duration\n1,one,long\n", AsrError, "some:2: the duration must be a number"),
        ("id,text,duration\n1,one,nan\n", AsrError, "some:2: the duration must be a number"),
        ("id,text\n1,one\rtwo\n", AsrError, "some:2: not a row that can be read"),
        ('id,text\n1,one\n2,"two\n3,three\n', AsrError, "some:3: not a row that can be read (unexpected end of data)"),
        ('id,text\n1,"one "two" three"\n', AsrError, "some:2: not a row that can be read"),
    ],
)
def test_a_bad_table_is_told(text: str, error: type[AsrError], sentence: str) -> None:
    with pytest.raises(error) as told:
        _table(text)
    assert sentence in str(told.value)


def test_a_column_that_is_not_there_is_told() -> None:
    with pytest.raises(UsageError, match=r"no column 'said' \(--ref-column\); there are id, text"):
        _table("id,text\n1,one\n", columns=Columns(reference="said"))


def test_a_cell_may_be_huge() -> None:
    words = "word " * 400_000
    assert _table(f"id,text\n1,{words}\n") == {"1": words.strip()}
