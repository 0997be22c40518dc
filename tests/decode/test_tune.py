from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from asr.corpora.connected import boundaries_path
from asr.decode.beam import BeamDecoder, BeamOptions, Candidate
from asr.decode.rescore import Rescoring, recurrent_scores, rescore
from asr.decode.settings import SearchSettings, Tuned, read_tuned
from asr.decode.tune import BEAMS, BONUSES, THRESHOLDS, WEIGHTS, Trial, tune, tune_rescoring
from asr.decode.tune_run import tune_to_folder
from asr.errors import AsrError
from asr.files import sha256
from asr.lm.kneser_ney import estimate
from asr.manifest import Utterance, read_manifest, write_manifest
from asr.model.acoustic import Recogniser
from asr.phones.dictionary import read_dictionary
from asr.score.align import texts_wer
from asr.tokens import Tokenizer
from asr.yaml_files import read_yaml
from tests.decode.models import tokenizer
from tests.tones import RATE, learned

LETTERS = tokenizer("char", ["<space>", *"acot"])


def _spoken(text: str, doubt: float, seed: int) -> np.ndarray:
    """Log-probs (S, V) of a text spelled in `LETTERS`, in which every ``a`` is rather heard as an ``o``."""
    random = np.random.default_rng(seed)
    rows = []
    for token in LETTERS.encode(text):
        p = np.full(len(LETTERS), 0.01) + 0.01 * random.random(len(LETTERS))
        p[token] = 1.0
        if LETTERS.symbols[token] == "a":
            p[token], p[LETTERS.symbols.index("o")] = 1 - doubt, doubt
        blank = np.full(len(LETTERS), 0.01)
        blank[0] = 1.0
        rows += [p / p.sum(), blank / blank.sum()]
    return np.log(np.array(rows))


REFERENCES = ["cat", "a cat", "cat act", "tact at", "a cot", "coat"] * 2
ROWS = [_spoken(text, 0.5 + 0.02 * number, number) for number, text in enumerate(REFERENCES)]


@pytest.fixture(scope="module")
def decoder() -> BeamDecoder:
    lm = estimate(iter(["cat act tact", "a cat at", "a cot", "coat"] * 3), 2)
    return BeamDecoder(LETTERS, 0, BeamOptions(), lm)


def _errors(decoder: BeamDecoder, options: BeamOptions) -> int:
    found = decoder.with_options(options).decode_batch(ROWS, 1)
    return texts_wer(REFERENCES, [candidates[0].text for candidates in found])[0].errors


def test_finds_weights_that_mend_what_the_sound_alone_gets_wrong(decoder: BeamDecoder) -> None:
    trials: list[Trial] = []
    best = tune(ROWS, REFERENCES, decoder, 1, trials.append)
    without = _errors(decoder, BeamOptions(lm_weight=0.0))
    assert best.words == sum(len(text.split()) for text in REFERENCES)
    assert best.errors <= without / 2
    assert best.wer == 100 * best.errors / best.words
    # What it says is what decoding with these options gives, and nothing that it tried was better.
    assert _errors(decoder, best.options) == best.errors
    assert best in trials
    assert best.errors == min(trial.errors for trial in trials if trial.options.beam == best.options.beam)
    assert best.errors <= 1.01 * min(trial.errors for trial in trials)


def test_tries_the_whole_grid_each_setting_once_and_every_beam(decoder: BeamDecoder) -> None:
    trials: list[Trial] = []
    tune(ROWS, REFERENCES, decoder, 1, trials.append)
    trials = [one for one in trials if one.options.beam_threshold == decoder.options.beam_threshold]
    keys = [(one.options.beam, one.options.lm_weight, one.options.word_bonus) for one in trials]
    assert len(set(keys)) == len(keys)
    assert set(keys) >= {(BEAMS[0], weight, bonus) for weight in WEIGHTS for bonus in BONUSES}
    assert {beam for beam, _, _ in keys} == set(BEAMS)
    assert min(weight for _, weight, _ in keys) >= 0
    kept = decoder.options
    assert all(replace(one.options, beam=kept.beam, lm_weight=0.5, word_bonus=0.0) == kept for one in trials)


@pytest.mark.parametrize(("widest", "beams"), [(64, {16, 32, 64}), (100, {16, 32, 64, 100}), (8, {8})])
def test_no_beam_is_tried_that_is_wider_than_wished(decoder: BeamDecoder, widest: int, beams: set[int]) -> None:
    trials: list[Trial] = []
    best = tune(ROWS, REFERENCES, decoder, 1, trials.append, widest)
    assert {one.options.beam for one in trials} == beams
    assert best in trials


