"""What becomes of an output that exists already."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dunrestore.errors import FileAccessError
from dunrestore.provenance.traces import KnownOutputs
from dunrestore.restoration.source import Job
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


def refuse_existing(jobs: Sequence[Job]) -> None:
    """Refuse a run before it begins if an output exists.

    Raises:
        FileAccessError: naming the first of them.
    """
    existing = [job.target for job in jobs if os.path.lexists(job.target)]
    if existing:
        others = f" and {len(existing) - 1} others" if len(existing) > 1 else ""
        raise FileAccessError(
            f"this output{others} exists already" if not others else f"this{others} exist already",
            path=existing[0],
            next_step="use --existing skip to go on with a run, or --overwrite to replace",
        )


def decide(
    job: Job, name: str, input_sha256: str, wanted: Wanted, known: KnownOutputs, policy: Policy
) -> Decision:
    """Whether an output is made, replaced or skipped.

    Args:
        job: the picture.
        name: what the run's manifest calls the output.
        input_sha256: of the input as it is now.
        wanted: what the output is to be made with.
        known: what the records say.
        policy: what the user asked for.

    Raises:
        FileAccessError: if the output is none of ours, or was changed by somebody else.
    """
    if not os.path.lexists(job.target):
        return Decision()
    if policy == "abort":
        raise _refused(job.target, "this output exists")
    present = sha256_of(job.target)
    if policy == "overwrite":
        return Decision(replaces_sha256=present)
    traces = known.find(job.target, name)
    if traces is None:
        raise _refused(job.target, "this output exists and has no record")
    if present == traces.output_sha256:
        if traces.of_the_same(input_sha256, wanted.model_sha256, wanted.options_sha256):
            return Decision(skip=True)
        return Decision(replaces_sha256=present)
    if present == traces.replaces_sha256:  # a run died between the record and the rename
        return Decision(replaces_sha256=present)
    raise _refused(job.target, "this output was changed after it was restored")


def _refused(target: Path, cause: str) -> FileAccessError:
    return FileAccessError(cause, path=target, next_step="use --overwrite to replace it")
