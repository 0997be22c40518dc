from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numba
import numpy as np
import pytest
from safetensors.numpy import load_file

from asr.errors import AsrError
from asr.lm import storage
from asr.lm.arpa import read_arpa
from asr.lm.ngram import END, NgramModel, Tables, load_lm
from asr.lm.perplexity import perplexity
from asr.lm.quantise import codebook, narrow, nearest, pack, unpack, widen
from asr.lm.storage import write_model
from asr.lm.trie import DuplicateNgram, Level, build
from tests.lm.arpas import Reference, normalised, sentences

WORDS = ["a", "b", "c", "ü", "日本"]


@pytest.fixture
def reference() -> Reference:
    return normalised(1, 3, WORDS)


@pytest.fixture
def model(tmp_path: Path, reference: Reference) -> NgramModel:
    (tmp_path / "lm.arpa").write_text(reference.text(), encoding="utf-8")
    return read_arpa(tmp_path / "lm.arpa")


@pytest.fixture
def saved(tmp_path: Path, model: NgramModel) -> Path:
    model.save(tmp_path / "lm.safetensors")
    return tmp_path / "lm.safetensors"


def _same(ours: Tables, theirs: Tables) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)


def test_probabilities_behind_every_state_sum_to_one(model: NgramModel) -> None:
    for state in range(len(model.tables.backoffs)):
        if state == 1 + END:  # nothing stands behind the end
            continue
        total = sum(math.exp(model.advance(state, word)[0]) for word in model.vocabulary if word != "<s>")
        assert total == pytest.approx(1, abs=1e-4), state


def test_scoring_is_advancing_word_by_word(model: NgramModel) -> None:
    together = []
    for words in sentences(2, WORDS, 50):
        state, expected = model.begin, []
        for word in [*words, "</s>"]:
            score, state = model.advance(state, word)
            expected.append(score)
        assert model.score(words) == expected
        together += expected
    ids = [model.ids.get(word, 0) for words in sentences(2, WORDS, 50) for word in [*words, "</s>"]]
    assert model.score_sentences(np.array(ids, np.uint32)).tolist() == together
    with pytest.raises(ValueError, match="not one of the 8"):
        model.score_sentences(np.array([8], np.uint32))


def test_a_state_is_the_longest_history_the_model_knows(model: NgramModel, reference: Reference) -> None:
    histories = {ngram for ngram in reference.log_probs if len(ngram) < 3}
    for words in sentences(3, WORDS, 50):
        state, spoken = model.begin, ("<s>",)
        for word in words:
            _, state = model.advance(state, word)
            spoken = (*spoken, word if word in WORDS else "<unk>")
            longest = next(spoken[-size:] for size in (2, 1) if spoken[-size:] in histories)
            assert _ngram(model, state) == longest


def _ngram(model: NgramModel, node: int) -> tuple[str, ...]:
    words: list[str] = []
    while node:
        words.insert(0, model.vocabulary[model.tables.words[node]])
        node = int(np.searchsorted(model.tables.first, node, side="right")) - 1
    return tuple(words)


def test_an_ngram_given_twice_is_refused() -> None:
    unigrams = Level(np.arange(3, dtype=np.uint32)[:, None], np.zeros(3, np.float32), np.zeros(3, np.float32))
    pairs = np.array([[1, 2], [0, 1], [1, 2]], np.uint32)
    with pytest.raises(DuplicateNgram) as raised:
        build([unigrams, Level(pairs, np.zeros(3, np.float32), np.zeros(3, np.float32))])
    assert (raised.value.order, raised.value.row) == (2, 2)


def test_a_saved_model_is_mapped_as_it_was(model: NgramModel, saved: Path) -> None:
    loaded = load_lm(saved)
    _same(loaded.tables, model.tables)
    assert (loaded.unit, loaded.order, loaded.vocabulary) == (model.unit, model.order, model.vocabulary)
    # Compiled code must see the same type as of a model that was just made, or it is compiled twice.
    assert numba.typeof(loaded.tables) == numba.typeof(model.tables)
    before = saved.read_bytes()
    loaded.tables.log_probs[:] = 0
    del loaded
    assert saved.read_bytes() == before


def test_safetensors_reads_it(model: NgramModel, saved: Path) -> None:
    tensors = load_file(saved)
    _same(Tables(**{name: tensors[name] for name in Tables._fields}), model.tables)
    assert tensors["vocabulary"].tobytes().decode().split("\n") == model.vocabulary


@pytest.mark.parametrize("eight_bit", [False, True])
def test_wherever_a_file_is_cut_or_damaged_it_is_refused(model: NgramModel, tmp_path: Path, eight_bit: bool) -> None:
    path, damaged = tmp_path / "whole", tmp_path / "damaged"
    write_model(model, path, eight_bit)
    whole = path.read_bytes()
    for size in range(9, len(whole), 7):
        damaged.write_bytes(whole[:size])
        with pytest.raises(AsrError, match=r"cut short|damaged|not an? "):
            load_lm(damaged)
    header = 8 + int.from_bytes(whole[:8], "little")
    for place in range(header, len(whole), 11):
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :])
        with pytest.raises(AsrError, match="damaged"):
            load_lm(damaged)


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("words", -1, 8),
        ("words", 2, 7),
        ("suffixes", -1, 1 << 30),
        ("suffixes", -1, -1),
        ("suffixes", 5, 5),
        ("first", 3, 0),
        ("first", -1, 1 << 30),
        ("first", 1, 8),
    ],
)
def test_tables_that_lead_astray_are_refused_though_their_checksum_is_right(
    model: NgramModel, tmp_path: Path, name: str, place: int, value: int
) -> None:
    getattr(model.tables, name)[place] = value
    model.save(tmp_path / "lm.safetensors")
    with pytest.raises(AsrError, match="do not exist"):
        load_lm(tmp_path / "lm.safetensors")


