"""Masks that are written: white on black, as they are read again."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dunrestore.errors import DunrestoreError, FileAccessError
from dunrestore.imaging import files
from dunrestore.imaging.picture import Document, Encoding, Picture, Samples
from dunrestore.imaging.pixels import as_samples
from dunrestore.imaging.rows import DerivedRows, Rows, bands
from dunrestore.storage.atomic import make_folder, remove


def mask_paths(path: Path) -> tuple[Path, ...]:
    """Where the mask may go that is asked for at ``path``: several pages, and very large ones, are
    a TIFF, whatever else it is called."""
    return (path,) if files.format_of(path) == "tiff" else (path, path.with_suffix(".tif"))


def write_masks(masks: Sequence[Rows], path: Path, *, overwrite: bool) -> Path:
    """Write the masks of a file's pages.

    Args:
        masks: bool (H, W), upright, of each page.
        path: where to; folders are made, and ``mask_paths`` says what it may become.
        overwrite: whether other masks, which may have been corrected, are replaced.

    Returns:
        Where they are.

    Raises:
        FileAccessError: if they cannot be written, or others are there.
        OutputCheckError: if they, read back, are not what was to be written.
    """
    pages = tuple(Picture(_samples(mask), Encoding("grey")) for mask in masks)
    as_tiff = len(pages) > 1 or any(page.stays_on_disk for page in pages)
    target = mask_paths(path)[-1] if as_tiff else path
    if not overwrite and os.path.lexists(target):
        if _holds(target, pages):
            return target
        raise FileAccessError(
            "there is another mask already, perhaps a corrected one",
            path=target,
            next_step="give it back with --mask, or replace it with --overwrite",
        )
    make_folder(target.parent)
    kind = files.format_of(target) or "png"
    files.write(Document(pages, kind), target, overwrite=overwrite)
    if overwrite and target != path:  # the picture's mask of before, which had one page
        remove(path)
    return target


def _holds(path: Path, pages: Sequence[Picture]) -> bool:
    """Whether a file has just these pages."""
    try:
        there = files.read(path, max_mpixels=float("inf"), in_part=0).pages
    except DunrestoreError:
        return False
    shapes = [[page.samples.shape for page in some] for some in (there, pages)]
    return shapes[0] == shapes[1] and all(
        np.array_equal(old.samples[band], new.samples[band])
        for old, new in zip(there, pages, strict=True)
        for band in bands(*new.samples.shape[:2])
    )


def _samples(mask: Rows) -> Samples:
    def compute(band: NDArray[Any]) -> NDArray[np.uint8]:
        return band[..., None] * np.uint8(255)

    if isinstance(mask, np.ndarray):
        return compute(mask)
    return as_samples(DerivedRows(mask, compute, (*mask.shape, 1), np.uint8))
