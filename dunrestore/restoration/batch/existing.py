"""What becomes of an output that exists already."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dunrestore.errors import FileAccessError
from dunrestore.provenance.traces import KnownOutputs
from dunrestore.restoration.source import ALL_BESIDE, FileOptions, Job
from dunrestore.storage.hashing import sha256_of

Policy = Literal["abort", "skip", "overwrite"]


@dataclass(frozen=True)
class Wanted:
    """What an output is to be made with; whoever made it with the same need not make it again."""

    model_sha256: str
    options_sha256: str


@dataclass(frozen=True)
class Decision:
    """What to do about one output."""

    skip: bool = False
    """It is what is wanted."""
    replaces_sha256: str | None = None
    """Hash of what may be replaced."""
    outdated: tuple[Path, ...] = ()
    """What lies beside that, if it is of ours: it would say wrong things of another output."""
    replaces_mask: bool = False
    """Whether a mask that is there, perhaps corrected by now, may be replaced by another."""


def in_the_way(job: Job, file_options: FileOptions) -> Path | None:
    """An output that exists, or else a file that making it would replace."""
    paths = (job.target, *file_options.files_beside(job.target), *job.mask_outputs)
    return next((path for path in paths if os.path.lexists(path)), None)


def refuse_existing(jobs: Sequence[Job], file_options: FileOptions, *more: Path) -> None:
    """Refuse a run before it begins if an output exists, or a file that lies where it would write.

    Args:
        jobs: what is to be restored.
        file_options: what is written beside the outputs.
        more: what else the run would write.

    Raises:
        FileAccessError: naming the first of them.
    """
    found = [in_the_way(job, file_options) for job in jobs]
    wanted = [path for path in (*found, *more) if path is not None]
    refuse_files(wanted, "use --existing skip to go on with a run, or --overwrite to replace")


def refuse_files(paths: Sequence[Path], next_step: str) -> None:
    """Refuse a run before it begins if one of the files exists.

    Raises:
        FileAccessError: naming the first of them.
    """
    existing = [path for path in paths if os.path.lexists(path)]
    if existing:
        more = len(existing) - 1
        others = f" and {more} other{'s' if more > 1 else ''}"
        raise FileAccessError(
            f"this{others} exist already" if more else "this file exists already",
            path=existing[0],
            next_step=next_step,
        )


def decide(
    job: Job,
    file_options: FileOptions,
    name: str,
    input_sha256: str,
    wanted: Wanted,
    known: KnownOutputs,
    policy: Policy,
) -> Decision:
    """Whether an output is made, replaced or skipped.

    Args:
        job: the picture.
        file_options: what is written beside the output.
        name: what the run's manifest calls the output.
        input_sha256: of the input as it is now.
        wanted: what the output is to be made with.
        known: what the records say.
        policy: what the user asked for.

    Raises:
        FileAccessError: if the output, or what lies in its way, is none of ours, or was changed by
            somebody else.
    """
    obstacle = in_the_way(job, file_options)
    anew = Decision(replaces_mask=policy == "overwrite")
    if obstacle is None:
        return anew
    if policy == "abort":
        raise _refused(obstacle, "this file exists")
    if obstacle != job.target:  # the output is gone, or a run died before it had its name
        compared = obstacle in job.mask_outputs  # with what is to be written, when it is
        if policy == "skip" and not compared and known.find(job.target, name) is None:
            raise _refused(obstacle, "this file exists and no record says whose it is")
        return anew
    present = sha256_of(job.target)
    traces = known.find(job.target, name)
    ours = traces is not None and present in (traces.output_sha256, traces.replaces_sha256)
    outdated = tuple(ALL_BESIDE.files_beside(job.target)) if ours else ()
    replacing = replace(anew, replaces_sha256=present, outdated=outdated)
    if policy == "overwrite":
        return replacing
    if traces is None:
        raise _refused(job.target, "this output exists and has no record")
    if present == traces.output_sha256:
        same = traces.of_the_same(input_sha256, wanted.model_sha256, wanted.options_sha256)
        if same and not file_options.lacks(job):
            return Decision(skip=True)
        return replacing
    if present == traces.replaces_sha256:  # a run died between the record and the rename
        return replacing
    raise _refused(job.target, "this output was changed after it was restored")


def _refused(target: Path, cause: str) -> FileAccessError:
    return FileAccessError(cause, path=target, next_step="use --overwrite to replace it")
