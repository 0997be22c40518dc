from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.config import Config
from asr.model.acoustic import AcousticModel
from asr.model.ctc import ctc_loss, required_frames, uniform_divergence
from asr.tokens import BLANK
from tests.tones import tiny_config


def _collapse(alignment: tuple[int, ...]) -> list[int]:
    return [token for token, _ in itertools.groupby(alignment) if token != BLANK]


def _exhaustive(log_probs: np.ndarray, labels: list[int]) -> float:
    """The loss by its definition: the sum over all V^S alignments that collapse to ``labels``; float64."""
    steps, vocabulary = log_probs.shape
    total = -np.inf
    for alignment in itertools.product(range(vocabulary), repeat=steps):
        if _collapse(alignment) == labels:
            total = np.logaddexp(total, sum(log_probs[step, token] for step, token in enumerate(alignment)))
    return -total


_TRANSCRIPTS = st.lists(st.integers(min_value=1, max_value=3), max_size=4)


@settings(max_examples=30, deadline=None)
@given(
    batch=st.lists(st.tuples(st.integers(min_value=1, max_value=5), _TRANSCRIPTS), min_size=1, max_size=3),
    seed=st.integers(min_value=0, max_value=9999),
)
def test_the_loss_is_the_sum_over_all_alignments(batch: list[tuple[int, list[int]]], seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = torch.from_numpy(random.normal(0, 2, (len(batch), max(steps for steps, _ in batch), 4)))
    log_probs = logits.log_softmax(dim=2)  # (N, S, 4), float64
    lengths = torch.tensor([steps for steps, _ in batch])
    losses = ctc_loss(log_probs, lengths, [labels for _, labels in batch])
    expected = [_exhaustive(row[:steps].numpy(), labels) for row, (steps, labels) in zip(log_probs, batch, strict=True)]
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("labels", [[], [1], [1, 1], [1, 2], [2, 2, 2], [1, 1, 2, 2], [1, 2, 1, 2]])
def test_required_frames_is_what_an_alignment_needs(labels: list[int]) -> None:
    fits = [
        any(_collapse(alignment) == labels for alignment in itertools.product(range(3), repeat=steps))
        for steps in range(8)
    ]
    assert required_frames(labels) == fits.index(True)
    assert all(fits[required_frames(labels) :])


@settings(max_examples=60, deadline=None)
@given(labels=st.lists(st.integers(min_value=1, max_value=3), max_size=8), steps=st.integers(min_value=1, max_value=12))
def test_infinite_exactly_where_the_transcript_does_not_fit(labels: list[int], steps: int) -> None:
    log_probs = torch.zeros(1, steps, 4).log_softmax(dim=2)
    (loss,) = ctc_loss(log_probs, torch.tensor([steps]), [labels]).tolist()
    assert (loss == float("inf")) == (steps < required_frames(labels))
    assert loss > 0


def test_one_that_does_not_fit_leaves_the_others_alone() -> None:
    log_probs = torch.randn(3, 6, 4).log_softmax(dim=2)
    lengths = torch.tensor([6, 2, 5])
    losses = ctc_loss(log_probs, lengths, [[1, 2], [1, 1], []])
    assert torch.isfinite(losses).tolist() == [True, False, True]
    torch.testing.assert_close(losses[2], -log_probs[2, :5, BLANK].sum())


@pytest.mark.parametrize("labels", [[], [1], [2, 2, 1]])
def test_the_gradient_is_that_of_the_sum(labels: list[int]) -> None:
    """Against a numerical derivative, also for an empty transcript."""
    torch.manual_seed(4)
    logits = torch.randn(1, 6, 3, requires_grad=True)
    lengths = torch.tensor([5])
    ctc_loss(logits.log_softmax(dim=2), lengths, [labels]).sum().backward()
    assert logits.grad is not None
    assert (logits.grad[:, 5:] == 0).all()
    exact = logits.detach().double().numpy()[0]

    def loss(values: np.ndarray) -> float:
        return _exhaustive(torch.from_numpy(values).log_softmax(dim=1).numpy()[:5], labels)

    for step, token in itertools.product(range(5), range(3)):
        higher, lower = exact.copy(), exact.copy()
        higher[step, token] += 1e-4
        lower[step, token] -= 1e-4
        slope = (loss(higher) - loss(lower)) / 2e-4
        assert logits.grad[0, step, token].item() == pytest.approx(slope, abs=1e-4)


@pytest.fixture
def config() -> Config:
    return tiny_config("features.cmvn=none")


def test_float32_under_autocast(config: Config) -> None:
    torch.manual_seed(1)
    model = AcousticModel(config, 4)
    features, frames = torch.randn(2, 30, config.features.dimension), torch.tensor([30, 21])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.head(model.encoder(features, frames)[0]).dtype == torch.bfloat16
        log_probs, lengths = model(features, frames)
        losses = ctc_loss(log_probs, lengths, [[1, 2], [3]])
    assert log_probs.dtype == losses.dtype == torch.float32
    torch.testing.assert_close(log_probs.exp().sum(dim=2), torch.ones(2, log_probs.shape[1]), atol=1e-6, rtol=0)
    exact, _ = model(features, frames)
    assert (log_probs - exact).abs().max() < 0.1


def test_the_divergence_from_the_uniform_distribution_is_that_of_its_definition() -> None:
    random = np.random.default_rng(3)
    log_probs = torch.from_numpy(random.normal(0, 2, (2, 4, 5))).log_softmax(dim=2)
    lengths = torch.tensor([4, 2])
    uniform = torch.full((5,), 1 / 5, dtype=torch.float64).log()
    expected = [
        sum(
            torch.nn.functional.kl_div(frame, uniform, reduction="sum", log_target=True).item()
            for frame in row[:length]
        )
        for row, length in zip(log_probs, lengths.tolist(), strict=True)
    ]
    np.testing.assert_allclose(uniform_divergence(log_probs, lengths).numpy(), expected, rtol=1e-5)
    even = torch.zeros(1, 3, 5).log_softmax(dim=2)
    assert uniform_divergence(even, torch.tensor([3])).item() == pytest.approx(0, abs=1e-6)


def test_what_lies_behind_an_utterance_adds_nothing_to_the_divergence() -> None:
    logits = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(1), requires_grad=True)
    lengths = torch.tensor([6, 2])
    both = uniform_divergence(logits.log_softmax(dim=2), lengths)
    alone = uniform_divergence(logits[1:, :2].log_softmax(dim=2), lengths[1:])
    torch.testing.assert_close(both[1:], alone)
    (gradient,) = torch.autograd.grad(both.sum(), logits)
    assert (gradient[1, 2:] == 0).all()
    assert (gradient[1, :2] != 0).any()
