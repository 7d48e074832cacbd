"""What a run will do: decided, and refused where need be, before anything is loaded or written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dunrestore.errors import UsageError
from dunrestore.models.devices import choose_devices
from dunrestore.provenance import checksums
from dunrestore.restoration.batch.at_once import files_at_once
from dunrestore.restoration.batch.existing import Policy, refuse_existing
from dunrestore.restoration.batch.jobs import extension_of, output_folder, plan_jobs
from dunrestore.restoration.batch.mask_outputs import with_mask_outputs
from dunrestore.restoration.batch.mask_pairing import with_masks
from dunrestore.restoration.batch.report import refuse_report
from dunrestore.restoration.batch.run import BatchOptions
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.source import FileOptions, Job


@dataclass(frozen=True)
class Request:
    """What is to be restored, and what is to be written."""

    inputs: Sequence[Path]
    """Files and folders."""
    output: Path | None
    """A file, a folder, or None to write beside the inputs."""
    options: RestoreOptions
    """How a picture is restored."""
    file_options: FileOptions
    """How files are read and written."""
    recursive: bool = False
    """As in ``plan_jobs``, like the next three."""
    suffix: str | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    masks: Path | None = None
    """As in ``with_masks``; None to find the losses."""
    mask_output: Path | None = None
    """As in ``with_mask_outputs``; None not to write what was found."""
    existing: Policy = "abort"
    """What becomes of an output that exists."""
    checksums: bool = False
    """Write the list of hashes into the output folder."""
    report: Path | None = None
    """The page to judge the run by."""
    log_file: Path | None = None
    """Where the run's log goes."""
    max_failures: int | None = None
    """As in ``BatchOptions``, like the next one."""
    time_limit: float | None = None
    at_once: int | None = None
    """Files that are in work at once; None for as many as pay."""


@dataclass(frozen=True)
class Plan:
    """What follows from a request."""

    request: Request
    jobs: Sequence[Job]
    folder: Path | None
    """The output folder of a run over several files; None without one."""
    batch: BatchOptions


def plan_run(request: Request, *, dry: bool = False) -> Plan:
    """Decide what is restored, and whether it may be.

    Args:
        request: what is asked for.
        dry: whether nothing will be written, so that outputs may exist.

    Raises:
        UsageError: if what is asked for contradicts itself, or a device is not there.
        InputError: an input or a mask that does not exist, or a list of hashes that is none.
        FileAccessError: if something exists that would be replaced.
        NothingToDoError: no picture found.
    """
    if request.masks is not None and request.options.preserve == "never":
        raise UsageError(
            "--mask says what to change, --preserve never changes all", next_step="drop one"
        )
    if request.masks is not None and request.mask_output is not None:
        raise UsageError(
            "--mask says what is lost, --mask-output writes what was found", next_step="drop one"
        )
    devices = choose_devices(request.options.device)  # refused now, not for each file
    jobs = plan_jobs(
        request.inputs,
        request.output,
        recursive=request.recursive,
        suffix=request.suffix,
        extension=extension_of(request.file_options.image_format),
        include=request.include,
        exclude=request.exclude,
        masks=request.masks or request.mask_output,
    )
    if request.masks is not None:
        jobs = with_masks(jobs, request.masks)
    if request.mask_output is not None:
        jobs = with_mask_outputs(jobs, request.output, request.mask_output, of_sources=True)
    folder = output_folder(jobs, request.output, request.inputs)
    if request.checksums and folder is None:
        raise UsageError(
            "--checksums lists what a run over several pictures writes into a folder",
            next_step="add -o FOLDER, or give the folder of the picture",
        )
    listing = folder if request.checksums else None
    if request.report is not None:
        refuse_report(request.report, jobs, request.log_file)
    if request.existing == "abort" and not dry:
        more = [] if listing is None else [listing / checksums.NAME]
        refuse_existing(jobs, request.file_options, *more)
    if listing is not None:
        checksums.read(listing)  # something else of that name is refused now
    at_once = files_at_once(devices, request.at_once, request.time_limit)
    batch = BatchOptions(
        request.existing,
        request.max_failures,
        request.time_limit,
        ahead=max(at_once, request.at_once or 1),
        at_once=at_once,
    )
    return Plan(request, jobs, folder, batch)
