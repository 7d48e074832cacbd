"""CAR: a content-adaptive resampler that downscales, and EDSR that scales up again.

W. Sun and Z. Chen, "Learned Image Downscaling for Upscaling using Content Adaptive Resampler",
arXiv 1907.12904. State-dict names are those of the published checkpoints: ``kgn`` generates the
resampling kernels, ``usn`` scales up.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dunrestore.models.convolution import Conv, Shuffle, Unshuffle, is_fused
from dunrestore.models.edsr import EDSR, EDSRConfig, MeanShift
from dunrestore.models.facts import Facts

STRIDE = 8
"""The kernel generator works at an eighth of the input's resolution."""


@dataclass(frozen=True)
class CARConfig(Facts):
    """What a CAR network is built from."""

    kernel: int = 7
    """Taps of a resampling kernel along each axis, odd or even."""
    scale: int = 2
    """Factor by which the picture is scaled down, 2 or 4."""
    width: int = 128
    """Channels of the kernel generator's residual blocks; its trunks have twice as many."""
    residual_blocks: int = 5
    """Residual blocks of the kernel generator."""
    edsr: EDSRConfig = field(default_factory=EDSRConfig)
    """The network that scales up again."""

    def __post_init__(self) -> None:
        if self.scale not in (2, 4):
            raise ValueError(f"scale must be 2 or 4, not {self.scale}")
        if self.edsr.scale != self.scale:
            raise ValueError(f"EDSR's scale {self.edsr.scale} must equal CAR's {self.scale}")
        if self.kernel < 1 or self.width < 2 or self.width % 2:
            raise ValueError("kernel must be at least 1, width even and at least 2")

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this."""
        return STRIDE

    def bytes_per_pixel(self, itemsize: int) -> float:
        """Peak memory of one inference per input pixel, measured (upper bound)."""
        taps = 3 * 4 * (self.kernel / self.scale) ** 2  # kernels and offsets, in float32
        return 2 * taps + max(3.6 * self.edsr.features, 3 * self.width) * itemsize + 200


def resample(
    image: Tensor, kernels: Tensor, offsets_h: Tensor, offsets_v: Tensor, *, kernel: int, scale: int
) -> Tensor:
    """Downscale with a kernel and tap offsets of its own for every output pixel.

    Args:
        image: (B, C, H, W).
        kernels: (B, kernel², H/scale, W/scale), tap (row i, column j) at index i * kernel + j.
        offsets_h: horizontal tap offsets of the same shape, in units of ``scale`` pixels.
        offsets_v: vertical ones.

    Returns:
        (B, C, H/scale, W/scale) in the image's dtype; coordinates and sums are float32 or wider.
        Without gradients it takes 92 bytes per pixel of the image above its arguments (RGB,
        kernel 7, scale 2), whatever the image's size.
    """
    dtype = image.dtype
    wide = dtype if dtype == torch.float64 else torch.float32
    pad = kernel // 2
    padded = F.pad(image.to(wide), (pad, pad, pad, pad), mode="reflect")
    height, width = padded.shape[-2:]
    batch, _, rows, columns = kernels.shape
    centring = pad - (kernel - 1) / 2  # zero for odd kernels
    x = (torch.arange(columns, device=image.device, dtype=wide) + 0.5) * scale - 0.5 + centring
    y = (torch.arange(rows, device=image.device, dtype=wide) + 0.5) * scale - 0.5 + centring
    taps = torch.arange(kernel, device=image.device, dtype=wide).view(kernel, 1, 1)
    out = image.new_zeros((batch, image.shape[1], rows, columns), dtype=wide)
    for i in range(kernel):  # a row of taps at a time keeps memory small
        row = slice(i * kernel, (i + 1) * kernel)
        px = _first_pixel(x + taps + offsets_h[:, row].to(wide) * scale)
        py = _first_pixel(y[:, None] + float(i) + offsets_v[:, row].to(wide) * scale)
        # Clamped coordinates equal clamped neighbour indices: both neighbours are the edge pixel.
        grid = torch.stack(
            [2 * px / max(width - 1, 1) - 1, 2 * py / max(height - 1, 1) - 1], dim=-1
        )
        values = F.grid_sample(
            padded, grid.flatten(1, 2), mode="bilinear", padding_mode="border", align_corners=True
        ).unflatten(2, (kernel, rows))  # (B, C, kernel, H/scale, W/scale)
        out = out + (values * kernels[:, None, row].to(wide)).sum(dim=2)
    return out.to(dtype)


def _first_pixel(p: Tensor) -> Tensor:
    # The published implementation truncates an index towards zero but takes the fraction from the
    # floor: a coordinate within one pixel before the first one reads as one pixel further on.
    return torch.where((p > -1) & (p < 0), p + 1, p)


class _RoundTo8Bits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return torch.round(x.float() * 255).div(255).to(x.dtype)

    @staticmethod
    def backward(ctx: object, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0]


def round_to_8_bits(x: Tensor) -> Tensor:
    """Round [0, 1] to multiples of 1/255; gradients pass straight through."""
    return _RoundTo8Bits.apply(x)  # pyright: ignore[reportReturnType, reportUnknownVariableType]


def _conv(cin: int, cout: int, size: int = 3, slope: float | None = None) -> Conv:
    return Conv(cin, cout, size, padding=size // 2, reflect=True, slope=slope)


def _layers(layers: Mapping[int, nn.Module]) -> nn.Sequential:
    # The checkpoints' names count paddings and activations, which are part of a layer here.
    return nn.Sequential(OrderedDict((str(place), layer) for place, layer in layers.items()))


class DownsampleBlock(nn.Module):
    """Pixel-unshuffle by two, then a 1x1 convolution."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.downsample = nn.Sequential(Unshuffle(2), Conv(4 * cin, cout, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) -> (B, cout, H/2, W/2)."""
        return self.downsample(x)


