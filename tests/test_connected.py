"""Connected words from recordings of single ones: every recording once, bit for bit, where the boundaries say."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.cli.data import app
from asr.corpora import fsdd
from asr.corpora.connected import boundaries_path, connect, read_boundaries
from asr.errors import AsrError, UsageError
from asr.manifest import Utterance, read_manifest, write_manifest
from tests.corpora import corpus_folder

RATE = 8000


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """32 recordings of one word each, of ann (21) and bob (11)."""
    utterances = []
    for number in range(32):
        generator = np.random.default_rng(number)
        samples = np.rint(generator.normal(0, 3000, 800 + 10 * number)).astype(np.int16)
        path = tmp_path / "rec" / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, samples, RATE)
        speaker = "bob" if number % 3 == 0 else "ann"
        utterances.append(Utterance(f"u{number}", path, len(samples) / RATE, f"word{number}", speaker=speaker))
    write_manifest(tmp_path / "words.jsonl", utterances)
    return tmp_path / "words.jsonl"


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_recording_stands_once_where_its_boundaries_say(manifest: Path, tmp_path: Path) -> None:
    sources = {one.text: one for one in read_manifest(manifest)}
    made = connect(manifest, tmp_path / "out" / "c.jsonl", (3, 7), seed=4, gap=0.1)
    boundaries = read_boundaries(made.manifest)
    used = []
    for one in read_manifest(made.manifest):
        samples, rate = soundfile.read(one.audio, dtype="int16")
        assert rate == RATE and soundfile.info(one.audio).subtype == "PCM_16" and one.duration == len(samples) / rate
        words = one.text.split()
        assert 3 <= len(words) <= 7 and [span.word for span in boundaries[one.id]] == words
        clock = 0.0
        for span in boundaries[one.id]:
            assert sources[span.word].speaker == one.speaker
            assert 0 <= span.start - clock <= 0.1
            original, _ = soundfile.read(sources[span.word].audio, dtype="int16")
            assert (samples[round(span.start * rate) : round(span.end * rate)] == original).all()
            clock = span.end
        assert 0 <= one.duration - clock <= 0.1
        used += words
    left = [one.text for one in sources.values() if one.id in made.left]
    assert sorted(used + left) == sorted(sources) and len(left) < 6


def test_the_seed_alone_decides(manifest: Path, tmp_path: Path) -> None:
    first, same, other = (tmp_path / name / "c.jsonl" for name in ("a", "b", "d"))
    connect(manifest, first, seed=1)
    write_manifest(manifest, reversed(read_manifest(manifest)))
    connect(manifest, same, seed=1)
    connect(manifest, other, seed=2)
    assert digest(first.parent) == digest(same.parent)
    assert {one.text for one in read_manifest(first)} != {one.text for one in read_manifest(other)}
    connect(manifest, other, seed=1)  # over what stands there
    assert other.read_text() == first.read_text()
    assert boundaries_path(other).read_text() == boundaries_path(first).read_text()


def test_a_speaker_more_does_not_change_the_others(manifest: Path, tmp_path: Path) -> None:
    connect(manifest, tmp_path / "both.jsonl")
    write_manifest(tmp_path / "ann-words.jsonl", [one for one in read_manifest(manifest) if one.speaker == "ann"])
    connect(tmp_path / "ann-words.jsonl", tmp_path / "ann.jsonl")
    ann = [one.text for one in read_manifest(tmp_path / "ann.jsonl")]
    assert ann == [one.text for one in read_manifest(tmp_path / "both.jsonl") if one.speaker == "ann"]


def test_without_pauses_and_with_a_fixed_length(manifest: Path, tmp_path: Path) -> None:
    made = connect(manifest, tmp_path / "c.jsonl", (4, 4), gap=0.0)
    strings = read_manifest(made.manifest)
    assert {len(one.text.split()) for one in strings} == {4} and len(strings) == 21 // 4 + 11 // 4
    assert len(made.left) == 21 % 4 + 11 % 4
    for spans in read_boundaries(made.manifest).values():
        assert spans[0].start == 0
        assert all(one.end == after.start for one, after in pairwise(spans))


def test_pauses_are_as_quiet_as_the_quietest_of_the_recordings_beside_them(tmp_path: Path) -> None:
    utterances = []
    for number, quiet in enumerate((20, 200)):
        samples = np.random.default_rng(number).normal(0, 1, 4000) * np.where(np.arange(4000) < 3000, 4000, quiet)
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, np.rint(samples).astype(np.int16), RATE)
        utterances.append(Utterance(f"u{number}", path, 0.5, str(number), speaker="ann"))
    write_manifest(tmp_path / "words.jsonl", utterances)
    made = connect(tmp_path / "words.jsonl", tmp_path / "c.jsonl", (2, 2), gap=5.0)
    (one,) = read_manifest(made.manifest)
    samples, _ = soundfile.read(one.audio, dtype="int16")
    spans = read_boundaries(made.manifest)[one.id]
    edges = [0.0, spans[0].start, spans[0].end, spans[1].start, spans[1].end, one.duration]
    levels = {"0": 20, "1": 200}
    expected = [levels[spans[0].word], 20, levels[spans[1].word]]
    for (begin, end), level in zip(zip(edges[::2], edges[1::2], strict=True), expected, strict=True):
        pause = samples[round(begin * RATE) : round(end * RATE)].astype(float)
        assert pause.std() == pytest.approx(level, rel=0.35)


def test_what_cannot_be_joined_is_a_sentence_and_nothing_is_written(manifest: Path, tmp_path: Path) -> None:
    utterances = read_manifest(manifest)
    u11 = utterances[3]
    out = tmp_path / "out" / "c.jsonl"
    soundfile.write(tmp_path / "fast.wav", np.ones(800) / 9, 16000)
    broken = {
        "says 'two words'": replace(u11, text="two words"),
        "says ''": replace(u11, text=""),
        "u11 has no speaker": replace(u11, speaker=None),
        "there is no such file": replace(u11, audio=tmp_path / "gone.wav"),
        "u11 has 16000 samples a second and u0 has 8000": replace(u11, audio=tmp_path / "fast.wav", duration=0.05),
    }
    for sentence, one in broken.items():
        write_manifest(tmp_path / "broken.jsonl", [one, *(other for other in utterances if other.id != one.id)])
        with pytest.raises(AsrError, match=sentence):
            connect(tmp_path / "broken.jsonl", out)
    with pytest.raises(AsrError, match="no speaker has 22 recordings"):
        connect(manifest, out, (22, 30))
    for lengths, gap, sentence in [((0, 3), 0.1, "3-7, this is 0-3"), ((5, 3), 0.1, "5-3"), ((3, 5), -1.0, "--gap")]:
        with pytest.raises(UsageError, match=sentence):
            connect(manifest, out, lengths, gap=gap)
    with pytest.raises(UsageError, match="the manifest itself"):
        connect(manifest, manifest)
    with pytest.raises(UsageError, match="must be a file name"):
        connect(manifest, tmp_path / "folder")
    assert not out.parent.exists()


def test_the_command(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "c.jsonl"
    app(["connect", str(manifest), "--out", str(out), "--lengths", "2-3", "--seed", "7"], standalone_mode=False)
    assert "2 speakers" in capsys.readouterr().out
    assert {len(one.text.split()) for one in read_manifest(out)} == {2, 3}
    with pytest.raises(UsageError, match="--lengths must be two numbers"):
        app(["connect", str(manifest), "--out", str(out), "--lengths", "three"], standalone_mode=False)


def test_boundaries_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "c.boundaries.jsonl").write_text('{"id": "a", "words": []}\n{"id": "b", "words": [["x", 1]]}\n')
    with pytest.raises(AsrError, match=r"c\.boundaries\.jsonl:2: must be"):
        read_boundaries(tmp_path / "c.jsonl")
    with pytest.raises(AsrError, match="could not be read"):
        read_boundaries(tmp_path / "d.jsonl")


def test_strings_of_fsdd(tmp_path: Path) -> None:
    prepared = fsdd.prepare(corpus_folder("free-spoken-digit-dataset").parent)
    dev = prepared.write(tmp_path)["dev"]
    made = connect(dev, tmp_path / "connected" / "dev.jsonl")
    strings = read_manifest(made.manifest)
    assert {one.speaker for one in strings} == set(fsdd.SPEAKERS)
    assert sum(len(one.text.split()) for one in strings) + len(made.left) == 120


def test_copies_put_each_recording_into_other_company(manifest: Path, tmp_path: Path) -> None:
    once = read_manifest(connect(manifest, tmp_path / "once.jsonl").manifest)
    thrice = read_manifest(connect(manifest, tmp_path / "thrice.jsonl", copies=3).manifest)
    texts = [one.text for one in thrice]
    assert texts[: len(once)] == [one.text for one in once]
    assert texts[len(once) : 2 * len(once)] != texts[: len(once)]
    words, single = (sum(len(one.text.split()) for one in found) for found in (thrice, once))
    assert 2.5 * single <= words <= 3.5 * single
