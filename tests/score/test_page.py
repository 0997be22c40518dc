from __future__ import annotations

import base64
import io
import math
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.score.media import MediaSettings
from asr.score.page import page_data, write_page
from asr.score.result import Settings, score
from asr.text import normaliser
from tests.score.pages import LINES, SECONDS, Line, data_of, details_of, posteriors, references, scored, written

_EVIL = (
    Line(
        "<script>alert(1)</script>",
        "</script><img src=x onerror=alert(2)>",
        "<b>a</b> </script>",
        "<!--<script>",
        "-->",
    ),
    Line("a & b", "<!--", "<img onerror=alert(3) src=x>", "]]> &lt;", "\u2028 \u2029 \\u003c"),
)


class _Elements(HTMLParser):
    """Tags with their attributes, and what follows scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def _replayed(data: dict, system: int) -> list[tuple[str, str, str]]:
    """Reference, hypothesis and operations of each utterance, put together as the page's script does."""
    found = []
    heard = data["heard"][system]
    for row, reference in enumerate(data["utterances"]["references"]):
        text = reference if heard["texts"][row] == 0 else heard["texts"][row]
        operations = heard["operations"][row] or "h" * len(reference.split(" ") if reference else [])
        found.append((reference, text, operations))
    return found


_TEXTS = st.lists(st.sampled_from(["a", "b", "cc", "d’e"]), max_size=6).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_TEXTS, _TEXTS, _TEXTS), min_size=1, max_size=5), st.sampled_from(["unit", "sclite"]))
def test_the_page_holds_what_was_counted(texts: list[tuple[str, str, str]], alignment: str) -> None:
    lines = [Line(str(number), None, *one) for number, one in enumerate(texts)]
    result, comparison = scored(lines, None, Settings(alignment=alignment))  # type: ignore[arg-type]
    data = page_data(result, comparison, {})
    for system, one in enumerate((result, comparison.other)):
        for row, (reference, text, operations) in enumerate(_replayed(data, system)):
            assert [operations.count(letter) for letter in "hsdi"] == one.counts[row].tolist()
            said, heard = reference.split(), text.split()
            assert (reference, text) == (" ".join(lines[row].said.split()), one.hypotheses[str(row)])
            places = [0, 0]
            for letter in operations:
                if letter == "h":
                    assert said[places[0]] == heard[places[1]]
                places = [places[0] + (letter != "i"), places[1] + (letter != "d")]
            assert places == [len(said), len(heard)]
    words = data["systems"][0]
    assert words["words"] == sum(len(one[0].split()) for one in texts)


def test_groups_and_errors_add_up() -> None:
    result, comparison = scored()
    data = page_data(result, comparison, {"seed": 1})
    for groups in data["groups"].values():
        assert sum(one[1] for one in groups) == len(LINES)
        assert sum(one[2] for one in groups) == result.words.reference_length
        assert sum(one[3] for one in groups) == result.words.errors
        assert sum(one[4] for one in groups) == comparison.other.words.errors
    assert sum(times for _, _, times in data["confusions"]) == result.words.substitutions
    assert sum(times for _, times in data["deletions"]) == result.words.deletions
    assert sum(times for _, times in data["insertions"]) == result.words.insertions
    assert [one["name"] for one in data["tests"]] == ["MAPSSWE", "Paired bootstrap", "McNemar", "Paired permutation"]
    assert all(0 <= one["p"] <= 1 and one["sentence"].endswith(".") for one in data["tests"])
    assert data["heard"][0]["failed"] == {"5": "the file is empty (0 bytes)"}
    assert data["receipt"] == {"seed": 1}


def test_confidences_keep_two_digits() -> None:
    result, _ = scored()
    data = page_data(result, None, {})
    for row, one in enumerate(result.answers.values()):
        digits = data["heard"][0]["confidences"][row]
        kept = [int(digits[place : place + 2]) / 99 for place in range(0, len(digits), 2)]
        assert kept == pytest.approx(list(one.confidences or ()), abs=0.0051)


