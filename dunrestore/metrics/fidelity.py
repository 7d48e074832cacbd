"""How near a picture comes to the truth: PSNR, SSIM, DSSIM and CIEDE2000, whole and by parts.

The definitions are scikit-image's, evaluated in strips of rows so that a mural of any size is
measured in bounded memory; ``docs/benchmark.md`` states them in words.

Sources: SSIM: Wang et al., "Image quality assessment", IEEE TIP 13(4), 2004; CIEDE2000: Sharma et
al., Color Research and Application 30(1), 2005.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity

from dunrestore.errors import InputError

WINDOW = 11
"""Side of SSIM's window in pixels: a Gaussian of sigma 1.5, cut at 3.5 sigma."""

HALO = WINDOW // 2

STRIP_PIXELS = 1 << 17
"""About how many pixels are measured at once."""

Pixels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.floating]


@dataclass(frozen=True)
class Fidelity:
    """How near a picture, or a part of it, comes to the truth."""

    psnr: float
    """Peak signal-to-noise ratio over the RGB samples in dB; infinite where all are equal."""
    ssim: float | None
    """Structural similarity, at most 1; None where no window fits."""
    ciede2000: float
    """Mean colour difference; below 1 it is hardly seen."""
    ciede2000_p95: float | None = None
    """Colour difference that 95 % of the pixels stay below; of the whole picture only."""

    @property
    def dssim(self) -> float | None:
        """Structural dissimilarity as in the challenge: 1 - SSIM, not halved."""
        return None if self.ssim is None else 1 - self.ssim


@dataclass(frozen=True)
class Comparison:
    """A picture against the truth: the whole, and inside and outside the damage."""

    whole: Fidelity
    inside: Fidelity | None = None
    """The damaged pixels; None without a mask, or where nothing is damaged."""
    outside: Fidelity | None = None
    """The undamaged pixels: below infinite PSNR, harm was done. SSIM counts the windows that hold
    no damaged pixel. None without a mask, or where all is damaged."""


def compare(picture: Pixels, truth: Pixels, mask: NDArray[np.bool_] | None = None) -> Comparison:
    """Measure a picture against the truth.

    Args:
        picture: (H, W, 3) RGB; uint8, uint16, or floating point in [0, 1].
        truth: (H, W, 3) RGB; of any of these types.
        mask: (H, W), True where the picture was damaged; None if that is not known.

    Raises:
        InputError: if the sizes differ or are empty.
    """
    if picture.shape != truth.shape or picture.ndim != 3 or picture.shape[2] != 3:
        raise InputError(f"pictures of {_size(picture)} and {_size(truth)} cannot be compared")
    if picture.size == 0:
        raise InputError("a picture without pixels cannot be compared")
    if mask is not None and mask.shape != picture.shape[:2]:
        raise InputError(f"a mask of {_size(mask)} does not fit a picture of {_size(picture)}")
    height, width = picture.shape[:2]
    whole = _Sums(tail=_tail_length(height * width))
    inside, outside = _Sums(), _Sums()
    for top, bottom in _strips(height, width):
        strip = _Strip.measure(picture, truth, top, bottom)
        whole.add(strip, None, None)
        if mask is not None:
            damaged = mask[top:bottom]
            near = _near(mask, top, bottom)
            inside.add(strip, damaged, damaged)
            outside.add(strip, ~damaged, ~near)
    return Comparison(whole.fidelity(), inside.fidelity_or_none(), outside.fidelity_or_none())


def share_kept(
    picture: NDArray[np.uint8], original: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None
) -> float | None:
    """Share of the undamaged pixels whose three samples are exactly the original's.

    Args:
        picture: (H, W, 3) RGB.
        original: (H, W, 3) RGB: what was to be restored, not the truth.
        mask: (H, W), True where the original was damaged; None takes all pixels as undamaged.

    Returns:
        0 to 1; None where all is damaged.
    """
    same = (picture == original).all(axis=2)
    kept = same if mask is None else same[~mask]
    return float(kept.mean()) if kept.size else None


