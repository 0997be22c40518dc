"""CTC prefix beam search with language models, a lexicon and hotwords; the search itself is in `asr.decode.kernel`."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr.decode.arrays import SPACE, character_numbers, lexicon_trie, tables_of, token_ids, units_of, vocabulary_trie
from asr.decode.found import Found, new_found
from asr.decode.fusion import NONE, Automaton, Fusion, Settings
from asr.decode.hotwords import (
    character_automaton,
    parse_hotwords,
    start_state,
    word_automaton,
    written_among,
    written_in,
)
from asr.decode.hypothesis import check_log_probs
from asr.decode.kernel import search
from asr.decode.lexicon import Lexicon
from asr.decode.plain import LEAST_SKIP, MOST_THRESHOLD, search_plain
from asr.decode.work import Closed, Work, new_closed, new_work, with_more_nodes
from asr.errors import UsageError
from asr.lm.ngram import NgramModel
from asr.tokens import Tokenizer

_ROOM = 1 << 14  # prefixes that the first arrays have room for
_PART = 4000  # frames searched in one call, at most about


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
    """A prefix beam search made ready for one model; threads may share it.

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

    Attributes:
        apart: with a lexicon, return every spelling found of the ``nbest`` sequences of words (and of those as good as
            the last) as a candidate of its own, for whoever scores them anew and sums them then.
    """

    apart = False

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
        self.lm_start = 0 if lm is None else lm.begin
        self.space = NONE
        if lexicon is not None and tokenizer.kind == "char" and SPACE in symbols:
            self.space = symbols.index(SPACE)

        characters = character_numbers(tokenizer, blank)
        by_word = lexicon is not None or tokenizer.token_words
        if lexicon is not None:
            labels = {word: label for label, word in enumerate(lexicon.words)}
            phrases = parse_hotwords(hotwords, written_among(labels))
            hot = word_automaton(phrases, labels, "the lexicon's words")
            trie = lexicon_trie(lexicon, symbols, blank, self.space, lm)
        else:
            trie = vocabulary_trie(characters, lm if not tokenizer.token_words else None)
            if by_word:
                tokens = {symbol: token for token, symbol in enumerate(symbols) if token != blank}
                phrases = parse_hotwords(hotwords, written_among(tokens))
                hot = word_automaton(phrases, tokens, "the model's words")
            else:
                phrases = parse_hotwords(hotwords, written_in(characters))
                hot = character_automaton(phrases, characters)
        each_token = lm is not None and (lm.unit == "token" or (tokenizer.token_words and lexicon is None))
        self._modes = {
            "blank": int(blank),
            "lexicon": lexicon is not None,
            "has_lm": lm is not None,
            "each_token": each_token,
            "token_words": tokenizer.token_words,
            "has_hot": bool(phrases),
            "hot_start": start_state(phrases, by_word),
        }
        units = units_of(
            tokenizer, blank, characters, token_ids(symbols, blank, lm) if lm is not None and each_token else None
        )
        self.fusion = Fusion(_settings(options, self._modes, hot, len(symbols)), units, trie, hot, tables_of(lm))
        self.homophones = int(np.diff(trie.first_word).max()) if lexicon is not None else 1
        self._spare: list[tuple[Work, Closed]] = []  # arrays that no thread is working in

    def with_options(self, options: BeamOptions) -> BeamDecoder:
        """The same decoder with other options; what it was made ready with is shared."""
        other = copy.copy(self)
        other.options, other._spare = options, []
        settings = _settings(options, self._modes, self.fusion.hot, len(self.tokenizer.symbols))
        other.fusion = self.fusion._replace(settings=settings)
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
        return self._decode([log_probs])[0]

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
        parts = [list(log_probs[begin:end]) for begin, end in _parts([len(one) for one in log_probs], threads)]
        with ThreadPoolExecutor(threads) as pool:
            return [candidates for part in pool.map(self._decode, parts) for candidates in part]

    def _check_shape(self, log_probs: np.ndarray) -> None:
        shape = log_probs.shape if isinstance(log_probs, np.ndarray) else ()
        if len(shape) != 2 or shape[1] != len(self.tokenizer.symbols):
            check_log_probs(log_probs, self.blank)  # says it, if it is anything but the model's tokens
            raise ValueError(f"log-probs of shape {shape} do not fit a model of {len(self.tokenizer.symbols)} tokens")

    def _decode(self, log_probs: Sequence[np.ndarray]) -> list[list[Candidate]]:
        """Decodes utterances in one call of the compiled search, which takes less time than calling it for each."""
        for one in log_probs:
            self._check_shape(one)
        rows = log_probs[0] if len(log_probs) == 1 else np.concatenate(log_probs)
        try:
            probabilities, sums = check_log_probs(rows, self.blank)
        except ValueError:
            for one in log_probs:  # says it of the one that it is true of
                check_log_probs(one, self.blank)
            raise
        lengths = [len(one) for one in log_probs]
        firsts = [0, *itertools.accumulate(lengths)]
        bounds = np.array(firsts)
        ends = self.options.beam * self.homophones  # prefixes that can end with the utterance
        most = ends if self.lexicon is not None else min(self.options.nbest, ends)  # a lexicon's are summed by words
        found = new_found(len(log_probs), most, len(rows), words=not self._sound_alone)
        if self._sound_alone:
            self._search_sounds(probabilities, sums, bounds, found)
        else:
            self._search(np.ascontiguousarray(rows, np.float64), bounds, max(lengths), found)
        return [self.candidates_of(found, one, firsts[one], lengths[one]) for one in range(len(log_probs))]

    def _search(self, rows: np.ndarray, bounds: np.ndarray, longest: int, found: Found) -> None:
        """Fills ``found`` by the general search; ``longest``: frames of an utterance."""
        beam, ends = self.options.beam, self.options.beam * self.homophones
        try:
            work, closed = self._spare.pop()
        except IndexError:
            work = new_work(beam, rows.shape[1], min(longest * beam, _ROOM) + beam + 1)
            closed = new_closed(ends)
        rank = float(self.fusion.hot.credit[self.fusion.settings.hot_start])
        done = 0
        while True:
            done = search(rows, bounds, done, work, self.fusion, self.space, self.lm_start, rank, closed, found)
            if done == len(bounds) - 1:
                break
            work = with_more_nodes(work)
        self._spare.append((work, closed))

    def _search_sounds(self, probabilities: np.ndarray, sums: np.ndarray, bounds: np.ndarray, found: Found) -> None:
        """Fills ``found`` by `search_plain`; see `check_log_probs` for the first two."""
        options = self.options
        search_plain(
            probabilities,
            sums,
            bounds,
            self.blank,
            options.beam,
            self.fusion.settings.token_limit,
            math.exp(-options.token_threshold),
            math.exp(-options.beam_threshold),
            options.blank_skip if options.blank_skip < 1 else math.inf,
            found,
        )

    @property
    def _sound_alone(self) -> bool:
        """Whether `search_plain` can do it."""
        options = self.options
        return (
            self.fusion.settings.plain and options.beam_threshold <= MOST_THRESHOLD and options.blank_skip >= LEAST_SKIP
        )

    def candidates_of(self, found: Found, utterance: int, first: int, frames: int) -> list[Candidate]:
        """The prefixes of one utterance, ranked; with a lexicon, those of equal words summed."""
        values, sizes = found.values[utterance].tolist(), found.sizes[utterance].tolist()
        begins = [found.values.shape[1] * first + place * frames for place in range(found.counts[utterance])]
        candidates = []
        if self.lexicon is None:
            for begin, (acoustic, lm, total), (size, _) in zip(begins, values, sizes, strict=False):
                ids = found.tokens[begin : begin + size].tolist()
                written = self.tokenizer.words(ids)
                words, groups = [word for word, _ in written], [positions for _, positions in written]
                candidates.append(Candidate(ids, words, groups, acoustic, lm, total))
        else:
            tokens = [found.tokens[begin : begin + size] for begin, (size, _) in zip(begins, sizes, strict=False)]
            spoken = [found.words[begin : begin + size] for begin, (_, size) in zip(begins, sizes, strict=False)]
            for place, gain in self._best(_spellings(tokens, spoken), [total for _, _, total in values]):
                ids = tokens[place].tolist()
                words = [self.lexicon.words[label] for label in spoken[place].tolist()]
                labels = found.labels[begins[place] : begins[place] + len(ids)].tolist()
                acoustic, lm, total = values[place]
                groups = self._groups(ids, labels, len(words))
                candidates.append(Candidate(ids, words, groups, acoustic + gain, lm, total + gain))
        candidates.sort(key=lambda one: (-one.total, one.tokens, one.words))
        return candidates if self.apart else candidates[: self.options.nbest]

    def _best(self, spellings: Sequence[list[int]], totals: Sequence[float]) -> list[tuple[int, float]]:
        """(place, gain) of what can be among the ``nbest``, equals of the last included; see `log_sum`."""
        sums = [log_sum([totals[place] for place in places]) for places in spellings]
        least = sorted((total for total, _ in sums), reverse=True)[: self.options.nbest][-1]
        kept = [(places, gain) for places, (total, gain) in zip(spellings, sums, strict=True) if total >= least]
        if self.apart:
            return [(place, 0.0) for places, _ in kept for place in places]
        return [(places[0], gain) for places, gain in kept]

    def _groups(self, ids: list[int], labels: list[int], words: int) -> list[list[int]]:
        """The positions of each word's tokens."""
        groups: list[list[int]] = [[]]
        for position, (token, label) in enumerate(zip(ids, labels, strict=True)):
            if token != self.space:
                groups[-1].append(position)
            if label != NONE:
                groups.append([])
        return groups[:words]


