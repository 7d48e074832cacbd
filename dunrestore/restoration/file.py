"""Restore one file, once it is read: decide what to change, write it with its record."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dunrestore.checkpoints.load import Model
from dunrestore.errors import FileAccessError, OutputCheckError
from dunrestore.imaging import files
from dunrestore.imaging.mask_files import write_masks
from dunrestore.imaging.rows import any_of
from dunrestore.provenance import change_map, premis, record
from dunrestore.provenance.change_map import Change
from dunrestore.provenance.record import Record
from dunrestore.restoration import recording
from dunrestore.restoration.change import Progress
from dunrestore.restoration.large import restore_large, streams
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.pages import restore_pages
from dunrestore.restoration.recording import Work
from dunrestore.restoration.source import FileOptions, Opened
from dunrestore.storage.atomic import remove


@dataclass(frozen=True)
class FileResult:
    """What was done to one file."""

    width: int
    """Columns of the first page, upright."""
    height: int
    """Rows of the first page, upright."""
    pages: int
    """Pages of the file."""
    changed_percent: float
    """Share of the pixels of all pages whose samples changed."""
    preserved: bool
    """False if a page was so noisy that it was cleaned as a whole."""
    regions: int
    """Changed regions on all pages."""
    tile: int
    """Side of the tiles; 0 for the whole picture at once."""
    overlap: int
    """Pixels that tiles shared."""
    device: str
    """Where the network ran."""
    precision: str
    """What its convolutions computed in."""
    lost_metadata: tuple[str, ...]
    """What the output's format could not hold, and what was left out."""
    warnings: tuple[str, ...]
    """What somebody should look at."""
    input_sha256: str
    """Of the input file."""
    output_sha256: str
    """Of the output file."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, made: Record) -> "FileResult":
        """The essence of a record."""
        restored = [page for page in made.pages if page.restored]
        return cls(
            width=made.pages[0].width,
            height=made.pages[0].height,
            pages=len(made.pages),
            changed_percent=made.changed_percent,
            preserved=not any(page.cleaned for page in restored),
            regions=sum(len(page.regions) for page in restored),
            tile=made.execution.tile,
            overlap=made.execution.overlap,
            device=made.execution.device,
            precision=made.execution.precision,
            lost_metadata=made.lost_metadata,
            warnings=made.warnings,
            input_sha256=made.input.sha256,
            output_sha256=made.output.sha256,
        )


def restore_opened(
    opened: Opened,
    model: Model,
    options: RestoreOptions,
    file_options: FileOptions,
    progress: Progress | None = None,
) -> Work:
    """Restore the pages of a file that was read: in memory, or band by band if they are large.

    Args:
        opened: the file.
        model: a restoring model.
        options: how a picture is restored.
        file_options: how files are read and written.
        progress: told of each finished batch of tiles.
    """
    if streams(opened.document, options):
        return restore_large(Work(opened, (), model, options, file_options), progress)
    opened = replace(opened, document=files.in_memory(opened.document))
    pages = restore_pages(
        opened.document,
        model,
        options,
        first_page=file_options.first_page,
        progress=progress,
        masks=opened.masks,
    )
    return Work(opened, pages, model, options, file_options)


def write_file(
    work: Work,
    seconds: float,
    before_naming: Callable[[Record], object] | None = None,
    before_mask: Callable[[], object] | None = None,
) -> Record:
    """Write a restored file; its record is on the disk before the file has its name.

    Args:
        work: the restored pages and how they came about.
        seconds: time that reading and computing took.
        before_naming: called with the record before it is written and the output gets its name.
        before_mask: called before a mask gets its name; what either raises leaves no file.

    Raises:
        InputError: if the source, of which something was read until now, was changed meanwhile.
        FileAccessError: if it cannot be written.
        OutputCheckError: if what was written is not what was meant, or with ``strict`` if metadata
            was lost.
    """
    start = time.perf_counter() - seconds
    job, document, file_options = work.opened.job, work.opened.document, work.file_options
    changes = work.changes()
    overwrite = work.opened.replaces_sha256 is not None
    marked, notes = recording.marked_pages(work, changes)
    left_out = frozenset(name for page in marked for name in page.left_out)
    as_it_is = work.opened.image_format == document.format and file_options.compression is None
    copied = as_it_is and not any(any_of(change) for change in changes)
    made: list[Record] = []

    def note(unfinished: Path, lost: tuple[str, ...], recompressed: tuple[str, ...]) -> None:
        _refuse_losses(work, lost, left_out)
        if copied or work.folder is not None:  # the source was read until now
            work.opened.file.refuse_changed()
        if os.path.lexists(job.target) and not overwrite:
            raise FileAccessError("there is a file of this name by now", path=job.target)
        if job.mask_output is not None:  # first: if it cannot be written, older files stay true
            losses = [page.losses for page in work.pages if page]
            replacing = work.opened.replaces_mask
            write_masks(losses, job.mask_output, overwrite=replacing, before_naming=before_mask)
        seconds = time.perf_counter() - start
        facts = recording.Finished(unfinished, lost, left_out, notes, recompressed, seconds)
        made.append(recording.make_record(work, changes, facts))
        if before_naming is not None:
            before_naming(made[0])
        _write_beside(made[0], work.opened, changes, file_options)

    if copied:
        files.copy(job.source, job.target, overwrite=overwrite, before_naming=note)
    else:
        files.write(
            replace(document, pages=marked),
            job.target,
            format=work.opened.image_format,
            compression=file_options.compression,
            overwrite=overwrite,
            before_naming=note,
        )
    if work.folder is not None:
        work.folder.remove()
    return made[0]


def _refuse_losses(work: Work, lost: tuple[str, ...], left_out: frozenset[str]) -> None:
    if lost and work.file_options.strict:
        in_vain = left_out.issuperset(lost)
        raise OutputCheckError(
            "; ".join(files.losses_in_words(work.opened.image_format, lost, left_out)),
            path=work.opened.job.target,
            next_step="drop --strict" if in_vain else "choose another --format, or drop --strict",
        )


def _write_beside(
    made: Record, opened: Opened, changes: Sequence[Change], file_options: FileOptions
) -> None:
    target, written = opened.job.target, list[Path]()
    if file_options.sidecar:
        written.append(record.write(made, target))
    if file_options.change_map:
        written.append(change_map.write(target, changes))
    if file_options.premis:
        written.append(premis.write(made, target))
    # A record is known by its name; maps and events may be somebody else's.
    for path in {record.path_of(target), *opened.outdated}.difference(written):
        remove(path)
