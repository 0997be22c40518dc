"""How many planted label errors ``asr doctor --model`` finds, by its own ranking and by others.

    python scripts/measure_label_errors.py --model DIR MANIFEST...

Twenty transcripts are exchanged with another utterance's. In twenty others, where utterances have several words, one
word is left out or becomes another of the vocabulary. All is drawn at random, a hundred times from a hundred seeds.
Each ranking sorts the transcripts; what is printed are means of how many planted ones stand among the first 20 and 40.
A transcript too long to be aligned comes first: the doctor names it without a model.

The manifests should be of utterances that the model has not learned from, with transcripts that are right: the faults
they came with push planted ones down.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein

from asr.cli.main import run
from asr.decode.greedy import best_path, greedy
from asr.decode.manifest import log_probs_of
from asr.doctor.unlikely import doubt, log_likelihood
from asr.errors import AsrError
from asr.manifest import read_manifest
from asr.model.acoustic import Recogniser, load_model
from asr.runtime import set_up
from asr.tokens import BLANK

EACH = 20
SEEDS = range(100)
USED = "√ of the labels (used)"


def rankings(row: np.ndarray, text: str, recogniser: Recogniser) -> dict[str, float]:
    """A ranking's name → how doubtful the transcript is by it; log-probs are of shape (S, V)."""
    tokenizer = recogniser.tokenizer
    labels = tokenizer.encode(text)
    length = max(1, len(labels), sum(1 for _ in best_path(row, BLANK)))
    heard = greedy(row, BLANK, tokenizer, recogniser.model.frame_seconds).text
    used = doubt(row, labels)
    return {
        USED: used,
        "the labels": used / math.sqrt(length),
        "nothing": used * math.sqrt(length),
        "own ln P by the frames": -log_likelihood(row, labels) / len(row),
        "letters that differ": Levenshtein.distance(heard, text),
    }


def plant(texts: Mapping[str, str], seed: int) -> tuple[dict[str, str], dict[str, str]]:
    """Wrong transcripts by id: those exchanged, and those with one word wrong."""
    draw = random.Random(seed)
    waiting = draw.sample(sorted(texts), len(texts))
    vocabulary = sorted({word for text in texts.values() for word in text.split()})
    several = sum(len(text.split()) > 1 for text in texts.values()) > 3 * EACH
    exchanged: dict[str, str] = {}
    single: dict[str, str] = {}
    while len(exchanged) < EACH and len(waiting) > 1:
        one, other = waiting.pop(), waiting.pop()
        if texts[one] != texts[other]:
            exchanged |= {one: texts[other], other: texts[one]}
    while several and len(single) < EACH and waiting:
        id = waiting.pop()
        words = texts[id].split()
        place = draw.randrange(len(words)) if len(words) > 1 else None
        if place is not None:
            others = [word for word in vocabulary if word != words[place]]
            words[place : place + 1] = [draw.choice(others)] if draw.random() < 0.5 else []
            single[id] = " ".join(words)
    if len(exchanged) < EACH or (several and len(single) < EACH):
        raise AsrError(f"{len(texts)} utterances are too few to plant {EACH} errors of each kind in")
    return exchanged, single


def found(planted: Mapping[str, str], scores: Mapping[str, float], first: int) -> int:
    """How many planted errors stand among the first."""
    ranked = sorted(scores, key=lambda id: -scores[id])
    return len(planted.keys() & set(ranked[:first]))


def listen(recogniser: Recogniser, manifests: Sequence[Path]) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Transcripts and log-probs (S, V) by manifest and id."""
    texts: dict[str, str] = {}
    rows: dict[str, np.ndarray] = {}
    for path in manifests:
        for made in log_probs_of(read_manifest(path), recogniser.model, torch.device("cpu")):
            for one, row in made:
                if not isinstance(row, str):
                    texts[f"{path}/{one.id}"], rows[f"{path}/{one.id}"] = " ".join(one.text.split()), row
    return texts, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("manifests", type=Path, nargs="+", metavar="MANIFEST")
    arguments = parser.parse_args()
    set_up("cpu", 0)
    recogniser = load_model(arguments.model)
    texts, rows = listen(recogniser, arguments.manifests)
    right = {id: rankings(rows[id], text, recogniser) for id, text in texts.items()}
    counts: dict[str, list[list[int]]] = {name: [] for name in next(iter(right.values()))}
    for seed in SEEDS:
        exchanged, single = plant(texts, seed)
        wrong = {id: rankings(rows[id], text, recogniser) for id, text in (exchanged | single).items()}
        for name, draws in counts.items():
            scores = {id: each[name] for id, each in (right | wrong).items()}
            both = exchanged | single
            draws.append([found(kind, scores, first) for kind in (both, exchanged, single) for first in (20, 40)])
    planted = f"{EACH} exchanged" + (f" and {EACH} with a wrong word" if single else "")
    misheard = sum(one["letters that differ"] > 0 for one in right.values())
    print(f"{arguments.model}, {', '.join(map(str, arguments.manifests))}")
    print(f"{len(texts)} utterances, {misheard} of them heard otherwise than they stand; planted: {planted}")
    print("divided by                planted@20  @40   exchanged@20  @40   one word@20  @40")
    for name, draws in counts.items():
        means = np.mean(draws, axis=0)
        cells = [f"{mean:{width}.1f}" for mean, width in zip(means, (10, 5, 14, 5, 13, 5), strict=True)]
        print(f"{name:<26}{''.join(cells[: 6 if single else 4])}")
    print()


if __name__ == "__main__":
    run(main)
