"""What the checks have in common: the utterances they look at and the findings they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from asr.doctor.measure import Recording
from asr.manifest import Utterance

ERROR = "error"  # must be fixed: exit status 1
WARNING = "warning"  # to be looked at
INFORMATION = "information"
LEVELS = (ERROR, WARNING, INFORMATION)


@dataclass(frozen=True)
class Case:
    """An utterance, its set and its recording.

    Attributes:
        set: name of its manifest.
        role: ``train``, ``dev`` or ``test``.
        utterance: as the manifest gives it.
        fields: the manifest's line, with what `Utterance` does not hold.
        recording: as measured.
    """

    set: str
    role: str
    utterance: Utterance
    fields: Mapping[str, object]
    recording: Recording


@dataclass(frozen=True)
class Item:
    """One thing that a finding is about.

    Attributes:
        set: the manifest, or several.
        id: of the utterance; empty if the item is not one.
        says: what was seen, with its numbers.
        numbers: the same for programs.
    """

    set: str
    id: str
    says: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """What a check found, once for all that it found.

    Attributes:
        check: its name.
        level: one of `LEVELS`.
        says: one sentence.
        advice: what to do.
        items: each in its place.
        rejects: whether each item is an utterance with an error of its own, which had better not be used.
    """

    check: str
    level: str
    says: str
    advice: str
    items: Sequence[Item]
    rejects: bool = False


def item(case: Case, says: str, **numbers: float) -> Item:
    """An item about one utterance."""
    return Item(case.set, case.utterance.id, says, numbers)


def gather(
    check: str, level: str, what: str, advice: str, items: Sequence[Item], total: int, rejects: bool = False
) -> list[Finding]:
    """One finding that says ``what``, and of how many; none where there are no items."""
    if not items:
        return []
    return [Finding(check, level, f"{what}: {len(items):,} of {total:,}.", advice, items, rejects)]


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first few names, and how many there are more."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
