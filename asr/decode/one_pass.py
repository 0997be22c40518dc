"""Joint decoding in one pass: a search token by token, led by CTC and an attention decoder together.

Source: Watanabe et al. 2017, "Hybrid CTC/attention architecture for end-to-end speech recognition", section on joint
decoding, one-pass. The sound's score of a prefix is λ ln P(begins with it), by CTC over all alignments
(`asr.decode.prefix`), + (1 − λ) ln P(it), by the attention decoder; of a whole transcript CTC's is that of all
alignments of just this transcript, and the decoder's that of its end, too. Language model, bonus, lexicon and hotwords
are added as in the search frame by frame (`asr.decode.fusion`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from asr.decode.beam import BeamDecoder, BeamOptions, Candidate
from asr.decode.ending import write_out
from asr.decode.found import TOTAL, new_found
from asr.decode.hypothesis import Heard, check_log_probs
from asr.decode.label_kernel import begin, close, grow
from asr.decode.prefix import empty_masses, extend_masses, prefix_scores, whole_scores
from asr.decode.work import ADDED, CLOSED, ENTRIES, ENTRY, Closed, new_closed, new_work
from asr.errors import UsageError

if TYPE_CHECKING:
    from asr.decode.speller import Speller
    from asr.model.attention_decoder import AttentionDecoder

CTC_WEIGHT = 0.5  # where nothing was tuned


class OnePassDecoder:
    """A joint search made ready for one model.

    The options are those of the search frame by frame, with prefixes of equal length compared instead of prefixes at
    the same frame: ``beam`` prefixes go on from token to token, each tries the ``token_limit`` best tokens by the
    sound, none further than ``token_threshold`` below its best one, and no prefix goes on that is more than
    ``beam_threshold`` below the best one or below the best transcript that has ended. ``blank_skip`` is not for it.
    With the widest options and λ = 1 the candidates are those of an exhaustive search by CTC. What no alignment spells
    is left out at any λ, so that every candidate has its word times. Where a lexicon spells the same words in several
    ways, their scores are summed as if they were logarithms of probabilities, which they are at λ = 1.

    Args:
        beam: options, language model, lexicon and hotwords.
        network: the model's attention decoder, in evaluation mode.
        ctc_weight: λ, 0 to 1.

    Raises:
        UsageError: λ out of its range.
    """

    def __init__(self, beam: BeamDecoder, network: AttentionDecoder, ctc_weight: float = CTC_WEIGHT) -> None:
        if not 0 <= ctc_weight <= 1:
            raise UsageError(f"ctc_weight must lie between 0 and 1, not {ctc_weight}")
        self.beam, self.network, self.ctc_weight = beam, network, ctc_weight

    @property
    def options(self) -> BeamOptions:
        """Of the search."""
        return self.beam.options

    def with_options(self, options: BeamOptions) -> OnePassDecoder:
        """The same decoder with other options."""
        return OnePassDecoder(self.beam.with_options(options), self.network, self.ctc_weight)

    def with_weight(self, ctc_weight: float) -> OnePassDecoder:
        """The same decoder with another λ."""
        return OnePassDecoder(self.beam, self.network, ctc_weight)

    def decode_batch(self, heard: Sequence[Heard], threads: int = 1) -> list[list[Candidate]]:
        """Decodes utterances, one after the other: the network's own threads are all that it uses.

        Args:
            heard: of each utterance.
            threads: of no use here.

        Returns:
            Of each at most ``nbest`` candidates, the best first; at least one. Their ``acoustic`` is that of both
            scorers together.

        Raises:
            ValueError: not log-probabilities of the model's tokens, or not as many frames in both.
        """
        return [self.decode(one) for one in heard]

    def decode(self, heard: Heard) -> list[Candidate]:
        """Decodes one utterance; see `decode_batch`."""
        from asr.decode.speller import Speller  # torch, which a search by CTC alone does without

        if not isinstance(heard, Heard):
            raise ValueError(f"a joint search needs log-probs and what the encoder says, this is a {type(heard)}")
        log_probs, encoded = heard
        tokens, blank = len(self.beam.tokenizer.symbols), self.beam.blank
        probabilities, _ = check_log_probs(log_probs, blank)
        if log_probs.shape[1] != tokens or len(encoded) != len(log_probs):
            raise ValueError(
                f"log-probs of shape {log_probs.shape} and encodings of shape {encoded.shape} do not fit each other or "
                f"a model of {tokens} tokens"
            )
        if len(log_probs) == 0:
            return self.beam.decode(log_probs)
        sound = _Sound(np.ascontiguousarray(log_probs, np.float64), probabilities, blank)
        return self._search(sound, Speller(self.network, encoded))

    def _search(self, sound: _Sound, speller: Speller) -> list[Candidate]:
        options, fusion, frames = self.options, self.beam.fusion, len(sound.log_probs)
        work = new_work(options.beam, sound.log_probs.shape[1], (frames + 1) * options.beam + 1)
        ended = _Ended(options.beam * self.beam.homophones)
        begin(work, fusion, self.beam.lm_start, float(fusion.hot.credit[fusion.settings.hot_start]))
        for length in range(frames + 1):
            close(self._joint(sound.whole(), speller.whole()), work, fusion, self.beam.space, ended.fresh)
            ended.keep(int(work.counts[CLOSED]))
            if length == frames:
                break
            grow(self._joint(sound.extended(), speller.extended()), ended.best, work, fusion)
            rows = work.picked[: work.counts[ENTRIES]]
            if len(rows) == 0:
                break
            parents, tokens = (work.made[rows, column].astype(np.int64) for column in (ENTRY, ADDED))
            sound.extend(parents, tokens)
            speller.extend(parents, tokens)
        if len(ended.kept.nodes) == 0:  # a lexicon, and frames that rule out all it allows
            return self.beam.decode(sound.log_probs)
        found = new_found(1, len(ended.kept.nodes), frames, words=True)
        write_out(work.ints, ended.kept, len(ended.kept.nodes), found, 0, 0, frames)
        return self.beam.candidates_of(found, 0, 0, frames)

    def _joint(self, ctc: np.ndarray, spelled: np.ndarray) -> np.ndarray:
        """Both scores together, of the same shape; −inf for what CTC holds impossible."""
        with np.errstate(invalid="ignore"):  # 0 · −inf
            joint: np.ndarray = self.ctc_weight * ctc + (1 - self.ctc_weight) * spelled
        joint[ctc == -np.inf] = -np.inf
        return joint


class _Sound:
    """CTC's scores of the prefixes in the beam, B of them, the empty one at first."""

    def __init__(self, log_probs: np.ndarray, probabilities: np.ndarray, blank: int) -> None:
        self.log_probs, self._probabilities, self._blank = log_probs, probabilities, blank
        self._masses, self._lasts = empty_masses(log_probs, blank), np.array([blank])

    def whole(self) -> np.ndarray:
        """Of each prefix as a whole transcript, shape (B,)."""
        return whole_scores(self._masses)

    def extended(self) -> np.ndarray:
        """Of each prefix with each token more, shape (B, V)."""
        return prefix_scores(self._probabilities, self._blank, self._masses, self._lasts)

    def extend(self, parents: np.ndarray, tokens: np.ndarray) -> None:
        """Goes on to other prefixes: these with one token more each, int64 of shape (B',)."""
        before = self._masses[parents]
        self._masses = np.empty_like(before)
        extend_masses(self.log_probs, self._blank, before, self._lasts[parents], tokens, self._masses)
        self._lasts = tokens


class _Ended:
    """The best transcripts that have ended so far.

    Attributes:
        fresh: to be filled with those of one length.
        kept: the best of all lengths, the best first.
    """

    def __init__(self, most: int) -> None:
        self.fresh, self.kept = new_closed(most), Closed(*(one[:0] for one in new_closed(most)))

    @property
    def best(self) -> float:
        """The best score; −inf: there is none."""
        return float(self.kept.values[:, TOTAL].max(initial=-np.inf))

    def keep(self, count: int) -> None:
        """Takes the first ``count`` of ``fresh``, as far as they are possible."""
        joined = [np.concatenate([one, other[:count]]) for one, other in zip(self.kept, self.fresh, strict=True)]
        totals = joined[2][:, TOTAL]
        order = np.argsort(-totals, kind="stable")[: len(self.fresh.nodes)]
        self.kept = Closed(*(one[order[totals[order] > -np.inf]] for one in joined))
