"""Where a picture was damaged: the change that a network proposes, turned into a mask.

What lies outside the mask keeps its samples, so the mask must be tight: losses have ragged edges,
and a plain margin around them would touch several percent of sound pixels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dunrestore.imaging.rows import Make, Rows, WritableRows, bands
from dunrestore.restoration.connected import keep_regions
from dunrestore.restoration.quantiles import Quantiles

NEIGHBOURS = np.ones((3, 3), bool)
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
SPREAD = 1.5
"""Standard deviation in pixels of the average that tells a filled loss from smoothed texture."""
_REACH = int(4 * SPREAD + 0.5)
"""Rows beside a pixel that its average depends on, as scipy cuts the bell off."""


@dataclass(frozen=True)
class MaskRule:
    """How a change becomes a mask; levels on the 0..255 scale, distances in pixels."""

    low: float = 14.0
    """A region of damage extends to where the change falls below this."""
    texture: float = 10.0
    """``low`` is at least so many times the change of the quietest fifth: a model that scales
    pictures down and up again changes fine texture everywhere, and that is not damage."""
    most: float = 40.0
    """``low`` never exceeds this: a model that removes noise changes every pixel, and what is lost
    still stands out."""
    coherence: float = 20.0
    """The change averaged over ``SPREAD`` must exceed so many times that of the quietest fifth:
    texture that is smoothed away averages out, a loss that is filled does not."""
    most_coherent: float = 0.2
    """The average never needs to exceed this (0..1)."""
    certain: float = 28.0
    """It must reach this somewhere,"""
    clear: float = 1.2
    """and so many times ``low``: where the ground is hardly paler than the paint no loss changes
    by twice of what a model that removes noise changes everywhere."""
    smallest: int = 4
    """Regions of fewer pixels are left alone."""
    margin: int = 2
    """How far around a region a smaller change is still followed."""
    faint: float = 0.5
    """Inside the margin the weight rises from 0 at so many times ``low`` to 1 at ``low``: soft
    edges are feathered, and a sound neighbour of a hard edge is not touched."""
    margin_raised: int = 1
    """``margin`` where the model changes what is sound, too, so that ``low`` had to be raised."""
    faint_raised: float = 0.95
    """``faint`` there."""


DEFAULT_RULE = MaskRule()

CERTAIN = 0.9
"""A region counts as damage where its probability reaches this."""
LIKELY = 0.5
"""It extends to where the probability falls below this."""


@dataclass(frozen=True)
class Spoiling:
    """How a loss spoils what is around it, in the file or in the camera."""

    reach: int
    """How far, in pixels."""
    change: float
    """So near to a loss, a pixel was spoilt if the network changes it by more (0..255 scale)."""


BLURRED = Spoiling(4, 24.0)
RINGING = Spoiling(8, 10.0)
"""JPEG rings around a hard edge, all over the block of 8 x 8 pixels that it crosses."""
BLOCKY = 1.12
"""JPEG's blocks show where the edges between them stand out by this factor: none of 71 pictures
without JPEG reached 1.06, of as many with a quality of 60 all but one exceeded it."""
SHOWING = 96
"""Pixels a side; in smaller pictures blocks show by chance."""


class DamageWeight:
    """How much of a change to apply at each pixel (H, W), in [0, 1], computed band by band.

    Exactly 0 where the picture is to stay as it is.

    Args:
        change: (H, W, 3), what the network would add to a picture in [0, 1].
        rule: thresholds and margin.
        make: makes room for what is kept of every pixel.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, change: Rows, rule: MaskRule = DEFAULT_RULE, make: Make = np.empty) -> None:
        self._change = change
        self.shape = change.shape[:2]
        averaged = make(self.shape, np.float32)
        quiet, quiet_average = _quiet(change, averaged)
        self._low = min(max(rule.low, rule.texture * quiet), rule.most)
        certain = max(rule.certain, rule.clear * self._low)
        raised = self._low > rule.low
        self._margin = rule.margin_raised if raised else rule.margin
        self._faint = (rule.faint_raised if raised else rule.faint) * self._low
        self._damaged = make(self.shape, np.uint8)
        stands_out = min(rule.coherence * quiet_average, rule.most_coherent)
        for rows in bands(*self.shape):
            coherent = averaged[rows] > stands_out
            strength = _magnitude(change[rows]) * coherent
            self._damaged[rows] = _levels(strength, self._low, certain)
        keep_regions(self._damaged, counted=2, enough=1, structure=CROSS)
        keep_regions(self._damaged, counted=1, enough=rule.smallest, structure=NEIGHBOURS)

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """The weights of some rows."""
        near, damaged = _near(self._damaged, rows, self._margin)
        if not near.any():
            return damaged.astype(np.float32)
        rise = _magnitude(self._change[rows]) - self._faint
        ramp = (rise / (self._low - self._faint)).clip(0, 1)
        return np.where(damaged, 1, np.where(near, ramp, 0)).astype(np.float32)


