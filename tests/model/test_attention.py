from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from asr.model.acoustic import AcousticModel
from asr.model.attention import SelfAttentionLayer
from asr.model.config import AttentionConfig
from asr.model.encoder import Encoder
from asr.model.padding import mask_padding, shortened
from tests.tones import tiny_config

WIDTH = 8


def _layer(heads: int, feed_forward: int = 0, dropout: float = 0.0) -> SelfAttentionLayer:
    """A layer in float64 whose every parameter is random."""
    torch.manual_seed(heads)
    config = AttentionConfig(layers=1, heads=heads, feed_forward=feed_forward)
    layer = SelfAttentionLayer(WIDTH, config, nn.Dropout(dropout)).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.5 * torch.randn_like(parameter)
    return layer


def _frame_by_frame(layer: SelfAttentionLayer, x: Tensor) -> Tensor:
    """The equations for one utterance, with a loop for each sum. Shape (S, D) → (S, D)."""
    size = WIDTH // layer.heads
    queries, keys, values = layer.split.weight.split(WIDTH)  # (D, D) each: rows of a head stand together
    normed = [_norm(frame, layer.attention_norm) for frame in x]
    after = []
    for frame, own in zip(x, normed, strict=True):
        heard = []
        for head in range(layer.heads):
            rows = slice(head * size, (head + 1) * size)
            scores = [(queries[rows] @ own) @ (keys[rows] @ other) / size**0.5 for other in normed]
            total = sum(score.exp() for score in scores)
            heard.append(
                sum(score.exp() / total * (values[rows] @ one) for score, one in zip(scores, normed, strict=True))
            )
        y = frame + layer.join.weight @ torch.cat(heard)
        first, last = layer.feed_forward[0], layer.feed_forward[2]
        z = first.weight @ _norm(y, layer.feed_forward_norm) + first.bias
        gelu = z * (1 + torch.erf(z / 2**0.5)) / 2
        after.append(y + last.weight @ gelu + last.bias)
    return torch.stack(after)


def _norm(frame: Tensor, norm: nn.LayerNorm) -> Tensor:
    centred = frame - frame.mean()
    return norm.weight * centred / (centred.square().mean() + norm.eps).sqrt() + norm.bias


@pytest.mark.parametrize(("heads", "feed_forward", "inner"), [(1, 5, 5), (2, 0, 32), (8, 3, 3)])
def test_it_gives_the_numbers_and_gradients_of_the_equations(heads: int, feed_forward: int, inner: int) -> None:
    layer = _layer(heads, feed_forward)
    assert layer.feed_forward[0].weight.shape == (inner, WIDTH)
    lengths = [6, 1, 4]
    x = torch.randn(3, 6, WIDTH, dtype=torch.float64, requires_grad=True)
    ours = layer(x, torch.tensor(lengths))
    weight = torch.randn(3, 6, WIDTH, dtype=torch.float64)
    expected, found = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for row, length in enumerate(lengths):
        oracle = _frame_by_frame(layer, x[row, :length])
        torch.testing.assert_close(ours[row, :length], oracle, atol=1e-12, rtol=0)
        expected = expected + (weight[row, :length] * oracle).sum()
        found = found + (weight[row, :length] * ours[row, :length]).sum()
    wanted = [x, *layer.parameters()]
    names = ["x", *dict(layer.named_parameters())]
    oracles = torch.autograd.grad(expected, wanted)
    for name, mine, theirs in zip(names, torch.autograd.grad(found, wanted), oracles, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-10, rtol=1e-10), name
    assert not torch.autograd.grad(layer(x, torch.tensor(lengths))[1, 0].sum(), x)[0][1, 1:].any()


@pytest.mark.parametrize("garbage", [0.0, 1e4])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("lengths", [[1, 500], [500, 1], [1, 1], [37, 500, 1, 250]])
def test_what_stands_behind_the_end_weighs_nothing(lengths: list[int], training: bool, garbage: float) -> None:
    torch.manual_seed(1)
    layer = SelfAttentionLayer(16, AttentionConfig(layers=1, heads=4), nn.Dropout(0)).train(training)
    x = torch.full((len(lengths), max(lengths) + 3, 16), garbage)
    for row, length in enumerate(lengths):
        x[row, :length] = torch.randn(length, 16)
    together = layer(x, torch.tensor(lengths))
    assert together.isfinite().all()  # the next layer reads what stands behind the end, too
    for row, length in enumerate(lengths):
        alone = layer(x[row : row + 1, :length], torch.tensor([length]))
        torch.testing.assert_close(together[row : row + 1, :length], alone, atol=1e-5, rtol=0)


