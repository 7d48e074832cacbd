"""Files as the benchmark measures them: 8-bit RGB, upright."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dunrestore.errors import InputError, file_access_error
from dunrestore.imaging import files, pixels


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """The first page of a picture: (H, W, 3) RGB, upright, 16-bit samples rounded to 8 bits.

    Raises:
        InputError: if it cannot be read.
    """
    rgb = pixels.to_rgb(files.read(path).pages[0])
    return (rgb * 255).round().astype(np.uint8)


def read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask picture: (H, W), True where it is nearer to white than to black.

    Raises:
        InputError: if it cannot be read, or has not the ``shape`` (H, W).
    """
    mask = pixels.to_rgb(files.read(path).pages[0]).max(axis=2) >= 0.5
    if mask.shape != shape:
        raise InputError(
            f"the mask has {mask.shape[1]}x{mask.shape[0]} pixels,"
            f" its picture {shape[1]}x{shape[0]}",
            path=path,
        )
    return mask


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise file_access_error(error, path) from error
