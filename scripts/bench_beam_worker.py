"""The competitors of ``bench_beam.py``, run by the Python that has them installed; needs nothing of this project.

    PYTHON bench_beam_worker.py TASK

TASK is a JSON file: ``log_probs`` (an .npz, one float32 array of shape (S, V) an utterance), ``kind`` (of the tokens),
``symbols`` (V of them), ``blank``, ``lm`` (an ARPA file of words, or null), ``lexicon`` (word → token ids).
Each line of the standard input is a request ``{"system": …, "settings": {…}, "passes": …}``; the answer is one line of
JSON: the process's CPU time and the wall time of one pass over all utterances [s], and their texts; or ``error``, why
there is none.
Making a decoder and bringing an array into the form that it wants is not timed; turning its answer into text is.

Scores: KenLM's are log10, and flashlight multiplies them as they are, so its weight is ours times ln 10; pyctcdecode
brings them to natural logarithms itself. Its penalty of unknown words is log10 and multiplied by the weight.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Task = dict
Decode = Callable[[np.ndarray], str]
Prepare = Callable[[np.ndarray], np.ndarray]

SPACE, WORD_MARK = "<space>", "▁"
IMPOSSIBLE = -30.0  # ln of what stands for no probability; finite, for the sake of differences
FLASHLIGHT_FOREVER = 1e9  # a beam threshold that prunes nothing


def spell(tokens: list[int], task: Task) -> str:
    """The text of token ids without blanks and repeats."""
    symbols = [task["symbols"][token] for token in tokens]
    if task["kind"] == "word":
        return " ".join(symbols)
    return " ".join("".join(symbols).replace(SPACE, " ").replace(WORD_MARK, " ").split())


def collapse(path: list[int], blank: int) -> list[int]:
    """One token a frame → tokens."""
    return [token for before, token in zip([blank, *path[:-1]], path, strict=True) if token not in (blank, before)]


def only_best(log_probs: np.ndarray, count: int) -> np.ndarray:
    """All but the ``count`` best tokens of each frame made impossible, for tools that have no such limit."""
    if count >= log_probs.shape[1]:
        return log_probs
    kept = np.full_like(log_probs, IMPOSSIBLE)
    best = np.argpartition(-log_probs, count - 1, axis=1)[:, :count]
    np.put_along_axis(kept, best, np.take_along_axis(log_probs, best, axis=1), axis=1)
    return kept


def flashlight_free(task: Task, settings: dict) -> tuple[Decode, Prepare]:
    from flashlight.lib.text.decoder import CriterionType, LexiconFreeDecoder, LexiconFreeDecoderOptions, ZeroLM

    options = LexiconFreeDecoderOptions(
        beam_size=settings["beam"],
        beam_size_token=settings["tokens"],
        beam_threshold=settings["beam_threshold"] or FLASHLIGHT_FOREVER,
        lm_weight=0.0,
        sil_score=0.0,
        log_add=settings["log_add"],
        criterion_type=CriterionType.CTC,
    )
    blank = task["blank"]
    decoder = LexiconFreeDecoder(options, ZeroLM(), blank, blank, [])

    def decode(log_probs: np.ndarray) -> str:
        best = decoder.decode(log_probs.ctypes.data, *log_probs.shape)[0]
        return spell(collapse(list(best.tokens), blank), task)

    return decode, np.ascontiguousarray


def flashlight_lexicon(task: Task, settings: dict) -> tuple[Decode, Prepare]:
    """Words of characters end in a space, which keeps a word's last letter repeatable; so a sentence must end in one
    as well, and each utterance gets one more frame that is a space."""
    from flashlight.lib.text.decoder import CriterionType, LexiconDecoder, LexiconDecoderOptions, SmearingMode, Trie
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    blank, symbols = task["blank"], task["symbols"]
    space = symbols.index(SPACE) if SPACE in symbols else None
    silence = blank if space is None else space
    words = Dictionary([*task["lexicon"], "<unk>"])
    lm = KenLM(task["lm"], words)
    trie = Trie(len(symbols), silence)
    start = lm.start(False)
    for word, spelling in task["lexicon"].items():
        index = words.get_index(word)
        trie.insert(spelling if space is None else [*spelling, space], index, lm.score(start, index)[1])
    trie.smear(SmearingMode.MAX)
    options = LexiconDecoderOptions(
        beam_size=settings["beam"],
        beam_size_token=settings["tokens"],
        beam_threshold=settings["beam_threshold"] or FLASHLIGHT_FOREVER,
        lm_weight=settings["lm_weight"] * math.log(10),
        word_score=settings["word_bonus"],
        unk_score=-math.inf,
        sil_score=0.0,
        log_add=settings["log_add"],
        criterion_type=CriterionType.CTC,
    )
    decoder = LexiconDecoder(options, trie, lm, silence, blank, words.get_index("<unk>"), [], False)
    last = np.full((1, len(symbols)), IMPOSSIBLE, dtype=np.float32)
    last[0, silence] = 0.0

    def decode(log_probs: np.ndarray) -> str:
        best = decoder.decode(log_probs.ctypes.data, *log_probs.shape)[0]
        return " ".join(words.get_entry(word) for word in best.words if word >= 0)

    return decode, lambda log_probs: log_probs if space is None else np.concatenate([log_probs, last])


def pyctcdecode(task: Task, settings: dict) -> tuple[Decode, Prepare]:
    logging.disable(logging.WARNING)
    from pyctcdecode import build_ctcdecoder

    labels = [symbol.replace(SPACE, " ") for symbol in task["symbols"]]
    labels[task["blank"]] = ""
    if "lm_weight" in settings:
        if not task["lm"]:
            raise ValueError("no language model")
        weight = settings["lm_weight"]
        decoder = build_ctcdecoder(
            labels,
            task["lm"],
            unigrams=list(task["lexicon"]),
            alpha=float(weight),
            beta=float(settings["word_bonus"]),
            unk_score_offset=settings["unknown_penalty"] / (weight * math.log(10)),
        )
    else:
        decoder = build_ctcdecoder(labels)
    options = {
        "beam_width": settings["beam"],
        "beam_prune_logp": -(settings["beam_threshold"] or math.inf),
        "token_min_logp": -settings["token_threshold"],
    }
    return lambda log_probs: decoder.decode(log_probs, **options), lambda log_probs: only_best(
        log_probs, settings["tokens"]
    )


def fast_ctc_decode(task: Task, settings: dict) -> tuple[Decode, Prepare]:
    import fast_ctc_decode

    blank = task["blank"]
    order = [blank, *(token for token in range(len(task["symbols"])) if token != blank)]
    alphabet = [" " if task["symbols"][token] == SPACE else task["symbols"][token] for token in order]
    beam, threshold = settings["beam"], math.exp(-settings["token_threshold"])

    def decode(probabilities: np.ndarray) -> str:
        text, _ = fast_ctc_decode.beam_search(probabilities, alphabet, beam_size=beam, beam_cut_threshold=threshold)
        return " ".join(text.replace(WORD_MARK, " ").split())

    return decode, lambda log_probs: np.exp(only_best(log_probs, settings["tokens"])[:, order])


SYSTEMS = {
    "flashlight": flashlight_free,
    "flashlight lexicon": flashlight_lexicon,
    "pyctcdecode": pyctcdecode,
    "fast-ctc-decode": fast_ctc_decode,
}


def main() -> None:
    task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with np.load(task["log_probs"]) as file:
        utterances = [file[name] for name in file.files]
    made: tuple | None = None  # of the last request: (system, settings), how to decode, what
    for line in sys.stdin:
        request = json.loads(line)
        wanted = request["system"], request["settings"]
        try:
            if made is None or made[0] != wanted:
                made = None  # before the next: the trie of a big vocabulary takes gigabytes
                decode, prepare = SYSTEMS[wanted[0]](task, wanted[1])
                made = wanted, decode, [prepare(one) for one in utterances]
            _, decode, inputs = made
            passes = request["passes"]
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(passes):
                texts = [decode(one) for one in inputs]
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            answer = {"cpu": cpu / passes, "wall": wall / passes, "texts": texts}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
