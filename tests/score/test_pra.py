from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from asr.score.hypotheses import Hypothesis, to_trn
from asr.score.pra import pra_text
from asr.score.references import Reference
from asr.score.result import Settings, score
from tests.score.sctk import SCLITE, needs_sctk


def _pra(pairs: list[tuple[str, str, str]], settings: Settings = Settings()) -> str:  # noqa: B008
    """Of (id, reference, hypothesis), the speaker being what stands before the hyphen."""
    references = [Reference(name, said, speaker=name.split("-")[0]) for name, said, _ in pairs]
    return pra_text(score(references, {name: Hypothesis(heard) for name, _, heard in pairs}, settings), "hyp.trn")


def test_columns_are_as_wide_as_their_words() -> None:
    text = _pra([("s-1", "the cat sat", "a cat sat down"), ("s-2", "", ""), ("s-3", "x", "")])
    assert "REF:  the cat sat **** \nHYP:  a   cat sat down \nEval: S           I    \n" in text
    assert "id: (s-2)\nScores: (#C #S #D #I) 0 0 0 0\n" in text
    assert "REF:  x \nHYP:  * \nEval: D \n" in text


def test_wide_characters_take_two_columns() -> None:
    text = _pra([("s-1", "今日 は", "今 は")], Settings("basic"))
    assert "REF:  今 日 は \nHYP:  今 ** は \nEval:    D     \n" in text


@needs_sctk
def test_with_sclites_costs_the_file_is_sclites(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    words = ["a", "be", "see", "down", "eager"]
    pairs = []
    for number in range(300):
        said, heard = (" ".join(generator.choice(words, generator.integers(0, 12))) for _ in range(2))
        pairs.append((f"spk{number // 100}-{number:04d}", said, heard))
    (tmp_path / "ref.trn").write_text(to_trn({name: said for name, said, _ in pairs}))
    (tmp_path / "hyp.trn").write_text(to_trn({name: heard for name, _, heard in pairs}))
    command = [
        str(SCLITE),
        "-s",
        "-i",
        "spu_id",
        "-r",
        "ref.trn",
        "trn",
        "-h",
        "hyp.trn",
        "trn",
        "-o",
        "pra",
        "-O",
        ".",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    theirs = (tmp_path / "hyp.trn.pra").read_text()
    ours = _pra(pairs, Settings(alignment="sclite"))
    assert [line.split() for line in ours.splitlines()] == [line.split() for line in theirs.splitlines()]
