"""Small language models for tests, and a tokenizer that is no more than its symbols."""

from __future__ import annotations

import itertools

import numpy as np

from asr.lm.ngram import BEGIN, END, SPECIAL, NgramModel, Tables
from asr.tokens import Tokenizer


def tokenizer(kind: str, symbols: list[str]) -> Tokenizer:
    """For pieces too, without a SentencePiece model."""
    return Tokenizer(kind, ["<blank>", *symbols])


def random_lm(unit: str, words: list[str], order: int, seed: int) -> NgramModel:
    """An n-gram model with random numbers; they need not sum to one for a search to be right."""
    draw = np.random.default_rng(seed)
    vocabulary = [*SPECIAL, *words]
    levels: list[list[tuple[int, ...]]] = [[()], [(word,) for word in range(len(vocabulary))]]
    for _ in range(order - 1):
        longer = [
            (*history, word)
            for history in levels[-1]
            for word in range(len(vocabulary))
            if word != BEGIN and END not in history and draw.random() < 0.6
        ]
        levels.append(longer)
    ngrams = list(itertools.chain.from_iterable(levels))
    nodes = {ngram: number for number, ngram in enumerate(ngrams)}
    inner = sum(map(len, levels[:-1]))
    suffixes = []
    for ngram in ngrams:
        suffix = ngram[1:]
        while nodes.get(suffix, inner) >= inner:
            suffix = suffix[1:]
        suffixes.append(nodes[suffix])
    parents = [nodes[ngram[:-1]] for ngram in ngrams[1:]]
    first = 1 + np.searchsorted(parents, np.arange(inner + 1))
    backoffs = -draw.random(inner)
    backoffs[0] = 0
    return NgramModel(
        unit,
        order,
        vocabulary,
        Tables(
            np.array([ngram[-1] if ngram else 0 for ngram in ngrams], np.uint32),
            (-4 * draw.random(len(ngrams)) - 0.1).astype(np.float32),
            backoffs.astype(np.float32),
            np.array(suffixes, np.int32),
            first.astype(np.int32),
        ),
    )


def random_log_probs(frames: int, tokens: int, seed: int, peak: float = 2.0) -> np.ndarray:
    """Log-probs (S, V), normalised."""
    scores = peak * np.random.default_rng(seed).standard_normal((frames, tokens))
    return scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)


def prefixes(log_probs: np.ndarray, blank: int) -> dict[tuple[int, ...], float]:
    """ln of the summed probability of all alignments of every token sequence: V^S of them, one by one."""
    found: dict[tuple[int, ...], float] = {}
    frames, tokens = log_probs.shape
    for path in itertools.product(range(tokens), repeat=frames):
        merged = tuple(token for token, _ in itertools.groupby(path) if token != blank)
        score = float(sum(row[token] for row, token in zip(log_probs, path, strict=True)))
        found[merged] = float(np.logaddexp(found.get(merged, -np.inf), score))
    return {tokens: score for tokens, score in found.items() if score > -np.inf}
