"""The report's page in a real browser: it is clicked, searched, listened to and looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr.score.media import MediaSettings
from asr.score.page import write_page
from tests.browser import CHROMIUM, Page, browser
from tests.score.pages import HISTORY, LINES, SECONDS, Line, scored, written

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt install chromium)")

_LONG = "antidisestablishmentarianism" * 12
_ATTACK = "<script>window.hit=1</script>"
_EVIL = (
    Line(f"{_ATTACK}/{_LONG}", "</script><img src=x onerror=window.hit=2>", f"{_ATTACK} a {_LONG}", f"b {_LONG}", "a"),
    Line("second", f"<b>{_LONG}</b>", "שלום עולם", "שלום", "<img src=x onerror=window.hit=3>"),
    Line("third", None, "x", None, "x"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages: report (audio within), linked (none within), alone (one system), evil (hostile texts), many (3,000)."""
    folder = tmp_path_factory.mktemp("pages")
    result, comparison = scored(LINES, folder)
    written(folder / "report.html", result, comparison)
    written(folder / "linked.html", result, comparison, audio_limit_mb=0)
    written(folder / "alone.html", result)
    (folder / "evil").mkdir()
    evil, against = scored(_EVIL, folder / "evil")
    receipt = {"corpus": _ATTACK, "system": _LONG, "search": {"</script>": "<img src=x onerror=window.hit=4>"}}
    written(folder / "evil.html", evil, against, receipt, lines=_EVIL)
    many = [
        Line(f"{row:05}", f"speaker {row % 200}", "a b c", "a x c" if row % 7 else "a b c", "a b c")
        for row in range(3000)
    ]
    write_page(folder / "many.html", scored(many)[0], None, {}, HISTORY, None, MediaSettings())
    return folder


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(tab: Page, folder: Path) -> Iterator[Page]:
    """The report, opened in a window of a desk; afterwards nothing may have been asked for or complained about."""
    tab.view(1280, 900)
    tab.open(folder / "report.html")
    yield tab
    _is_calm(tab)


def _is_calm(tab: Page) -> None:
    assert tab.complaints == []
    strangers = [one for one in tab.requests if not one.startswith(("file:", "data:", "blob:"))]
    assert strangers == []


def _ids(tab: Page) -> list[str]:
    return tab.ask("[...document.querySelectorAll('.row')].map((one) => one.dataset.id)")


def _open(tab: Page, name: str) -> str:
    """Opens an utterance; gives the selector of its row."""
    row = f'.row[data-id="{name}"]'
    tab.click(f"{row} .open")
    tab.wait(f"document.querySelector({json.dumps(row)}).querySelector('.inner canvas')")
    return row


def test_the_headline(page: Page) -> None:
    text = page.ask("document.getElementById('summary').innerText")
    assert "41.18 %" in text.replace("\n", " ").replace("\u00a0", " ")
    assert "95 % interval" in text
    assert "2 substitutions" in text
    assert page.ask("document.title") == "tones · test · beam"
    assert page.ask("document.querySelectorAll('#curves svg, #groups .bars, #calibration svg').length") == 2 + 3 + 1
    assert page.ask("document.querySelectorAll('#comparison .tests > div').length") == 4


def test_sorting(page: Page) -> None:
    assert _ids(page) == [one.id for one in LINES]
    page.click("[data-sort=errors]")
    assert _ids(page)[0] in ("two", "three", "six")
    errors = page.ask("[...document.querySelectorAll('.cell.errors')].map((one) => Number(one.textContent))")
    assert errors == sorted(errors, reverse=True)
    page.click("[data-sort=errors]")
    assert page.ask("Number(document.querySelector('.cell.errors').textContent)") == min(errors)
    page.click("[data-sort=id]")
    assert _ids(page) == sorted(one.id for one in LINES)
    for sort in ("speaker", "duration", "words", "wer", "confidence", "change", "order"):
        page.click(f"[data-sort={sort}]")
        assert sorted(_ids(page)) == sorted(one.id for one in LINES)


@pytest.mark.parametrize(
    ("scope", "text", "found"),
    [
        ("anywhere", "JUMPS", ["two"]),
        ("anywhere", "bob good", ["six"]),
        ("id", "t", ["two", "three"]),
        ("speaker", "ann", ["one", "three", "five"]),
        ("reference", "cat mat", ["one"]),
        ("hypothesis", "sex", ["three"]),
        ("anywhere", "nowhere", []),
    ],
)
def test_searching(page: Page, scope: str, text: str, found: list[str]) -> None:
    page.ask(f"document.getElementById('scope').value = '{scope}'")
    page.ask("document.getElementById('scope').dispatchEvent(new Event('change'))")
    page.write("#search", text)
    page.wait(f"document.querySelectorAll('.row').length === {len(found)}")
    assert _ids(page) == found