def test_eight_bit_tables_that_do_not_fit_are_refused(model: NgramModel) -> None:
    packed = pack(model.tables)
    _same(unpack(packed)._replace(log_probs=model.tables.log_probs), model.tables)
    for name, wrong in {
        "words.2": packed["words.2"][:, :-1],
        "children.1": packed["children.1"][:, :-1],
        "log_probs.3.book": packed["log_probs.3.book"][:2],
        "log_probs.2": packed["log_probs.2"][:-1],
        "backoffs.1": packed["backoffs.1"][:1],
        "words.3": np.full_like(packed["words.3"], 200),
        "words.3.large": np.ones(1, np.uint32),
    }.items():
        with pytest.raises(ValueError, match=r"."):
            unpack({**packed, name: wrong})
        with pytest.raises(ValueError, match=r"missing|children|there are"):
            unpack({key: value for key, value in packed.items() if key != name})


def test_what_a_file_is_shows_in_its_content_not_its_name(model: NgramModel, tmp_path: Path) -> None:
    model.save(tmp_path / "x.arpa")
    text = (tmp_path / "lm.arpa").read_bytes()
    (tmp_path / "y.safetensors").write_bytes(text)
    (tmp_path / "z.safetensors").write_bytes(gzip.compress(text))
    for name in ("x.arpa", "y.safetensors", "z.safetensors"):
        _same(load_lm(tmp_path / name).tables, model.tables)
    assert load_lm(tmp_path / "y.safetensors", "token").unit == "token"


@pytest.mark.parametrize("content", [b"", b"hello world, this is text\n", b"\0" * 100, b"PK\3\4" * 30])
def test_what_is_no_language_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(AsrError, match="not a language model"):
        load_lm(tmp_path / "x")
    with pytest.raises(AsrError, match="could not be read"):
        load_lm(tmp_path / "missing")


def test_another_safetensors_file_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(AsrError, match="not an n-gram language model"):
        load_lm(tmp_path / "x")


def test_nothing_half_written(model: NgramModel, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def stop(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "_header", stop)
    with pytest.raises(OSError, match="No space"):
        model.save(saved)
    assert saved.read_bytes() == before
    with pytest.raises(AsrError, match="could not be written"):
        monkeypatch.undo()
        model.save(saved / "below-a-file")
    assert sorted(path.name for path in saved.parent.iterdir()) == ["lm.arpa", "lm.safetensors"]


@pytest.mark.parametrize("largest", [1, 254, 255, 70_000, 1 << 24, (1 << 32) - 2])
def test_narrow_numbers_become_wide_again(largest: int) -> None:
    values = np.random.default_rng(1).integers(0, largest, 1000, dtype=np.uint32, endpoint=True)
    values[:900] %= 300
    planes, large = narrow(values)
    assert np.array_equal(widen(planes, large), values)
    assert planes.nbytes + large.nbytes <= values.nbytes


def test_a_codebook_keeps_few_values_exactly_and_many_nearly() -> None:
    few = np.array([-np.inf, -227.9, -5, -5, 0, 1], np.float32)
    assert np.array_equal(codebook(few)[nearest(few, codebook(few))], few)
    random = np.random.default_rng(1)
    many = np.concatenate([-random.exponential(4, 100_000), [-227.9, -np.inf, 0, 0]]).astype(np.float32)
    book = codebook(many)
    near = book[nearest(many, book)]
    assert len(book) <= 256
    assert np.array_equal(near[-4:], many[-4:])
    assert np.abs(near[:-4] - many[:-4]).max() < 0.5
    assert np.abs(near[:-4] - many[:-4]).mean() < 0.03


def test_perplexity_is_that_of_the_definition(model: NgramModel, reference: Reference) -> None:
    texts = [words for words in sentences(4, WORDS, 300) if words]
    log_probs = [score for words in texts for score in reference.score(words)]
    unknown = [
        score
        for words in texts
        for word, score in zip(words, reference.score(words), strict=False)
        if word == "unheard-of"
    ]
    seen = perplexity(model, [" ".join(words) for words in texts] + ["", "  "], "text")
    assert (seen.sentences, seen.unknown) == (len(texts), len(unknown))
    assert seen.words == len(log_probs) - len(texts)
    assert seen.with_unknown == pytest.approx(math.exp(-sum(log_probs) / len(log_probs)), rel=1e-4)
    known = len(log_probs) - len(unknown)
    assert seen.without_unknown == pytest.approx(math.exp((sum(unknown) - sum(log_probs)) / known), rel=1e-4)
    assert seen.bits == pytest.approx(math.log2(seen.with_unknown), rel=1e-9)


def test_perplexity_of_nothing_or_of_marks_is_refused(model: NgramModel) -> None:
    with pytest.raises(AsrError, match="dev: holds no words"):
        perplexity(model, ["", " "], "dev")
    with pytest.raises(AsrError, match="dev: holds <s> or </s>"):
        perplexity(model, ["a", "a </s> b"], "dev")
