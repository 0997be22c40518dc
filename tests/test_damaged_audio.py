"""Whatever stands in a file: samples or a sentence come out, never a crash, a hang or gigabytes."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reading import Reader

_KINDS = [
    ("WAV", "PCM_16"),
    ("WAV", "IMA_ADPCM"),
    ("WAV", "MS_ADPCM"),
    ("WAV", "GSM610"),
    ("WAV", "FLOAT"),
    ("WAVEX", "PCM_24"),
    ("RF64", "PCM_16"),
    ("W64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
    ("AIFF", "PCM_16"),
    ("AU", "PCM_16"),
    ("CAF", "PCM_16"),
    ("CAF", "ALAC_16"),
    ("NIST", "PCM_16"),
    ("VOC", "PCM_16"),
]
_Edit = tuple[str, "int | float", Any]
_ODD = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF]


@functools.cache
def _made(number: int) -> bytes:
    """A quarter of a second."""
    kind, coding = _KINDS[number]
    samples = np.convolve(np.random.default_rng(7).standard_normal(4000), np.ones(8) / 16, "same")
    channels = np.stack([samples, -samples], axis=1) if coding == "PCM_16" else samples
    file = io.BytesIO()
    soundfile.write(file, channels, 16000, coding, format=kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as reader:
        yield reader


# Half of the places lie in the first hundred bytes, where the headers are.
_places = st.one_of(st.integers(0, 100), st.floats(0, 1))
_numbers = st.sampled_from(_ODD).flatmap(
    lambda number: st.sampled_from(["little", "big"]).map(lambda order: number.to_bytes(4, order))
)
_edits = st.one_of(
    st.tuples(st.just("over"), _places, st.binary(min_size=1, max_size=4)),
    st.tuples(st.just("over"), _places, _numbers),
    st.tuples(st.just("in"), _places, st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("out"), _places, st.integers(1, 2000)),
    st.tuples(st.just("again"), _places, st.integers(1, 2000)),
    st.tuples(st.just("cut"), _places, st.none()),
)


def _edited(data: bytes, edits: list[_Edit]) -> bytes:
    for what, place, value in edits:
        at = int(place * len(data)) if isinstance(place, float) else min(place, len(data))
        if what == "over":
            data = data[:at] + value + data[at + len(value) :]
        elif what == "in":
            data = data[:at] + value + data[at:]
        elif what == "out":
            data = data[:at] + data[at + value :]
        elif what == "again":
            data = data[: at + value] + data[at:]
        else:
            data = data[:at]
    return data


@given(number=st.integers(0, len(_KINDS) - 1), edits=st.lists(_edits, min_size=1, max_size=4))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_damaged_gives_samples_or_a_sentence(
    number: int,
    edits: list[_Edit],
    reader: Reader,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.bin"
    path.write_bytes(_edited(_made(number), edits))
    for told in reader(path):
        assert told.endswith(" samples") or told.startswith("AsrError: "), (_KINDS[number], told)
