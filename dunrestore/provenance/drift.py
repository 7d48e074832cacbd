"""Colour drift: how far colours moved where nothing was damaged.

CIEDE2000 (Sharma et al., Color Research and Application 30(1), 2005) of the numbers as they stand,
read as sRGB: a drift of the encoding, whatever the profile.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from dunrestore.imaging.rows import Rows, bands

PATCH = 16
"""Side of the squares whose mean colours are compared, as the patches of a colour target are."""
LIMIT = 3.0
"""Mean CIEDE2000 of the patches that a master may show at most (Metamorfoze, 2023, full)."""
_STRIP_PIXELS = 1 << 20


@dataclass(frozen=True)
class Drift:
    """Colour differences (CIEDE2000) where nothing was damaged."""

    mean: float
    """Mean over the pixels; noise that was cleaned or compressed counts as well."""
    largest: float
    """The largest of any pixel."""
    patches: float
    """Mean over squares of 16 pixels of the difference of their mean colours."""
    differing_percent: float
    """Share of the undamaged pixels that differ at all."""


NONE = Drift(0.0, 0.0, 0.0, 0.0)
"""Where nothing undamaged differs."""


def colour_drift(before: Rows, after: Rows, sound: Rows) -> Drift | None:
    """Measure the drift between two pictures.

    Args:
        before: (H, W, 3), RGB in [0, 1].
        after: the same picture afterwards.
        sound: (H, W), True where nothing was damaged.

    Returns:
        None if nothing was sound.
    """
    height, width = sound.shape
    total = sum(int(np.count_nonzero(sound[rows])) for rows in bands(height, width))
    if total == 0:
        return None
    step = max(PATCH, _STRIP_PIXELS // width // PATCH * PATCH)
    differing, summed, largest, patches, patch_sum = 0, 0.0, 0.0, 0, 0.0
    for top in range(0, height, step):
        rows = slice(top, top + step)
        old, new, valid = before[rows], after[rows], sound[rows]
        apart = valid & (old != new).any(axis=2)
        old_means, new_means = _patch_means(old, valid), _patch_means(new, valid)
        patches += len(old_means)
        if not apart.any():
            continue
        differences = _difference(old[apart], new[apart])
        differing += differences.size
        summed += float(differences.sum())
        largest = max(largest, float(differences.max()))
        patch_sum += float(_difference(old_means, new_means).sum())
    return Drift(
        mean=summed / total,
        largest=largest,
        patches=patch_sum / patches if patches else summed / total,
        differing_percent=100 * differing / total,
    )


def _difference(old: NDArray[np.floating], new: NDArray[np.floating]) -> NDArray[np.float64]:
    """CIEDE2000 of (N, 3) colours, (N,)."""
    if not len(old):
        return np.zeros(0)
    return np.asarray(deltaE_ciede2000(rgb2lab(old), rgb2lab(new)), np.float64)


def _patch_means(rgb: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean colours (N, 3) of the sound pixels of the patches that are sound by half or more."""
    rows, columns = (np.arange(0, size, PATCH) for size in valid.shape)

    def summed(values: NDArray[np.floating] | NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.add.reduceat(
            np.add.reduceat(values, rows, axis=0, dtype=np.float64), columns, axis=1
        )

    counts = summed(valid)
    enough = counts >= PATCH * PATCH / 2
    return summed(rgb * valid[..., None])[enough] / counts[enough][:, None]
