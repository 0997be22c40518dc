"""Splitting utterances into train, dev and test: by speaker where there are enough, seeded, and stable.

What decides is a hash of the seed and the id (or speaker), never an order of files or a generator's state: the same
recordings always give the same split, and on every machine.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from asr.errors import AsrError
from asr.files import read_text
from asr.manifest import Utterance

HELD_OUT = 0.1  # share of the speech that dev and test are to have each
ENOUGH = 3  # speakers, or utterances, without which there are no three sets


@dataclass(frozen=True)
class Split:
    """Three sets without an utterance in common.

    Attributes:
        train, dev, test: sorted by id.
        by: ``speaker`` if no speaker stands in two sets, else ``utterance``.
        reason: a sentence that says why it was split so.
    """

    train: list[Utterance]
    dev: list[Utterance]
    test: list[Utterance]
    by: str
    reason: str

    def sets(self) -> dict[str, list[Utterance]]:
        return {"train": self.train, "dev": self.dev, "test": self.test}


def shuffled(names: Iterable[str], seed: int) -> list[str]:
    """The names in an order that depends on themselves and the seed only: that of SHA-256 of ``seed:name``."""
    return sorted(names, key=lambda name: (hashlib.sha256(f"{seed}:{name}".encode()).digest(), name))


def _hold_out(weights: dict[str, float], target: float, leave: int) -> list[str]:
    """Takes names in their order as long as each brings the sum of weights nearer to ``target``.

    At least one is taken (the lightest, if all are too heavy) and at least ``leave`` stay behind.
    """
    taken: list[str] = []
    total = 0.0
    for name, weight in weights.items():
        if len(weights) - len(taken) > leave and abs(total + weight - target) < abs(total - target):
            taken.append(name)
            total += weight
    return taken or [min(weights, key=lambda name: weights[name])]


def split(utterances: list[Utterance], seed: int) -> Split:
    """About 80 % train, 10 % dev and 10 % test, by duration; none is empty.

    By speaker where at least three are known, so that dev and test measure new voices; utterances without a speaker
    then stay together, as if they were one speaker more. Otherwise by utterance.

    Raises:
        AsrError: fewer than three utterances.
    """
    if len(utterances) < ENOUGH:
        raise AsrError(
            f"train, dev and test need {ENOUGH} utterances at the least, there are {len(utterances)}; add recordings"
        )
    known = {one.speaker for one in utterances if one.speaker}
    by_speaker = len(known) >= ENOUGH
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for one in utterances:
        groups[(one.speaker or "") if by_speaker else one.id].append(one)
    weights = {name: sum(one.duration for one in groups[name]) for name in shuffled(groups, seed)}
    target = HELD_OUT * sum(weights.values())
    held: list[list[str]] = []
    for leave in (2, 1):
        held.append(_hold_out(weights, target, leave))
        weights = {name: weight for name, weight in weights.items() if name not in held[-1]}
    test, dev, train = (
        sorted((one for name in names for one in groups[name]), key=lambda one: one.id) for names in (*held, weights)
    )
    reason = (
        f"by speaker: none of the {len(known)} speakers stands in two sets"
        if by_speaker
        else f"at random, by utterance: {len(known)} speakers are known and {ENOUGH} are needed to split by speaker, "
        "so the same voices may stand in all sets and new voices will be recognised worse than test says"
    )
    return Split(train, dev, test, "speaker" if by_speaker else "utterance", reason)


def how_split(folder: Path) -> str:
    """The reason that ``splits.json`` in the folder of a manifest gives; empty where there is none.

    Raises:
        AsrError: it is not what ``asr data`` writes.
    """
    path = folder / "splits.json"
    if not path.exists():
        return ""
    try:
        return str(json.loads(read_text(path))["reason"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise AsrError(f"{path}: not what asr data wrote there; remove it or make the manifests again") from error
