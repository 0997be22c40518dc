from __future__ import annotations

import gzip
import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.lm.arpa import read_arpa, write_arpa
from asr.lm.arpa_kernels import LN10, number, put_number
from asr.lm.ngram import NgramModel, load_lm
from tests.corpora import corpus_folder
from tests.lm.arpas import Reference, normalised, sentences

WORDS = ["a", "b", "c", "ü", "日本", "#", "it's", "\\data\\", "-1.5"]


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _agree(model: NgramModel, reference: Reference, seed: int = 5, number: int = 200) -> None:
    for words in sentences(seed, reference.words, number):
        given = [word for word in words if word not in ("<s>", "</s>")]
        assert model.score(given) == pytest.approx(reference.score(given), abs=1e-3)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_scores_are_those_of_backing_off_by_definition(tmp_path: Path, order: int) -> None:
    reference = normalised(order, order, WORDS)
    model = read_arpa(_written(tmp_path / "lm.arpa", reference.text()))
    assert (model.order, sorted(model.vocabulary)) == (order, sorted(reference.words))
    _agree(model, reference)


@pytest.mark.parametrize("seed", range(8))
def test_missing_prefixes_and_suffixes_change_no_probability(tmp_path: Path, seed: int) -> None:
    """As other programs' pruned models have it; lines in any order."""
    reference = normalised(seed, 4, WORDS)
    chance = random.Random(seed)
    dropped = {ngram for ngram in reference.log_probs if 1 < len(ngram) < 4 and chance.random() < 0.4}
    kept = [ngram for ngram in reference.log_probs if ngram not in dropped]
    chance.shuffle(kept)
    pruned = Reference(
        4,
        {ngram: reference.log_probs[ngram] for ngram in kept},
        {ngram: backoff for ngram, backoff in reference.backoffs.items() if ngram not in dropped},
    )
    model = read_arpa(_written(tmp_path / "lm.arpa", pruned.text()))
    assert sum(model.counts) > len(kept)  # prefixes were added
    _agree(model, pruned)
    write_arpa(model, tmp_path / "again.arpa")
    _agree(read_arpa(tmp_path / "again.arpa"), pruned)


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz"])
def test_what_is_written_reads_back_bit_for_bit(tmp_path: Path, name: str) -> None:
    model = read_arpa(_written(tmp_path / "first.arpa", normalised(3, 3, WORDS).text()))
    write_arpa(model, tmp_path / name)
    again = load_lm(tmp_path / name)
    assert again.vocabulary == model.vocabulary
    for ours, theirs in zip(model.tables, again.tables, strict=True):
        assert np.array_equal(ours, theirs)
    assert (tmp_path / name).read_bytes()[:2] == (b"\x1f\x8b" if name.endswith("gz") else b"\\d")


def test_six_digits_are_written_as_they_were_read(tmp_path: Path) -> None:
    text = normalised(3, 2, WORDS).text()
    write_arpa(read_arpa(_written(tmp_path / "lm.arpa", text)), tmp_path / "again.arpa")
    lines = {line.split("\t")[1]: line.split("\t") for line in text.splitlines() if "\t" in line}
    again = {
        line.split("\t")[1]: line.split("\t")
        for line in (tmp_path / "again.arpa").read_text().splitlines()
        if "\t" in line
    }
    assert lines.keys() == again.keys()
    for ngram, fields in lines.items():
        assert again[ngram][0] == fields[0]
        assert again[ngram][2:] == (fields[2:] or (["0"] if " " not in ngram else []))


@given(st.floats(-300, 300, width=32))
def test_a_number_is_written_in_at_most_nine_digits_that_give_it_back(value: float) -> None:
    buffer = np.zeros(40, np.uint8)
    single = np.float32(value)
    end = put_number(buffer, 0, single)
    text = buffer[:end].tobytes().decode()
    if abs(value) > 1e-10:
        assert np.float32(float(text) * LN10) == single
        assert len(text.lstrip("-").replace(".", "").lstrip("0")) <= 9
    assert end <= 30