@dataclass(frozen=True)
class _Strip:
    """What one strip of rows measured, pixel by pixel: (rows, W), ``valid`` a part of it."""

    squared_error: NDArray[np.float64]
    colour_difference: NDArray[np.float64]
    similarity: NDArray[np.float64] | None
    valid: tuple[slice, slice]

    @classmethod
    def measure(cls, picture: Pixels, truth: Pixels, top: int, bottom: int) -> "_Strip":
        height, width = truth.shape[:2]
        first, last = max(0, top - HALO), min(height, bottom + HALO)
        ours, theirs = as_float64(picture[first:last]), as_float64(truth[first:last])
        own = slice(top - first, bottom - first)
        squared_error = ((ours[own] - theirs[own]) ** 2).mean(axis=2)
        colour_difference = deltaE_ciede2000(rgb2lab(theirs[own]), rgb2lab(ours[own]))
        rows = slice(max(HALO - top, 0), min(bottom, height - HALO) - top)
        valid = rows, slice(HALO, width - HALO)
        if min(height, width) < WINDOW or rows.stop <= rows.start:
            return cls(squared_error, colour_difference, None, valid)
        similarity = _similarity(ours, theirs)[own]
        return cls(squared_error, colour_difference, similarity, valid)


def _similarity(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    mean_and_map: tuple[np.floating, NDArray[np.float64]] = structural_similarity(  # pyright: ignore[reportAssignmentType]
        theirs,
        ours,
        data_range=1.0,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return mean_and_map[1].mean(axis=2)


class _Sums:
    """Sums over the strips of the pixels that count."""

    def __init__(self, tail: int = 0) -> None:
        self.pixels = 0
        self.squared_error = 0.0
        self.colour_difference = 0.0
        self.windows = 0
        self.similarity = 0.0
        self.tail = tail
        self.largest = np.empty(0)

    def add(
        self,
        strip: _Strip,
        counted: NDArray[np.bool_] | None,
        counted_windows: NDArray[np.bool_] | None,
    ) -> None:
        everywhere = np.s_[:] if counted is None else counted
        errors = strip.squared_error[everywhere]
        differences = strip.colour_difference[everywhere]
        self.pixels += errors.size
        self.squared_error += float(errors.sum())
        self.colour_difference += float(differences.sum())
        if strip.similarity is not None:
            windows = strip.similarity[strip.valid]
            if counted_windows is not None:
                windows = windows[counted_windows[strip.valid]]
            self.windows += windows.size
            self.similarity += float(windows.sum())
        if self.tail:
            pool = np.concatenate([self.largest, differences.ravel()])
            surplus = max(0, pool.size - self.tail)
            self.largest = np.partition(pool, surplus)[surplus:] if surplus else pool

    def fidelity(self) -> Fidelity:
        mean_error = self.squared_error / self.pixels
        return Fidelity(
            psnr=10 * math.log10(1 / mean_error) if mean_error else math.inf,
            ssim=self.similarity / self.windows if self.windows else None,
            ciede2000=self.colour_difference / self.pixels,
            ciede2000_p95=self._percentile() if self.tail else None,
        )

    def fidelity_or_none(self) -> Fidelity | None:
        return self.fidelity() if self.pixels else None

    def _percentile(self) -> float:
        # numpy's linear interpolation, of the few largest values that were kept.
        position = 0.95 * (self.pixels - 1)
        below = math.floor(position)
        ordered = np.sort(self.largest)
        low, high = ordered[0], ordered[min(1, ordered.size - 1)]
        return float(low + (position - below) * (high - low))


def _tail_length(pixels: int) -> int:
    """How many of the largest values hold the 95th percentile."""
    return pixels - math.floor(0.95 * (pixels - 1))


def _strips(height: int, width: int) -> Iterator[tuple[int, int]]:
    rows = max(2 * WINDOW, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield top, min(height, top + rows)


def _near(mask: NDArray[np.bool_], top: int, bottom: int) -> NDArray[np.bool_]:
    """Where SSIM's window holds a damaged pixel."""
    first, last = max(0, top - HALO), min(mask.shape[0], bottom + HALO)
    square = np.ones((WINDOW, WINDOW), dtype=bool)
    grown = np.asarray(binary_dilation(mask[first:last], structure=square), dtype=bool)
    return grown[top - first : bottom - first]


def as_float64(samples: Pixels) -> NDArray[np.float64]:
    """Samples of any supported type as floating point in [0, 1]."""
    values = samples.astype(np.float64)
    if np.issubdtype(samples.dtype, np.integer):
        values /= 255 if samples.dtype == np.uint8 else 65535
    return values


def _size(samples: NDArray[np.generic]) -> str:
    return "x".join(str(length) for length in reversed(samples.shape[:2]))
