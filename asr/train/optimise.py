"""The optimiser, its learning rate, and the seeds of a step: all functions of where in the run a step stands."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from asr.config import TrainConfig
from asr.errors import AsrError


def learning_rate(config: TrainConfig, done: float) -> float:
    """The learning rate after ``done`` epochs (a fraction counts): linear warm-up, half a cosine to a hundredth."""
    if done < config.warmup_epochs:
        return config.learning_rate * (0.01 + 0.99 * done / config.warmup_epochs)
    rest = max(config.epochs - config.warmup_epochs, 1e-9)
    part = min((done - config.warmup_epochs) / rest, 1.0)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))


def make_optimizer(model: nn.Module, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019); matrices decay; biases, peepholes and norms of any shape do not."""
    stays = {
        parameter
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.ndim < 2 or isinstance(module, nn.LayerNorm) or name == "peepholes"
    }
    groups = [
        {"params": [one for one in model.parameters() if one not in stays], "weight_decay": weight_decay},
        {"params": [one for one in model.parameters() if one in stays], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def descend(model: nn.Module, optimizer: torch.optim.Optimizer, clip: float, rate: float, step: int) -> None:
    """Takes a step down the gradients that the parameters hold, clipped to the norm ``clip``.

    Raises:
        AsrError: they are not finite; says at which step, and no weight has changed.
    """
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip, foreach=True)
    if not math.isfinite(norm.item()):
        raise AsrError(
            f"step {step}: the loss or its gradient is not finite at a learning rate of {rate:g}; lower learning_rate "
            "or set precision=float32"
        )
    for settings in optimizer.param_groups:
        settings["lr"] = rate
    optimizer.step()


@torch.no_grad()
def move_average(average: nn.Module, model: nn.Module, decay: float, updates: int) -> None:
    """Moves an exponential average of weights towards the model's after a step; both in float32.

    The decay rises with the steps, min(decay, (1 + n) / (10 + n)), so that the first weights, which were drawn, are
    soon forgotten.

    Args:
        average: moved in place.
        model: of the same shapes.
        decay: what is kept of the average at each step, once it has risen.
        updates: n, how often the average was moved before.
    """
    decay = min(decay, (1 + updates) / (10 + updates))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Seeds dropout for a step from (seed, step, process): a resumed run draws what the unbroken one would have."""
    key = (rank,) if rank else ()
    state = np.random.SeedSequence([seed, step], spawn_key=key).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(state) >> 1)
