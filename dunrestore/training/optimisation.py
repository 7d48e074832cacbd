"""Optimiser, learning rate and averaged weights."""

import copy
import math

import torch
from torch import nn

from dunrestore.training.config import TrainConfig
from dunrestore.training.stages import learning_parts


def make_optimizer(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    """Adam or AdamW over the parts that learn; each group keeps its own ``peak`` rate."""
    groups = [
        {"params": parameters, "lr": rate, "peak": rate}
        for rate, parameters in learning_parts(config, network)
    ]
    betas = (config.beta1, config.beta2)
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=config.lr, betas=betas)
    return torch.optim.AdamW(
        groups, lr=config.lr, betas=betas, weight_decay=config.weight_decay, foreach=True
    )


def set_learning_rate(
    optimizer: torch.optim.Optimizer, config: TrainConfig, iteration: int
) -> float:
    """Linear warm-up, then a cosine down to ``lr_final``; returns the first group's rate.

    It depends on the iteration alone: there is no schedule's state to lose.
    """
    warm = min(1.0, (iteration + 1) / (config.warmup + 1))
    falling = max(1, config.iterations - config.warmup)
    done = min(1.0, max(0, iteration - config.warmup) / falling)
    for group in optimizer.param_groups:
        low = min(config.lr_final, group["peak"])
        cosine = low + (group["peak"] - low) * (1 + math.cos(math.pi * done)) / 2
        group["lr"] = cosine * warm
    return optimizer.param_groups[0]["lr"]


class AveragedWeights:
    """Exponential moving average of a network's weights.

    The average follows more quickly at the start: after n steps the decay is at most
    ``(1 + n) / (10 + n)``.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._decay = decay
        self._averages = list(self.network.parameters())
        self._weights = list(network.parameters())

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Move towards the weights, which have made ``steps`` steps."""
        decay = min(self._decay, (1 + steps) / (10 + steps))
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.lerp_(weight, 1 - decay)
