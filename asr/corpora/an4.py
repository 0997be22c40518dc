"""CMU AN4: spelled names, numbers, dates. 16 kHz SPHERE, 0.8 hours, 74 + 10 speakers, BSD-like licence."""

from __future__ import annotations

import re
from pathlib import Path

from asr.corpora.download import Archive
from asr.corpora.prepared import Prepared, locate
from asr.files import read_text

ARCHIVES = [
    Archive(
        # The publisher's own server speaks plain HTTP only and gives no checksum; this is its mirror.
        url="https://huggingface.co/datasets/espnet/an4/resolve/main/an4_sphere.tar.gz",
        creates="an4",
        files={"an4_clstk/*/*.sph": 948, "an4test_clstk/*/*.sph": 130},
    )
]
# The publisher has no development set. These are the first eight training speakers in the order of a seeded shuffle,
# passing over mdcs and mdcs2, who may be one person.
DEV_SPEAKERS = ("flmm2", "mcrt", "mtje", "mtcv", "fbbh", "meab", "flrp", "fjmd")
_LINE = re.compile(r"(?:<s>)?(.*?)(?:</s>)?\s*\((\S+)\)")


def _transcripts(path: Path) -> dict[str, str]:
    """Lines as ``<s> YES </s> (an251-fash-b)``, with or without the sentence marks."""
    found = {}
    for line in read_text(path).splitlines():
        if match := _LINE.fullmatch(line.strip()):
            found[match[2]] = " ".join(match[1].split())
    return found


def prepare(source: Path) -> Prepared:
    """Train and test as published, upper case; dev is every utterance of eight training speakers.

    Raises:
        AsrError: the corpus is not in ``source``, or its lists are not.
    """
    folder = locate(source, "an4", "an4")
    reason = "by speaker: test is the publisher's ten speakers, dev eight of the publisher's 74 training speakers"
    prepared = Prepared({"train": [], "dev": [], "test": []}, "speaker", reason)
    for part in ("train", "test"):
        transcripts = _transcripts(folder / "etc" / f"an4_{part}.transcription")
        for line in read_text(folder / "etc" / f"an4_{part}.fileids").split():
            audio = folder / "wav" / f"{line}.sph"
            if audio.stem not in transcripts:
                prepared.faults.append(f"{audio}: has no line in etc/an4_{part}.transcription")
                continue
            speaker = audio.parent.name
            where = "dev" if part == "train" and speaker in DEV_SPEAKERS else part
            prepared.add(where, audio.stem, audio, transcripts[audio.stem], speaker)
    return prepared