def test_filters_and_what_got_better_or_worse(page: Page) -> None:
    page.click("[data-filter=failed]")
    assert _ids(page) == ["six"]
    page.click("[data-filter=better]")
    assert _ids(page) == ["one"]
    assert page.ask("document.querySelector('.row .change').textContent") == "−1"
    page.click("[data-filter=worse]")
    assert sorted(_ids(page)) == ["five", "six", "two"]
    page.click("[data-filter=all]")
    assert len(_ids(page)) == len(LINES)
    page.click("#comparison .buttons button")
    assert _ids(page) == ["one"]


def test_the_three_lines_of_a_comparison(page: Page) -> None:
    lines = page.ask(
        "[0, 1, 2].map((line) => [...document.querySelectorAll('.row[data-id=two] .pairs .pair')]"
        ".map((one) => one.children[line].textContent))"
    )
    assert lines == [
        ["a", "quick", "brown", "fox", "+"],
        ["a", "quick", "brow", "fox", "jumps"],
        ["a", "quick", "brown", "fox", "\u00a0"],
    ]
    marks = page.ask(
        "[...document.querySelectorAll('.row[data-id=two] .pair:not(.hit):not(.labels)')].map((one) => one.className)"
    )
    assert marks == ["pair substitution", "pair insertion"]
    underlined = "getComputedStyle(document.querySelector('.row[data-id=two] .insertion-mark')).textDecorationLine"
    assert page.ask(underlined) == "underline"


def test_a_word_of_the_tables_finds_its_utterances(page: Page) -> None:
    assert page.ask("document.querySelector('#confusions tbody tr').textContent") == "1brownbrow"
    page.click("#confusions tbody button")
    assert _ids(page) == ["two"]
    page.click(".chip")
    assert len(_ids(page)) == len(LINES)
    page.click("#groups .bars button")
    chosen = page.ask("document.querySelector('.chip').textContent")
    assert ("ann" in chosen) == (_ids(page) == ["one", "three", "five"])


def test_playing_an_utterance_and_a_word(page: Page) -> None:
    row = _open(page, "two")
    audio = f"document.querySelector('{row} audio')"
    page.wait(f"{audio}.readyState >= 3")
    assert page.ask(f"{audio}.duration") == pytest.approx(SECONDS, abs=0.001)
    page.click(f"{row} .play")
    page.wait(f"{audio}.currentTime > 0.2")
    page.wait(f"document.querySelector('{row} .cursor').style.transform !== 'translateX(0px)'")
    page.click(f"{row} .play")
    assert page.ask(f"{audio}.paused")
    page.click(f"{row} button.heard[data-system='0'][data-place='3']")
    page.wait(f"{audio}.currentTime >= 1.2")
    page.wait(f"{audio}.paused")
    assert page.ask(f"{audio}.currentTime") == pytest.approx(1.52, abs=0.15)


def test_another_recording_falls_silent(page: Page) -> None:
    first, second = _open(page, "two"), _open(page, "three")
    page.click(f"{first} .play")
    page.wait(f"!document.querySelector('{first} audio').paused")
    page.click(f"{second} .play")
    page.wait(f"!document.querySelector('{second} audio').paused")
    assert page.ask(f"document.querySelector('{first} audio').paused")


def test_spectrogram_and_posteriors_are_drawn(page: Page) -> None:
    row = _open(page, "one")
    shades = page.ask(
        f"[...document.querySelectorAll('{row} .inner canvas')].map((one) => new Set(new Uint32Array("
        "one.getContext('2d').getImageData(0, 0, one.width, one.height).data.buffer)).size)"
    )
    assert len(shades) == 2
    assert shades[0] > 100
    assert shades[1] > 10
    words = page.ask(
        f"[...document.querySelectorAll('{row} .timeline')].map((one) => one.innerText.split(/\\s+/).join(' '))"
    )
    assert words == ["the cat sat on the mat", "the cat sat on mat"]


def test_a_linked_recording_plays_too(tab: Page, folder: Path) -> None:
    tab.view(1280, 900)
    tab.open(folder / "linked.html")
    row = _open(tab, "two")
    tab.click(f"{row} .play")
    tab.wait(f"document.querySelector('{row} audio').currentTime > 0.1")
    assert tab.ask(f"document.querySelector('{row} .player .bad').textContent") == ""
    _is_calm(tab)


def test_a_linked_recording_that_is_gone_is_told(tab: Page, folder: Path) -> None:
    audio = folder / "audio" / "3.wav"
    tab.open(folder / "linked.html")
    aside = audio.rename(audio.with_suffix(".aside"))
    try:
        row = _open(tab, "four")
        told = f"document.querySelector('{row} .player .bad').textContent"
        tab.wait(told)
        assert "audio/3.wav" in tab.ask(told)
    finally:
        aside.rename(audio)


