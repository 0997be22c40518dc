"""The trie of words beside its words, one by one."""

from __future__ import annotations

import itertools

import numpy as np

from asr.decode.trie import build_trie


def test_every_word_is_found_and_every_node_knows_the_best_of_those_below() -> None:
    draw = np.random.default_rng(0)
    every = [word for length in range(1, 5) for word in itertools.product(range(3), repeat=length)]
    spellings = sorted(every[place] for place in draw.choice(len(every), 40, replace=False))
    spellings.insert(7, spellings[7])  # two words that are spelled alike
    labels = draw.permutation(len(spellings))
    lm = draw.permutation(60)[: len(spellings)]
    unigrams = -draw.random(60)
    trie = build_trie(spellings, labels, lm, unigrams)

    found = []
    paths: dict[int, tuple[int, ...]] = {0: ()}
    for node in range(len(trie.units)):
        for child in range(trie.first[node], trie.first[node + 1]):
            paths[child] = (*paths[node], int(trie.units[child]))
        found += [(paths[node], int(label)) for label in trie.words[trie.first_word[node] : trie.first_word[node + 1]]]
    assert sorted(found) == sorted(zip(spellings, labels.tolist(), strict=True))
    assert trie.ahead[0] == 0
    for node, path in paths.items():
        below = [unigrams[lm[label]] for spelling, label in found if spelling[: len(path)] == path]
        assert node == 0 or trie.ahead[node] == max(below)


def test_without_a_word_model_nothing_is_promised() -> None:
    trie = build_trie([(0,), (0, 1)], np.arange(2), np.zeros(2, np.int64))
    assert trie.ahead.tolist() == [0.0, 0.0, 0.0]
    bare = build_trie([], np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(3))
    assert bare.ahead.tolist() == [0.0]
