"""The options of ``dunrestore restore``, with their names and help texts."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from dunrestore.cli.options import above_zero, least_tile

COMPUTING = "Computing"
FILES = "Files"
BATCHES = "Batches"
RECORD = "Record"
MESSAGES = "Messages"


def _tile(value: str) -> str:
    if value == "auto":
        return value
    if not value.isdecimal():
        raise typer.BadParameter("must be 'auto', 0 or a number of pixels")
    least_tile(int(value))
    return value


Inputs = Annotated[
    list[Path], typer.Argument(metavar="INPUT", help="Pictures, or folders of pictures.")
]

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUTPUT",
        help="File or folder; without it results go beside the inputs with a suffix.",
    ),
]

ModelName = Annotated[
    str,
    typer.Option("--model", "-m", metavar="NAME|PATH", help="Model by name, or its file."),
]

Tile = Annotated[
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
]

TileOverlap = Annotated[
    int | None,
    typer.Option(
        "--tile-overlap",
        min=0,
        metavar="N",
        help="Pixels that tiles share; the model's own number if not given.",
        rich_help_panel=COMPUTING,
    ),
]

BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        min=1,
        metavar="N",
        help="Tiles computed together; as fits the device if not given.",
        rich_help_panel=COMPUTING,
    ),
]

Device = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        metavar="auto|cpu|cuda[:N]|mps",
        help="Where to run; several GPUs share the tiles: cuda:0,cuda:1.",
        rich_help_panel=COMPUTING,
    ),
]

PrecisionName = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    typer.Option("--precision", help="What convolutions compute in.", rich_help_panel=COMPUTING),
]

PreserveName = Annotated[
    Literal["auto", "always", "never"],
    typer.Option(
        "--preserve",
        help="Keep the samples of what was not damaged; auto cleans the whole picture only"
        " where the whole scan is noisy.",
        rich_help_panel=COMPUTING,
    ),
]

Mask = Annotated[
    Path | None,
    typer.Option(
        "--mask",
        metavar="FILE|FOLDER",
        help="Fill what is white here instead of finding the losses (arin-guided); a folder holds"
        " masks of the pictures' names.",
        rich_help_panel=COMPUTING,
    ),
]

MaskOutput = Annotated[
    Path | None,
    typer.Option(
        "--mask-output",
        metavar="FILE|FOLDER",
        help="Write what was taken for lost, white on black, to correct and give back as --mask; a"
        " folder for several pictures.",
        rich_help_panel=RECORD,
    ),
]

Pages = Annotated[
    Literal["all", "first"],
    typer.Option(
        "--pages",
        help="Pages of a TIFF to restore; first leaves the others as they are (all must be of kinds"
        " that can be written).",
        rich_help_panel=COMPUTING,
    ),
]

Recursive = Annotated[
    bool,
    typer.Option(
        "--recursive",
        "-r",
        help="Descend into folders, keep their tree.",
        rich_help_panel=FILES,
    ),
]

Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="PATTERN",
        help="Of folders take only such names ('*.tif') or paths ('west/*'); repeatable.",
        rich_help_panel=FILES,
    ),
]

Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="PATTERN", help="Leave such out.", rich_help_panel=FILES),
]

Suffix = Annotated[
    str | None,
    typer.Option(
        "--suffix",
        metavar="TEXT",
        help="Append to the names of the outputs; beside the inputs -restored.",
        rich_help_panel=FILES,
    ),
]

ImageFormat = Annotated[
    Literal["png", "tiff", "jpeg", "jp2", "webp"] | None,
    typer.Option(
        "--format",
        help="Format of the outputs; as the input if not given.",
        rich_help_panel=FILES,
    ),
]

Compression = Annotated[
    Literal["none", "lzw", "deflate", "packbits", "zstd"] | None,
    typer.Option(
        "--compression",
        help="Of TIFF outputs, others fail with it; as the input if not given.",
        rich_help_panel=FILES,
    ),
]

Existing = Annotated[
    Literal["skip", "overwrite", "abort"] | None,
    typer.Option(
        "--existing",
        help="Outputs that exist: skip what was made from the same input, model and options"
        " and make the rest; overwrite all; or abort before any work (the default).",
        rich_help_panel=FILES,
    ),
]

Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="The same as --existing overwrite.", rich_help_panel=FILES),
]

Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Fail where the output's format cannot hold all metadata, or something is left out.",
        rich_help_panel=FILES,
    ),
]

MaxImageMpixels = Annotated[
    float,
    typer.Option(
        "--max-image-mpixels",
        metavar="N",
        callback=above_zero,
        help="Refuse larger pictures.",
        rich_help_panel=FILES,
    ),
]

DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Say what would be done and about how long it takes; do nothing.",
        rich_help_panel=BATCHES,
    ),
]

KeepGoing = Annotated[
    bool,
    typer.Option(
        "--keep-going/--fail-fast",
        help="After a failure go on with the other files, or stop.",
        rich_help_panel=BATCHES,
    ),
]

MaxFailures = Annotated[
    int | None,
    typer.Option(
        "--max-failures",
        min=1,
        metavar="N",
        help="Stop after so many failures.",
        rich_help_panel=BATCHES,
    ),
]

Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        min=0.0,
        metavar="SECONDS",
        help="Give a file up that takes longer.",
        rich_help_panel=BATCHES,
    ),
]

Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        metavar="N",
        help="Files in work at once: read, written, on a GPU computed.",
        rich_help_panel=BATCHES,
    ),
]

Sidecar = Annotated[
    bool,
    typer.Option(
        "--sidecar/--no-sidecar",
        help="Write a record (JSON) beside each output.",
        rich_help_panel=RECORD,
    ),
]

ChangeMap = Annotated[
    bool,
    typer.Option(
        "--change-map",
        help="Write a picture of what was changed, and how much, beside each output.",
        rich_help_panel=RECORD,
    ),
]

Premis = Annotated[
    bool,
    typer.Option(
        "--premis",
        help="Write a PREMIS 3 event (XML) beside each output.",
        rich_help_panel=RECORD,
    ),
]

Checksums = Annotated[
    bool,
    typer.Option(
        "--checksums",
        help="Write manifest-sha256.txt into the output folder.",
        rich_help_panel=RECORD,
    ),
]

Report = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE.html",
        help="Write a page to judge the run by eye.",
        rich_help_panel=RECORD,
    ),
]

AsJson = Annotated[
    bool,
    typer.Option("--json", help="One JSON object per picture on stdout.", rich_help_panel=MESSAGES),
]

Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say errors only.", rich_help_panel=MESSAGES)
]

Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say more.", rich_help_panel=MESSAGES)
]

NoProgress = Annotated[
    bool, typer.Option("--no-progress", help="No progress bar.", rich_help_panel=MESSAGES)
]

LogFile = Annotated[
    Path | None,
    typer.Option(
        "--log-file",
        metavar="FILE",
        help="Keep what is said, with the time.",
        rich_help_panel=MESSAGES,
    ),
]
