"""Read a file that is to be restored, and settle what its output will be."""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from numpy.typing import DTypeLike

from dunrestore.errors import UsageError
from dunrestore.imaging import files
from dunrestore.imaging.limits import DEFAULT_MAX_MPIXELS
from dunrestore.imaging.mask_files import mask_paths
from dunrestore.imaging.picture import Document, Format, Picture
from dunrestore.imaging.rows import Rows, StoredRows, temporary_rows
from dunrestore.provenance import change_map, premis, record
from dunrestore.restoration.damage.masks import read_masks
from dunrestore.storage.atomic import make_folder
from dunrestore.storage.hashing import Hashed

IN_MEMORY = 16_000_000
"""Files of more pixels are restored band by band; a pixel takes up to 70 bytes in memory."""


@dataclass(frozen=True)
class Job:
    """One picture to restore."""

    source: Path
    target: Path
    inside: Path = Path()
    """The source's folder, as seen from the folder that was to be restored."""
    mask: Path | None = None
    """Picture of where the source is known to be lost."""
    mask_output: Path | None = None
    """Where to write what was found lost, as such a picture."""

    @property
    def mask_outputs(self) -> tuple[Path, ...]:
        """Where that may go: a file of one page, or one of several."""
        return () if self.mask_output is None else mask_paths(self.mask_output)


@dataclass(frozen=True)
class FileOptions:
    """How files are read and written."""

    image_format: Format | None = None
    """Format of the output; None for the input's."""
    compression: str | None = None
    """Of a TIFF output; None for the input's."""
    max_mpixels: float = DEFAULT_MAX_MPIXELS
    """Pictures of more million pixels are refused before they are decoded."""
    first_page: bool = False
    """Restore the first page only and leave the others as they are."""
    strict: bool = False
    """Fail where the output's format cannot hold all metadata."""
    sidecar: bool = True
    """Write the record beside the output."""
    change_map: bool = False
    """Write a picture of what was changed beside the output."""
    premis: bool = False
    """Write a PREMIS event beside the output."""

    def files_beside(self, target: Path) -> list[Path]:
        """What may be written, replaced or (an older record) removed beside an output."""
        maps = [change_map.path_of(target, pages) for pages in (1, 2)] if self.change_map else []
        events = [premis.path_of(target)] if self.premis else []
        return [record.path_of(target), *maps, *events]

    def lacks(self, job: Job) -> bool:
        """Whether something that is wanted besides an output is not there."""
        target = job.target
        maps = [change_map.path_of(target, pages) for pages in (1, 2)]
        masks = job.mask_outputs
        return (
            (self.sidecar and not record.path_of(target).exists())
            or (self.change_map and not any(path.exists() for path in maps))
            or (self.premis and not premis.path_of(target).exists())
            or (bool(masks) and not any(path.exists() for path in masks))
        )


ALL_BESIDE = FileOptions(change_map=True, premis=True)
"""With everything that can lie beside an output."""


@dataclass(frozen=True)
class Opened:
    """A file that was read."""

    job: Job
    file: Hashed
    """The source."""
    document: Document
    image_format: Format
    """What the output will be."""
    masks: tuple[Rows, ...] | None = None
    """Where each page that is restored is known to be lost, bool (H, W); None to find out."""
    mask_file: Hashed | None = None
    """What they were read from."""
    brightest: tuple[float, ...] = ()
    """The largest sample of each mask, 0 to 1; 0 too if that is not easily known."""
    replaces_sha256: str | None = None
    """Hash of the output that will be replaced."""
    outdated: tuple[Path, ...] = ()
    """What lies beside that and goes with it."""
    replaces_mask: bool = False
    """Whether a mask that is there may be replaced by another."""


def open_file(
    job: Job,
    file: Hashed,
    mask_file: Hashed | None,
    file_options: FileOptions,
) -> Opened:
    """Read a file and make the folder of its output.

    Args:
        job: where from and where to.
        file: the source.
        mask_file: the job's mask, if it has one.
        file_options: how files are read.

    Raises:
        UsageError: if the output's name contradicts its format, or its format the compression.
        InputError: if source or mask cannot be read, or were changed since they were hashed.
        FileAccessError: if the folder cannot be made, or there is no room in it.
    """
    asked = _asked_format(job.target, file_options)
    folder = job.target.parent
    document = read_in_part(job.source, file_options.max_mpixels, folder)
    image_format, in_file = asked or document.format, len(document.pages)
    files.check_compression(image_format, file_options.compression)
    document = files.fitting(document, image_format)
    make_folder(folder)
    masks, brightest = None, list[float]()
    if job.mask is not None:
        pages = document.pages[:1] if file_options.first_page else document.pages

        def read(path: Path) -> Document:
            marks = read_in_part(path, file_options.max_mpixels, folder, any_depth=True)
            if len(marks.pages) == in_file:  # also of those that are not restored
                marks = replace(marks, pages=marks.pages[: len(pages)])
            brightest.extend(map(_brightest, marks.pages))
            return marks

        masks = read_masks(job.mask, pages, read, partial(temporary_rows, folder))
    for one in (file, mask_file):
        if one is not None:
            one.refuse_changed()
    return Opened(
        job,
        file,
        document,
        image_format,
        masks=masks,
        mask_file=mask_file,
        brightest=tuple(brightest),
    )


def _brightest(mask: Picture) -> float:
    encoding = mask.encoding
    if mask.stays_on_disk or encoding.palette is not None or encoding.white_is_zero:
        return 0.0
    return int(mask.samples[:, :, : encoding.channels].max()) / encoding.maximum


def read_in_part(
    source: Path, max_mpixels: float, folder: Path, *, any_depth: bool = False
) -> Document:
    """Read a file; a large one stays on the disk, and so does what it may be decoded to.

    Args:
        source: the file.
        max_mpixels: pictures of more million pixels are refused before they are decoded.
        folder: for what is decoded; gone when the document is.
        any_depth: as in ``imaging.files.read``.

    Raises:
        InputError: if it cannot be read.
        FileAccessError: if there is no room in the folder.
    """
    made: list[StoredRows] = []

    def make(shape: tuple[int, ...], dtype: DTypeLike) -> StoredRows:
        made.append(temporary_rows(folder, shape, dtype))
        return made[-1]

    try:
        return files.read(
            source, max_mpixels=max_mpixels, in_part=IN_MEMORY, make=make, any_depth=any_depth
        )
    except BaseException:
        for stored in made:  # the error, and all that its traceback holds, may be kept for long
            with suppress(OSError):
                stored.delete()
        raise


def _asked_format(target: Path, file_options: FileOptions) -> Format | None:
    named = files.format_of(target)
    asked = file_options.image_format
    if asked is not None and named is not None and asked != named:
        raise UsageError(
            f"the name asks for {named}, --format for {asked}",
            path=target,
            next_step="drop --format, or change the name",
        )
    return asked or named
