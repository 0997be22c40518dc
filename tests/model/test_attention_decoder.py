"""The attention decoder against itself: batches against single transcripts, steps against teacher forcing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from asr.model.attention_decoder import EDGE, AttentionDecoder, State
from asr.model.config import DecoderConfig

VOCABULARY, WIDTH = 6, 5
LABELS = [[1, 2, 2, 5], [], [3], [4, 1, 4]]
LENGTHS = torch.tensor([9, 1, 4, 50])


@pytest.fixture
def decoder() -> AttentionDecoder:
    torch.manual_seed(3)
    config = DecoderConfig(weight=0.5, hidden=7, embedding=4, attention=6, dropout=0.3)
    made = AttentionDecoder(config, WIDTH, VOCABULARY).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.7)  # so that it looks at some frames much more than at others
    return made


@pytest.fixture
def encoded() -> Tensor:
    torch.manual_seed(4)
    return torch.randn(len(LABELS), int(LENGTHS.max()), WIDTH)


def _spelled(decoder: AttentionDecoder, encoded: Tensor, labels: list[int]) -> Tensor:
    """ln P of one utterance's transcript, step by step."""
    memory = decoder.listen(encoded[None], torch.tensor([len(encoded)]))
    state, total = decoder.start(memory, 1), torch.zeros(())
    for before, token in zip([EDGE, *labels], [*labels, EDGE], strict=True):
        log_probs, state = decoder.step(memory, state, torch.tensor([before]))
        total = total + log_probs[0, token]
    return total


@torch.no_grad()
def test_step_by_step_a_transcript_has_the_score_of_teacher_forcing(decoder: AttentionDecoder, encoded: Tensor) -> None:
    together = decoder(encoded, LENGTHS, LABELS)
    assert together.shape == (4,)
    assert (together < 0).all()
    for row, (length, labels) in enumerate(zip(LENGTHS.tolist(), LABELS, strict=True)):
        alone = _spelled(decoder, encoded[row, :length], labels)
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("garbage", [1e4, float("nan"), float("inf")])
def test_a_batch_gives_what_its_utterances_give_alone(
    decoder: AttentionDecoder, encoded: Tensor, garbage: float
) -> None:
    behind = torch.arange(encoded.shape[1]) >= LENGTHS[:, None]
    together = decoder(encoded.masked_fill(behind[..., None], garbage), LENGTHS, LABELS)
    together.sum().backward()
    gradients = [parameter.grad.clone() for parameter in decoder.parameters()]
    decoder.zero_grad()
    for row, (length, labels) in enumerate(zip(LENGTHS.tolist(), LABELS, strict=True)):
        alone = decoder(encoded[row : row + 1, :length], LENGTHS[row : row + 1], [labels])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)
        alone.sum().backward()
    for parameter, gradient in zip(decoder.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_hypotheses_of_one_utterance_together_are_as_one_by_one(decoder: AttentionDecoder, encoded: Tensor) -> None:
    memory = decoder.listen(encoded[:1], LENGTHS[:1])
    state, tokens = decoder.start(memory, 1), torch.tensor([EDGE])
    _, state = decoder.step(memory, state, tokens)
    rows, tokens = torch.tensor([0, 0, 0]), torch.tensor([1, 4, 4])
    together, states = decoder.step(memory, state.select(rows), tokens)
    again, _ = decoder.step(memory, states.select(torch.tensor([2, 0])), torch.tensor([3, 3]))
    for row, token in enumerate(tokens.tolist()):
        alone, behind = decoder.step(memory, state, torch.tensor([token]))
        torch.testing.assert_close(together[row], alone[0], atol=1e-5, rtol=0)
        if row in (0, 2):
            one, _ = decoder.step(memory, behind, torch.tensor([3]))
            torch.testing.assert_close(again[0 if row == 2 else 1], one[0], atol=1e-5, rtol=0)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


@torch.no_grad()
def test_where_it_looks_next_depends_on_where_it_looked_last_and_is_never_behind_the_end(
    decoder: AttentionDecoder,
) -> None:
    memory = decoder.listen(torch.ones(2, 60, WIDTH), torch.tensor([60, 20]))  # every frame sounds the same
    state = decoder.start(memory, 2)
    weights = torch.zeros(2, 60)
    weights[:, 9] = 1.0
    _, after = decoder.step(memory, State(*state[:3], weights), torch.tensor([1, 1]))
    torch.testing.assert_close(after.weights.sum(dim=1), torch.ones(2))
    assert (after.weights[1, 20:] == 0).all()
    far = after.weights[0, 30:]  # no filter reaches from there to the frame that was looked at
    torch.testing.assert_close(far, far[:1].expand_as(far))
    assert (after.weights[0, :25] - far[0]).abs().max() > 1e-3


def test_autocast_changes_nothing(decoder: AttentionDecoder, encoded: Tensor) -> None:
    expected = decoder(encoded, LENGTHS, LABELS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = decoder(encoded, LENGTHS, LABELS)
        half = decoder(encoded.bfloat16(), LENGTHS, LABELS)
    assert torch.equal(found, expected)
    assert half.dtype == torch.float32


def test_dropout_is_drawn_in_training_only(decoder: AttentionDecoder, encoded: Tensor) -> None:
    assert torch.equal(decoder(encoded, LENGTHS, LABELS), decoder(encoded, LENGTHS, LABELS))
    decoder.train()
    torch.manual_seed(1)
    first = decoder(encoded, LENGTHS, LABELS)
    assert not torch.allclose(first, decoder(encoded, LENGTHS, LABELS), atol=1e-3)
    torch.manual_seed(1)
    assert torch.equal(first, decoder(encoded, LENGTHS, LABELS))
