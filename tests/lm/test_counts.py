"""Counting: what a text holds, chunk by chunk, without the text's size in memory."""

import itertools
import tracemalloc
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.lm import counts as counting
from asr.lm.counts import Counts, count_ngrams
from asr.lm.ngram import BEGIN, END, SPECIAL

SENTENCES = st.lists(st.lists(st.sampled_from("abcdé"), min_size=1, max_size=7), min_size=1, max_size=12)


def spelled(counts: Counts) -> list[list[tuple[str, ...]]]:
    """The words of every n-gram, by level and number, along the prefixes."""
    levels = [[(word,) for word in counts.vocabulary]]
    for level in counts.levels[1:]:
        pairs = zip(level.parents, level.words, strict=True)
        levels.append([(*levels[-1][parent], counts.vocabulary[word]) for parent, word in pairs])
    return levels


def counted_plainly(sentences: list[list[str]], length: int) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for sentence in sentences:
        marked = ["<s>", *sentence, "</s>"]
        found.update(tuple(marked[at : at + length]) for at in range(len(marked) - length + 1))
    return found


@settings(deadline=None, max_examples=100)
@given(SENTENCES, st.integers(1, 5), st.sampled_from([1, 4, 1 << 20]))
def test_counts_are_those_of_a_plain_count_whatever_the_chunks(
    sentences: list[list[str]], order: int, chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_CHUNK", chunk)
        counts = count_ngrams((" ".join(sentence) for sentence in sentences), order)
    for length, (ngrams, level) in enumerate(zip(spelled(counts), counts.levels, strict=True), start=1):
        there = {ngram: count for ngram, count in zip(ngrams, level.counts.tolist(), strict=True) if count}
        assert there == counted_plainly(sentences, length)
        assert len(ngrams) == len(set(ngrams))


@settings(deadline=None, max_examples=50)
@given(SENTENCES, st.integers(2, 4))
def test_suffixes_are_the_ngrams_without_their_first_word(sentences: list[list[str]], order: int) -> None:
    counts = count_ngrams((" ".join(sentence) for sentence in sentences), order)
    for (shorter, longer), level in zip(itertools.pairwise(spelled(counts)), counts.levels[1:], strict=True):
        assert [shorter[suffix] for suffix in level.suffixes] == [ngram[1:] for ngram in longer]


def test_words_are_numbered_by_first_sight_behind_the_special_ones() -> None:
    counts = count_ngrams(["b a", "c b"], 2)
    assert counts.vocabulary == [*SPECIAL, "b", "a", "c"]
    assert counts.levels[0].counts.tolist() == [0, 2, 2, 2, 1, 1]
    assert counts.levels[0].counts[BEGIN] == counts.levels[0].counts[END] == 2


def test_lines_without_a_word_are_passed_over() -> None:
    counts, plain = count_ngrams(["", "a b", " \t\n", "a"], 2), count_ngrams(["a b", "a"], 2)
    assert counts.empty_lines == 2
    for seen, expected in zip(counts.levels, plain.levels, strict=True):
        for one, other in zip(seen, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("sign", SPECIAL)
def test_a_word_that_is_the_models_own_sign_is_refused_with_its_line(sign: str) -> None:
    with pytest.raises(AsrError, match=rf"line 3: the word {sign} "):
        count_ngrams(["a", "", f"b {sign} c"], 2)


@pytest.mark.parametrize("lines", [[], ["", " "]])
def test_a_text_without_words_is_refused(lines: list[str]) -> None:
    with pytest.raises(AsrError, match=f"no word in {len(lines)} lines"):
        count_ngrams(lines, 2)


def test_more_ngrams_than_a_model_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_MOST", 20)
    monkeypatch.setattr(counting, "_CHUNK", 4)
    with pytest.raises(AsrError, match=r"line \d+: .* different n-grams"):
        count_ngrams((f"w{number} v{number}" for number in range(100)), 3)


def test_memory_goes_with_the_different_ngrams_not_with_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_CHUNK", 1000)

    def peak(lines: int) -> int:
        def text() -> Iterator[str]:
            for number in range(lines):
                yield f"a{number % 7} b{number % 5} c"

        tracemalloc.start()
        count_ngrams(text(), 3)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(2_000)
    assert peak(40_000) < 1.2 * peak(2_000)
