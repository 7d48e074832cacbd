"""ARIN-guided: find the losses, pre-fill them from what is sound, refine inside.

Our own continuation of the paper: still blind, but the refining HINet starts from a classical
fill (push-pull: S. Gortler et al., "The Lumigraph", 1996, section 3.4) instead of from the loss.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dunrestore.models.convolution import Conv
from dunrestore.models.hinet import Block, HINet, HINetConfig, UpBlock


@dataclass(frozen=True)
class GuidedConfig:
    """What an ARIN-guided network is built from."""

    finder_width: int = 12
    """Channels at full resolution of the U-Net that finds the losses."""
    finder_depth: int = 4
    """Levels of that U-Net."""
    pyramid_levels: int = 6
    """Halvings of the push-pull pyramid: losses up to about ``2**levels`` pixels wide fill."""
    hinet: HINetConfig = field(default_factory=lambda: HINetConfig(in_channels=7))
    """The refining network; its input is the pre-filled picture, the scan and the mask."""

    def __post_init__(self) -> None:
        if self.hinet.in_channels != 7:
            raise ValueError(f"hinet.in_channels must be 7, not {self.hinet.in_channels}")

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this."""
        return max(2 ** (self.finder_depth - 1), self.hinet.size_multiple)

    @property
    def origin_multiple(self) -> int:
        """Tiles that begin at multiples of this halve the same pixels together."""
        return max(2**self.pyramid_levels, self.size_multiple)

    def bytes_per_pixel(self, itemsize: int) -> float:
        """Peak memory of one inference per input pixel: the hungrier part's, and pictures."""
        return self.hinet.bytes_per_pixel(itemsize) + 120


class Finder(nn.Module):
    """Finds losses: (B, 3, H, W) -> logits (B, 1, H, W). A U-Net without normalisation."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        plain = HINetConfig(width=width, depth=depth, hin_first=depth, hin_last=depth)
        widths = [width * 2**level for level in range(depth)]
        inputs = [width, *widths[:-1]]
        self.first = Conv(3, width, 3, padding=1)
        self.down_path = nn.ModuleList(
            Block(cin, cout, plain, level, stage=1)
            for level, (cin, cout) in enumerate(zip(inputs, widths, strict=True))
        )
        self.up_path = nn.ModuleList(
            UpBlock(cin, cout, plain.slope)
            for cin, cout in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = Conv(width, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits; above zero where the picture is lost."""
        features = self.first(x)
        skips: list[Tensor] = []
        for block in self.down_path:
            features, skip = block(features)
            skips.append(skip)
        for i, up in enumerate(self.up_path):
            features = up(features, skips[-i - 2])
        return self.last(features)


def push_pull(picture: Tensor, lost: Tensor, levels: int, ground: Tensor | None = None) -> Tensor:
    """Fill lost pixels from the sound ones around them by a masked image pyramid.

    Args:
        picture: (B, C, H, W).
        lost: (B, 1, H, W) in [0, 1], 1 where the picture is lost.
        levels: how often the resolution is halved.
        ground: (B, C, 1, 1), what fills losses that are wider than that; None for the mean of what
            is sound.

    Returns:
        (B, C, H, W) in float32; equal to ``picture`` where ``lost`` is 0. Differentiable.
    """
    picture, weight = picture.float(), 1 - lost.float()
    return _push_pull(picture, weight, levels, ground)


def _push_pull(picture: Tensor, weight: Tensor, levels: int, ground: Tensor | None) -> Tensor:
    height, width = picture.shape[-2:]
    if levels == 0 or min(height, width) < 2:
        if ground is None:
            total = weight.sum((-2, -1), keepdim=True)
            ground = (picture * weight).sum((-2, -1), keepdim=True) / total.clamp_min(1e-6)
        return picture * weight + ground * (1 - weight)
    # An odd edge is averaged over the pixels that exist.
    sums = F.avg_pool2d(picture * weight, 2, ceil_mode=True)
    weights = F.avg_pool2d(weight, 2, ceil_mode=True)
    coarse = sums / weights.clamp_min(1e-6)
    coarse = _push_pull(coarse, (weights * 4).clamp_max(1), levels - 1, ground)
    filled = F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
    return picture * weight + filled[..., :height, :width] * (1 - weight)


