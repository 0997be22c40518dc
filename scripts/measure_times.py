"""How far word times are from known boundaries, and whether confidences hold; for what ``asr data connect`` joined.

    python scripts/measure_times.py MODEL MANIFEST [--fit MANIFEST] [--nbest 16]

Each utterance is decoded by beam search without a language model. Times are those of the words that were recognised
right; confidences those of all. With ``--fit`` the background of the posteriors, the shifts of the times and the
calibration of the confidences are learned on another manifest with known boundaries, which should hold other recordings
and, for the confidences, speakers whom the model was not trained on; without it, nothing is learned. A manifest without
boundaries is judged by its confidences alone.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from asr.audio import read_utterance
from asr.cli.main import run
from asr.corpora.connected import boundaries_path, read_boundaries
from asr.decode.align import Shifts, fit_shifts, median_odds, right_words, word_times
from asr.decode.beam import BeamDecoder, BeamOptions
from asr.decode.confidence import (
    Calibration,
    Evidence,
    calibrate,
    evidence,
    word_confidences,
)
from asr.manifest import Utterance, read_manifest
from asr.model.acoustic import Recogniser, load_model
from asr.score.calibration import correct_words, expected_calibration_error, reliability
from asr.tokens import BLANK


@dataclass
class Measured:
    """Of every utterance what speaks for its words; of the words that are right, where they are and were found [s]."""

    evidence: list[Evidence] = field(default_factory=list)
    correct: list[list[bool]] = field(default_factory=list)
    found: list[tuple[float, float]] = field(default_factory=list)
    true: list[tuple[float, float]] = field(default_factory=list)


def log_probs(recogniser: Recogniser, utterances: list[Utterance]) -> list[np.ndarray]:
    """Of each utterance, shape (S, V)."""
    model = recogniser.model
    rate = model.config.features.rate
    return [model.log_probs([torch.from_numpy(read_utterance(one, rate))])[0].numpy() for one in utterances]


def measure(
    recogniser: Recogniser, manifest: Path, nbest: int, background: np.ndarray | None, shifts: Shifts
) -> Measured:
    utterances = read_manifest(manifest)
    boundaries = read_boundaries(manifest) if boundaries_path(manifest).exists() else {}
    decoder = BeamDecoder(recogniser.tokenizer, BLANK, BeamOptions(nbest=nbest))
    measured = Measured()
    for one, row in zip(utterances, log_probs(recogniser, utterances), strict=True):
        candidates = decoder.decode(row)
        best = candidates[0]
        said = one.text.split()
        measured.evidence.append(evidence(candidates, best.groups, row, BLANK))
        measured.correct.append(correct_words(said, best.words))
        times = word_times(
            row, best.tokens, best.groups, BLANK, recogniser.model.frame_seconds, background, shifts, one.duration
        )
        if one.id in boundaries:
            spans = [(span.start, span.end) for span in boundaries[one.id]]
            for found, true in right_words(said, spans, best.words, times):
                measured.found.append(found)
                measured.true.append(true)
    return measured


def print_times(measured: Measured) -> None:
    errors = 1000 * (np.array(measured.found) - np.array(measured.true))  # (words, 2) [ms]
    print(f"{len(errors)} words     median   90th percentile   bias   [ms, error of size; bias: median with its sign]")
    for column, name in enumerate(("starts", "ends")):
        size = np.abs(errors[:, column])
        middle, high = np.median(size), np.percentile(size, 90)
        print(f"{name:9} {middle:12.0f} {high:17.0f} {np.median(errors[:, column]):6.0f}")


def print_calibration(measured: Measured, calibration: Calibration) -> None:
    confidences = [sure for one in measured.evidence for sure in word_confidences(one, calibration)]
    correct = [right for ones in measured.correct for right in ones]
    error = expected_calibration_error(confidences, correct)
    print(
        f"expected calibration error {error:.4f} over {len(correct)} words, {sum(correct)} of them right; {calibration}"
    )
    print("confidence       words   mean confidence   accuracy")
    for row in reliability(confidences, correct):
        if row.words:
            print(f"{row.low:.3f} – {row.high:.3f} {row.words:7d} {row.confidence:17.3f} {row.accuracy:10.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--fit", type=Path, metavar="MANIFEST")
    parser.add_argument("--nbest", type=int, default=16)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recogniser = load_model(arguments.model)
    background, shifts, calibration = None, Shifts(), Calibration()
    if arguments.fit is not None:
        background = median_odds(log_probs(recogniser, read_manifest(arguments.fit)), BLANK)
        fitted = measure(recogniser, arguments.fit, arguments.nbest, background, shifts)
        calibration = calibrate(fitted.evidence, fitted.correct)
        if fitted.found:
            shifts = fit_shifts(fitted.found, fitted.true)
        print(f"learned on {arguments.fit}: {shifts}")
    measured = measure(recogniser, arguments.manifest, arguments.nbest, background, shifts)
    if measured.found:
        print_times(measured)
    else:
        print(f"{arguments.manifest}: no word with known boundaries was recognised right, so no errors of times")
    print_calibration(measured, calibration)


if __name__ == "__main__":
    run(main)
