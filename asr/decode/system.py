"""A decoder made ready for one model: greedy, or a beam search with language models, word times and confidences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from asr.decode.align import Shifts, word_times
from asr.decode.beam import BeamDecoder, Candidate
from asr.decode.confidence import Calibration, Evidence, evidence, word_confidences
from asr.decode.ensemble import JointDecoder, joint_greedy_decoder, mean_frames
from asr.decode.greedy import greedy_decoder
from asr.decode.hotwords import written_among
from asr.decode.hypothesis import Decoder, Hypothesis, Row, Word
from asr.decode.lexicon import Lexicon, from_words, read_lexicon
from asr.decode.one_pass import CTC_WEIGHT, OnePassDecoder
from asr.decode.rescore import check_recurrent_fit, rescore_nbests
from asr.decode.settings import SearchSettings, sum_of
from asr.errors import AsrError, UsageError
from asr.lm.fit import check_fit
from asr.lm.ngram import SPECIAL, NgramModel, load_lm
from asr.tokens import BLANK, Tokenizer

if TYPE_CHECKING:
    from asr.lm.recurrent import RecurrentLm
    from asr.model.attention_decoder import AttentionDecoder


class Source(Protocol):
    """What must be known of a model to decode what it says: a `Recogniser`, or any `asr.transcribe.backend.Backend`."""

    @property
    def tokenizer(self) -> Tokenizer:
        """What its columns mean."""

    @property
    def frame_seconds(self) -> float:
        """How far apart its frames are [s]."""


@dataclass(frozen=True)
class System:
    """What decodes.

    Attributes:
        name: as a receipt calls it: ``greedy``, ``beam+4gram``, …
        decode: log-probs → hypotheses.
        search: the settings of a beam search; None: greedy.
        encoded: whether it decodes `asr.decode.hypothesis.Heard`.
        latency: that of the stream whose log-probs it decodes [s]; None: those of whole utterances.
    """

    name: str
    decode: Decoder
    search: SearchSettings | None = None
    encoded: bool = False
    latency: float | None = None

    def with_latency(self, latency: float | None) -> System:
        """The same for the log-probs of a stream; None: for those of whole utterances."""
        return self if latency is None else replace(self, name=f"{self.name}+latency{latency}", latency=latency)


def greedy_system(model: Source, models: int = 1) -> System:
    """The best token of each frame, without a language model; ``models`` is how many recognise together."""
    if models > 1:
        joint = joint_greedy_decoder(model.tokenizer, model.frame_seconds)
        return System(f"greedy+{models}models", joint)
    return System("greedy", greedy_decoder(BLANK, model.tokenizer, model.frame_seconds))


def _checked(path: str | None, expected: str | None, what: str) -> str | None:
    """The sum of a file that a search reads, which must be the one that it was tuned or quoted with."""
    if path is None:
        return None
    found = sum_of(Path(path))
    if expected is not None and found != expected:
        raise AsrError(
            f"{path}: not the {what} that these settings were tuned or quoted with: its SHA-256 is {found}, not "
            f"{expected}; bring that one back, or tune and decode again"
        )
    return found


def _closed_lexicon(lm: NgramModel, tokenizer: Tokenizer, name: str) -> Lexicon:
    """The words of an n-gram model that the acoustic model can spell."""
    if lm.unit != "word":
        raise UsageError(f"{name}: a model of tokens, which has no words that a search could be restricted to")
    words = [word for word in lm.vocabulary if word not in SPECIAL and not tokenizer.unknown(word)]
    if not words:
        raise AsrError(f"{name}: holds no word that can be written in the model's tokens")
    return from_words(words, tokenizer)


def _with_hotwords(
    lexicon: Lexicon, hotwords: Sequence[str], spell: Callable[[str], Sequence[Sequence[str]]]
) -> Lexicon:
    """The lexicon with those words of hotwords that it lacks and that can be spelled, in the case of all others."""
    known, written = set(lexicon.words), written_among(lexicon.words)
    cases = [case for case in (str.upper, str.lower) if all(word == case(word) for word in lexicon.words)]
    words = {written(word) for phrase in hotwords for word in phrase.split()} - known
    spelled = {(cases[0](word) if cases else word): spell(word) for word in sorted(words)}
    spelled = {word: spellings for word, spellings in spelled.items() if spellings}
    return lexicon.with_named(spelled) if spelled else lexicon


class Search:
    """A beam search with all that its settings name, loaded and checked against the model.

    Args:
        model: whose log-probs it is for.
        settings: of the search; where it holds sums of its files, they must be right.
        threads: utterances decoded at once.
        models: how many models recognise together, ``model`` being one of them.
        network: the model's attention decoder, if it is to take part.
        spell: how hotwords that the lexicon lacks are spelled in tokens, each in several ways; None: they are refused.

    Rows are log-probs of shape (S, V); of several models (M, S, V), see `asr.decode.ensemble`; and `Heard` where
    ``encoded`` says that the model's attention decoder takes part, see `asr.decode.one_pass`.

    Raises:
        AsrError: a file cannot be read, is not the one meant, or does not fit the model.
        UsageError: an option out of its range, a hotword that cannot be written, or options that exclude each other.
    """

    def __init__(
        self,
        model: Source,
        settings: SearchSettings,
        threads: int,
        models: int = 1,
        network: AttentionDecoder | None = None,
        spell: Callable[[str], Sequence[Sequence[str]]] | None = None,
    ) -> None:
        self.threads, self.models, self.network = threads, models, network
        self.frame_seconds, tokenizer = model.frame_seconds, model.tokenizer
        if settings.closed and (settings.lm is None or settings.lexicon is not None):
            raise UsageError(
                "a closed vocabulary is that of the n-gram model: name one, and no lexicon, which says the words itself"
            )
        if settings.lm is not None and Path(settings.lm).is_dir():
            raise AsrError(f"{settings.lm}: a folder, as LSTM models have; needed is the file of an n-gram model")
        self.settings = settings.changed(
            lm_sha256=_checked(settings.lm, settings.lm_sha256, "language model"),
            lexicon_sha256=_checked(settings.lexicon, settings.lexicon_sha256, "lexicon"),
            rescore_sha256=_checked(settings.rescore, settings.rescore_sha256, "language model"),
        )
        self.lm: NgramModel | None = load_lm(Path(settings.lm)) if settings.lm else None
        self.lexicon: Lexicon | None = read_lexicon(Path(settings.lexicon)) if settings.lexicon else None
        if self.lexicon is not None and spell is not None:
            self.lexicon = _with_hotwords(self.lexicon, settings.hotwords, spell)
        self.recurrent: RecurrentLm | None = None
        if settings.rescore:
            from asr.lm.recurrent import load_recurrent  # torch

            self.recurrent = load_recurrent(Path(settings.rescore))
        if self.lm is not None and (self.lexicon is None or self.lm.unit == "token"):
            check_fit(tokenizer, self.lm, str(settings.lm))
            if settings.closed:
                self.lexicon = _closed_lexicon(self.lm, tokenizer, str(settings.lm))
        if self.recurrent is not None:
            check_recurrent_fit(tokenizer, self.recurrent, str(settings.rescore), self.lexicon)
        if settings.background is not None and len(settings.background) != len(tokenizer):
            raise AsrError(
                f"the background for word times has {len(settings.background)} numbers, the model has {len(tokenizer)} "
                "tokens; tune again"
            )
        settings.rescoring()  # checks its numbers before any work
        hotwords = [(phrase, settings.hotword_weight) for phrase in settings.hotwords]
        decoder = BeamDecoder(tokenizer, BLANK, settings.options(), self.lm, self.lexicon, hotwords)
        self.decoder: BeamDecoder | JointDecoder | OnePassDecoder = self._together(decoder)

    def _together(self, decoder: BeamDecoder) -> BeamDecoder | JointDecoder | OnePassDecoder:
        """The decoder, with the model's attention decoder or with what several models make of it, where it is so."""
        network, weight = self.network, self.settings.ctc_weight
        if self.models > 1:
            if weight is not None:
                raise UsageError("several models recognise together by CTC alone: leave out --ctc-weight")
            return JointDecoder(decoder)
        if network is None:
            if weight not in (None, 1):
                raise UsageError(
                    "--ctc-weight weighs CTC against an attention decoder, and this model has none: leave it out, or "
                    "train a model with decoder.weight=0.3"
                )
            return decoder
        if weight == 1:
            return decoder
        if self.settings.blank_skip < 1:
            raise UsageError(
                "--blank-skip passes over frames, and a search with an attention decoder goes by tokens: leave it out, "
                "or search by CTC alone with --ctc-weight 1"
            )
        self.settings = self.settings.changed(ctc_weight=CTC_WEIGHT if weight is None else weight)
        return OnePassDecoder(decoder, network, CTC_WEIGHT if weight is None else weight)

    @property
    def encoded(self) -> bool:
        """Whether rows are `Heard`."""
        return isinstance(self.decoder, OnePassDecoder)

    @property
    def name(self) -> str:
        """As a receipt calls it."""
        parts = ["beam"]
        if self.lexicon is not None:
            parts.append("closed" if self.settings.closed else "lexicon")
        if self.lm is not None:
            parts.append(f"{'token-' if self.lm.unit == 'token' else ''}{self.lm.order}gram")
        if self.recurrent is not None:
            parts.append("lstm")
        if self.encoded:
            parts.append("attention")
        if self.settings.hotwords:
            parts.append("hotwords")
        if self.models > 1:
            parts.append(f"{self.models}models")
        return "+".join(parts)

    def change(self, settings: SearchSettings) -> None:
        """Takes other numbers; the files stay."""
        self.settings = settings
        self.decoder = self.decoder.with_options(settings.options())
        if isinstance(self.decoder, OnePassDecoder) and settings.ctc_weight is not None:
            self.decoder = self.decoder.with_weight(settings.ctc_weight)

    def candidates(self, rows: Sequence[Row]) -> list[list[Candidate]]:
        """The n best of each utterance."""
        found = self.decoder.decode_batch(rows, self.threads)
        if self.recurrent is None:
            return found
        return rescore_nbests(found, self.recurrent, self.decoder.options, self.settings.rescoring())

    def evidence(self, candidates: list[Candidate], row: Row) -> Evidence:
        """What speaks for each word of the best candidate."""
        return evidence(candidates, candidates[0].groups, mean_frames(row), BLANK)

    def hypothesis(self, candidates: list[Candidate], row: Row) -> Hypothesis:
        """The best candidate with times and confidences of its words."""
        best, settings = candidates[0], self.settings
        if best.acoustic == -np.inf:  # the lexicon allows nothing that the frames do
            return Hypothesis(best.text, [Word(word, 0.0, 0.0, 0.0) for word in best.words], best.total)
        background = np.array(settings.background) if settings.background is not None else None
        shifts = Shifts(settings.shift_start, settings.shift_end)
        times = word_times(mean_frames(row), best.tokens, best.groups, BLANK, self.frame_seconds, background, shifts)
        calibration = Calibration(settings.temperature, settings.scale, settings.offset)
        sure = word_confidences(self.evidence(candidates, row), calibration)
        words = [
            Word(word, start, end, round(confidence, 4))
            for word, (start, end), confidence in zip(best.words, times, sure, strict=True)
        ]
        return Hypothesis(best.text, words, best.total)

    def decode(self, rows: Sequence[Row]) -> list[Hypothesis]:
        """Hypotheses of utterances."""
        found = self.candidates(rows)
        return [self.hypothesis(candidates, row) for candidates, row in zip(found, rows, strict=True)]

    def system(self) -> System:
        """This search as a system."""
        return System(self.name, self.decode, self.settings, self.encoded)
