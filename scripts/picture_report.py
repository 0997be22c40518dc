"""Screenshots of a report for the README: its head, and one utterance opened. Needs Chromium and Pillow.

python scripts/picture_report.py exp/an4/seed1/decode/test-lm/report.html --row an393-mjwl-b --out docs
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.browser import browser


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--row", required=True, help="id of the utterance to open")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as page:
        page.view(1080, 800)
        page.open(arguments.report)
        time.sleep(0.5)  # the plots
        page.picture(arguments.out / "report.png")
        row = f'.row[data-id="{arguments.row}"]'
        page.view(1080, 700)
        page.write("#search", arguments.row)
        time.sleep(1)  # the list follows what is typed with a delay
        page.click(f"{row} .open")
        time.sleep(1)
        page.ask(f"document.querySelector('{row}').scrollIntoView({{block: 'center', behavior: 'instant'}})")
        time.sleep(0.5)
        page.picture(arguments.out / "report-utterance.png")
    for name in ("report.png", "report-utterance.png"):
        path = arguments.out / name
        Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
