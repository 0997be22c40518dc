"""What writers write, read by other people's parsers."""

from __future__ import annotations

import itertools
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import srt
import webvtt
from hypothesis import example, given
from hypothesis import strategies as st
from praatio import textgrid

from asr.decode.hypothesis import Word
from asr.transcribe.subtitles import LINE, LONGEST, PAUSE, cues
from asr.transcribe.transcript import Segment, Transcript
from asr.transcribe.writers import WRITERS

_LETTERS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)
_ODD = st.sampled_from(['say"so', "<b>", "&amp;", "O'NEILL", "नमस्ते", "a>b"])


@st.composite
def transcripts(draw: st.DrawFn, spelling: st.SearchStrategy[str] = _LETTERS | _ODD) -> Transcript:
    """Words with gaps, some of no length."""
    words, at = [], 0.0
    for _ in range(draw(st.integers(0, 25))):
        start = at + draw(st.sampled_from([0.0, 0.0, 0.03, 0.5, 0.79, 0.81, 3.0]))
        at = start + draw(st.sampled_from([0.0, 0.001, 0.09, 0.3, 1.2, 8.0]))
        words.append(Word(draw(spelling), round(start, 3), round(at, 3), draw(st.floats(0, 1))))
    duration = round(at + draw(st.sampled_from([0.0, 2.0])), 3)
    cuts = sorted({0, len(words), *draw(st.lists(st.integers(0, len(words)), max_size=3))})
    return _transcript(*[words[begin:end] for begin, end in itertools.pairwise(cuts)], duration=duration)


def _transcript(*segments: list[Word], duration: float) -> Transcript:
    made = tuple(Segment(words[0].start, words[-1].end, tuple(words)) for words in segments)
    return Transcript(Path("a talk.wav"), duration, made)


def _written(name: str, spoken: Transcript, least: float = 0.0) -> str:
    return WRITERS[name](least).write(spoken)


@given(transcripts())
def test_subtitles_are_as_people_expect_them(spoken: Transcript) -> None:
    found = cues(spoken, lambda word: word.word)
    assert " ".join(line for cue in found for line in cue.lines).split() == [word.word for word in spoken.words]
    for cue, following in itertools.pairwise(found):
        assert cue.end <= following.start
    ends = set(itertools.accumulate(len(segment.words) for segment in spoken.segments))
    place = 0
    for cue in found:
        count = len(" ".join(cue.lines).split())
        assert not ends & set(range(place + 1, place + count))
        said, place = spoken.words[place : place + count], place + count
        assert 1 <= len(cue.lines) <= 2
        assert all(len(line) <= LINE for line in cue.lines)
        assert all(b.start - a.end < PAUSE for a, b in itertools.pairwise(said))
        assert cue.start == said[0].start
        assert cue.start <= cue.end
        assert count == 1 or said[-1].end - cue.start <= LONGEST
        assert cue.end >= said[-1].end


def test_two_lines_are_about_as_long_as_each_other_and_a_long_word_has_its_own() -> None:
    words = [Word(word, number, number + 0.5, 1.0) for number, word in enumerate(["the", "quick", "brown", "fox"])]
    (cue,) = cues(_transcript(words, duration=10.0), lambda word: word.word * 4)
    assert [len(line) for line in cue.lines] == [33, 33]
    long = _transcript([Word("x" * 60, 0, 1, 1.0)], duration=1.0)
    assert cues(long, lambda word: word.word)[0].lines == ("x" * 60,)


def test_a_short_subtitle_stays_for_a_second_where_there_is_room() -> None:
    words = [Word("a", 0.0, 0.2, 1), Word("b", 1.5, 1.6, 1), Word("c", 2.42, 2.5, 1)]
    assert [(cue.start, cue.end) for cue in cues(_transcript(words, duration=2.7), lambda word: word.word)] == [
        (0.0, 1.0),
        (1.5, 2.42),
        (2.42, 2.7),
    ]


