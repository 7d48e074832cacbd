"""Where a picture was changed: the bounding boxes of the changed regions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

CELL = 16
"""Changed pixels in the same or in neighbouring cells of this many pixels are one region."""
MOST = 500
"""So many boxes are listed, the largest first; all are counted."""


@dataclass(frozen=True)
class Box:
    """A rectangle of an upright picture, in pixels from its top left corner."""

    left: int
    top: int
    width: int
    height: int
    changed: int
    """Changed pixels inside."""


class ChangedRegions:
    """The changed regions of a picture that is seen band by band.

    Args:
        height: rows of the picture, upright.
        width: its columns.
    """

    def __init__(self, height: int, width: int) -> None:
        cells = (-(-height // CELL), -(-width // CELL))
        # Of each cell the changed pixels, then the first and last row and column with one.
        self._counts, *self._edges = (np.zeros(cells, np.int32) for _ in range(5))

    def add(self, top: int, changed: NDArray[np.bool_]) -> None:
        """Take in a band (h, W) that begins at row ``top``, a multiple of ``CELL``."""
        if not changed.any():
            return
        height, width = changed.shape
        padding = ((0, -height % CELL), (0, -width % CELL))
        cells = np.pad(changed, padding).reshape(-1, CELL, -(-width // CELL), CELL)
        first = top // CELL
        here = slice(first, first + len(cells))
        self._counts[here] = cells.sum(axis=(1, 3), dtype=np.int32)
        rows, columns = np.asarray(cells.any(axis=3)).swapaxes(1, 2), np.asarray(cells.any(axis=1))
        starts = np.indices(rows.shape[:2]) * CELL
        for number, inside, start in ((0, rows, starts[0] + top), (2, columns, starts[1])):
            self._edges[number][here] = start + inside.argmax(axis=2)
            self._edges[number + 1][here] = start + CELL - 1 - inside[..., ::-1].argmax(axis=2)

    def boxes(self) -> tuple[Box, ...]:
        """The boxes of all regions, those with most changed pixels first."""
        labels = np.empty(self._counts.shape, np.int32)
        number = ndimage.label(self._counts, structure=np.ones((3, 3), bool), output=labels)
        changed = labels > 0
        own = labels[changed]
        if not own.size:
            return ()
        order = np.argsort(own, kind="stable")
        starts = np.searchsorted(own[order], np.arange(1, int(number) + 1))  # pyright: ignore[reportArgumentType]
        top, bottom, left, right = (edge[changed][order] for edge in self._edges)
        sums = np.add.reduceat(self._counts[changed][order], starts, dtype=np.int64)
        top, left = np.minimum.reduceat(top, starts), np.minimum.reduceat(left, starts)
        bottom, right = np.maximum.reduceat(bottom, starts), np.maximum.reduceat(right, starts)
        boxes = [
            Box(*map(int, values))
            for values in zip(left, top, right - left + 1, bottom - top + 1, sums, strict=True)
        ]
        return tuple(sorted(boxes, key=lambda box: (-box.changed, box.top, box.left)))
