"""``dunrestore restore``: damaged scans in, restored scans out."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal

import typer

from dunrestore.cli import console, restore_lines
from dunrestore.cli import restore_options as options
from dunrestore.cli.interrupts import stopping
from dunrestore.cli.options import CacheDir, Offline
from dunrestore.errors import ExitCode, UsageError
from dunrestore.imaging.limits import DEFAULT_MAX_MPIXELS

if TYPE_CHECKING:
    from dunrestore.cli.progress import RestoreProgress
    from dunrestore.restoration.batch.existing import Policy
    from dunrestore.restoration.batch.plan import Request
    from dunrestore.restoration.batch.run import Outcome, Run
    from dunrestore.restoration.source import Job

DEFAULT_MODEL = "arin-guided"


def restore(
    inputs: options.Inputs,
    output: options.Output = None,
    model: options.ModelName = DEFAULT_MODEL,
    tile: options.Tile = "auto",
    tile_overlap: options.TileOverlap = None,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    precision: options.PrecisionName = "auto",
    preserve: options.PreserveName = "auto",
    mask: options.Mask = None,
    pages: options.Pages = "all",
    recursive: options.Recursive = False,
    include: options.Include = None,
    exclude: options.Exclude = None,
    suffix: options.Suffix = None,
    image_format: options.ImageFormat = None,
    compression: options.Compression = None,
    existing: options.Existing = None,
    overwrite: options.Overwrite = False,
    strict: options.Strict = False,
    max_image_mpixels: options.MaxImageMpixels = DEFAULT_MAX_MPIXELS,
    dry_run: options.DryRun = False,
    keep_going: options.KeepGoing = True,
    max_failures: options.MaxFailures = None,
    timeout: options.Timeout = None,
    jobs: options.Jobs = None,
    sidecar: options.Sidecar = True,
    change_map: options.ChangeMap = False,
    mask_output: options.MaskOutput = None,
    premis: options.Premis = False,
    checksums: options.Checksums = False,
    report: options.Report = None,
    cache_dir: CacheDir = None,
    offline: Offline = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
    log_file: options.LogFile = None,
) -> None:
    """Restore damaged scans; what was not damaged stays exactly as it was."""
    # First, so that -v shows why an import fails.
    console.set_up(quiet=quiet, verbose=verbose, log_file=log_file)
    from dunrestore.checkpoints.load import load
    from dunrestore.cli.download_bar import DownloadBar
    from dunrestore.cli.progress import RestoreProgress
    from dunrestore.restoration.batch.plan import Request, plan_run
    from dunrestore.restoration.batch.run import Run
    from dunrestore.restoration.options import RestoreOptions
    from dunrestore.restoration.picture import check_takes_masks
    from dunrestore.restoration.source import FileOptions

    how = RestoreOptions(
        tile=None if tile == "auto" else int(tile), overlap=tile_overlap, batch_size=batch_size,
        device=device, precision=precision, preserve=preserve,
    )  # fmt: skip
    files = FileOptions(
        image_format=image_format, compression=compression, max_mpixels=max_image_mpixels,
        first_page=pages == "first", strict=strict,
        sidecar=sidecar, change_map=change_map, premis=premis,
    )  # fmt: skip
    request = Request(
        inputs, output, how, files, recursive=recursive, suffix=suffix, masks=mask,
        mask_output=mask_output,
        include=include or (), exclude=exclude or (), existing=_policy(existing, overwrite),
        max_failures=max_failures if keep_going else 1, time_limit=timeout, at_once=jobs,
        checksums=checksums, report=report, log_file=log_file,
    )  # fmt: skip
    plan = plan_run(request, dry=dry_run)
    bars = not (quiet or no_progress)
    with DownloadBar(model, enabled=bars) as bar:
        loaded = load(model, cache_dir=cache_dir, offline=offline, progress=bar, restoring=True)
    if mask is not None:
        check_takes_masks(loaded.network)
    if dry_run:
        restore_lines.print_plan(plan, loaded, as_json=as_json)
        return
    bar = RestoreProgress(len(plan.jobs), enabled=bars)
    run = Run(loaded, how, files, plan.batch, plan.folder, bar)
    outcomes = _restore_all(run, plan.jobs, bar, as_json=as_json, quiet=quiet)
    _write_besides(run, request, outcomes, quiet=quiet)
    raise typer.Exit(_conclusion(run, outcomes, len(plan.jobs), quiet=quiet))


def _policy(existing: Literal["skip", "overwrite", "abort"] | None, overwrite: bool) -> "Policy":
    if overwrite and existing not in (None, "overwrite"):
        raise UsageError(f"--overwrite contradicts --existing {existing}", next_step="drop one")
    return "overwrite" if overwrite else existing or "abort"


def _restore_all(
    run: "Run", jobs: "Sequence[Job]", bar: "RestoreProgress", *, as_json: bool, quiet: bool
) -> "list[Outcome]":
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        stack.enter_context(run)
        stack.enter_context(stopping(run.stop))
        stack.enter_context(bar)
        for outcome in run.restore(jobs):
            outcomes.append(outcome)
            bar.finish_picture()
            if as_json:
                console.print_json(restore_lines.as_json(outcome))
            if outcome.error is not None:
                console.say(f"error: {outcome.error}")
            else:
                console.say(restore_lines.as_line(outcome), quiet=quiet)
    return outcomes


def _write_besides(
    run: "Run", request: "Request", outcomes: "list[Outcome]", *, quiet: bool
) -> None:
    from dunrestore.restoration.batch.report import write_report

    run.write_checksums(outcomes, wanted=request.checksums)
    if request.report is not None:
        write_report(request.report, outcomes, run.model)
        console.say(f"report: {request.report}", quiet=quiet)


def _conclusion(run: "Run", outcomes: "list[Outcome]", jobs: int, *, quiet: bool) -> ExitCode:
    from dunrestore.restoration.batch.run import exit_code

    left = jobs - len(outcomes)
    code = exit_code(outcomes, jobs)
    counts = restore_lines.counts(outcomes, left)
    if left and not run.failed_too_often:
        console.say(f"interrupted: {counts}; run it again with --existing skip to go on")
        return ExitCode.INTERRUPTED
    if left:
        console.say(f"stopped: {counts}; run it again with --existing skip to go on")
    elif jobs > 1 and any(one.status != "restored" for one in outcomes):
        console.say(counts, quiet=quiet)
    return code
