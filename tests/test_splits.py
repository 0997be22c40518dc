"""Splits: nobody in two sets, nothing lost, none empty, the same from any order."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.manifest import Utterance
from asr.splits import Split, shuffled, split

_ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "d", "e", None]), st.floats(0.1, 100)), min_size=3, max_size=40
)


def utterances(rows: list[tuple[str | None, float]]) -> list[Utterance]:
    return [Utterance(f"u{n:03}", Path("x.wav"), seconds, "x", speaker=who) for n, (who, seconds) in enumerate(rows)]


def ids(divided: Split) -> dict[str, list[str]]:
    return {name: [one.id for one in members] for name, members in divided.sets().items()}


@given(rows=_ROWS, seed=st.integers(0, 5), order=st.randoms())
@settings(max_examples=200, deadline=None)
def test_properties(rows: list[tuple[str | None, float]], seed: int, order: random.Random) -> None:
    everyone = utterances(rows)
    divided = split(everyone, seed)
    sets = ids(divided)
    assert all(sets.values()) and set(sets) == {"train", "dev", "test"}
    assert sorted(itertools.chain(*sets.values())) == [one.id for one in everyone]
    speakers = {who for who, _ in rows if who}
    assert divided.by == ("speaker" if len(speakers) >= 3 else "utterance")
    if divided.by == "speaker":
        voices = [{one.speaker for one in members} for members in divided.sets().values()]
        assert not (voices[0] & voices[1] or voices[0] & voices[2] or voices[1] & voices[2])
    order.shuffle(everyone)
    assert ids(split(everyone, seed)) == sets


@pytest.mark.parametrize("speakers", [0, 50])
def test_about_a_tenth_each(speakers: int) -> None:
    rows = [(f"s{n % speakers}" if speakers else None, 1.0 + n % 3) for n in range(1000)]
    divided = split(utterances(rows), seed=1)
    total = sum(seconds for _, seconds in rows)
    for held in (divided.dev, divided.test):
        assert 0.08 < sum(one.duration for one in held) / total < 0.12


def test_the_seed_matters_and_one_heavy_speaker_is_trained_on() -> None:
    everyone = utterances([(None, 1.0)] * 100)
    assert ids(split(everyone, 1)) != ids(split(everyone, 2))
    for seed in range(10):
        heavy = split(utterances([("big", 100.0)] * 10 + [(f"s{n}", 1.0) for n in range(20)]), seed)
        assert {one.speaker for one in heavy.train} >= {"big"}


def test_too_few_utterances_get_a_sentence() -> None:
    with pytest.raises(AsrError, match="need 3 utterances at the least, there are 2"):
        split(utterances([("a", 1.0), ("b", 1.0)]), 1)


def test_a_shuffle_depends_on_names_and_seed_only() -> None:
    names = [f"n{number}" for number in range(30)]
    assert shuffled(names, 1) == shuffled(reversed(names), 1) != shuffled(names, 2)
    assert shuffled(names[:20], 1) == [name for name in shuffled(names, 1) if name in names[:20]]
