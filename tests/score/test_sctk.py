"""Alignments with sclite's costs are those that sclite makes, and MAPSSWE and McNemar say what sc_stats says."""

from __future__ import annotations

import math
import random
import re
from pathlib import Path

import numpy as np
import pytest

from asr.score.align import count_pairs
from asr.score.sclite_align import sclite_steps
from asr.score.significance import mapsswe, mcnemar
from tests.score.sctk import counts_of, needs_sctk, sc_stats, sgml, steps_of, unified_p

LETTERS = "CSDI"


def pairs_that_tie(seed: int, pairs: int) -> tuple[list[list[str]], list[list[str]]]:
    """Few different words and unlike lengths, so that most pairs have many best alignments."""
    generator = random.Random(seed)
    references, hypotheses = [], []
    for _ in range(pairs):
        vocabulary = ["a", "b", "c", "dd", "zéro", "東京", "x'y", "B"][: generator.randint(1, 8)]
        longest = generator.choice([4, 10, 30])
        references.append(generator.choices(vocabulary, k=generator.randint(0, longest)))
        hypotheses.append(generator.choices(vocabulary, k=generator.randint(0, longest)))
    return references, hypotheses


@needs_sctk
def test_alignments_equal_sclites_on_ten_thousand_random_pairs(tmp_path: Path) -> None:
    references, hypotheses = pairs_that_tie(1, 10_000)
    for length in (100, 200, 300):  # a few long ones
        generator = random.Random(length)
        references.append(generator.choices("abcdefgh", k=length))
        hypotheses.append(generator.choices("abcdefgh", k=generator.randint(length - 50, length + 50)))
    output = sgml(tmp_path, references, hypotheses)
    assert np.array_equal(count_pairs(references, hypotheses, "sclite"), counts_of(output))
    found = sclite_steps(references, hypotheses)
    spelled = "".join(LETTERS[code] for code in found.codes.tolist())
    ends = zip(found.starts[:-1].tolist(), found.starts[1:].tolist(), strict=True)
    assert [spelled[start:end] for start, end in ends] == steps_of(output)


@needs_sctk
def test_alignments_equal_sclites_at_the_edges(tmp_path: Path) -> None:
    references = [[], [], ["a"], ["a"], ["a"], ["a", "b", "c"], ["a", "a"], ["a"], ["a", "b", "c"], ["a", "b"]]
    hypotheses = [[], ["a"], [], ["a"], ["b"], ["d", "e", "f"], ["a"], ["a", "a"], ["d"], ["c", "d", "e", "f"]]
    output = sgml(tmp_path, references, hypotheses)
    assert np.array_equal(count_pairs(references, hypotheses, "sclite"), counts_of(output))


def misheard(generator: random.Random, texts: list[list[str]], rate: float) -> list[list[str]]:
    """The same with about this share of errors, a fifth of them insertions, which also stand at the ends."""
    vocabulary = sorted({word for text in texts for word in text})
    heard = []
    for text in texts:
        words: list[str] = []
        share = rate * generator.uniform(0, 2)  # some utterances are harder than others
        for word in text:
            words += generator.choices([word], k=generator.random() > 0.3 * share)
            if words and generator.random() < 0.5 * share:
                words[-1] = generator.choice(vocabulary)
            words += generator.choices(vocabulary, k=generator.random() < 0.2 * share)
        heard.append(words)
    return heard


CASES = [(1, 40, 0.3, 0.3), (2, 400, 0.1, 0.1), (3, 400, 0.1, 0.12), (4, 60, 0.9, 1.0), (5, 3000, 0.05, 0.07)]


@needs_sctk
@pytest.mark.parametrize(("seed", "utterances", "rate", "other_rate"), CASES)
def test_mapsswe_equals_sc_stats(tmp_path: Path, seed: int, utterances: int, rate: float, other_rate: float) -> None:
    generator = random.Random(seed)
    vocabulary = [f"word{number}" for number in range(generator.choice([5, 50, 2000]))]
    references = [generator.choices(vocabulary, k=generator.randint(0, 20)) for _ in range(utterances)]
    first, second = (misheard(generator, references, one) for one in (rate, other_rate))
    output = sgml(tmp_path, references, first, second)

    found = mapsswe(references, first, second)
    report = sc_stats(tmp_path, output, "-t", "mapsswe", "-v")
    totals = re.search(r"^Totals +(\d+) +(\d+) +(\d+)", report, re.MULTILINE)
    numbers = re.search(r"# segs: (\d+)\).*mean: *(\S+)\) \(std dev: *(\S+)\) \(Z Stat: *(\S+)\)", report)
    assert totals is not None and numbers is not None, report
    assert (found.errors, found.other_errors) == (int(totals[2]), int(totals[3]))
    assert found.segments == int(numbers[1]) > 20
    assert [f"{one:.3f}" for one in (found.mean, found.deviation, found.z)] == list(numbers.groups()[1:])
    unified = sc_stats(tmp_path, output, "-t", "mapsswe", "-u")
    # sc_stats looks Z up in a table with two decimals, rounding towards 0, and prints no p below 0.001.
    looked_up = math.erfc(math.floor(100 * abs(found.z)) / 100 / math.sqrt(2))
    assert unified_p(unified, "MP") == pytest.approx(max(looked_up, 0.001), abs=0.0006)
    assert found.p_value <= looked_up <= 1.06 * found.p_value + 0.01


@needs_sctk
@pytest.mark.parametrize(("first", "second"), [(0, 0), (4, 4), (0, 3), (5, 1), (5, 12), (8, 12), (20, 0)])
def test_mcnemar_equals_sc_stats(tmp_path: Path, first: int, second: int) -> None:
    """Up to 20 sentences that only one system has right; above, sc_stats' normal distribution is off its mean."""
    right, wrong = [["a"]], [["b"]]
    systems = right * first + wrong * second + wrong + right, wrong * first + right * second + wrong + right
    references = right * (first + second + 2)
    errors, other = (count_pairs(references, texts, "sclite")[:, 1:].sum(axis=1) for texts in systems)
    found = mcnemar(errors, other)
    assert (found.only_first, found.only_second) == (first, second)
    unified = sc_stats(tmp_path, sgml(tmp_path, references, *systems), "-t", "mcn", "-t", "mapsswe", "-u")
    assert unified_p(unified, "MN") == pytest.approx(max(found.p_value, 0.001), abs=0.0006)


@needs_sctk
def test_mapsswe_equals_sc_stats_where_words_are_inserted_at_the_end(tmp_path: Path) -> None:
    references = [["a", "b", "c"]] * 6 + [[]] * 3
    more = ["a", "b", "c", "d", "e"]
    first = [more, more[:3], more, more[1:], ["a", "b"], more[:3], ["a"], [], ["a"]]
    second = [more[:3], more, more, more, ["x", *more], more[:3], ["a", "b"], ["a"], []]
    found = mapsswe(references, first, second)
    report = sc_stats(tmp_path, sgml(tmp_path, references, first, second), "-t", "mapsswe", "-v")
    totals = re.search(r"^Totals +(\d+) +(\d+) +(\d+)", report, re.MULTILINE)
    assert totals is not None
    assert (found.errors, found.other_errors) == (int(totals[2]), int(totals[3]))
    assert f"(# segs: {found.segments})" in report
