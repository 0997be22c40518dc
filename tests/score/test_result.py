from __future__ import annotations

from pathlib import Path

import jiwer
import numpy as np
import pytest

from asr.errors import AsrError, UsageError
from asr.score.hypotheses import Hypothesis
from asr.score.receipt import score_fields
from asr.score.references import Reference
from asr.score.report import comparison_sentences
from asr.score.result import Comparison, Result, Settings, compare, score
from tests.corpora import corpus_folder

# id, speaker, reference, hypothesis
ROWS: list[tuple[str, str | None, str, str | None]] = [
    ("a1", "ann", "one two three", "one two three"),
    ("a2", "ann", "four five", "four nine five"),
    ("b1", "bob", "six seven eight", "sex seven"),
    ("b2", "bob", "six", "sex"),
]

# Six speakers, who differ a little.
SPEAKERS: list[tuple[str, str | None, str, str | None]] = [
    (
        f"{speaker}{number}",
        speaker,
        "one two three four",
        "one two three" if number < 3 + row % 2 else "one two three four",
    )
    for row, speaker in enumerate("abcdef")
    for number in range(10)
]


def scored(rows: list[tuple[str, str | None, str, str | None]], settings: Settings = Settings()) -> Result:  # noqa: B008
    references = [Reference(name, text, speaker=speaker, duration=1.0) for name, speaker, text, _ in rows]
    return score(references, {name: Hypothesis(text) for name, _, _, text in rows if text is not None}, settings)


def compared(ours: list[str | None], theirs: list[str | None], settings: Settings = Settings()) -> Comparison:  # noqa: B008
    """Two systems on ``ROWS``; None: no hypothesis."""
    results = [
        scored([(*row[:3], text) for row, text in zip(ROWS, texts, strict=True)], settings) for texts in (ours, theirs)
    ]
    return compare(*results, Path("other.jsonl"), ("ours", "theirs"))


def test_a_corpus_counted_by_hand() -> None:
    result = scored(ROWS)
    fields = score_fields(result)
    assert (fields["utterances"], fields["words"]) == (4, 9)
    assert (fields["substitutions"], fields["deletions"], fields["insertions"]) == (2, 1, 1)
    assert (fields["wer"], fields["ser"], fields["failed"]) == (44.44, 75.0, 0)
    assert result.counts.tolist() == [[3, 0, 0, 0], [2, 0, 0, 1], [1, 1, 1, 0], [0, 1, 0, 0]]
    assert result.confusions == {("six", "sex"): 2}
    assert (result.deletions, result.insertions) == ({"eight": 1}, {"nine": 1})
    assert [(one.name, one.utterances, one.words.rate) for one in result.speakers] == [
        ("ann", 2, 0.2),
        ("bob", 2, 0.75),
    ]


def test_rates_equal_jiwers() -> None:
    fields = score_fields(scored(ROWS))
    references, hypotheses = [row[2] for row in ROWS], [row[3] or "" for row in ROWS]
    assert fields["wer"] == round(100 * jiwer.wer(references, hypotheses), 2)
    assert fields["cer"] == round(100 * jiwer.cer(references, hypotheses), 2)


def test_groups_by_duration_and_length_hold_every_utterance_once() -> None:
    durations = [0.0, 1.0, 1.001, 2.0, 31.9, 32.0, 32.1, 4000.0, None]
    references = [Reference(str(n), "w " * n, duration=seconds) for n, seconds in enumerate(durations)]
    result = score(references, {str(n): Hypothesis("w") for n in range(len(durations))}, Settings())
    assert [(one.name, one.utterances) for one in result.durations] == [
        ("0–1 s", 2),
        ("1–2 s", 2),
        ("16–32 s", 2),
        ("over 32 s", 2),
    ]
    assert [(one.name, one.utterances) for one in result.lengths] == [
        ("0 words", 1),
        ("1 word", 1),
        ("2 words", 1),
        ("3–4 words", 2),
        ("5–8 words", 4),
    ]
    assert sum(one.words.errors for one in result.lengths) == result.words.errors == 1 + sum(range(8))


def test_sclites_costs_are_taken_where_they_are_asked_for() -> None:
    # Three substitutions cost 12, as do two deletions and two insertions around a hit: sclite counts four errors.
    rows: list[tuple[str, str | None, str, str | None]] = [("a", None, "a b c", "c d e"), ("b", None, "x", "x")]
    unit, sclite = scored(rows), scored(rows, Settings(alignment="sclite"))
    assert unit.words.errors == 3
    assert sclite.words.errors >= 3
    assert score_fields(sclite)["alignment"] == "sclite"


