"""Whether a scan is noisy as a whole, and how much of that a network takes away."""

import numpy as np
from numpy.typing import NDArray

from dunrestore.imaging.in_order import each_band, each_part
from dunrestore.imaging.rows import Rows
from dunrestore.restoration.damage.quantiles import Quantiles

NOISY = 7.5
"""A scan whose noise exceeds this standard deviation (0..255 scale) may be noisy as a whole."""
BLOCK = 16
"""Side in pixels of the blocks in which noise is measured; half of one must be sound to count."""
LOWEST_TENTH = 14 / 15
"""What a tenth of the blocks of pure noise lie below, of its standard deviation."""


def is_noisy(picture: Rows, change: Rows, weight: Rows) -> bool:
    """Whether a scan is noisy as a whole, and the network has learned to remove such noise.

    Fine texture alone does not count: what the network takes away outside the losses must be
    most of the noise that the scan holds, and hardly more than that.

    Args:
        picture: (H, W, 3), RGB in [0, 1].
        change: (H, W, 3), what the network proposes.
        weight: (H, W), the damage found.
    """
    before = notable_noise(picture, weight)
    if not before:
        return False

    def power(rows: slice) -> tuple[float, int]:
        sound = change[rows][weight[rows] == 0]
        return float(np.square(sound, dtype=np.float64).sum()), sound.size

    taken, values = 0.0, 0
    for part, number in each_band(power, *picture.shape[:2]):
        taken += part
        values += number
    taken = 255 * (taken / values) ** 0.5
    return taken < 1.12 * before and noise_level(picture, weight, change) < 0.4 * before


def notable_noise(picture: Rows, weight: Rows) -> float | None:
    """The ``noise_level`` of a scan that may be noisy as a whole, before anything else is asked.

    Args:
        picture: as in ``noise_level``.
        weight: as there.

    Returns:
        0 where there is less noise than ``NOISY``; None where too little of the picture tells.
    """
    height, width = picture.shape[:2]

    def count(rows: slice) -> int:
        return int(np.count_nonzero(weight[rows] == 0))

    sound = sum(each_band(count, height, width))
    if min(height, width) < 16 or sound < 0.1 * height * width:
        return None
    level = noise_level(picture, weight)
    return level if level > NOISY else 0.0


def noise_level(picture: Rows, weight: Rows, change: Rows | None = None) -> float:
    """Standard deviation of what is noise in the finest diagonal detail, on the 0..255 scale.

    Noise is everywhere, texture is not: of the root mean squares of the Haar coefficients in
    blocks of the picture (all channels together) the lowest tenth counts. The median over all
    coefficients (D. Donoho and I. Johnstone, "Ideal spatial adaptation by wavelet shrinkage", 1994)
    took the texture of murals for noise of up to 11 (docs/decisions.md).

    Args:
        picture: (H, W, 3), RGB in [0, 1].
        weight: (H, W), 0 for the pixels that count.
        change: (H, W, 3), added to the picture first.
    """
    levels = Quantiles()

    def measure(rows: slice, p: NDArray[np.float32]) -> None:
        if change is not None:
            p = p + change[rows]
        height, width = len(p) // BLOCK, p.shape[1] // BLOCK
        p = p[: height * BLOCK, : width * BLOCK]
        sound = weight[rows][: len(p), : p.shape[1]] == 0
        counts = sound[::2, ::2] & sound[1::2, 1::2] & sound[::2, 1::2] & sound[1::2, ::2]
        detail = (p[::2, ::2] - p[1::2, ::2] - p[::2, 1::2] + p[1::2, 1::2]) / 2
        red, green, blue = np.moveaxis(np.square(detail), 2, 0)
        power = (red + green + blue) / 3 * counts
        blocks = (height, BLOCK // 2, width, BLOCK // 2)
        number = counts.reshape(blocks).sum(axis=(1, 3))
        total = power.reshape(blocks).sum(axis=(1, 3), dtype=np.float64)
        enough = number >= BLOCK**2 // 8
        levels.add(np.sqrt(total[enough] / number[enough]))

    for _ in each_part(measure, picture, multiple=BLOCK):
        pass
    return levels.at(0.1) / LOWEST_TENTH * 255
