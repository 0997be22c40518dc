"""A decoder made ready for one model: greedy, or a beam search with language models, word times and confidences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.decode.align import Shifts, word_times
from asr.decode.beam import BeamDecoder, Candidate
from asr.decode.confidence import Calibration, Evidence, evidence, word_confidences
from asr.decode.greedy import greedy_decoder
from asr.decode.hypothesis import Decoder, Hypothesis, Word
from asr.decode.lexicon import Lexicon, read_lexicon
from asr.decode.rescore import Rescoring, check_recurrent_fit, rescore_nbests
from asr.decode.settings import SearchSettings
from asr.errors import AsrError
from asr.files import sha256
from asr.lm.fit import check_fit
from asr.lm.ngram import NgramModel, load_lm
from asr.lm.recurrent import RecurrentLm, load_recurrent
from asr.model.acoustic import Recogniser
from asr.tokens import BLANK


@dataclass(frozen=True)
class System:
    """What decodes.

    Attributes:
        name: as a receipt calls it: ``greedy``, ``beam+4gram``, …
        decode: log-probs → hypotheses.
        search: the settings of a beam search; None: greedy.
    """

    name: str
    decode: Decoder
    search: SearchSettings | None = None


def greedy_system(recogniser: Recogniser) -> System:
    """The best token of each frame, without a language model."""
    return System("greedy", greedy_decoder(BLANK, recogniser.tokenizer, recogniser.model.frame_seconds))


def _checked(path: str | None, expected: str | None, what: str) -> str | None:
    """The sum of a file that a search reads, which must be the one that it was tuned or quoted with."""
    if path is None:
        return None
    file = Path(path)
    found = sha256(file / "SHA256SUMS" if file.is_dir() else file)
    if expected is not None and found != expected:
        raise AsrError(f"{path}: not the {what} that these settings are for: its SHA-256 is {found}, not {expected}")
    return found


class Search:
    """A beam search with all that its settings name, loaded and checked against the model.

    Args:
        recogniser: the model.
        settings: of the search; where it holds sums of its files, they must be right.
        threads: utterances decoded at once.

    Raises:
        AsrError: a file cannot be read, is not the one meant, or does not fit the model.
        UsageError: an option out of its range, or a hotword that cannot be written.
    """

    def __init__(self, recogniser: Recogniser, settings: SearchSettings, threads: int) -> None:
        self.recogniser, self.threads = recogniser, threads
        self.settings = settings.changed(
            lm_sha256=_checked(settings.lm, settings.lm_sha256, "language model"),
            lexicon_sha256=_checked(settings.lexicon, settings.lexicon_sha256, "lexicon"),
            rescore_sha256=_checked(settings.rescore, settings.rescore_sha256, "language model"),
        )
        tokenizer = recogniser.tokenizer
        self.lm: NgramModel | None = load_lm(Path(settings.lm)) if settings.lm else None
        self.lexicon: Lexicon | None = read_lexicon(Path(settings.lexicon)) if settings.lexicon else None
        self.recurrent: RecurrentLm | None = load_recurrent(Path(settings.rescore)) if settings.rescore else None
        if self.lm is not None and self.lexicon is None:
            check_fit(tokenizer, self.lm, str(settings.lm))
        if self.recurrent is not None:
            check_recurrent_fit(tokenizer, self.recurrent, str(settings.rescore))
        hotwords = [(phrase, settings.hotword_weight) for phrase in settings.hotwords]
        self.decoder = BeamDecoder(tokenizer, BLANK, settings.options(), self.lm, self.lexicon, hotwords)

    @property
    def name(self) -> str:
        """As a receipt calls it."""
        parts = ["beam"]
        if self.lexicon is not None:
            parts.append("lexicon")
        if self.lm is not None:
            parts.append(f"{'token-' if self.lm.unit == 'token' else ''}{self.lm.order}gram")
        if self.recurrent is not None:
            parts.append("lstm")
        if self.settings.hotwords:
            parts.append("hotwords")
        return "+".join(parts)

    def change(self, settings: SearchSettings) -> None:
        """Takes other numbers; the files stay."""
        self.settings = settings
        self.decoder = self.decoder.with_options(settings.options())

    def candidates(self, rows: Sequence[np.ndarray]) -> list[list[Candidate]]:
        """The n best of each utterance. ``rows`` are log-probs, shape (S, V) each."""
        found = self.decoder.decode_batch(rows, self.threads)
        if self.recurrent is None:
            return found
        weights = Rescoring(
            self.settings.rescore_weight,
            self.settings.rescore_mix,
            self.settings.word_bonus,
            self.settings.unknown_penalty,
        )
        return rescore_nbests(found, self.recurrent, self.decoder.options, weights)

    def evidence(self, candidates: list[Candidate], row: np.ndarray) -> Evidence:
        """What speaks for each word of the best candidate."""
        return evidence(candidates, candidates[0].groups, row, BLANK)

    def hypothesis(self, candidates: list[Candidate], row: np.ndarray) -> Hypothesis:
        """The best candidate with times and confidences of its words."""
        best, settings = candidates[0], self.settings
        if best.acoustic == -np.inf:  # the lexicon allows nothing that the frames do
            return Hypothesis(best.text, [Word(word, 0.0, 0.0, 0.0) for word in best.words], best.total)
        background = np.array(settings.background) if settings.background is not None else None
        shifts = Shifts(settings.shift_start, settings.shift_end)
        seconds = self.recogniser.model.frame_seconds
        times = word_times(row, best.tokens, best.groups, BLANK, seconds, background, shifts)
        calibration = Calibration(settings.temperature, settings.scale, settings.offset)
        sure = word_confidences(self.evidence(candidates, row), calibration)
        words = [
            Word(word, start, end, round(confidence, 4))
            for word, (start, end), confidence in zip(best.words, times, sure, strict=True)
        ]
        return Hypothesis(best.text, words, best.total)

    def decode(self, rows: Sequence[np.ndarray]) -> list[Hypothesis]:
        """Hypotheses of utterances, from log-probs of shape (S, V) each."""
        found = self.candidates(rows)
        return [self.hypothesis(candidates, row) for candidates, row in zip(found, rows, strict=True)]

    def system(self) -> System:
        """This search as a system."""
        return System(self.name, self.decode, self.settings)
