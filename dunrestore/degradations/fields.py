"""Smooth random fields: the raw material of stains, flakes, plaster and wear."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]
"""(height, width)."""


def smooth_noise(height: int, width: int, scale: float, rng: np.random.Generator) -> Field:
    """Gaussian noise that varies over about ``scale`` pixels; mean 0, standard deviation 1.

    Args:
        height: rows.
        width: columns.
        scale: distance in pixels over which values are alike; up to 1 it is white noise.
        rng: source of randomness.
    """
    if scale <= 1:
        return rng.standard_normal((height, width), dtype=np.float32)
    rows, columns = math.ceil(height / scale) + 3, math.ceil(width / scale) + 3
    knots = rng.standard_normal((rows, columns), dtype=np.float32)
    left, top = rng.uniform(1, 2, 2)
    box = (left, top, left + width / scale, top + height / scale)
    # A mode "F" image is resampled in floating point.
    grid = Image.fromarray(knots).resize((width, height), Image.Resampling.BICUBIC, box=box)
    return _standardised(np.asarray(grid))


def fractal_noise(
    height: int, width: int, scale: float, rng: np.random.Generator, *, roughness: float = 0.5
) -> Field:
    """Smooth noise with ever finer and weaker octaves; mean 0, standard deviation 1.

    Args:
        height: rows.
        width: columns.
        scale: distance in pixels over which the coarsest octave varies.
        rng: source of randomness.
        roughness: strength of an octave against the next coarser one, 0 to 1.
    """
    total = np.zeros((height, width), dtype=np.float32)
    strength = 1.0
    while scale > 1 and strength > 0.02:
        total += np.float32(strength) * smooth_noise(height, width, scale, rng)
        scale, strength = scale / 2, strength * roughness
    return _standardised(total)


def _standardised(field: Field) -> Field:
    spread = float(field.std())
    return (field - field.mean()) / np.float32(spread or 1.0)
