"""Kneser–Ney: a slow reference after the papers, KenLM's own output, and what must hold of every language model.

``lmplz/plain.arpa`` and ``lmplz/pruned.arpa`` were written by lmplz of KenLM 0.3.0, the source distribution on PyPI:

    lmplz -o 3 -S 100M --discount_fallback --text text.txt --arpa plain.arpa
    lmplz -o 3 -S 100M --discount_fallback --prune 0 0 1 --limit_vocab_file vocabulary.txt --text text.txt \
        --arpa pruned.arpa

The discounts of orders 1 and 3 are computed there, those of order 2 fall back. ``vocabulary.txt`` holds the 20 most
frequent words. Where a program lmplz is on the path, it is run on other texts, too.
"""

import json
import math
import random
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import AsrError, UsageError
from asr.lm.kneser_ney import estimate
from asr.lm.ngram import BEGIN, END, SPECIAL, UNKNOWN, NgramModel
from tests.corpora import ROOT, corpus_folder

Ngram = tuple[str, ...]
LMPLZ = Path(__file__).parent / "lmplz"
SENTENCES = st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6), min_size=1, max_size=40)


def ngrams(model: NgramModel) -> dict[Ngram, tuple[float, float]]:
    """log10 of the probability and of the backoff weight of every n-gram; without a weight 0."""
    tables, inner = model.tables, len(model.tables.backoffs)
    names: list[Ngram] = [()] * len(tables.words)
    for history in range(inner):
        for node in range(tables.first[history], tables.first[history + 1]):
            names[node] = (*names[history], model.vocabulary[tables.words[node]])
    tens = math.log(10)
    return {
        names[node]: (tables.log_probs[node] / tens, tables.backoffs[node] / tens if node < inner else 0.0)
        for node in range(1, len(names))
    }


