"""Free Spoken Digit Dataset: English digits, six speakers, 50 takes of each. 8 kHz, 22 minutes, CC BY-SA 4.0."""

from __future__ import annotations

from pathlib import Path

from asr.corpora.download import Archive
from asr.corpora.prepared import Prepared, locate
from asr.errors import UsageError

ARCHIVES = [
    Archive(
        url="https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz",
        creates="free-spoken-digit-dataset",
        inside="free-spoken-digit-dataset-1.0.10",
        files={"recordings/*.wav": 3000},  # GitHub's archives have no stable checksum
    )
]
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TAKES = 50
# The speakers recorded in sessions, and the first takes sound like the test set's; they are worth most in train.
DEV_TAKES = (48, 49)


def prepare(source: Path, leave_out: str | None = None) -> Prepared:
    """The official split: takes 0–4 of every digit and speaker are test; takes 48–49 are dev, the others train.

    With ``leave_out`` test is everything of that speaker; of the other five, takes 48–49 are dev and all others train.

    Raises:
        UsageError: there is no such speaker.
        AsrError: the corpus is not in ``source``.
    """
    if leave_out is not None and leave_out not in SPEAKERS:
        raise UsageError(f"there is no speaker {leave_out!r} in fsdd; there are {', '.join(SPEAKERS)}")
    recordings = locate(source, "free-spoken-digit-dataset", "fsdd") / "recordings"
    prepared = Prepared(
        {"train": [], "dev": [], "test": []},
        "utterance",
        "by take, as published: all six speakers stand in all sets, so new voices will be recognised worse than these",
    )
    if leave_out is not None:
        reason = (
            f"by speaker: test is all of {leave_out}, who stands in no other set; train and dev share the other five"
        )
        prepared = Prepared(prepared.sets, "speaker", reason, sharing=[("dev", "train")])
    for digit, word in enumerate(DIGITS):
        for speaker in SPEAKERS:
            for take in range(TAKES):
                test = take <= 4 if leave_out is None else speaker == leave_out
                where = "test" if test else "dev" if take in DEV_TAKES else "train"
                name = f"{digit}_{speaker}_{take}"
                prepared.add(where, name, recordings / f"{name}.wav", word, speaker)
    return prepared
