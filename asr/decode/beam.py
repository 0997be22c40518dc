"""CTC prefix beam search with language models, a lexicon and hotwords; the search itself is in `asr.decode.kernel`."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr.decode.arrays import SPACE, character_numbers, lexicon_trie, tables_of, token_ids, units_of, vocabulary_trie
from asr.decode.ending import spelled
from asr.decode.fusion import NONE, Automaton, Fusion, Settings
from asr.decode.hotwords import character_automaton, parse_hotwords, start_state, word_automaton
from asr.decode.hypothesis import check_log_probs
from asr.decode.kernel import search
from asr.decode.lexicon import Lexicon
from asr.decode.plain import LEAST_SKIP, MOST_THRESHOLD, search_plain
from asr.decode.work import CLOSED, DEAD, Closed, Work, grown, new_work
from asr.errors import UsageError
from asr.lm.ngram import NgramModel
from asr.tokens import Tokenizer

_ROOM = 1 << 14  # prefixes that an utterance's first arrays have room for


@dataclass(frozen=True)
class BeamOptions:
    """How the search is done.

    Attributes:
        beam: most prefixes kept from frame to frame.
        token_limit: most tokens, the blank aside, tried in a frame, by rank.
        token_threshold: tokens further below the frame's best are not tried [nats]; ``inf``: no limit.
        beam_threshold: prefixes further below the best are not kept [nats]; ``inf``: no limit.
        blank_skip: a frame whose blank has at least this probability is taken for blank at once; 1: none is.
        lm_weight: alpha, the language model's weight.
        word_bonus: beta, added for each word [nats].
        unknown_penalty: added for each word (token) outside the language model's vocabulary [nats], at most 0.
        nbest: most candidates returned.

    Raises:
        UsageError: a value out of its range.
    """

    beam: int = 16
    token_limit: int = 16
    token_threshold: float = 10.0
    beam_threshold: float = 20.0
    blank_skip: float = 1.0
    lm_weight: float = 0.5
    word_bonus: float = 0.0
    unknown_penalty: float = -10.0
    nbest: int = 1

    def __post_init__(self) -> None:
        for name in ("beam", "token_limit", "nbest"):
            if not getattr(self, name) >= 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("token_threshold", "beam_threshold"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} must be a positive number of nats, not {getattr(self, name)}")
        if not 0 < self.blank_skip <= 1:
            raise UsageError(f"blank_skip must be a probability above 0 and at most 1, not {self.blank_skip}")
        if not 0 <= self.lm_weight < math.inf:
            raise UsageError(f"lm_weight must be a number from 0 on, not {self.lm_weight}")
        if not math.isfinite(self.word_bonus):
            raise UsageError(f"word_bonus must be a number of nats, not {self.word_bonus}")
        if not -math.inf < self.unknown_penalty <= 0:
            raise UsageError(f"unknown_penalty must be a number of nats, at most 0, not {self.unknown_penalty}")


@dataclass(frozen=True)
class Candidate:
    """One way to read an utterance.

    Attributes:
        tokens: its token ids, blanks and repeats removed.
        words: its words.
        groups: for each word, the positions in ``tokens`` of the tokens that spell it.
        acoustic: ln of the summed probability of its alignments.
        lm: ln P of its words (of its tokens, if the model is one of tokens) and of the sentence's end, unweighted; 0
            without a model.
        total: acoustic + lm_weight · lm + word_bonus · words + unknown_penalty · unknown words + boosts of hotwords.
    """

    tokens: list[int]
    words: list[str]
    groups: list[list[int]]
    acoustic: float
    lm: float
    total: float

    @property
    def text(self) -> str:
        """The words, separated by single spaces."""
        return " ".join(self.words)


class BeamDecoder:
    """A prefix beam search made ready for one model; it holds no state between utterances, so threads may share it.

    Without a lexicon, any sequence of tokens can come out. A word model is asked where a word ends (``<space>``, or
    the next token that begins with ``▁``) and at the utterance's end; a word outside its vocabulary is charged
    ``unknown_penalty`` and the model's ``<unk>`` as soon as no known word can come of it. A token model is asked at
    every token. Candidates differ in their tokens, so that two of them may have the same words.

    With a lexicon, nothing but its words can come out: a word that it lacks is heard as the nearest that it holds. A
    word of characters is followed by ``<space>`` if the model has that token, the last word perhaps not; a ``<space>``
    more, or before the first word, writes nothing, and a candidate's tokens are without it. Alignments of different
    spellings of the same words are summed, and candidates differ in their words. If no prefix in the beam
    is a sequence of whole words at the utterance's end, the best one is closed at its last whole word and keeps its
    acoustic score; if the frames rule out everything that the lexicon allows, the scores are −inf.

    See `asr.decode.hotwords` for what a hotword's weight [nats per word] means.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        blank: int,
        options: BeamOptions,
        lm: NgramModel | None = None,
        lexicon: Lexicon | None = None,
        hotwords: Sequence[tuple[str, float]] = (),
    ) -> None:
        """
        Args:
            tokenizer: of the model; its ``kind``, ``symbols`` and ``words`` are used.
            blank: index of the blank.
            options: how to search.
            lm: a model of words or of tokens.
            lexicon: restricts the search to its words.
            hotwords: phrases with their weights [nats per word].

        Raises:
            AsrError: the lexicon needs a token that the model lacks, or the language model shares no word or token with
                the model.
            UsageError: a hotword that is empty or cannot be written.
            ValueError: the blank is not one of the tokens.
        """
        symbols = tokenizer.symbols
        if not 0 <= blank < len(symbols):
            raise ValueError(f"the blank must be one of the {len(symbols)} tokens, this is {blank}")
        self.tokenizer, self.blank, self.options, self.lexicon = tokenizer, blank, options, lexicon
        self._lm_start = 0 if lm is None else lm.begin
        self._space = NONE
        if lexicon is not None and tokenizer.kind == "char" and SPACE in symbols:
            self._space = symbols.index(SPACE)

        characters = character_numbers(tokenizer, blank)
        phrases = parse_hotwords(hotwords)
        by_word = lexicon is not None or tokenizer.kind == "word"
        if lexicon is not None:
            labels = {word: label for label, word in enumerate(lexicon.words)}
            hot = word_automaton(phrases, labels, "the lexicon's words")
            trie = lexicon_trie(lexicon, symbols, blank, self._space, lm)
        else:
            trie = vocabulary_trie(characters, lm if tokenizer.kind != "word" else None)
            if by_word:
                tokens = {symbol: token for token, symbol in enumerate(symbols) if token != blank}
                hot = word_automaton(phrases, tokens, "the model's words")
            else:
                hot = character_automaton(phrases, characters)
        each_token = lm is not None and (lm.unit == "token" or (tokenizer.kind == "word" and lexicon is None))
        self._modes = {
            "blank": int(blank),
            "lexicon": lexicon is not None,
            "has_lm": lm is not None,
            "each_token": each_token,
            "token_words": tokenizer.kind == "word",
            "has_hot": bool(phrases),
            "hot_start": start_state(phrases, by_word),
        }
        units = units_of(
            tokenizer, blank, characters, token_ids(symbols, blank, lm) if lm is not None and each_token else None
        )
        self._fusion = Fusion(_settings(options, self._modes, hot, len(symbols)), units, trie, hot, tables_of(lm))
        self._homophones = int(np.diff(trie.first_word).max()) if lexicon is not None else 1

    def with_options(self, options: BeamOptions) -> BeamDecoder:
        """The same decoder with other options; what it was made ready with is shared."""
        other = copy.copy(self)
        other.options = options
        settings = _settings(options, self._modes, self._fusion.hot, len(self.tokenizer.symbols))
        other._fusion = self._fusion._replace(settings=settings)
        return other

    def decode(self, log_probs: np.ndarray) -> list[Candidate]:
        """Decodes one utterance.

        Args:
            log_probs: shape (S, V), natural logarithms, normalised over V.

        Returns:
            At most ``nbest`` candidates, the best first; at least one.

        Raises:
            ValueError: not log-probabilities of that shape.
        """
        probabilities, sums = check_log_probs(log_probs, self.blank)
        if log_probs.shape[1] != len(self.tokenizer.symbols):
            raise ValueError(
                f"log-probs of shape {log_probs.shape} do not fit a model of {len(self.tokenizer.symbols)} tokens"
            )
        if self._sound_alone:
            return self._sounds(probabilities, sums)
        rows = np.ascontiguousarray(log_probs, np.float64)
        beam, hot = self.options.beam, self._fusion.settings.hot_start
        work = new_work(
            beam,
            rows.shape[1],
            min(len(rows) * beam, _ROOM) + beam + 1,
            self._lm_start,
            float(self._fusion.hot.credit[hot]),
            hot,
        )
        most = beam * self._homophones
        closed = Closed(np.empty(most, np.int32), np.empty(most, np.int32), np.empty((most, 3)))
        frame = search(rows, 0, work, self._fusion, self._space, closed)
        while frame < len(rows):
            work = grown(work)
            frame = search(rows, frame, work, self._fusion, self._space, closed)
        return self._candidates(work, closed, len(rows))

    def decode_batch(self, log_probs: Sequence[np.ndarray], threads: int) -> list[list[Candidate]]:
        """Decodes utterances in parallel; the same as `decode` for each of them, in the same order.

        Args:
            log_probs: of each utterance, shape (S, V).
            threads: how many at once; the search does not hold Python's lock.

        Raises:
            UsageError: ``threads`` is below 1.
            ValueError: not log-probabilities of that shape.
        """
        if threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}")
        # An utterance without frames: so that no two threads wait for the same compilation.
        self.decode(np.zeros((0, len(self.tokenizer.symbols))))
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self.decode, log_probs))

    @property
    def _sound_alone(self) -> bool:
        """Whether `search_plain` can do it."""
        options = self.options
        return (
            self._fusion.settings.plain
            and options.beam_threshold <= MOST_THRESHOLD
            and options.blank_skip >= LEAST_SKIP
        )

    def _sounds(self, probabilities: np.ndarray, sums: np.ndarray) -> list[Candidate]:
        """The candidates of a search by nothing but sound; see `check_log_probs` for the arguments."""
        options = self.options
        scores, tokens, lengths = search_plain(
            probabilities,
            sums,
            self.blank,
            options.beam,
            self._fusion.settings.token_limit,
            math.exp(-options.token_threshold),
            math.exp(-options.beam_threshold),
            options.blank_skip if options.blank_skip < 1 else math.inf,
            options.nbest,
        )
        candidates = []
        for score, row, length in zip(scores.tolist(), tokens.tolist(), lengths.tolist(), strict=True):
            ids = row[:length]
            found = self.tokenizer.words(ids)
            words, groups = [word for word, _ in found], [positions for _, positions in found]
            candidates.append(Candidate(ids, words, groups, score, 0.0, score))
        return sorted(candidates, key=lambda one: (-one.total, one.tokens))

    def _candidates(self, work: Work, closed: Closed, frames: int) -> list[Candidate]:
        """The closed prefixes of a finished search, ranked; with a lexicon, those of equal words summed."""
        nodes, ends, values = (array[: work.counts[CLOSED]] for array in closed)
        if work.counts[DEAD]:
            values[:, [0, 2]] = -math.inf
        places = np.argsort(-values[:, 2], kind="stable")
        if self.lexicon is None:
            places = places[: self.options.nbest]
        nodes, ends, values = nodes[places], ends[places], values[places]
        tokens, labels, lengths, spoken, counts = spelled(work.ints, nodes, ends, frames)
        if self.lexicon is None:
            gains = dict.fromkeys(range(len(places)), 0.0)
        else:
            gains = _summed(tokens, lengths, spoken, counts, values[:, 2].tolist())
            if len(gains) > self.options.nbest:
                totals = sorted((values[place, 2] + gain for place, gain in gains.items()), reverse=True)
                least = totals[self.options.nbest - 1]
                gains = {place: gain for place, gain in gains.items() if values[place, 2] + gain >= least}
        candidates = []
        for place, gain in gains.items():
            ids = tokens[place, : lengths[place]].tolist()
            acoustic, lm, total = values[place].tolist()
            if self.lexicon is None:
                found = self.tokenizer.words(ids)
                words, groups = [word for word, _ in found], [positions for _, positions in found]
            else:
                words = [self.lexicon.words[label] for label in spoken[place, : counts[place]].tolist()]
                groups = self._groups(ids, labels[place, : lengths[place]].tolist(), len(words))
            candidates.append(Candidate(ids, words, groups, acoustic + gain, lm, total + gain))
        ranked = sorted(candidates, key=lambda one: (-one.total, one.tokens, one.words))
        return ranked[: self.options.nbest]

    def _groups(self, ids: list[int], labels: list[int], words: int) -> list[list[int]]:
        """The positions of each word's tokens."""
        groups: list[list[int]] = [[]]
        for position, (token, label) in enumerate(zip(ids, labels, strict=True)):
            if token != self._space:
                groups[-1].append(position)
            if label != NONE:
                groups.append([])
        return groups[:words]


