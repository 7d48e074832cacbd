"""Instance normalisation with global statistics (as published) or local ones.

Local statistics: X. Chu et al., "Improving Image Restoration by Revisiting Global Information
Aggregation" (TLC), arXiv 2112.04491. A sliding window stands in for the whole input, so that a
pixel's value depends on its surroundings alone and not on the tile it happens to lie in.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dunrestore.models.passes import half_normalised, is_half_on_gpu

EPS = 1e-5


class InstanceNorm(nn.Module):
    """Affine instance normalisation over (B, C, H, W), biased variance.

    Args:
        channels: C.
        level: how often the network has halved the resolution before this layer.

    Attributes:
        window: side of the sliding window in this layer's own pixels (after downsampling), or
            None for one mean and variance over the whole input.
    """

    def __init__(self, channels: int, level: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.level = level
        self.window: int | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (B, C, H, W); the result has its shape and dtype."""
        if self.window is None or (self.window >= x.shape[-2] and self.window >= x.shape[-1]):
            return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=EPS)
        return _local_instance_norm(x, self.weight, self.bias, self.window)

    def of_half_in_place(self, x: Tensor, slope: float) -> bool:
        """Normalise the first half of twice the channels, then a leaky ReLU of all.

        Args:
            x: (B, 2 C, H, W), which then holds the result.
            slope: of the leaky ReLU on the negative side.

        Returns:
            Whether it was done: only in half precision on a GPU, with local statistics.
        """
        if self.window is None or not is_half_on_gpu(x):
            return False
        return half_normalised(x, self.weight, self.bias, self.window, EPS, slope)


def _local_instance_norm(x: Tensor, weight: Tensor, bias: Tensor, window: int) -> Tensor:
    # Sums over large windows lose too much in half precision; taking the mean off first keeps
    # the running sums small, so that float32 is enough.
    centred = x.float()
    centred = centred - centred.mean(dim=(-2, -1), keepdim=True)
    mean = _window_mean(centred, window)
    variance = (_window_mean(centred.square(), window) - mean.square()).clamp_min_(0)
    scale = torch.rsqrt(variance + EPS) * weight.float().view(-1, 1, 1)
    return ((centred - mean) * scale + bias.float().view(-1, 1, 1)).to(x.dtype)


def _window_mean(x: Tensor, window: int) -> Tensor:
    """Mean over a window around each pixel (B, C, H, W); edges repeat the outermost full window."""
    for dim in (-2, -1):
        size = x.shape[dim]
        side = min(window, size)
        sums = F.pad(x.cumsum(dim), (1, 0, 0, 0) if dim == -1 else (0, 0, 1, 0))
        means = (
            sums.narrow(dim, side, size - side + 1) - sums.narrow(dim, 0, size - side + 1)
        ) / side
        before = (side - 1) // 2
        after = side - 1 - before
        padding = (before, after, 0, 0) if dim == -1 else (0, 0, before, after)
        x = F.pad(means, padding, mode="replicate")
    return x


def set_window(network: nn.Module, window: int | None) -> None:
    """Give every instance normalisation of ``network`` local statistics.

    Args:
        window: side of the window in pixels of the network's input, or None for global
            statistics. A layer at level l uses ``window / 2**l``.
    """
    for module in network.modules():
        if isinstance(module, InstanceNorm):
            module.window = None if window is None else max(1, window >> module.level)
