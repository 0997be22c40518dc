from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from asr.config import TokenConfig
from asr.errors import AsrError
from asr.manifest import Utterance
from asr.tokens import BLANK, Tokenizer, check_transcripts, load_tokenizer, train_tokenizer

TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "pack my box with five dozen liquor jugs",
    "how vexingly quick daft zebras jump",
    "ça va l'été où naïve Ärger größe",
    "",
    "the the the",
] * 3
KINDS = ["char", "word", "unigram", "bpe"]

# Any letter, mark, digit or symbol of any script; single spaces between.
_LETTERS = st.characters(exclude_categories=("Z", "C"), exclude_characters="▁▅⁇")
_SENTENCES = st.lists(st.text(_LETTERS, min_size=1, max_size=8), max_size=6).map(" ".join)


def _config(kind: str, size: int = 60) -> TokenConfig:
    return TokenConfig.model_validate({"kind": kind} | ({"size": size} if kind in ("unigram", "bpe") else {}))


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return train_tokenizer(_config(request.param), TEXTS)


def test_decode_undoes_encode(tokenizer: Tokenizer) -> None:
    assert len(tokenizer) == len(tokenizer.symbols)
    assert tokenizer.symbols[BLANK] == "<blank>"
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert BLANK not in ids
        assert all(0 < token < len(tokenizer) for token in ids)
        assert tokenizer.decode(ids) == text
        assert tokenizer.encode(f"  {text}\n") == ids


@settings(max_examples=150, deadline=None)
@given(text=_SENTENCES)
def test_characters_spell_any_script(text: str) -> None:
    assume(text)
    tokenizer = train_tokenizer(_config("char"), [text])
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer) == 1 + len(set(text))


@settings(max_examples=50, deadline=None)
@given(words=st.lists(st.sampled_from(" ".join(TEXTS).split()), max_size=8), kind=st.sampled_from(["unigram", "bpe"]))
def test_pieces_spell_sentences_they_were_not_trained_on(words: list[str], kind: str) -> None:
    tokenizer = _pieces(kind)
    assert tokenizer.decode(tokenizer.encode(" ".join(words))) == " ".join(words)


_CACHE: dict[str, Tokenizer] = {}


def _pieces(kind: str) -> Tokenizer:
    return _CACHE.setdefault(kind, train_tokenizer(_config(kind), TEXTS))


