"""HINet: two U-Nets in sequence with half instance normalisation.

L. Chen et al., "HINet: Half Instance Normalization Network for Image Restoration",
arXiv 2105.06086. State-dict names are those of the published checkpoints.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dunrestore.models import passes
from dunrestore.models.convolution import Conv, Doubling, both, in_half, with_shortcut
from dunrestore.models.facts import Facts
from dunrestore.models.folding import Folds, through_joint
from dunrestore.models.normalisation import InstanceNorm
from dunrestore.models.passes import is_half_on_gpu


@dataclass(frozen=True)
class HINetConfig(Facts):
    """What a HINet is built from."""

    width: int = 64
    """Channels at full resolution; level l has ``width * 2**l``."""
    depth: int = 5
    """Levels of each U-Net."""
    hin_first: int = 3
    """First level with half instance normalisation (0 is full resolution)."""
    hin_last: int = 4
    """Last level with half instance normalisation."""
    slope: float = 0.2
    """Negative slope of the leaky ReLUs."""
    in_channels: int = 3
    """Channels of the input: 3, or more where a mask or a pre-filled picture rides along."""

    def __post_init__(self) -> None:
        if self.width < 2 or self.width % 2:
            raise ValueError(f"width must be even and at least 2, not {self.width}")
        if self.depth < 2:
            raise ValueError(f"depth must be at least 2, not {self.depth}")
        if self.in_channels < 3:
            raise ValueError(f"in_channels must be at least 3, not {self.in_channels}")

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this."""
        return 2 ** (self.depth - 1)

    def bytes_per_pixel(self, itemsize: int) -> float:
        """Peak memory of one inference per input pixel, measured at widths 16 and 64 (upper bound).

        Args:
            itemsize: bytes of a number in the precision that convolutions run in.
        """
        return 18 * self.width * itemsize + 500


