"""Edit distance alignment with unit costs, and the counts that error rates are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rapidfuzz.distance import Levenshtein

Operation = Literal["hit", "substitution", "deletion", "insertion"]


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


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[Operation, str | None, str | None]]:
    """One alignment of least edit distance (Levenshtein; every error costs 1), from left to right.

    Where several cost the same, it is the one that rapidfuzz, and therefore jiwer, chooses.

    Args:
        reference: words, or a string for its characters.
        hypothesis: the same of what was recognised.

    Returns:
        (operation, reference word, hypothesis word); the side that a deletion or insertion lacks is None.
    """
    pairs: list[tuple[Operation, str | None, str | None]] = []
    for step in Levenshtein.opcodes(reference, hypothesis):
        said, heard = reference[step.src_start : step.src_end], hypothesis[step.dest_start : step.dest_end]
        if step.tag == "equal":
            pairs += [("hit", one, one) for one in said]
        elif step.tag == "replace":
            pairs += [("substitution", one, other) for one, other in zip(said, heard, strict=True)]
        elif step.tag == "delete":
            pairs += [("deletion", one, None) for one in said]
        else:
            pairs += [("insertion", None, one) for one in heard]
    return pairs


def count(reference: Sequence[str], hypothesis: Sequence[str]) -> Counts:
    """The counts of `align`, without the alignment.

    Args:
        reference: words, or a string for its characters.
        hypothesis: the same of what was recognised.
    """
    tags = [tag for tag, _, _ in Levenshtein.editops(reference, hypothesis).as_list()]
    substitutions, deletions = tags.count("replace"), tags.count("delete")
    return Counts(
        hits=len(reference) - substitutions - deletions,
        substitutions=substitutions,
        deletions=deletions,
        insertions=len(tags) - substitutions - deletions,
    )


def texts_wer(references: Sequence[str], hypotheses: Sequence[str]) -> tuple[Counts, Counts]:
    """Word and character counts of whole texts, pair by pair; their ``rate`` is the WER and the CER.

    Words are joined by single spaces, and the spaces count as characters, as in jiwer's CER.

    Raises:
        ValueError: not as many hypotheses as references.
    """
    words, characters = Counts(), Counts()
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        said, heard = reference.split(), hypothesis.split()
        words += count(said, heard)
        characters += count(" ".join(said), " ".join(heard))
    return words, characters