class FoundWeight:
    """The same, 0 or 1, from a network that says itself where it found damage.

    Args:
        probability: (H, W), of a pixel being lost.
        change: (H, W, 3), what the network would add to a picture in [0, 1].
        spoiling: how losses spoil what is around them; see ``spoiling_of``.
        make: makes room for what is kept of every pixel.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self,
        probability: Rows,
        change: Rows,
        spoiling: Spoiling = BLURRED,
        make: Make = np.empty,
    ) -> None:
        self.shape = probability.shape[:2]
        self._change, self._spoiling = change, spoiling
        self._damaged = make(self.shape, np.uint8)
        for rows in bands(*self.shape):
            self._damaged[rows] = _levels(probability[rows], LIKELY, CERTAIN)
        keep_regions(self._damaged, counted=2, enough=1, structure=CROSS)

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """The weights of some rows."""
        near, damaged = _near(self._damaged, rows, self._spoiling.reach)
        if near.any():
            spoilt = _magnitude(self._change[rows]) > self._spoiling.change
            damaged = damaged | (near & spoilt)
        return damaged.astype(np.float32)


def _near(damaged: Rows, rows: slice, margin: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What lies within ``margin`` pixels of damage in some rows (h, w), and the damage itself."""
    start, stop, _ = rows.indices(damaged.shape[0])
    first = max(start - margin, 0)
    around = damaged[first : stop + margin] > 0
    own = slice(start - first, max(stop, start) - first)
    if margin == 0 or not around.any():
        return around[own], around[own]
    near = ndimage.binary_dilation(around, structure=NEIGHBOURS, iterations=margin)
    return np.asarray(near[own], np.bool_), around[own]


def damage_weight(
    change: NDArray[np.float32], rule: MaskRule = DEFAULT_RULE
) -> NDArray[np.float32]:
    """``DamageWeight`` as a whole, (H, W)."""
    return DamageWeight(change, rule)[:]


def found_weight(
    probability: NDArray[np.float32], change: NDArray[np.float32], spoiling: Spoiling = BLURRED
) -> NDArray[np.float32]:
    """``FoundWeight`` as a whole, (H, W)."""
    return FoundWeight(probability, change, spoiling)[:]


def spoiling_of(picture: Rows) -> Spoiling:
    """How losses spoil what is around them in a scan: by JPEG if its blocks show.

    Args:
        picture: (H, W, 3), RGB in [0, 1].
    """
    height, width = picture.shape[:2]
    if min(height, width) < SHOWING:
        return BLURRED
    edges = np.zeros((2, 8, 2))
    for rows in bands(height, width, multiple=8):
        around = picture[rows.start : min(rows.stop + 3, height)].mean(axis=2)
        _add_jumps(edges[0], around, rows.start)
        _add_jumps(edges[1], around[: rows.stop - rows.start].T, 0)
    return RINGING if min(map(_most_prominent, edges)) > BLOCKY else BLURRED


