"""Whether confidences hold: of the words with a confidence of 0.8, are four in five right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.score.align import align

BINS = 15


def correct_words(reference: Sequence[str], hypothesis: Sequence[str]) -> list[bool]:
    """Whether each word of a hypothesis is right, by the alignment that the word error rate is counted on."""
    steps = align(reference, hypothesis)
    return [operation == "hit" for operation, _, heard in steps if heard is not None]


@dataclass(frozen=True)
class Bin:
    """A row of the reliability table: words whose confidence lies from ``low`` to ``high``.

    Attributes:
        low, high: the edges; ``high`` belongs to the next bin, but for 1.
        words: how many.
        confidence: their mean confidence; 0 if there are none.
        accuracy: the share of them that are right; 0 if there are none.
    """

    low: float
    high: float
    words: int
    confidence: float
    accuracy: float


def reliability(confidences: Sequence[float], correct: Sequence[bool], bins: int = BINS) -> list[Bin]:
    """Words by their confidence, in ``bins`` bins of equal width.

    Raises:
        ValueError: no bins, not a truth for each word, or a confidence that is not 0 to 1.
    """
    sure, right = np.array(confidences, dtype=np.float64), np.array(correct, dtype=np.float64)
    if bins < 1 or sure.shape != right.shape:
        raise ValueError(f"{len(sure)} confidences and {len(right)} truths in {bins} bins: one each, in at least 1 bin")
    if not ((sure >= 0) & (sure <= 1)).all():
        raise ValueError("confidences must be 0 to 1")
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    table = []
    for number in range(bins):
        inside = place == number
        words = int(inside.sum())
        mean = (float(sure[inside].mean()), float(right[inside].mean())) if words else (0.0, 0.0)
        table.append(Bin(number / bins, (number + 1) / bins, words, *mean))
    return table


def expected_calibration_error(confidences: Sequence[float], correct: Sequence[bool], bins: int = BINS) -> float:
    """Mean distance of confidence and accuracy over bins of equal width, each by its words (Guo et al. 2017, eq. 3).

    0 for no words at all.

    Raises:
        ValueError: as `reliability`.
    """
    table = reliability(confidences, correct, bins)
    words = sum(row.words for row in table)
    return sum(row.words * abs(row.confidence - row.accuracy) for row in table) / words if words else 0.0
