"""What a model's card says of its errors: WER by set of recordings, as they are and as they would have come otherwise.

    python scripts/measure_card.py MODEL "two readers=data/librispeech/test.jsonl" ... [--json card.json]

Each recording is transcribed as transcribe-audio does it: speech found in it, the search that lies with the model. Then
once more by telephone (8 kHz, 300 to 3,400 Hz, μ-law), in noise (between white and brown, 10 dB below the speech),
from some steps away in a room (`asr.augment.room`, walls that take 20 to 50 % of the energy), and, if the model can,
while it is spoken, with a latency of 1.0 s. What is drawn is drawn by the utterance's id, and the same in every run.
Texts are compared by their words alone (`basic`), with 95 % intervals over utterances. What cannot be transcribed
counts as deletions, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from asr import load_model
from asr.audio import read_utterance
from asr.augment.waveform import Augmenter
from asr.cli.main import run
from asr.config import AugmentConfig
from asr.decode.settings import FILE as SEARCH
from asr.errors import AsrError, UsageError
from asr.files import sha256, write_text
from asr.manifest import Utterance, read_manifest
from asr.runtime import commit
from asr.score.hypotheses import Hypothesis
from asr.score.references import Reference
from asr.score.report import percent, upper_percent
from asr.score.result import Settings, score
from asr.transcribe.transcriber import Transcriber

LATENCY = 1.0
CHANGES: Mapping[str, AugmentConfig | None] = {
    "as recorded": None,
    "by telephone": AugmentConfig(codec_probability=1, codecs=["telephone"]),
    "in noise, 10 dB": AugmentConfig(coloured_noise_probability=1, coloured_noise_snr=[10, 10]),
    "in a room": AugmentConfig(reverberation_probability=1, absorption=[0.2, 0.5]),
}
Heard = Callable[[np.ndarray], str]  # samples (L,) at the model's rate → text


@dataclass(frozen=True)
class Line:
    """A line of the table: set, condition, words, errors, utterances that failed, WER and its interval [%]."""

    set: str
    condition: str
    words: int
    errors: int
    failed: int
    wer: float
    low: float
    high: float


def measure(
    name: str, utterances: Sequence[Utterance], condition: str, rate: int, augment: AugmentConfig | None, hear: Heard
) -> Line:
    """Transcribes a set under a condition and scores it; what fails is named, and counts as deletions."""
    augmenter = None if augment is None else Augmenter(augment, rate, seed=1)
    hypotheses = {}
    for one in utterances:
        try:
            samples = read_utterance(one, rate)
            if augmenter is not None:
                samples = augmenter(samples, 1, one.id, 0).samples
            hypotheses[one.id] = Hypothesis(hear(samples))
        except AsrError as error:
            print(f"not transcribed, {condition}: {one.id}: {error}", file=sys.stderr)
            hypotheses[one.id] = Hypothesis("", str(error))
    result = score([Reference(one.id, one.text) for one in utterances], hypotheses, Settings("basic"))
    rate_, low, high = percent(result.words.rate), percent(result.interval.low), upper_percent(result.interval.high)
    if rate_ is None or low is None or high is None:
        raise UsageError(f"{name}: there is no WER with an interval: {result.interval.basis or 'no words'}")
    return Line(
        name, condition, result.words.reference_length, result.words.errors, len(result.failed), rate_, low, high
    )


def stream(transcriber: Transcriber) -> Heard:
    """Hears while it is spoken."""

    def hear(samples: np.ndarray) -> str:
        listening = transcriber.stream(LATENCY)
        events = [*listening.accept(samples), *listening.finish()]
        return " ".join(event.segment.text for event in events if event.final)

    return hear


def table(lines: Sequence[Line]) -> str:
    """In Markdown: a row a set, a column a condition."""
    conditions = list(dict.fromkeys(line.condition for line in lines))
    rows = [f"| WER % | {' | '.join(conditions)} |", "| --- |" + " --- |" * len(conditions)]
    for name in dict.fromkeys(line.set for line in lines):
        of_set = {line.condition: line for line in lines if line.set == name}
        words = next(iter(of_set.values())).words
        cells = [f"{one.wer:.2f} ({one.low:.2f}–{one.high:.2f})" for one in map(of_set.__getitem__, conditions)]
        rows.append(f"| {name}, {words:,} words | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("sets", nargs="+", metavar="NAME=MANIFEST")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to keep all numbers")
    arguments = parser.parse_args()
    sets: dict[str, Path] = {}
    for one in arguments.sets:
        name, equals, manifest = one.partition("=")
        if not equals or not name or name in sets:
            raise UsageError(f"{one}: needed is NAME=MANIFEST, each name once")
        sets[name] = Path(manifest)
    transcriber = load_model(arguments.model, threads=arguments.threads)
    rate, lines = transcriber.backend.rate, []
    ways: list[tuple[str, AugmentConfig | None, Heard]] = [
        (condition, augment, lambda samples: transcriber.transcribe(samples).text)
        for condition, augment in CHANGES.items()
    ]
    try:
        transcriber.stream(LATENCY)
        ways.append((f"as spoken, {LATENCY:g} s", None, stream(transcriber)))
    except UsageError:
        pass
    for name, manifest in sets.items():
        utterances = read_manifest(manifest)
        lines += [measure(name, utterances, condition, rate, augment, hear) for condition, augment, hear in ways]
    print(table(lines), end="")
    if arguments.json:
        receipt = {
            "model": arguments.model.as_posix(),
            "model_sha256": transcriber.backend.sha256,
            "system": transcriber.system.name,
            "search_sha256": sha256(arguments.model / SEARCH) if (arguments.model / SEARCH).exists() else None,
            "manifests": {name: {"path": str(path), "sha256": sha256(path)} for name, path in sets.items()},
            "commit": commit(),
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "lines": [vars(line) for line in lines],
        }
        write_text(arguments.json, json.dumps(receipt, ensure_ascii=False, indent=2) + "\n")
    if any(line.failed for line in lines):
        sys.exit(1)


if __name__ == "__main__":
    run(main)
