"""What passing over frames that are almost surely blank saves and costs: WER and speed of a tuned beam search.

    python scripts/measure_blank_skip.py MODEL MANIFEST

The search is the one that ``asr decode --tune`` stored last with the model; MANIFEST should be a development set. Speed
is in frames a second of CPU time on one thread, the search alone.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from asr.cli.main import run
from asr.decode.manifest import log_probs_of
from asr.decode.settings import read_tuned
from asr.decode.system import Search
from asr.errors import AsrError
from asr.manifest import read_manifest
from asr.model.acoustic import load_model
from asr.score.align import texts_wer
from asr.tokens import BLANK

SKIPS = (1.0, 0.9999, 0.999, 0.99, 0.95, 0.9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("manifest", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recogniser = load_model(arguments.model)
    tunings = read_tuned(arguments.model, recogniser.sha256)
    if not tunings:
        raise AsrError(f"{arguments.model}: was never tuned; run asr decode --tune first")
    search = Search(recogniser, tunings[-1].search, threads=1)
    if search.encoded:
        raise AsrError(f"{arguments.model}: was tuned last for a search with its decoder, which passes over no frame")
    rows: dict[str, np.ndarray] = {}
    for made in log_probs_of(read_manifest(arguments.manifest), recogniser.model, torch.device("cpu")):
        rows |= {one.id: row for one, row in made if not isinstance(row, str)}
    references = [one.text for one in read_manifest(arguments.manifest) if one.id in rows]
    log_probs = [rows[one.id] for one in read_manifest(arguments.manifest) if one.id in rows]
    blanks = np.exp(np.concatenate(log_probs)[:, BLANK])

    print(f"{arguments.model}, {search.name}, beam {search.settings.beam}, {arguments.manifest}")
    print("blank_skip   frames skipped   WER %   errors    frames/s")
    for skip in SKIPS:
        options = replace(search.decoder.options, blank_skip=skip, nbest=1)
        decoder = search.decoder.with_options(options)
        decoder.decode(log_probs[0])
        begin = time.process_time()
        texts = [decoder.decode(row)[0].text for row in log_probs]
        seconds = time.process_time() - begin
        counts, _ = texts_wer(references, texts)
        skipped = np.mean(blanks >= skip) if skip < 1 else 0.0
        wer = 100 * (counts.rate or 0.0)
        print(f"{skip:<10} {100 * skipped:14.1f} % {wer:7.2f} {counts.errors:8,} {len(blanks) / seconds:11,.0f}")
    print()


if __name__ == "__main__":
    run(main)
