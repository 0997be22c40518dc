from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jiwer
import pytest

from asr.errors import AsrError, UsageError
from asr.manifest import Utterance, write_manifest
from asr.score.hypotheses import Hypothesis
from asr.score.report import Comparison, Result, score_manifest, score_utterances, to_text
from tests.corpora import corpus_folder

# id, speaker, reference, hypothesis
_ROWS = [
    ("a1", "ann", "one two three", "one two three"),
    ("a2", "ann", "four five", "four nine five"),
    ("b1", "bob", "six seven eight", "sex seven"),
    ("b2", "bob", "six", "sex"),
]


def _score(rows: list[tuple[str, str | None, str, str | None]], normalise: str = "none") -> Result:
    utterances = [Utterance(name, Path(f"{name}.wav"), 1.0, text, speaker=speaker) for name, speaker, text, _ in rows]
    hypotheses = {name: Hypothesis(text) for name, _, _, text in rows if text is not None}
    return score_utterances(utterances, hypotheses, normalise, seed=1)


def test_a_corpus_counted_by_hand() -> None:
    result = _score(list(_ROWS))
    fields = result.fields()
    assert (fields["utterances"], fields["words"]) == (4, 9)
    assert (fields["substitutions"], fields["deletions"], fields["insertions"]) == (2, 1, 1)
    assert fields["wer"] == 44.44
    assert fields["ser"] == 75.0
    assert fields["failed"] == 0
    assert result.confusions == [("six", "sex", 2)]
    assert [(one.speaker, one.utterances, one.words.rate) for one in result.speakers] == [
        ("ann", 2, 0.2),
        ("bob", 2, 0.75),
    ]
    assert (fields["wer_low_by_speaker"], fields["wer_high_by_speaker"]) == (20.0, 75.0)


def test_rates_equal_jiwers() -> None:
    fields = _score(list(_ROWS)).fields()
    references, hypotheses = [row[2] for row in _ROWS], [row[3] for row in _ROWS]
    assert fields["wer"] == round(100 * jiwer.wer(references, hypotheses), 2)
    assert fields["cer"] == round(100 * jiwer.cer(references, hypotheses), 2)


def test_the_shares_of_the_speakers_add_up_on_real_transcripts() -> None:
    lines = (corpus_folder("an4") / "etc" / "an4_test.transcription").read_text().splitlines()
    rows: list[tuple[str, str | None, str, str | None]] = []
    for number, line in enumerate(lines):
        text, _, name = line.rstrip(")").rpartition(" (")
        words = [word for word in text.split() if not word.startswith("<")]
        heard = words[1:] if number % 3 == 0 else words  # every third utterance lacks its first word
        rows.append((name, name.split("-")[1], " ".join(words), " ".join(heard)))
    result = _score(rows)
    assert result.fields()["words"] == 773
    assert (result.utterances, len(result.speakers)) == (130, 10)
    assert result.wrong == result.words.deletions == result.words.errors == 44
    assert sum(one.words.errors for one in result.speakers) == 44
    assert sum(one.words.reference_length for one in result.speakers) == 773
    low, high = result.by_utterance.low, result.by_utterance.high
    assert low is not None
    assert high is not None
    assert low < 44 / 773 < high < 0.09


def test_failed_and_missing_are_deletions_and_are_named() -> None:
    utterances = [Utterance(name, Path("x.wav"), 1.0, "one two", speaker="s") for name in ("a", "b", "c")]
    hypotheses = {"a": Hypothesis("one two"), "b": Hypothesis("", error="b.wav: the file is empty (0 bytes)")}
    result = score_utterances(utterances, hypotheses, "none", seed=1)
    assert (result.words.deletions, result.words.errors, result.wrong) == (4, 4, 2)
    assert result.characters.deletions == 2 * len("one two")
    assert result.fields()["failed"] == 2
    assert list(result.failed) == ["b", "c"]
    text = to_text(result)
    assert "b: b.wav: the file is empty (0 bytes)" in text
    assert "c: there is no hypothesis" in text


def test_a_failed_utterance_is_wrong_even_where_nothing_was_said() -> None:
    utterances = [Utterance(name, Path("x.wav"), 1.0, text) for name, text in (("a", ""), ("b", "one"))]
    result = score_utterances(utterances, {"b": Hypothesis("one")}, "none", seed=1)
    assert (result.words.errors, result.wrong) == (0, 1)


def test_no_errors_never_round_to_certainty() -> None:
    result = _score([(str(number), f"s{number % 2}", "word " * 1000, "word " * 1000) for number in range(200)])
    fields = result.fields()
    assert (fields["wer"], fields["wer_low"], fields["wer_high"]) == (0.0, 0.0, 0.01)
    assert fields["wer_high_by_speaker"] == 0.01
    assert "95 % interval 0.00 to 0.01" in to_text(result)


def test_references_without_words() -> None:
    result = _score([("a", "s", "", "uh"), ("b", "t", " ", "")])
    fields = result.fields()
    assert (fields["wer"], fields["wer_low"], fields["wer_high"], fields["cer"]) == (None, None, None, None)
    assert (fields["insertions"], fields["ser"]) == (1, 50.0)
    assert "The references hold no words" in to_text(result)


