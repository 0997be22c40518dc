from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.audio import read_utterance
from asr.decode.beam import BeamDecoder
from asr.decode.settings import SearchSettings, find_files
from asr.decode.system import Search, greedy_system
from asr.errors import AsrError, UsageError
from asr.files import sha256, write_text
from asr.lm.kneser_ney import estimate
from asr.manifest import Utterance, read_manifest
from asr.model.acoustic import Recogniser, load_model
from tests.tones import PITCHES, Learned, learned

TEXT = ["do re", "re mi fa", "fa do", "mi"] * 5


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return learned(tmp_path_factory)


@pytest.fixture(scope="module")
def recogniser(tones: Learned) -> Recogniser:
    return load_model(tones.out / "model")


@pytest.fixture(scope="module")
def utterances(tones: Learned) -> list[Utterance]:
    return read_manifest(tones.test)


@pytest.fixture(scope="module")
def rows(recogniser: Recogniser, utterances: list[Utterance]) -> list[np.ndarray]:
    rate = recogniser.model.config.features.rate
    samples = [torch.from_numpy(read_utterance(one, rate)) for one in utterances]
    return [row.numpy() for row in recogniser.model.log_probs(samples)]


def _save(path: Path, text: list[str], order: int = 2, unit: str = "word") -> Path:
    estimate(iter(text), order, unit).save(path)
    return path


@pytest.fixture
def lm(tmp_path: Path) -> Path:
    return _save(tmp_path / "lm.safetensors", TEXT)


@pytest.fixture
def lexicon(tmp_path: Path) -> Path:
    write_text(tmp_path / "lexicon.txt", "DO do\nREMI re mi\nFA fa\n")
    return tmp_path / "lexicon.txt"


def test_greedy_has_its_name_and_no_settings(recogniser: Recogniser, rows: list[np.ndarray]) -> None:
    system = greedy_system(recogniser)
    assert (system.name, system.search) == ("greedy", None)
    assert len(system.decode(rows)) == len(rows)


def test_hypotheses_have_times_inside_the_utterance_and_confidences(
    recogniser: Recogniser, utterances: list[Utterance], rows: list[np.ndarray], lm: Path
) -> None:
    settings = SearchSettings(lm=str(lm), shift_start=-0.3, shift_end=0.3, temperature=2.0, scale=0.5, offset=1.0)
    found = Search(recogniser, settings, 1).decode(rows)
    assert [one.text for one in found] == [one.text for one in utterances]
    for hypothesis, utterance in zip(found, utterances, strict=True):
        assert [word.word for word in hypothesis.words] == hypothesis.text.split()
        last = 0.0
        for word in hypothesis.words:
            assert last <= word.start <= word.end <= utterance.duration
            assert 0 < word.confidence < 1
            last = word.end
        assert hypothesis.score < 0


def test_words_are_found_near_their_tones(recogniser: Recogniser, rows: list[np.ndarray], lm: Path) -> None:
    for hypothesis in Search(recogniser, SearchSettings(lm=str(lm)), 1).decode(rows):
        for number, word in enumerate(hypothesis.words):
            middle = 0.08 + 0.2 * number + 0.06  # as `tests.tones.tone` puts them [s]
            assert word.start - 0.1 < middle < word.end + 0.1


def test_threads_and_company_change_nothing(recogniser: Recogniser, rows: list[np.ndarray], lm: Path) -> None:
    settings = SearchSettings(lm=str(lm), hotwords=["do re"], beam=8)
    alone = [hypothesis for row in rows for hypothesis in Search(recogniser, settings, 1).decode([row])]
    for threads in (1, 2, 5):
        search = Search(recogniser, settings, threads)
        assert search.decode(rows) == alone
        assert search.decode(rows[::-1]) == alone[::-1]


def test_an_utterance_without_frames_or_none_at_all(recogniser: Recogniser, lm: Path) -> None:
    search = Search(recogniser, SearchSettings(lm=str(lm)), 1)
    assert search.decode([]) == []
    hypothesis = search.decode([np.zeros((0, len(recogniser.tokenizer)), np.float32)])[0]
    assert (hypothesis.text, hypothesis.words) == ("", [])


