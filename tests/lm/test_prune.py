from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from asr.errors import UsageError
from asr.lm.arpa import read_arpa
from asr.lm.kneser_ney import estimate
from asr.lm.ngram import NgramModel, load_lm
from asr.lm.perplexity import perplexity
from asr.lm.prune import perplexity_rises, prune, prune_to_size
from asr.lm.storage import write_model
from tests.corpora import corpus_folder
from tests.lm.arpas import Ngram, Reference, normalised

WORDS = ["a", "b", "c", "d", "e", "f"]


def _model(folder: Path, reference: Reference) -> NgramModel:
    (folder / "lm.arpa").write_text(reference.text(), encoding="utf-8")
    return read_arpa(folder / "lm.arpa")


def _ngrams(model: NgramModel) -> dict[Ngram, int]:
    """N-gram → node."""
    spelled: dict[int, Ngram] = {0: ()}
    for parent in range(len(model.tables.backoffs)):
        for node in range(model.tables.first[parent], model.tables.first[parent + 1]):
            spelled[node] = (*spelled[parent], model.vocabulary[model.tables.words[node]])
    return {ngram: node for node, ngram in spelled.items() if ngram}


def _direct_rise(model: Reference, ngram: Ngram) -> float:
    """exp(D) − 1, where D is the relative entropy behind one history, summed over all words (Stolcke, eq. 1)."""
    history = ngram[:-1]
    joint = 0.0
    for end in range(1, len(history) + 1):
        word = "</s>" if end == 1 and history[0] == "<s>" else history[end - 1]
        joint += model.log_prob(history[: end - 1], word)
    predicted = [word for word in model.words if word != "<s>"]
    smaller = Reference(model.order, dict(model.log_probs), dict(model.backoffs))
    del smaller.log_probs[ngram]
    seen = [word for word in predicted if (*history, word) in smaller.log_probs]
    left = 1 - sum(10 ** smaller.log_probs[(*history, word)] for word in seen)
    left_below = 1 - sum(10 ** smaller.log_prob(history[1:], word) for word in seen)
    smaller.backoffs[history] = math.log10(left / left_below)
    entropy = sum(
        10 ** model.log_prob(history, word)
        * (model.log_prob(history, word) - smaller.log_prob(history, word))
        * math.log(10)
        for word in predicted
    )
    return math.expm1(10**joint * entropy)


@pytest.mark.parametrize("seed", range(3))
def test_rises_are_those_of_the_direct_sum(tmp_path: Path, seed: int) -> None:
    reference = normalised(seed, 3, WORDS)
    model = _model(tmp_path, reference)
    rises = perplexity_rises(model.tables)
    checked = 0
    for ngram, node in _ngrams(model).items():
        if len(ngram) == 1:
            assert rises[node] == math.inf
            continue
        direct = _direct_rise(reference, ngram)
        longer = [rises[other] for one, other in _ngrams(model).items() if one[:-1] == ngram]
        assert rises[node] == pytest.approx(max([direct, *longer]), rel=1e-3, abs=1e-6)
        checked += 1
    assert checked > 20


@pytest.mark.parametrize("threshold", [1e-4, 1e-3, 1e-2, 1.0])
def test_a_pruned_model_is_normalised_and_keeps_what_it_needs(tmp_path: Path, threshold: float) -> None:
    model = _model(tmp_path, normalised(7, 4, WORDS))
    before = model.tables.backoffs.copy()
    pruned = prune(model, threshold)
    assert np.array_equal(model.tables.backoffs, before)
    rises, old, new = perplexity_rises(model.tables), _ngrams(model), _ngrams(pruned)
    assert new.keys() == {ngram for ngram, node in old.items() if rises[node] >= threshold}
    assert len(new) < len(old)
    for ngram, node in new.items():
        assert ngram[:-1] in new or len(ngram) == 1
        assert pruned.tables.log_probs[node] == model.tables.log_probs[old[ngram]]
    assert pruned.order == max(map(len, new)) == len(pruned.counts)
    for state in (0, *(node for ngram, node in new.items() if len(ngram) < pruned.order and ngram[-1] != "</s>")):
        total = sum(math.exp(pruned.advance(state, word)[0]) for word in pruned.vocabulary if word != "<s>")
        assert total == pytest.approx(1, abs=1e-4)
    write_model(pruned, tmp_path / "pruned")
    assert load_lm(tmp_path / "pruned").counts == pruned.counts


def test_no_threshold_prunes_nothing_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    model = _model(tmp_path, normalised(7, 3, WORDS))
    assert prune(model, 0.0) is model
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="threshold"):
            prune(model, wrong)


def test_a_size_is_kept_and_costs_little(tmp_path: Path) -> None:
    with corpus_folder("public-domain-books.txt").open(encoding="utf-8") as text:
        lines = [next(text) for _ in range(12_000)]
        held_out = [next(text) for _ in range(500)]
    model = estimate(lines, 3)
    write_model(model, tmp_path / "all", eight_bit=True)
    whole = (tmp_path / "all").stat().st_size
    assert whole < 6 * sum(model.counts)
    assert prune_to_size(model, whole + 5000) is model
    perplexities = [perplexity(model, held_out, "held-out").with_unknown]
    perplexities.append(perplexity(load_lm(tmp_path / "all"), held_out, "held-out").with_unknown)
    for share in (0.7, 0.5):
        write_model(prune_to_size(model, whole * share), tmp_path / "part", eight_bit=True)
        assert 0.97 * whole * share < (tmp_path / "part").stat().st_size <= whole * share
        perplexities.append(perplexity(load_lm(tmp_path / "part"), held_out, "held-out").with_unknown)
    assert perplexities[1] == pytest.approx(perplexities[0], rel=5e-3)
    assert perplexities[2] < 1.03 * perplexities[0]
    assert perplexities[3] < 1.15 * perplexities[0]
    with pytest.raises(UsageError, match=r"a size of 0\.01 MB is too little: its [0-9,]+ words alone need"):
        prune_to_size(model, 10_000)