class UpsampleBlock(nn.Module):
    """1x1 convolution, then pixel-shuffle by ``factor``."""

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.upsample = nn.Sequential(Conv(channels, channels * factor**2, 1), Shuffle(factor))

    def forward(self, x: Tensor) -> Tensor:
        """(B, c, H, W) -> (B, c, factor H, factor W)."""
        return self.upsample(x)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a leaky ReLU between, and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.transform = _layers(
            {1: _conv(channels, channels, slope=0.2), 4: _conv(channels, channels)}
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, c, H, W) -> (B, c, H, W)."""
        first, second = self.transform
        return second(first(x), x)


class KernelGenerator(nn.Module):
    """Generates kernels and offsets: (B, 3, H, W) -> three times (B, k², H/scale, W/scale)."""

    def __init__(self, config: CARConfig) -> None:
        super().__init__()
        w, k2 = config.width, config.kernel**2
        self.sub_mean = MeanShift(-1.0)
        self.ds_1 = _layers({1: _conv(3, w // 2, 5, slope=0.2)})
        self.ds_2 = DownsampleBlock(w // 2, w)
        self.ds_4 = DownsampleBlock(w, w)
        self.res_4 = nn.Sequential(*(ResidualBlock(w) for _ in range(config.residual_blocks)))
        self.ds_8 = DownsampleBlock(w, 2 * w)
        factor = STRIDE // config.scale
        self.kernels_trunk = _trunk(2 * w, factor)
        self.offsets_trunk = _trunk(2 * w, factor)
        self.kernels_weight = _head(2 * w, k2)
        self.offsets_h_generation = _head(2 * w, k2)
        self.offsets_v_generation = _head(2 * w, k2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Kernels (taps sum to one), horizontal and vertical offsets in [-1, 1]."""
        features = self.ds_4(self.ds_2(self.ds_1(self.sub_mean(x))))
        residual = self.res_4(features.clone() if is_fused(features) else features)
        features = self.ds_8(features + residual)
        kernels = self.kernels_weight(self.kernels_trunk(features)).float().clamp(1e-6, 1.0)
        kernels = kernels / kernels.sum(dim=1, keepdim=True).clamp_min(1e-6)
        offsets = self.offsets_trunk(features)
        offsets_h = torch.tanh(self.offsets_h_generation(offsets))
        return kernels, offsets_h, torch.tanh(self.offsets_v_generation(offsets))


def _trunk(channels: int, factor: int) -> nn.Sequential:
    layers: dict[int, nn.Module] = {i: _conv(channels, channels, slope=0) for i in (1, 4, 7)}
    layers[9] = UpsampleBlock(channels, factor)
    layers[11] = _conv(channels, channels, slope=0)
    return _layers(layers)


def _head(channels: int, taps: int) -> nn.Sequential:
    return _layers({1: _conv(channels, channels, slope=0), 4: _conv(channels, taps)})


class CAR(nn.Module):
    """Down by the learned resampler, 8 bits, up by EDSR.

    Input (B, 3, H, W), RGB in [0, 1], H and W multiples of 8; output a one-tuple with the picture
    (B, 3, H, W), unclamped.
    """

    def __init__(self, config: CARConfig) -> None:
        super().__init__()
        self.config = config
        self.kgn = KernelGenerator(config)
        self.usn = EDSR(config.edsr)

    def downscale(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3, H/scale, W/scale), unclamped."""
        kernels, offsets_h, offsets_v = self.kgn(x)
        return resample(
            x, kernels, offsets_h, offsets_v, kernel=self.config.kernel, scale=self.config.scale
        )

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """The picture, down and up again."""
        small = round_to_8_bits(self.downscale(x).clamp(0, 1))
        return (self.usn(small),)