def test_the_name_tells_what_takes_part(recogniser: Recogniser, lm: Path, lexicon: Path, tmp_path: Path) -> None:
    token_lm = _save(tmp_path / "tokens.safetensors", [" ".join(PITCHES)], 3, "token")
    words = _save(tmp_path / "names.safetensors", ["DO REMI", "FA"], 4)
    named = {
        "beam": SearchSettings(),
        "beam+2gram": SearchSettings(lm=str(lm)),
        "beam+token-3gram": SearchSettings(lm=str(token_lm)),
        "beam+lexicon": SearchSettings(lexicon=str(lexicon)),
        "beam+lexicon+4gram+hotwords": SearchSettings(lexicon=str(lexicon), lm=str(words), hotwords=["FA"]),
        "beam+closed+2gram": SearchSettings(lm=str(lm), closed=True),
    }
    for name, settings in named.items():
        system = Search(recogniser, settings, 1).system()
        assert system.name == name
        assert system.search is not None
        assert system.search.closed == settings.closed


def test_files_are_sealed_with_their_sums(recogniser: Recogniser, lm: Path, lexicon: Path, tmp_path: Path) -> None:
    settings = SearchSettings(lexicon=str(lexicon))
    search = Search(recogniser, settings, 1)
    assert search.settings == settings.changed(lexicon_sha256=sha256(lexicon))
    assert Search(recogniser, search.settings, 1).settings == search.settings
    write_text(lexicon, lexicon.read_text() + "RE re\n")
    with pytest.raises(AsrError, match=r"lexicon\.txt: not the lexicon that these settings were tuned or quoted with"):
        Search(recogniser, search.settings, 1)
    sealed = Search(recogniser, SearchSettings(lm=str(lm)), 1).settings
    shutil.copy(_save(tmp_path / "other.safetensors", TEXT[:7]), lm)
    with pytest.raises(AsrError, match=r"lm\.safetensors: not the language model that these settings were tuned"):
        Search(recogniser, sealed, 1)


def test_a_lexicon_lets_only_its_words_out(
    recogniser: Recogniser, utterances: list[Utterance], rows: list[np.ndarray], lexicon: Path
) -> None:
    found = Search(recogniser, SearchSettings(lexicon=str(lexicon)), 1).decode(rows)
    assert {word for one in found for word in one.text.split()} == {"DO", "REMI", "FA"}
    said = {one.text: hypothesis.text for one, hypothesis in zip(utterances, found, strict=True)}
    assert (said["do"], said["fa do"]) == ("DO", "FA DO")


def test_a_closed_vocabulary_is_the_models_words_that_can_be_spelled(
    recogniser: Recogniser, utterances: list[Utterance], rows: list[np.ndarray], tmp_path: Path
) -> None:
    few = _save(tmp_path / "few.safetensors", ["do re", "re do re", "sol do"])
    closed = Search(recogniser, SearchSettings(lm=str(few), closed=True), 1)
    assert closed.lexicon is not None
    assert sorted(closed.lexicon.words) == ["do", "re"]
    heard = [one.text.split() for one in closed.decode(rows)]
    assert {word for words in heard for word in words} == {"do", "re"}
    spelled = {one.text: words for one, words in zip(utterances, heard, strict=True)}
    assert (spelled["do"], spelled["re do"]) == (["do"], ["re", "do"])
    free = Search(recogniser, SearchSettings(lm=str(few)), 1).decode(rows)
    assert any("mi" in one.text for one in free)


@pytest.mark.parametrize("settings", [{"closed": True}, {"closed": True, "lm": "lm", "lexicon": "lexicon"}])
def test_a_closed_vocabulary_needs_a_model_and_no_lexicon(recogniser: Recogniser, settings: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="a closed vocabulary is that of the n-gram model"):
        Search(recogniser, SearchSettings.model_validate(settings), 1)


def test_a_model_of_tokens_has_no_words_to_close(recogniser: Recogniser, tmp_path: Path) -> None:
    token_lm = _save(tmp_path / "tokens.safetensors", [" ".join(PITCHES)], 2, "token")
    with pytest.raises(UsageError, match="a model of tokens, which has no words"):
        Search(recogniser, SearchSettings(lm=str(token_lm), closed=True), 1)


