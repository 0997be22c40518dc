"""Streams: the numbers of the offline pass, the same events however samples come in, segments, and bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.decode.hypothesis import Hypothesis
from asr.errors import AsrError, UsageError
from asr.model.acoustic import AcousticModel, Recogniser, load_model
from asr.tokens import Tokenizer
from asr.transcribe.backend import Backend, TorchBackend
from asr.transcribe.stream import Event, Stream, first_cut
from asr.transcribe.transcript import Segment
from tests.tones import RATE, Learned, greedy_of, learned, tiny_config, tone

SAID = (["do", "re"], ["fa"], ["mi", "do", "fa"])


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return learned(tmp_path_factory)


@pytest.fixture(scope="module")
def recogniser(tones: Learned) -> Recogniser:
    return load_model(tones.out / "model")


@pytest.fixture(scope="module")
def backend(recogniser: Recogniser) -> Backend:
    return TorchBackend(recogniser, torch.device("cpu"))


def _backend(model: AcousticModel, tokenizer: Tokenizer | None = None) -> TorchBackend:
    tokenizer = tokenizer or Tokenizer("char", ["<blank>", *"abcd"])
    return TorchBackend(Recogniser(model, tokenizer, {}, ""), torch.device("cpu"))


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """`SAID`, with a second of near silence behind each."""
    random = np.random.default_rng(5)
    quiet = [(0.01 * random.standard_normal(RATE)).astype(np.float32) for _ in SAID]
    parts = [(tone(words, random), rest) for words, rest in zip(SAID, quiet, strict=True)]
    return np.concatenate([one for pair in parts for one in pair])


def _blocks(samples: np.ndarray, sizes: list[int]) -> Iterator[np.ndarray]:
    begin = 0
    for size in sizes:
        yield samples[begin : begin + size]
        begin += size
    yield samples[begin:]


def _events(stream: Stream, blocks: Iterator[np.ndarray]) -> list[Event]:
    return [event for block in blocks for event in stream.accept(block)] + stream.finish()


_SIZES = st.lists(st.integers(min_value=0, max_value=3000), max_size=20)


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(min_value=0, max_value=9000),
    sizes=_SIZES,
    latency=st.floats(min_value=0.06, max_value=0.9),
    factor=st.sampled_from([1, 3, 4]),
    length=st.sampled_from([25.0, 10.0, 7.0, 40.0]),
    kind=st.sampled_from(["fbank", "mfcc"]),
    cell=st.sampled_from(["lstm", "gru", "rnn"]),
)
def test_log_probs_are_those_of_the_offline_pass_and_the_same_however_samples_come(
    samples: int, sizes: list[int], latency: float, factor: int, length: float, kind: str, cell: str
) -> None:
    features = (f"features.frame_length={length}", f"features.kind={kind}", "features.cepstra=7", "features.mels=8")
    encoder = (f"encoder.subsampling.factor={factor}", "encoder.layers=2", f"encoder.cell={cell}", "encoder.hidden=6")
    torch.manual_seed(1)
    model = AcousticModel(tiny_config("features.cmvn=global", *features, *encoder), 5).eval()
    model.features.set_global(*(torch.full((model.features.dimension,), value) for value in (4.0, 3.0)))
    latency = max(latency, 2 * model.frame_seconds)
    waveform = 0.1 * np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    streamed, at_once = (_backend(model).streamed(latency) for _ in range(2))
    rows = [row for block in _blocks(waveform, sizes) for row in streamed.accept(block)] + streamed.finish()
    assert len(rows) == len(others := at_once.accept(waveform) + at_once.finish())
    assert all(np.array_equal(row, other) for row, other in zip(rows, others, strict=True))
    assert sum(map(len, rows)) == model.output_length(samples)
    if rows:
        (whole,) = model.log_probs([torch.from_numpy(waveform)], chunking=model.config.chunking(latency))
        np.testing.assert_allclose(np.concatenate(rows), whole.numpy(), atol=1e-5, rtol=0)


@settings(max_examples=15, deadline=None)
@given(sizes=_SIZES, latency=st.sampled_from([0.12, 0.3, 1.0]), longest=st.sampled_from([0.6, 20.0]))
def test_events_are_the_same_however_samples_come(
    backend: Backend, speech: np.ndarray, sizes: list[int], latency: float, longest: float
) -> None:
    one, other = (Stream(backend, latency, pause=0.4, longest=longest) for _ in range(2))
    assert _events(one, _blocks(speech, sizes)) == _events(other, _blocks(speech, [1000] * 100))


@pytest.mark.parametrize("latency", [0.06, 0.3, 1.0])
def test_words_between_pauses_come_as_segments_in_the_streams_time(
    backend: Backend, speech: np.ndarray, latency: float
) -> None:
    events = _events(Stream(backend, latency, pause=0.5), _blocks(speech, [240] * 1000))
    final = [event.segment for event in events if event.final]
    assert [segment.text.split() for segment in final] == list(SAID)
    at = 0.0
    for segment, words in zip(final, SAID, strict=True):
        length = 0.08 + 0.2 * len(words)
        assert at < segment.start < segment.end < at + length + 0.1
        assert (segment.start, segment.end) == (segment.words[0].start, segment.words[-1].end)
        for number, word in enumerate(segment.words):
            assert at + 0.2 * number <= word.start < word.end <= at + 0.2 * (number + 1) + 0.13
        at += length + 1.0


def test_partial_results_come_with_the_latency_and_grow(backend: Backend, speech: np.ndarray) -> None:
    stream, told = Stream(backend, 0.12), []
    for number, block in enumerate(np.split(speech[:RATE], 100)):
        told += [(event.segment.text, event.final, (number + 1) / 100) for event in stream.accept(block)]
    assert [(text, final) for text, final, _ in told] == [("do", False), ("do re", False)]
    assert told[0][2] < 0.08 + 0.12 + 0.12 + 0.05  # the tone, the latency, half a frame or so
    assert [(event.segment.text, event.final) for event in stream.finish()] == [("do re", True)]
    with pytest.raises(ValueError, match="finished"):
        stream.accept(speech)


def test_what_was_told_is_ended_at_the_end(backend: Backend, speech: np.ndarray) -> None:
    stream = Stream(backend, 0.3)
    *partial, last = _events(stream, _blocks(speech[: round(0.29 * RATE)], [100] * 99))
    assert [event.final for event in partial] == [False] * len(partial)
    assert (last.segment.text, last.final) == ("do", True)
    assert last.segment.end <= 0.29
    assert Stream(backend, 0.3).finish() == []


def test_a_decoder_of_ones_own(backend: Backend, recogniser: Recogniser, speech: np.ndarray) -> None:
    greedy = greedy_of(recogniser)

    def loud(rows: Sequence[np.ndarray]) -> list[Hypothesis]:
        found = greedy(rows)
        return [replace(one, words=[replace(word, word=word.word.upper()) for word in one.words]) for one in found]

    one, other = (_events(Stream(backend, 0.5, decode), _blocks(speech, [])) for decode in (None, loud))
    assert [event.segment.text.upper() for event in one] == [event.segment.text for event in other]
    assert other[-1].segment.text == "MI DO FA"


def test_long_segments_are_cut_and_memory_stays_bounded(backend: Backend) -> None:
    random = np.random.default_rng(2)
    stream = Stream(backend, 0.3, pause=0.5, longest=1.5)
    words = [str(random.choice(["do", "re", "mi", "fa"])) for _ in range(100)]
    segments: list[Segment] = []
    for word in words:
        segments += [event.segment for event in stream.accept(tone([word], random)) if event.final]
        assert len(stream._rows) <= 50 + stream.model.chunking.chunk
        assert stream.model._waiting < RATE
    segments += [event.segment for event in stream.finish() if event.final]
    assert all(segment.end - segment.start <= 1.5 for segment in segments)
    assert all(one.end <= other.start for one, other in pairwise(segments))
    found = [word.word for segment in segments for word in segment.words]
    assert sum(one != other for one, other in zip(found, words, strict=True)) <= 2


@given(
    blank=st.lists(st.booleans(), max_size=60).map(lambda rows: np.array(rows, dtype=bool)),
    pause=st.integers(min_value=1, max_value=9),
    more=st.integers(min_value=1, max_value=20),
)
def test_cuts_leave_no_long_pause_and_no_long_segment(blank: np.ndarray, pause: int, more: int) -> None:
    longest, rest, segments = pause + more, blank, []
    while cut := first_cut(rest, pause, longest):
        segments.append(rest[:cut])
        rest = rest[cut:]
    assert len(rest) < longest
    assert np.array_equal(np.concatenate([*segments, rest]), blank)
    for segment in segments:
        spoken = np.flatnonzero(~segment)
        if len(spoken):
            assert len(segment) <= longest
            assert np.diff(spoken).max(initial=1) - 1 < pause


def test_where_segments_are_cut() -> None:
    def cut(rows: str, pause: int, longest: int) -> int:
        return first_cut(np.array([row == "." for row in rows]), pause, longest)

    assert cut("..a..b", 4, 99) == 0
    assert cut("..a..b....", 4, 99) == 8
    assert cut("..a..b....c....", 4, 99) == 8
    assert cut("......a", 4, 99) == 4
    assert cut("aa.aa...aa.a", 4, 12) == 7
    assert cut("...aaaaaaaaa", 4, 12) == 12
    assert cut("", 4, 12) == 0


@pytest.mark.parametrize("samples", [np.zeros(9, np.int16), np.zeros((2, 9), np.float32), np.zeros((), np.float32)])
def test_other_samples_are_refused(backend: Backend, samples: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"samples must be floating-point numbers .* of shape"):
        Stream(backend, 0.3).accept(samples)


@pytest.mark.parametrize("value", [1e30, np.nan, np.inf])
def test_samples_of_absurd_size(backend: Backend, value: float, speech: np.ndarray) -> None:
    stream = Stream(backend, 0.3)
    stream.accept(speech[:RATE])
    with pytest.raises(AsrError, match=r"at \d\.\d s of the stream: the model gives no numbers for it; its samples"):
        stream.accept(np.full(RATE, value, np.float32))


@pytest.mark.parametrize("pause, longest", [(0.0, 20.0), (np.nan, 20.0), (3.0, 2.0), (0.8, np.inf)])
def test_pauses_that_cannot_be(backend: Backend, pause: float, longest: float) -> None:
    with pytest.raises(UsageError, match=r"a pause must last at least a frame, 0.03 s, and less than the longest"):
        Stream(backend, 0.3, pause=pause, longest=longest)


def test_models_of_whole_recordings(backend: Backend, recogniser: Recogniser) -> None:
    model = AcousticModel(tiny_config("features.cmvn=utterance"), len(recogniser.tokenizer)).eval()
    with pytest.raises(UsageError, match=r"this model hears whole recordings only, .*: features.cmvn=utterance needs"):
        Stream(_backend(model, recogniser.tokenizer), 0.3)
    for latency in (0.01, -1.0, np.nan, np.inf):
        with pytest.raises(UsageError, match="a latency"):
            Stream(backend, latency)
