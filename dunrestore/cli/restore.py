"""``dunrestore restore``: damaged scans in, restored scans out."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dunrestore.cli import console, restore_lines
from dunrestore.cli.interrupts import stopping
from dunrestore.cli.progress import RestoreProgress
from dunrestore.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from dunrestore.restoration.existing import Policy
    from dunrestore.restoration.jobs import Job
    from dunrestore.restoration.run import Outcome, Run

DEFAULT_MODEL = "arin"

COMPUTING = "Computing"
FILES = "Files"
BATCHES = "Batches"
RECORD = "Record"
MESSAGES = "Messages"


def _tile(value: str) -> str:
    if value != "auto" and not value.isdecimal():
        raise typer.BadParameter("must be 'auto', 0 or a number of pixels")
    return value


def restore(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="Pictures, or folders of pictures.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUTPUT",
            help="File or folder; without it results go beside the inputs with a suffix.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="NAME|PATH", help="Model by name, or its file."),
    ] = DEFAULT_MODEL,
    tile: Annotated[
        str,
        typer.Option(
            "--tile",
            "-t",
            metavar="auto|N|0",
            callback=_tile,
            help="Side of a tile in pixels; auto fits the free memory; 0 is the paper's way, the"
            " whole picture at once.",
            rich_help_panel=COMPUTING,
        ),
    ] = "auto",
    tile_overlap: Annotated[
        int | None,
        typer.Option(
            "--tile-overlap",
            min=0,
            metavar="N",
            help="Pixels that tiles share.",
            rich_help_panel=COMPUTING,
        ),
    ] = None,
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size",
            min=1,
            metavar="N",
            help="Tiles computed together.",
            rich_help_panel=COMPUTING,
        ),
    ] = 1,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            "-d",
            metavar="auto|cpu|cuda[:N]|mps",
            help="Where to run.",
            rich_help_panel=COMPUTING,
        ),
    ] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        typer.Option(
            "--precision", help="What convolutions compute in.", rich_help_panel=COMPUTING
        ),
    ] = "auto",
    preserve: Annotated[
        Literal["auto", "always", "never"],
        typer.Option(
            "--preserve",
            help="Keep the samples of what was not damaged; auto cleans the whole picture only"
            " where the whole scan is noisy.",
            rich_help_panel=COMPUTING,
        ),
    ] = "auto",
    pages: Annotated[
        Literal["all", "first"],
        typer.Option(
            "--pages",
            help="Pages of a TIFF to restore; first leaves the others as they are.",
            rich_help_panel=COMPUTING,
        ),
    ] = "all",
    recursive: Annotated[
        bool,
        typer.Option(
            "--recursive",
            "-r",
            help="Descend into folders, keep their tree.",
            rich_help_panel=FILES,
        ),
    ] = False,
    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include",
            metavar="PATTERN",
            help="Of folders take only such names ('*.tif') or paths ('west/*'); repeatable.",
            rich_help_panel=FILES,
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="PATTERN", help="Leave such out.", rich_help_panel=FILES),
    ] = None,
    suffix: Annotated[
        str,
        typer.Option(
            "--suffix",
            metavar="TEXT",
            help="Append to the names of the outputs.",
            rich_help_panel=FILES,
        ),
    ] = "",
    image_format: Annotated[
        Literal["png", "tiff", "jpeg", "jp2", "webp"] | None,
        typer.Option(
            "--format",
            help="Format of the outputs; as the input if not given.",
            rich_help_panel=FILES,
        ),
    ] = None,
    compression: Annotated[
        Literal["none", "lzw", "deflate", "packbits", "zstd"] | None,
        typer.Option(
            "--compression",
            help="Of TIFF outputs; as the input if not given.",
            rich_help_panel=FILES,
        ),
    ] = None,
    existing: Annotated[
        Literal["skip", "overwrite", "abort"] | None,
        typer.Option(
            "--existing",
            help="Outputs that exist: skip what was made from the same input, model and options"
            " and make the rest; overwrite all; or abort before any work (the default).",
            rich_help_panel=FILES,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="The same as --existing overwrite.", rich_help_panel=FILES
        ),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Fail where the output's format cannot hold all metadata.",
            rich_help_panel=FILES,
        ),
    ] = False,
    max_image_mpixels: Annotated[
        float,
        typer.Option(
            "--max-image-mpixels",
            metavar="N",
            help="Refuse larger pictures.",
            rich_help_panel=FILES,
        ),
    ] = 2000.0,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would be done and about how long it takes; do nothing.",
            rich_help_panel=BATCHES,
        ),
    ] = False,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going/--fail-fast",
            help="After a failure go on with the other files, or stop.",
            rich_help_panel=BATCHES,
        ),
    ] = True,
    max_failures: Annotated[
        int | None,
        typer.Option(
            "--max-failures",
            min=1,
            metavar="N",
            help="Stop after so many failures.",
            rich_help_panel=BATCHES,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=0.0,
            metavar="SECONDS",
            help="Give a file up that takes longer.",
            rich_help_panel=BATCHES,
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            metavar="N",
            help="Files read ahead, and waiting to be written.",
            rich_help_panel=BATCHES,
        ),
    ] = 1,
    sidecar: Annotated[
        bool,
        typer.Option(
            "--sidecar/--no-sidecar",
            help="Write a record (JSON) beside each output.",
            rich_help_panel=RECORD,
        ),
    ] = True,
    change_map: Annotated[
        bool,
        typer.Option(
            "--change-map",
            help="Write a picture of what was changed, and how much, beside each output.",
            rich_help_panel=RECORD,
        ),
    ] = False,
    premis: Annotated[
        bool,
        typer.Option(
            "--premis",
            help="Write a PREMIS 3 event (XML) beside each output.",
            rich_help_panel=RECORD,
        ),
    ] = False,
    checksums: Annotated[
        bool,
        typer.Option(
            "--checksums",
            help="Write manifest-sha256.txt into the output folder.",
            rich_help_panel=RECORD,
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE.html",
            help="Write a page to judge the run by eye.",
            rich_help_panel=RECORD,
        ),
    ] = None,
    cache_dir: Annotated[
        Path | None, typer.Option("--cache-dir", metavar="DIR", help="Where models are kept.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="One JSON object per picture on stdout.", rich_help_panel=MESSAGES
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say errors only.", rich_help_panel=MESSAGES)
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more.", rich_help_panel=MESSAGES)
    ] = False,
    no_progress: Annotated[
        bool, typer.Option("--no-progress", help="No progress bar.", rich_help_panel=MESSAGES)
    ] = False,
    log_file: Annotated[
        Path | None,
        typer.Option("--log-file", metavar="FILE", help="Keep a log.", rich_help_panel=MESSAGES),
    ] = None,
) -> None:
    """Restore damaged scans; what was not damaged stays exactly as it was."""
    from dunrestore.checkpoints.load import load
    from dunrestore.restoration.existing import refuse_existing
    from dunrestore.restoration.jobs import extension_of, output_folder, plan_jobs
    from dunrestore.restoration.options import RestoreOptions
    from dunrestore.restoration.report import write_report
    from dunrestore.restoration.run import BatchOptions, Run
    from dunrestore.restoration.source import FileOptions

    console.set_up(quiet=quiet, verbose=verbose, log_file=log_file)
    options = RestoreOptions(
        tile=None if tile == "auto" else int(tile),
        overlap=tile_overlap,
        batch_size=batch_size,
        device=device,
        precision=precision,
        preserve=preserve,
    )
    policy = _policy(existing, overwrite)
    planned = plan_jobs(
        inputs,
        output,
        recursive=recursive,
        suffix=suffix,
        extension=extension_of(image_format),
        include=include or (),
        exclude=exclude or (),
    )
    folder = output_folder(planned, output, inputs)
    if checksums and folder is None:
        raise UsageError("--checksums needs an output folder", next_step="add -o FOLDER")
    if policy == "abort" and not dry_run:
        refuse_existing(planned)
    loaded = load(model, cache_dir=cache_dir, offline=offline)
    if dry_run:
        restore_lines.print_plan(planned, policy, loaded, options, as_json=as_json)
        return
    file_options = FileOptions(
        image_format=image_format,
        compression=compression,
        max_mpixels=max_image_mpixels,
        first_page=pages == "first",
        strict=strict,
        sidecar=sidecar,
        change_map=change_map,
        premis=premis,
    )
    batch = BatchOptions(policy, max_failures if keep_going else 1, timeout, jobs)
    bar = RestoreProgress(len(planned), enabled=not (quiet or no_progress))
    run = Run(loaded, options, file_options, batch, folder, bar)
    outcomes = _restore_all(run, planned, bar, as_json=as_json, quiet=quiet)
    if checksums:
        run.write_checksums(outcomes)
    if report is not None:
        facts = {
            "model": f"{loaded.name}, SHA-256 {loaded.sha256}",
            "licence": str(loaded.card.get("licence", "unknown")),
        }
        write_report(report, outcomes, facts)
        if not quiet:
            console.say(f"report: {report}")
    raise typer.Exit(_conclusion(run, outcomes, len(planned), quiet=quiet))


def _policy(existing: Literal["skip", "overwrite", "abort"] | None, overwrite: bool) -> "Policy":
    if overwrite and existing not in (None, "overwrite"):
        raise UsageError(f"--overwrite contradicts --existing {existing}", next_step="drop one")
    return "overwrite" if overwrite else existing or "abort"


def _restore_all(
    run: "Run", jobs: "list[Job]", bar: RestoreProgress, *, as_json: bool, quiet: bool
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
            elif not quiet:
                console.say(restore_lines.as_line(outcome))
    return outcomes


def _conclusion(run: "Run", outcomes: "list[Outcome]", jobs: int, *, quiet: bool) -> ExitCode:
    from dunrestore.restoration.run import exit_code

    left = jobs - len(outcomes)
    code = exit_code(outcomes, jobs)
    counts = restore_lines.counts(outcomes, left)
    if left and code == ExitCode.OK:
        console.say(f"interrupted: {counts}; run it again with --existing skip to go on")
        return ExitCode.INTERRUPTED
    if left:
        console.say(f"stopped: {counts}; run it again with --existing skip to go on")
    elif jobs > 1 and not quiet and any(one.status != "restored" for one in outcomes):
        console.say(counts)
    return code
