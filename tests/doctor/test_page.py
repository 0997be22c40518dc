"""The page in a real browser: it is filtered, searched, sorted, paged, and shows texts as what they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.config import Config
from asr.doctor.examine import Diagnosis, examine
from asr.doctor.finding import Case
from asr.doctor.measure import Recording
from asr.doctor.page import _link
from asr.doctor.report import write_diagnosis
from asr.doctor.sets import read_sets
from asr.manifest import Utterance
from tests.browser import CHROMIUM, Page, browser
from tests.doctor.speech import Corpus, plant_ten

_browsed = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt install chromium)")

_LONG = "x" * 80
_HOSTILE = "</script><script>window.hit=1</script><img src=x onerror=window.hit=2>"


def _examined(paths: list[Path]) -> Diagnosis:
    return examine(read_sets(paths), Config(), "conf.yaml", None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds a page each: planted (ten faults), hostile (texts, ids), missing (1,000 recordings that are not there)."""
    folder = tmp_path_factory.mktemp("pages")
    planted = Corpus(folder / "planted-corpus")
    plant_ten(planted)
    write_diagnosis(folder / "planted", _examined(planted.write()))

    hostile = Corpus(folder / "hostile-corpus")
    hostile.change("train-01", text=_HOSTILE, speaker=_HOSTILE)
    hostile.change("dev-01", id=f"<b>/{_LONG}", text=f"{_HOSTILE} {'word ' * 400}end")
    hostile.change("dev-02", speaker=_LONG, text=_LONG)
    soundfile.write(hostile.folder / "train-02.sph", hostile.samples("train-02"), 16000, format="NIST")
    hostile.change("train-02", audio_filepath="train-02.sph")
    write_diagnosis(folder / "hostile", _examined(hostile.write()))

    lines = [
        {"id": f"{row:04}", "audio_filepath": f"{row}.wav", "duration": 1.0, "text": "words", "speaker": str(row % 100)}
        for row in range(1000)
    ]
    (folder / "missing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_diagnosis(folder / "missing", _examined([folder / "missing.jsonl"]))
    return folder


@pytest.fixture(scope="module")
def browser_tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def tab(browser_tab: Page) -> Iterator[Page]:
    """A window of a desk; afterwards nothing may have been asked of a network, complained about or run."""
    browser_tab.view(1280, 900)
    yield browser_tab
    assert browser_tab.complaints == []
    assert [one for one in browser_tab.requests if not one.startswith(("file:", "data:"))] == []
    assert browser_tab.ask("window.hit === undefined")


def _open(tab: Page, folder: Path, name: str) -> None:
    tab.open(folder / name / "doctor.html")


def _texts(tab: Page, selector: str) -> list[str]:
    return tab.ask(f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.textContent)")


def _column(tab: Page, number: int) -> list[float]:
    cells = _texts(tab, f"#utterances tbody td:nth-child({number})")
    return [float(cell) for cell in cells if cell]


@_browsed
def test_findings_are_filtered_by_level(tab: Page, folder: Path) -> None:
    _open(tab, folder, "planted")
    assert _texts(tab, "#verdict")[0] == "Something must be fixed.6 errors, 4 warnings"
    assert _texts(tab, "#levels button") == ["all 10", "error 6", "warning 4", "information 0"]
    for level, count in (("error", 6), ("warning", 4), ("information", 0), ("", 10)):
        tab.click(f'#levels button[data-level="{level}"]')
        shown = _texts(tab, "#findings summary .level")
        assert len(shown) == count
        assert not level or set(shown) <= {level}
        assert _texts(tab, "#levels [aria-pressed=true]")[0].split()[0] == (level or "all")


@_browsed
def test_findings_are_searched(tab: Page, folder: Path) -> None:
    _open(tab, folder, "planted")
    tab.write("#find", "TRAIN-08")
    assert _texts(tab, "#findings .check") == ["clipping"]
    assert _texts(tab, "#findings .name") == ["train/train-08"]
    tab.write("#find", "nothing holds this")
    assert _texts(tab, "#findings") == ["No finding fits."]


@_browsed
def test_a_finding_is_folded_and_unfolded(tab: Page, folder: Path) -> None:
    _open(tab, folder, "planted")
    assert tab.ask("document.querySelector('#findings details').open")
    tab.click("#findings summary")
    assert not tab.ask("document.querySelector('#findings details').open")


@_browsed
def test_utterances_are_sorted_by_any_column(tab: Page, folder: Path) -> None:
    _open(tab, folder, "planted")
    for number, name in ((4, "seconds"), (5, "level"), (6, "peak"), (7, "rate")):
        for order, backwards in (("ascending", False), ("descending", True)):
            tab.click(f"#utterances [data-by={name}]")
            values = _column(tab, number)
            assert values == sorted(values, reverse=backwards)
            assert len(set(values)) > 5
            assert tab.ask("document.querySelector('#utterances [aria-sort]').ariaSort") == order
    tab.click("#utterances [data-by=text]")
    said = _texts(tab, "#utterances tbody td.text")
    assert said == sorted(said)
    # What could not be read has no numbers, and stands behind all that have.
    tab.click("#next")
    tab.click("#utterances [data-by=seconds]")
    tab.click("#next")
    assert _texts(tab, "#utterances tbody tr:last-child td.id") == ["▶train/train-00"]


@_browsed
def test_utterances_are_searched_and_chosen_by_set(tab: Page, folder: Path) -> None:
    _open(tab, folder, "planted")
    assert _texts(tab, "#shown") == ["65 of 65"]
    assert (_texts(tab, "#page"), len(_texts(tab, "#utterances tbody tr"))) == (["page 1 of 2"], 50)
    tab.click("#next")
    assert (_texts(tab, "#page"), len(_texts(tab, "#utterances tbody tr"))) == (["page 2 of 2"], 15)
    tab.write("#search", "We need 7")
    assert _texts(tab, "#shown") == ["1 of 65"]
    assert _texts(tab, "#utterances td.text") == ["we need 7 <script>alert(1)</script>"]
    tab.write("#search", "B")
    some = _texts(tab, "#utterances tbody tr")
    assert 20 < len(some) < 50 and all("b" in row for row in some)
    tab.ask("document.getElementById('set').value = 'dev'")
    tab.ask("document.getElementById('set').dispatchEvent(new Event('change'))")
    names = _texts(tab, "#utterances td.id")
    assert 0 < len(names) <= 12 and all(name.startswith("▶dev/") for name in names)


@_browsed
def test_the_theme_is_changed(tab: Page, folder: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    seen = []
    for dark in (False, True):
        tab.view(1280, 900, dark)
        _open(tab, folder, "planted")
        seen.append([tab.ask(ground)])
        assert _texts(tab, "#theme") == ["Light" if dark else "Dark"]
        for _ in range(2):
            tab.click("#theme")
            seen[-1].append(tab.ask(ground))
    bright, night = seen[0][:2]
    assert bright != night
    assert seen == [[bright, night, bright], [night, bright, night]]


@_browsed
@pytest.mark.parametrize("name", ["planted", "hostile", "missing"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_window(tab: Page, folder: Path, name: str, width: int) -> None:
    tab.view(width, 844)
    _open(tab, folder, name)
    assert tab.ask("document.documentElement.scrollWidth <= innerWidth")
    tab.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    tab.ask("document.querySelectorAll('.more').forEach((one) => one.click())")
    assert tab.ask("document.documentElement.scrollWidth <= innerWidth")
    assert tab.ask("[...document.querySelectorAll('.scroll')].every((one) => one.scrollWidth <= one.clientWidth)")


@_browsed
def test_texts_are_never_markup(tab: Page, folder: Path) -> None:
    _open(tab, folder, "hostile")
    assert tab.ask("document.querySelectorAll('script').length") == 2  # the data and the code
    assert tab.ask("document.querySelectorAll('img, b b, #utterances b').length") == 0
    tab.write("#search", "window.hit")
    assert _texts(tab, "#utterances td.speaker")[0] == _HOSTILE
    assert _texts(tab, "#utterances td.id") == ["▶train/train-01", f"▶dev/<b>/{_LONG}"]
    assert _texts(tab, "#utterances td.text")[0] == _HOSTILE


@_browsed
def test_a_long_transcript_is_shown_when_asked_for(tab: Page, folder: Path) -> None:
    _open(tab, folder, "hostile")
    tab.write("#search", "word word")
    assert tab.ask("document.querySelector('#utterances td.text').textContent.length") < 350
    tab.click("#utterances td.text .more")
    (text,) = _texts(tab, "#utterances td.text")
    assert text == f"{_HOSTILE} {'word ' * 400}end"


@_browsed
def test_a_recording_is_played_or_linked(tab: Page, folder: Path) -> None:
    _open(tab, folder, "hostile")
    assert _texts(tab, "#unplayed")[0].startswith("1 recording is SPHERE, which browsers do not play")
    tab.write("#search", "train-02")
    assert tab.ask("document.querySelector('#utterances a').getAttribute('href')") == "../hostile-corpus/train-02.sph"
    assert tab.ask("document.querySelector('#utterances .play')") is None
    tab.write("#search", "train-03")
    tab.click("#utterances .play")
    tab.wait("document.querySelector('#utterances audio').currentTime > 0.05")


@_browsed
def test_many_findings_are_shown_little_by_little(tab: Page, folder: Path) -> None:
    _open(tab, folder, "missing")
    assert _texts(tab, "#verdict")[0] == "Something must be fixed.1,000 errors, 0 warnings"
    rows = "#findings details:first-child .items .name"
    assert len(_texts(tab, rows)) == 12
    tab.click("#findings .more")
    tab.click("#findings .more")
    assert len(_texts(tab, rows)) == 200
    assert "and 800 more, in doctor.json" in _texts(tab, "#findings details:first-child")[0]
    assert _texts(tab, "#findings .play, #utterances .play") == []  # there is nothing to hear


@pytest.mark.parametrize(
    ("container", "offset", "expected"),
    [
        ("WAV", None, ("a%20b/%23.wav", "")),
        ("FLAC", 1.5, ("a%20b/%23.wav#t=1.500,3.500", "")),
        ("NIST", None, ("a%20b/%23.wav", "SPHERE")),
        ("AU", 1.5, ("a%20b/%23.wav", "AU")),
        ("", None, ("", "")),
    ],
)
def test_where_the_audio_is(container: str, offset: float | None, expected: tuple[str, str], tmp_path: Path) -> None:
    utterance = Utterance("one", tmp_path / "a b" / "#.wav", 2.0, "words", offset)
    assert _link(Case("train", "train", utterance, {}, Recording(container=container)), tmp_path) == expected


def test_what_is_cut_off_can_be_heard_still(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(800), 16000)
    utterance = Utterance("one", path, 2.0, "words")
    assert _link(Case("train", "train", utterance, {}, Recording(fault="truncated")), tmp_path) == ("a.wav", "")
