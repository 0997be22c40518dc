from __future__ import annotations

import numpy as np
import pytest
import torch

from asr.config import TrainConfig
from asr.model.acoustic import AcousticModel
from asr.train.optimise import learning_rate, make_optimizer, move_average, seed_step
from tests.tones import tiny_config

CONFIG = TrainConfig(epochs=10, warmup_epochs=2.0, learning_rate=0.5)


def test_rises_in_a_line_and_falls_in_half_a_cosine() -> None:
    rates = {done: learning_rate(CONFIG, done) for done in (0, 0.5, 1, 2, 6, 10)}
    assert rates[0] == pytest.approx(0.005)
    assert rates[1] - rates[0.5] == pytest.approx(rates[0.5] - rates[0])
    assert rates[2] == pytest.approx(0.5)
    assert rates[6] == pytest.approx((0.5 + 0.005) / 2)  # half way down
    assert rates[10] == pytest.approx(0.005)


@pytest.mark.parametrize("warmup", [0.0, 0.3, 1.0, 10.0, 15.0])
def test_is_continuous_and_has_one_top(warmup: float) -> None:
    config = TrainConfig(epochs=10, warmup_epochs=warmup, learning_rate=0.5)
    done = np.linspace(0, 10, 2001)
    rates = np.array([learning_rate(config, float(one)) for one in done])
    assert np.abs(np.diff(rates)).max() < 0.5 * 0.02
    assert ((rates > 0) & (rates <= 0.5)).all()
    top = int(rates.argmax())
    assert (np.diff(rates[: top + 1]) >= 0).all()
    assert (np.diff(rates[top:]) <= 0).all()
    assert done[top] == pytest.approx(min(warmup, 10), abs=0.01)


@pytest.mark.parametrize("kind", ["conv", "conv1d", "vgg", "deepspeech2"])
def test_matrices_decay_and_biases_norms_and_peepholes_do_not(kind: str) -> None:
    cell = ["encoder.cell=peephole", "encoder.layer_norm=true"]
    model = AcousticModel(tiny_config(*cell, f"encoder.subsampling.kind={kind}"), 5)
    decaying, others = make_optimizer(model, rate=1e-3, weight_decay=0.1).param_groups
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0)
    expected = {
        name: not ("norm" in name or "bias" in name or "peepholes" in name) for name, _ in model.named_parameters()
    }
    held = {id(one): True for one in decaying["params"]} | {id(one): False for one in others["params"]}
    assert {name: held[id(one)] for name, one in model.named_parameters()} == expected


def test_a_steps_dropout_depends_on_seed_and_step_alone() -> None:
    def draw(seed: int, step: int) -> list[float]:
        torch.rand(7)
        seed_step(seed, step)
        return torch.rand(5).tolist()

    assert draw(1, 3) == draw(1, 3)
    assert len({tuple(draw(seed, step)) for seed in range(5) for step in range(20)}) == 100


def test_the_moving_average_is_the_weighted_sum_of_what_it_was_shown() -> None:
    """Oracle: the recursion in float64, with a decay that rises to the one asked for."""
    config = tiny_config()
    torch.manual_seed(1)
    average, model = AcousticModel(config, 5), AcousticModel(config, 5)
    expected = average.head.weight.detach().double().numpy()
    for updates in range(30):
        with torch.no_grad():
            model.head.weight.normal_()
        move_average(average, model, 0.6, updates)
        decay = min(0.6, (1 + updates) / (10 + updates))
        expected = decay * expected + (1 - decay) * model.head.weight.detach().double().numpy()
    np.testing.assert_allclose(average.head.weight.detach().numpy(), expected, atol=1e-5)
    assert average.head.weight.dtype == torch.float32
