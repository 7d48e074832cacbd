"""Picture files: read with nothing lost, written whole and checked or not at all."""

import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dunrestore.errors import (
    DunrestoreError,
    InputError,
    OutputCheckError,
    UsageError,
    file_access_error,
)
from dunrestore.imaging import keeping
from dunrestore.imaging.formats import (
    jp2,
    jp2_write,
    jpeg,
    jpeg_write,
    png,
    png_write,
    tiff,
    tiff_write,
    webp,
)
from dunrestore.imaging.formats.encoded import Encoded, read_encoded
from dunrestore.imaging.formats.tiff_rows import TiffRows
from dunrestore.imaging.limits import ASK_FOR_UNDAMAGED, check_sides
from dunrestore.imaging.palettes import expanded
from dunrestore.imaging.picture import Document, Format, Picture
from dunrestore.imaging.rows import Make, temporary_room
from dunrestore.storage.atomic import write_atomically

FURTHER_PAGES = "further pages"
"""What only a TIFF can hold (``Written.lost``)."""
SUFFIXES: dict[str, Format] = {
    ".tif": "tiff",
    ".tiff": "tiff",
    ".btf": "tiff",
    ".tf8": "tiff",
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".jp2": "jp2",
    ".jpf": "jp2",
    ".jpx": "jp2",
    ".j2k": "jp2",
    ".j2c": "jp2",
    ".jpc": "jp2",
    ".webp": "webp",
}
"""Formats that can be asked for by file name suffix, in lower case."""

IMAGE_SUFFIXES = frozenset(SUFFIXES)
"""What files that are taken for pictures are called, in lower case."""

_SUPPORTED = "TIFF, PNG, JPEG, JPEG 2000 and WebP"
_OTHERS = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"%PDF": "a PDF",
    b"8BPS": "a Photoshop document",
    b"\0\0\0\x0cJXL ": "a JPEG XL",
    b"\xff\x0a": "a JPEG XL",
}

BeforeNaming = Callable[[Path, tuple[str, ...], tuple[str, ...]], object]
"""Told of the unfinished file, of what its format could not hold, and of what else is other than in
the source (``Written.notes``)."""


@dataclass(frozen=True)
class Written:
    """A file that was written and read back.

    Attributes:
        path: where.
        format: its kind.
        lost: what the format could not hold, in words; empty if nothing was lost.
        notes: what is otherwise than in the source although nothing was lost.
    """

    path: Path
    format: Format
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read(
    path: Path | str,
    *,
    max_mpixels: float | None = None,
    in_part: float | None = None,
    make: Make = np.empty,
    any_depth: bool = False,
) -> Document:
    """Read a picture file; its kind is recognised by its content.

    Args:
        path: the file.
        max_mpixels: pages that claim more megapixels are refused before they are decoded; None for
            ``DEFAULT_MAX_MPIXELS``, and no advice to give the option.
        in_part: of files with more pixels leave the samples in the file where the format allows
            it (TIFF, tiles of JPEG 2000): they are then ``imaging.rows.Rows``, decoded when they
            are asked for.
        make: makes room for the samples of other files with more pixels, decoded as a whole;
            palettes are always read into memory.
        any_depth: read grey PNGs of 1, 2 and 4 bits and TIFFs of 1 bit as of 8; a mask is no worse
            for it, but a picture could not be written again as it was.

    Raises:
        InputError: if it is missing, not a file, damaged, too large, or of a kind that is not
            supported.
        FileAccessError: if it cannot be opened or read, or there is no room for the samples.
    """
    path = Path(path)
    large = float("inf") if in_part is None else in_part
    try:
        with _open(path) as file:
            return _decode(file, path, max_mpixels, large, make, any_depth)
    except InputError as error:
        raise error.about(path) from error
    except OSError as error:
        raise file_access_error(error, path) from error


def _open(path: Path) -> BinaryIO:
    if not path.exists():
        raise InputError("there is no such file", next_step="check the name")
    if path.is_dir():
        raise InputError("this is a folder", next_step="name its files, or add -r to take them all")
    if not path.is_file():
        raise InputError("this is not a regular file")
    return path.open("rb")


