"""Alignment as NIST's sclite makes it: its costs, and its choice where several alignments cost the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from asr.compiled import kernel
from asr.errors import AsrError

HIT, SUBSTITUTION, DELETION, INSERTION = range(4)
_SUBSTITUTED, _SKIPPED = 4, 3  # costs; a deletion is as dear as an insertion
MOST_CELLS = 1_000_000_000  # of one pair's matrix, four to a byte


@dataclass(frozen=True)
class Steps:
    """The alignments of N pairs, step by step from left to right.

    Attributes:
        codes: int8, shape (steps of all pairs,): HIT, SUBSTITUTION, DELETION or INSERTION.
        starts: int64, shape (N + 1,): pair n's steps are ``codes[starts[n] : starts[n + 1]]``.
    """

    codes: np.ndarray
    starts: np.ndarray


@kernel
def _align(said, said_starts, heard, heard_starts, costs, moves, backwards, codes, starts):  # type: ignore[no-untyped-def]
    """Fills ``codes`` and ``starts``; the other three arrays are scratch."""
    written = 0
    for pair in range(len(said_starts) - 1):
        rows, columns = said_starts[pair + 1] - said_starts[pair], heard_starts[pair + 1] - heard_starts[pair]
        first_said, first_heard = said_starts[pair], heard_starts[pair]
        # Equal words at the end are a hit on the way back whatever stands before them: the diagonal wins ties, and no
        # neighbour is cheaper than it by more than its own step costs. (At the beginning this does not hold.)
        steps = 0
        while rows and columns and said[first_said + rows - 1] == heard[first_heard + columns - 1]:
            backwards[steps] = HIT
            steps, rows, columns = steps + 1, rows - 1, columns - 1

        for cell in range((rows * columns + 3) >> 2):
            moves[cell] = 0
        for j in range(columns + 1):
            costs[j] = _SKIPPED * j
        for i in range(rows):
            word = said[first_said + i]
            diagonal = costs[0]
            left = costs[0] = _SKIPPED * (i + 1)
            cell = i * columns
            for j in range(columns):
                best = diagonal if word == heard[first_heard + j] else diagonal + _SUBSTITUTED
                diagonal = costs[j + 1]
                move = HIT
                # sclite takes the diagonal if nothing is cheaper, else the deletion if it is cheaper than the insertion
                deleted, inserted = diagonal + _SKIPPED, left + _SKIPPED
                if deleted < best or inserted < best:
                    best, move = (deleted, DELETION) if deleted < inserted else (inserted, INSERTION)
                left = costs[j + 1] = best
                moves[cell >> 2] |= move << ((cell & 3) << 1)
                cell += 1

        i, j = rows, columns
        while i or j:
            move = INSERTION if i == 0 else DELETION
            if i and j:
                cell = (i - 1) * columns + j - 1
                move = (moves[cell >> 2] >> ((cell & 3) << 1)) & 3
            if move != INSERTION:
                i -= 1
            if move != DELETION:
                j -= 1
            if move == HIT and said[first_said + i] != heard[first_heard + j]:
                move = SUBSTITUTION
            backwards[steps] = move
            steps += 1
        starts[pair] = written
        for step in range(steps):
            codes[written + step] = backwards[steps - 1 - step]
        written += steps
    starts[len(said_starts) - 1] = written


@kernel
def _tally(codes, starts, counts):  # type: ignore[no-untyped-def]
    for pair in range(len(starts) - 1):
        for step in range(starts[pair], starts[pair + 1]):
            counts[pair, codes[step]] += 1


def _numbered(texts: Sequence[Sequence[str]], numbers: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """All words as numbers, int32, and where each text begins, int64, shape (N + 1,)."""
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)), out=starts[1:])
    words: Iterable[str] = chain.from_iterable(texts)
    return np.fromiter(map(numbers.__getitem__, words), np.int32, int(starts[-1])), starts


def sclite_steps(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> Steps:
    """The alignments that NIST's sclite makes: a substitution costs 4, a deletion or insertion 3.

    Three substitutions and two insertions with two deletions cost the same, so counts depend on the choice. Going back
    from the end, sclite prefers a hit or substitution, then an insertion, then a deletion. Words are compared as they
    are; sclite's own marks ({ a / b } for alternatives, (word) for optional ones, @ for none, word;tag, frag- under -F)
    mean nothing here.

    Args:
        references: words of each utterance, or strings for their characters.
        hypotheses: the same of what was recognised.

    Raises:
        ValueError: not as many hypotheses as references.
        AsrError: a pair is so long that its matrix would have more than a billion cells.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references and {len(hypotheses)} hypotheses: one each is needed")
    numbers = {word: number for number, word in enumerate(dict.fromkeys(chain(*references, *hypotheses)))}
    said, said_starts = _numbered(references, numbers)
    heard, heard_starts = _numbered(hypotheses, numbers)
    rows, columns = np.diff(said_starts), np.diff(heard_starts)
    cells = int((rows * columns).max(initial=0))
    if cells > MOST_CELLS:
        pair = int((rows * columns).argmax())
        raise AsrError(
            f"pair {pair + 1} has {rows[pair]:,} words in the reference and {columns[pair]:,} in the hypothesis, too "
            f"many for an alignment with sclite's costs ({cells:,} cells, at most {MOST_CELLS:,}); score it in "
            "shorter utterances, or with unit costs"
        )
    codes = np.empty(len(said) + len(heard), dtype=np.int8)
    starts = np.empty(len(references) + 1, dtype=np.int64)
    costs = np.empty(int(columns.max(initial=0)) + 1, dtype=np.int32)
    moves = np.empty(cells // 4 + 1, dtype=np.uint8)
    backwards = np.empty(int((rows + columns).max(initial=0)), dtype=np.int8)
    _align(said, said_starts, heard, heard_starts, costs, moves, backwards, codes, starts)
    return Steps(codes[: starts[-1]].copy(), starts)


def tally(steps: Steps) -> np.ndarray:
    """Hits, substitutions, deletions and insertions of each pair, int64, shape (N, 4)."""
    counts = np.zeros((len(steps.starts) - 1, 4), dtype=np.int64)
    _tally(steps.codes, steps.starts, counts)
    return counts