CERTAIN = 0.9
"""Probability of a pixel being lost from which on its colour tells of the others'."""
ENOUGH = 0.01
"""Share of a picture that must be certain to be lost before colours are believed."""
CAUTION = math.log(0.99 / 0.01) - math.log(0.9 / 0.1)
"""Where less is, a logit is lowered by so much that 0.99 becomes 0.9: sound pictures stay as they
are."""
COARSE, FINE = 16, 64
"""Bins of the colour histograms, in each channel."""
BELIEF = 300
"""Pixels that the coarse, smoothed histogram counts for beside the fine one's own."""


Area = tuple[slice, slice]
"""Rows and columns."""
EVERYWHERE: Area = (slice(None), slice(None))
COUNTS = 2 * FINE**3 + 2
"""Numbers that ``count_colours`` returns."""


def count_colours(x: Tensor, likely: Tensor) -> Tensor:
    """Count the colours of what is certainly lost and of what is sound.

    Whole numbers, so that the sums over the parts of a picture do not depend on their order.

    Args:
        x: (3, H, W), RGB in [0, 1]; a picture, or a part of one.
        likely: (H, W), the probability of being lost.

    Returns:
        (COUNTS,) in float64: for every colour how certainly it is lost and how likely sound, in
        units of 1/255 pixel; then the number of pixels that are certainly lost, and of all pixels.
        On the CPU if the device knows no float64.
    """
    lost = (likely.float() * 255).round()
    is_certain = lost > CERTAIN * 255
    colours = _colours(x).flatten()
    weights = torch.stack([lost * is_certain, 255 - lost]).flatten(1)
    if x.device.type == "mps":
        colours, weights, is_certain = colours.cpu(), weights.cpu(), is_certain.cpu()
    counts = [torch.bincount(colours, weight, FINE**3) for weight in weights.double()]
    pixels = [is_certain.sum(), torch.tensor(is_certain.numel(), device=is_certain.device)]
    return torch.cat([*counts, torch.stack(pixels).double()])


@dataclass(frozen=True)
class Evidence:
    """What the colours of a whole picture tell.

    Attributes:
        ratios: (FINE**3,) float32, for each colour the logarithm of its share among the certain
            losses over that among what is sound; None where too little is certain to believe it.
        ground: (3, 1, 1) float32, the mean colour of what is sound.
    """

    ratios: Tensor | None
    ground: Tensor

    @classmethod
    def of(cls, counts: Tensor) -> "Evidence":
        """From ``count_colours``, or the sum of its results over the parts of a picture."""
        lost, sound, pixels = counts.split([FINE**3, FINE**3, 2])
        cube = sound.view(FINE, FINE, FINE)
        axes = [cube.sum([other for other in range(3) if other != axis]) for axis in range(3)]
        levels = (torch.arange(FINE, dtype=sound.dtype, device=sound.device) + 0.5) / FINE
        ground = torch.stack([(axis * levels).sum() for axis in axes]) / sound.sum().clamp_min(1)
        certain, number = pixels.tolist()
        ratios = None
        if certain >= ENOUGH * number:
            ratios = (_shares(lost / 255).log() - _shares(sound / 255).log()).clamp(-6, 6)
        return cls(ratios, ground.float().view(3, 1, 1))

    def to(self, device: torch.device) -> "Evidence":
        """On another device."""
        ratios = None if self.ratios is None else self.ratios.to(device)
        return Evidence(ratios, self.ground.to(device))


def _shares(counts: Tensor) -> Tensor:
    """The share (FINE**3,) that every colour has of all pixels; never zero."""
    counts = counts.float()
    total, each = counts.sum(), FINE // COARSE
    cube = counts.view(COARSE, each, COARSE, each, COARSE, each).sum((1, 3, 5))
    cube = (cube / total.clamp_min(1))[None, None]
    for _ in range(2):
        cube = F.avg_pool3d(cube, 3, stride=1, padding=1, count_include_pad=False)
    expected = (cube[0, 0] + 1e-5) / each**3
    for axis in range(3):
        expected = expected.repeat_interleave(each, axis)
    return (counts + BELIEF * expected.flatten()) / (total + BELIEF)


