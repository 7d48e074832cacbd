"""Overlapping tiles, and their blending into one picture.

Tiles begin and end at multiples of what the network needs, so that a network without global
statistics sees every pixel at the same phase as it would in the whole picture. The last ones end
where the padded picture does, and may be smaller.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dunrestore.imaging.rows import WritableRows

S = TypeVar("S", bound=np.generic)

RAMP = 16
"""Widest blend between two tiles, in pixels; the rest of an overlap is context and discarded."""
_BAND = 32
"""Rows that are added together: what is computed in between stays in the processor's caches."""


@dataclass(frozen=True)
class Tile:
    """One tile's place in the padded picture, in pixels."""

    row: int
    column: int
    top: int
    left: int
    size: tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """How a picture of ``height`` x ``width`` is cut up.

    Attributes:
        tops: first row of each row of tiles.
        heights: rows of the tiles in each.
        lefts: first column of each column of tiles.
        widths: columns of the tiles in each.
    """

    height: int
    width: int
    tops: tuple[int, ...]
    heights: tuple[int, ...]
    lefts: tuple[int, ...]
    widths: tuple[int, ...]

    @property
    def padded(self) -> tuple[int, int]:
        """The picture's size after reflection to full tiles, at least the picture's own."""
        return self.tops[-1] + self.heights[-1], self.lefts[-1] + self.widths[-1]

    @property
    def largest(self) -> int:
        """The longest side of a tile."""
        return max(*self.heights, *self.widths)

    @property
    def computed(self) -> int:
        """Pixels of all tiles; what they share counts once for each."""
        return sum(self.heights) * sum(self.widths)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.tops) * len(self.lefts)

    def tiles(self) -> Iterator[Tile]:
        """The tiles, row by row."""
        for row, top in enumerate(self.tops):
            for column, left in enumerate(self.lefts):
                yield Tile(row, column, top, left, (self.heights[row], self.widths[column]))

    @cached_property
    def row_weights(self) -> list[NDArray[np.float32]]:
        """A weight for every row of each row of tiles; at each picture row they sum to one."""
        return _weights(self.tops, self.heights)

    @cached_property
    def column_weights(self) -> list[NDArray[np.float32]]:
        """The same for columns."""
        return _weights(self.lefts, self.widths)


def plan(
    height: int,
    width: int,
    *,
    tile: int | None,
    overlap: int,
    multiple: int,
    aligned: int | None = None,
) -> Plan:
    """Cut a picture into tiles.

    Args:
        height: rows of the picture.
        width: columns of the picture.
        tile: largest side of a tile in pixels, rounded up to ``multiple``: tiles are as few as
            that allows, and as small as their number allows; None for one tile that holds the whole
            picture.
        overlap: pixels that neighbouring tiles share, rounded up to what they begin at.
        multiple: what the picture is padded to multiples of.
        aligned: tiles begin and end at multiples of this, but for the last ones, which end where
            the padded picture does, unless tiles are too small for that or share nothing; None
            for ``multiple``.

    Raises:
        ValueError: if the overlap leaves no progress from one tile to the next.
    """
    padded = (_round_up(height, multiple), _round_up(width, multiple))
    if tile is None:
        return Plan(height, width, (0,), padded[:1], (0,), padded[1:])
    side, shared = _round_up(tile, multiple), _round_up(overlap, multiple)
    if shared >= side:
        raise ValueError(f"an overlap of {overlap} leaves nothing of a tile of {side} pixels")
    steps = [multiple] if aligned is None else [aligned, multiple]
    (tops, heights), (lefts, widths) = (_cut(length, side, overlap, steps) for length in padded)
    return Plan(height, width, tops, heights, lefts, widths)


