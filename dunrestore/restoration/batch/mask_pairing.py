"""Which of the masks that the user gives belongs to which picture."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from dunrestore.errors import InputError
from dunrestore.imaging.folders import by_name, name_of, pictures_in
from dunrestore.restoration.batch.originals import refuse_replacing
from dunrestore.restoration.source import ALL_BESIDE, Job


def with_masks(jobs: Sequence[Job], masks: Path) -> list[Job]:
    """The jobs with the masks that belong to them.

    Args:
        jobs: what is to be restored.
        masks: the mask of the only job, or a folder of masks that have their pictures' names, in
            any format; of pictures in a tree, in the same tree.

    Raises:
        InputError: if a job has no mask, two, or another job's.
        UsageError: if an output, or what lies beside it, would replace a mask.
    """
    found = _with_masks(jobs, masks)
    targets = [job.target for job in found]
    beside = [path for target in targets for path in ALL_BESIDE.files_beside(target)]
    refuse_replacing(
        [job.mask for job in found if job.mask], [*targets, *beside], "this would replace a mask"
    )
    return found


def _with_masks(jobs: Sequence[Job], masks: Path) -> list[Job]:
    if not masks.exists():
        raise InputError("no such file or folder", path=masks, next_step="check the name")
    if not (masks.is_file() or masks.is_dir()):
        raise InputError("this is not a regular file", path=masks, next_step="name a picture")
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
        next_step="leave one of them there"
        if found
        else f"put {job.source.stem}.png there, white where the picture is lost",
    )
