"""Samples to RGB in [0, 1], and a change of that RGB back into the samples.

No colour management: numbers stay in the source's own encoding, and a change is added to the
original samples, so that what is not changed stays exactly as it was.
"""

from dataclasses import replace
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from dunrestore.imaging.in_order import on_each_band
from dunrestore.imaging.palettes import change_indices
from dunrestore.imaging.picture import Encoding, Picture, Samples
from dunrestore.imaging.rows import DerivedRows, Rows, TurnedRows, bands

T = TypeVar("T", bound=np.generic)

_BAND = 16
"""Rows that are changed together: what is computed in between stays in the processor's caches."""


def to_rgb(picture: Picture) -> NDArray[np.float32]:
    """The picture as (H, W, 3) RGB in [0, 1], turned upright; extra channels are left out."""
    rgb = samples_to_rgb(picture.samples, picture.encoding)
    return np.ascontiguousarray(upright(rgb, picture.metadata.orientation))


def hidden(picture: Picture) -> NDArray[np.bool_] | None:
    """(H, W), upright, True where a picture is wholly transparent; None if it nowhere is."""
    found = hidden_samples(picture.samples, picture.encoding)
    return upright(found, picture.metadata.orientation) if found.any() else None


def hidden_samples(samples: Samples, encoding: Encoding) -> NDArray[np.bool_]:
    """Of any region's samples (h, w, C), in stored order: where they are wholly transparent."""
    if encoding.palette is not None:
        return (encoding.palette.alpha == 0)[samples[..., 0]]
    if encoding.transparent is not None:
        return _has_colour(samples, encoding.transparent)
    if encoding.extra and encoding.alpha:
        return samples[..., encoding.channels] == 0
    return np.zeros(samples.shape[:2], bool)