def test_words_say_where_their_tokens_stand(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("the lazy fox")
    words = tokenizer.words(ids)
    assert [word for word, _ in words] == ["the", "lazy", "fox"]
    positions = [position for _, spelt in words for position in spelt]
    assert positions == sorted(set(positions))
    for word, spelt in words:
        assert tokenizer.decode([ids[position] for position in spelt]) == word


def test_positions_of_characters_and_words() -> None:
    assert train_tokenizer(_config("char"), ["ab c"]).words([2, 1, 1, 3, 4]) == [("a", [0]), ("bc", [3, 4])]
    assert train_tokenizer(_config("word"), ["a b"]).words([2, 2, 1]) == [("b", [0]), ("b", [1]), ("a", [2])]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_ids_make_words_joined_by_single_spaces(data: st.DataObject) -> None:
    """A network may write spaces first, twice or last, or a piece alone that is nothing but the word mark."""
    for kind in KINDS:
        tokenizer = _CACHE.setdefault(kind, train_tokenizer(_config(kind), TEXTS))
        ids = data.draw(st.lists(st.integers(min_value=1, max_value=len(tokenizer) - 1), max_size=12))
        text = tokenizer.decode(ids)
        assert text == " ".join(text.split())
        assert "▁" not in text


def test_letters_and_accents_are_not_touched() -> None:
    composed, apart = "é", unicodedata.normalize("NFD", "é")
    for kind in KINDS:
        tokenizer = train_tokenizer(_config(kind, size=9), [f"{composed} {apart} ab ab abc"] * 3)
        assert tokenizer.decode(tokenizer.encode(composed)) == composed
        assert tokenizer.decode(tokenizer.encode(apart)) == apart


@pytest.mark.parametrize(("kind", "seen"), [("char", "['ß', 'ж']"), ("word", "['die', 'ßж']"), ("bpe", "['ß', 'ж']")])
def test_what_has_no_token_is_named(kind: str, seen: str) -> None:
    tokenizer = train_tokenizer(_config(kind, size=12), ["die" if kind == "bpe" else "d i e", "ei de"] * 3)
    assert str(tokenizer.unknown("die ßж")) == seen
    with pytest.raises(AsrError, match=f"'die ßж': no token for {re.escape(seen[1:-1])}"):
        tokenizer.encode("die ßж")


def _utterance(name: str, text: str) -> Utterance:
    return Utterance(name, Path("a.wav"), 1.0, text)


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_characters_are_named_with_their_utterances(kind: str) -> None:
    tokenizer = train_tokenizer(_config(kind, size=8), ["ab ba"] * 3)
    good = [_utterance("u0", "ab ba")]
    check_transcripts(tokenizer, good, "train")
    bad = [_utterance(f"u{number}", "ab ж") for number in range(1, 6)]
    with pytest.raises(AsrError, match=r"^dev: transcripts hold .* 'ж' in 5 \(u1, u2, u3, …\); correct them") as caught:
        check_transcripts(tokenizer, good + bad, "dev")
    assert ("tokens.characters" in str(caught.value)) == (kind == "char")


def test_a_long_list_of_unknown_characters_is_cut() -> None:
    tokenizer = train_tokenizer(_config("char"), ["a"])
    with pytest.raises(AsrError, match="and 16 more"):
        check_transcripts(tokenizer, [_utterance("u", "bcdefghijklmnopqrstuvwxyz0")], "train")


def test_saved_and_loaded_it_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tokenizer.save(tmp_path)
    loaded = load_tokenizer(tmp_path, tokenizer.kind)
    assert loaded.symbols == tokenizer.symbols
    for text in TEXTS:
        assert loaded.encode(text) == tokenizer.encode(text)
    again = tmp_path / "again"
    again.mkdir()
    assert loaded.save(again).read_bytes() == path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(text=_SENTENCES)
def test_any_script_survives_the_file(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    assume(text)
    folder = tmp_path_factory.getbasetemp() / "scripts"
    for kind in ("char", "word"):
        tokenizer = train_tokenizer(_config(kind), [text])
        tokenizer.save(folder)
        assert load_tokenizer(folder, kind).symbols == tokenizer.symbols


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_pieces_are_learned_the_same_every_time(kind: str) -> None:
    first, second = (train_tokenizer(_config(kind), TEXTS) for _ in range(2))
    assert first.symbols == second.symbols
    assert [first.encode(text) for text in TEXTS] == [second.encode(text) for text in TEXTS]


def test_bpe_has_the_size_asked_for() -> None:
    assert len(train_tokenizer(_config("bpe", 60), TEXTS)) == 60


@pytest.mark.parametrize(("kind", "size"), [("bpe", 5000), ("bpe", 4), ("unigram", 4)])
def test_a_size_that_does_not_fit_is_one_sentence(kind: str, size: int) -> None:
    with pytest.raises(AsrError, match=rf"^tokens\.size={size}: SentencePiece could not learn") as caught:
        train_tokenizer(_config(kind, size), TEXTS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_long_transcripts_are_learned_from(kind: str) -> None:
    long = " ".join(["abc"] * 2000)  # SentencePiece skips sentences above 4192 bytes unless told not to
    tokenizer = train_tokenizer(_config(kind, 6), [long, "b a", "c"])
    assert tokenizer.decode(tokenizer.encode(long)) == long
    assert train_tokenizer(_config(kind, 5), [long]).unknown("abc") == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [[], [""], ["", "  "]])
def test_no_text_at_all(kind: str, texts: list[str]) -> None:
    with pytest.raises(AsrError, match="every transcript is empty"):
        train_tokenizer(_config(kind), texts)


def test_configured_characters_are_the_only_ones() -> None:
    config = TokenConfig(characters="ba a\t\n")  # white space is one token, whatever it is written as
    assert train_tokenizer(config, ["abc"]).symbols == ["<blank>", "<space>", "a", "b"]


def test_the_blanks_name_is_no_word(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match="'<blank>' stands in a transcript"):
        train_tokenizer(_config("word"), ["a <blank> b"])
    tokenizer = train_tokenizer(_config("word"), ["a <space> b"])
    tokenizer.save(tmp_path)
    assert load_tokenizer(tmp_path, "word").decode(tokenizer.encode("<space> a")) == "<space> a"


def test_sentencepieces_own_mark_is_a_letter_like_others_or_unknown() -> None:
    tokenizer = train_tokenizer(_config("char"), ["a▁b"])
    assert tokenizer.decode(tokenizer.encode("a▁b")) == "a▁b"
    tokenizer = _pieces("bpe")
    assert tokenizer.unknown("the▁fox") == ["▁"]
    with pytest.raises(AsrError, match="no token for '▁'"):
        tokenizer.encode("the▁fox")


@pytest.mark.parametrize("content", ["", "a\nb\n", "<blank>\na\na\n", "<blank>\na\n\n\n"])
def test_a_malformed_list_of_tokens(content: str, tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_text(content)
    with pytest.raises(AsrError, match=r"tokens\.txt: must begin with <blank> and hold each token once"):
        load_tokenizer(tmp_path, "char")


@pytest.mark.parametrize(("kind", "name"), [("char", "tokens.txt"), ("bpe", "tokens.model")])
def test_a_missing_file_of_tokens(kind: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=f"{name}: could not be read"):
        load_tokenizer(tmp_path, kind)


def test_a_foreign_sentencepiece_model_is_refused(tmp_path: Path) -> None:
    """With the usual numbering, <unk> 0, <s> 1, </s> 2 would do; with <pad> 0, no piece is free for the blank."""
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=model, vocab_size=50, pad_id=0, unk_id=1, bos_id=2, eos_id=3
    )
    (tmp_path / "tokens.model").write_bytes(model.getvalue())
    with pytest.raises(AsrError, match="its unknown piece must have id 0, where the blank stands, not 1"):
        load_tokenizer(tmp_path, "unigram")
