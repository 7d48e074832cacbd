"""Changes of colour and exposure: a network shall learn to continue colours, not to know them."""

import numpy as np
from numpy.typing import NDArray

MOST_GAIN = 3
"""What an exposure is multiplied by at most."""


def vary_colours(
    picture: NDArray[np.float32], rng: np.random.Generator, *, inversion: float = 0.0
) -> NDArray[np.float32]:
    """Permute the channels, bend each one's tone curve, narrow the range, perhaps invert.

    The range is narrowed mostly from below, as far as to paint hardly darker than a white loss.

    Args:
        picture: (H, W, 3) in [0, 1].
        rng: source of randomness.
        inversion: how often the picture becomes its negative, 0 to 1.

    Returns:
        (H, W, 3) in [0, 1].
    """
    if rng.random() < inversion:
        picture = 1 - picture
    gamma = np.exp(rng.uniform(-0.5, 0.5, 3)).astype(np.float32)
    varied = picture[..., rng.permutation(3)] ** gamma
    low, high = 0.6 * rng.random() ** 3, rng.uniform(0.75, 1)
    return (low + (high - low) * varied).astype(np.float32)


def clip_tones(picture: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Expose a picture too long, so that 2 to 15 % of it come out white; one in three times too
    short, so that as much comes out black.

    Args:
        picture: (H, W, 3) in [0, 1].
        rng: source of randomness.

    Returns:
        (H, W, 3) in [0, 1]; where it is white or black is sound paint all the same.
    """
    share, dark = rng.uniform(0.02, 0.15), rng.random() < 1 / 3
    light = 1 - picture if dark else picture
    limit = max(float(np.quantile(light.min(axis=2), 1 - share)), 1 / MOST_GAIN)
    clipped = np.minimum(light / np.float32(limit), 1)
    return 1 - clipped if dark else clipped
