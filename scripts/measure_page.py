"""Size of a report page and how long it takes to write and to open.

    python scripts/measure_page.py data/librispeech/train-clean-5.jsonl

Recordings are cut from those of a manifest: 2,620 utterances of 7.4 s, which is LibriSpeech's test-clean, with two
systems' hypotheses (one word in ten wrong), word times, confidences and posteriors, without and with audio in the page;
and 100,000 utterances of text alone. Opening is measured in headless Chromium, from the navigation to the first list.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from asr.decode.posteriors import write_posteriors
from asr.manifest import Utterance, read_manifest
from asr.score.hypotheses import Hypothesis
from asr.score.media import MediaSettings
from asr.score.page import write_page
from asr.score.references import Reference
from asr.score.result import Comparison, Result, Settings, compare, score
from tests.browser import CHROMIUM, browser

_SECONDS = 7.4
_FRAME = 0.03  # [s] of a posterior's frame
_TOKENS = ["<blank>", "<space>", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
_WORDS = 20  # of an utterance: test-clean has 20.1


def _references(utterances: Sequence[Utterance], number: int) -> list[Reference]:
    """So many stretches of ``_SECONDS`` with ``_WORDS`` words each, from recordings taken in turn."""
    generator = random.Random(1)
    vocabulary = sorted({word for one in utterances for word in one.text.split()})
    long = [one for one in utterances if one.duration >= _SECONDS]
    references = []
    for row, one in enumerate(islice(cycle(long), number)):
        text = " ".join(generator.choices(vocabulary, k=_WORDS))
        name, speaker = f"{one.speaker}-{row:06}", f"{one.speaker}-{row % 40}"
        offset = generator.uniform(0, one.duration - _SECONDS)
        spoken = replace(one, id=name, text=text, offset=offset, duration=_SECONDS)
        references.append(Reference(name, text, speaker, _SECONDS, spoken))
    return references


def _hypotheses(references: Sequence[Reference], seed: int) -> dict[str, Hypothesis]:
    generator = random.Random(seed)
    found = {}
    for one in references:
        words = [
            generator.choice(("WRONG", "OTHER")) if generator.random() < 0.1 else word for word in one.text.split()
        ]
        sure = tuple(round(generator.betavariate(8, 1), 4) for _ in words)
        length = _SECONDS / len(words)
        times = tuple((place * length, (place + 0.9) * length) for place in range(len(words)))
        found[one.id] = Hypothesis(" ".join(words), None, sure, times)
    return found


def _posteriors(path: Path, references: Sequence[Reference]) -> None:
    generator = np.random.default_rng(1)
    frames = np.arange(round(_SECONDS / _FRAME))
    kept = {}
    for one in references:
        letters = np.array([_TOKENS.index(letter) if letter in _TOKENS else 1 for letter in one.text.upper()])
        place = np.sort(generator.choice(frames, min(len(letters), len(frames)), replace=False))
        token = np.concatenate([np.zeros(len(frames), int), letters[: len(place)]])
        frame = np.concatenate([frames, place])
        order = np.argsort(frame, kind="stable")
        kept[one.id] = (
            frame[order].astype(np.uint32),
            token[order].astype(np.uint16),
            generator.integers(5, 256, len(frame)).astype(np.uint8),
        )
    write_posteriors(path, kept, _TOKENS, _FRAME)


def _compared(references: Sequence[Reference]) -> tuple[Result, Comparison]:
    first, second = (score(references, _hypotheses(references, seed), Settings()) for seed in (1, 2))
    return first, compare(first, second, Path("other/hyp.jsonl"), ("first", "second"))


def _open(page: Path, profile: Path) -> str:
    if CHROMIUM is None:
        return "no Chromium to open it with"
    with browser(profile) as tab:
        tab.view(1280, 900)
        tab.open(page)
        tab.wait("performance.getEntriesByName('first-contentful-paint').length")
        paint = tab.ask("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        listed = tab.ask("performance.getEntriesByName('list')[0].startTime")
        loaded = tab.ask("performance.getEntriesByType('navigation')[0].loadEventEnd")
        begin = time.monotonic()
        tab.click(".row .open")
        tab.wait("!['', 'Loading …'].includes(document.querySelector('.row .detail').textContent)")
        opened = time.monotonic() - begin
        begin = time.monotonic()
        tab.click("[data-sort=errors]")
        tab.ask("document.body.offsetHeight")
        complaints = f"; complaints: {tab.complaints}" if tab.complaints else ""
        return (
            f"list after {listed / 1000:.2f} s, painted after {paint / 1000:.2f} s, all loaded after "
            f"{loaded / 1000:.2f} s; a row opens in {opened:.2f} s, sorting takes {time.monotonic() - begin:.2f} s"
            f"{complaints}"
        )


def _measure(
    label: str, folder: Path, result: Result, other: Comparison, limit: float, posteriors: Path | None
) -> None:
    page = folder / "report.html"
    begin = time.monotonic()
    write_page(page, result, other, {"corpus": label}, [], posteriors, MediaSettings(audio_limit_mb=limit))
    took = time.monotonic() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = page.stat().st_size / 1e6
    print(f"{label}: {size:.1f} MB, written in {took:.1f} s, peak memory {peak:.0f} MB", flush=True)
    print(f"  {_open(page, folder / 'profile')}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="recordings to cut from")
    parser.add_argument("--utterances", type=int, default=2620)
    parser.add_argument("--texts", type=int, default=100_000)
    arguments = parser.parse_args()
    utterances = read_manifest(arguments.manifest)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        references = _references(utterances, arguments.utterances)
        _posteriors(folder / "posteriors.safetensors", references)
        result, other = _compared(references)
        for limit in (0.0, 20.0):
            label = f"{len(references):,} utterances, {limit:g} MB of audio"
            _measure(label, folder, result, other, limit, folder / "posteriors.safetensors")
        texts = [replace(one, utterance=None) for one in _references(utterances, arguments.texts)]
        _measure(f"{len(texts):,} utterances of text", folder, *_compared(texts), 0.0, None)


if __name__ == "__main__":
    main()
