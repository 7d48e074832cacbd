"""Masks that are written: white on black, as they are read again."""

import os
from collections.abc import Callable, Sequence
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


def write_masks(
    masks: Sequence[Rows],
    path: Path,
    *,
    overwrite: bool,
    before_naming: Callable[[], object] | None = None,
) -> Path:
    """Write the masks of a file's pages.

    Args:
        masks: bool (H, W), upright, of each page.
        path: where to; folders are made, and ``mask_paths`` says what it may become.
        overwrite: whether other masks, which may have been corrected, are replaced.
        before_naming: called before the file gets its name; what it raises leaves none.

    Returns:
        Where they are.

    Raises:
        FileAccessError: if they cannot be written, or others are there.
        OutputCheckError: if they, read back, are not what was to be written.
    """
    pages = tuple(Picture(_samples(mask), Encoding("grey")) for mask in masks)
    as_tiff = len(pages) > 1 or any(page.stays_on_disk for page in pages)
    target = mask_paths(path)[-1] if as_tiff else path
    if not overwrite:
        there = [one for one in mask_paths(path) if os.path.lexists(one)]
        if there == [target] and _holds(target, pages):
            return target
        if there:
            raise FileAccessError(
                "there is another mask already, perhaps a corrected one",
                path=there[0],
                next_step="give it back with --mask, or replace it with --overwrite",
            )
    make_folder(target.parent)

    def check(*_: object) -> None:
        if before_naming is not None:
            before_naming()

    document = Document(pages, files.format_of(target) or "png")
    files.write(document, target, overwrite=overwrite, before_naming=check)
    if overwrite and target != path:  # the picture's mask of before, which had one page
        remove(path)
    return target


def _holds(path: Path, pages: Sequence[Picture]) -> bool:
    """Whether a file has just these pages, in just this form."""
    try:
        there = files.read(path, max_mpixels=float("inf"), in_part=0).pages
    except DunrestoreError:
        return False
    forms = [[(one.samples.shape, one.encoding) for one in some] for some in (there, pages)]
    return forms[0] == forms[1] and all(
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
