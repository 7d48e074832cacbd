"""Where masks go that a run writes: of what it damaged, or of what it found lost."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dunrestore.errors import UsageError
from dunrestore.imaging.files import IMAGE_SUFFIXES
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
        masks: a file for one picture, or a folder, in which the outputs' tree is kept.
        of_sources: whether masks have the sources' names; else the outputs'.

    Raises:
        UsageError: if no mask can be written there, or it would take another file's place.
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
    if len(jobs) == 1 and masks.suffix.lower() in _SUFFIXES and not masks.is_dir():
        return [replace(jobs[0], mask_output=masks)]
    if masks.suffix.lower() in IMAGE_SUFFIXES and not masks.is_dir():
        raise UsageError(
            "a mask of this name cannot be written",
            path=masks,
            next_step="end it in .png or .tif for one picture, name a folder for several",
        )
    folders = [job.target.parent for job in jobs]
    if masks.resolve() in {folder.resolve() for folder in (output, *folders) if folder}:
        raise UsageError(
            "masks and pictures would lie in one folder", next_step="choose another --mask-output"
        )
    root = Path(os.path.commonpath(folders)) if output is None else output
    paths: list[Path] = []
    for job, folder in zip(jobs, folders, strict=True):
        inside = folder.relative_to(root) if folder.is_relative_to(root) else Path()
        stem = (job.source if of_sources else job.target).stem
        paths.append(masks / inside / f"{stem}.png")
    if shared := next((path for path, count in Counter(paths).items() if count > 1), None):
        raise UsageError(
            "would be the mask of two pictures, which differ in their format alone",
            path=shared,
            next_step="do them one by one",
        )
    return [replace(job, mask_output=path) for job, path in zip(jobs, paths, strict=True)]
