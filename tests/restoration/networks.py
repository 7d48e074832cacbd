"""Networks small and odd enough to test with."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dunrestore.models.facts import Facts


@dataclass(frozen=True)
class ToyConfig(Facts):
    """Facts that a real config declares."""

    size_multiple: int = 16

    def bytes_per_pixel(self, itemsize: int) -> float:
        return 100.0


class Toy(nn.Module):
    """A restoring network made of one function; it remembers what it was given."""

    def __init__(self, function, config=None):
        super().__init__()
        self.config = config or ToyConfig()
        self.function = function
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> tuple[Tensor]:
        self.shapes.append(tuple(x.shape))
        assert x.shape[-1] % self.config.size_multiple == 0
        assert x.shape[-2] % self.config.size_multiple == 0
        return (self.function(x),)


def fill_white(x: Tensor) -> Tensor:
    """Paint over what is pure white."""
    return torch.where((x == 1).all(dim=1, keepdim=True), torch.full_like(x, 0.4), x)


def blur(x: Tensor) -> Tensor:
    """A local network: each pixel depends on its 5x5 neighbourhood."""
    return nn.functional.avg_pool2d(nn.functional.pad(x, (2, 2, 2, 2), mode="reflect"), 5, 1)