@given(
    st.one_of(
        st.floats(allow_nan=False).map(repr),
        st.from_regex(r"[-+]?[0-9]{1,25}(\.[0-9]{0,25})?(e[-+]?[0-9]{1,3})?", fullmatch=True),
    )
)
def test_a_number_is_read_as_python_reads_it(text: str) -> None:
    seen = number(np.frombuffer(text.encode(), np.uint8), 0, len(text))
    assert seen == pytest.approx(float(text), rel=1e-14, abs=1e-320)


@pytest.mark.parametrize(
    "text", ["", "-", ".", "1.2.3", "1e", "1e+", "0x1", "one", "nan", "1,5", "--1", "1e5x", "infin"]
)
def test_what_is_no_number_is_not_read_as_one(text: str) -> None:
    assert math.isnan(number(np.frombuffer(text.encode() + b" ", np.uint8), 0, len(text)))


GOOD = """\
a comment

\\data\\
ngram 1=4
ngram 2=3

\\1-grams:
-1\t<unk>
-99\t<s>\t-0.5
-0.5\t</s>
-0.7\ta\t-0.25

\\2-grams:
-0.2\t<s> a
-0.3\ta a
-inf\ta </s>

\\end\\
"""


def test_blanks_comments_carriage_returns_and_impossible_ngrams(tmp_path: Path) -> None:
    for text in (GOOD, GOOD.replace("\n", "\r\n"), GOOD.replace("\t", "  "), GOOD.removesuffix("\n")):
        model = read_arpa(_written(tmp_path / "lm.arpa", text))
        assert model.score(["a"]) == [pytest.approx(-0.2 * LN10), -math.inf]
        assert model.score(["x", "a"])[:2] == pytest.approx([-1.5 * LN10, -0.7 * LN10])


def test_a_file_without_unknown_gets_one_as_in_kenlm(tmp_path: Path) -> None:
    text = GOOD.replace("-1\t<unk>\n", "").replace("ngram 1=4", "ngram 1=3")
    model = read_arpa(_written(tmp_path / "lm.arpa", text))
    assert model.vocabulary == ["<unk>", "<s>", "</s>", "a"]
    assert model.score(["x"])[0] == pytest.approx(-100.5 * LN10)
    assert "no <unk>" in model.notes[0]
    assert model.score(["a", "a"])[:2] == pytest.approx([-0.2 * LN10, -0.3 * LN10])
    upper = read_arpa(
        _written(tmp_path / "lm.arpa", GOOD.replace("<unk>", "<UNK>").replace("-0.3\ta a", "-0.3\ta <UNK>"))
    )
    assert upper.score(["a", "x"])[1] == pytest.approx(-0.3 * LN10)


