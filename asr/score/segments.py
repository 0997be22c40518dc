"""Sentence segments of two systems' alignments: the stretches in which at least one of them errs."""

from __future__ import annotations

import numpy as np

from asr.compiled import kernel
from asr.score.sclite_align import HIT, INSERTION, Steps

_BOUNDARY = 2  # words that both have right, one after another, which end a segment


@kernel
def _segment(first, first_starts, second, second_starts, boundary, errors):  # type: ignore[no-untyped-def]
    """Fills ``errors`` and says how many segments there are."""
    found = 0
    for pair in range(len(first_starts) - 1):
        i, i_end = first_starts[pair], first_starts[pair + 1]
        j, j_end = second_starts[pair], second_starts[pair + 1]
        inside, right, one, other = False, 0, 0, 0
        while i < i_end or j < j_end:
            while i < i_end and first[i] == INSERTION:
                i, one, inside, right = i + 1, one + 1, True, 0
            while j < j_end and second[j] == INSERTION:
                j, other, inside, right = j + 1, other + 1, True, 0
            if i == i_end:
                break
            # Both stand at the same word of the reference.
            if first[i] == HIT and second[j] == HIT:
                right += 1
                if inside and right == boundary:
                    errors[found, 0], errors[found, 1] = one, other
                    found, inside, one, other = found + 1, False, 0, 0
            else:
                inside, right = True, 0
                one += first[i] != HIT
                other += second[j] != HIT
            i, j = i + 1, j + 1
        if inside:
            errors[found, 0], errors[found, 1] = one, other
            found += 1
    return found


def segment_errors(first: Steps, second: Steps) -> np.ndarray:
    """Errors of two systems in each segment of the utterances that both have recognised.

    A segment begins with the first error of either system after the utterance's beginning or after the last segment,
    and ends where both systems have two words right one after another, or with the utterance (Gillick and Cox, "Some
    statistical issues in the comparison of speech recognition algorithms", ICASSP 1989, section 3.2). So far apart,
    errors in different segments are taken for independent.

    Args:
        first, second: their alignments with the same references.

    Returns:
        int64, shape (segments, 2).
    """
    most = np.count_nonzero(first.codes != HIT) + np.count_nonzero(second.codes != HIT)
    errors = np.empty((most, 2), dtype=np.int64)
    return errors[: _segment(first.codes, first.starts, second.codes, second.starts, _BOUNDARY, errors)].copy()
