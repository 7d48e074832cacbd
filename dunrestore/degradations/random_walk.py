"""The Dunhuang challenge's losses: unions of random walks of small square steps."""

import numpy as np
from numpy.typing import NDArray

from dunrestore.degradations.strokes import Pixels, draw_until

_DIRECTIONS = np.array([(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)])


def random_walk_mask(
    height: int, width: int, coverage: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Lacy, clustered blobs with ragged edges.

    Args:
        height: rows of the mask.
        width: columns of the mask.
        coverage: share of the pixels to lose, 0 to 1; met exactly, to the pixel.
        rng: source of randomness.

    Returns:
        (height, width), True where the picture is lost.
    """
    clusters: list[tuple[float, float]] = []

    def walk() -> Pixels:
        if not clusters or rng.random() < 0.25:
            clusters.append((rng.uniform(0, height), rng.uniform(0, width)))
        return _walk(height, width, clusters[rng.integers(len(clusters))], rng)

    return draw_until(height, width, coverage, walk, rng)


def _walk(height: int, width: int, centre: tuple[float, float], rng: np.random.Generator) -> Pixels:
    """Flat indices of one walk's pixels, in the order in which it visits them."""
    side = int(rng.integers(1, 4))
    steps = int(np.exp(rng.uniform(np.log(20), np.log(600))))
    spread = rng.uniform(0, 25)
    start = np.asarray(centre) + rng.normal(0, 1, 2) * spread
    # A step as long as the square is wide leaves the holes that make the blobs lacy.
    moves = _DIRECTIONS[rng.integers(0, len(_DIRECTIONS), steps)] * side
    corners = np.floor(start).astype(np.int64) + np.cumsum(moves, axis=0)
    rows = (corners[:, :1] + np.repeat(np.arange(side), side)).ravel()
    columns = (corners[:, 1:] + np.tile(np.arange(side), side)).ravel()
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return (rows * width + columns)[inside]