def test_more_errors_than_words() -> None:
    fields = _score([("a", "s", "one", "a b c"), ("b", "t", "two", "d e f")]).fields()
    assert fields["wer"] == 300.0


@pytest.mark.parametrize(
    ("speakers", "reason"),
    [
        (("s", "s"), "one speaker is too few"),
        ((None, None), "2 of 2 utterances name no speaker"),
        (("s", None), "1 of 2 utterances name no speaker"),
    ],
)
def test_no_interval_by_speaker_without_several_of_them(speakers: tuple[str | None, ...], reason: str) -> None:
    result = _score([(str(number), speaker, "one two", "one") for number, speaker in enumerate(speakers)])
    fields = result.fields()
    assert (fields["wer_low_by_speaker"], fields["wer_high_by_speaker"]) == (None, None)
    assert fields["wer_low"] is not None
    assert reason in to_text(result)


def test_one_utterance_has_a_rate_and_no_interval() -> None:
    result = _score([("a", "s", "one two", "one")])
    assert (result.fields()["wer"], result.fields()["wer_low"]) == (50.0, None)
    assert "one utterance is too few" in to_text(result)


def test_both_sides_are_normalised_only_as_asked() -> None:
    rows: list[tuple[str, str | None, str, str | None]] = [("a", "s", "Café, au lait!", "CAFÉ au-lait")]
    assert _score(rows, "none").words.hits == 0
    assert _score(rows, "basic").words.errors == 0
    with pytest.raises(UsageError, match="no normaliser 'loud'"):
        _score(rows, "loud")


def test_hypotheses_of_other_utterances_are_refused() -> None:
    hypotheses = {name: Hypothesis("one") for name in ("a", "stranger")}
    with pytest.raises(AsrError, match=r"1 of 2 hypotheses .* \(stranger\)"):
        score_utterances([Utterance("a", Path("a.wav"), 1.0, "one")], hypotheses, "none", seed=1)


def test_texts_that_look_like_markup_are_printed_as_they_are() -> None:
    text = to_text(_score([("a", "[red]", "[bold]x :smile:", "[/bold] :smile:"), ("b", "t", "y", "y")]))
    assert "[red]" in text
    assert "[bold]x" in text
    assert "[/bold]" in text


def _compared(folder: Path, heard: list[str | None], other: list[str | None]) -> Result:
    """Two systems on ``_ROWS``, through files; None: no hypothesis."""
    utterances = [
        Utterance(name, folder / f"{name}.wav", 1.0, text, speaker=speaker) for name, speaker, text, _ in _ROWS
    ]
    write_manifest(folder / "test.jsonl", utterances)
    for system, texts in (("hyp", heard), ("other", other)):
        lines = [{"id": one.id, "text": text} for one, text in zip(utterances, texts, strict=True) if text is not None]
        (folder / f"{system}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return score_manifest(folder / "test.jsonl", folder / "hyp.jsonl", "none", 1, folder / "other.jsonl")


def test_another_system_is_compared_utterance_by_utterance(tmp_path: Path) -> None:
    heard = [hypothesis for _, _, _, hypothesis in _ROWS]  # errors 0, 1, 2, 1
    result = _compared(tmp_path, heard, ["one two", "four five", "", "sex"])  # errors 1, 0, 3, 1
    found = result.against
    assert found is not None
    assert (found.better, found.worse, found.failed, found.words.errors) == (2, 1, 0, 5)
    # Of the eight ways to give the differences -1, 1 and -1 signs, every one sums to 1 or more in size.
    assert found.p_value == 1.0
    fields = result.fields()
    assert fields["wer"] == 44.44
    assert (fields["against"], fields["against_wer"]) == ((tmp_path / "other.jsonl").as_posix(), 55.56)
    assert fields["against_p"] == 1.0
    text = " ".join(to_text(result).split())
    assert "its WER is 55.56 %; 2 utterances are better here and 1 worse." in text
    assert "by chance with p = 1.0000 (paired permutation of utterances)" in text


def test_what_failed_in_the_other_system_is_told(tmp_path: Path) -> None:
    right = [reference for _, _, reference, _ in _ROWS]
    result = _compared(tmp_path, list(right), [right[0], None, None, right[3]])
    assert result.against is not None
    assert (result.against.better, result.against.failed, result.against.words.deletions) == (2, 2, 5)
    assert "% (2 utterances failed there, scored as deletions);" in " ".join(to_text(result).split())


def test_a_comparison_leaves_the_score_as_it_is_and_none_says_nothing(tmp_path: Path) -> None:
    right: list[str | None] = [reference for _, _, reference, _ in _ROWS]
    result = _compared(tmp_path, right, right)
    assert isinstance(result.against, Comparison)
    alone = score_manifest(tmp_path / "test.jsonl", tmp_path / "hyp.jsonl", "none", 1)
    assert replace(result, against=None) == alone
    assert not any(name.startswith("against") for name in alone.fields())
    assert "Against" not in to_text(alone)


def test_scoring_does_not_load_torch() -> None:
    code = "import sys, asr.score.receipt; sys.exit('torch' in sys.modules or 'jiwer' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