@pytest.mark.parametrize(
    ("old", "new", "line", "seen"),
    [
        ("\\data\\", "data", None, "no line is"),
        ("ngram 1=4", "ngram 1=x", 4, "'ngram 1=x'"),
        ("ngram 2=3", "ngram 3=3", 5, "number of 2-grams must come next"),
        ("ngram 1=4\nngram 2=3\n", "", 4, "no number of n-grams"),
        ("ngram 1=4", "ngram 1=99999999999999999999", 4, "more n-grams than the file can hold"),
        ("ngram 1=4", "ngram 1=5", 11, "after 4 1-grams, but \\data\\ says that there are 5"),
        ("ngram 1=4", "ngram 1=3", 11, "more 1-grams than the 3"),
        ("ngram 2=3", "ngram 2=4", 16, "after 3 2-grams"),
        ("ngram 2=3", "ngram 2=2", 16, "more 2-grams than the 2"),
        ("\\1-grams:", "\\one-grams:", 7, "\\1-grams: was to come"),
        ("\\2-grams:", "", 14, "\\2-grams: was to come"),
        ("\\end\\\n", "", 17, "cut short"),
        ("\\end\\", "\\3-grams:", 18, "\\end\\ was to come"),
        ("-0.5\t</s>", "0.5\t</s>", 10, "'0.5' is above 0"),
        ("-0.5\t</s>", "-O.5\t</s>", 10, "'-O.5' is not a number"),
        ("-0.5\t</s>", "nan\t</s>", 10, "'nan' is not a number"),
        ("a\t-0.25", "a\tnought", 11, "'nought' is not a number"),
        ("a\t-0.25", "a\tinf", 11, "'inf' is not a number"),
        ("-0.3\ta a", "-0.3\tb a", 15, "'b' stands in a 2-gram but not among the 1-grams"),
        ("-0.3\ta a", "-0.3\ta", 15, "a log-probability and 2 words are needed"),
        ("-0.3\ta a", "-0.3\ta a a 0", 15, "a log-probability, 2 words and perhaps"),
        ("-0.3\ta a", "-0.3\t<s> a", 15, "the 2-gram '<s> a' stands there twice"),
        ("-0.3\ta a", "-0.3\ta a\t-0.1", 15, "'-0.1' stands behind one of the longest"),
        ("-0.7\ta", "-0.7\t</s>", 11, "'</s>' stands there twice"),
        ("a\t-0.25", "a", 11, "'a' begins longer n-grams but has no backoff weight"),
        ("</s>", "</S>", None, "has no 1-gram </s>"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, old: str, new: str, line: int | None, seen: str) -> None:
    path = _written(tmp_path / "lm.arpa", GOOD.replace(old, new))
    with pytest.raises(AsrError) as raised:
        read_arpa(path)
    where, _, reason = str(raised.value).removeprefix(str(path)).partition(": ")
    assert (where, seen in reason) == (f":{line}" if line else "", True), raised.value


def test_a_zero_backoff_is_allowed_behind_the_longest(tmp_path: Path) -> None:
    model = read_arpa(_written(tmp_path / "lm.arpa", GOOD.replace("-0.3\ta a", "-0.3\ta a\t0")))
    assert model.score(["a", "a"])[1] == pytest.approx(-0.3 * LN10)


def test_wherever_a_file_is_cut_it_is_refused(tmp_path: Path) -> None:
    whole = GOOD.encode()
    packed = gzip.compress(whole)
    for size in range(1, len(whole) - len("\\\n")):
        path = tmp_path / "lm.arpa"
        path.write_bytes(whole[:size])
        with pytest.raises(AsrError, match="lm"):
            read_arpa(path)
    for size in range(2, len(packed)):
        path = tmp_path / "lm.arpa.gz"
        path.write_bytes(packed[:size])
        with pytest.raises(AsrError, match=r"cut short|not an ARPA"):
            read_arpa(path)


def test_words_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    path.write_bytes(GOOD.replace("-0.7\ta", "-0.7\té").replace("a a", "é é").encode("latin-1"))
    with pytest.raises(AsrError, match="not UTF-8"):
        read_arpa(path)
    with pytest.raises(AsrError, match="could not be read"):
        read_arpa(tmp_path / "missing.arpa")


def test_lines_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = normalised(1, 3, WORDS)
    path = _written(tmp_path / "lm.arpa", reference.text())
    whole = read_arpa(path)
    monkeypatch.setattr("asr.lm.arpa._BLOCK", 7)
    done: list[int] = []
    model = read_arpa(path, report=lambda read, total: done.append(read))
    for ours, theirs in zip(model.tables, whole.tables, strict=True):
        assert np.array_equal(ours, theirs)
    assert done[-1] == path.stat().st_size


def test_every_score_is_kenlms(tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm", reason="KenLM's Python package is the oracle")
    from asr.lm.kneser_ney import estimate

    text = (corpus_folder("public-domain-books.txt")).open(encoding="utf-8")
    lines = [next(text) for _ in range(20_000)]
    held_out = [next(text).split() for _ in range(500)]
    path = tmp_path / "lm.arpa"
    write_arpa(estimate(lines, 3), path)
    oracle, model = kenlm.Model(str(path)), read_arpa(path)
    for words in held_out + sentences(1, [word for one in held_out for word in one], 500):
        assert sum(model.score(words)) / LN10 == pytest.approx(oracle.score(" ".join(words)), abs=1e-4)
