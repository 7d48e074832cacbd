"""Masks made of strokes: drawn one after another until the wanted share of pixels is covered."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.int64]
"""Flat indices of the pixels of one stroke, in the order in which it is drawn."""

_PATIENCE = 64
"""Strokes in a row that may find nothing new before the rest is filled pixel by pixel."""


def draw_until(
    height: int,
    width: int,
    coverage: float,
    draw: Callable[[], Pixels],
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Draw strokes until ``coverage``, a share of the pixels, is met to the pixel.

    Args:
        height: rows of the mask.
        width: columns of the mask.
        coverage: 0 to 1; the last stroke ends where it is met.
        draw: draws the next stroke.
        rng: source of randomness.

    Returns:
        (height, width), True where a stroke went.
    """
    mask = np.zeros(height * width, dtype=bool)
    missing = round(coverage * height * width)
    fruitless = 0
    while missing and fruitless < _PATIENCE:
        pixels = draw()
        fresh, first_visit = np.unique(pixels[~mask[pixels]], return_index=True)
        fresh = fresh[np.argsort(first_visit)][:missing]
        mask[fresh] = True
        missing -= fresh.size
        fruitless = 0 if fresh.size else fruitless + 1
    if missing:  # almost everything is covered
        mask[rng.choice(np.flatnonzero(~mask), missing, replace=False)] = True
    return mask.reshape(height, width)


def thick_line(
    y: NDArray[np.float64], x: NDArray[np.float64], radius: float, height: int, width: int
) -> Pixels:
    """Pixels within ``radius`` of the points of a line, in the line's order."""
    reach = int(radius)
    steps = np.arange(-reach, reach + 1)
    offsets = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    offsets = offsets[(offsets**2).sum(axis=1) <= radius**2]
    points = np.floor(np.stack([y, x], axis=1)).astype(np.int64)
    pixels = (points[:, None] + offsets).reshape(-1, 2)
    inside = ((pixels >= 0) & (pixels < (height, width))).all(axis=1)
    pixels = pixels[inside]
    return pixels[:, 0] * width + pixels[:, 1]
