"""Where a picture was damaged: the change that a network proposes, turned into a mask.

What lies outside the mask keeps its samples, so the mask must be tight: losses have ragged edges,
and a plain margin around them would touch several percent of sound pixels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dunrestore.imaging.in_order import on_each_band
from dunrestore.imaging.rows import Make, Rows, WritableRows
from dunrestore.restoration.damage.connected import keep_regions
from dunrestore.restoration.damage.quantiles import Quantiles
from dunrestore.restoration.damage.spoiling import BLURRED, Spoiling

NEIGHBOURS = np.ones((3, 3), bool)
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
SPREAD = 1.5
"""Standard deviation in pixels of the average that tells a filled loss from smoothed texture."""
_REACH = int(4 * SPREAD + 0.5)
"""Rows beside a pixel that its average depends on, as scipy cuts the bell off."""

_BAND = 16
"""Rows that are worked on together: what is computed in between stays in the processor's caches."""


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

        def find(rows: slice) -> None:
            coherent = averaged[rows] > stands_out
            strength = _magnitude(change[rows]) * coherent
            self._damaged[rows] = _levels(strength, self._low, certain)

        on_each_band(find, *self.shape)
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

        def find(rows: slice) -> None:
            self._damaged[rows] = _levels(probability[rows], LIKELY, CERTAIN)

        on_each_band(find, *self.shape)
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
    return _spread(_spread(around, margin).T, margin).T[own], around[own]


def _spread(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """What lies within ``reach`` rows of the mask (h, w); both ways twice as fast as a dilation."""
    spread = mask.copy()
    for distance in range(1, min(reach, len(mask) - 1) + 1):
        spread[distance:] |= mask[:-distance]
        spread[:-distance] |= mask[distance:]
    return spread


def damage_weight(
    change: NDArray[np.float32], rule: MaskRule = DEFAULT_RULE
) -> NDArray[np.float32]:
    """``DamageWeight`` as a whole, (H, W)."""
    return _whole(DamageWeight(change, rule))


def found_weight(
    probability: NDArray[np.float32], change: NDArray[np.float32], spoiling: Spoiling = BLURRED
) -> NDArray[np.float32]:
    """``FoundWeight`` as a whole, (H, W)."""
    return _whole(FoundWeight(probability, change, spoiling))


def _whole(weight: DamageWeight | FoundWeight) -> NDArray[np.float32]:
    whole = np.empty(weight.shape, np.float32)

    def fetch(rows: slice) -> None:
        whole[rows] = weight[rows]

    on_each_band(fetch, *whole.shape)
    return whole


def _magnitude(change: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w), the largest change of any channel, on the 0..255 scale."""
    return _largest(change) * 255


def _largest(change: NDArray[Any]) -> NDArray[np.float32]:
    largest = np.empty(change.shape[:2], np.float32)
    for top in range(0, len(change), _BAND):
        # Several times as fast as a maximum over the last axis.
        red, green, blue = (np.abs(change[top : top + _BAND, :, channel]) for channel in range(3))
        np.maximum(red, green, out=red)
        np.maximum(red, blue, out=largest[top : top + _BAND])
    return largest


def _quiet(change: Rows, averaged: WritableRows) -> tuple[float, float]:
    """Strength of the change of the quietest fifth, and of its average, which is computed."""
    # Not the median: half of a picture may be lost.
    strengths, averages = Quantiles(), Quantiles()

    def measure(rows: slice) -> None:
        first = max(rows.start - _REACH, 0)
        around = change[first : rows.stop + _REACH]
        own = slice(rows.start - first, rows.stop - first)
        smooth = ndimage.gaussian_filter(around, (SPREAD, SPREAD, 0))[own]
        averaged[rows] = average = _largest(smooth)
        strengths.add(_magnitude(around[own]))
        averages.add(average)

    on_each_band(measure, *change.shape[:2])
    return strengths.at(0.2), averages.at(0.2)


def _levels(strength: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """2 where damage is certain, 1 where it is likely beside what is certain, else 0."""
    return (strength > low).astype(np.uint8) + (strength > high)