def _parts(lengths: Sequence[int], threads: int) -> list[tuple[int, int]]:
    """First and behind the last of the utterances that are searched in one call: enough that calling hardly matters,
    few enough that each thread has several calls to do."""
    most = min(max(sum(lengths) // (8 * threads), 500), _PART)
    parts, begin, frames = [], 0, 0
    for place, length in enumerate(lengths):
        frames += length
        if frames >= most or place == len(lengths) - 1:
            parts.append((begin, place + 1))
            begin, frames = place + 1, 0
    return parts


def _spellings(tokens: list[np.ndarray], spoken: list[np.ndarray]) -> list[list[int]]:
    """For each sequence of words the prefixes that spell it, in their order.

    Args:
        tokens, spoken: the tokens and the words of each prefix.
    """
    seen = set()
    alike: dict[bytes, list[int]] = {}
    for place, (ids, words) in enumerate(zip(tokens, spoken, strict=True)):
        spelling = (words.tobytes(), ids.tobytes())
        if spelling in seen:
            continue  # the same tokens, parted into the same words at other places: the same alignments
        seen.add(spelling)
        alike.setdefault(spelling[0], []).append(place)
    return list(alike.values())


def log_sum(totals: Sequence[float]) -> tuple[float, float]:
    """ln of the sum of what has these logarithms, which descend; and how much more that is than the first of them."""
    if len(totals) == 1 or totals[0] == -math.inf:
        return totals[0], 0.0
    total = float(np.logaddexp.reduce(totals))
    return total, total - totals[0]


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