def _cut(
    length: int, side: int, overlap: int, steps: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Origins and sizes of tiles that begin at multiples of the first step that allows them."""
    if length <= side:
        return (0,), (length,)
    # A last tile that shares nothing may be one step long: shorter than the padding, but for
    # the last of the steps, for which this holds in any case.
    multiple, shared = next(
        (step, common)
        for step in steps
        if (common := _round_up(overlap, step)) + step <= side and (common or step == steps[-1])
    )
    furthest = (side - shared) // multiple * multiple
    new = length - shared
    step = _round_up(-(-new // -(-new // furthest)), multiple)
    origins = tuple(range(0, new, step))
    return origins, (*(step + shared for _ in origins[1:]), length - origins[-1])


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _weights(origins: tuple[int, ...], sizes: tuple[int, ...]) -> list[NDArray[np.float32]]:
    weights = [np.ones(size, np.float32) for size in sizes]
    for i in range(len(origins) - 1):
        shared = origins[i] + sizes[i] - origins[i + 1]
        # No longer than the step: so one ramp ends before the next begins, and two tiles at most
        # count at a pixel, however many hold it.
        ramp = min(shared, RAMP, origins[i + 1] - origins[i])
        context = (shared - ramp) // 2
        rising = np.zeros(shared, np.float32)
        rising[context : context + ramp] = (np.arange(ramp, dtype=np.float32) + 0.5) / ramp
        rising[context + ramp :] = 1
        weights[i][sizes[i] - shared :] *= 1 - rising
        weights[i + 1][:shared] *= rising
    return weights


@dataclass(frozen=True)
class Span:
    """The rows, or the columns, of a picture that a tile holds."""

    inside: slice
    beyond: NDArray[np.int64]
    """Those that stand, reflected, behind the picture's edge; perhaps none."""

    @property
    def needed(self) -> range:
        """All of them, and what lies between."""
        return range(int(self.beyond.min(initial=self.inside.start)), self.inside.stop)

    def since(self, first: int) -> "Span":
        """The same in a part of the picture that begins at ``first``."""
        inside = slice(self.inside.start - first, self.inside.stop - first)
        return Span(inside, self.beyond - first)


def extract(picture: NDArray[np.float32], tile: Tile) -> NDArray[np.float32]:
    """The tile's pixels (rows, columns, C) of a picture (H, W, C), reflected beyond its edges."""
    return cut_out(picture, *spans(tile, *picture.shape[:2]))


def spans(tile: Tile, height: int, width: int) -> tuple[Span, Span]:
    """Which rows and which columns of a picture a tile holds, reflected beyond its edges."""
    return _span(tile.top, tile.size[0], height), _span(tile.left, tile.size[1], width)


def _span(start: int, size: int, length: int) -> Span:
    end = min(start + size, length)
    period = max(2 * (length - 1), 1)
    beyond = np.arange(end, start + size) % period
    return Span(slice(start, end), np.minimum(beyond, period - beyond))


def cut_out(picture: NDArray[S], rows: Span, columns: Span) -> NDArray[S]:
    """Some rows and columns (h, w, C) of a picture (H, W, C); a view of it where none is beyond."""
    part = picture[rows.inside, columns.inside]
    if not (rows.beyond.size or columns.beyond.size):
        return part
    height, width = part.shape[:2]
    size = height + rows.beyond.size, width + columns.beyond.size
    # Rows beside each other, which an index of columns does not promise.
    found = np.empty((*size, *picture.shape[2:]), picture.dtype)
    found[:height, :width] = part
    found[:height, width:] = picture[rows.inside][:, columns.beyond]
    found[height:, :width] = picture[rows.beyond, columns.inside]
    found[height:, width:] = picture[rows.beyond[:, None], columns.beyond]
    return found


def blend(plan: Plan, results: Iterable[tuple[Tile, NDArray[np.float32]]]) -> NDArray[np.float32]:
    """The picture (H, W, C) of all tiles.

    Args:
        plan: the plan that the tiles belong to.
        results: each tile, in the plan's order, with its pixels (rows, columns, C).
    """
    picture: NDArray[np.float32] | None = None
    for tile, pixels in results:
        if picture is None:
            picture = np.zeros((plan.height, plan.width, pixels.shape[2]), np.float32)
        add(picture, plan, tile, pixels)
    assert picture is not None  # a plan has tiles
    return picture


def own_area(plan: Plan, tile: Tile, *, padding: bool = False) -> tuple[slice, slice]:
    """The rows and columns of a tile, in its own pixels, that lie nearest to it.

    The areas of all tiles cover the picture once.

    Args:
        plan: the plan that the tile belongs to.
        tile: the tile.
        padding: whether what was added to the picture is covered as well; else it belongs to none.
    """
    height, width = plan.padded if padding else (plan.height, plan.width)
    rows = _own(plan.tops, plan.heights, tile.row, height)
    return rows, _own(plan.lefts, plan.widths, tile.column, width)


def _own(origins: tuple[int, ...], sizes: tuple[int, ...], number: int, length: int) -> slice:
    start, first, end = origins[number], 0, length
    if number > 0:
        first = (origins[number - 1] + sizes[number - 1] + start) // 2
    if number + 1 < len(origins):
        end = min((start + sizes[number] + origins[number + 1]) // 2, length)
    return slice(min(first, end) - start, end - start)


def shared_rows(plan: Plan, row: int) -> slice:
    """The rows of the picture to which both a row of tiles, not the first, and the one above add.

    Those above them are finished without it, those below are still untouched.
    """
    above, below = plan.tops[row - 1], plan.tops[row]
    first, _ = _counting(plan.row_weights[row], plan.height - below)
    last, _ = _counting(plan.row_weights[row - 1], plan.height - above)
    return slice(below + first.start, above + last.stop)


def add(picture: WritableRows, plan: Plan, tile: Tile, pixels: NDArray[np.float32]) -> None:
    """Add a tile to a picture, weighted so that all tiles of a plan together give the picture.

    Args:
        picture: (H, W, C) float32, 0 where no tile was added yet.
        plan: the plan that the tile belongs to; tiles are added in its order.
        tile: the tile's place.
        pixels: (rows, columns, C).
    """
    rows, down = _counting(plan.row_weights[tile.row], plan.height - tile.top)
    columns, across = _counting(plan.column_weights[tile.column], plan.width - tile.left)
    channels = pixels.shape[2]
    # Rows of numbers: numpy takes several times as long where its innermost loop is over channels.
    weight = np.repeat(across, channels)
    part = picture[tile.top + rows.start : tile.top + rows.stop]
    part = part[:, tile.left + columns.start : tile.left + columns.stop]
    for top in range(0, len(down), _BAND):
        band = slice(top, min(top + _BAND, len(down)))
        own = pixels[rows.start + band.start : rows.start + band.stop, columns]
        weighted = own.reshape(len(own), -1) * weight
        weighted *= down[band, None]
        part[band] += weighted.reshape(own.shape)


def _counting(weights: NDArray[np.float32], length: int) -> tuple[slice, NDArray[np.float32]]:
    """Which of a tile's rows or columns count and lie in the picture, and their weights."""
    counting = np.flatnonzero(weights[: max(length, 0)])
    which = slice(int(counting[0]), int(counting[-1]) + 1) if counting.size else slice(0, 0)
    return which, weights[which]
