"""``dunrestore restore``: damaged scans in, restored scans out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dunrestore.cli import console
from dunrestore.cli.progress import RestoreProgress

if TYPE_CHECKING:
    from dunrestore.restoration.run import Outcome

DEFAULT_MODEL = "arin"


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
        ),
    ] = "auto",
    tile_overlap: Annotated[
        int | None,
        typer.Option("--tile-overlap", min=0, metavar="N", help="Pixels that tiles share."),
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, metavar="N", help="Tiles computed together.")
    ] = 1,
    device: Annotated[
        str, typer.Option("--device", "-d", metavar="auto|cpu|cuda[:N]|mps", help="Where to run.")
    ] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        typer.Option("--precision", help="What convolutions compute in."),
    ] = "auto",
    preserve: Annotated[
        Literal["auto", "always", "never"],
        typer.Option(
            "--preserve",
            help="Keep the samples of what was not damaged; auto cleans the whole picture only"
            " where the whole scan is noisy.",
        ),
    ] = "auto",
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Descend into folders, keep their tree.")
    ] = False,
    suffix: Annotated[
        str, typer.Option("--suffix", metavar="TEXT", help="Append to the names of the outputs.")
    ] = "",
    image_format: Annotated[
        Literal["png", "tiff", "jpeg", "jp2", "webp"] | None,
        typer.Option("--format", help="Format of the outputs; as the input if not given."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that exist.")
    ] = False,
    max_image_mpixels: Annotated[
        float,
        typer.Option("--max-image-mpixels", metavar="N", help="Refuse larger pictures."),
    ] = 2000.0,
    cache_dir: Annotated[
        Path | None, typer.Option("--cache-dir", metavar="DIR", help="Where models are kept.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per picture on stdout.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="No progress bar.")] = False,
    log_file: Annotated[
        Path | None, typer.Option("--log-file", metavar="FILE", help="Keep a log.")
    ] = None,
) -> None:
    """Restore damaged scans; what was not damaged stays exactly as it was."""
    from dunrestore.checkpoints.load import load
    from dunrestore.restoration.file import FileOptions
    from dunrestore.restoration.jobs import extension_of, plan_jobs
    from dunrestore.restoration.options import RestoreOptions
    from dunrestore.restoration.run import exit_code, run_jobs

    console.set_up(quiet=quiet, verbose=verbose, log_file=log_file)
    options = RestoreOptions(
        tile=None if tile == "auto" else int(tile),
        overlap=tile_overlap,
        batch_size=batch_size,
        device=device,
        precision=precision,
        preserve=preserve,
    )
    jobs = plan_jobs(
        inputs, output, recursive=recursive, suffix=suffix, extension=extension_of(image_format)
    )
    loaded = load(model, cache_dir=cache_dir, offline=offline)
    file_options = FileOptions(
        image_format=image_format, overwrite=overwrite, max_mpixels=max_image_mpixels
    )
    outcomes: list[Outcome] = []
    with RestoreProgress(len(jobs), enabled=not (quiet or no_progress)) as bar:
        for outcome in run_jobs(jobs, loaded, options, file_options, bar):
            outcomes.append(outcome)
            bar.finish_picture()
            if as_json:
                console.print_json(_as_json(outcome))
            if outcome.error is not None:
                console.say(f"error: {outcome.error}")
            elif not quiet:
                console.say(_as_line(outcome))
    raise typer.Exit(exit_code(outcomes))


def _as_line(outcome: "Outcome") -> str:
    result = outcome.result
    assert result is not None
    kept = "" if result.preserved else ", noisy scan cleaned as a whole"
    return (
        f"{outcome.job.source} -> {outcome.job.target}:"
        f" {result.changed_percent:.2f} % of the pixels changed{kept}, {outcome.seconds:.1f} s"
    )


def _as_json(outcome: "Outcome") -> dict[str, Any]:
    described: dict[str, Any] = {
        "input": str(outcome.job.source),
        "output": str(outcome.job.target),
        "seconds": round(outcome.seconds, 3),
    }
    if outcome.error is not None:
        return described | {
            "status": "failed",
            "error": str(outcome.error),
            "cause": outcome.error.cause,
            "next_step": outcome.error.next_step,
            "exit_code": int(outcome.error.exit_code),
        }
    assert outcome.result is not None
    return described | {"status": "restored", **outcome.result.as_dict()}