def _summed(
    tokens: np.ndarray, lengths: np.ndarray, spoken: np.ndarray, counts: np.ndarray, totals: list[float]
) -> dict[int, float]:
    """For the best prefix of each sequence of words, what the others of the same words add to its score [nats].

    ``totals`` descend; the arrays are those of `spelled`.
    """
    first: dict[bytes, int] = {}
    seen = set()
    gains: dict[int, float] = {}
    for place, total in enumerate(totals):
        words = spoken[place, : counts[place]].tobytes()
        spelling = (words, tokens[place, : lengths[place]].tobytes())
        if spelling in seen:
            continue  # the same tokens, parted into the same words at other places: the same alignments
        seen.add(spelling)
        best = first.setdefault(words, place)
        if best == place:
            gains[place] = 0.0
        elif total > -math.inf:
            sum_so_far = totals[best] + gains[best]
            gains[best] = float(np.logaddexp(sum_so_far, total)) - totals[best]
    return gains


def _settings(options: BeamOptions, modes: dict[str, Any], hot: Automaton, tokens: int) -> Settings:
    """What the kernel reads of the options and of what the decoder was made with."""
    return Settings(
        token_limit=min(int(options.token_limit), tokens),
        token_threshold=float(options.token_threshold),
        beam_threshold=float(options.beam_threshold),
        skip=math.log(options.blank_skip) if options.blank_skip < 1 else math.inf,
        alpha=float(options.lm_weight),
        bonus=float(options.word_bonus),
        unknown=float(options.unknown_penalty),
        gain=max(0.0, options.word_bonus) + float(hot.credit.max() + hot.complete.max()),
        plain=not (modes["has_lm"] or modes["has_hot"] or options.word_bonus or modes["lexicon"]),
        **modes,
    )
