"""Overlapping tiles of a fixed size, and their blending into one picture.

Tiles lie on a grid whose origin and size are multiples of what the network needs, so that a network
without global statistics sees every pixel at the same phase as it would in the whole picture.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

RAMP = 32
"""Widest blend between two tiles, in pixels; the rest of an overlap is context and discarded."""


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
        tile_size: (rows, columns) of every tile.
        tops: first row of each row of tiles; lefts: first column of each column of tiles.
        padded: the picture's size after reflection to full tiles, at least the picture's own.
    """

    height: int
    width: int
    tile_size: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    padded: tuple[int, int]

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.tops) * len(self.lefts)

    def tiles(self) -> Iterator[Tile]:
        """The tiles, row by row."""
        for row, top in enumerate(self.tops):
            for column, left in enumerate(self.lefts):
                yield Tile(row, column, top, left, self.tile_size)

    @cached_property
    def row_weights(self) -> list[NDArray[np.float32]]:
        """A weight for every row of each row of tiles; at each picture row they sum to one."""
        return _weights(self.tops, self.tile_size[0])

    @cached_property
    def column_weights(self) -> list[NDArray[np.float32]]:
        """The same for columns."""
        return _weights(self.lefts, self.tile_size[1])


def plan(height: int, width: int, *, tile: int | None, overlap: int, multiple: int) -> Plan:
    """Cut a picture into tiles.

    Args:
        height: rows of the picture.
        width: columns of the picture.
        tile: largest side of a tile in pixels, rounded up to ``multiple``: tiles are as small as
            their number allows, so that little is computed twice; None for one tile that holds the
            whole picture.
        overlap: pixels that neighbouring tiles share at least, rounded up to ``multiple``.
        multiple: sizes and origins of tiles are multiples of this.

    Raises:
        ValueError: if the overlap leaves no progress from one tile to the next.
    """
    padded = (_round_up(height, multiple), _round_up(width, multiple))
    if tile is None:
        return Plan(height, width, padded, (0,), (0,), padded)
    side, shared = _round_up(tile, multiple), _round_up(overlap, multiple)
    if shared >= side:
        raise ValueError(f"an overlap of {overlap} leaves nothing of a tile of {side} pixels")
    size = (
        _even_side(padded[0], side, shared, multiple),
        _even_side(padded[1], side, shared, multiple),
    )
    tops = _origins(padded[0], size[0], shared)
    lefts = _origins(padded[1], size[1], shared)
    return Plan(height, width, size, tops, lefts, padded)


def _even_side(length: int, side: int, shared: int, multiple: int) -> int:
    if length <= side:
        return length
    count = -(-(length - shared) // (side - shared))
    return shared + _round_up(-(-(length - shared) // count), multiple)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _origins(length: int, size: int, shared: int) -> tuple[int, ...]:
    if size == length:
        return (0,)
    # The last tile is pushed back inside: every tile has the same size.
    return (*range(0, length - size, size - shared), length - size)


def _weights(origins: tuple[int, ...], size: int) -> list[NDArray[np.float32]]:
    weights = [np.ones(size, np.float32) for _ in origins]
    for i in range(len(origins) - 1):
        shared = origins[i] + size - origins[i + 1]
        ramp = min(shared, RAMP)
        context = (shared - ramp) // 2
        rising = np.zeros(shared, np.float32)
        rising[context : context + ramp] = (np.arange(ramp, dtype=np.float32) + 0.5) / ramp
        rising[context + ramp :] = 1
        weights[i][size - shared :] *= 1 - rising
        weights[i + 1][:shared] *= rising
    # Three tiles can meet where the last one was pushed back.
    total = np.zeros(origins[-1] + size, np.float32)
    for origin, weight in zip(origins, weights, strict=True):
        total[origin : origin + size] += weight
    for origin, weight in zip(origins, weights, strict=True):
        weight /= total[origin : origin + size]
    return weights


def extract(picture: NDArray[np.float32], tile: Tile) -> NDArray[np.float32]:
    """The tile's pixels (rows, columns, C) of a picture (H, W, C), reflected beyond its edges."""
    rows, columns = places(tile, *picture.shape[:2])
    if isinstance(rows, slice) and isinstance(columns, slice):
        return picture[rows, columns]
    return picture[rows][:, columns]


def places(
    tile: Tile, height: int, width: int
) -> tuple[slice | NDArray[np.int64], slice | NDArray[np.int64]]:
    """Which rows and which columns of a picture a tile holds, reflected beyond its edges."""
    return _reflected(tile.top, tile.size[0], height), _reflected(tile.left, tile.size[1], width)


def _reflected(start: int, size: int, length: int) -> slice | NDArray[np.int64]:
    if start + size <= length:
        return slice(start, start + size)
    indices = np.arange(start, start + size)
    period = max(2 * (length - 1), 1)
    indices %= period
    return np.minimum(indices, period - indices)


def blend(
    plan: Plan, results: Iterable[tuple[Tile, NDArray[np.float32]]]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Blend tiles, handed over in the plan's order, into finished bands of rows.

    Args:
        plan: the plan that the tiles belong to.
        results: each tile with its pixels (rows, columns, C).

    Yields:
        (first row, band (rows, W, C)): top to bottom, without gaps, the whole picture.
    """
    rows, columns = plan.tile_size
    pending: NDArray[np.float32] | None = None
    start = 0
    for tile, pixels in results:
        if pending is None:
            pending = np.zeros((rows, plan.padded[1], pixels.shape[2]), np.float32)
        if tile.top > start:  # a new row of tiles: what lies above it is finished
            done, kept = pending[: tile.top - start], pending[tile.top - start :]
            yield from _band(plan, start, done)
            pending = np.concatenate([kept, np.zeros_like(pending[: rows - len(kept)])])
            start = tile.top
        weight = plan.row_weights[tile.row][:, None] * plan.column_weights[tile.column]
        pending[:, tile.left : tile.left + columns] += pixels * weight[..., None]
    if pending is not None:
        yield from _band(plan, start, pending)


def _band(
    plan: Plan, start: int, band: NDArray[np.float32]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    if start < plan.height:
        yield start, band[: plan.height - start, : plan.width]