class Block(nn.Module):
    """Encoder block: two 3x3 convolutions, half instance norm between, a 1x1 shortcut."""

    def __init__(self, cin: int, cout: int, config: HINetConfig, level: int, *, stage: int) -> None:
        super().__init__()
        self.slope = config.slope
        last = level == config.depth - 1
        normalised = config.hin_first <= level <= config.hin_last
        slope = None if normalised else config.slope  # it follows the normalisation
        self.identity = Conv(cin, cout, 1)
        self.conv_1 = Conv(cin, cout, 3, padding=1, slope=slope)
        self.conv_2 = Conv(cout, cout, 3, padding=1, slope=config.slope)
        self.norm = InstanceNorm(cout // 2, level) if normalised else None
        self.downsample = None if last else Conv(cout, cout, 4, stride=2, padding=1, bias=False)
        self.csff_enc = self.csff_dec = None
        if stage == 2 and not last:
            self.csff_enc = Conv(cout, cout, 3, padding=1)
            self.csff_dec = Conv(cout, cout, 3, padding=1)

    def forward(
        self, x: Tensor, enc: Tensor | None = None, dec: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, cin, H, W) -> next level's input (B, cout, H/2, W/2), skip (B, cout, H, W)."""
        out = self.conv_1(x)
        if self.norm is not None and not self.norm.of_half_in_place(out, self.slope):
            normalised, plain = out.chunk(2, dim=1)
            out = F.leaky_relu(torch.cat([self.norm(normalised), plain], dim=1), self.slope)
        out = with_shortcut(self.identity, x, self.conv_2, out)
        if enc is not None and dec is not None and self.csff_enc is not None:
            assert self.csff_dec is not None
            out = self.csff_dec(dec, self.csff_enc(enc, out))
        return (out if self.downsample is None else self.downsample(out)), out


class ConvBlock(nn.Module):
    """Decoder block: as the encoder's, without normalisation."""

    def __init__(self, cin: int, cout: int, slope: float) -> None:
        super().__init__()
        self.identity = Conv(cin, cout, 1)
        self.conv_1 = Conv(cin, cout, 3, padding=1, slope=slope)
        self.conv_2 = Conv(cout, cout, 3, padding=1, slope=slope)

    def forward(self, x: Tensor) -> Tensor:
        """(B, cin, H, W) -> (B, cout, H, W)."""
        return with_shortcut(self.identity, x, self.conv_2, self.conv_1(x))


class UpBlock(nn.Module):
    """Double the resolution, join the skip, convolve."""

    def __init__(self, cin: int, cout: int, slope: float) -> None:
        super().__init__()
        self.up = Doubling(cin, cout)
        self.conv_block = ConvBlock(2 * cout, cout, slope)

    def forward(self, x: Tensor, encoded: Tensor, skip: Conv | None = None) -> Tensor:
        """(B, cin, H, W) and, perhaps through ``skip``, (B, cout, 2H, 2W) -> (B, cout, 2H, 2W)."""
        if skip is None:
            return self.conv_block(torch.cat([self.up(x), encoded], dim=1))
        return self.conv_block(both(self.up, x, skip, encoded))


class SAM(nn.Module):
    """Supervised attention: a picture out of the features, and the features weighted by it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = Conv(width, width, 3, padding=1)
        self.conv2 = Conv(width, 3, 3, padding=1)
        self.conv3 = Conv(3, width, 3, padding=1)

    def forward(self, features: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, w, H, W) and picture (B, 3, H, W) -> weighted features, stage picture."""
        picture = self.conv2(features) + x
        return self.conv1(features) * torch.sigmoid(self.conv3(picture)) + features, picture


class HINet(nn.Module):
    """Restores a picture in two stages.

    Input (B, in_channels, H, W), RGB in [0, 1] first; H and W multiples of
    ``config.size_multiple``. Output: both stages' pictures (B, 3, H, W), the second the result.
    """

    def __init__(self, config: HINetConfig) -> None:
        super().__init__()
        self.config = config
        w, cin = config.width, config.in_channels
        widths = [w * 2**level for level in range(config.depth)]
        self.conv_01 = Conv(cin, w, 3, padding=1)
        self.conv_02 = Conv(cin, w, 3, padding=1)
        self.down_path_1 = nn.ModuleList(_down_path(widths, config, stage=1))
        self.down_path_2 = nn.ModuleList(_down_path(widths, config, stage=2))
        up = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up_path_1 = nn.ModuleList(UpBlock(a, b, config.slope) for a, b in up)
        self.up_path_2 = nn.ModuleList(UpBlock(a, b, config.slope) for a, b in up)
        self.skip_conv_1 = nn.ModuleList(Conv(b, b, 3, padding=1) for _, b in up)
        self.skip_conv_2 = nn.ModuleList(Conv(b, b, 3, padding=1) for _, b in up)
        self.sam12 = SAM(w)
        self.cat12 = Conv(2 * w, w, 1)
        self.last = Conv(w, 3, 3, padding=1)
        self._folds = Folds()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both stages' pictures, unclamped."""
        picture = x[:, :3]
        features = self.conv_01(x)
        encoded: list[Tensor] = []
        for block in self.down_path_1:
            features, skip = block(features)
            encoded.append(skip)
        decoded: list[Tensor] = []
        for i, up in enumerate(self.up_path_1):
            features = up(features, encoded[-i - 2], self.skip_conv_1[i])
            decoded.append(features)
        features, out_1 = self._attended(features, x)

        # What is used for the last time is let go: it is a third of the memory at the peak.
        encoded.reverse()
        skips: list[Tensor] = []
        for block in self.down_path_2:
            if decoded:
                features, skip = block(features, encoded.pop(), decoded.pop())
            else:
                features, skip = block(features)
            skips.append(skip)
        for i, up in enumerate(self.up_path_2):
            features = up(features, skips[-i - 2], self.skip_conv_2[i])
        return out_1, self.last(features) + picture

    def _attended(self, features: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The second stage's first features (B, w, H, W), and the first stage's picture."""
        sam, picture = self.sam12, x[:, :3]
        if not is_half_on_gpu(x):
            features, out = sam(features, picture)
            return self.cat12(torch.cat([self.conv_02(x), features], dim=1)), out
        out = sam.conv2(features) + picture
        first, second = self._folds.of((self.conv_02, self.cat12), through_joint)
        plus, bias = first.unfinished(x)
        weight, _ = in_half(second, plus.dtype)
        assert bias is not None
        own, own_bias = sam.conv1.unfinished(features)
        gate, gate_bias = sam.conv3.unfinished(out)
        assert own_bias is not None
        assert gate_bias is not None
        features = passes.attended(own, own_bias, gate, gate_bias, features, weight, plus, bias)
        return features, out


def _down_path(widths: list[int], config: HINetConfig, *, stage: int) -> list[Block]:
    inputs = [config.width, *widths[:-1]]
    return [
        Block(cin, cout, config, level, stage=stage)
        for level, (cin, cout) in enumerate(zip(inputs, widths, strict=True))
    ]
