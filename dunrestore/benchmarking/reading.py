"""Files as the benchmark measures them: 8-bit RGB, upright."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dunrestore.errors import InputError
from dunrestore.imaging import files, pixels
from dunrestore.imaging.masks import marks

STRIP = 256
"""Rows that are converted at once."""


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """The first page of a picture: (H, W, 3) RGB, upright, 16-bit samples rounded to 8 bits.

    Raises:
        InputError: if it cannot be read, or is wholly transparent somewhere: nobody sees what is
            measured there, and ``restore`` never changes it.
    """
    picture = files.read(path).pages[0]
    if pixels.hidden(picture) is not None:
        raise InputError(
            "has wholly transparent pixels, whose colours nobody sees and restore never changes",
            path=path,
            next_step="crop them off, or flatten the picture, to have it measured",
        )
    rows, columns = picture.samples.shape[:2]
    stored = np.empty((rows, columns, 3), np.uint8)
    for top in range(0, rows, STRIP):  # in floating point only a strip at a time
        strip = pixels.samples_to_rgb(picture.samples[top : top + STRIP], picture.encoding)
        stored[top : top + STRIP] = np.rint(strip * 255)
    return np.ascontiguousarray(pixels.upright(stored, picture.metadata.orientation))


def read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask picture: (H, W), upright, True where it is marked, by the rule of ``restore --mask``.

    Raises:
        InputError: if it cannot be read, can be seen through, is of zeros and ones, or has not
            the ``shape`` (H, W).
    """
    mask = marks(files.read(path, any_depth=True).pages[0], path)
    if mask.shape != shape:
        raise InputError(
            f"the mask has {mask.shape[1]}x{mask.shape[0]} pixels,"
            f" its picture {shape[1]}x{shape[0]}",
            path=path,
        )
    return mask
