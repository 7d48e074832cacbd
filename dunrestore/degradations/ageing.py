"""Ageing that leaves the paint in place: stains that darken it, fading that takes its colour."""

import numpy as np
from numpy.typing import NDArray

from dunrestore.degradations.fields import Field, fractal_noise
from dunrestore.degradations.losses import highest

Picture = NDArray[np.float32]
"""(H, W, C) in [0, 1], C 1 or 3."""


def soft_patches(height: int, width: int, coverage: float, rng: np.random.Generator) -> Field:
    """A map (height, width), above 0 on the share ``coverage``, rising softly to 1 inwards."""
    scale = max(height, width) * rng.uniform(0.15, 0.4)
    field = fractal_noise(height, width, scale, rng, roughness=0.4)
    mask = highest(field, coverage)
    if not mask.any():
        return np.zeros((height, width), dtype=np.float32)
    inside = field[mask]
    edge, softness = inside.min(), max(float(inside.std()), 1e-3)
    rise = ((field - edge) / np.float32(softness)).clip(0, 1)
    return np.where(mask, 0.1 + 0.9 * rise * rise * (3 - 2 * rise), 0).astype(np.float32)


def stain(picture: Picture, amount: Field, rng: np.random.Generator) -> Picture:
    """Darken by a brown glaze, strongest at the tide line where the water stopped.

    Args:
        picture: (H, W, C) in [0, 1].
        amount: (H, W) from ``soft_patches``; where it is 0 nothing changes.
        rng: source of randomness.
    """
    glaze = np.array([0.62, 0.48, 0.32]) + rng.normal(0, 0.03, 3)
    glaze = glaze ** rng.uniform(0.6, 1.4)
    if picture.shape[2] == 1:
        glaze = glaze.mean(keepdims=True)
    tide = np.exp(-(((amount - 0.25) / 0.12) ** 2)) * (amount > 0)
    depth = (amount * rng.uniform(0.4, 0.8) + 0.25 * tide).clip(0, 1)
    return picture * (1 - depth[..., None] * (1 - glaze)).astype(np.float32)


def fade(picture: Picture, amount: Field, rng: np.random.Generator) -> Picture:
    """Take colour and contrast away, towards pale plaster.

    Args:
        picture: (H, W, C) in [0, 1].
        amount: (H, W) from ``soft_patches``; where it is 0 nothing changes.
        rng: source of randomness.
    """
    pale = np.array([0.84, 0.78, 0.68]) + rng.normal(0, 0.03, 3)
    if picture.shape[2] == 1:
        pale = pale.mean(keepdims=True)
    grey = picture.mean(axis=2, keepdims=True)
    towards = rng.uniform(0.3, 0.5) * grey + (1 - rng.uniform(0.3, 0.5)) * pale
    strength = (amount * rng.uniform(0.4, 0.75))[..., None]
    return (picture + strength * (towards.clip(0, 1) - picture)).astype(np.float32)