def test_scripts_without_spaces_stand_character_by_character() -> None:
    result, _ = scored([Line("a", None, "你好 ok", "你号 ok", "你好 ok")], None, Settings(normalise="basic"))
    data = page_data(result, None, {})
    assert data["utterances"]["references"] == ["你 好 ok"]
    assert data["heard"][0]["texts"] == ["你 号 ok"]
    assert data["heard"][0]["operations"] == ["hsh"]


def test_nothing_that_data_says_becomes_markup(tmp_path: Path) -> None:
    result, comparison = scored(_EVIL, tmp_path)
    receipt = {"corpus": "<script>", "system": '"><img src=x>', "search": {"</script>": "<!--"}}
    html = written(tmp_path / "report.html", result, comparison, receipt, lines=_EVIL)
    tags = _Elements(html).tags
    assert [tag for tag, _ in tags if tag in ("img", "b", "iframe", "link", "object")] == []
    scripts = [attributes for tag, attributes in tags if tag == "script"]
    assert [one.get("id") for one in scripts] == ["data", None, "detail-0", "detail-1"]
    assert not any(name.startswith("on") or name == "src" for _, attributes in tags for name in attributes)
    data = data_of(html)
    assert data["utterances"]["ids"] == [one.id for one in _EVIL]
    assert data["utterances"]["speaker_names"] == sorted(str(one.speaker) for one in _EVIL)
    assert data["utterances"]["references"] == [" ".join(one.said.split()) for one in _EVIL]
    assert data["receipt"] == receipt


def test_the_page_needs_no_network(tmp_path: Path) -> None:
    result, comparison = scored(LINES, tmp_path)
    html = written(tmp_path / "report.html", result, comparison)
    assert set(re.findall(r"https?://[^\s\"'<]*", html)) <= {"http://www.w3.org/2000/svg"}
    policy = next(one["content"] for tag, one in _Elements(html).tags if "http-equiv" in one)
    assert "default-src 'none'" in str(policy)
    assert "connect-src" not in str(policy)


def test_recordings_follow_the_list_and_errors_come_first(tmp_path: Path) -> None:
    result, comparison = scored(LINES, tmp_path)
    html = written(tmp_path / "report.html", result, comparison)
    details = details_of(html)
    wrong = [row for row, one in enumerate(result.errors + comparison.other.errors) if one]
    assert list(details) == [*wrong, *(row for row in range(len(LINES)) if row not in wrong)]
    assert html.index('id="detail-') > html.index("function element(")
    for row, detail in details.items():
        heard, rate = soundfile.read(io.BytesIO(base64.b64decode(detail["audio"])))
        assert len(heard) / rate == pytest.approx(SECONDS, abs=0.001)
        assert detail["spectrogram"]
        assert detail["posteriors"]
        for times, one in zip(detail["times"], (result, comparison.other), strict=True):
            answer = one.answers[LINES[row].id]
            assert len(times) == 2 * len(answer.text.split())
            assert [time / 100 for time in times] == pytest.approx(np.ravel(answer.times or []).tolist(), abs=0.0051)


def test_beyond_the_limit_recordings_are_linked(tmp_path: Path) -> None:
    result, comparison = scored(LINES, tmp_path)
    embedded = details_of(written(tmp_path / "report.html", result, comparison))
    first, *_ = embedded.values()
    folder = tmp_path / "deeper"
    folder.mkdir()
    limit = 1.5 * len(first["audio"]) / 1e6
    some = details_of(written(folder / "report.html", result, comparison, audio_limit_mb=limit))
    assert ["audio" in one for one in some.values()] == [True] + [False] * (len(LINES) - 1)
    for row, detail in list(some.items())[1:]:
        spoken = result.utterances[row].utterance
        assert spoken is not None
        assert (folder / detail["link"]).samefile(spoken.audio)
        assert detail["spectrogram"]


def test_a_recording_that_is_gone_is_told(tmp_path: Path) -> None:
    result, _ = scored(LINES, tmp_path)
    (tmp_path / "audio" / "2.wav").unlink()
    details = details_of(written(tmp_path / "report.html", result))
    assert "there is no such file" in details[2]["error"]
    assert "audio" not in details[2]
    assert "audio" in details[1]


