from __future__ import annotations

import html
import random
import re
import subprocess
from pathlib import Path

import pytest

from asr.errors import AsrError
from asr.score.hypotheses import Hypothesis
from asr.score.timed import by_file, by_segment, read_ctm, read_stm

_SCLITE = Path("/usr/lib/sctk/bin/sclite")
_PATH = Path("some")

_STM = """;; a comment
f 1 ann 1.0 2.0 <o,f0> a b c
f 1 bob 3.0 4.0 d
f 1 gap 5.0 6.0 <o> IGNORE_TIME_SEGMENT_IN_SCORING
f 1 ann 7.0 8.0 <o>
g A bob 0 1 e f
"""


def test_segments_of_an_stm_file() -> None:
    segments = read_stm(_PATH, _STM)
    assert [(one.id, one.speaker, one.text, one.ignored) for one in segments] == [
        ("f_1_1.00-2.00", "ann", "a b c", False),
        ("f_1_3.00-4.00", "bob", "d", False),
        ("f_1_5.00-6.00", "gap", "IGNORE_TIME_SEGMENT_IN_SCORING", True),
        ("f_1_7.00-8.00", "ann", "", False),
        ("g_A_0.00-1.00", "bob", "e f", False),
    ]
    twice = read_stm(_PATH, "f 1 ann 0 1 a\nf 1 bob 0 1 b\n")
    assert [one.id for one in twice] == ["f_1_0.00-1.00", "f_1_0.00-1.00_2"]


def test_words_of_a_ctm_file() -> None:
    text = ";; a comment\nu-1 1 0.50 0.25 two 0.5 lex ann\nu-1 1 0.00 0.50 one 1\nu-2 1 0 1 x NA\n"
    assert by_file(_PATH, read_ctm(_PATH, text)) == {
        "u-1": Hypothesis("one two", confidences=(1.0, 0.5), times=((0.0, 0.5), (0.5, 0.75))),
        "u-2": Hypothesis("x", times=((0.0, 1.0),)),
    }
    with pytest.raises(AsrError, match="the utterance 'u' has words in 2 channels"):
        by_file(_PATH, read_ctm(_PATH, "u A 0 1 one\nu B 0 1 two\n"))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("f 1 ann 0", "this has 4 fields"),
        ("f 1 ann zero 1 one", "the start must be a number of seconds that is not negative, this is 'zero'"),
        ("f 1 ann 0 nan one", "the end must be a number"),
        ("f 1 ann 2 1 one", "the segment ends at 1 s, before its start at 2 s"),
        ("f 1 ann 0 1 <o> { one / two }", "'{' is NIST's markup"),
        ("f 1 ann 0 1 one (uh)", "'(uh)' is NIST's markup"),
    ],
)
def test_a_bad_line_of_stm_is_told(line: str, sentence: str) -> None:
    with pytest.raises(AsrError) as told:
        read_stm(_PATH, f";; first\n{line}\n")
    assert str(told.value).startswith("some:2: ") and sentence in str(told.value)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("f 1 0 1", "this has 4 fields"),
        ("f 1 0 1 a 1 lex ann more", "this has 9 fields"),
        ("f 1 -1 1 a", "the start must be a number of seconds that is not negative, this is '-1'"),
        ("f 1 0 x a", "the duration must be a number"),
        ("f 1 0 1 a sure", "the confidence must be a number or NA, this is 'sure'"),
        ("f 1 0 1 a 1.5", "the confidence of a word must be a number from 0 to 1, this is 1.5"),
        ("f 1 * * <ALT_BEGIN>", "'<ALT' is NIST's markup"),
    ],
)
def test_a_bad_line_of_ctm_is_told(line: str, sentence: str) -> None:
    with pytest.raises(AsrError) as told:
        read_ctm(_PATH, f";; first\n{line}\n")
    assert str(told.value).startswith("some:2: ") and sentence in str(told.value)


