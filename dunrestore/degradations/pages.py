"""Degrading what was read from a file, in its own bit depth and kind."""

import numpy as np
from numpy.typing import NDArray

from dunrestore.degradations.recipes import Recipe, degrade
from dunrestore.imaging.picture import Picture
from dunrestore.imaging.pixels import add_residual, to_rgb


def degrade_page(
    picture: Picture, recipe: Recipe, rng: np.random.Generator
) -> tuple[Picture, NDArray[np.bool_]]:
    """Apply a recipe to a picture as it was stored.

    Args:
        picture: of any kind; metadata and extra channels stay as they are.
        recipe: what to do.
        rng: source of randomness.

    Returns:
        The degraded picture, and (H, W), upright, where it is damaged. Samples that were not
        touched stay identical. Through a JPEG 16-bit samples keep no more than 8 bits.
    """
    rgb = to_rgb(picture)
    grey = picture.encoding.channels == 1 and picture.encoding.palette is None
    # Grey gets one noise, not the mean of three, which would be weaker.
    degraded = degrade(rgb[..., :1] if grey else rgb, recipe, rng)
    change = np.broadcast_to(degraded.picture - rgb[..., : degraded.picture.shape[2]], rgb.shape)
    weight = np.ones(rgb.shape[:2], dtype=np.float32)
    return add_residual(picture, np.ascontiguousarray(change), weight), degraded.mask