def test_texts_before_normalisation_are_kept_where_they_differ(tmp_path: Path) -> None:
    lines = [Line("a", None, "Hello, World!", "hello word", "x"), Line("b", None, "fine", "fine", "fine")]
    result, _ = scored(lines, None, Settings(normalise="basic"))
    details = details_of(written(tmp_path / "report.html", result, lines=lines))
    assert details == {0: {"reference": "Hello, World!"}}
    assert normaliser("basic").description in data_of((tmp_path / "report.html").read_text())["how"]


def test_where_there_is_too_much_for_spectrograms_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asr.score.page.resolution", lambda seconds: None)
    result, _ = scored(LINES, tmp_path)
    html = written(tmp_path / "report.html", result)
    assert all("spectrogram" not in one and one["audio"] for one in details_of(html).values())
    assert "no spectrograms" in data_of(html)["notes"][-1]
    assert result.notes == []


def test_numbers_that_json_lacks_are_left_out(tmp_path: Path) -> None:
    result, _ = scored()
    history = [{"epoch": 1, "loss": math.inf}, {"epoch": 2, "loss": math.nan, "dev_wer": 50.0}]
    write_page(tmp_path / "report.html", result, None, {"seed": math.nan}, history)
    data = data_of((tmp_path / "report.html").read_text())
    assert data["history"] == [{"epoch": 1, "loss": None}, {"epoch": 2, "loss": None, "dev_wer": 50.0}]
    assert data["receipt"] == {"seed": None}


def test_references_without_words_or_confidences(tmp_path: Path) -> None:
    lines = [Line("a", None, "", "", ""), Line("b", None, "", "", "")]
    result = score(references(lines, None), {}, Settings())
    data = data_of(written(tmp_path / "report.html", result, receipt={}, lines=lines))
    assert data["systems"][0]["wer"] is None
    assert data["calibration"] == []
    assert data["systems"][0]["failed"] == 2
    assert data["title"] == "Word error rate"


def test_progress_counts_recordings(tmp_path: Path) -> None:
    result, _ = scored(LINES, tmp_path)
    silent = replace(result, utterances=[*result.utterances[:-1], replace(result.utterances[-1], utterance=None)])
    seen: list[tuple[int, int | None]] = []
    write_page(tmp_path / "report.html", silent, None, {}, report=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 5) for number in range(1, 6)]


def test_a_page_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = scored(LINES, tmp_path)
    path = tmp_path / "report.html"
    path.write_text("before")
    damaged = posteriors(tmp_path / "p.safetensors", LINES)
    damaged.write_bytes(b"nonsense")
    with pytest.raises(AsrError, match=r"p\.safetensors"):
        write_page(path, result, None, {}, posteriors=damaged)

    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_page(path, result, None, {}, media=MediaSettings(), report=interrupt)
    assert path.read_text() == "before"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["audio", "p.safetensors", "report.html"]


def test_a_large_list_is_small(tmp_path: Path) -> None:
    said = "the cat sat on the mat and looked at the dog over there"
    lines = [
        Line(f"speaker-{row % 90:03}-{row:06}", str(row % 90), said, said.replace("cat", "cap"), said)
        for row in range(3000)
    ]
    result, _ = scored(lines)
    write_page(tmp_path / "report.html", result, None, {})
    assert (tmp_path / "report.html").stat().st_size < 3000 * 350


def test_texts_are_scored_where_nothing_reads_recordings(tmp_path: Path) -> None:
    (tmp_path / "ref.jsonl").write_text('{"id": "a", "text": "one two", "audio_filepath": "a.wav", "duration": 1}\n')
    (tmp_path / "hyp.txt").write_text("a one too\n")
    blocked = ("torch", "soundfile", "numba", "safetensors", "yaml", "soxr", "sentencepiece", "tensorboard")
    code = (
        f"import sys\nsys.modules.update(dict.fromkeys({blocked!r}))\n"  # None there makes an import fail
        "from asr.cli.main import main\n"
        f"sys.argv = ['asr', 'score', {str(tmp_path / 'ref.jsonl')!r}, {str(tmp_path / 'hyp.txt')!r}]\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.replace("page\n", "")) == (0, "")
    assert "torch is not installed" in (tmp_path / "hyp.txt.score" / "report.html").read_text()
