from __future__ import annotations

import random
from collections import Counter

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.score import sclite_align
from asr.score.align import Alignment, Counts, align, character_errors, count, count_pairs, texts_wer

ALIGNMENTS: list[Alignment] = ["unit", "sclite"]
WORDS = st.lists(st.sampled_from(["a", "b", "ab", "東京"]), max_size=12)
PAIRS = st.lists(st.tuples(WORDS, WORDS), max_size=8)


def _random_words(generator: random.Random, vocabulary: list[str], least: int) -> list[str]:
    return [generator.choice(vocabulary) for _ in range(generator.randint(least, 15))]


def test_counts_equal_jiwers_on_ten_thousand_random_pairs() -> None:
    generator = random.Random(1)
    vocabulary = ["a", "b", "ab", "zéro", "naïve", "東京", "я", "don't", "x-y", "0"]  # few, so that alignments tie
    references = [_random_words(generator, vocabulary, least=1) for _ in range(10_000)]
    hypotheses = [_random_words(generator, vocabulary, least=0) for _ in range(10_000)]
    rows = count_pairs(references, hypotheses)
    for reference, hypothesis, row in zip(references, hypotheses, rows.tolist(), strict=True):
        output = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
        expected = Counts(output.hits, output.substitutions, output.deletions, output.insertions)
        assert count(reference, hypothesis) == Counts(*row) == expected
        assert expected.rate == output.wer


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_an_alignment_spells_both_sides_and_holds_its_own_counts(alignment: Alignment) -> None:
    generator = random.Random(2)
    for _ in range(1_000):
        reference = _random_words(generator, ["one", "two", "three", "four"], least=0)
        hypothesis = _random_words(generator, ["one", "two", "three", "four"], least=0)
        pairs = align(reference, hypothesis, alignment)
        assert [one for _, one, _ in pairs if one is not None] == reference
        assert [other for _, _, other in pairs if other is not None] == hypothesis
        for operation, one, other in pairs:
            assert (operation == "hit") == (one == other)
            assert (operation == "insertion") == (one is None)
            assert (operation == "deletion") == (other is None)
        tally = Counter(operation for operation, _, _ in pairs)
        counts = [tally["hit"], tally["substitution"], tally["deletion"], tally["insertion"]]
        assert counts == count_pairs([reference], [hypothesis], alignment)[0].tolist()


def _distance(reference: str, hypothesis: str) -> int:
    """The textbook recurrence (Wagner and Fischer, 1974)."""
    row = list(range(len(hypothesis) + 1))
    for i, one in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(hypothesis, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (one != other))
    return row[-1]


def test_the_errors_are_the_edit_distance() -> None:
    generator = random.Random(3)
    for _ in range(500):
        reference = "".join(generator.choices("abc ", k=generator.randint(0, 20)))
        hypothesis = "".join(generator.choices("abc ", k=generator.randint(0, 20)))
        assert count(reference, hypothesis).errors == _distance(reference, hypothesis)


def _least_cost(reference: list[str], hypothesis: list[str]) -> int:
    """Of an alignment in which a substitution costs 4, a deletion or insertion 3."""
    row = [3 * j for j in range(len(hypothesis) + 1)]
    for one in reference:
        above, row = row, [row[0] + 3]
        for j, other in enumerate(hypothesis, start=1):
            row.append(min(above[j] + 3, row[j - 1] + 3, above[j - 1] + 4 * (one != other)))
    return row[-1]


@given(PAIRS)
def test_an_alignment_with_sclites_costs_costs_the_least(pairs: list[tuple[list[str], list[str]]]) -> None:
    references, hypotheses = [one for one, _ in pairs], [other for _, other in pairs]
    counts = count_pairs(references, hypotheses, "sclite")
    assert counts.shape == (len(pairs), 4)
    for (reference, hypothesis), (hits, substitutions, deletions, insertions) in zip(pairs, counts, strict=True):
        assert 4 * substitutions + 3 * (deletions + insertions) == _least_cost(reference, hypothesis)
        assert hits + substitutions + deletions == len(reference)
        assert hits + substitutions + insertions == len(hypothesis)


@given(PAIRS)
def test_pairs_are_counted_each_by_itself(pairs: list[tuple[list[str], list[str]]]) -> None:
    references, hypotheses = [one for one, _ in pairs], [other for _, other in pairs]
    for alignment in ALIGNMENTS:
        together = count_pairs(references, hypotheses, alignment)
        assert together.dtype == np.int64
        assert [row.tolist() for row in together] == [
            count_pairs([one], [other], alignment)[0].tolist() for one, other in pairs
        ]


