"""Synthetic tasks to pretrain on where no published checkpoint may be used: blur and rain."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, map_coordinates


def motion_blur(picture: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The blur of a camera that moved along a slightly bent path.

    Args:
        picture: (H, W, 3) in [0, 1].
        rng: source of randomness.
    """
    length = rng.uniform(2, 14)
    steps = max(3, int(length))
    heading = rng.uniform(0, np.pi) + np.cumsum(rng.normal(0, 0.2, steps))
    path = np.cumsum(np.stack([np.sin(heading), np.cos(heading)], axis=1), axis=0)
    path = (path - path.mean(axis=0)) * (length / steps)
    weights = rng.uniform(0.5, 1, steps)
    total = np.zeros_like(picture)
    for (dy, dx), weight in zip(path, weights / weights.sum(), strict=True):
        total += np.float32(weight) * _shifted(picture, float(dy), float(dx))
    return total.clip(0, 1)


def _shifted(picture: NDArray[np.float32], dy: float, dx: float) -> NDArray[np.float32]:
    """Moved by a fraction of a pixel, bilinearly, with the edges repeated."""
    for axis, shift in ((0, dy), (1, dx)):
        whole = int(np.floor(shift))
        part = shift - whole
        kernel = np.zeros(2 * (abs(whole) + 1) + 1, dtype=np.float32)
        centre = abs(whole) + 1
        kernel[centre - whole], kernel[centre - whole - 1] = 1 - part, part
        picture = np.asarray(convolve1d(picture, kernel[::-1], axis=axis, mode="nearest"), "f4")
    return picture


def rain(picture: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Bright streaks, all falling the same way.

    Args:
        picture: (H, W, 3) in [0, 1].
        rng: source of randomness.
    """
    height, width = picture.shape[:2]
    drops = (rng.random((height, width)) < rng.uniform(0.002, 0.02)).astype(np.float32)
    drops *= rng.uniform(0.4, 1, (height, width)).astype(np.float32)
    slant, length = rng.uniform(-0.6, 0.6), int(rng.integers(6, 30))
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    sheared = map_coordinates(drops, [rows, columns + slant * rows], order=0, mode="grid-wrap")
    streaks = convolve1d(sheared, np.ones(length, dtype=np.float32), axis=0, mode="constant")
    fallen = map_coordinates(streaks, [rows, columns - slant * rows], order=1, mode="grid-wrap")
    light = (fallen * rng.uniform(0.3, 0.8)).clip(0, 0.9)[..., None]
    return (picture + light * (np.float32(0.95) - picture)).clip(0, 1).astype(np.float32)
