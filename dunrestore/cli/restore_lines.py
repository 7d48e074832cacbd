"""What ``dunrestore restore`` says: a line or an object a picture, the plan, the counts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dunrestore.cli import console

if TYPE_CHECKING:
    from dunrestore.checkpoints.load import Model
    from dunrestore.restoration.batch.estimate import PlannedFile
    from dunrestore.restoration.batch.plan import Plan
    from dunrestore.restoration.batch.run import Outcome


def as_line(outcome: "Outcome") -> str:
    """One picture that did not fail, for people."""
    from dunrestore.provenance.wording import share_changed

    job, result = outcome.job, outcome.result
    moved = console.one_line(f"{job.source} -> {job.target}")
    if result is None:
        return f"{moved}: is there already"
    warned = "".join(f"; {warning}" for warning in result.warnings)
    return (
        f"{moved}: {share_changed(result.changed_percent)} % of the pixels changed,"
        f" {outcome.seconds:.1f} s{warned}"
    )


def as_json(outcome: "Outcome") -> dict[str, Any]:
    """One picture, for programs."""
    described: dict[str, Any] = {
        "input": str(outcome.job.source),
        "output": str(outcome.job.target),
        "status": outcome.status,
        "seconds": round(outcome.seconds, 3),
    }
    if outcome.error is not None:
        return described | console.error_as_json(outcome.error)
    if masks := [str(path) for path in outcome.job.mask_outputs if path.exists()]:
        described["mask"] = masks[0]
    return described | (outcome.result.as_dict() if outcome.result else {})


def counts(outcomes: "Sequence[Outcome]", left: int) -> str:
    """How many pictures ended how."""
    statuses = [outcome.status for outcome in outcomes]
    parts = [
        f"{statuses.count(status)} {status}"
        for status in ("restored", "skipped", "failed")
        if status in statuses
    ]
    return ", ".join([*parts, f"{left} left"] if left or not parts else parts)


def print_plan(plan: "Plan", model: "Model", *, as_json: bool) -> None:
    """Print what a run would do, on stdout, and about how long it takes, on stderr."""
    from dunrestore.restoration.batch.estimate import estimate, plan_files

    asked = plan.request
    planned = plan_files(plan.jobs, asked.existing, asked.options, asked.file_options)
    for one in planned:
        if as_json:
            console.print_json(
                {
                    "input": str(one.job.source),
                    "output": str(one.job.target),
                    "plan": one.plan,
                    "megapixels": one.megapixels,
                    "bytes": one.bytes,
                    "work_bytes": one.work_bytes,
                    "exists": None if one.obstacle is None else str(one.obstacle),
                }
            )
        else:
            besides = one.obstacle not in (None, one.job.target)
            there = f"; there is {one.obstacle}" if besides else ""
            console.data.print(
                console.one_line(
                    f"{one.plan}: {one.job.source} -> {one.job.target} ({_size(one)}{there})"
                ),
                markup=False,
            )
    about = estimate(planned, model, asked.options)
    free = "" if about.free_bytes is None else f"; {about.free_bytes / 1e9:.1f} GB free"
    source = f"as measured {about.measured[:10]}" if about.stored else "by a short measurement"
    if about.share < 0.7:
        source += f"; other programs leave {100 * about.share:.0f} % of a processor"
    less = " with losses everywhere, less where little is lost" if about.at_most else ""
    files = "1 file" if len(planned) == 1 else f"{len(planned)} files"
    console.say(
        f"{files}, {about.megapixels:.1f} megapixels, {about.bytes / 1e6:.1f} MB;"
        f" about {_duration(about.seconds)} of computing{less} ({source}){free}; nothing was done"
    )


def _size(one: "PlannedFile") -> str:
    if one.megapixels is None:
        return "size unknown"
    pages = f"{len(one.sizes)} pages, " if len(one.sizes) > 1 else ""
    on_disk = one.work_bytes
    bands = "" if on_disk is None else f", band by band with {on_disk / 1e6:.0f} MB on the disk"
    return f"{pages}{one.megapixels:.2f} MP{bands}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
