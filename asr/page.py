"""Pages that need nothing but a browser: style, script and data in one file, no network, light and dark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

# What a page may load: itself, and audio that lies beside it. Whatever a transcript holds, nothing else is fetched.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; "
    "media-src 'self' data: blob: file:"
)
_STYLE = Path(__file__).with_name("page.css")


def embedded(data: object) -> str:
    """JSON that may stand inside a script element: ``<`` is written so that no text can end the element.

    Raises:
        ValueError: not a number (NaN) or infinite, which JSON lacks.
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def page(title: str, body: str, styles: Sequence[Path], scripts: Sequence[Path], data: object) -> str:
    """A whole HTML page.

    Args:
        title: plain text.
        body: HTML, the part that is the same whatever the data.
        styles: style sheets that follow the one that all pages share.
        scripts: run in this order when the body is there; they find the data by
            ``JSON.parse(document.getElementById("data").textContent)``.
        data: what JSON can hold.

    Raises:
        ValueError: as `embedded`.
    """
    style = "\n".join(path.read_text(encoding="utf-8") for path in (_STYLE, *styles))
    script = "\n".join(path.read_text(encoding="utf-8") for path in scripts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>
{style}
</style>
</head>
<body>
{body}
<script type="application/json" id="data">{embedded(data)}</script>
<script>
{script}
</script>
</body>
</html>
"""
