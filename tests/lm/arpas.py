"""Random n-gram models as ARPA text, and the slowest possible reading of one: by the definition of backing off."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

Ngram = tuple[str, ...]


@dataclass
class Reference:
    """An n-gram model as two dictionaries of base-10 logarithms."""

    order: int
    log_probs: dict[Ngram, float] = field(default_factory=dict)
    backoffs: dict[Ngram, float] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        return [ngram[0] for ngram in self.log_probs if len(ngram) == 1]

    def log_prob(self, history: Ngram, word: str) -> float:
        """log10 P(word | history), where nothing but the definition is used (Katz 1987)."""
        history = history[-(self.order - 1) :] if self.order > 1 else ()
        if (*history, word) in self.log_probs:
            return self.log_probs[(*history, word)]
        return self.backoffs.get(history, 0.0) + self.log_prob(history[1:], word)

    def score(self, words: Sequence[str]) -> list[float]:
        """ln P of every word and of </s>."""
        known = [word if (word,) in self.log_probs else "<unk>" for word in words]
        sentence = ["<s>", *known, "</s>"]
        return [self.log_prob(tuple(sentence[:end]), sentence[end]) * math.log(10.0) for end in range(1, len(sentence))]

    def text(self) -> str:
        """The ARPA file."""
        sections = [[ngram for ngram in self.log_probs if len(ngram) == n] for n in range(1, self.order + 1)]
        lines = ["\\data\\", *(f"ngram {n}={len(ngrams)}" for n, ngrams in enumerate(sections, start=1))]
        for n, ngrams in enumerate(sections, start=1):
            lines += ["", f"\\{n}-grams:"]
            for ngram in ngrams:
                backoff = f"\t{self.backoffs[ngram]:.6g}" if ngram in self.backoffs else ""
                lines.append(f"{self.log_probs[ngram]:.6g}\t{' '.join(ngram)}{backoff}")
        return "\n".join([*lines, "", "\\end\\", ""])


def normalised(seed: int, order: int, words: Sequence[str]) -> Reference:
    """A model whose probabilities sum to one behind every history; suffixes and prefixes of what it holds are there."""
    chance = random.Random(seed)
    model = Reference(order)
    vocabulary = ["<unk>", "</s>", *words]
    weights = {word: chance.random() + 0.1 for word in vocabulary}
    total = sum(weights.values())
    model.log_probs = {(word,): math.log10(weight / total) for word, weight in weights.items()}
    model.log_probs["<s>",] = -99.0
    histories: list[Ngram] = [(word,) for word in ("<s>", *words)]
    for _ in range(2, order + 1):
        longer = []
        for history in histories:
            below = {word: 10 ** model.log_prob(history[1:], word) for word in vocabulary}
            seen = [word for word in vocabulary if chance.random() < 0.4 and (*history[1:], word) in model.log_probs]
            factors = {word: below[word] * (0.3 + chance.random()) for word in seen}
            kept = 0.2 + 0.6 * chance.random()
            for word, factor in factors.items():
                model.log_probs[(*history, word)] = math.log10(kept * factor / sum(factors.values()))
            if seen:
                left = 1 - sum(below[word] for word in seen)
                model.backoffs[history] = math.log10((1 - kept) / left)
                longer += [(*history, word) for word in seen if word not in ("</s>", "<unk>")]
        histories = longer
    return model


def sentences(seed: int, words: Sequence[str], number: int) -> list[list[str]]:
    """Random sentences, some empty, some with words that no model has."""
    chance = random.Random(seed)
    return [
        [chance.choice(words) if chance.random() < 0.9 else "unheard-of" for _ in range(chance.randrange(12))]
        for _ in range(number)
    ]
