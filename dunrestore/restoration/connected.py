"""Connected regions of a picture that is seen band by band."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components

from dunrestore.imaging.rows import WritableRows, bands

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class _Band:
    """What of a band may go on in its neighbours: the regions at its first and last row."""

    labels: Labels
    """Their numbers inside the band."""
    first: int
    """Number of the first of them among those of all bands."""


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
    found: list[_Band] = []
    sums: list[NDArray[np.int64]] = []
    links: list[NDArray[np.int64]] = []
    above = np.zeros(width, np.int64)
    total = 0
    for rows in bands(height, width):
        labels, own = _labelled(levels[rows], counted, structure)
        edge = np.unique(labels[[0, -1]])
        edge = edge[edge > 0]
        # 0 stands for no region, here as in the labels.
        numbers = np.zeros(len(own), np.int64)
        numbers[edge] = np.arange(total + 1, total + 1 + len(edge))
        links.append(_links(above, numbers[labels[0]], structure))
        found.append(_Band(edge, total))
        sums.append(own[edge])
        above = numbers[labels[-1]]
        total += len(edge)
    kept = _kept(np.concatenate(sums), np.concatenate(links, axis=1), enough)
    for rows, band in zip(bands(height, width), found, strict=True):
        labels, own = _labelled(levels[rows], counted, structure)
        keep = own >= enough
        keep[band.labels] = kept[band.first : band.first + len(band.labels)]
        keep[0] = False
        levels[rows] = keep[labels]


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
