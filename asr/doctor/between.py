"""Checks of what stands twice, within a set or in two: recordings, ids, transcripts, speakers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from asr.doctor.finding import ERROR, INFORMATION, WARNING, Case, Finding, Item, gather, item, listed
from asr.doctor.sets import Manifest, speaker_disjoint
from asr.text import basic

_SHARED = 0.5  # of the shorter of two stretches of a file


def _copies(cases: Sequence[Case]) -> list[Finding]:
    """Recordings with the same samples, whatever their files are called."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        if case.recording.digest:
            groups.setdefault(case.recording.digest, []).append(case)
    contradicting: list[Item] = []
    across: list[Item] = []
    within: list[Item] = []
    for group in groups.values():
        if len(group) < 2:
            continue
        names = listed([f"{case.set}/{case.utterance.id}" for case in group[1:]])
        texts = sorted({case.utterance.text for case in group})
        if len({basic(text) for text in texts}) > 1:
            says = f"is the same recording as {names}, but they are to say {listed([repr(text) for text in texts])}"
            contradicting.append(item(group[0], says, copies=len(group)))
        where = across if len({case.set for case in group}) > 1 else within
        where.append(item(group[0], f"is the same recording as {names}", copies=len(group)))
    return [
        *gather(
            "copy-with-other-words",
            ERROR,
            "Recordings that stand there twice with different transcripts",
            "Listen, and take out what is wrong.",
            contradicting,
            len(cases),
        ),
        *gather(
            "copy-across-sets",
            ERROR,
            "Recordings that stand in more than one set",
            "Take them out of all sets but one: what was learned from cannot be tested with.",
            across,
            len(cases),
        ),
        *gather(
            "copy-within-set",
            WARNING,
            "Recordings that stand in one set more than once",
            "Take the copies out, unless they are to weigh more.",
            within,
            len(cases),
        ),
    ]


def _stretch(case: Case) -> tuple[float, float]:
    """Where in its file it begins and ends [s]."""
    begin = case.utterance.offset or 0.0
    return begin, begin + case.recording.seconds


def _overlaps(cases: Sequence[Case]) -> list[Finding]:
    """Stretches of one file that lie half or more over each other, but not in full: those are told as copies."""
    cut = {case.utterance.audio.name for case in cases if case.utterance.offset is not None}
    files: dict[Path, list[Case]] = {}
    for case in cases:
        if case.utterance.audio.name in cut and case.recording.seconds and not case.recording.misfit:
            files.setdefault(case.utterance.audio.resolve(), []).append(case)
    across: list[Item] = []
    within: list[Item] = []
    for group in files.values():
        begun: list[Case] = []
        for case in sorted(group, key=_stretch):
            begin, end = _stretch(case)
            begun = [one for one in begun if _stretch(one)[1] > begin]
            for one in begun:
                shared = min(end, _stretch(one)[1]) - begin
                much = shared >= _SHARED * min(case.recording.seconds, one.recording.seconds)
                if much and case.recording.digest != one.recording.digest:
                    says = f"has {shared:.2f} s of its file in common with {case.set}/{case.utterance.id}"
                    (within if one.set == case.set else across).append(item(one, says, shared=shared))
            begun.append(case)
    return [
        *gather(
            "overlap",
            ERROR,
            "Segments that lie half or more over those of another set",
            "Cut them where the other ends, or take them out of all sets but one.",
            across,
            len(cases),
        ),
        *gather(
            "overlap",
            WARNING,
            "Segments that lie half or more over others of their set",
            "See whether offsets and durations are right; two who speak at once are no fault.",
            within,
            len(cases),
        ),
    ]


def _ids(one: Manifest, other: Manifest) -> list[Finding]:
    theirs = {utterance.id for utterance in other.utterances}
    both = [utterance.id for utterance in one.utterances if utterance.id in theirs]
    items = [Item(other.name, name, f"is an id of {one.name}, too") for name in both]
    return gather(
        "same-id",
        WARNING,
        f"Ids that stand in {one.name} and in {other.name}",
        "Give each utterance an id of its own, lest hypotheses of one be scored as the other's.",
        items,
        len(theirs | {utterance.id for utterance in one.utterances}),
    )


