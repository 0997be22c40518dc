from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from asr.decode import ensemble
from asr.decode.beam import BeamDecoder, BeamOptions
from asr.decode.ensemble import (
    JointDecoder,
    ensemble_sha256,
    joint_greedy_decoder,
    joint_scores,
    load_models,
    mean_frames,
    networks,
)
from asr.decode.greedy import greedy_decoder
from asr.decode.hypothesis import Hypothesis
from asr.decode.lexicon import Lexicon, from_words
from asr.decode.manifest import decode_manifest, log_probs_of
from asr.decode.settings import SearchSettings
from asr.decode.system import Search, greedy_system
from asr.errors import UsageError
from asr.manifest import Utterance, read_manifest
from asr.model.acoustic import AcousticModel, Recogniser, load_model, save_model
from asr.model.ctc import ctc_loss
from asr.tokens import BLANK, Tokenizer
from tests.decode.models import prefixes, random_lm, random_log_probs, tokenizer
from tests.decode.oracle import ALPHA, BETA, CHARACTERS, FUSED, lm_score, parses
from tests.tones import Learned, learned, tiny_config

CPU = torch.device("cpu")
LETTERS = tokenizer("char", ["<space>", "a", "c", "t"])


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return learned(tmp_path_factory)


@pytest.fixture(scope="module")
def folders(tones: Learned, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The learned model and two others, which are it with disturbed weights and err where it does not."""
    made = [tones.out / "model"]
    for number in (1, 2):
        recogniser = load_model(tones.out / "model")
        torch.manual_seed(number)
        with torch.no_grad():
            for parameter in recogniser.model.parameters():
                parameter += 0.4 * torch.randn_like(parameter)
        made.append(tmp_path_factory.mktemp("disturbed"))
        save_model(made[-1], recogniser.model, recogniser.tokenizer, {}, "disturbed")
    return made


@pytest.fixture(scope="module")
def utterances(tones: Learned) -> list[Utterance]:
    return read_manifest(tones.test)


def _decode(recognisers: list[Recogniser], utterances: list[Utterance], beam: bool) -> dict[str, Hypothesis]:
    count = len(recognisers)
    system = (
        Search(recognisers[0], SearchSettings(), 1, count).system() if beam else greedy_system(recognisers[0], count)
    )
    model, *others = networks(recognisers)
    hypotheses, failed = decode_manifest(utterances, model, system.decode, CPU, others=others)
    assert failed == {}
    return hypotheses


def test_the_score_is_the_mean_of_what_each_model_gives_to_all_alignments() -> None:
    rows = np.stack([random_log_probs(5, 3, seed) for seed in (1, 2, 3)]).astype(np.float32)
    sums = [prefixes(row, BLANK) for row in rows]
    transcripts = list(sums[0])
    expected = [np.mean([one[tokens] for one in sums]) for tokens in transcripts]
    np.testing.assert_allclose(joint_scores(rows, transcripts), expected, rtol=1e-5, atol=1e-5)
    assert joint_scores(rows, [(1,) * 6, (1, 2)])[0] == -np.inf
    assert joint_scores(np.zeros((2, 0, 3), np.float32), [(), (1,)]).tolist() == [0, -np.inf]


@pytest.mark.parametrize("most", [1, 600, 1000, 10**9])
def test_transcripts_are_scored_in_parts_that_the_memory_can_hold(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.stack([random_log_probs(11, 4, seed) for seed in (1, 2)]).astype(np.float32)
    transcripts = [(1, 2), (3,), (), (1, 1, 2, 3), (2, 2, 2, 2), (3, 1), (1,) * 12]
    whole = joint_scores(rows, transcripts)
    parts: list[list[tuple[int, ...]]] = []

    def loss(log_probs: torch.Tensor, lengths: torch.Tensor, labels: list[tuple[int, ...]]) -> torch.Tensor:
        assert len(labels) == 1 or len(labels) * 11 * (2 * max(map(len, labels)) + 1) <= most
        parts.append(labels)
        return ctc_loss(log_probs, lengths, labels)

    monkeypatch.setattr(ensemble, "_MOST", most)
    monkeypatch.setattr("asr.model.ctc.ctc_loss", loss)
    assert joint_scores(rows, transcripts).tolist() == whole.tolist()
    assert [one for part in parts[::2] for one in part] == transcripts
    assert len(parts) == 2 * {1: 7, 600: 4, 1000: 3, 10**9: 1}[most]


def test_frames_to_be_shown_are_the_mean_of_probabilities() -> None:
    rows = np.stack([random_log_probs(4, 5, seed) for seed in (1, 2)]).astype(np.float32)
    np.testing.assert_allclose(np.exp(mean_frames(rows)), np.exp(rows).mean(axis=0), rtol=1e-5)
    assert mean_frames(rows).dtype == np.float32
    alone = rows[0]
    assert mean_frames(alone) is alone


def _spelled(text: str, late: int, doubt: float, rather: str = "") -> np.ndarray:
    """Log-probs (S, V) with a spike for each letter every third frame, ``late`` frames behind its place.

    What a spike lacks to certainty, ``doubt``, goes to the letter of ``rather`` in that place, or to the blank.
    """
    others = LETTERS.encode(rather) or [BLANK] * len(text)
    p = np.full((3 * len(text) + 1, len(LETTERS)), 0.001)
    p[:, BLANK] = 1.0
    for place, token in enumerate(LETTERS.encode(text)):
        p[3 * place + late] = 0.001
        p[3 * place + late, others[place]] = doubt
        p[3 * place + late, token] = 1 - doubt
    return np.log(p / p.sum(axis=1, keepdims=True)).astype(np.float32)


def test_models_that_write_at_different_times_agree_on_the_transcript_and_not_on_the_frames() -> None:
    rows = np.stack([_spelled("cat", 0, 0.1), _spelled("cat", 1, 0.2)])
    assert joint_greedy_decoder(LETTERS, 0.03)([rows])[0].text == "cat"
    decoder = BeamDecoder(LETTERS, BLANK, BeamOptions(nbest=4))
    assert JointDecoder(decoder).decode_batch([rows], 1)[0][0].text == "cat"
    assert greedy_decoder(BLANK, LETTERS, 0.03)([mean_frames(rows)])[0].text != "cat"


def test_the_surer_model_prevails() -> None:
    rows = np.stack([_spelled("act", 0, 0.1, "cat"), _spelled("cat", 0, 0.4, "act")])
    for order in (rows, rows[::-1]):
        (found,) = joint_greedy_decoder(LETTERS, 0.03)([order])
        assert found.text == "act"
        assert found.score == pytest.approx(joint_scores(rows, [LETTERS.encode("act")])[0], rel=1e-6)
        (candidates,) = JointDecoder(BeamDecoder(LETTERS, BLANK, BeamOptions())).decode_batch([order], 1)
        assert candidates[0].text == "act"


def test_candidates_are_those_of_all_in_one_order_with_the_language_models_part_as_it_was() -> None:
    lm = random_lm("word", ["a", "at", "cat"], 2, seed=3)
    decoder = BeamDecoder(LETTERS, BLANK, BeamOptions(beam=8, nbest=16, lm_weight=0.7, word_bonus=0.3), lm)
    rows = np.stack([random_log_probs(9, len(LETTERS), seed) for seed in (4, 5)]).astype(np.float32)
    (found,) = JointDecoder(decoder).decode_batch([rows], 1)
    alone = {tuple(one.tokens): one for row in rows for one in decoder.decode(row)}
    assert {tuple(one.tokens) for one in found} == set(alone)
    assert [one.total for one in found] == sorted((one.total for one in found), reverse=True)
    scores = joint_scores(rows, [one.tokens for one in found])
    for one, score in zip(found, scores, strict=True):
        former = alone[tuple(one.tokens)]
        assert one.acoustic == score
        assert one.total == pytest.approx(former.total - former.acoustic + score)
        assert (one.lm, one.words, one.groups) == (former.lm, former.words, former.groups)


_PRONOUNCED = [("TO", "a b"), ("TWO", "a b"), ("TOO", "a b"), ("A", "a"), ("A", "b"), ("A", "b a"), ("B", "b b")]


@pytest.mark.parametrize("tokens", [CHARACTERS, tokenizer("word", ["c", "a", "b"])], ids=["spaces", "no spaces"])
@pytest.mark.parametrize("fused", [False, True], ids=["", "word model"])
def test_with_a_lexicon_words_have_the_sum_of_what_all_models_together_give_each_spelling(
    tokens: Tokenizer, fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ensemble, "_EACH", 5000)
    rows = np.stack([random_log_probs(4, 4, seed) for seed in (7, 8)]).astype(np.float32)
    lm = random_lm("word", ["TO", "TWO", "A"], 2, seed=3) if fused else None
    lexicon = Lexicon([(word, spelling.split()) for word, spelling in _PRONOUNCED])
    decoder = JointDecoder(BeamDecoder(tokens, BLANK, BeamOptions(**FUSED), lm, lexicon))
    (found,) = decoder.decode_batch([rows], 1)

    spellings = [(word, tuple(map(tokens.symbols.index, spelling.split()))) for word, spelling in _PRONOUNCED]
    space = 1 if tokens.kind == "char" else None
    wanted: dict[tuple[str, ...], float] = {}
    one, other = (prefixes(row, BLANK) for row in rows)
    for ids in one:
        for words in parses(ids, spellings, space):
            lm_part, outside = lm_score(lm, list(words)) if lm is not None else (0.0, 0.0)
            total = (one[ids] + other[ids]) / 2 + ALPHA * lm_part + outside + BETA * len(words)
            wanted[words] = float(np.logaddexp(wanted.get(words, -np.inf), total))
    assert {tuple(each.words): each.total for each in found} == pytest.approx(wanted, abs=1e-4)
    assert len(found) == len(wanted)
    assert [each.total for each in found] == sorted((each.total for each in found), reverse=True)
    for each in found:
        assert tuple(each.words) in parses(tuple(each.tokens), spellings, space)
        lm_part, outside = lm_score(lm, each.words) if lm is not None else (0.0, 0.0)
        rest = ALPHA * lm_part + outside + BETA * len(each.words)
        assert each.acoustic == pytest.approx(each.total - rest, abs=1e-5)
    (best,) = decoder.with_options(replace(decoder.options, nbest=3)).decode_batch([rows], 1)
    assert best == found[:3]


def test_homophones_all_come_out_and_no_more_candidates_than_are_asked_for() -> None:
    tokens = tokenizer("word", ["a", "b"])
    lexicon = Lexicon([(word, spelling.split()) for word, spelling in _PRONOUNCED if "A" not in word])
    row = np.log(np.array([[0.01, 0.98, 0.01], [0.01, 0.01, 0.98]], np.float32))
    for nbest in (1, 3):
        alone = BeamDecoder(tokens, BLANK, BeamOptions(nbest=nbest), lexicon=lexicon)
        (found,) = JointDecoder(alone).decode_batch([np.stack([row, row])], 1)
        assert [one.text for one in found] == [one.text for one in alone.decode(row)] == ["TO", "TOO", "TWO"][:nbest]


def test_what_a_lexicon_forces_upon_frames_that_rule_it_out_keeps_its_score() -> None:
    row = np.full((3, len(LETTERS)), -np.inf, dtype=np.float32)
    row[:, LETTERS.symbols.index("t")] = 0.0  # no word begins with it
    decoder = BeamDecoder(LETTERS, BLANK, BeamOptions(), lexicon=from_words(["a"], LETTERS))
    (found,) = JointDecoder(decoder).decode_batch([np.stack([row, row])], 1)
    assert found[0].total == -np.inf
    assert not any(np.isnan(one.total) for one in found)


@pytest.mark.parametrize("shape", [(4, 5), (5,), (1, 2, 4, 5)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    for decode in (
        lambda row: joint_greedy_decoder(LETTERS, 0.03)([row]),
        lambda row: JointDecoder(BeamDecoder(LETTERS, BLANK, BeamOptions())).decode_batch([row], 1),
    ):
        with pytest.raises(ValueError, match=r"must be of shape \(M, S, V\), these are \("):
            decode(np.zeros(shape, np.float32))


@pytest.mark.parametrize("beam", [False, True])
def test_a_model_with_itself_is_the_model(folders: list[Path], utterances: list[Utterance], beam: bool) -> None:
    for folder in folders[:2]:
        alone = _decode(load_models([folder]), utterances, beam)
        for name, one in _decode(load_models([folder] * 3), utterances, beam).items():
            assert one.text == alone[name].text
            for word, same in zip(one.words, alone[name].words, strict=True):
                assert (word.word, word.start, word.end) == (same.word, same.start, same.end)
                # A search leaves out alignments that the joint score holds, so that shares move a little.
                assert word.confidence == pytest.approx(same.confidence, abs=0.05)


@pytest.mark.parametrize("beam", [False, True])
def test_in_whatever_order_they_are_named_the_same_comes_out(
    folders: list[Path], utterances: list[Utterance], beam: bool
) -> None:
    orders = [load_models(list(order)) for order in itertools.permutations(folders)]
    first, *others = [_decode(recognisers, utterances, beam) for recognisers in orders]
    assert all(other == first for other in others)
    assert len({ensemble_sha256(recognisers) for recognisers in orders}) == 1
    alone = [_decode(load_models([folder]), utterances, beam) for folder in folders]
    assert len({tuple(sorted((name, one.text) for name, one in each.items())) for each in alone}) > 1, "all are alike"


def test_every_model_takes_part(folders: list[Path], utterances: list[Utterance]) -> None:
    recognisers = load_models(folders)
    model, *others = networks(recognisers)
    for made in log_probs_of(utterances, model, CPU, others=others):
        for utterance, rows in made:
            assert not isinstance(rows, str)
            for row, one in zip(rows, [model, *others], strict=True):
                ((_, alone),) = next(log_probs_of([utterance], one, CPU))
                assert not isinstance(alone, str)
                np.testing.assert_allclose(row, alone, atol=1e-4)


def test_each_model_normalises_speakers_in_its_own_way(utterances: list[Utterance]) -> None:
    models = []
    for number, cmvn in enumerate(("none", "speaker", "speaker")):
        torch.manual_seed(number)
        models.append(AcousticModel(tiny_config(f"features.cmvn={cmvn}", f"features.mels={12 + number}"), 5).eval())
    together = {
        one.id: rows for made in log_probs_of(utterances, models[0], CPU, others=models[1:]) for one, rows in made
    }
    for place, model in enumerate(models):
        for made in log_probs_of(utterances, model, CPU):
            for one, row in made:
                np.testing.assert_allclose(together[one.id][place], row, atol=1e-5)  # type: ignore[call-overload]


def test_the_sum_of_one_is_its_own_and_that_of_several_of_all() -> None:
    def recogniser(sha256: str) -> Recogniser:
        return Recogniser(nn.Identity(), LETTERS, {}, sha256)  # type: ignore[arg-type]

    assert ensemble_sha256([recogniser("a" * 64)]) == "a" * 64
    both = ensemble_sha256([recogniser("a" * 64), recogniser("b" * 64)])
    assert len(both) == 64
    assert both != ensemble_sha256([recogniser("a" * 64), recogniser("a" * 64)])


def _save(folder: Path, symbols: list[str], *overrides: str, kind: str = "char") -> Path:
    config = tiny_config("features.cmvn=none", f"tokens.kind={kind}", *overrides)
    folder.mkdir()
    save_model(folder, AcousticModel(config, len(symbols) + 1), Tokenizer(kind, ["<blank>", *symbols]), {}, "")
    return folder


@pytest.mark.parametrize(
    ("symbols", "kind", "overrides", "sentence"),
    [
        (["<space>", "a", "c"], "char", [], r"their tokens differ \(5 and 4\): only one of them has 'b'"),
        (["<space>", "a", "b", "d"], "char", [], r"\(5 and 5\): only one of them has 'c', 'd'"),
        (["<space>", "a", "c", "b"], "char", [], "they stand in another order"),
        (["<unk>", "a", "b", "c"], "word", [], "their tokens are of kind char and word"),
        (["<space>", "a", "b", "c"], "char", ["encoder.subsampling.factor=2"], "their frames are 30 and 20 ms apart"),
        (["<space>", "a", "b", "c"], "char", ["features.frame_length=32.0"], r"frame_length is 25\.0 and 32\.0"),
        (["<space>", "a", "b", "c"], "char", ["features.rate=16000"], "features.rate is 8000 and 16000"),
        (["<space>", "a", "b", "c"], "char", ["features.snip_edges=false"], "snip_edges is True and False"),
        (
            ["<space>", "a", "b", "c"],
            "char",
            ["encoder.subsampling.factor=6", "features.frame_shift=5.0"],
            r"features\.frame_shift is 10\.0 and 5\.0",
        ),
    ],
)
def test_models_that_do_not_fit_together_are_refused_with_what_differs(
    symbols: list[str], kind: str, overrides: list[str], sentence: str, tmp_path: Path
) -> None:
    one = _save(tmp_path / "one", ["<space>", "a", "b", "c"])
    other = _save(tmp_path / "other", symbols, *overrides, kind=kind)
    with pytest.raises(UsageError, match=rf"one and .*other cannot recognise together: .*{sentence}"):
        load_models([one, one, other])


def test_models_of_another_build_may_recognise_together(tmp_path: Path) -> None:
    symbols = ["<space>", "a", "b", "c"]
    wide = _save(tmp_path / "wide", symbols, "encoder.hidden=9", "features.mels=20", "encoder.subsampling.kind=conv1d")
    assert len(load_models([_save(tmp_path / "one", symbols), wide])) == 2
