"""Optimiser, learning rate and averaged weights."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from dunrestore.training.config import TrainConfig
from dunrestore.training.muon import Muon, split_parameters
from dunrestore.training.stages import learning_parts


def make_optimizers(
    config: TrainConfig, network: nn.Module, dtype: torch.dtype
) -> list[torch.optim.Optimizer]:
    """Adam or AdamW over the parts that learn; with ``muon``, Muon over their inner matrices.

    Each group keeps its own ``peak`` rate. A part's rate, where it has one, scales Muon's alike.
    Muon computes in bfloat16 if ``dtype``, what convolutions compute in, is that: elsewhere it may
    be emulated (on a CPU without its units a step then took four times as long).
    """
    betas = (config.beta1, config.beta2)
    parts = learning_parts(config, network)
    if config.optimizer == "adam":
        return [torch.optim.Adam(_groups(parts), lr=config.lr, betas=betas)]
    made: list[torch.optim.Optimizer] = []
    if config.optimizer == "muon":
        matrices = {id(p) for p in split_parameters(network)[0]}
        inner = [(r, [p for p in ps if id(p) in matrices]) for r, ps in parts]
        parts = [(r, [p for p in ps if id(p) not in matrices]) for r, ps in parts]
        faster = config.lr_muon / config.lr if config.lr else 0.0
        if groups := _groups([(r * faster, ps) for r, ps in inner]):
            fast = dtype if dtype == torch.bfloat16 else torch.float32
            made.append(Muon(groups, dtype=fast))
    decay = config.weight_decay
    made.append(torch.optim.AdamW(_groups(parts), lr=config.lr, betas=betas, weight_decay=decay))
    return made


def _groups(parts: Sequence[tuple[float, list[nn.Parameter]]]) -> list[dict[str, Any]]:
    return [{"params": ps, "lr": rate, "peak": rate} for rate, ps in parts if ps]


def set_learning_rate(
    optimizers: Sequence[torch.optim.Optimizer], config: TrainConfig, iteration: int
) -> float:
    """Linear warm-up, then a cosine down to ``lr_final``; returns what ``lr`` is at present.

    It depends on the iteration alone: there is no schedule's state to lose.
    """
    warm = min(1.0, (iteration + 1) / (config.warmup + 1))
    falling = max(1, config.iterations - config.warmup)
    done = min(1.0, max(0, iteration - config.warmup) / falling)

    def rate(peak: float) -> float:
        low = min(config.lr_final, peak)
        return warm * (low + (peak - low) * (1 + math.cos(math.pi * done)) / 2)

    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate(group["peak"])
    return rate(config.lr)


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