def _has_colour(samples: Samples, colour: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.asarray((samples[..., : len(colour)] == colour).all(axis=2))


def is_colourless(picture: Picture) -> bool:
    """Whether a picture that can hold colours has greys alone, as a black and white photograph."""
    samples, palette = picture.samples, picture.encoding.palette
    if palette is not None:
        return _are_greys(palette.colours[np.unique(samples[..., 0])])
    if picture.encoding.channels == 1:
        return False
    height, width = samples.shape[:2]
    return all(_are_greys(samples[rows][..., :3]) for rows in bands(height, width))


def _are_greys(colours: Samples) -> bool:
    return bool((colours == colours[..., :1]).all())


def without_colour(residual: NDArray[np.float32]) -> NDArray[np.float32]:
    """A change of RGB (h, w, 3) that makes no colour of a grey: the mean of the three for each."""
    mean = (residual[..., 0] + residual[..., 1] + residual[..., 2]) / np.float32(3)
    return np.repeat(mean[..., None], 3, axis=2)


def add_residual(
    picture: Picture, residual: NDArray[np.float32], weight: NDArray[np.float32]
) -> Picture:
    """Add ``residual * weight`` to a picture, in its own bit depth.

    Args:
        picture: the original.
        residual: (H, W, 3), upright, on the scale of RGB in [0, 1].
        weight: (H, W), upright, 0 to 1; where it is 0 the samples stay identical.

    Returns:
        A picture of the same kind. Extra channels (alpha) never change. Grey takes the mean of
        the three residuals. Palette pictures stay palette pictures.
    """
    orientation = picture.metadata.orientation
    residual, weight = stored_order(residual, orientation), stored_order(weight, orientation)
    if picture.encoding.palette is None:
        height, width, channels = picture.samples.shape
        samples = np.empty((height, width, channels), picture.samples.dtype)

        def add(rows: slice) -> None:
            old, encoding = picture.samples[rows], picture.encoding
            samples[rows] = add_to_samples(old, residual[rows], weight[rows], encoding)

        on_each_band(add, height, width)
        return replace(picture, samples=samples)
    delta = residual * weight[..., None]
    indices, palette = change_indices(picture.samples[..., 0], delta, picture.encoding.palette)
    samples = picture.samples.copy()
    samples[..., 0] = indices
    return replace(picture, samples=samples, encoding=replace(picture.encoding, palette=palette))


def upright_rows(picture: Picture) -> Rows:
    """A picture's samples (H, W, C), upright, to be fetched band by band."""
    orientation = picture.metadata.orientation
    return picture.samples if orientation == 1 else TurnedRows(picture.samples, orientation)


def rgb_rows(picture: Picture) -> Rows:
    """The same as ``to_rgb``, to be fetched band by band."""
    if picture.encoding.palette is not None:
        return to_rgb(picture)
    samples = upright_rows(picture)
    return DerivedRows(
        samples,
        lambda band: samples_to_rgb(band, picture.encoding),
        (*samples.shape[:2], 3),
        np.float32,
    )


def as_samples(rows: Rows) -> Samples:
    """Rows as what a ``Picture`` holds; see ``Picture.stays_on_disk``."""
    return cast(Samples, rows)


def samples_to_rgb(samples: Samples, encoding: Encoding) -> NDArray[np.float32]:
    """Any region's samples (h, w, C) as (h, w, 3) RGB in [0, 1], in stored order."""
    palette = encoding.palette
    if palette is not None:
        return (palette.colours / np.float32(palette.maximum)).astype(np.float32)[samples[..., 0]]
    colour = samples[..., : encoding.channels].astype(np.float32)
    colour /= np.float32(encoding.maximum)
    if encoding.white_is_zero:
        colour = 1 - colour
    return np.repeat(colour, 3, axis=2) if encoding.channels == 1 else colour


def add_to_samples(
    samples: Samples,
    residual: NDArray[np.float32],
    weight: NDArray[np.float32],
    encoding: Encoding,
) -> Samples:
    """Add ``residual * weight`` to any region's samples (h, w, C). Not for palettes.

    Args:
        samples: in stored order, as are the others.
        residual: (h, w, 3), on the scale of RGB in [0, 1]. Grey takes the mean of the three.
        weight: (h, w), 0 to 1; where it is 0 the samples stay identical.
        encoding: what the samples mean; extra channels (alpha) never change. What is seen does not
            take the transparent colour, but one beside it.
    """
    scale = -encoding.maximum if encoding.white_is_zero else encoding.maximum
    result = samples.copy()
    for top in range(0, len(samples), _BAND):
        share = weight[top : top + _BAND]
        if not share.any():
            continue
        share = share * np.float32(scale)
        # Channel by channel: an innermost loop of three takes numpy several times as long.
        changes = [residual[top : top + _BAND, :, channel] for channel in range(3)]
        if encoding.channels == 1:
            changes = [sum(changes) / np.float32(3)]
        for channel, change in enumerate(changes):
            band = result[top : top + _BAND, :, channel]
            changed = change * share
            changed += band
            np.rint(changed, out=changed)
            band[...] = changed.clip(0, encoding.maximum, out=changed)
    if encoding.transparent is not None:
        vanished = _has_colour(result, encoding.transparent)
        vanished &= ~_has_colour(samples, encoding.transparent)
        first = encoding.transparent[0]
        result[vanished, 0] = first - 1 if first else 1
    return result


def to_eight_bits(samples: Samples) -> NDArray[np.uint8]:
    """Samples of 8 or 16 bits as 8 bits, rounded."""
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False)
    rounded = np.empty(samples.shape, np.uint8)
    for rows in bands(*samples.shape[:2]):
        rounded[rows] = np.rint(samples[rows] / np.float32(257))
    return rounded


def upright(array: NDArray[T], orientation: int) -> NDArray[T]:
    """View of a stored (H, W, ...) array as it is to be looked at (EXIF orientation 1 to 8)."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def stored_order(array: NDArray[T], orientation: int) -> NDArray[T]:
    """The inverse of ``upright``."""
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    return array
