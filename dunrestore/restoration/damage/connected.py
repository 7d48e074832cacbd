"""Connected regions of a picture that is seen band by band."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

from dunrestore.imaging.in_order import each_band, on_each_band
from dunrestore.imaging.rows import WritableRows

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class _Band:
    """What of a band may go on in its neighbours: the regions at its first and last row."""

    rows: Labels
    """(2, W), the regions' numbers inside the band."""
    edge: Labels
    """Those of them that there are, each once."""
    sums: NDArray[np.int64]
    """How many pixels count in each of those."""


def keep_regions(
    levels: WritableRows, *, counted: int, enough: int, structure: NDArray[np.bool_]
) -> None:
    """Keep the regions of a picture that hold enough of what counts.

    Args:
        levels: (H, W) uint8, 0 outside of all regions; afterwards 1 inside those that are kept and
            0 elsewhere.
        counted: the level of the pixels that count.
        enough: a region is kept if it holds so many of them.
        structure: (3, 3), which neighbours are connected.
    """
    height, width = levels.shape[:2]

    def look(rows: slice) -> tuple[slice, _Band]:
        labels, own = _labelled(levels[rows], counted, structure)
        first_and_last = labels[[0, -1]]
        edge = np.unique(first_and_last)
        edge = edge[edge > 0]
        return rows, _Band(first_and_last, edge, own[edge])

    seen: dict[int, tuple[Labels, int]] = {}
    """Of each band, by its first row: the regions at its edge, and how many came before."""
    sums: list[NDArray[np.int64]] = []
    links: list[NDArray[np.int64]] = []
    above = np.zeros(width, np.int64)
    total = 0
    for rows, band in each_band(look, height, width):
        # Numbers among those of all bands; 0 stands for no region, here as in the labels.
        numbers = np.zeros(int(band.edge.max(initial=0)) + 1, np.int64)
        numbers[band.edge] = np.arange(total + 1, total + 1 + len(band.edge))
        links.append(_links(above, numbers[band.rows[0]], structure))
        above = numbers[band.rows[1]]
        seen[rows.start] = band.edge, total
        sums.append(band.sums)
        total += len(band.edge)
    kept = _kept(np.concatenate(sums), np.concatenate(links, axis=1), enough)

    def keep(rows: slice) -> None:
        labels, own = _labelled(levels[rows], counted, structure)
        large = own >= enough
        edge, before = seen[rows.start]
        large[edge] = kept[before : before + len(edge)]
        large[0] = False
        levels[rows] = large[labels]

    on_each_band(keep, height, width)


def _labelled(
    levels: NDArray[Any], counted: int, structure: NDArray[np.bool_]
) -> tuple[Labels, NDArray[np.int64]]:
    """The regions of a band (h, w), and how many pixels count in each."""
    labels: Labels = np.empty(levels.shape, np.int32)
    number = ndimage.label(levels, structure=structure, output=labels)
    return labels, np.bincount(labels[levels == counted], minlength=int(number) + 1)  # pyright: ignore[reportArgumentType]


def _links(
    above: NDArray[np.int64], below: NDArray[np.int64], structure: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Pairs (2, n) of regions that touch across the border of two bands; w numbers a row."""
    width = len(above)
    pairs: list[NDArray[np.int64]] = []
    for shift in (-1, 0, 1):
        if structure[2, 1 + shift]:
            upper = above[max(-shift, 0) : width - max(shift, 0)]
            lower = below[max(shift, 0) : width - max(-shift, 0)]
            both = (upper > 0) & (lower > 0)
            pairs.append(np.stack([upper[both], lower[both]]))
    return np.unique(np.concatenate(pairs, axis=1), axis=1)


def _kept(sums: NDArray[np.int64], links: NDArray[np.int64], enough: int) -> NDArray[np.bool_]:
    """Whether each of the regions at the borders belongs to one that holds enough."""
    upper, lower = links - 1
    graph = sparse.coo_array((np.ones(len(upper), bool), (upper, lower)), (len(sums),) * 2)
    _, whole = connected_components(graph, directed=False)
    return (np.bincount(whole, weights=sums) >= enough)[whole]
