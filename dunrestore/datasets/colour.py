"""Strong colour augmentation: a network shall learn to continue colours, not to know them."""

import numpy as np
from numpy.typing import NDArray


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
