"""Masks that are written: white on black, as they are read again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dunrestore.imaging import files
from dunrestore.imaging.picture import Document, Encoding, Picture, Samples
from dunrestore.imaging.pixels import as_samples
from dunrestore.imaging.rows import DerivedRows, Rows
from dunrestore.storage.atomic import make_folder


def mask_paths(path: Path) -> tuple[Path, Path]:
    """Where the mask goes that is asked for at ``path``: as a PNG, or what it is called; and as a
    TIFF, of several pages or very large."""
    return path, path.with_suffix(".tif")


def write_masks(masks: Sequence[Rows], path: Path, *, overwrite: bool) -> Path:
    """Write the masks of a file's pages.

    Args:
        masks: bool (H, W), upright, of each page.
        path: where to; folders are made, and ``mask_paths`` says what it may become.
        overwrite: whether it may exist.

    Returns:
        Where they are.

    Raises:
        FileAccessError: if they cannot be written.
        OutputCheckError: if they, read back, are not what was to be written.
    """
    pages = tuple(Picture(_samples(mask), Encoding("grey")) for mask in masks)
    as_tiff = len(pages) > 1 or any(page.stays_on_disk for page in pages)
    path = mask_paths(path)[as_tiff]
    make_folder(path.parent)
    files.write(Document(pages, files.format_of(path) or "png"), path, overwrite=overwrite)
    return path


def _samples(mask: Rows) -> Samples:
    def compute(band: NDArray[Any]) -> NDArray[np.uint8]:
        return band[..., None] * np.uint8(255)

    if isinstance(mask, np.ndarray):
        return compute(mask)
    return as_samples(DerivedRows(mask, compute, (*mask.shape, 1), np.uint8))