def test_many_utterances_come_in_pages(tab: Page, folder: Path) -> None:
    tab.view(1280, 900)
    tab.open(folder / "many.html")
    assert len(_ids(tab)) == 50
    tab.click(".pager button:last-child")
    assert _ids(tab)[0] == "00050"
    assert "page 2 of 60" in tab.ask("document.querySelector('.pager').textContent")
    assert tab.ask("document.querySelectorAll('#groups .group:first-child li').length") == 30
    tab.click("#groups .group:first-child > button")
    tab.wait("document.querySelectorAll('#groups .group:first-child li').length === 200")
    tab.write("#search", "02999")
    tab.wait("document.querySelectorAll('.row').length === 1")
    _is_calm(tab)


def test_one_system_has_no_comparison(tab: Page, folder: Path) -> None:
    tab.open(folder / "alone.html")
    assert tab.ask("document.querySelector('#comparison, [data-filter=better], [data-sort=change]')") is None
    _open(tab, "one")
    _is_calm(tab)


def test_texts_are_never_run(tab: Page, folder: Path) -> None:
    tab.view(1280, 900)
    tab.open(folder / "evil.html")
    for row in range(len(_EVIL)):
        tab.click(f".row:nth-of-type({row + 1}) .open")
        tab.wait(f"document.querySelectorAll('.row .inner canvas').length >= {2 * (row + 1)}")
    assert tab.ask("getComputedStyle(document.querySelectorAll('.row .pairs')[1]).direction") == "rtl"
    tab.click("#receipt summary")
    tab.write("#search", "script")
    tab.wait("document.querySelectorAll('.row').length === 1")
    assert tab.ask(
        "window.hit === undefined && document.querySelectorAll('main img, main script, main b b').length === 0"
    )
    assert tab.ask("document.querySelector('.row').dataset.id") == _EVIL[0].id
    assert tab.ask("document.querySelector('.row .said').textContent") == _ATTACK
    _is_calm(tab)


@pytest.mark.parametrize("name", ["report", "linked", "alone", "evil", "many"])
def test_a_phone_needs_no_sideways_scrolling(tab: Page, folder: Path, name: str) -> None:
    tab.view(390, 844)
    tab.open(folder / f"{name}.html")
    if name != "many":
        tab.click(".row .open")
        tab.wait("document.querySelector('.inner canvas')")
        tab.click("#receipt summary")
    assert tab.ask("document.documentElement.scrollWidth") == 390
    _is_calm(tab)


# Text and its ground are painted on one pixel, as the page lays them over each other; then WCAG 2's contrast.
_FAINT = """(() => {
  const canvas = new OffscreenCanvas(1, 1), pen = canvas.getContext('2d', { willReadFrequently: true });
  const seen = (...layers) => {
    for (const layer of layers) { pen.fillStyle = layer; pen.fillRect(0, 0, 1, 1); }
    const [red, green, blue] = [...pen.getImageData(0, 0, 1, 1).data].map((one) => one / 255)
      .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const one = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !one.checkVisibility()) continue;
    if (one.closest('script, style, button:disabled')) continue;
    const grounds = [];
    for (let over = one; over; over = over.parentElement) grounds.unshift(getComputedStyle(over).backgroundColor);
    const style = getComputedStyle(one);
    const ink = one instanceof SVGElement ? style.fill : style.color;
    const [ground, text] = [seen('white', ...grounds), seen('white', ...grounds, ink)];
    const contrast = (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
    if (contrast < 4.5) found.push(`${texts.currentNode.textContent.slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return found;
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_read(tab: Page, folder: Path, dark: bool) -> None:
    tab.view(1280, 900, dark)
    tab.open(folder / "report.html")
    ground = tab.ask("getComputedStyle(document.body).backgroundColor")
    _open(tab, "two")
    tab.click("#receipt summary")
    assert tab.ask(_FAINT) == []
    tab.ask("document.querySelector('h1').style.color = '#787878'")  # 4.2 on the light ground, 4.1 on the dark
    assert len(tab.ask(_FAINT)) == 1
    tab.ask("document.querySelector('h1').style.color = ''")
    tab.click("#theme")
    assert tab.ask("getComputedStyle(document.body).backgroundColor") != ground
    assert tab.ask(_FAINT) == []
    _is_calm(tab)


def test_the_keyboard_is_enough(page: Page) -> None:
    page.ask("document.querySelector('.row .open').focus()")
    for kind in ("keyDown", "keyUp"):
        page.send("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13)
    page.wait("document.querySelector('.row .inner canvas')")
    assert page.ask("document.querySelector('.row .open').getAttribute('aria-expanded')") == "true"
    page.ask("document.querySelector('.pictures').focus()")
    for _ in range(3):
        page.send(
            "Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39
        )
    page.wait("Math.abs(document.querySelector('.row audio').currentTime - 0.3) < 0.01")
    page.ask("document.querySelector('#curves svg').focus()")
    page.send("Input.dispatchKeyEvent", type="keyDown", key="ArrowLeft", code="ArrowLeft", windowsVirtualKeyCode=37)
    assert "epoch 11" in page.ask("document.querySelector('#curves .caption').textContent")
