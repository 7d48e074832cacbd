"""The tiles of a picture, batch by batch: first looked at, if a network must, then restored."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import groupby, islice

import numpy as np
import torch
from numpy.typing import NDArray

from dunrestore.imaging import tiling
from dunrestore.imaging.rows import Rows, WritableRows, bands
from dunrestore.models.allocation import hand_back_memory
from dunrestore.models.colours import Evidence, Part, number_of_counts, weigh_colours
from dunrestore.models.facts import facts
from dunrestore.models.rims import LENGTH, NUMBERS, count_rims, has_rims
from dunrestore.models.runner import size_multiple
from dunrestore.models.several_devices import Runners, Stack

Pixels = Callable[[tiling.Tile], NDArray[np.float32]]
"""The pixels (rows, columns, C) of a tile."""


def look_plan(runners: Runners, plan: tiling.Plan) -> tiling.Plan | None:
    """The tiles in which a picture is looked at before those of ``plan`` are restored; None if it
    need not be.

    They take as much memory, so they are larger, and share all that the finder sees: it says the
    same of a pixel whichever tile shows it.
    """
    if not runners.looks_first:
        return None
    known, itemsize = facts(runners.network), runners.dtype.itemsize
    multiple, shared = size_multiple(runners.network), 2 * known.finder_sees
    larger = known.bytes_per_pixel(itemsize) / known.look_bytes_per_pixel(itemsize)
    aligned = known.origin_multiple or multiple
    side = max(
        int(plan.largest * larger**0.5) // multiple * multiple, shared + 2 * max(aligned, multiple)
    )
    return tiling.plan(
        plan.height, plan.width, tile=side, overlap=shared, multiple=multiple, aligned=aligned
    )


def no_counts(plan: tiling.Plan) -> NDArray[np.float64]:
    """What ``looked`` begins to count with."""
    return np.zeros(number_of_counts((plan.height, plan.width)))


def looked(
    runners: Runners,
    plan: tiling.Plan,
    pixels: Pixels,
    counts: NDArray[np.float64],
    logits: WritableRows | None,
    first_row: int = 0,
) -> Iterator[list[tiling.Tile]]:
    """Look at tiles, batch by batch, and take in what the network must know of the picture.

    Args:
        runners: the network.
        plan: from ``look_plan``.
        pixels: of a tile.
        counts: from ``no_counts``; what is counted of each batch is added.
        logits: (rows, columns, 1) of the padded picture, where what the finder said is set; None if
            it is not asked. The padding of a picture is no mirror of what was found in it.
        first_row: earlier rows of tiles are left out.

    Yields:
        The tiles of a batch, once they are taken in.
    """
    todo = list(batches(plan, runners.batch_size, first_row))
    with closing(runners.looks(_stacks(plan, todo, pixels, None))) as seen:
        for batch, (some, found) in zip(todo, seen, strict=True):
            counts += some
            if logits is not None and found is not None:
                for tile, own in zip(batch, found, strict=True):
                    _put(logits, plan, tile, own)
            yield batch
    hand_back_memory()  # the host's: what these tiles left would stay beside what others take


def _put(
    logits: WritableRows, plan: tiling.Plan, tile: tiling.Tile, found: NDArray[np.float32]
) -> None:
    """Set what a tile is nearest to, of what was found in it."""
    rows, columns = tiling.own_area(plan, tile, padding=True)
    part = logits[tile.top + rows.start : tile.top + rows.stop]
    part[:, tile.left + columns.start : tile.left + columns.stop] = found[rows, columns]


def evidence_of(
    counts: NDArray[np.float64], plan: tiling.Plan, picture: Rows, logits: Rows | None
) -> Evidence:
    """What a picture tells, once all its tiles were ``looked`` at.

    Args:
        counts: from ``looked``.
        plan: the tiles.
        picture: (H, W, 3), RGB in [0, 1].
        logits: from ``looked``; None if a mask says what is lost.
    """
    evidence = Evidence.of(torch.from_numpy(counts), (plan.height, plan.width))
    if logits is None:
        return evidence
    sums = torch.zeros(NUMBERS, dtype=torch.float64)
    for rows in bands(plan.height, plan.width):
        some = slice(rows.start, min(rows.stop + LENGTH - 1, plan.height))
        found = torch.from_numpy(logits[some][:, : plan.width, 0])[None]
        if not evidence.raises_logits and found.max() <= 0:
            continue
        x = torch.from_numpy(picture[some]).permute(2, 0, 1)
        part = replace(Part.whole(plan.height, plan.width), top=rows.start)
        lost = weigh_colours(x, found, evidence, part)[0] > 0
        sums += count_rims(x, lost, rows.stop - rows.start)
    return replace(evidence, rims=has_rims(sums))


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
        logits: what the finder said when all tiles were ``looked`` at; None to ask it.
        first_row: earlier rows of tiles are left out.
    """
    todo = list(batches(plan, runners.batch_size, first_row))
    with closing(runners.changes(_stacks(plan, todo, pixels, logits))) as found:
        yield from zip(todo, found, strict=True)


def _stacks(
    plan: tiling.Plan, todo: Iterable[list[tiling.Tile]], pixels: Pixels, logits: Rows | None
) -> Iterator[Stack]:
    for batch in todo:
        parts = [_part(plan, tile) for tile in batch]
        found = None if logits is None else _stack([_cut_out(logits, tile) for tile in batch])
        yield _stack([pixels(tile) for tile in batch]), parts, found


def _part(plan: tiling.Plan, tile: tiling.Tile) -> Part:
    own = tiling.own_area(plan, tile)
    return Part((plan.height, plan.width), tile.top, tile.left, own)


def _stack(tiles: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(B, rows, columns, C); a single tile is not copied."""
    return tiles[0][None] if len(tiles) == 1 else np.stack(tiles)


def _cut_out(padded: Rows, tile: tiling.Tile) -> NDArray[np.float32]:
    rows, columns = tile.size
    # A copy: no view of a mapped file is left when that is deleted, which Windows refuses then.
    return padded[tile.top : tile.top + rows][:, tile.left : tile.left + columns].copy()


def batches(plan: tiling.Plan, size: int, first_row: int = 0) -> Iterator[list[tiling.Tile]]:
    """Tiles that are computed together: of one size, from one row of tiles each.

    Args:
        plan: the tiles.
        size: how many at most.
        first_row: earlier rows of tiles are left out.
    """
    left = (tile for tile in plan.tiles() if tile.row >= first_row)
    for _, alike in groupby(left, lambda tile: (tile.row, tile.size)):
        while batch := list(islice(alike, size)):
            yield batch