def read_arpa(path: Path) -> dict[Ngram, tuple[float, float]]:
    """The same of an ARPA file."""
    found: dict[Ngram, tuple[float, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if len(fields := line.split("\t")) > 1:
            found[tuple(fields[1].split(" "))] = float(fields[0]), float(fields[2]) if len(fields) > 2 else 0.0
    return found


def assert_equal(model: NgramModel, expected: dict[Ngram, tuple[float, float]], within: float = 1e-5) -> None:
    seen = ngrams(model)
    assert seen.keys() == expected.keys()
    worst = max(max(abs(a - b) for a, b in zip(seen[ngram], expected[ngram], strict=True)) for ngram in seen)
    assert worst <= within


class Reference:
    """Modified Kneser–Ney by the formulas, over dictionaries.

    Chen & Goodman 1998: modified Kneser–Ney, discounts by equation 26; Heafield et al. 2013, section 3: adjusted
    counts, and unigrams interpolated with the uniform distribution.
    """

    def __init__(self, sentences: list[list[str]], order: int) -> None:
        self.order = order
        ids: dict[str, int] = {word: number for number, word in enumerate(SPECIAL)}
        raw: list[Counter[Ngram]] = [Counter() for _ in range(order)]
        padded: set[Ngram] = set()
        for sentence in sentences:
            for word in sentence:
                ids.setdefault(word, len(ids))
            marked = ("<s>", *sentence, "</s>")
            for end in range(1, len(marked) + 1):
                for length in range(1, min(order, end) + 1):
                    raw[length - 1][marked[end - length : end]] += 1
            filled = ("<s>",) * (order - 1) + marked[1:]
            padded.update(filled[at : at + order] for at in range(len(filled) - order + 1))
        self.words = [word for word in ids if word != "<s>"]
        self.counts: list[dict[Ngram, int]] = [dict(raw[-1])]
        for shorter, longer in zip(raw[-2::-1], raw[:0:-1], strict=True):
            before = Counter(ngram[1:] for ngram in longer)
            self.counts.insert(0, {g: raw_count if g[0] == "<s>" else before[g] for g, raw_count in shorter.items()})
        self.counts[0][("<s>",)] = 0
        # lmplz takes the plain count for the suffixes of the n-gram that comes last when sorted by last words.
        last = max(padded, key=lambda ngram: [ids[word] for word in reversed(ngram)])
        self.discounts = []
        for length in range(1, order + 1):
            plain = {last[-length:]: raw[length - 1].get(last[-length:], 0)} if length < order else {}
            self.discounts.append(self.discount(Counter((self.counts[length - 1] | plain).values())))
        self.followers: dict[Ngram, dict[str, int]] = defaultdict(dict)
        for level in self.counts:
            for ngram, count in level.items():
                self.followers[ngram[:-1]][ngram[-1]] = count

    @staticmethod
    def discount(n: Counter[int]) -> list[float]:
        if n[1] and n[2] and n[3]:
            y = n[1] / (n[1] + 2 * n[2])
            found = [0.0] + [j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3)]
            if min(found) >= 0:
                return found
        return [0.0, 0.5, 1.0, 1.5]

    def backoff(self, history: Ngram) -> float:
        if history not in self.followers:
            return 1.0
        discounts, counts = self.discounts[len(history)], self.followers[history].values()
        return sum(discounts[min(count, 3)] for count in counts) / sum(counts)

    def probability(self, word: str, history: Ngram) -> float:
        counts = self.followers.get(history, {})
        lower = self.probability(word, history[1:]) if history else 1 / len(self.words)
        count, total = counts.get(word, 0), sum(counts.values())
        own = (count - self.discounts[len(history)][min(count, 3)]) / total if total else 0.0
        return own + self.backoff(history) * lower

    def ngrams(self) -> dict[Ngram, tuple[float, float]]:
        def ten(value: float) -> float:
            return math.log10(max(value, 1e-99))

        found = {
            ngram: (
                ten(self.probability(ngram[-1], ngram[:-1])),
                ten(self.backoff(ngram)) if len(ngram) < self.order else 0.0,
            )
            for level in self.counts
            for ngram in level
        }
        found["<s>",] = 0.0, found["<s>",][1]
        found["<unk>",] = ten(self.probability("<unk>", ())), 0.0
        return found


@settings(deadline=None, max_examples=150)
@given(SENTENCES, st.integers(1, 4))
def test_equals_the_formulas_of_the_papers(sentences: list[list[str]], order: int) -> None:
    model = estimate((" ".join(sentence) for sentence in sentences), order)
    assert_equal(model, Reference(sentences, order).ngrams())


def test_equals_the_formulas_with_discounts_of_the_text_itself() -> None:
    sentences = [line.split() for line in (LMPLZ / "text.txt").read_text(encoding="utf-8").splitlines()]
    reference = Reference(sentences, 3)
    assert reference.discounts[2] != reference.discounts[1] == [0.0, 0.5, 1.0, 1.5]
    assert_equal(estimate(map(" ".join, sentences), 3), reference.ngrams())


def text_of_lmplz() -> Iterator[str]:
    return iter((LMPLZ / "text.txt").read_text(encoding="utf-8").splitlines())


def test_equals_an_arpa_file_of_lmplz() -> None:
    model = estimate(text_of_lmplz(), 3)
    assert_equal(model, read_arpa(LMPLZ / "plain.arpa"))
    assert [note for note in model.notes if note.startswith("order 2: ")]


def test_equals_an_arpa_file_of_lmplz_pruned_and_with_a_limited_vocabulary() -> None:
    model = estimate(text_of_lmplz(), 3, vocabulary_limit=20, prune=(0, 0, 1))
    assert sorted(model.vocabulary[3:]) == sorted((LMPLZ / "vocabulary.txt").read_text().split())
    assert_equal(model, read_arpa(LMPLZ / "pruned.arpa"))


def run_lmplz(lines: list[str], order: int, folder: Path, *options: str) -> dict[Ngram, tuple[float, float]]:
    if (program := shutil.which("lmplz")) is None:
        pytest.skip("needs the program lmplz of KenLM on the path")
    text, arpa = folder / "text.txt", folder / "lm.arpa"
    text.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    files = ["--text", str(text), "--arpa", str(arpa)]
    command = [program, "-o", str(order), "-S", "200M", "--discount_fallback", *files, *options]
    subprocess.run(command, check=True, capture_output=True)
    return read_arpa(arpa)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_equals_lmplz_on_an4s_transcripts(order: int, tmp_path: Path) -> None:
    manifest = ROOT / "data" / "an4" / "train.jsonl"
    if not manifest.exists():
        pytest.skip(f"needs {manifest}, which recipes/an4/run.sh writes")
    lines = [text for line in manifest.open(encoding="utf-8") if (text := json.loads(line)["text"])]
    assert_equal(estimate(lines, order), run_lmplz(lines, order, tmp_path))


@pytest.mark.parametrize(("prune", "limit"), [((), None), ((0, 0, 1, 2), None), ((1,), None), ((0, 1), 2000)])
def test_equals_lmplz_on_books(prune: tuple[int, ...], limit: int | None, tmp_path: Path) -> None:
    with (corpus_folder("public-domain-books.txt")).open(encoding="utf-8") as file:
        lines = [next(file).strip() for _ in range(5000)]
    options = ["--prune", *map(str, prune)] if prune else []
    model = estimate(lines, 4, vocabulary_limit=limit, prune=prune)
    if limit is not None:
        allowed = tmp_path / "allowed.txt"
        allowed.write_text("\n".join(model.vocabulary[3:]), encoding="utf-8")
        options += ["--limit_vocab_file", str(allowed)]
    assert_equal(model, run_lmplz(lines, 4, tmp_path, *options))


def mass(model: NgramModel, history: Iterable[str]) -> float:
    """What the probabilities of all words, of </s> and of <unk> behind a history sum to."""
    state = model.begin
    for word in history:
        _, state = model.advance(state, word)
    return sum(math.exp(model.advance(state, word)[0]) for word in model.vocabulary if word != "<s>")


@settings(deadline=None, max_examples=100)
@given(
    SENTENCES,
    st.integers(1, 4),
    st.lists(st.integers(0, 2), max_size=4).map(sorted),
    st.none() | st.integers(1, 5),
    st.lists(st.sampled_from("abcdefx"), max_size=5),
)
def test_probabilities_behind_every_history_sum_to_one(
    sentences: list[list[str]], order: int, prune: list[int], limit: int | None, history: list[str]
) -> None:
    model = estimate(map(" ".join, sentences), order, vocabulary_limit=limit, prune=prune[:order])
    assert mass(model, history) == pytest.approx(1, abs=1e-5)
    for sentence in sentences[:5]:
        for length in range(len(sentence) + 1):
            assert mass(model, sentence[:length]) == pytest.approx(1, abs=1e-5)


@settings(deadline=None, max_examples=50)
@given(SENTENCES, st.integers(1, 4), st.lists(st.integers(0, 2), max_size=4).map(sorted), st.none() | st.integers(1, 5))
def test_the_tables_are_a_trie_with_suffix_links(
    sentences: list[list[str]], order: int, prune: list[int], limit: int | None
) -> None:
    model = estimate(map(" ".join, sentences), order, vocabulary_limit=limit, prune=prune[:order])
    tables, names = model.tables, [(), *ngrams(model)]
    assert [name[0] for name in names[1 : 1 + len(model.vocabulary)]] == model.vocabulary
    assert tables.words[1 : 1 + len(model.vocabulary)].tolist() == list(range(len(model.vocabulary)))
    assert tables.first[0] == 1
    assert tables.first[-1] == len(tables.words) == len(tables.log_probs) == len(tables.suffixes)
    for history in range(len(tables.backoffs)):
        children = tables.words[tables.first[history] : tables.first[history + 1]]
        assert np.all(children[1:] > children[:-1])
    for node, name in enumerate(names[1:], start=1):
        assert names[tables.suffixes[node]] == name[1:]
        assert tables.suffixes[node] < len(tables.backoffs)
    assert [array.dtype for array in tables] == [np.uint32, np.float32, np.float32, np.int32, np.int32]


def test_begin_of_sentence_is_never_predicted() -> None:
    model = estimate(text_of_lmplz(), 3)
    assert not [ngram for ngram in ngrams(model) if "<s>" in ngram[1:]]
    assert model.tables.log_probs[1 + BEGIN] == 0
    assert model.tables.log_probs[1 + UNKNOWN] < model.tables.log_probs[1 + END] < 0


def test_pruning_removes_what_is_rare_and_only_that() -> None:
    lines = list(text_of_lmplz())
    whole, pruned = ngrams(estimate(lines, 3)), ngrams(estimate(lines, 3, prune=(0, 0, 1)))
    padded = [f" <s> {line} </s> " for line in lines]
    gone = whole.keys() - pruned.keys()
    assert gone
    assert all(len(ngram) == 3 and sum(line.count(f" {' '.join(ngram)} ") for line in padded) == 1 for ngram in gone)


def test_of_equally_frequent_words_the_limit_keeps_the_first_in_the_alphabet() -> None:
    model = estimate(["d c b a", "d"], 2, vocabulary_limit=3)
    assert model.vocabulary == [*SPECIAL, "d", "b", "a"]
    assert model.advance(0, "c") == model.advance(0, "<unk>")


def test_a_limit_above_the_number_of_words_changes_nothing() -> None:
    limited, whole = estimate(["a b", "b"], 2, vocabulary_limit=9), estimate(["a b", "b"], 2)
    assert ngrams(limited) == ngrams(whole)


def test_notes_say_what_a_user_should_know() -> None:
    model = estimate(["a b", "", "b"], 2)
    assert model.notes[0] == "empty lines passed over: 1"
    assert model.notes[1].startswith("order 1, 2: the text is too small")
    assert len(model.notes) == 2


def test_the_order_may_exceed_every_sentence() -> None:
    model = estimate(["a b", "b"], 6)
    assert model.order == 6
    assert mass(model, ["a", "b"]) == pytest.approx(1, abs=1e-6)


def test_the_result_does_not_hang_on_how_the_text_came() -> None:
    lines = [" ".join(random.Random(seed).choices("abcdefgh", k=5)) for seed in range(50)]
    listed, streamed = estimate(lines, 3), estimate((f"  {line}\t\n" for line in lines), 3)
    for one, other in zip(listed.tables, streamed.tables, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("order", "limit", "prune", "says"),
    [
        (0, None, (), "order 0: the order must be at least 1"),
        (2, 0, (), "limited to 0 words"),
        (2, None, (0, 1, 2), "0 1 2: 3 of them, but the order is 2"),
        (3, None, (1, 0), "1 0: none may be negative or below the one before it"),
        (3, None, (-1,), "-1: none may be negative"),
    ],
)
def test_impossible_settings_are_refused_before_any_text_is_read(
    order: int, limit: int | None, prune: tuple[int, ...], says: str
) -> None:
    def unread() -> Iterator[str]:
        raise AssertionError("the text was read")
        yield ""

    with pytest.raises(UsageError, match=says):
        estimate(unread(), order, vocabulary_limit=limit, prune=prune)


def test_a_text_without_words_is_refused() -> None:
    with pytest.raises(AsrError, match="no word"):
        estimate(["", "  "], 3)