def weigh_colours(x: Tensor, logits: Tensor, evidence: Evidence) -> Tensor:
    """Find the rest of the losses by the colours of those that are certain.

    What shows in the losses of one scan is mostly one ground. A pixel of a colour that is common
    among certain losses and rare elsewhere is likelier to be lost, and the other way round: the
    logarithm of the ratio of the two shares of its colour is added to its logit.

    Args:
        x: (3, H, W), RGB in [0, 1]; a picture, or a part of one.
        logits: (1, H, W), the finder's.
        evidence: of the whole picture.

    Returns:
        (1, H, W) in float32.
    """
    if evidence.ratios is None:
        return logits.float() - CAUTION
    return logits.float() + evidence.ratios[_colours(x)]


def _colours(picture: Tensor) -> Tensor:
    """The bin (H, W) of every pixel's colour, of ``FINE**3``."""
    red, green, blue = (picture.float().clamp(0, 1) * FINE).long().clamp_max(FINE - 1)
    return (red * FINE + green) * FINE + blue


class Guided(nn.Module):
    """Restores a picture in three steps.

    Input (B, 3, H, W), RGB in [0, 1], H and W multiples of ``config.size_multiple``. Output: the
    finder's logits (B, 1, H, W), with the colours weighed in eval mode if no mask is given; the
    pre-filled picture and HINet's two (B, 3, H, W), the last the result.
    """

    def __init__(self, config: GuidedConfig) -> None:
        super().__init__()
        self.config = config
        self.finder = Finder(config.finder_width, config.finder_depth)
        self.hinet = HINet(config.hinet)

    @torch.no_grad()
    def begin_with_fill(self) -> None:
        """Make HINet change nothing yet, so that training starts from the pre-filled picture."""
        for convolution in (self.hinet.sam12.conv2, self.hinet.last):
            convolution.weight.zero_()
            assert convolution.bias is not None
            convolution.bias.zero_()

    def count(self, x: Tensor, lost: Tensor | None, areas: Sequence[Area]) -> Tensor:
        """``count_colours`` of parts of a picture, summed up.

        Args:
            x: (B, 3, H, W).
            lost: as in ``forward``.
            areas: what counts of each part.
        """
        likely = torch.sigmoid(self.finder(x).float()) if lost is None else lost
        parts = zip(x, likely[:, 0], areas, strict=True)
        return torch.stack(
            [count_colours(one[:, *area], own[area]) for one, own, area in parts]
        ).sum(0)

    def forward(
        self,
        x: Tensor,
        lost: Tensor | None = None,
        evidence: Evidence | None = None,
        area: Area = EVERYWHERE,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Every stage, unclamped.

        Args:
            x: the scan.
            lost: (B, 1, H, W) in [0, 1], a mask to use instead of the one that is found.
            evidence: in eval mode what the colours of the whole picture tell, of which ``x`` shows
                a part; None where each of ``x`` is a picture of its own.
            area: of such pictures, what is no padding.
        """
        logits = self.finder(x)
        ground = None
        # Training asks the finder itself; work is counted on the meta device, which has no colours.
        if not self.training and not x.is_meta:
            likely = torch.sigmoid(logits.float()) if lost is None else lost
            each = [
                evidence or Evidence.of(count_colours(one[:, *area], own[0][area])).to(x.device)
                for one, own in zip(x, likely, strict=True)
            ]
            ground = torch.stack([one.ground for one in each])
            if lost is None:
                logits = torch.stack(list(map(weigh_colours, x, logits, each)))
        mask = (logits > 0).to(x.dtype) if lost is None else lost
        filled = push_pull(x, mask, self.config.pyramid_levels, ground)
        if self.training and not any(p.requires_grad for p in self.hinet.parameters()):
            return logits, filled, filled, filled  # only the finder learns: spare HINet's work
        return logits, filled, *self.hinet(torch.cat([filled, x, mask], dim=1))
