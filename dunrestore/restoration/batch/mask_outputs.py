"""Where masks go that a run writes: of what it damaged, or of what it found lost."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dunrestore.errors import FileAccessError, UsageError
from dunrestore.imaging.files import IMAGE_SUFFIXES
from dunrestore.restoration.batch.jobs import OTHER_PICTURES, name_key
from dunrestore.restoration.batch.originals import refuse_replacing
from dunrestore.restoration.source import ALL_BESIDE, Job

_SUFFIXES = (".png", ".tif", ".tiff")


def with_mask_outputs(
    jobs: Sequence[Job], output: Path | None, masks: Path, *, of_sources: bool
) -> list[Job]:
    """The jobs with where their masks go.

    Args:
        jobs: pictures and their outputs.
        output: where the outputs go, as the user said.
        masks: a file for one picture, or a folder, in which the tree is kept.
        of_sources: whether masks have the sources' names; else the outputs'.

    Raises:
        UsageError: if no mask of that name is written, or it would take another file's place.
        FileAccessError: if nothing can be written there.
    """
    placed = _placed(jobs, output, masks, of_sources=of_sources)
    written = [path for job in placed for path in job.mask_outputs]
    targets = [job.target for job in jobs]
    beside = [path for target in targets for path in ALL_BESIDE.files_beside(target)]
    for files, what in (
        ([job.source for job in jobs], "the mask would replace an input"),
        ([*targets, *beside], "the mask would replace an output"),
    ):
        refuse_replacing(files, written, what, "choose another --mask-output")
    return placed


def _placed(
    jobs: Sequence[Job], output: Path | None, masks: Path, *, of_sources: bool
) -> list[Job]:
    kind = masks.suffix.lower()
    if not masks.is_dir() and kind in IMAGE_SUFFIXES | OTHER_PICTURES:
        if kind not in _SUFFIXES:
            raise UsageError(
                "a mask of this name cannot be written",
                path=masks,
                next_step="end it in .png or .tif for one picture, name a folder for several",
            )
        if len(jobs) > 1:
            raise UsageError(
                f"one mask does not do for {len(jobs)} pictures",
                path=masks,
                next_step="name a folder",
            )
        _refuse_place(masks.parent)
        return [replace(jobs[0], mask_output=masks)]
    pictures = [path.parent for job in jobs for path in (job.source, job.target)]
    if masks.resolve() in {folder.resolve() for folder in (output, *pictures) if folder}:
        raise UsageError(
            "masks and pictures would lie in one folder", next_step="choose another --mask-output"
        )
    placed: list[Job] = []
    takers: dict[str, Job] = {}
    for job in jobs:
        stem = (job.source if of_sources else job.target).stem
        path = masks / job.inside / f"{stem}.png"
        taker = takers.setdefault(name_key(path), job)
        if taker is not job:
            raise UsageError(
                f"this would be the mask of {taker.source} and of {job.source}",
                path=path,
                next_step="take them one by one, each with another --mask-output",
            )
        placed.append(replace(job, mask_output=path))
    for folder in {path.parent for job in placed for path in job.mask_outputs}:
        _refuse_place(folder)
    return placed


def _refuse_place(folder: Path) -> None:
    """Refuse, before any work, a folder that cannot be made or written to."""
    folder = folder.resolve()
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise FileAccessError(
            "no mask can be written here" if there.is_dir() else "this is no folder",
            path=there,
            next_step="choose another --mask-output",
        )
