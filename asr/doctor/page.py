"""``doctor.html``: what was found, and every utterance in numbers, on a page that needs nothing but a browser."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from asr.doctor.examine import Diagnosis
from asr.doctor.finding import LEVELS
from asr.doctor.transcripts import speaking_rate
from asr.page import page

_HERE = Path(__file__).parent
_MOST = 200  # items of a finding, and doubted transcripts; doctor.json has them all

_BODY = """<header>
<h1>asr doctor</h1>
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
<section class="card">
<h2>Utterances</h2>
<div class="bar"><select id="set" aria-label="Set"></select><input id="search" type="search"
 placeholder="Search ids, speakers, transcripts" aria-label="Search utterances"><span id="shown"
 class="soft small"></span></div>
<div class="scroll"><table id="utterances"></table></div>
<p class="pages"><button id="back">Back</button> <span id="page" class="small soft"></span>
<button id="next">Next</button></p>
</section>"""


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
        # The audio that a browser is to play: a media fragment gives the segment.
        link = quote(Path(os.path.relpath(one.audio.resolve(), folder)).as_posix())
        if one.offset is not None:
            link += f"#t={one.offset:.3f},{one.offset + one.duration:.3f}"
        measured = [round(seen.seconds, 3), round(seen.level, 1), round(seen.peak, 3)] if seen.seconds else [None] * 3
        speaker, kind = one.speaker or "", worst.get((case.set, one.id), "")
        rows.append([case.set, one.id, speaker, one.text, *measured, round(rate, 2) if rate else None, kind, link])
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
