"""Masks that the user gives: where pictures are known to be lost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from dunrestore.errors import InputError
from dunrestore.imaging import files, pixels
from dunrestore.imaging.folders import by_name, name_of, pictures_in
from dunrestore.imaging.picture import Document, Picture
from dunrestore.imaging.rows import Make, Rows, TurnedRows, bands
from dunrestore.imaging.segments import SegmentRows
from dunrestore.restoration.jobs import Job


def with_masks(jobs: Sequence[Job], masks: Path) -> list[Job]:
    """The jobs with the masks that belong to them.

    Args:
        jobs: what is to be restored.
        masks: the mask of the only job, or a folder of masks that have their pictures' names, in
            any format; of pictures in a tree, in the same tree.

    Raises:
        InputError: if a job has no mask, two, or another job's.
    """
    if not masks.exists():
        raise InputError("no such file or folder", path=masks, next_step="check the name")
    if not masks.is_dir():
        if len(jobs) > 1:
            raise InputError(
                f"one mask does not do for {len(jobs)} pictures",
                path=masks,
                next_step="give a folder of masks that have the pictures' names",
            )
        return [replace(jobs[0], mask=masks)]
    there = by_name(pictures_in(masks), masks)
    found = [replace(job, mask=_mask_of(job, there, masks)) for job in jobs]
    takers: dict[Path, Job] = {}
    for job in found:
        assert job.mask is not None
        other = takers.setdefault(job.mask, job)
        if other is not job:
            raise InputError(
                f"{other.source} and {job.source} would both take this mask",
                path=job.mask,
                next_step="keep the masks in the same tree as the pictures",
            )
    return found


def _mask_of(job: Job, there: Mapping[str, list[Path]], masks: Path) -> Path:
    """The mask that shares most of the end of the picture's path."""
    parts = job.source.parts
    for start in range(len(parts)):
        found = there.get(name_of(PurePath(*parts[start:])), [])
        if len(found) == 1:
            return found[0]
        if found:
            break
    else:
        found = []
    raise InputError(
        f"{'more than one' if found else 'no'} mask of this name in {masks}",
        path=job.source,
        next_step=f"put {job.source.stem}.png there, white where the picture is lost",
    )


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
        InputError: if it cannot be read, does not fit, or marks the whole picture.
    """
    masks = tuple(_lost(page, make) for page in read(path).pages)
    if len(masks) != len(pages):
        raise InputError(
            f"the mask has {len(masks)} pages, its picture {len(pages)}",
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


def lost_share(mask: Rows) -> float:
    """The share of a mask (H, W) that is marked."""
    height, width = mask.shape
    return sum(int(mask[band].sum()) for band in bands(height, width)) / (height * width)


def _lost(page: Picture, make: Make) -> Rows:
    """Where a mask's page (H, W), upright, is nearer to white than to black."""
    if not page.stays_on_disk:
        return pixels.to_rgb(page).max(axis=2) >= 0.5
    rows: Any = page.samples
    lost = make(page.samples.shape[:2], np.bool_)
    height, width = lost.shape
    in_segments = isinstance(rows, SegmentRows) and rows.once
    for band in rows.segment_rows() if in_segments else bands(height, width):
        lost[band] = pixels.samples_to_rgb(page.samples[band], page.encoding).max(axis=2) >= 0.5
    orientation = page.metadata.orientation
    return lost if orientation == 1 else TurnedRows(lost, orientation)