def test_the_headlines_interval_is_over_what_is_resampled() -> None:
    by_utterance, by_speaker = scored(SPEAKERS), scored(SPEAKERS, Settings(resample="speaker"))
    assert by_utterance.interval == by_utterance.by_utterance == by_speaker.by_utterance
    assert by_speaker.interval == by_speaker.by_speaker != by_speaker.by_utterance
    fields = score_fields(by_speaker)
    assert fields["wer_low"] is not None
    assert (fields["wer_low"], fields["wer_high"]) == (fields["wer_low_by_speaker"], fields["wer_high_by_speaker"])
    assert scored(ROWS, Settings(resample="speaker")).interval.high is None  # two speakers are too few
    nameless: list[tuple[str, str | None, str, str | None]] = [(name, None, *texts) for name, _, *texts in ROWS]  # type: ignore[misc]
    with pytest.raises(AsrError, match="4 of 4 utterances name no speaker; leave out --resample speaker"):
        scored(nameless, Settings(resample="speaker"))


def test_the_shares_of_the_speakers_add_up_on_real_transcripts() -> None:
    lines = (corpus_folder("an4") / "etc" / "an4_test.transcription").read_text().splitlines()
    rows: list[tuple[str, str | None, str, str | None]] = []
    for number, line in enumerate(lines):
        text, _, name = line.rstrip(")").rpartition(" (")
        words = [word for word in text.split() if not word.startswith("<")]
        heard = words[1:] if number % 3 == 0 else words  # every third utterance lacks its first word
        rows.append((name, name.split("-")[1], " ".join(words), " ".join(heard)))
    result = scored(rows)
    assert score_fields(result)["words"] == 773
    assert (len(result.utterances), len(result.speakers)) == (130, 10)
    assert result.wrong == result.words.deletions == result.words.errors == 44
    assert sum(one.words.errors for one in result.speakers) == 44
    assert sum(one.words.reference_length for one in result.speakers) == 773
    low, high = result.by_utterance.low, result.by_utterance.high
    assert low is not None
    assert high is not None
    assert low < 44 / 773 < high < 0.09


def test_failed_and_missing_are_deletions_and_are_named() -> None:
    references = [Reference(name, "one two", speaker="s") for name in ("a", "b", "c")]
    hypotheses = {"a": Hypothesis("one two"), "b": Hypothesis("", error="b.wav: the file is empty (0 bytes)")}
    result = score(references, hypotheses, Settings())
    assert (result.words.deletions, result.words.errors, result.wrong) == (4, 4, 2)
    assert (result.character_errors, result.characters) == (2 * len("one two"), 3 * len("one two"))
    assert score_fields(result)["failed"] == 2
    assert list(result.failed) == ["b", "c"]
    assert result.failed["b"].startswith("b.wav: the file is empty")
    assert result.failed["c"] == "there is no hypothesis"


def test_a_failed_utterance_is_wrong_even_where_nothing_was_said() -> None:
    result = score([Reference("a", ""), Reference("b", "one")], {"b": Hypothesis("one")}, Settings())
    assert (result.words.errors, result.wrong) == (0, 1)


def test_no_errors_never_round_to_certainty() -> None:
    result = scored([(str(number), f"s{number % 2}", "word " * 1000, "word " * 1000) for number in range(200)])
    fields = score_fields(result)
    assert (fields["wer"], fields["wer_low"], fields["wer_high"]) == (0.0, 0.0, 0.01)
    assert fields["wer_high_by_speaker"] == 0.01


def test_references_without_words() -> None:
    result = scored([("a", "s", "", "uh"), ("b", "t", " ", "")])
    fields = score_fields(result)
    assert (fields["wer"], fields["wer_low"], fields["wer_high"], fields["cer"]) == (None, None, None, None)
    assert (fields["insertions"], fields["ser"]) == (1, 50.0)
    assert result.words.rate is None and result.lengths[0].name == "0 words"


def test_more_errors_than_words() -> None:
    fields = score_fields(scored([("a", "s", "one", "a b c"), ("b", "t", "two", "d e f")]))
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
    result = scored([(str(number), speaker, "one two", "one") for number, speaker in enumerate(speakers)])
    fields = score_fields(result)
    assert (fields["wer_low_by_speaker"], fields["wer_high_by_speaker"]) == (None, None)
    assert fields["wer_low"] is not None
    assert reason in result.by_speaker.basis


def test_one_utterance_has_a_rate_and_no_interval() -> None:
    result = scored([("a", "s", "one two", "one")])
    assert (score_fields(result)["wer"], score_fields(result)["wer_low"]) == (50.0, None)
    assert "one utterance is too few" in result.by_utterance.basis