def test_every_frame_hears_every_other_of_its_utterance_and_no_more() -> None:
    """The mask, cell by cell."""
    layer = _layer(2)
    lengths = torch.tensor([5, 1, 3])
    x = torch.randn(3, 5, WIDTH, dtype=torch.float64, requires_grad=True)
    y = layer(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        for frame in range(length):
            (gradient,) = torch.autograd.grad(y[row, frame].sum(), x, retain_graph=True)
            heard = gradient.abs().amax(dim=2) > 0  # (N, S)
            assert heard[row].tolist() == [other < length for other in range(5)]
            assert int(heard.sum()) == length


def test_a_batch_gives_the_gradients_that_its_utterances_give_alone() -> None:
    """A sum over 500 frames beside one of 1 frame, in float64: only the mask could tell them apart."""
    layer, lengths = _layer(4), [500, 1]
    x = torch.randn(2, 500, WIDTH, dtype=torch.float64)
    together = sum(layer(x, torch.tensor(lengths))[row, :length].square().sum() for row, length in enumerate(lengths))
    alone = sum(
        layer(x[row : row + 1, :length], torch.tensor([length])).square().sum() for row, length in enumerate(lengths)
    )
    expected = torch.autograd.grad(alone, list(layer.parameters()))
    for one, other in zip(torch.autograd.grad(together, list(layer.parameters())), expected, strict=True):
        assert torch.allclose(one, other, atol=1e-9, rtol=1e-9)


def test_dropout_stands_behind_both_branches_and_nowhere_else() -> None:
    layer = _layer(2, dropout=0.5).train()
    x = torch.randn(1, 7, WIDTH, dtype=torch.float64)
    with torch.no_grad():  # a constant 1 comes out of the feed-forward network, nothing of attention
        layer.join.weight.zero_()
        layer.feed_forward[2].weight.zero_()
        layer.feed_forward[2].bias.fill_(1.0)
        added = layer(x, torch.tensor([7])) - x
        assert set(added.round(decimals=9).unique().tolist()) == {0.0, 2.0}
        layer.feed_forward[2].bias.zero_()
        layer.join.weight.copy_(torch.eye(WIDTH))
        assert 0 < (layer(x, torch.tensor([7])) == x).double().mean() < 1
        assert not (layer.eval()(x, torch.tensor([7])) == x).any()


def test_autocast_keeps_the_numbers_to_its_own_precision() -> None:
    torch.manual_seed(2)
    layer = SelfAttentionLayer(64, AttentionConfig(layers=1), nn.Dropout(0))
    x, lengths = torch.randn(3, 40, 64), torch.tensor([40, 1, 13])
    precise = layer(x, lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = layer(x, lengths)
    assert 0 < (rough.float() - precise).norm() < 0.02 * precise.norm()
    rough.float().square().sum().backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in layer.parameters())


def test_without_layers_the_encoder_is_what_it_was() -> None:
    """Models that were trained before there was attention load on, and a seed draws the same weights."""
    config = tiny_config("encoder.layers=2")
    names = set(AcousticModel(config, 5).encoder.state_dict())
    assert not {name for name in names if not name.startswith("stack.")}
    torch.manual_seed(3)
    plain = Encoder(config.encoder, 12)
    torch.manual_seed(3)
    hybrid = Encoder(tiny_config("encoder.layers=2", "encoder.attention.layers=2").encoder, 12)
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter, hybrid.get_parameter(name))
    x, lengths = torch.randn(2, 30, 12), torch.tensor([30, 7])
    assert torch.equal(
        plain(x, lengths)[0], plain.stack(plain.subsampling(mask_padding(x, lengths)), shortened(lengths, 3))[0]
    )
    assert len(hybrid.attention) == 2


def test_layers_on_top_read_what_the_recurrent_layers_say() -> None:
    torch.manual_seed(4)
    encoder = Encoder(tiny_config("encoder.attention={layers: 2, heads: 8}").encoder, 12).eval()
    x, frames = torch.randn(2, 30, 12), torch.tensor([30, 8])
    out, lengths = encoder(x, frames)
    assert lengths.tolist() == [10, 3]
    first, second = encoder.attention
    assert isinstance(first, SelfAttentionLayer)
    assert first.heads == 8
    below, _ = encoder.stack(encoder.subsampling(mask_padding(x, frames)), lengths)
    torch.testing.assert_close(out[1, :3], encoder.norm(second(first(below, lengths), lengths))[1, :3])
    torch.testing.assert_close(out[1, :3].mean(dim=1), torch.zeros(3), atol=1e-5, rtol=0)  # a fresh norm is plain
