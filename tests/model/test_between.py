from __future__ import annotations

import torch

from asr.model.between import Highway, LockedDropout, make_connection


def test_locked_dropout_takes_the_same_units_from_all_frames_of_an_utterance() -> None:
    torch.manual_seed(1)
    dropout = LockedDropout(0.4).train()
    dropped = dropout(torch.ones(50, 7, 40))
    kept = dropped[:, 0] != 0  # (N, D)
    assert torch.equal(dropped != 0, kept[:, None].expand(50, 7, 40))
    assert len(kept.unique(dim=0)) == 50
    assert 0.55 < kept.float().mean() < 0.65
    torch.testing.assert_close(dropped[dropped != 0], torch.full((7 * int(kept.sum()),), 1 / 0.6))
    assert torch.equal(dropout.eval()(dropped), dropped)


def test_a_highway_leads_past_the_layer_or_through_it() -> None:
    torch.manual_seed(2)
    highway = Highway(4)
    x, y = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    gate = torch.sigmoid(x @ highway.gate.weight.T + highway.gate.bias)
    torch.testing.assert_close(highway(x, y), gate * y + (1 - gate) * x)
    assert (highway.gate.bias < 0).all()
    with torch.no_grad():
        highway.gate.bias.fill_(-50.0)
        torch.testing.assert_close(highway(x, y), x)
        highway.gate.bias.fill_(50.0)
        torch.testing.assert_close(highway(x, y), y)


def test_a_residual_connection_adds_and_none_leads_nowhere_else() -> None:
    x, y = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    assert torch.equal(make_connection("residual", 4)(x, y), x + y)
    assert make_connection("none", 4)(x, y) is y