def _decode(
    file: BinaryIO,
    path: Path,
    max_mpixels: float | None,
    large: float,
    make: Make,
    any_depth: bool,
) -> Document:
    head = file.read(16)
    file.seek(0)
    if not head:
        raise InputError("the file is empty", next_step=ASK_FOR_UNDAMAGED)
    try:
        if tiff.recognise(head):
            in_part = tiff.InPart(large, partial(TiffRows, path), make, any_depth)
            return tiff.read(file, max_mpixels, in_part)
        decode = next((read for mark, read in _READERS.items() if head.startswith(mark)), None)
        if webp.recognise(head):
            decode = webp.read
        if decode is not None:
            encoded = Encoded(path, read_encoded(file), large, make, any_depth)
            return decode(encoded, max_mpixels)
    except (DunrestoreError, OSError, MemoryError):
        raise
    except Exception as error:  # decoders fail in every way on damaged files
        if (failure := _disk_failure(error)) is not None:
            raise failure from error
        shown = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"it cannot be decoded ({shown})", next_step=ASK_FOR_UNDAMAGED) from error
    kind = next((name for mark, name in _OTHERS.items() if head.startswith(mark)), None)
    cause = f"{kind} is not supported" if kind else "this is no picture file that can be read"
    raise InputError(cause, next_step=f"{_SUPPORTED} are read")