def test_the_tightest_threshold_that_does_no_harm_is_kept(decoder: BeamDecoder) -> None:
    trials: list[Trial] = []
    best = tune(ROWS, REFERENCES, decoder, 1, trials.append)
    wide = decoder.options.beam_threshold
    *others, last = (one for one in trials if one.options.beam_threshold != wide)
    assert best == last
    assert best.options.beam_threshold in THRESHOLDS
    plain = [one for one in trials if one.options.beam_threshold == wide]
    reference = min(one.errors for one in plain if one.options.beam == best.options.beam)
    assert best.errors <= reference < min((one.errors for one in others), default=reference + 1)
    assert tune(ROWS, REFERENCES, decoder, 1, alone=False).options.beam_threshold == wide


def test_no_threshold_is_tried_that_is_looser_than_wished(decoder: BeamDecoder) -> None:
    trials: list[Trial] = []
    tune(ROWS, REFERENCES, decoder.with_options(BeamOptions(beam_threshold=8.0)), 1, trials.append)
    assert {one.options.beam_threshold for one in trials} == {8.0}


def test_does_not_depend_on_threads_or_chance(decoder: BeamDecoder) -> None:
    runs: list[list[Trial]] = []
    for threads in (1, 1, 3):
        trials: list[Trial] = []
        trials.append(tune(ROWS, REFERENCES, decoder, threads, trials.append))
        runs.append(trials)
    assert runs[0] == runs[1] == runs[2]


def test_of_equal_settings_the_first_tried_and_the_narrowest_beam_win(decoder: BeamDecoder) -> None:
    sure = [_spoken(text, 0.0001, 1) for text in ("cat", "coat")]
    best = tune(sure, ["cat", "coat"], decoder, 1)
    assert best.errors == 0
    assert (best.options.beam, best.options.lm_weight, best.options.word_bonus) == (BEAMS[0], WEIGHTS[0], BONUSES[0])


def test_references_without_words_have_no_rate_but_errors() -> None:
    assert Trial(BeamOptions(), 3, 0).wer == 300.0


class _Judge:
    """In place of a trained LSTM: it knows some sentences and thinks nothing of others."""

    def __init__(self, known: set[str], otherwise: float) -> None:
        self.known, self.otherwise = known, otherwise

    def score(self, sentences: Sequence[Sequence[str]], unknown: float = 0.0) -> np.ndarray:
        return np.array([-1.0 if " ".join(words) in self.known else self.otherwise for words in sentences])


def _nbest(*texts: str) -> list[Candidate]:
    return [Candidate([], text.split(), [], -number, -5.0, -number - 2.5) for number, text in enumerate(texts)]


def test_rescoring_gives_the_lstm_a_share_where_it_helps_and_none_where_it_does_not() -> None:
    nbests = [_nbest("a cot", "a cat"), _nbest("cot", "coat", "cat"), _nbest("act")]
    references = ["a cat", "cat", "act"]
    searched = BeamOptions(lm_weight=0.5)
    judge: Any = _Judge({"a cat", "cat", "act"}, -20.0)
    weights, counts = tune_rescoring(nbests, references, judge, searched)
    assert counts.errors == 0
    assert weights.mix > 0
    scores = recurrent_scores(nbests, judge, searched.unknown_penalty)
    best = [rescore(one, score, searched, weights)[0].text for one, score in zip(nbests, scores, strict=True)]
    assert best == references
    dull: Any = _Judge(set(), -3.0)
    weights, counts = tune_rescoring(nbests, references, dull, searched)
    assert (weights.mix, counts.errors) == (0.0, 2)
    assert weights == Rescoring(0.4, 0.0, searched.word_bonus, searched.unknown_penalty)  # the least that was tried


@pytest.fixture
def model(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recogniser, Path, Path]:
    """A recogniser, an empty folder to store in, and a manifest of tones under so much noise that it errs."""
    from asr.model.acoustic import load_model

    tones = learned(tmp_path_factory)
    random = np.random.default_rng(1)
    noisy: list[Utterance] = []
    for one in read_manifest(tones.dev):
        samples, _ = soundfile.read(one.audio)
        soundfile.write(tmp_path / one.audio.name, samples + 0.2 * random.standard_normal(len(samples)), RATE)
        noisy.append(replace(one, audio=tmp_path / one.audio.name))
    write_manifest(tmp_path / "dev.jsonl", noisy)
    lm = estimate((one.text for one in read_manifest(tones.train)), 2)
    lm.save(tmp_path / "lm.safetensors")
    (tmp_path / "model").mkdir()
    return load_model(tones.out / "model"), tmp_path / "model", tmp_path / "dev.jsonl"


def _tune(model: tuple[Recogniser, Path, Path], **settings: Any) -> tuple[Tuned, list[str], dict[str, str]]:
    recogniser, folder, manifest = model
    chosen = SearchSettings(lm=str(manifest.parent / "lm.safetensors"), **settings)
    told: list[str] = []
    failed = tune_to_folder(
        [recogniser], chosen, [folder], manifest, torch.device("cpu"), 1, lambda done, total: None, told.append
    )
    return read_tuned(folder, recogniser.sha256)[-1], told, failed


