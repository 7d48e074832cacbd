"""Masks that the user gives: where pictures are known to be lost."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dunrestore.errors import InputError
from dunrestore.imaging import files, pixels
from dunrestore.imaging.formats.segments import SegmentRows
from dunrestore.imaging.masks import marked
from dunrestore.imaging.picture import Document, Picture
from dunrestore.imaging.rows import Make, Rows, TurnedRows, bands


def read_masks(
    path: Path,
    pages: Sequence[Picture],
    read: Callable[[Path], Document] = files.read,
    make: Make = np.empty,
) -> tuple[Rows, ...]:
    """Read the masks of a file's pages.

    Args:
        path: a picture with a page for each of ``pages``, nearer to white than to black where the
            page is lost.
        pages: the pages.
        read: reads the file; its pages may stay on the disk.
        make: makes room for the masks of such pages.

    Returns:
        For each page bool (H, W), upright.

    Raises:
        InputError: if it cannot be read, does not fit, can be seen through, or marks the whole
            picture.
    """
    masks = tuple(_lost(page, make, path) for page in read(path).pages)
    if len(masks) != len(pages):
        raise InputError(
            f"the mask has {_pages(len(masks))}, its picture {len(pages)}",
            path=path,
            next_step="give it as many, or restore the first with --pages first",
        )
    for mask, page in zip(masks, pages, strict=True):
        rows, columns = page.upright_shape
        if mask.shape != (rows, columns):
            height, width = mask.shape
            raise InputError(
                f"the mask has {width}x{height} pixels, its picture {columns}x{rows}",
                path=path,
                next_step="make it of the picture as it is looked at, upright",
            )
        if lost_share(mask) == 1:
            raise InputError(
                "the mask leaves nothing to restore from",
                path=path,
                next_step="make it white where the picture is lost, and black elsewhere",
            )
    return masks


def _pages(count: int) -> str:
    return "1 page" if count == 1 else f"{count} pages"


def lost_share(mask: Rows) -> float:
    """The share of a mask (H, W) that is marked."""
    height, width = mask.shape
    return sum(int(mask[band].sum()) for band in bands(height, width)) / (height * width)


def _lost(page: Picture, make: Make, path: Path) -> Rows:
    """Where a mask's page (H, W), upright, is nearer to white than to black."""
    if not page.stays_on_disk:
        lost = marked(page.samples, page.encoding, path)
        return pixels.upright(lost, page.metadata.orientation)
    rows: Any = page.samples
    lost = make(page.samples.shape[:2], np.bool_)
    height, width = lost.shape
    in_segments = isinstance(rows, SegmentRows) and rows.once
    for band in rows.segment_rows() if in_segments else bands(height, width):
        lost[band] = marked(page.samples[band], page.encoding, path)
    orientation = page.metadata.orientation
    return lost if orientation == 1 else TurnedRows(lost, orientation)
