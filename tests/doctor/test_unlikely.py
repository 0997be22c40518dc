from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from asr.decode.greedy import best_path
from asr.doctor.finding import Case
from asr.doctor.measure import measure
from asr.doctor.unlikely import doubt, least_likely, log_likelihood
from asr.manifest import read_manifest
from asr.model.acoustic import load_model
from asr.tokens import Tokenizer
from tests.tones import learned


def _random(frames: int, tokens: int, seed: int) -> np.ndarray:
    logits = torch.from_numpy(np.random.default_rng(seed).standard_normal((frames, tokens)))
    return logits.float().log_softmax(dim=1).numpy()


def _merged(path: tuple[int, ...]) -> list[int]:
    return [token for token, _ in itertools.groupby(path) if token]


@pytest.mark.parametrize("labels", [[], [1], [1, 1], [2, 1, 2], [1, 2, 1, 2]])
def test_the_likelihood_is_the_sum_over_all_alignments(labels: list[int]) -> None:
    rows = _random(5, 3, 1)
    paths = itertools.product(range(3), repeat=5)
    total = sum(math.exp(rows[range(5), list(path)].sum()) for path in paths if _merged(path) == labels)
    assert log_likelihood(rows, labels) == pytest.approx(math.log(total), abs=1e-4)


def test_what_cannot_be_aligned_is_impossible() -> None:
    assert log_likelihood(_random(3, 3, 1), [1, 1, 1]) == -math.inf
    assert doubt(_random(3, 3, 1), [1, 1, 1]) == math.inf


@pytest.mark.parametrize("seed", range(5))
def test_what_was_heard_is_not_doubted(seed: int) -> None:
    rows = _random(20, 4, seed)
    assert doubt(rows, [token for token, _, _ in best_path(rows, 0)]) == 0


def test_exchanged_transcripts_are_the_most_doubtful(tmp_path_factory: pytest.TempPathFactory) -> None:
    made = learned(tmp_path_factory)
    recogniser = load_model(made.out / "model")
    utterances = read_manifest(made.test)
    first, second = (next(one for one in utterances if len(one.text.split()) == count) for count in (1, 3))
    swapped = {first.id: second.text, second.id: first.text}
    cases = [
        Case("test", "test", replace(one, text=swapped.get(one.id, one.text)), {}, measure(one)) for one in utterances
    ]
    done: list[tuple[int, int | None]] = []
    found = least_likely(cases, recogniser, torch.device("cpu"), lambda *now: done.append(now))
    assert {one.id for one in found} == set(swapped)
    assert [one.doubt for one in found] == sorted((one.doubt for one in found), reverse=True)
    assert {one.id: one.heard for one in found} == {one.id: one.text for one in (first, second)}
    assert all(one.doubt > 5 for one in found)
    assert done[-1][0] == done[-1][1]


def test_a_model_of_phones_is_compared_by_its_phones(tmp_path_factory: pytest.TempPathFactory) -> None:
    made = learned(tmp_path_factory)
    recogniser = load_model(made.out / "model")
    # The same model, whose tokens are now called phones: it hears each word as one of them.
    words = recogniser.tokenizer.symbols[1:]
    said = {word: [(word.upper(),)] for word in words}
    phones = Tokenizer("phone", ["<blank>", *(word.upper() for word in words)], lexicon=said)
    recogniser = replace(recogniser, tokenizer=phones)
    first, *others = read_manifest(made.test)
    wrong = next(one.text for one in others if one.text != first.text)
    cases = [Case("test", "test", one, {}, measure(one)) for one in (replace(first, text=wrong), *others)]
    (found,) = least_likely(cases, recogniser, torch.device("cpu"))
    assert (found.id, found.text, found.heard) == (first.id, wrong.upper(), first.text.upper())
