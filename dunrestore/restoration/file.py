"""Restore one file: read, decide what to change, change it, write, and say what was done."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dunrestore.checkpoints.load import Model
from dunrestore.errors import FileAccessError, UsageError, file_access_error
from dunrestore.imaging import files, pixels
from dunrestore.imaging.picture import Format, Picture
from dunrestore.restoration.change import Progress
from dunrestore.restoration.jobs import Job
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.picture import Restoration, restore_picture, restoring_network


@dataclass(frozen=True)
class FileOptions:
    """How files are read and written."""

    image_format: Format | None = None
    """Format of the output; None for the input's."""
    overwrite: bool = False
    """Whether an output that exists is replaced."""
    max_mpixels: float = 2000.0
    """Pictures of more million pixels are refused before they are decoded."""


@dataclass(frozen=True)
class FileResult:
    """What was done to one file."""

    width: int
    """Columns of the first page, upright."""
    height: int
    """Rows of the first page, upright."""
    pages: int
    """Pages restored."""
    changed_percent: float
    """Share of the pixels of all pages whose samples changed."""
    preserved: bool
    """False if a page was so noisy that it was cleaned as a whole."""
    tile: int
    """Side of the tiles; 0 for the whole picture at once."""
    overlap: int
    """Pixels that tiles shared."""
    device: str
    """Where the network ran."""
    precision: str
    """What its convolutions computed in."""
    lost_metadata: tuple[str, ...]
    """What the output's format could not hold."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def restored_picture(
    picture: Picture, model: Model, options: RestoreOptions, progress: Progress | None = None
) -> tuple[Picture, Restoration]:
    """The restored picture, of the same kind as ``picture``, and what was decided.

    Args:
        picture: the damaged scan.
        model: a restoring model.
        options: tiles, device, precision, preserve.
        progress: told of each finished batch of tiles.
    """
    rgb = pixels.to_rgb(picture)
    restoration = restore_picture(rgb, restoring_network(model), options, progress)
    change = restoration.proposal.change
    return pixels.add_residual(picture, change, restoration.weight), restoration


def restore_file(
    job: Job,
    model: Model,
    options: RestoreOptions,
    file_options: FileOptions,
    progress: Progress | None = None,
) -> FileResult:
    """Restore every page of ``job.source`` into ``job.target``.

    Args:
        job: where from and where to.
        model: a restoring model.
        options: how a picture is restored.
        file_options: how files are read and written.
        progress: told of each finished batch of tiles.

    Raises:
        InputError: the source cannot be read.
        FileAccessError: the target exists and is not to be replaced, or cannot be written.
        OutputCheckError: what was written is not what was meant.
    """
    image_format = _prepare(job.target, file_options)
    document = files.read(job.source, max_mpixels=file_options.max_mpixels)
    results = [restored_picture(page, model, options, progress) for page in document.pages]
    changed = [
        (new.samples != old.samples).any(axis=2)
        for old, (new, _) in zip(document.pages, results, strict=True)
    ]
    lost: tuple[str, ...] = ()
    if image_format in (None, document.format) and not any(mask.any() for mask in changed):
        files.copy(job.source, job.target, overwrite=file_options.overwrite)
    else:
        restored = replace(document, pages=tuple(new for new, _ in results))
        lost = files.write(
            restored, job.target, format=image_format, overwrite=file_options.overwrite
        ).lost
    height, width = document.pages[0].upright_shape
    proposal = results[0][1].proposal
    share = sum(np.count_nonzero(mask) for mask in changed) / sum(mask.size for mask in changed)
    return FileResult(
        width=width,
        height=height,
        pages=len(results),
        changed_percent=100 * share,
        preserved=all(restoration.preserved for _, restoration in results),
        tile=proposal.tile,
        overlap=proposal.overlap,
        device=proposal.device,
        precision=proposal.precision,
        lost_metadata=lost,
    )


def _prepare(target: Path, file_options: FileOptions) -> Format | None:
    """Refuse a taken name before any work, make the folder, and settle the format."""
    named = files.format_of(target)
    asked = file_options.image_format
    if asked is not None and named is not None and asked != named:
        raise UsageError(
            f"the name asks for {named}, --format for {asked}",
            path=target,
            next_step="drop --format, or change the name",
        )
    if target.exists() and not file_options.overwrite:
        raise FileAccessError(
            "this output exists", path=target, next_step="use --overwrite to replace it"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_access_error(error, target.parent) from error
    return asked or named
