"""What several models make of a development set together: frames averaged, and transcripts scored by all.

    python scripts/measure_ensemble.py MODEL MODEL … --manifest data/an4/dev.jsonl --lm LM

Greedily, and by a beam search whose weights are tuned on that very set for each way of averaging.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from asr.decode.ensemble import JointDecoder, load_models, mean_frames
from asr.decode.manifest import log_probs_of
from asr.decode.settings import SearchSettings
from asr.decode.system import Search, greedy_system
from asr.decode.tune import tune
from asr.manifest import read_manifest
from asr.score.align import texts_wer


def mean_log_frames(rows: np.ndarray) -> np.ndarray:
    """The mean of log-probabilities, renormalised. Shape (M, S, V) → (S, V)."""
    mean = rows.astype(np.float64).mean(axis=0)
    return (mean - np.logaddexp.reduce(mean, axis=1, keepdims=True)).astype(rows.dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--lm", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recognisers = load_models(arguments.models)
    utterances = read_manifest(arguments.manifest)
    model, *others = (one.model for one in recognisers)
    rows: dict[str, np.ndarray] = {}
    for made in log_probs_of(utterances, model, torch.device("cpu"), others=others):
        rows |= {one.id: row for one, row in made if not isinstance(row, str)}
    usable = [one for one in utterances if one.id in rows]
    references, heard = [one.text for one in usable], [rows[one.id] for one in usable]
    decoder = Search(recognisers[0], SearchSettings(lm=str(arguments.lm)), 1).decoder

    def tell(name: str, log_probs: Sequence[np.ndarray], models: int) -> None:
        found = greedy_system(recognisers[0], models).decode(log_probs)
        greedy = texts_wer(references, [one.text for one in found])[0]
        best = tune(log_probs, references, JointDecoder(decoder) if models > 1 else decoder, 1)
        print(
            f"{name:44} {100 * (greedy.rate or 0):6.2f} % ({greedy.errors:3}) {best.wer:6.2f} % ({best.errors:3})"
            f"  lm_weight {best.options.lm_weight:.2f} word_bonus {best.options.word_bonus:.2f}",
            flush=True,
        )

    print(f"{'WER and word errors':44} {'greedy':>14} {'with ' + arguments.lm.stem:>14}")
    for number, folder in enumerate(arguments.models):
        tell(folder.as_posix(), [row[number] for row in heard] if others else heard, 1)
    if others:
        tell("mean of the frames' probabilities", [mean_frames(row) for row in heard], 1)
        tell("mean of the frames' log-probabilities", [mean_log_frames(row) for row in heard], 1)
        tell("mean of the transcripts' log-probabilities", heard, len(recognisers))


if __name__ == "__main__":
    main()
