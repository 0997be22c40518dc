from __future__ import annotations

import subprocess
import sys

import pytest

from asr.score.hypotheses import Hypothesis
from asr.score.references import Reference
from asr.score.report import print_report, to_text
from asr.score.result import Settings, score
from tests.score.test_result import ROWS, SPEAKERS, compared, scored


def _flat(text: str) -> str:
    return " ".join(text.split())


def test_what_was_counted_and_how_is_said() -> None:
    text = to_text(scored(ROWS, Settings("basic", "sclite", seed=7)))
    assert "4 errors in 9 words: 2 substitutions, 1 deletions, 1 insertions" in text
    assert "normalised by 'basic'" in text
    assert "sclite's costs" in text
    assert "bootstrap seed 7" in text
    assert "10,000 replicates" in text


def test_the_interval_that_was_asked_for_comes_first() -> None:
    lines = to_text(scored(SPEAKERS)).splitlines()
    assert "utterances" in lines[1] and "speakers" in lines[2]
    lines = to_text(scored(SPEAKERS, Settings(resample="speaker"))).splitlines()
    assert "speakers" in lines[1] and "utterances" in lines[2]


def test_every_failure_and_note_is_named() -> None:
    references = [Reference(str(number), "one two") for number in range(200)]
    hypotheses = {"0": Hypothesis("one two"), "1": Hypothesis("", error="1.wav: the file is empty (0 bytes)")}
    text = to_text(score(references, hypotheses, Settings(), ["hyp.txt was read as Latin-1"]))
    assert "1: 1.wav: the file is empty (0 bytes)" in text
    assert text.count("there is no hypothesis") == 198
    assert "Note: hyp.txt was read as Latin-1." in text


def test_references_without_words() -> None:
    text = to_text(scored([("a", "s", "", "uh"), ("b", "t", " ", "")]))
    assert "The references hold no words: there is no word error rate, only insertions." in text
    assert "1 errors in 0 words" in text


def test_no_errors_never_round_to_certainty() -> None:
    rows = [(str(number), f"s{number % 2}", "word " * 1000, "word " * 1000) for number in range(200)]
    assert "95 % interval 0.00 to 0.01" in to_text(scored(list(rows)))


def test_many_speakers_are_cut_to_the_worst() -> None:
    rows = [(str(number), f"s{number:03d}", "one two", "one" if number > 90 else "one two") for number in range(100)]
    text = to_text(scored(list(rows)))
    assert "Of 100 speakers, the 50 with the most errors." in text
    assert "s099" in text and "s080" not in text


def test_texts_that_look_like_markup_are_printed_as_they_are() -> None:
    text = to_text(scored([("a", "[red]", "[bold]x :smile:", "[/bold] :smile:"), ("b", "t", "y", "y")]))
    assert "[red]" in text
    assert "[bold]x" in text
    assert "[/bold]" in text


def test_a_narrow_terminal_cuts_no_numbers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "30")):
        monkeypatch.setenv(name, value)
    result = scored([(str(number), f"s{number}", "one two", "three four") for number in range(3)])
    print_report(result, None, "")
    printed = capsys.readouterr().out
    assert "…" not in printed and printed.count("100.00") >= 5 and "Utterances" in printed


def test_a_comparison_says_what_each_test_means() -> None:
    heard = [hypothesis for _, _, _, hypothesis in ROWS]
    comparison = compared(heard, ["one two", None, "", "sex"])
    text = _flat(to_text(scored(ROWS), comparison))
    assert "Against other.jsonl: its WER is 77.78 % (1 utterances failed there, scored as deletions);" in text
    assert "3 utterances are better here and 0 worse." in text
    for test in ("MAPSSWE:", "Paired bootstrap:", "McNemar:", "Paired permutation of utterances:"):
        assert test in text
    assert text.count("ours") >= 3 and text.count("theirs") >= 3
    assert "Against" not in to_text(scored(ROWS))


def test_scoring_does_not_load_torch() -> None:
    code = (
        "import sys, asr.score.receipt, asr.score.inputs, asr.score.report; "
        "sys.exit('torch' in sys.modules or 'jiwer' in sys.modules or 'numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
