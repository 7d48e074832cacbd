"""The tiles of a picture, batch by batch: first looked at, if a network must, then restored."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import groupby, islice

import numpy as np
import torch
from numpy.typing import NDArray

from dunrestore.imaging import tiling
from dunrestore.imaging.rows import Rows, WritableRows
from dunrestore.models.colours import Evidence, Part
from dunrestore.models.runners import Runners, Stack

Pixels = Callable[[tiling.Tile], NDArray[np.float32]]
"""The pixels (rows, columns, C) of a tile."""


def looked(
    runners: Runners, plan: tiling.Plan, pixels: Pixels, first_row: int = 0
) -> Iterator[tuple[list[tiling.Tile], NDArray[np.float64], NDArray[np.float32] | None]]:
    """What the network must know of a whole picture first, batch by batch; see ``Runner.look``.

    Args:
        runners: the network.
        plan: the tiles.
        pixels: of a tile.
        first_row: earlier rows of tiles are left out.

    Yields:
        Tiles, their counts, which are to be summed up, and logits, which are to be ``put``.
    """
    todo = list(batches(plan, runners.batch_size, first_row))
    with closing(runners.looks(_stacks(plan, todo, pixels, None))) as found:
        for batch, (counts, logits) in zip(todo, found, strict=True):
            yield batch, counts, logits


def put(
    logits: WritableRows,
    plan: tiling.Plan,
    tiles: Sequence[tiling.Tile],
    values: NDArray[np.float32],
) -> None:
    """Set what tiles are nearest to.

    Args:
        logits: (rows, columns, 1) of the padded picture: the padding of a picture is no mirror of
            what was found in it.
        plan: the plan that the tiles belong to.
        tiles: some of its tiles.
        values: (tiles, rows, columns, 1).
    """
    for tile, own in zip(tiles, values, strict=True):
        rows, columns = tiling.own_area(plan, tile, padding=True)
        part = logits[tile.top + rows.start : tile.top + rows.stop]
        part[:, tile.left + columns.start : tile.left + columns.stop] = own[rows, columns]


def evidence_of(counts: NDArray[np.float64], plan: tiling.Plan) -> Evidence:
    """What the colours of a picture tell."""
    return Evidence.of(torch.from_numpy(counts), (plan.height, plan.width))


def changed(
    runners: Runners,
    plan: tiling.Plan,
    pixels: Pixels,
    logits: Rows | None = None,
    first_row: int = 0,
) -> Iterator[tuple[list[tiling.Tile], NDArray[np.float32]]]:
    """The changes that a network proposes, batch by batch: (tiles, rows, columns, channels).

    Args:
        runners: the network.
        plan: the tiles.
        pixels: of a tile.
        logits: what was ``put`` of all tiles; None if nothing was.
        first_row: earlier rows of tiles are left out.
    """
    todo = list(batches(plan, runners.batch_size, first_row))
    with closing(runners.changes(_stacks(plan, todo, pixels, logits))) as found:
        yield from zip(todo, found, strict=True)


def _stacks(
    plan: tiling.Plan, todo: Iterable[list[tiling.Tile]], pixels: Pixels, logits: Rows | None
) -> Iterator[Stack]:
    size = plan.height, plan.width
    rows, columns = plan.tile_size
    for batch in todo:
        parts = [Part(size, one.top, one.left, tiling.own_area(plan, one)) for one in batch]
        found = None
        if logits is not None:
            own = [logits[one.top : one.top + rows] for one in batch]
            own = [part[:, t.left : t.left + columns] for part, t in zip(own, batch, strict=True)]
            found = np.stack(own)
        yield np.stack([pixels(tile) for tile in batch]), parts, found


def batches(plan: tiling.Plan, size: int, first_row: int = 0) -> Iterator[list[tiling.Tile]]:
    """Tiles that are computed together, from one row of tiles each.

    Args:
        plan: the tiles.
        size: how many at most.
        first_row: earlier rows of tiles are left out.
    """
    for _, row in islice(groupby(plan.tiles(), lambda tile: tile.row), first_row, None):
        while batch := list(islice(row, size)):
            yield batch