def test_a_model_over_other_tokens_is_refused_beside_a_lexicon_too(
    recogniser: Recogniser, lexicon: Path, tmp_path: Path
) -> None:
    token_lm = _save(tmp_path / "tokens.safetensors", ["do re mi sol"], 2, "token")
    for settings in (SearchSettings(lm=str(token_lm)), SearchSettings(lm=str(token_lm), lexicon=str(lexicon))):
        with pytest.raises(AsrError, match=r"lacks 1 of the model's tokens \('fa'\), it holds 1 .* \('sol'\)"):
            Search(recogniser, settings, 1)


def test_a_background_of_another_model_is_refused(recogniser: Recogniser) -> None:
    with pytest.raises(AsrError, match="the background for word times has 2 numbers, the model has 5 tokens"):
        Search(recogniser, SearchSettings(background=[0.0, -9.0]), 1)


def test_numbers_out_of_range_are_refused_before_any_work(recogniser: Recogniser) -> None:
    for settings, sentence in (({"beam": 0}, "beam must be"), ({"rescore_mix": 2.0}, "mix must lie")):
        with pytest.raises(UsageError, match=sentence):
            Search(recogniser, SearchSettings.model_validate(settings), 1)


def test_other_numbers_are_taken_without_loading_anew(
    recogniser: Recogniser, rows: list[np.ndarray], lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Search(recogniser, SearchSettings(lm=str(lm)), 1)
    wanted = Search(recogniser, SearchSettings(lm=str(lm), lm_weight=1.5, beam=3), 1)
    monkeypatch.setattr(BeamDecoder, "__init__", None)
    search.change(search.settings.changed(lm_weight=1.5, beam=3))
    assert search.decode(rows) == wanted.decode(rows)
    assert len(search.candidates(rows)[0]) <= 3


def test_frames_that_a_lexicon_cannot_explain_still_end_as_a_hypothesis(recogniser: Recogniser, lexicon: Path) -> None:
    symbols = recogniser.tokenizer.symbols
    row = np.full((3, len(symbols)), -np.inf)
    row[:, symbols.index("mi")] = 0.0  # no word of the lexicon is or begins with it
    hypothesis = Search(recogniser, SearchSettings(lexicon=str(lexicon)), 1).decode([row])[0]
    assert hypothesis.score == -np.inf
    assert all(word.confidence == 0 for word in hypothesis.words)


@pytest.mark.parametrize("case", [str.upper, str.lower, str.title])
def test_a_hotword_that_the_lexicon_lacks_is_heard_if_it_can_be_spelled(
    case: Callable[[str], str],
    recogniser: Recogniser,
    rows: list[np.ndarray],
    utterances: list[Utterance],
    tmp_path: Path,
) -> None:
    names = {word: case(word) for word in ("do", "re", "fa")}
    path, lm = tmp_path / "lexicon.txt", _save(tmp_path / "lm.safetensors", [" ".join(names.values())] * 3)
    write_text(path, "".join(f"{name} {token}\n" for token, name in names.items()))
    asked: list[str] = []

    def spell(word: str) -> list[list[str]]:
        asked.append(word)
        return [["mi"]] if word.lower() == "mi" else []

    settings = SearchSettings(lm=lm.as_posix(), lexicon=path.as_posix(), hotwords=["Mi FA", "dO"], lm_weight=0.1)
    search = Search(recogniser, settings, 1, spell=spell)
    assert asked == ["Mi"]
    written = "Mi" if case is str.title else case("mi")
    said = [" ".join(written if word == "mi" else names[word] for word in one.text.split()) for one in utterances]
    assert any(written in text.split() for text in said)
    assert [one.text for one in search.decode(rows)] == said
    with pytest.raises(UsageError, match=r"hotword '(mi|MI) sol': 'sol' is not among the lexicon's words"):
        Search(recogniser, settings.changed(hotwords=["mi sol"]), 1, spell=spell)


def test_an_altered_lexicon_is_an_error_and_not_passed_over(lexicon: Path, tmp_path: Path) -> None:
    settings = SearchSettings(lexicon=lexicon.as_posix(), lexicon_sha256=sha256(lexicon))
    folder = tmp_path / "model"
    folder.mkdir()
    assert find_files(settings, folder) == settings
    write_text(lexicon, "DO do\n")
    assert find_files(settings, folder) == settings  # whoever loads it says that it is another
    shutil.copy(lexicon, folder / "lexicon.txt")
    lexicon.unlink()
    assert find_files(settings, folder) is None  # the model's own
