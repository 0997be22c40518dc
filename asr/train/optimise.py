"""The optimiser, its learning rate, and the seeds of a step: all functions of where in the run a step stands."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from asr.config import TrainConfig


def learning_rate(config: TrainConfig, done: float) -> float:
    """The learning rate after ``done`` epochs (a fraction counts): linear warm-up, half a cosine to a hundredth."""
    if done < config.warmup_epochs:
        return config.learning_rate * (0.01 + 0.99 * done / config.warmup_epochs)
    rest = max(config.epochs - config.warmup_epochs, 1e-9)
    part = min((done - config.warmup_epochs) / rest, 1.0)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019); matrices decay, biases and norms do not."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def seed_step(seed: int, step: int) -> None:
    """Seeds dropout for one step from (seed, step), so that a resumed run draws what the unbroken one would have."""
    state = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(state) >> 1)