def _add_jumps(sums: NDArray[np.float64], grey: NDArray[np.float32], first: int) -> None:
    """Add to sums and counts (8, 2) how far each row departs from what leads up to it."""
    jumps = np.abs(grey[3:] - 3 * grey[2:-1] + 3 * grey[1:-2] - grey[:-3])
    for phase in range(8):
        own = jumps[(phase - first) % 8 :: 8]
        sums[phase] += own.sum(dtype=np.float64), own.size


def _most_prominent(sums: NDArray[np.float64]) -> float:
    """Of every eighth row's mean jump, the largest over the mean of the others.

    What stands out every fourth row as well is interpolation, by two or four, not a block's edge.
    """
    means = sums[:, 0] / sums[:, 1]
    first = int(means.argmax())
    others = max(np.delete(means, first).mean(), means[first - 4])
    return float(means[first] / others) if others > 0 else 0.0


def _magnitude(change: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w), the largest change of any channel, on the 0..255 scale."""
    return _largest(change) * 255


def _largest(change: NDArray[Any]) -> NDArray[np.float32]:
    # Several times as fast as a maximum over the last axis.
    red, green, blue = (np.abs(change[..., channel]) for channel in range(3))
    return np.maximum(np.maximum(red, green), blue)


def _quiet(change: Rows, averaged: WritableRows) -> tuple[float, float]:
    """Strength of the change of the quietest fifth, and of its average, which is computed."""
    # Not the median: half of a picture may be lost.
    strengths, averages = Quantiles(), Quantiles()
    for rows in bands(*change.shape[:2]):
        first = max(rows.start - _REACH, 0)
        around = change[first : rows.stop + _REACH]
        own = slice(rows.start - first, rows.stop - first)
        smooth = ndimage.gaussian_filter(around, (SPREAD, SPREAD, 0))[own]
        averaged[rows] = average = _largest(smooth)
        strengths.add(_magnitude(around[own]))
        averages.add(average)
    return strengths.at(0.2), averages.at(0.2)


def _levels(strength: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """2 where damage is certain, 1 where it is likely beside what is certain, else 0."""
    return (strength > low).astype(np.uint8) + (strength > high)


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
    height, width = picture.shape[:2]
    sound = sum(int(np.count_nonzero(weight[rows] == 0)) for rows in bands(height, width))
    if min(height, width) < 16 or sound < 0.1 * height * width:
        return False
    before = noise_level(picture, weight)
    if before <= NOISY:
        return False
    taken = 0.0
    for rows in bands(height, width):
        taken += float(np.square(change[rows][weight[rows] == 0], dtype=np.float64).sum())
    taken = 255 * (taken / (3 * sound)) ** 0.5
    return taken < 1.12 * before and noise_level(picture, weight, change) < 0.4 * before


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
    for rows in bands(*picture.shape[:2], multiple=BLOCK):
        p = picture[rows] if change is None else picture[rows] + change[rows]
        height, width = len(p) // BLOCK, p.shape[1] // BLOCK
        p = p[: height * BLOCK, : width * BLOCK]
        sound = weight[rows][: len(p), : p.shape[1]] == 0
        counts = sound[::2, ::2] & sound[1::2, 1::2] & sound[::2, 1::2] & sound[1::2, ::2]
        detail = (p[::2, ::2] - p[1::2, ::2] - p[::2, 1::2] + p[1::2, 1::2]) / 2
        power = np.square(detail).mean(axis=2) * counts
        blocks = (height, BLOCK // 2, width, BLOCK // 2)
        number = counts.reshape(blocks).sum(axis=(1, 3))
        total = power.reshape(blocks).sum(axis=(1, 3), dtype=np.float64)
        enough = number >= BLOCK**2 // 8
        levels.add(np.sqrt(total[enough] / number[enough]))
    return levels.at(0.1) / LOWEST_TENTH * 255