def test_tuning_a_model_stores_all_that_decoding_needs(model: tuple[Recogniser, Path, Path]) -> None:
    recogniser, folder, manifest = model
    tuned, told, failed = _tune(model)
    assert failed == {}
    assert (tuned.manifest, tuned.manifest_sha256) == (manifest.as_posix(), sha256(manifest))
    assert tuned.search.lm_sha256 == sha256(manifest.parent / "lm.safetensors")
    assert tuned.wer <= tuned.wer_greedy
    assert tuned.wer_greedy > 0, "the noise is too weak for this test"
    assert tuned.search.background is not None
    assert len(tuned.search.background) == len(recogniser.tokenizer)
    assert 0 <= tuned.calibration_error < 0.3
    assert told[0] == f"12 of 12 utterances; greedy WER {tuned.wer_greedy:.2f} %"
    assert f"WER {tuned.wer:.2f} %" in told[-1] or "does not help" in told[-1]
    first = (folder / "decode.yaml").read_bytes()
    assert _tune(model)[1] == told
    assert (folder / "decode.yaml").read_bytes() == first


def test_a_model_of_phones_is_judged_by_the_words_of_its_search_alone(model: tuple[Recogniser, Path, Path]) -> None:
    recogniser, folder, manifest = model
    words = recogniser.tokenizer.symbols[1:]
    plain, lexicon = manifest.parent / "plain.txt", manifest.parent / "lexicon.txt"
    plain.write_text("".join(f"{word} {word}\n" for word in words))
    lexicon.write_text("".join(f"{word} {word.upper()}\n" for word in words))
    of_words, told, _ = _tune(model, lexicon=str(plain))
    assert f"greedy WER {of_words.wer_greedy:.2f} %" in told[0]
    # The same model, whose tokens are now called phones.
    phones = Tokenizer("phone", ["<blank>", *map(str.upper, words)], lexicon=read_dictionary(lexicon))
    renamed = replace(recogniser, tokenizer=phones)
    tuned, told, _ = _tune((renamed, folder, manifest), lexicon=str(lexicon))
    assert (tuned.wer, tuned.wer_greedy) == (of_words.wer, None)
    assert told[0] == "12 of 12 utterances"
    assert not any("greedy" in line or "does not help" in line for line in told)
    assert read_yaml(folder / "decode.yaml")["tunings"][-1]["wer_greedy"] is None


def test_known_boundaries_teach_the_models_delay(model: tuple[Recogniser, Path, Path]) -> None:
    _, _, manifest = model
    utterances = read_manifest(manifest)

    def write(late: float) -> None:
        """Where `tests.tones.tone` puts the words, or ``late`` seconds behind that."""
        lines = [
            {"id": one.id, "words": [[w, late + 0.08 + 0.2 * n, late + 0.2 + 0.2 * n] for n, w in enumerate(words)]}
            for one in utterances
            if (words := one.text.split())
        ]
        boundaries_path(manifest).write_text("".join(json.dumps(line) + "\n" for line in lines))

    search = _tune(model)[0].search
    assert (search.shift_start, search.shift_end) == (0.0, 0.0)
    write(0.0)
    search = _tune(model)[0].search
    write(0.05)
    moved = _tune(model)[0].search
    assert moved.shift_start == pytest.approx(search.shift_start + 0.05, abs=1e-3)
    assert moved.shift_end == pytest.approx(search.shift_end + 0.05, abs=1e-3)
    boundaries_path(manifest).write_text(json.dumps({"id": utterances[1].id, "words": [["do", 0.1, 0.2]]}) + "\n")
    with pytest.raises(AsrError, match=r"boundaries\.jsonl: dev-001 has boundaries of 1 words, its .* has 2"):
        _tune(model)


def test_what_cannot_be_decoded_is_left_out_and_named(model: tuple[Recogniser, Path, Path]) -> None:
    _, folder, manifest = model
    first, *others = read_manifest(manifest)
    write_manifest(manifest, [replace(first, audio=manifest.parent / "gone.wav"), *others])
    _, told, failed = _tune(model)
    assert list(failed) == [first.id]
    assert "gone.wav: there is no such file" in failed[first.id]
    assert told[0].startswith("11 of 12 utterances")
    stored = read_yaml(folder / "decode.yaml")
    write_manifest(manifest, [replace(first, audio=manifest.parent / "gone.wav")])
    with pytest.raises(AsrError, match=r"nothing to tune on \(.*gone\.wav: there is no such file\)"):
        _tune(model)
    write_manifest(manifest, [replace(others[0], text="")])
    with pytest.raises(AsrError, match=r"dev\.jsonl: no utterance with words can be decoded"):
        _tune(model)
    assert read_yaml(folder / "decode.yaml") == stored
