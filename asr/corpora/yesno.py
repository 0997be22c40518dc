"""yesno: one man says eight times yes or no in Hebrew, in 60 recordings. 8 kHz, Apache 2.0 (OpenSLR 1)."""

from __future__ import annotations

from pathlib import Path

from asr.corpora.download import Archive
from asr.corpora.prepared import Prepared, locate
from asr.splits import shuffled

ARCHIVES = [
    Archive(
        url="https://www.openslr.org/resources/1/waves_yesno.tar.gz",
        creates="waves_yesno",
        files={"*.wav": 60},
        sha256="c3f49e0cca421f96b75b41640749167b52118f232498667ca7a5f9416aef8e73",
    )
]
RECORDINGS = 60
WORDS = {"0": "NO", "1": "YES"}
TEST = 30  # half, as in Kaldi's recipe, which takes the half that comes last in the alphabet
DEV = 4
_SEED = 1
# This name promises eight words, the recording holds seven: its loudness has seven bursts where others have eight.
CORRECTED = {"0_1_0_1_0_0_0_0": "NO YES NO YES NO NO NO"}


def prepare(source: Path) -> Prepared:
    """The name of a file is its transcript (``0_1_…``: NO YES …); a fixed shuffle gives 26 train, 4 dev and 30 test.

    One name is wrong and corrected, see `CORRECTED`.

    Raises:
        AsrError: the corpus is not in ``source``.
    """
    folder = locate(source, "waves_yesno", "yesno")
    files = {path.stem: path for path in folder.glob("*.wav") if set(path.stem.split("_")) <= set(WORDS)}
    reason = "at random, by recording: there is one speaker, who stands in all sets"
    prepared = Prepared({"train": [], "dev": [], "test": []}, "utterance", reason)
    if len(files) != RECORDINGS:
        prepared.faults.append(f"{folder}: holds {len(files)} recordings, the publisher's has {RECORDINGS}")
    for number, name in enumerate(shuffled(files, _SEED)):
        where = "test" if number < TEST else "dev" if number < TEST + DEV else "train"
        text = CORRECTED.get(name) or " ".join(WORDS[digit] for digit in name.split("_"))
        prepared.add(where, name, files[name], text, speaker="yesno")
    return prepared
