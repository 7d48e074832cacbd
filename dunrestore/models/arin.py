"""ARIN: CAR, then HINet.

"ARIN: Adaptive Resampling and Instance Normalization for Robust Blind Inpainting of Dunhuang Cave
Paintings", arXiv 2402.16188.
"""

import math
from dataclasses import dataclass, field

from torch import Tensor, nn

from dunrestore.models.car import CAR, CARConfig
from dunrestore.models.facts import Facts
from dunrestore.models.hinet import HINet, HINetConfig


@dataclass(frozen=True)
class ARINConfig(Facts):
    """What an ARIN is built from."""

    car: CARConfig = field(default_factory=CARConfig)
    """The resampler and its upscaler."""
    hinet: HINetConfig = field(default_factory=HINetConfig)
    """The restoring network."""

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this."""
        return math.lcm(self.car.size_multiple, self.hinet.size_multiple)

    def bytes_per_pixel(self, itemsize: int) -> float:
        """Peak memory of one inference per input pixel: the hungrier part's, and a picture."""
        parts = (self.car.bytes_per_pixel(itemsize), self.hinet.bytes_per_pixel(itemsize))
        return max(parts) + 12


class ARIN(nn.Module):
    """Restores a picture: CAR, then HINet.

    Input (B, 3, H, W), RGB in [0, 1], H and W multiples of ``config.size_multiple``; output CAR's
    picture and HINet's two, each of the input's shape, the last the result.
    """

    def __init__(self, config: ARINConfig) -> None:
        super().__init__()
        self.config = config
        self.car = CAR(config.car)
        self.hinet = HINet(config.hinet)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Every stage's picture, unclamped."""
        (rescaled,) = self.car(x)
        return (rescaled, *self.hinet(rescaled))
