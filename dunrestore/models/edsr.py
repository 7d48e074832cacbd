"""EDSR: super-resolution by a deep residual network without normalisation.

B. Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution",
arXiv 1707.02921. State-dict names are those of the published checkpoints.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dunrestore.models.convolution import Conv, Shuffle, is_fused
from dunrestore.models.facts import Facts
from dunrestore.models.folding import Folds, through_shuffle
from dunrestore.models.passes import is_half_on_gpu

RGB_MEAN = (0.4488, 0.4371, 0.4040)
_IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
RESIDUAL_SCALE = 0.1


@dataclass(frozen=True)
class EDSRConfig(Facts):
    """What an EDSR is built from."""

    blocks: int = 32
    """Residual blocks."""
    features: int = 256
    """Channels of the body."""
    scale: int = 2
    """Upscaling factor, 2 or 4."""

    def __post_init__(self) -> None:
        if self.scale not in (2, 4):
            raise ValueError(f"scale must be 2 or 4, not {self.scale}")
        if self.blocks < 1 or self.features < 1:
            raise ValueError("blocks and features must be at least 1")


class MeanShift(nn.Conv2d):
    """Add ``sign`` times the mean colour: a fixed 1x1 convolution, as in the checkpoints."""

    def __init__(self, sign: float) -> None:
        super().__init__(3, 3, 1)
        # Plain numbers: the first operation on the meta device imports torch's compiler, seconds.
        self.weight.data = torch.tensor(_IDENTITY).view(3, 3, 1, 1)
        assert self.bias is not None
        self.bias.data = torch.tensor([sign * mean for mean in RGB_MEAN])
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(B, 3, H, W) -> (B, 3, H, W), in float32 at least: 8 bits of mantissa would show."""
        if x.is_meta:  # knows no autocast
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.to(self.weight.dtype))


class ResBlock(nn.Module):
    """Two 3x3 convolutions, ReLU between, residual scaled by 0.1."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            OrderedDict[str, nn.Module](
                {
                    "0": Conv(features, features, 3, padding=1, slope=0),
                    "2": Conv(features, features, 3, padding=1, scale=RESIDUAL_SCALE),
                }
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, f, H, W) -> (B, f, H, W)."""
        return self.body[1](self.body[0](x), x)


class EDSR(nn.Module):
    """Upscales a picture: (B, 3, H, W) in [0, 1] -> (B, 3, scale H, scale W), unclamped."""

    def __init__(self, config: EDSRConfig) -> None:
        super().__init__()
        self.config = config
        f = config.features
        self.sub_mean = MeanShift(-1.0)
        self.add_mean = MeanShift(1.0)
        self.head = nn.Sequential(Conv(3, f, 3, padding=1))
        self.body = nn.Sequential(
            *(ResBlock(f) for _ in range(config.blocks)), Conv(f, f, 3, padding=1)
        )
        doublings: list[nn.Module] = []
        for _ in range(config.scale // 2):
            doublings += [Conv(f, 4 * f, 3, padding=1), Shuffle(2)]
        self.tail = nn.Sequential(nn.Sequential(*doublings), Conv(f, 3, 3, padding=1))
        self._folds = Folds()

    def forward(self, x: Tensor) -> Tensor:
        """Upscale ``x``."""
        head = self.head(self.sub_mean(x))
        features = head.clone() if is_fused(head) else head  # the blocks add into what they get
        for block in self.body[:-1]:
            features = block(features)
        return self.add_mean(self._enlarged(self.body[-1](features, head)))

    def _enlarged(self, x: Tensor) -> Tensor:
        """``tail``: (B, f, H, W) -> (B, 3, scale H, scale W)."""
        if self.config.scale != 2 or not (is_fused(x) or is_half_on_gpu(x)):
            return self.tail(x)
        (up, shuffle), last = self.tail[0].children(), self.tail[1]
        assert isinstance(up, Conv)
        assert isinstance(last, Conv)
        out = shuffle(self._folds.of((up, last), through_shuffle)(x))
        # Its outermost pixels are other ones; of few more they are computed as they were trained.
        out[..., :1, :] = self.tail(x[..., :3, :])[..., :1, :]
        out[..., -1:, :] = self.tail(x[..., -3:, :])[..., -1:, :]
        out[..., :1] = self.tail(x[..., :3])[..., :1]
        out[..., -1:] = self.tail(x[..., -3:])[..., -1:]
        return out