def test_where_the_costs_differ() -> None:
    """Two words replaced around one that moved: 4 + 4 against 3 + 3 with a hit."""
    reference, hypothesis = ["a", "b"], ["b", "c"]
    assert [step for step, _, _ in align(reference, hypothesis)] == ["substitution", "substitution"]
    assert align(reference, hypothesis, "sclite") == [
        ("deletion", "a", None),
        ("hit", "b", "b"),
        ("insertion", None, "c"),
    ]


def test_among_equal_costs_sclite_takes_the_diagonal() -> None:
    """Three substitutions cost as much as two insertions and two deletions around a hit: going back, the diagonal."""
    assert count_pairs([["a", "b", "c"]], [["c", "d", "e"]], "sclite").tolist() == [[0, 3, 0, 0]]
    # Of two places for the hit, the last: the diagonal is taken before the insertion.
    assert [step for step, _, _ in align(["a"], ["a", "a"], "sclite")] == ["insertion", "hit"]


def test_what_is_too_long_for_sclites_matrix_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sclite_align, "MOST_CELLS", 6)
    assert count_pairs([["a"] * 2], [["b"] * 3], "sclite").tolist() == [[0, 2, 0, 1]]
    with pytest.raises(AsrError, match=r"pair 2 has 7 words in the reference and 1 in the hypothesis.*unit costs"):
        count_pairs([["a"], ["a"] * 7], [["a"], ["b"]], "sclite")


def test_characters_are_counted_in_strings() -> None:
    generator = random.Random(6)
    texts = ["".join(generator.choices("ab é東", k=generator.randint(0, 15))) for _ in range(400)]
    references, hypotheses = texts[:200], texts[200:]
    expected = [count(*pair).errors for pair in zip(references, hypotheses, strict=True)]
    found = character_errors(references, hypotheses)
    assert found.tolist() == expected
    assert found.dtype == np.int64
    assert character_errors([], []).tolist() == []


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_counted_things_must_pair(alignment: Alignment) -> None:
    with pytest.raises(ValueError):
        count_pairs([["a"], ["b"]], [["a"]], alignment)
    with pytest.raises(ValueError, match="2 references and 1 hypotheses"):
        character_errors(["a", "b"], ["a"])


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ([], [], Counts()),
        ([], ["a", "b"], Counts(insertions=2)),
        (["a", "b"], [], Counts(deletions=2)),
        (["a"], ["b"], Counts(substitutions=1)),
        (["a"], ["b", "c", "d"], Counts(substitutions=1, insertions=2)),
        ("über", "uber", Counts(hits=3, substitutions=1)),
    ],
)
def test_small_cases(reference: list[str], hypothesis: list[str], expected: Counts) -> None:
    assert count(reference, hypothesis) == expected
    assert expected.reference_length == len(reference)


def test_the_rate_may_exceed_one_and_is_undefined_without_a_reference() -> None:
    assert count(["a"], ["b", "c", "d"]).rate == 3.0
    assert count([], ["b"]).rate is None
    assert count([], []).rate is None


def test_texts_are_scored_as_one_corpus_like_jiwers_wer_and_cer() -> None:
    generator = random.Random(4)
    vocabulary = ["a", "bc", "dé", "fgh", "東京"]
    references = [" ".join(_random_words(generator, vocabulary, least=1)) for _ in range(300)]
    hypotheses = [" ".join(_random_words(generator, vocabulary, least=0)) for _ in range(300)]
    words, characters = texts_wer(references, hypotheses)
    assert words.rate == jiwer.wer(references, hypotheses)
    assert characters.rate == jiwer.cer(references, hypotheses)


def test_white_space_between_words_does_not_matter() -> None:
    assert texts_wer([" a  b\tc\n"], ["a b c"]) == texts_wer(["a b c"], ["a b c"])


def test_texts_must_pair() -> None:
    with pytest.raises(ValueError, match="zip"):
        texts_wer(["a", "b"], ["a"])


def test_an_hour_of_words_in_one_utterance() -> None:
    generator = random.Random(5)
    reference = [f"word{generator.randrange(3000)}" for _ in range(10_000)]
    hypothesis = [word for word in reference if generator.random() > 0.1]
    words, _ = texts_wer([" ".join(reference)], [" ".join(hypothesis)])
    assert (words.substitutions, words.insertions) == (0, 0)
    assert words.deletions == len(reference) - len(hypothesis)
