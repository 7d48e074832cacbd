"""Files as the benchmark measures them: 8-bit RGB, upright."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dunrestore.errors import InputError
from dunrestore.imaging import files, pixels

STRIP = 256
"""Rows that are converted at once."""


def read_rgb(path: Path, *, any_depth: bool = False) -> NDArray[np.uint8]:
    """The first page of a picture: (H, W, 3) RGB, upright, 16-bit samples rounded to 8 bits.

    Args:
        path: the file.
        any_depth: as in ``imaging.files.read``.

    Raises:
        InputError: if it cannot be read.
    """
    picture = files.read(path, any_depth=any_depth).pages[0]
    rows, columns = picture.samples.shape[:2]
    stored = np.empty((rows, columns, 3), np.uint8)
    for top in range(0, rows, STRIP):  # in floating point only a strip at a time
        strip = pixels.samples_to_rgb(picture.samples[top : top + STRIP], picture.encoding)
        stored[top : top + STRIP] = np.rint(strip * 255)
    return np.ascontiguousarray(pixels.upright(stored, picture.metadata.orientation))


def read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask picture: (H, W), True where it is nearer to white than to black.

    Raises:
        InputError: if it cannot be read, or has not the ``shape`` (H, W).
    """
    mask = pixels.marked(read_rgb(path, any_depth=True))
    if mask.shape != shape:
        raise InputError(
            f"the mask has {mask.shape[1]}x{mask.shape[0]} pixels,"
            f" its picture {shape[1]}x{shape[0]}",
            path=path,
        )
    return mask