def _disk_failure(error: BaseException) -> OSError | None:
    """The operating system's error that a decoder took for a damaged file."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, OSError):
        behind = behind.__cause__ or behind.__context__
    return behind


_READERS: dict[bytes, Callable[[Encoded, float | None], Document]] = {
    png.SIGNATURE: png.read,
    b"\xff\xd8\xff": jpeg.read,
    jp2.SIGNATURE: jp2.read,
    jp2.CODESTREAM: jp2.read,
}
_WRITERS: dict[Format, Callable[[BinaryIO, Picture], tuple[str, ...]]] = {
    "png": png_write.write,
    "jpeg": jpeg_write.write,
    "jp2": jp2_write.write,
    "webp": webp.write,
}


def format_of(path: Path | str) -> Format | None:
    """The format that a file name asks for; None if it names none that can be written."""
    return SUFFIXES.get(Path(path).suffix.lower())


def fitting(document: Document, kind: Format) -> Document:
    """The pages that a file of that kind can hold, so that no work is done on others."""
    if kind == "tiff" or len(document.pages) == 1:
        return document
    first = document.pages[0]
    return replace(document, pages=(replace(first, bound=(*first.bound, FURTHER_PAGES)),))


def check_compression(kind: Format, compression: str | None) -> None:
    """Refuse a choice of compression that a file of that kind does not have.

    Raises:
        UsageError: if one is given, and it is no TIFF.
    """
    if compression is not None and kind != "tiff":
        raise UsageError(
            f"{kind} has no choice of compression",
            next_step="drop --compression, or write a TIFF (--format tiff)",
        )


def write(
    document: Document,
    path: Path | str,
    *,
    format: Format | None = None,  # noqa: A002 - the word for it, as in Pillow
    compression: str | None = None,
    overwrite: bool = False,
    before_naming: BeforeNaming | None = None,
) -> Written:
    """Write a picture file: beside the target first, flushed, read back, then renamed.

    Args:
        document: the pages.
        path: where to.
        format: the kind of file; the document's own if None.
        compression: for TIFF, a key of ``tiff_write.CODES``; the source's own if None.
        overwrite: whether an existing file may be replaced.
        before_naming: called with the finished, checked file, what was lost and the notes, just
            before the file gets its name; what it raises leaves no file.

    Returns:
        What was written, and what the format could not hold.

    Raises:
        FileAccessError: disk full, no permission, or the name is taken.
        InputError: if a picture is larger than such a file can be.
        OutputCheckError: if the file, read back, is not what was to be written.
        UsageError: if the format has no such compression.
    """
    path, kind = Path(path), format or document.format
    in_part = any(page.stays_on_disk for page in document.pages)
    first = document.pages[0]
    check_sides(kind, *first.samples.shape[:2])
    check_compression(kind, compression)
    lost: list[str] = []
    notes = _recompressed(document, kind)

    def encode(file: BinaryIO) -> None:
        if kind == "tiff":
            lost.extend(tiff_write.write(file, document, compression))
            return
        if len(document.pages) > 1:
            lost.append(FURTHER_PAGES)
        picture, grown = _plain(_in_memory(first) if in_part else first, kind)
        lost.extend((*grown, *_WRITERS[kind](file, picture)))

    def check(unfinished: Path) -> None:
        large = 0 if in_part else None
        with temporary_room(path.parent) as make:
            try:
                back = read(unfinished, max_mpixels=float("inf"), in_part=large, make=make)
            except InputError as error:
                raise OutputCheckError(
                    f"the file just written cannot be read back ({error.cause})", path=path
                ) from error
            lost.extend(keeping.unnamed(document, back, path, lost))
        lost.extend(name for page in document.pages for name in page.left_out)
        if kind != document.format:
            lost.extend(name for page in document.pages for name in page.bound)
        if before_naming is not None:
            before_naming(unfinished, tuple(dict.fromkeys(lost)), notes)

    write_atomically(path, encode, check=check, overwrite=overwrite)
    return Written(path, kind, tuple(dict.fromkeys(lost)), notes)


def losses_in_words(
    kind: Format, lost: Sequence[str], left_out: Collection[str]
) -> tuple[str, ...]:
    """What a format could not hold (``Written.lost``), and what was left out of it, in a phrase
    each (``Picture.left_out``)."""
    unheld = [name for name in lost if name not in left_out]
    gone = [name for name in lost if name in left_out]
    phrases = [f"{kind} cannot hold {', '.join(unheld)}"] if unheld else []
    return (*phrases, f"left out: {', '.join(gone)}") if gone else tuple(phrases)


def _plain(picture: Picture, kind: Format) -> tuple[Picture, list[str]]:
    """A palette as RGB and a negative as a positive where the format holds none, and what is lost.

    Not for PNG, which holds palettes, nor negatives for JPEG and WebP, which turn what they have
    reduced: a copy before that would be more than ``room_to_write`` counts with.
    """
    encoding = picture.encoding
    if encoding.palette is not None and kind != "png":
        return expanded(picture), ["palette (written as RGB)"]
    if encoding.white_is_zero and kind in ("png", "jp2"):
        samples = picture.samples.copy()
        np.subtract(encoding.maximum, samples[..., :1], out=samples[..., :1])
        encoding = replace(encoding, white_is_zero=False)
        picture = replace(picture, samples=samples, encoding=encoding)
    return picture, []


def _recompressed(document: Document, kind: Format) -> tuple[str, ...]:
    """Compressions that a file of that kind holds the samples without, none of them altered."""
    pages = document.pages if kind == "tiff" else document.pages[:1]
    if kind == "jpeg" or (kind == "webp" and pages[0].encoding.maximum > 255):
        return ()
    names = dict.fromkeys(page.recompressed for page in pages if page.recompressed)
    return tuple(f"{name} in the source, written without loss" for name in names)


def in_memory(document: Document) -> Document:
    """A document whose samples are arrays, also those that stay on the disk."""
    return replace(document, pages=tuple(_in_memory(page) for page in document.pages))


def _in_memory(page: Picture) -> Picture:
    return replace(page, samples=np.ascontiguousarray(page.samples[:]))


def copy(
    source: Path | str,
    target: Path | str,
    *,
    overwrite: bool = False,
    before_naming: BeforeNaming | None = None,
) -> None:
    """Copy a file byte for byte, as atomically as ``write``; for pictures that did not change.

    Args:
        source: the file.
        target: where to.
        overwrite: as in ``write``.
        before_naming: as in ``write``.

    Raises:
        FileAccessError: as ``write``.
        OutputCheckError: if the copy, read back, differs.
    """
    source, target = Path(source), Path(target)

    def write_copy(file: BinaryIO) -> None:
        with source.open("rb") as original:
            shutil.copyfileobj(original, file, 2**20)

    def check(unfinished: Path) -> None:
        if not _same_bytes(source, unfinished):
            raise OutputCheckError("the copy, read back, differs from its source", path=target)
        if before_naming is not None:
            before_naming(unfinished, (), ())

    write_atomically(target, write_copy, check=check, overwrite=overwrite)


def _same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as a, other.open("rb") as b:
        while True:
            block = a.read(2**20)
            if block != b.read(2**20):
                return False
            if not block:
                return True