@given(transcripts())
def test_srt_is_read_by_another_parser(spoken: Transcript) -> None:
    read = list(srt.parse(_written("srt", spoken)))
    made = cues(spoken, lambda word: word.word)
    assert [one.index for one in read] == list(range(1, len(made) + 1))
    assert [one.content for one in read] == ["\n".join(cue.lines) for cue in made]
    assert [one.start.total_seconds() for one in read] == pytest.approx([cue.start for cue in made], abs=6e-4)
    assert [one.end.total_seconds() for one in read] == pytest.approx([cue.end for cue in made], abs=6e-4)


@given(transcripts())
@example(_transcript([Word("late", 3999.9996, 4000.0, 1.0)], duration=4000.0))
def test_vtt_is_read_by_another_parser(spoken: Transcript) -> None:
    read = list(webvtt.from_string(_written("vtt", spoken)))
    made = cues(spoken, lambda word: word.word)
    escaped = [
        "\n".join(line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in cue.lines)
        for cue in made
    ]
    assert [one.raw_text for one in read] == escaped
    assert [one.start_in_seconds for one in read] == pytest.approx([int(cue.start + 5e-4) for cue in made])


@given(spoken=transcripts())
def test_a_textgrid_is_read_by_praatio_and_leaves_no_gap(
    spoken: Transcript, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("grid") / "a.TextGrid"
    path.write_text(_written("textgrid", spoken), encoding="utf-8")
    tier = textgrid.openTextgrid(str(path), includeEmptyIntervals=True).getTier("words")
    assert [one.label for one in tier.entries if one.label] == [word.word for word in spoken.words]
    edges = [0.0, *(one.end for one in tier.entries)]
    assert [one.start for one in tier.entries] == pytest.approx(edges[:-1], abs=2e-6)
    assert all(one.end > one.start for one in tier.entries)
    assert edges[-1] == pytest.approx(max(spoken.duration, 0.001 * max(len(spoken.words), 1)), abs=1e-5)


@given(transcripts())
def test_tables_hold_every_word(spoken: Transcript) -> None:
    ctm = [line.split() for line in _written("ctm", spoken).splitlines()]
    assert [row[4] for row in ctm] == [word.word for word in spoken.words]
    assert all(row[:2] == ["a_talk", "1"] for row in ctm)
    assert [float(row[2]) + float(row[3]) for row in ctm] == pytest.approx(
        [word.end for word in spoken.words], abs=2e-3
    )
    heading, *tsv = [line.split("\t") for line in _written("tsv", spoken).splitlines()]
    assert heading == ["start", "end", "word", "confidence"]
    assert [row[2] for row in tsv] == [word.word for word in spoken.words]
    assert [int(row[0]) for row in tsv] == [round(1000 * word.start) for word in spoken.words]
    fields = json.loads(_written("json", spoken))
    assert fields["text"] == " ".join(word.word for word in spoken.words)
    said = [word for segment in fields["segments"] for word in segment["words"]]
    assert [one["confidence"] for one in said] == [word.confidence for word in spoken.words]


def test_doubtful_words_are_marked() -> None:
    words = [Word("sure", 0, 1, 0.9), Word("what", 1, 2, 0.3)]
    spoken = _transcript(words, duration=2.0)
    for name in ("txt", "srt", "vtt", "textgrid"):
        text = _written(name, spoken, 0.5)
        assert "[what?]" in text
        assert not re.search(r"\[sure|\[what\?\]\?", text)
    (segment,) = json.loads(_written("json", spoken, 0.5))["segments"]
    assert [one.get("doubtful") for one in segment["words"]] == [None, True]
    assert "0.3000" in _written("ctm", spoken, 0.5)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_nothing_said_is_a_file_all_the_same(name: str) -> None:
    text = _written(name, _transcript(duration=0.0))
    assert text.endswith("\n") or name in ("srt", "ctm")
    if name == "textgrid":
        assert "size = 1" in text


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_name_that_is_not_text_can_be_written(name: str) -> None:
    spoken = replace(_transcript([Word("a", 0, 1, 1.0)], duration=1.0), audio=Path(os.fsdecode(b"caf\xe9 1.wav")))
    text = _written(name, spoken).encode().decode()
    if name == "json":
        assert os.fsencode(json.loads(text)["audio"]) == b"caf\xe9 1.wav"
    if name == "ctm":
        assert text.split()[0] == "caf?_1"
