"""Alignment of reference and hypothesis, with unit costs or sclite's, and the counts that error rates are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, get_args

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist

Operation = Literal["hit", "substitution", "deletion", "insertion"]
Step = tuple[Operation, str | None, str | None]
Alignment = Literal["unit", "sclite"]
_OPERATIONS: tuple[Operation, ...] = get_args(Operation)  # in the order of the columns of `count_pairs`


@dataclass(frozen=True)
class Counts:
    """What an alignment comes to; the counts of a corpus are the sum of those of its utterances."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def reference_length(self) -> int:
        """Words (or characters) of the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Errors over reference length, above 1 where insertions abound; None if the reference is empty."""
        return self.errors / self.reference_length if self.reference_length else None


def align(reference: Sequence[str], hypothesis: Sequence[str], alignment: Alignment = "unit") -> list[Step]:
    """One alignment of least cost, from left to right.

    With unit costs every error costs 1 (Levenshtein), and where several alignments cost the same it is the one that
    rapidfuzz, and therefore jiwer, chooses. With sclite's it is the one that NIST's sclite chooses, see `sclite_steps`.

    Args:
        reference: words, or a string for its characters.
        hypothesis: the same of what was recognised.
        alignment: whose costs.

    Returns:
        (operation, reference word, hypothesis word); the side that a deletion or insertion lacks is None.

    Raises:
        AsrError: sclite's costs, and too many words, see `sclite_steps`.
    """
    pairs: list[Step] = []
    for operation, start, end, start_heard, end_heard in align_runs(reference, hypothesis, alignment):
        said, heard = reference[start:end], hypothesis[start_heard:end_heard]
        if operation == "deletion":
            pairs += [("deletion", one, None) for one in said]
        elif operation == "insertion":
            pairs += [("insertion", None, one) for one in heard]
        else:
            pairs += [(operation, one, other) for one, other in zip(said, heard, strict=True)]
    return pairs


_RUNS: dict[str, Operation] = {
    "equal": "hit",
    "replace": "substitution",
    "delete": "deletion",
    "insert": "insertion",
}


def align_runs(
    reference: Sequence[str], hypothesis: Sequence[str], alignment: Alignment = "unit"
) -> list[tuple[Operation, int, int, int, int]]:
    """The alignment of `align` by runs of one operation: as places in the two texts, which is quicker.

    Returns:
        (operation, start and end in the reference, the same in the hypothesis), ends exclusive, from left to right.
    """
    if reference == hypothesis:
        length = len(reference)
        return [("hit", 0, length, 0, length)] if length else []
    if alignment == "unit":
        steps: list[tuple[str, int, int, int, int]] = Levenshtein.opcodes(reference, hypothesis).as_list()  # type: ignore[assignment]
        return [(_RUNS[tag], start, end, first, last) for tag, start, end, first, last in steps]
    from asr.score.sclite_align import sclite_steps  # brings numba, which unit costs do without

    runs: list[tuple[Operation, int, int, int, int]] = []
    start = start_heard = 0
    for code, group in groupby(sclite_steps([reference], [hypothesis]).codes.tolist()):
        operation, length = _OPERATIONS[code], len(list(group))
        end = start + (length if operation != "insertion" else 0)
        end_heard = start_heard + (length if operation != "deletion" else 0)
        runs.append((operation, start, end, start_heard, end_heard))
        start, start_heard = end, end_heard
    return runs


def count(reference: Sequence[str], hypothesis: Sequence[str]) -> Counts:
    """The counts of `align`, unit costs, without the alignment.

    Args:
        reference: words, or a string for its characters.
        hypothesis: the same of what was recognised.
    """
    return Counts(*_count(reference, hypothesis))


def _count(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[int, int, int, int]:
    substitutions = deletions = insertions = 0
    if reference != hypothesis:
        for tag, _, _ in Levenshtein.editops(reference, hypothesis).as_list():
            if tag == "replace":
                substitutions += 1
            elif tag == "delete":
                deletions += 1
            else:
                insertions += 1
    return len(reference) - substitutions - deletions, substitutions, deletions, insertions


def count_pairs(
    references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]], alignment: Alignment = "unit"
) -> np.ndarray:
    """The counts of many pairs at once.

    Args:
        references: words of each utterance, or strings for their characters.
        hypotheses: the same of what was recognised.
        alignment: whose costs, see `align`.

    Returns:
        int64, shape (N, 4): hits, substitutions, deletions and insertions of each pair.

    Raises:
        ValueError: not as many hypotheses as references.
        AsrError: sclite's costs, and a pair of too many words, see `sclite_steps`.
    """
    if alignment == "sclite":
        from asr.score.sclite_align import sclite_steps, tally

        return tally(sclite_steps(references, hypotheses))
    rows = [_count(*pair) for pair in zip(references, hypotheses, strict=True)]
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def character_errors(references: Sequence[str], hypotheses: Sequence[str]) -> np.ndarray:
    """Edit distance of each pair of strings, unit costs, int64, shape (N,).

    Raises:
        ValueError: not as many hypotheses as references.
    """
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references and {len(hypotheses)} hypotheses: one each is needed")
    if not references:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(cpdist(references, hypotheses, scorer=Levenshtein.distance, dtype=np.int64))


def texts_wer(references: Sequence[str], hypotheses: Sequence[str]) -> tuple[Counts, Counts]:
    """Word and character counts of whole texts, pair by pair; their ``rate`` is the WER and the CER.

    Words are joined by single spaces, and the spaces count as characters, as in jiwer's CER.

    Raises:
        ValueError: not as many hypotheses as references.
    """
    said, heard = [one.split() for one in references], [one.split() for one in hypotheses]
    words = count_pairs(said, heard)
    characters = count_pairs([" ".join(one) for one in said], [" ".join(one) for one in heard])
    return Counts(*words.sum(axis=0).tolist()), Counts(*characters.sum(axis=0).tolist())
