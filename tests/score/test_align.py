from __future__ import annotations

import random
import time
from collections import Counter

import jiwer
import pytest

from asr.score.align import Counts, align, count, texts_wer


def _random_words(generator: random.Random, vocabulary: list[str], least: int) -> list[str]:
    return [generator.choice(vocabulary) for _ in range(generator.randint(least, 15))]


def test_counts_equal_jiwers_on_ten_thousand_random_pairs() -> None:
    generator = random.Random(1)
    vocabulary = ["a", "b", "ab", "zéro", "naïve", "東京", "я", "don't", "x-y", "0"]  # few, so that alignments tie
    for _ in range(10_000):
        reference = _random_words(generator, vocabulary, least=1)
        hypothesis = _random_words(generator, vocabulary, least=0)
        output = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
        expected = Counts(output.hits, output.substitutions, output.deletions, output.insertions)
        assert count(reference, hypothesis) == expected
        assert count(reference, hypothesis).rate == output.wer


def test_an_alignment_spells_both_sides_and_holds_its_own_counts() -> None:
    generator = random.Random(2)
    for _ in range(1_000):
        reference = _random_words(generator, ["one", "two", "three", "four"], least=0)
        hypothesis = _random_words(generator, ["one", "two", "three", "four"], least=0)
        pairs = align(reference, hypothesis)
        assert [one for _, one, _ in pairs if one is not None] == reference
        assert [other for _, _, other in pairs if other is not None] == hypothesis
        for operation, one, other in pairs:
            assert (operation == "hit") == (one == other)
            assert (operation == "insertion") == (one is None)
            assert (operation == "deletion") == (other is None)
        tally = Counter(operation for operation, _, _ in pairs)
        counts = Counts(tally["hit"], tally["substitution"], tally["deletion"], tally["insertion"])
        assert counts == count(reference, hypothesis)


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


def test_an_hour_of_words_in_one_utterance_is_quick() -> None:
    generator = random.Random(5)
    reference = [f"word{generator.randrange(3000)}" for _ in range(10_000)]
    hypothesis = [word for word in reference if generator.random() > 0.1]
    start = time.perf_counter()
    words, _ = texts_wer([" ".join(reference)], [" ".join(hypothesis)])
    assert time.perf_counter() - start < 2
    assert (words.substitutions, words.insertions) == (0, 0)
    assert words.deletions == len(reference) - len(hypothesis)
