"""Where a picture was changed: the bounding boxes of the changed regions."""

from dataclasses import dataclass
from typing import Any

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


def changed_regions(changed: NDArray[np.bool_]) -> tuple[Box, ...]:
    """The boxes of all changed regions, those with most changed pixels first.

    Args:
        changed: (H, W), upright.
    """
    height, width = changed.shape
    rows = np.add.reduceat(changed, np.arange(0, height, CELL), axis=0, dtype=np.int32)
    counts = np.add.reduceat(rows, np.arange(0, width, CELL), axis=1)
    cells: NDArray[np.int32] = np.empty(counts.shape, np.int32)
    ndimage.label(counts > 0, structure=np.ones((3, 3), bool), output=cells)
    found: list[tuple[slice, slice]] = ndimage.find_objects(cells)
    boxes = [_box(changed, cells, number, where) for number, where in enumerate(found, 1)]
    return tuple(sorted(boxes, key=lambda box: (-box.changed, box.top, box.left)))


def _box(changed: NDArray[np.bool_], cells: NDArray[Any], number: int, where: Any) -> Box:
    top, left = where[0].start * CELL, where[1].start * CELL
    part = changed[top : where[0].stop * CELL, left : where[1].stop * CELL]
    own = np.kron(cells[where] == number, np.ones((CELL, CELL), bool))
    part = part & own[: part.shape[0], : part.shape[1]]
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    return Box(
        left=left + int(columns[0]),
        top=top + int(rows[0]),
        width=int(columns[-1] - columns[0]) + 1,
        height=int(rows[-1] - rows[0]) + 1,
        changed=int(part.sum()),
    )