def test_both_sides_are_normalised_only_as_asked() -> None:
    rows: list[tuple[str, str | None, str, str | None]] = [("a", "s", "Café, au lait!", "CAFÉ au-lait")]
    assert scored(rows, Settings("none")).words.hits == 0
    assert scored(rows, Settings("basic")).words.errors == 0
    with pytest.raises(UsageError, match="no normaliser 'loud'"):
        scored(rows, Settings("loud"))


def test_hypotheses_of_other_utterances_are_refused_unless_allowed() -> None:
    hypotheses = {name: Hypothesis("one") for name in ("a", "stranger")}
    with pytest.raises(AsrError, match=r"1 of 2 hypotheses .* \(stranger\)"):
        score([Reference("a", "one")], hypotheses, Settings())
    result = score([Reference("a", "one")], hypotheses, Settings(allow_extra=True))
    assert (result.extra, result.words.errors, list(result.answers)) == (["stranger"], 0, ["a"])


def test_scripts_without_spaces_are_scored_by_character() -> None:
    rows: list[tuple[str, str | None, str, str | None]] = [("a", None, "今日は Tokyo です", "今日わ tokyo です")]
    assert scored(rows, Settings("basic")).counts.tolist() == [[5, 1, 0, 0]]
    assert scored(rows).counts.tolist() == [[1, 2, 0, 0]]


def test_characters_do_not_count_spaces_that_only_one_side_writes() -> None:
    rows: list[tuple[str, str | None, str, str | None]] = [
        ("a", None, "我 用 iPhone 吗", "我用iphone吗"),
        ("b", None, "a b", "ab"),
    ]
    result = scored(rows, Settings("basic"))
    assert (result.characters, result.character_errors) == (9 + 3, 1)
    assert scored(rows[:1]).character_errors == 4  # as they are written


def test_calibration_needs_the_confidence_of_every_word() -> None:
    references = [Reference("a", "one two"), Reference("b", "three")]
    sure = {"a": Hypothesis("one too", confidences=(1.0, 0.0)), "b": Hypothesis("three", confidences=(1.0,))}
    result = score(references, sure, Settings())
    assert result.calibration_error == 0.0
    assert sum(row.words for row in result.calibration) == 3
    lacking = score(references, {**sure, "b": Hypothesis("three")}, Settings())
    assert (lacking.calibration_error, lacking.calibration) == (None, [])


def test_another_system_is_compared_utterance_by_utterance() -> None:
    heard = [hypothesis for _, _, _, hypothesis in ROWS]  # errors 0, 1, 2, 1
    found = compared(heard, ["one two", "four five", "", "sex"])  # errors 1, 0, 3, 1
    assert (found.better, found.worse, found.other.words.errors) == (2, 1, 5)
    # Of the eight ways to give the differences -1, 1 and -1 signs, every one sums to 1 or more in size.
    assert found.permutation == 1.0
    assert (found.sentences.only_first, found.sentences.only_second) == (1, 1)
    assert found.bootstrap is not None
    assert found.bootstrap.difference == pytest.approx(-1 / 9)
    assert found.bootstrap.units == 4
    fields = score_fields(scored(ROWS), found)
    assert (fields["against"], fields["against_wer"], fields["against_p"]) == ("other.jsonl", 55.56, 1.0)
    by_speaker = compared(heard, ["one two", "four five", "", "sex"], Settings(resample="speaker")).bootstrap
    assert by_speaker is not None
    assert (by_speaker.units, by_speaker.unit) == (2, "speaker")


def test_many_short_utterances_sum_up() -> None:
    references = [Reference(str(number), "yes no") for number in range(30_000)]  # more than are split at a time
    hypotheses = {str(number): Hypothesis("yes" if number % 3 else "yes no") for number in range(30_000)}
    result = score(references, hypotheses, Settings())
    assert result.counts.sum(axis=0).tolist() == [40_000, 0, 20_000, 0]
    assert np.count_nonzero(result.errors) == result.wrong == 20_000


def test_what_mapsswe_cannot_align_does_not_stop_the_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr.score.sclite_align.MOST_CELLS", 8)
    found = compared(["one", "four", "six", "six"], [row[3] for row in ROWS])
    assert found.segments is None and "too many words" in found.left_out
    assert found.bootstrap is not None and found.sentences.only_second == 1
    assert "against_mapsswe_p" not in score_fields(scored(ROWS), found)
    assert found.left_out in comparison_sentences(found)


def test_a_refusal_names_the_file() -> None:
    hypotheses = {"z": Hypothesis("one"), "a": Hypothesis("one")}
    with pytest.raises(AsrError, match=r"other\.jsonl: 1 of 2 hypotheses .* \(z\)"):
        score([Reference("a", "one")], hypotheses, Settings(), source=Path("other.jsonl"))