def _given(stm: str, ctm: str) -> tuple[dict[str, str], int]:
    hypotheses, ignored = by_segment(read_stm(_PATH, stm), read_ctm(_PATH, ctm))
    return {name: one.text for name, one in hypotheses.items()}, ignored


def test_words_between_segments_go_to_the_later_one_and_those_at_the_end_to_the_last() -> None:
    middles = [0.3, 1.5, 2.0, 2.1, 3.9, 4.0, 5.5, 6.0, 9.0]  # of words of 0.2 s
    ctm = "".join(f"f 1 {middle - 0.1:.2f} 0.2 w{middle}\n" for middle in middles)
    assert _given(_STM, ctm) == (
        {"f_1_1.00-2.00": "w0.3 w1.5", "f_1_3.00-4.00": "w2.0 w2.1 w3.9", "f_1_7.00-8.00": "w6.0 w9.0"},
        2,
    )


def test_every_word_is_given_once_or_ignored_and_strangers_are_kept() -> None:
    given, ignored = _given(_STM, "h 1 0.0 0.1 x\nf 2 0.0 0.1 y\ng A 0.5 0.1 e\n")
    assert given == {"h_1": "x", "f_2": "y", "g_A_0.00-1.00": "e"} and ignored == 0


def _random_talk(generator: random.Random) -> tuple[str, str]:
    """An STM and a CTM file as recognisers leave them: gaps, overlaps, words astride boundaries and exactly on them."""
    segments, words = [], []
    for file in ("talk1", "talk2", "talk3"):
        for channel in ("a", "b"):
            end = 0.0
            for _ in range(generator.randint(1, 12)):
                start = max(0.0, end + generator.choice([0, 0, 0.5, 2, -0.3]))
                end = start + generator.choice([0.5, 1, 1.7, 3])
                text = " ".join(generator.choices("abcd", k=generator.randint(0, 6)))
                text = "ignore_time_segment_in_scoring" if generator.random() < 0.2 else text
                labels = generator.choice(["<o,f0>", ""]) if text else "<o>"
                speaker = generator.choice(["ann", "bob"])
                segments.append(f"{file} {channel} {speaker} {start:.2f} {end:.2f} {labels} {text}".rstrip())
            time = 0.0
            for _ in range(generator.randint(1, 40)):
                length = generator.choice([0, 0.1, 0.2, 0.25, 0.5])
                words.append(f"{file} {channel} {time:.2f} {length:.2f} {generator.choice('abcd')}")
                time += generator.choice([0, 0.1, 0.25, 0.5])
    return "\n".join(segments) + "\n", "\n".join(words) + "\n"


@pytest.mark.skipif(not _SCLITE.exists(), reason="sclite (Debian's package sctk) is not installed")
def test_words_are_given_as_sclite_gives_them(tmp_path: Path) -> None:
    generator = random.Random(1)
    for _ in range(60):
        stm, ctm = _random_talk(generator)
        (tmp_path / "ref.stm").write_text(stm)
        (tmp_path / "hyp.ctm").write_text(ctm)
        command = [_SCLITE, "-r", "ref.stm", "stm", "-h", "hyp.ctm", "ctm", "-o", "sgml", "stdout", "-f", "0"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        scored: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
        pattern = r'<PATH .* file="(\S+)" channel="(\S+)" sequence="(\d+)".*>\n(.*)\n</PATH>'
        for file, channel, number, steps in re.findall(pattern, done.stdout):
            operations = [step.split(",") for step in html.unescape(steps).split(":") if step]
            said, heard = (" ".join(one[side].strip('"') for one in operations if one[side]) for side in (1, 2))
            scored.setdefault((file, channel), []).append((int(number), said, heard))

        segments, tracks = read_stm(_PATH, stm), read_ctm(_PATH, ctm)
        given, _ = by_segment(segments, tracks)
        ours: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for one in segments:
            if not one.ignored:
                ours.setdefault(one.track, []).append((one.text, given[one.id].text))
        assert ours == {track: [(said, heard) for _, said, heard in sorted(rows)] for track, rows in scored.items()}
