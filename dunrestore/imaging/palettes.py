"""Changed colours in a palette picture: free slots first, else the nearest entry."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dunrestore.imaging.picture import Encoding, Palette, Picture, Samples


def change_indices(
    indices: Samples, delta: NDArray[np.float32], palette: Palette
) -> tuple[Samples, Palette]:
    """Change the colours of palette pixels.

    Args:
        indices: (H, W).
        delta: (H, W, 3), to be added to the colours, on the scale of [0, 1].
        palette: what the indices stand for.

    Returns:
        New indices and palette. A pixel whose colour does not change keeps its index and its
        index keeps its colour; so does a pixel that is transparent.
    """
    old = palette.colours[indices]
    new = np.rint(old + delta.astype(np.float64) * palette.maximum).clip(0, palette.maximum)
    changed = (new != old).any(axis=2) & palette.opaque[indices]
    if not changed.any():
        return indices, palette
    keys, which = np.unique(_keys(new[changed]), return_inverse=True)
    wanted = np.stack([keys >> 32, keys >> 16 & 0xFFFF, keys & 0xFFFF], 1).astype(np.uint16)
    palette = _with_colours(palette, np.unique(indices), wanted)
    entries = np.flatnonzero(palette.opaque)
    nearest = _nearest(wanted, palette.colours[entries])
    result = indices.copy()
    result[changed] = entries[nearest][which]
    return result, palette


def _keys(colours: NDArray[np.uint16] | NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,), one number for each colour (n, 3) of up to 16 bits."""
    red, green, blue = colours.astype(np.int64).T
    return red << 32 | green << 16 | blue


def _nearest(wanted: NDArray[np.uint16], entries: NDArray[np.uint16]) -> NDArray[np.intp]:
    """(n,), which of ``entries`` (m, 3) comes nearest to each of ``wanted`` (n, 3)."""
    towards = entries.astype(np.float64)
    lengths = np.square(towards).sum(axis=1)
    # |w - e|^2 less |w|^2, which is the same for all entries
    found = [
        (lengths - 2 * (some.astype(np.float64) @ towards.T)).argmin(axis=1)
        for some in np.array_split(wanted, len(wanted) // 4096 + 1)
    ]
    return np.concatenate(found)


def _with_colours(
    palette: Palette, in_use: NDArray[np.integer], wanted: NDArray[np.uint16]
) -> Palette:
    known = _keys(palette.colours[palette.opaque])
    missing = wanted[~np.isin(_keys(wanted), known)]
    appended = palette.slots - len(palette.colours)
    unused = np.setdiff1d(np.flatnonzero(palette.opaque), in_use)
    free = appended + len(unused)
    if not len(missing) or free <= 0:
        return palette
    if len(missing) > free:
        missing = _quantised(missing, free, palette.maximum)
    grown = min(appended, len(missing))
    colours = np.concatenate([palette.colours, missing[:grown]])
    rest = missing[grown:]
    colours[unused[: len(rest)]] = rest
    alpha = np.concatenate([palette.alpha, np.full(grown, 255, np.uint8)])
    return replace(palette, colours=colours, alpha=alpha)


def expanded(picture: Picture) -> Picture:
    """A palette picture as RGB, with alpha if some entries are transparent, and nothing lost."""
    palette = picture.encoding.palette
    assert palette is not None
    dtype = np.uint8 if palette.maximum == 255 else np.uint16
    indices = picture.samples[..., 0]
    planes = [palette.colours.astype(dtype)[indices]]
    if not palette.opaque.all():
        alpha = palette.alpha.astype(dtype) * dtype(palette.maximum // 255)
        planes.append(alpha[indices][..., None])
    encoding = Encoding("rgb", palette.maximum, extra=len(planes) - 1)
    return replace(picture, samples=np.concatenate(planes, 2), encoding=encoding, source=None)


def _quantised(colours: NDArray[np.uint16], count: int, maximum: int) -> NDArray[np.uint16]:
    """At most ``count`` colours that stand for all of ``colours`` (n, 3), by median cut."""
    eight_bit = np.rint(colours * (255 / maximum)).astype(np.uint8)
    image = Image.fromarray(eight_bit[None]).quantize(count, Image.Quantize.MEDIANCUT, kmeans=1)
    chosen = np.asarray(image.getpalette() or [], np.float64).reshape(-1, 3)[:count]
    return np.rint(chosen * (maximum / 255)).astype(np.uint16)
