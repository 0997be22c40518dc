"""Manifests: what is written is read back, and a bad line is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.manifest import Utterance, read_manifest, write_manifest

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_SECONDS = st.floats(0, 1e5).map(lambda value: round(value, 6))


@given(
    rows=st.lists(
        st.tuples(_TEXT, _SECONDS, st.none() | _SECONDS, st.none() | _TEXT, st.none() | _TEXT), min_size=1, max_size=5
    )
)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    folder = tmp_path_factory.mktemp("manifest")
    utterances = [
        Utterance(f"u{number}", folder / "audio" / f"{number}.wav", duration, text, offset, speaker, lang)
        for number, (text, duration, offset, speaker, lang) in enumerate(rows)
    ]
    write_manifest(folder / "m" / "a.jsonl", reversed(utterances))
    back = read_manifest(folder / "m" / "a.jsonl")
    assert [(one.id, one.text, one.duration, one.offset, one.speaker, one.lang) for one in back] == [
        (one.id, one.text, one.duration, one.offset, one.speaker, one.lang) for one in utterances
    ]
    assert [one.audio.resolve() for one in back] == [one.audio for one in utterances]


def test_the_order_of_utterances_does_not_change_the_file(tmp_path: Path) -> None:
    utterances = [Utterance(name, tmp_path / f"{name}.wav", 1.0, name) for name in "cab"]
    write_manifest(tmp_path / "1.jsonl", utterances)
    write_manifest(tmp_path / "2.jsonl", utterances[::-1])
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()
    assert str(tmp_path) not in (tmp_path / "1.jsonl").read_text()


def test_nemo_manifests_work_unchanged(tmp_path: Path) -> None:
    lines = [
        {"audio_filepath": "wav/a b.wav", "duration": 3, "text": "one", "pred_text": "extra", "lang": None},
        {"audio_filepath": "/abs/c.wav", "duration": 2.5, "offset": 7.25, "text": None, "speaker": 12},
    ]
    (tmp_path / "m.jsonl").write_text("\ufeff" + "\r\n\r\n".join(map(json.dumps, lines)) + "\r\n")
    first, second = read_manifest(tmp_path / "m.jsonl")
    assert first == Utterance("wav-a_b", tmp_path / "wav/a b.wav", 3.0, "one")
    assert second == Utterance("abs-c@7.25", Path("/abs/c.wav"), 2.5, "", 7.25, "12")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "not a JSON object .*column 2"),
        ("[1]", "must be a JSON object, this is list"),
        ("[" * 100_000, "not a JSON object"),
        ('{"duration": ' + "9" * 5000 + "}", "not a JSON object"),
        ('{"duration": 1, "text": "x"}', "'audio_filepath' is missing"),
        ('{"audio_filepath": "a.wav", "duration": null, "text": "x"}', "'duration' is missing"),
        ('{"audio_filepath": "", "duration": 1, "text": "x"}', "must name a file"),
        ('{"audio_filepath": "a\\u0000.wav", "duration": 1, "text": "x"}', "must name a file"),
        ('{"audio_filepath": ".", "duration": 1, "text": "x"}', "must name a file"),
        ('{"audio_filepath": 5, "duration": 1, "text": "x"}', "'audio_filepath' must be a string"),
        ('{"audio_filepath": "a.wav", "duration": "1", "text": "x"}', "'duration' must be a number"),
        ('{"audio_filepath": "a.wav", "duration": NaN, "text": "x"}', "'duration' must be a number"),
        ('{"audio_filepath": "a.wav", "duration": 1' + "0" * 400 + ', "text": "x"}', ""),
        ('{"audio_filepath": "a.wav", "duration": 1, "offset": -1, "text": "x"}', "'offset' must be a number"),
        ('{"audio_filepath": "a.wav", "duration": true, "text": "x"}', "'duration' must be a number"),
        ('{"audio_filepath": "a.wav", "duration": 1, "text": "\\ud800"}', "surrogate"),
        ('{"audio_filepath": "a.wav", "duration": 1, "text": "x", "id": "a b"}', "without white space"),
        ('{"audio_filepath": "o.wav", "duration": 1, "text": "x", "id": "ok"}', "'ok' stands on line 1 already"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    good = '{"id": "ok", "audio_filepath": "ok.wav", "duration": 1, "text": "x"}'
    (tmp_path / "m.jsonl").write_text(f"{good}\n\n{line}\n")
    with pytest.raises(AsrError, match=rf"m\.jsonl:3: .*{sentence}"):
        read_manifest(tmp_path / "m.jsonl")


def test_missing_empty_and_other_encodings(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match="could not be read"):
        read_manifest(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(AsrError, match="holds no utterances"):
        read_manifest(tmp_path / "empty.jsonl")
    (tmp_path / "latin.jsonl").write_bytes('{"text": "é"}'.encode("latin-1"))
    with pytest.raises(AsrError, match="not UTF-8"):
        read_manifest(tmp_path / "latin.jsonl")


def test_an_id_twice_or_a_name_that_is_not_unicode_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    one = Utterance("a", tmp_path / "a.wav", 1.0, "x")
    with pytest.raises(AsrError, match="two utterances have the id 'a'"):
        write_manifest(path, [one, one])
    with pytest.raises(AsrError, match="not UTF-8; rename"):
        write_manifest(path, [Utterance("a", tmp_path / "\udcff.wav", 1.0, "x")])
    assert not path.exists()


def test_a_link_to_another_disk_gives_the_same_manifest(tmp_path: Path) -> None:
    texts = []
    for name in ("plain", "linked"):
        root = tmp_path / name
        store = root / "downloads" if name == "plain" else tmp_path / "other" / "disk"
        store.mkdir(parents=True)
        (store / "a.wav").touch()
        if name == "linked":
            root.mkdir()
            (root / "downloads").symlink_to(store)
        write_manifest(root / "set" / "m.jsonl", [Utterance("a", root / "downloads" / "a.wav", 1.0, "x")])
        texts.append((root / "set" / "m.jsonl").read_text())
        assert read_manifest(root / "set" / "m.jsonl")[0].audio.exists()
    assert texts[0] == texts[1]


def test_a_manifest_behind_a_link_still_finds_its_audio(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "a.wav").touch()
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er")
    write_manifest(tmp_path / "link" / "m.jsonl", [Utterance("a", tmp_path / "deep" / "a.wav", 1.0, "x")])
    again = read_manifest(tmp_path / "link" / "m.jsonl")
    assert again[0].audio.exists()
    write_manifest(tmp_path / "copy.jsonl", again)
    assert read_manifest(tmp_path / "copy.jsonl")[0].audio.exists()
