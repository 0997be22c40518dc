"""``doctor.html``: what was found, and every utterance in numbers, on a page that needs nothing but a browser."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from asr.doctor.examine import Diagnosis
from asr.doctor.finding import LEVELS, Case
from asr.doctor.transcripts import speaking_rate
from asr.page import page

_HERE = Path(__file__).parent
_MOST = 200  # items of a finding, and doubted transcripts; doctor.json has them all

# Containers that browsers play, as libsndfile calls them; what they cannot play within one shows when it is tried.
_PLAYED = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")
_KNOWN_AS = {"NIST": "SPHERE"}

_BODY = """<noscript><p class="card">This page is drawn by the script within it: allow scripts to see it.</p></noscript>
<header>
<div class="top"><h1>asr doctor</h1><button id="theme" class="small"></button></div>
<p id="verdict"></p>
<ul id="assumed" class="soft small"></ul>
</header>
<section class="card"><h2>Sets</h2><div class="scroll"><table id="sets"></table></div></section>
<section class="cards" id="charts"></section>
<section class="card">
<h2>Findings</h2>
<div class="bar"><span id="levels"></span><input id="find" type="search" placeholder="Search findings"
 aria-label="Search findings"></div>
<div id="findings"></div>
</section>
<section class="card" id="doubted" hidden>
<h2>Least likely transcripts</h2>
<p class="soft small">What the model believes least: the nats by which it prefers what it heard, over the square root of
the labels. It may be the model that errs: listen.</p>
<div class="rows" id="unlikely"></div>
</section>
<section class="card" id="all">
<h2>Utterances</h2>
<p id="unplayed" class="soft small" hidden></p>
<div class="bar"><select id="set" aria-label="Set"></select><input id="search" type="search"
 placeholder="Search ids, speakers, transcripts" aria-label="Search utterances"><span id="shown"
 class="soft small"></span></div>
<div class="scroll"><table id="utterances"></table></div>
<p class="pages"><button id="back">Back</button> <span id="page" class="small soft"></span>
<button id="next">Next</button></p>
</section>"""


def _link(case: Case, folder: Path) -> tuple[str, str]:
    """Where the page finds the audio, empty if there is none; and what container it is, if browsers do not play it."""
    seen, one = case.recording, case.utterance
    if not (seen.container or one.audio.is_file()):
        return "", ""
    link = quote(Path(os.path.relpath(one.audio.resolve(), folder)).as_posix())
    if seen.container and seen.container not in _PLAYED:
        return link, _KNOWN_AS.get(seen.container, seen.container)
    if one.offset is not None:
        link += f"#t={one.offset:.3f},{one.offset + one.duration:.3f}"  # a media fragment: the segment
    return link, ""


def _rows(diagnosis: Diagnosis, out: Path) -> list[list[object]]:
    """An utterance each: what the script's ``COLUMNS`` name, in their order."""
    worst: dict[tuple[str, str], str] = {}
    for level in reversed(LEVELS):
        for finding in diagnosis.findings:
            if finding.level == level:
                worst |= {(one.set, one.id): level for one in finding.items if one.id}
    folder = out.resolve()
    rows: list[list[object]] = []
    for case in diagnosis.cases:
        seen, one = case.recording, case.utterance
        rate = speaking_rate(case)
        measured = [round(seen.seconds, 3), round(seen.level, 1), round(seen.peak, 3)] if seen.seconds else [None] * 3
        speaker, kind = one.speaker or "", worst.get((case.set, one.id), "")
        link, unplayed = _link(case, folder)
        said = [case.set, one.id, speaker, one.text]
        rows.append([*said, *measured, round(rate, 2) if rate else None, kind, link, unplayed])
    return rows


def doctor_page(diagnosis: Diagnosis, told: Mapping[str, object], out: Path) -> str:
    """The page.

    Args:
        diagnosis: what was found.
        told: what ``doctor.json`` holds.
        out: the folder that the page is to lie in.
    """
    findings, unlikely = told["findings"], told["unlikely"]
    assert isinstance(findings, list)
    data = {
        **told,
        "findings": [{**one, "count": len(one["items"]), "items": one["items"][:_MOST]} for one in findings],
        "unlikely": unlikely[:_MOST] if isinstance(unlikely, list) else None,
        "rows": _rows(diagnosis, out),
    }
    names = ", ".join(one.name for one in diagnosis.sets)
    return page(f"asr doctor: {names}", _BODY, [_HERE / "page.css"], [_HERE / "page.js"], data)
