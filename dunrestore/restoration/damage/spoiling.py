"""How losses spoil what is around them: by JPEG, whose blocks show in a scan, or by blur alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dunrestore.imaging.in_order import each_part
from dunrestore.imaging.rows import Rows


@dataclass(frozen=True)
class Spoiling:
    """How a loss spoils what is around it, in the file or in the camera."""

    reach: int
    """How far, in pixels."""
    change: float
    """So near to a loss, a pixel was spoilt if the network changes it by more (0..255 scale)."""


BLURRED = Spoiling(4, 24.0)
RINGING = Spoiling(8, 10.0)
"""JPEG rings around a hard edge, all over the block of 8 x 8 pixels that it crosses."""
BLOCKY = 1.12
"""JPEG's blocks show where the edges between them stand out by this factor: none of 71 pictures
without JPEG reached 1.06, of as many with a quality of 60 all but one exceeded it."""
SHOWING = 96
"""Pixels a side; in smaller pictures blocks show by chance."""


def spoiling_of(picture: Rows) -> Spoiling:
    """How losses spoil what is around them in a scan: by JPEG if its blocks show.

    Args:
        picture: (H, W, 3), RGB in [0, 1].
    """
    height, width = picture.shape[:2]
    if min(height, width) < SHOWING:
        return BLURRED

    def jumps(rows: slice, part: NDArray[np.float32]) -> NDArray[np.float64]:
        edges = np.zeros((2, 8, 2))
        red, green, blue = np.moveaxis(part, 2, 0)
        grey = red + green + blue
        _add_jumps(edges[0], grey, 0, rows.start)
        _add_jumps(edges[1], grey[: rows.stop - rows.start], 1, 0)
        return edges

    edges = sum(each_part(jumps, picture, multiple=8, below=3), np.zeros((2, 8, 2)))
    return RINGING if min(map(_most_prominent, edges)) > BLOCKY else BLURRED


def _add_jumps(sums: NDArray[np.float64], grey: NDArray[np.float32], axis: int, first: int) -> None:
    """Add to sums and counts (8, 2) how far each row departs from what leads up to it.

    Args:
        sums: by the row's number, modulo 8.
        grey: (h, w), a band of the picture.
        axis: 0 for rows, 1 for columns.
        first: number of the first row.
    """
    jumps = np.abs(np.diff(grey, 3, axis))
    totals = jumps.sum(axis=1 - axis, dtype=np.float64)
    for phase in range(8):
        own = totals[(phase - first) % 8 :: 8]
        sums[phase] += own.sum(), own.size * jumps.shape[1 - axis]


def _most_prominent(sums: NDArray[np.float64]) -> float:
    """Of every eighth row's mean jump, the largest over the mean of the others.

    What stands out every fourth row as well is interpolation, by two or four, not a block's edge.
    """
    means = sums[:, 0] / sums[:, 1]
    first = int(means.argmax())
    others = max(np.delete(means, first).mean(), means[first - 4])
    return float(means[first] / others) if others > 0 else 0.0