def _same_texts(sets: Sequence[Manifest], cases: Sequence[Case]) -> list[Finding]:
    """Counts, in one finding for all sets: many a corpus is made of the same sentences on purpose.

    What stands twice because its recording does is told as that.
    """
    copies = Counter(case.recording.digest for case in cases if case.recording.digest)
    said: dict[str, list[str]] = {one.name: [] for one in sets}
    for case in cases:
        if case.utterance.text.split() and copies[case.recording.digest] < 2:
            said[case.set].append(" ".join(case.utterance.text.split()))
    items = []
    for one, other in combinations(sets, 2):
        if one.role != "train" and other.role == "train":
            one, other = other, one
        known, texts = set(said[one.name]), said[other.name]
        shared = [text for text in texts if text in known]
        if shared:
            says = f"{len(shared):,} of {len(texts):,} transcripts of {other.name} stand in {one.name}, too: "
            says += listed([repr(text) for text in dict.fromkeys(shared)], 3)
            items.append(Item(f"{one.name}, {other.name}", "", says, {"transcripts": len(shared)}))
    for one in sets:
        texts = said[one.name]
        repeated = {text: count for text, count in Counter(texts).most_common() if count > 1}
        if repeated:
            count = sum(repeated.values())
            says = f"{count:,} of {len(texts):,} transcripts of {one.name} stand there more than once, most of all "
            says += listed([f"{text!r} ({times:,} times)" for text, times in repeated.items()], 3)
            items.append(Item(one.name, "", says, {"transcripts": count, "different": len(repeated)}))
    if not items:
        return []
    says = "The same transcripts stand more than once, within sets or across them."
    advice = "Nothing where that is the task; otherwise the test set is easier than new sentences would be."
    return [Finding("same-text", INFORMATION, says, advice, items)]


def _speakers(sets: Sequence[Manifest]) -> list[Finding]:
    """Leaks where the sets are declared to share no speaker; elsewhere one item for each two that do."""
    leaks, shares = [], []
    for one, other in combinations(sets, 2):
        ours = Counter(utterance.speaker for utterance in one.utterances if utterance.speaker)
        theirs = Counter(utterance.speaker for utterance in other.utterances if utterance.speaker)
        both = sorted(set(ours) & set(theirs))
        where = f"{one.name}, {other.name}"
        if speaker_disjoint(one, other):
            for name in both:
                says = f"{name}: {ours[name]:,} utterances of {one.name}, {theirs[name]:,} of {other.name}"
                leaks.append(Item(where, "", says, {one.name: ours[name], other.name: theirs[name]}))
        elif both:
            says = f"{len(both):,} of {len(theirs):,} speakers of {other.name} stand in {one.name}, too: {listed(both)}"
            shares.append(Item(where, "", says, {"speakers": len(both)}))
    speakers = len({utterance.speaker for one in sets for utterance in one.utterances if utterance.speaker})
    leaking = gather(
        "speaker-leak",
        ERROR,
        "Speakers that stand in two sets though splits.json says that these were parted by speaker",
        "Move all that such a speaker says into one set, or correct splits.json.",
        leaks,
        speakers,
    )
    if not shares:
        return leaking
    says = "Sets share speakers, and nothing says that they should not."
    advice = "Nothing, but know that results hold for these voices: new ones will be recognised worse."
    return [*leaking, Finding("speakers", INFORMATION, says, advice, shares)]


def check_between(sets: Sequence[Manifest], cases: Sequence[Case]) -> list[Finding]:
    """What stands twice.

    Raises:
        AsrError: a ``splits.json`` beside the manifests is not what ``asr data`` writes.
    """
    return [
        *_copies(cases),
        *_overlaps(cases),
        *(finding for one, other in combinations(sets, 2) for finding in _ids(one, other)),
        *_speakers(sets),
        *_same_texts(sets, cases),
    ]
