"""Checks of recordings: readable, as stated, all of one kind, neither clipped nor silent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from asr.doctor.finding import ERROR, INFORMATION, WARNING, Case, Finding, gather, item
from asr.doctor.measure import QUIETEST

CLIPPED = 0.001  # share of samples
SILENT = -65.0  # [dB] of 10 ms of speech at their loudest: 18 steps of 16-bit audio
PAUSE = 1.5  # [s]
OFFSET = 0.05  # of full scale

_CORRECT = "Correct the manifest, or find the recording that was meant."
_AGAIN = "Record or copy them again, or take them out of the manifest."


def _readable(cases: Sequence[Case]) -> list[Finding]:
    faults = [item(case, case.recording.fault) for case in cases if case.recording.fault]
    misfits = [item(case, case.recording.misfit) for case in cases if case.recording.misfit]
    return [
        *gather("audio", ERROR, "Recordings that cannot be read to the end", _AGAIN, faults, len(cases), rejects=True),
        *gather(
            "duration", ERROR, "Durations that are not those of the files", _CORRECT, misfits, len(cases), rejects=True
        ),
    ]


def _stated(cases: Sequence[Case]) -> list[Finding]:
    items = []
    for case in cases:
        seen = {"sample_rate": case.recording.rate, "channels": case.recording.channels}
        wrong = [name for name in seen if seen[name] and case.fields.get(name) not in (None, seen[name])]
        if wrong:
            parts = [f"{name} is said to be {case.fields[name]!r}, the file's is {seen[name]}" for name in wrong]
            items.append(item(case, "; ".join(parts), **{name: seen[name] for name in wrong}))
    what = "Manifest lines that state another sample rate or other channels than the file has"
    return gather("stated", ERROR, what, _CORRECT, items, len(cases), rejects=True)


def _mixture(check: str, cases: Sequence[Case], value: Callable[[Case], int], unit: str, advice: str) -> list[Finding]:
    """Names the recordings that are not of the most frequent kind."""
    counts = Counter(value(case) for case in cases if value(case))
    if len(counts) < 2:
        return []
    usual = counts.most_common(1)[0][0]
    items = [
        item(case, f"{value(case):,} {unit}", value=value(case)) for case in cases if value(case) not in (0, usual)
    ]
    return gather(check, WARNING, f"Recordings that do not have {usual:,} {unit}", advice, items, len(cases))


def _kinds(cases: Sequence[Case], rate: int | None) -> list[Finding]:
    low = [
        item(case, f"{case.recording.rate:,} Hz", rate=case.recording.rate)
        for case in cases
        if 0 < case.recording.rate < (rate or 0)
    ]
    return [
        *_mixture(
            "rate",
            cases,
            lambda case: case.recording.rate,
            "Hz",
            "All are resampled, but a model may learn who lacks treble instead of what is said: see whose they are.",
        ),
        *_mixture(
            "channels",
            cases,
            lambda case: case.recording.channels,
            "channel(s)",
            "Channels are averaged: see that they hold the same speech.",
        ),
        *gather(
            "low-rate",
            WARNING,
            f"Recordings of a lower rate than the model's {rate or 0:,} Hz",
            "The upper bands of what is resampled stay empty: set features.rate to the recordings' own.",
            low,
            len(cases),
        ),
    ]


def _silence(cases: Sequence[Case]) -> list[Finding]:
    silent, pauses = [], []
    for case in cases:
        seen, said = case.recording, case.utterance.text
        if seen.fault or not seen.seconds:
            continue
        if seen.loudest < SILENT and said.split():
            how = "nothing but zeros" if seen.loudest <= QUIETEST else f"{seen.loudest:.0f} dB at its loudest"
            silent.append(item(case, f"{how}, but is to say {said!r}", loudest=seen.loudest))
        elif max(seen.before, seen.after) > PAUSE:
            how = f"{seen.before:.1f} s before the speech, {seen.after:.1f} s behind it"
            pauses.append(item(case, how, before=seen.before, after=seen.after))
    return [
        *gather("silence", ERROR, "Silent recordings with words", _AGAIN, silent, len(cases), rejects=True),
        *gather(
            "pauses",
            INFORMATION,
            f"Recordings with more than {PAUSE:g} s of silence at an end",
            "Nothing, unless words are missing there.",
            pauses,
            len(cases),
        ),
    ]


def _levels(cases: Sequence[Case]) -> list[Finding]:
    clipped = [
        item(case, f"{100 * case.recording.clipped:.2f} % of its samples are cut off", clipped=case.recording.clipped)
        for case in cases
        if case.recording.clipped >= CLIPPED
    ]
    shifted = [
        item(case, f"the mean sample is {case.recording.offset:+.3f} of full scale", offset=case.recording.offset)
        for case in cases
        if abs(case.recording.offset) >= OFFSET
    ]
    return [
        *gather(
            "clipping",
            WARNING,
            f"Clipped recordings ({100 * CLIPPED:g} % of their samples or more)",
            "Record them again with less gain; a few do no harm in training, but spoil a test.",
            sorted(clipped, key=lambda one: -one.numbers["clipped"]),
            len(cases),
        ),
        *gather(
            "dc-offset",
            WARNING,
            f"Recordings with a DC offset of {100 * OFFSET:g} % of full scale or more",
            "The features take each frame's mean away, so little is lost: look for a broken sound card or cable.",
            shifted,
            len(cases),
        ),
    ]


def check_recordings(cases: Sequence[Case], rate: int | None) -> list[Finding]:
    """What is wrong with the recordings.

    Args:
        cases: of every set.
        rate: of the model [Hz]; None if none was given.
    """
    return [*_readable(cases), *_stated(cases), *_kinds(cases, rate), *_silence(cases), *_levels(cases)]
