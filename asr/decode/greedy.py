"""Greedy CTC decoding: the best token of each frame, repeats merged, blanks dropped (Graves et al. 2006, eq. 4)."""

from __future__ import annotations

import numpy as np

from asr.decode.hypothesis import Decoder, Hypothesis, Word, check_log_probs
from asr.tokens import Tokenizer


def best_path(log_probs: np.ndarray, blank: int) -> list[tuple[int, int, int]]:
    """The tokens of the most likely alignment.

    Args:
        log_probs: shape (S, V), natural logarithms, normalised over V.
        blank: index of the blank.

    Returns:
        (token, first frame, frame behind the last) of every token, in order.

    Raises:
        ValueError: not log-probabilities of that shape.
    """
    check_log_probs(log_probs, blank)
    if len(log_probs) == 0:
        return []
    best = log_probs.argmax(axis=1)  # (S,)
    starts = np.flatnonzero(np.concatenate([[True], best[1:] != best[:-1]]))
    ends = np.append(starts[1:], len(best))
    return [
        (int(best[start]), int(start), int(end))
        for start, end in zip(starts, ends, strict=True)
        if best[start] != blank
    ]


def greedy(log_probs: np.ndarray, blank: int, tokenizer: Tokenizer, frame_seconds: float) -> Hypothesis:
    """Decodes one utterance.

    A word lies between the first frame of its first token and the last frame of its last token; CTC emits tokens in
    spikes, so these are rather inside the spoken word than around it. Its confidence is the geometric mean of its
    tokens' peak posteriors.

    Args:
        log_probs: shape (S, V), natural logarithms, normalised over V.
        blank: index of the blank.
        tokenizer: of the model that made them.
        frame_seconds: distance between two frames [s].

    Returns:
        The hypothesis; its score is the log-probability of the best alignment.

    Raises:
        ValueError: not log-probabilities of that shape.
    """
    path = best_path(log_probs, blank)
    peaks = [float(log_probs[start:end, token].max()) for token, start, end in path]
    words = []
    for word, positions in tokenizer.words([token for token, _, _ in path]):
        first, last = path[positions[0]], path[positions[-1]]
        confidence = float(np.exp(np.mean([peaks[position] for position in positions])))
        words.append(
            Word(
                word,
                round(first[1] * frame_seconds, 3),
                round(last[2] * frame_seconds, 3),
                round(min(confidence, 1.0), 4),
            )
        )
    score = float(log_probs.max(axis=1).sum()) if len(log_probs) else 0.0
    return Hypothesis(" ".join(word.word for word in words), words, score)


def greedy_decoder(blank: int, tokenizer: Tokenizer, frame_seconds: float) -> Decoder:
    """`greedy` for several utterances."""
    return lambda rows: [greedy(row, blank, tokenizer, frame_seconds) for row in rows]
