"""Where a picture was damaged: the change that a network proposes, turned into a mask.

What lies outside the mask keeps its samples, so the mask must be tight: losses have ragged edges,
and a plain margin around them would touch several percent of sound pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold

NEIGHBOURS = np.ones((3, 3), bool)
SPREAD = 1.5
"""Standard deviation in pixels of the average that tells a filled loss from smoothed texture."""


@dataclass(frozen=True)
class MaskRule:
    """How a change becomes a mask; levels on the 0..255 scale, distances in pixels."""

    low: float = 14.0
    """A region of damage extends to where the change falls below this."""
    texture: float = 10.0
    """``low`` is at least so many times the change of the quietest fifth: a model that scales
    pictures down and up again changes fine texture everywhere, and that is not damage."""
    coherence: float = 20.0
    """The change averaged over ``SPREAD`` must exceed so many times that of the quietest fifth:
    texture that is smoothed away averages out, a loss that is filled does not."""
    high: float = 2.0
    """It must reach so many times ``low`` somewhere."""
    smallest: int = 4
    """Regions of fewer pixels are left alone."""
    margin: int = 2
    """How far around a region a smaller change is still followed."""
    faint: float = 0.5
    """Inside the margin the weight rises from 0 at so many times ``low`` to 1 at ``low``: soft
    edges are feathered, and a sound neighbour of a hard edge is not touched."""


DEFAULT_RULE = MaskRule()

CERTAIN = 0.6
"""A region counts as damage where its probability reaches this."""
LIKELY = 0.35
"""It extends to where the probability falls below this."""


def damage_weight(
    change: NDArray[np.float32], rule: MaskRule = DEFAULT_RULE
) -> NDArray[np.float32]:
    """How much of the proposed change to apply at each pixel.

    Args:
        change: (H, W, 3), what the network would add to a picture in [0, 1].
        rule: thresholds and margin.

    Returns:
        (H, W) in [0, 1]; exactly 0 where the picture is to stay as it is.
    """
    magnitude = np.abs(change).max(axis=2) * 255
    low = max(rule.low, rule.texture * _quiet(magnitude))
    averaged = np.abs(ndimage.gaussian_filter(change, (SPREAD, SPREAD, 0))).max(axis=2)
    coherent = averaged > rule.coherence * _quiet(averaged)
    damaged = _regions(magnitude * coherent, low, rule.high * low, rule.smallest)
    if rule.margin == 0:
        return damaged.astype(np.float32)
    near = ndimage.binary_dilation(damaged, structure=NEIGHBOURS, iterations=rule.margin)
    faint = rule.faint * low
    ramp = ((magnitude - faint) / (low - faint)).clip(0, 1)
    return np.where(damaged, 1, np.where(near, ramp, 0)).astype(np.float32)


def found_weight(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same from a network that says itself where it found damage.

    Args:
        probability: (H, W), of a pixel being lost.

    Returns:
        (H, W), 0 or 1.
    """
    return _regions(probability, LIKELY, CERTAIN, 1).astype(np.float32)


def _quiet(strength: NDArray[np.float32]) -> float:
    # Not the median: half of a picture may be lost.
    return float(np.quantile(strength, 0.2))


def _regions(
    strength: NDArray[np.float32], low: float, high: float, smallest: int
) -> NDArray[np.bool_]:
    strong = np.asarray(apply_hysteresis_threshold(strength, low, high), bool)
    regions = np.empty(strong.shape, np.int32)
    ndimage.label(strong, structure=NEIGHBOURS, output=regions)
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    return (sizes >= smallest)[regions]


NOISY = 7.0
"""A scan whose noise exceeds this standard deviation (0..255 scale) may be noisy as a whole."""


def is_noisy(
    picture: NDArray[np.float32], change: NDArray[np.float32], weight: NDArray[np.float32]
) -> bool:
    """Whether a scan is noisy as a whole, and the network has learned to remove such noise.

    Fine texture alone does not count: what the network takes away outside the losses must be
    most of the noise that the scan holds, and hardly more than that.

    Args:
        picture: (H, W, 3), RGB in [0, 1].
        change: (H, W, 3), what the network proposes.
        weight: (H, W), the damage found by ``damage_weight``.
    """
    sound = weight == 0
    if min(picture.shape[:2]) < 16 or sound.mean() < 0.1:
        return False
    before = noise_level(picture, sound)
    if before <= NOISY:
        return False
    taken = float(np.sqrt(np.square(change[sound]).mean()) * 255)
    return taken < 1.2 * before and noise_level(picture + change, sound) < 0.4 * before


def noise_level(picture: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """Robust standard deviation of the finest diagonal detail, on the 0..255 scale.

    D. Donoho and I. Johnstone, "Ideal spatial adaptation by wavelet shrinkage" (1994): the median
    absolute Haar coefficient over 0.6745, here the mean over the channels.

    Args:
        picture: (H, W, 3), RGB in [0, 1].
        where: (H, W), the pixels that count.
    """
    rows, columns = (size // 2 * 2 for size in picture.shape[:2])
    p = picture[:rows, :columns]
    detail = (p[::2, ::2] - p[1::2, ::2] - p[::2, 1::2] + p[1::2, 1::2]) / 2
    counts = where[:rows:2, :columns:2] & where[1:rows:2, 1:columns:2]
    if not counts.any():
        return 0.0
    return float(np.median(np.abs(detail[counts]), axis=0).mean() / 0.6745 * 255)
