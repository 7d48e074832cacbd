"""LPIPS with AlexNet, version 0.1: perceptual distance, 0 for equal pictures.

Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric",
CVPR 2018. The trunk's weights are handed in; the linear heads are those inside the ``lpips``
package, read from its files. The package itself is not imported: it needs torchvision, which takes
seconds to import and often does not fit the installed torch. The tests hold both to one result.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from dunrestore.errors import ModelError

STRIDE = 16
"""Strips start at multiples of it, so that every layer's grid stays where it was."""

HALO = 128
"""Rows around a strip; the deepest features see 97 pixels in each direction."""

STRIP_PIXELS = 1 << 20
"""About how many pixels are measured at once."""

SMALLEST = 32
"""Shortest side that AlexNet leaves features of."""

_LEVEL_STRIDES = (4, 8, 16, 16, 16)
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class LPIPS(nn.Module):
    """AlexNet's five feature levels, and a weight for each of their channels."""

    def __init__(self, trunk: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> None:
        """Build from torchvision's AlexNet state dict and the heads of ``load_heads``.

        Raises:
            ModelError: if a weight is missing or has another shape.
        """
        super().__init__()
        self.features = nn.ModuleDict(
            {
                "0": nn.Conv2d(3, 64, 11, stride=4, padding=2),
                "3": nn.Conv2d(64, 192, 5, padding=2),
                "6": nn.Conv2d(192, 384, 3, padding=1),
                "8": nn.Conv2d(384, 256, 3, padding=1),
                "10": nn.Conv2d(256, 256, 3, padding=1),
            }
        )
        convolutions = {key: value for key, value in trunk.items() if key.startswith("features.")}
        try:
            self.load_state_dict(convolutions)
            weights = [heads[f"lin{level}.model.1.weight"] for level in range(5)]
        except (RuntimeError, KeyError) as error:
            raise ModelError(
                "these are not the weights of LPIPS' AlexNet",
                next_step="fetch them again with `dunrestore models pull lpips-alexnet`",
            ) from error
        for level, weight in enumerate(weights):
            self.register_buffer(f"head{level}", weight.float())
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def maps(self, first: Tensor, second: Tensor) -> list[Tensor]:
        """The five levels' maps of distances, each (B, 1, h, w).

        Args:
            first: (B, 3, H, W), RGB in [0, 1], no side shorter than ``SMALLEST``.
            second: of the same shape.
        """
        found: list[Tensor] = []
        levels = zip(self._levels(first), self._levels(second), strict=True)
        for level, (ours, theirs) in enumerate(levels):
            difference = (_unit(ours) - _unit(theirs)) ** 2
            found.append(F.conv2d(difference, self.get_buffer(f"head{level}")))
        return found

    def _levels(self, x: Tensor) -> list[Tensor]:
        x = (2 * x - 1 - self.get_buffer("shift")) / self.get_buffer("scale")
        levels: list[Tensor] = []
        for name, convolution in self.features.items():
            if name in ("3", "6"):
                x = F.max_pool2d(x, kernel_size=3, stride=2)
            x = F.relu(convolution(x))
            levels.append(x)
        return levels

    @torch.inference_mode()
    def distance(
        self, picture: NDArray[np.uint8], truth: NDArray[np.uint8], strip_pixels: int = STRIP_PIXELS
    ) -> float | None:
        """LPIPS of two pictures, in strips of rows.

        Args:
            picture: (H, W, 3) RGB.
            truth: (H, W, 3) RGB.
            strip_pixels: about how many pixels to take at once.

        Returns:
            The distance; None where a side is shorter than ``SMALLEST``.
        """
        height, width = truth.shape[:2]
        if min(height, width) < SMALLEST:
            return None
        rows = max(STRIDE, strip_pixels // width // STRIDE * STRIDE)
        sums, counts = [0.0] * 5, [0] * 5
        for top in range(0, height, rows):
            bottom = min(height, top + rows)
            start, stop = max(0, top - HALO), min(height, bottom + HALO)
            maps = self.maps(self._tensor(picture[start:stop]), self._tensor(truth[start:stop]))
            for level, (stride, found) in enumerate(zip(_LEVEL_STRIDES, maps, strict=True)):
                # The last strip also owns what the strides leave over.
                end = (bottom - start) // stride if bottom < height else found.shape[2]
                own = found[:, :, (top - start) // stride : end].double()
                sums[level] += float(own.sum())
                counts[level] += own.numel()
        return sum(total / max(count, 1) for total, count in zip(sums, counts, strict=True))

    def _tensor(self, samples: NDArray[np.uint8]) -> Tensor:
        scaled = samples.astype(np.float32) / np.iinfo(samples.dtype).max
        x = torch.from_numpy(scaled.transpose(2, 0, 1)[None])
        return x.to(self.get_buffer("scale").device)


def _unit(features: Tensor) -> Tensor:
    """Every pixel's features scaled to length one."""
    return features / (features.pow(2).sum(dim=1, keepdim=True).sqrt() + 1e-10)


def load_heads() -> dict[str, Tensor]:
    """The linear heads that come inside the ``lpips`` package.

    Raises:
        ModelError: if the package is not installed or lacks them.
    """
    package = importlib.util.find_spec("lpips")
    if package is None or package.origin is None:
        raise ModelError("the package lpips is not installed", next_step="run `pip install lpips`")
    path = Path(package.origin).parent / "weights" / "v0.1" / "alex.pth"
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError) as error:
        raise ModelError(
            "LPIPS' linear heads cannot be read", path=path, next_step="install lpips again"
        ) from error
