"""The parts of a tile that hold what is lost, and what of its surroundings decides the fill."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects, label
from torch import Tensor
from torch.nn import functional as F

Area = tuple[slice, slice]
"""Rows and columns."""

WORTH = 0.9
"""Areas that together are a larger share of a tile are not worth parting it."""


def areas_of(lost: Tensor, cell: int, reach: int) -> list[Area]:
    """Rectangles that hold all that is lost and at least ``reach`` pixels around it.

    They are apart from each other, and begin and end at multiples of ``cell`` or with the tile.

    Args:
        lost: (1, 1, H, W), 0 where the tile is sound.
        cell: pixels.
        reach: pixels.

    Returns:
        The rectangles, none if nothing is lost; the whole tile if that is hardly more.
    """
    height, width = lost.shape[-2:]
    cells = F.max_pool2d(lost.float(), cell, ceil_mode=True)[0, 0].cpu().numpy() > 0
    boxes = _apart(_boxes(cells, -(-reach // cell)))
    pixels = sum((down.stop - down.start) * (across.stop - across.start) for down, across in boxes)
    if pixels > WORTH * cells.size:
        return [(slice(0, height), slice(0, width))]
    return [
        (
            slice(down.start * cell, min(down.stop * cell, height)),
            slice(across.start * cell, min(across.stop * cell, width)),
        )
        for down, across in boxes
    ]


def _boxes(cells: NDArray[np.bool_], reach: int) -> list[Area]:
    """What surrounds those that hang together."""
    near = binary_dilation(cells, np.ones((2 * reach + 1, 2 * reach + 1))) if reach else cells
    numbers = np.empty(cells.shape, np.int32)
    label(near, np.ones((3, 3)), output=numbers)
    return find_objects(numbers)


def _apart(boxes: Sequence[Area]) -> Sequence[Area]:
    """Those that overlap as one."""
    for one, other in combinations(boxes, 2):
        both = list(zip(one, other, strict=True))
        if all(max(a.start, b.start) < min(a.stop, b.stop) for a, b in both):
            down, across = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in both)
            rest = [box for box in boxes if box is not one and box is not other]
            return _apart([*rest, (down, across)])
    return boxes
