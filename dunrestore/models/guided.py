"""ARIN-guided: find the losses, pre-fill them from what is sound, refine inside.

Our own continuation of the paper: still blind, but the refining HINet starts from a classical
fill (push-pull: S. Gortler et al., "The Lumigraph", 1996, section 3.4) instead of from the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dunrestore.models.colours import Evidence, Part, count_colours, weigh_colours
from dunrestore.models.convolution import Conv
from dunrestore.models.facts import Facts
from dunrestore.models.hinet import Block, HINet, HINetConfig, UpBlock
from dunrestore.models.rims import count_rims, has_rims, with_rims


@dataclass(frozen=True)
class GuidedConfig(Facts):
    """What an ARIN-guided network is built from."""

    finder_width: int = 12
    """Channels at full resolution of the U-Net that finds the losses."""
    finder_depth: int = 4
    """Levels of that U-Net."""
    pyramid_levels: int = 6
    """Halvings of the push-pull pyramid: losses up to about ``2**levels`` pixels wide fill."""
    hinet: HINetConfig = field(default_factory=lambda: HINetConfig(in_channels=7))
    """The refining network; its input is the pre-filled picture, the scan and the mask."""

    has_finder = True
    overlap = 128

    def __post_init__(self) -> None:
        if self.hinet.in_channels != 7:
            raise ValueError(f"hinet.in_channels must be 7, not {self.hinet.in_channels}")

    @property
    def finder_sees(self) -> int:
        """Pixels on each side of one that may decide what the finder says of it."""
        return 2 ** (self.finder_depth + 2) - 4

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

    def look_bytes_per_pixel(self, itemsize: int) -> float:
        """The same of the finder alone."""
        return 22 * self.finder_width * itemsize + 40


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

    @torch.no_grad()
    def hand_through(self, levels: int) -> None:
        """Make the deepest levels change nothing yet: what the one above them found passes by."""
        for level in range(levels):
            for name in ("conv_2.weight", "conv_2.bias", "identity.weight", "identity.bias"):
                weight = self.get_parameter(f"up_path.{level}.conv_block.{name}").zero_()
                if name == "identity.weight":
                    channels = len(weight)  # its input ends with what the level above found
                    weight[:, channels:, 0, 0] = torch.eye(channels)

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

    def look(
        self, x: Tensor, lost: Tensor | None, parts: Sequence[Part]
    ) -> tuple[Tensor, Tensor | None]:
        """What must be known of all parts of a picture before one is restored.

        Args:
            x: (B, 3, H, W).
            lost: as in ``forward``.
            parts: what of the picture each shows.

        Returns:
            ``count_colours`` of the parts, summed up, and the finder's logits (B, 1, H, W) in
            float32, which ``forward`` takes; None if ``lost`` is given.
        """
        logits = self.finder(x).float() if lost is None else None
        likely = torch.sigmoid(logits) if logits is not None else lost
        assert likely is not None
        return torch.stack(list(map(count_colours, x, likely[:, 0], parts))).sum(0), logits

    def _own(
        self, x: Tensor, logits: Tensor, lost: Tensor | None, parts: Sequence[Part]
    ) -> list[Evidence]:
        """What each picture tells of itself."""
        likely = torch.sigmoid(logits.float()) if lost is None else lost
        each: list[Evidence] = []
        for one, logit, own, part in zip(x, logits, likely, parts, strict=True):
            evidence = Evidence.of(count_colours(one, own[0], part), part.picture).to(x.device)
            if lost is None:
                found = weigh_colours(one, logit, evidence, part)[0] > 0
                sums = count_rims(one[:, *part.own], found[part.own])
                evidence = replace(evidence, rims=has_rims(sums))
            each.append(evidence)
        return each

    def find(
        self,
        x: Tensor,
        lost: Tensor | None = None,
        parts: Sequence[Part] | None = None,
        evidence: Evidence | None = None,
        found: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Which pixels are lost, and the colour of what is sound.

        Args:
            x: the scan.
            lost: (B, 1, H, W) in [0, 1], a mask to use instead of the one that is found.
            parts: in eval mode what each of ``x`` shows; None for pictures without padding.
            evidence: what the whole picture tells; None for pictures as a whole.
            found: (B, 1, H, W), the finder's logits, from ``look``; None to ask it.

        Returns:
            The logits (B, 1, H, W), the mask (B, 1, H, W), with rims where edges are soft, and the
            colours (B, 3, 1, 1), None for those of ``x`` itself.
        """
        logits: Tensor = self.finder(x) if found is None else found
        ground, rims = None, [False] * len(x)
        # Training asks the finder itself; work is counted on the meta device, which has no colours.
        if not self.training and not x.is_meta:
            parts = parts or [Part.whole(*x.shape[-2:])] * len(x)
            each = [evidence] * len(x) if evidence else self._own(x, logits, lost, parts)
            ground = torch.stack([one.ground for one in each])
            if lost is None:
                logits = torch.stack(list(map(weigh_colours, x, logits, each, parts)))
                rims = [one.rims for one in each]
        if lost is None:
            inside = (logits > 0).to(x.dtype)
            lost = torch.stack(
                [with_rims(one) if soft else one for one, soft in zip(inside, rims, strict=True)]
            )
        return logits, lost, ground

    def refine(
        self, x: Tensor, mask: Tensor, ground: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The pre-filled pictures and HINet's two, unclamped; arguments as ``find`` returns them.

        With local statistics also of a part of a picture.
        """
        filled = push_pull(x, mask, self.config.pyramid_levels, ground)
        if self.training and not any(p.requires_grad for p in self.hinet.parameters()):
            return filled, filled, filled  # only the finder learns: spare HINet's work
        return filled, *self.hinet(torch.cat([filled, x, mask], dim=1))

    def forward(
        self, x: Tensor, lost: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Every stage, unclamped; arguments as in ``find``."""
        logits, mask, ground = self.find(x, lost)
        return logits, *self.refine(x, mask, ground)
