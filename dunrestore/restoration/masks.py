"""Masks that the user gives: where pictures are known to be lost."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dunrestore.errors import InputError
from dunrestore.imaging import files, pixels
from dunrestore.imaging.picture import Picture
from dunrestore.restoration.jobs import IMAGE_SUFFIXES, Job


def with_masks(jobs: Sequence[Job], masks: Path) -> list[Job]:
    """The jobs with the masks that belong to them.

    Args:
        jobs: what is to be restored.
        masks: the mask of the only job, or a folder of masks that have their pictures' names, in
            any format.

    Raises:
        InputError: if a job has no mask, or two.
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
    return [replace(job, mask=_mask_of(job, masks)) for job in jobs]


def _mask_of(job: Job, masks: Path) -> Path:
    stem = job.source.stem
    found = sorted(
        p for p in masks.iterdir() if p.stem == stem and p.suffix.lower() in IMAGE_SUFFIXES
    )
    if len(found) != 1:
        problem = "no mask" if not found else "more than one mask"
        raise InputError(
            f"{problem} of this name in {masks}",
            path=job.source,
            next_step=f"put {stem}.png there, white where the picture is lost",
        )
    return found[0]


def read_masks(path: Path, pages: Sequence[Picture]) -> tuple[NDArray[np.bool_], ...]:
    """Read the masks of a file's pages.

    Args:
        path: a picture with a page for each of ``pages``, nearer to white than to black where the
            page is lost.
        pages: the pages.

    Returns:
        For each page (H, W), upright.

    Raises:
        InputError: if it cannot be read, or does not fit.
    """
    masks = [pixels.to_rgb(page).max(axis=2) >= 0.5 for page in files.read(path).pages]
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
    return tuple(masks)
