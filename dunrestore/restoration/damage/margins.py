"""Margins of a scan: one even colour along a whole side, where there is no mural to restore.

What finds losses takes white margins for them, as they look the same; only that they run along a
side tells them apart. They are looked for in cells of some pixels: what is kept of them is small
even for pictures that stay on the disk.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dunrestore.imaging.in_order import each_part
from dunrestore.imaging.rows import Rows

EVEN = 0.95
"""Share of a side's outermost pixels that have the margin's colour; a tilted mural touches it."""
TAKEN = 0.05
"""Share of them that have it and were taken for lost: those of an even ground are not."""
ALIKE = 24 / 255
"""A pixel has that colour if no channel differs by more."""
CELL = 4
"""Pixels a side of a cell, unless there were more than ``MOST_CELLS`` in a row."""
MOST_CELLS = 4096
FULL = 0.9
"""Share of a cell's pixels that have the margin's colour; the others are specks."""
BESIDE = 2
"""Cells beside those of a margin that belong to it: its edges are soft, and what is written on it
is no loss."""


@dataclass(frozen=True)
class Margins:
    """The margins of a picture.

    Attributes:
        sides: ``top``, ``bottom``, ``left`` or ``right``: those that have one.
        cells: (rows, columns), True inside a margin.
        cell: pixels a side of a cell.
        width: of the picture.
    """

    sides: tuple[str, ...]
    cells: NDArray[np.bool_]
    cell: int
    width: int

    def __getitem__(self, rows: slice) -> NDArray[np.bool_]:
        """Some rows of the picture (h, W), True inside a margin."""
        inside = self.cells[np.arange(rows.start, rows.stop) // self.cell]
        return np.repeat(inside, self.cell, axis=1)[:, : self.width]


class OutsideMargins:
    """What was found (H, W), but for what lies in a margin.

    Args:
        weight: (H, W) float32, 0 where nothing was found.
        margins: of the same picture.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, weight: Rows, margins: Margins) -> None:
        self._weight, self._margins = weight, margins
        self.shape = weight.shape

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """The weights of some rows."""
        start, stop, _ = rows.indices(self.shape[0])
        return np.where(self._margins[slice(start, stop)], np.float32(0), self._weight[rows])


def margins_of(picture: Rows, weight: Rows) -> Margins | None:
    """The margins that were taken for losses; None without one.

    Args:
        picture: (H, W, 3), RGB in [0, 1].
        weight: (H, W), 0 where nothing was found.
    """
    height, width = weight.shape
    found = _outermost(weight)
    if not any((line > 0).mean() >= TAKEN for line in found.values()):
        return None
    colours: dict[str, NDArray[np.float32]] = {}
    for side, line in _outermost(picture).items():
        colour = np.median(line, axis=0)
        alike = _alike(line, colour)
        if alike.mean() >= EVEN and (alike & (found[side] > 0)).mean() >= TAKEN:
            colours[side] = colour
    if not colours:
        return None
    cell = max(CELL, -(-max(height, width) // MOST_CELLS))

    def full(_: slice, part: NDArray[np.float32]) -> NDArray[np.bool_]:
        down, across = -(-len(part) // cell), -(-width // cell)
        alike = np.ones((down * cell, across * cell), bool)  # the last cells go on outside
        alike[: len(part), :width] = np.any([_alike(part, one) for one in colours.values()], axis=0)
        return alike.reshape(down, cell, across, cell).mean(axis=(1, 3)) >= FULL

    cells = np.concatenate(list(each_part(full, picture, multiple=cell)))
    return Margins(tuple(colours), _reached(cells, colours), cell, width)


def _outermost(rows: Rows) -> dict[str, NDArray[np.float32]]:
    """The outermost pixels along each side, (n, ...)."""
    height = rows.shape[0]

    def ends(_: slice, part: NDArray[np.float32]) -> NDArray[np.float32]:
        return part[:, [0, -1]]

    columns = np.concatenate(list(each_part(ends, rows)))
    return {
        "top": rows[0:1][0],
        "bottom": rows[height - 1 : height][0],
        "left": columns[:, 0],
        "right": columns[:, 1],
    }


def _alike(pixels: NDArray[np.float32], colour: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray((np.abs(pixels - colour) <= ALIKE).all(axis=-1))


def _reached(cells: NDArray[np.bool_], sides: Iterable[str]) -> NDArray[np.bool_]:
    """Cells (h, w) that hang together with one of the sides, and those beside them."""
    around = np.pad(cells, 1)  # what lies outside of a side with a margin goes on as margin
    outside: dict[str, Any] = {
        "top": np.s_[0],
        "bottom": np.s_[-1],
        "left": np.s_[:, 0],
        "right": np.s_[:, -1],
    }
    for side in sides:
        around[outside[side]] = True
    labels: NDArray[np.int32] = np.empty(around.shape, np.int32)
    number = ndimage.label(around, output=labels)
    reached = np.zeros(int(number) + 1, bool)  # pyright: ignore[reportArgumentType]
    for side in sides:
        reached[labels[outside[side]]] = True
    reached[0] = False
    near: Any = ndimage.binary_dilation(reached[labels], np.ones((3, 3)), BESIDE)
    return near[1:-1, 1:-1]
