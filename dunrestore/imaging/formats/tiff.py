"""Reading TIFF and BigTIFF: our own strict look at the tags, tifffile for the samples."""

import logging
import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import tifffile

from dunrestore.errors import InputError
from dunrestore.imaging.limits import ASK_FOR_UNDAMAGED, check_size
from dunrestore.imaging.metadata import exif, ifd
from dunrestore.imaging.metadata.ifd import Ifd
from dunrestore.imaging.picture import Document, Encoding, Kind, Palette, Picture
from dunrestore.imaging.rows import Make

WRITABLE = frozenset({1, 5, 8, 32773, 32946, 50000})
"""Compressions that are kept: none, LZW, deflate (two numbers), PackBits, Zstandard."""

DECISIVE = (
    *(ifd.WIDTH, ifd.HEIGHT, ifd.BITS, ifd.COMPRESSION, ifd.PHOTOMETRIC),
    *(ifd.FILL_ORDER, ifd.SAMPLES, ifd.PLANAR, ifd.PREDICTOR),
)
"""Without these, samples come out wrong; tifffile goes on without a tag that it fails to read."""

OTHER_COLOURS = {
    4: "a transparency mask",
    5: "CMYK",
    8: "CIE L*a*b*",
    9: "ICC L*a*b*",
    10: "ITU L*a*b*",
    32803: "raw camera data",
    32844: "LogL",
    32845: "LogLuv",
    34892: "raw camera data",
}

_NO_COLOURS = "make it an alpha channel of its picture, or a grey page of 8 bits"
_EVERY_PAGE = "all must be of supported kinds, also those that stay as they are"


@dataclass(frozen=True)
class TiffPage:
    """What only a TIFF can hold of a page: all its tags as they stood, and the file's form."""

    tags: Ifd
    big: bool


@dataclass(frozen=True)
class InPart:
    """How to read the pages of large files in part."""

    above: float
    """Pixels of all pages together; smaller files are read as a whole."""
    rows_of: Callable[[tifffile.TiffPage, Ifd], Any]
    """Makes the samples of a page."""
    make: Make
    """Makes room for those of a page that must be decoded as a whole."""
    any_depth: bool = False
    """Read grey of 1 bit as 8: for what is looked at, and not written again."""


def recognise(head: bytes) -> bool:
    """Whether a file that begins with ``head`` (4 bytes at least) is a TIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read(
    file: BinaryIO,
    max_mpixels: float | None,
    in_part: InPart,
) -> Document:
    """Read all pages of a TIFF but for reduced copies, which are left out and named.

    Args:
        file: the file.
        max_mpixels: larger pages are refused, see ``check_size``.
        in_part: for pages that need not be read as a whole; old JPEGs must be, and those with a
            palette, which stay in memory.

    Raises:
        FileAccessError: if there is no room for a page.
        InputError: if it is damaged, too large, or of a kind that is not supported.
    """
    length = file.seek(0, 2)
    directories, big = read_tags(file)
    encodings = _encodings(directories, any_depth=in_part.any_depth)
    pixels = 0
    for i, tags in enumerate(directories):
        try:
            if i not in encodings:
                _check_reduced(tags, length)
                continue
            width, height = tags.number(ifd.WIDTH, 0), tags.number(ifd.HEIGHT, 0)
            check_size(width, height, max_mpixels)
            _check_segments(tags, length)
            pixels += width * height
        except InputError as error:
            which = f"page {i + 1}: " if len(directories) > 1 else ""
            raise InputError(which + error.cause, next_step=error.next_step) from error
    file.seek(0)
    large = pixels > in_part.above
    pages: list[Picture] = []
    with _quiet(), tifffile.TiffFile(file) as tif:
        for i, encoding in encodings.items():
            page, tags = tif.pages[i], directories[i]
            if not isinstance(page, tifffile.TiffPage) or any(
                tags.get(tag) and tag not in page.tags for tag in DECISIVE
            ):
                raise InputError("the TIFF directory is damaged", next_step=ASK_FOR_UNDAMAGED)
            spread = tags.numbers(ifd.BITS)[:1] in ((), (1,))
            in_parts = encoding.palette is None and tags.number(ifd.COMPRESSION, 1) != 6
            if large and in_parts and not spread:
                samples = in_part.rows_of(page, tags)
            else:
                array = page.asarray()
                samples = _samples(array.astype(np.uint8) * 255 if spread else array, tags)
                if large and encoding.palette is None:  # an old JPEG, or 1 bit
                    stored = in_part.make(samples.shape, samples.dtype)
                    stored[:] = samples
                    samples = stored
            copies = i + 1 < len(directories) and i + 1 not in encodings
            pages.append(_picture(samples, encoding, TiffPage(tags, big), copies=copies))
    return Document(tuple(pages), "tiff")


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """Keep tifffile from complaining on stderr about tags that are copied as they are."""
    logger = logging.getLogger("tifffile")

    def silence(_: logging.LogRecord) -> bool:  # each its own: files are read at the same time
        return False

    logger.addFilter(silence)
    try:
        yield
    finally:
        logger.removeFilter(silence)


def read_tags(file: BinaryIO) -> tuple[list[Ifd], bool]:
    """The directories of a TIFF's pages, and whether it is a BigTIFF."""

    length = file.seek(0, 2)

    def read_at(offset: int, size: int) -> bytes:
        if offset >= length:
            return b""
        file.seek(offset)
        return file.read(min(size, length - offset))

    head = read_at(0, 16)
    order = ifd.byte_order(head[:2])
    if order is None or len(head) < 8:
        raise InputError("the file is cut short", next_step=ASK_FOR_UNDAMAGED)
    big = head[2:4] in (b"+\0", b"\0+")
    if big and (len(head) < 16 or struct.unpack(order + "HH", head[4:8]) != (8, 0)):
        raise InputError("the BigTIFF header is damaged", next_step=ASK_FOR_UNDAMAGED)
    (offset,) = (
        struct.unpack(order + "Q", head[8:]) if big else struct.unpack(order + "I", head[4:8])
    )
    directories: list[Ifd] = []
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise InputError("the TIFF's pages form a loop", next_step=ASK_FOR_UNDAMAGED)
        seen.add(offset)
        tags, offset = ifd.parse(read_at, offset, order, big=big)
        directories.append(tags)
    if not directories:
        raise InputError("the TIFF holds no page", next_step=ASK_FOR_UNDAMAGED)
    return directories, big


def _is_reduced(tags: Ifd) -> bool:
    """Whether a page says that it is a smaller copy of another one."""
    old = tags.number(ifd.SUBFILE_TYPE, 0) == 2
    return old or tags.number(ifd.NEW_SUBFILE_TYPE, 0) & 1 == 1


def _check_reduced(tags: Ifd, length: int) -> None:
    """Refuse a reduced copy that is cut short; a camera's may be a bare JPEG without strips."""
    if tags.get(ifd.STRIP_OFFSETS) or tags.get(ifd.TILE_OFFSETS):
        _check_segments(tags, length)


def _encodings(directories: list[Ifd], *, any_depth: bool) -> dict[int, Encoding]:
    """The encodings of the pages that are not left out, by their numbers from 0 on."""
    found: dict[int, Encoding] = {}
    for i, tags in enumerate(directories):
        if i and _is_reduced(tags):
            continue
        try:
            found[i] = _encoding(tags, any_depth=any_depth)
        except InputError as error:
            if len(directories) == 1:
                raise
            also = f", or take that page out: {_EVERY_PAGE}" if i else ""
            raise InputError(
                f"page {i + 1}: {error.cause}", next_step=error.next_step + also
            ) from error
    return found


def _encoding(tags: Ifd, *, any_depth: bool) -> Encoding:
    photometric = tags.number(ifd.PHOTOMETRIC, -1)
    if photometric in OTHER_COLOURS:
        raise InputError(
            f"{OTHER_COLOURS[photometric]} is not supported",
            next_step=_NO_COLOURS
            if photometric == 4
            else "convert it to RGB with the colour management of your choice first",
        )
    if photometric not in (0, 1, 2, 3) and not _is_jpeg_ycbcr(tags):
        raise InputError(
            f"TIFF colours of kind {photometric} are not supported", next_step="convert it to RGB"
        )
    depths = set(tags.numbers(ifd.BITS) or (1,))
    if set(tags.numbers(ifd.SAMPLE_FORMAT) or (1,)) != {1}:
        raise InputError(
            "samples that are not unsigned whole numbers are not supported",
            next_step="convert it to unsigned samples of 8 or 16 bits",
        )
    kind: Kind = {0: "grey", 1: "grey", 3: "palette"}.get(photometric, "rgb")  # pyright: ignore[reportAssignmentType]
    if any_depth and depths == {1} and kind == "grey":
        depths = {8}
    if len(depths) != 1 or not depths <= {8, 16} or (kind == "palette" and depths != {8}):
        shown = "/".join(str(depth) for depth in sorted(depths))
        raise InputError(
            f"{shown} bits a sample are not supported",
            next_step="convert it to 8 or 16 bits a sample"
            + (" (8 with a palette)" if kind == "palette" else ""),
        )
    colour = 3 if kind == "rgb" else 1
    extra = tags.number(ifd.SAMPLES, 1) - colour
    if not 0 <= extra <= 16:
        raise InputError(
            f"{extra + colour} samples a pixel do not fit the colours", next_step=ASK_FOR_UNDAMAGED
        )
    palette = _palette(tags) if kind == "palette" else None
    alpha = not extra or tags.number(ifd.EXTRA_SAMPLES, 0) in (1, 2)
    return Encoding(kind, 2 ** depths.pop() - 1, extra, photometric == 0, palette, alpha)


def _is_jpeg_ycbcr(tags: Ifd) -> bool:
    return tags.number(ifd.PHOTOMETRIC, -1) == 6 and tags.number(ifd.COMPRESSION, 1) in (6, 7)


def _palette(tags: Ifd) -> Palette:
    values = np.array(tags.numbers(ifd.COLOUR_MAP), np.uint16)
    if values.size != 3 * 256:
        raise InputError("the palette is damaged", next_step=ASK_FOR_UNDAMAGED)
    # Some programs write 8-bit values, against the specification; libtiff bears with them too.
    maximum = 65535 if values.max() > 255 else 255
    return Palette(values.reshape(3, 256).T.copy(), maximum, np.full(256, 255, np.uint8))


def _check_segments(tags: Ifd, length: int) -> None:
    """Refuse a page of which a strip or tile is missing or outside the file."""
    tiled = tags.get(ifd.TILE_OFFSETS) is not None
    offsets = tags.numbers(ifd.TILE_OFFSETS if tiled else ifd.STRIP_OFFSETS)
    sizes = tags.numbers(ifd.TILE_BYTES if tiled else ifd.STRIP_BYTES)
    expected = segment_count(tags)
    if not offsets or len(offsets) != len(sizes) or len(offsets) < expected:
        raise InputError("the list of the picture's parts is damaged", next_step=ASK_FOR_UNDAMAGED)
    for offset, size in zip(offsets[:expected], sizes, strict=False):
        if not offset or not size or offset + size > length:
            raise InputError("the file is cut short or damaged", next_step=ASK_FOR_UNDAMAGED)


def segment_count(tags: Ifd) -> int:
    """How many strips or tiles a page has."""
    rows, columns = segment_shape(tags)
    across = -(-tags.number(ifd.WIDTH, 0) // columns)
    down = -(-tags.number(ifd.HEIGHT, 0) // rows)
    planes = tags.number(ifd.SAMPLES, 1) if tags.number(ifd.PLANAR, 1) == 2 else 1
    return across * down * planes


def segment_shape(tags: Ifd) -> tuple[int, int]:
    """(rows, columns) of a page's strips or tiles."""
    width, height = tags.number(ifd.WIDTH, 0), tags.number(ifd.HEIGHT, 0)
    if tags.get(ifd.TILE_OFFSETS) is not None:
        rows, columns = tags.number(ifd.TILE_HEIGHT, 0), tags.number(ifd.TILE_WIDTH, 0)
    else:
        rows, columns = min(tags.number(ifd.ROWS_PER_STRIP, height), height), width
    if rows < 1 or columns < 1 or max(rows, columns) > 2**20 + max(width, height):
        raise InputError("the size of the strips or tiles is damaged", next_step=ASK_FOR_UNDAMAGED)
    return rows, columns


def _samples(array: Any, tags: Ifd) -> Any:
    height, width, samples = (
        tags.number(ifd.HEIGHT, 0),
        tags.number(ifd.WIDTH, 0),
        tags.number(ifd.SAMPLES, 1),
    )
    if samples > 1 and tags.number(ifd.PLANAR, 1) == 2:
        array = np.moveaxis(array.reshape(samples, height, width), 0, -1)
    native = array.dtype.newbyteorder("=")
    return np.ascontiguousarray(array.reshape(height, width, samples), native)


def _picture(samples: Any, encoding: Encoding, source: TiffPage, *, copies: bool) -> Picture:
    """A page; ``copies`` if reduced ones follow it."""
    tags = source.tags
    code = tags.number(ifd.COMPRESSION, 1)
    recompressed = "" if code in WRITABLE else f"{tifffile.COMPRESSION(code).name} compression"
    # All of these would still show the damage.
    left_out = ["reduced copies of the page (further pages)"] if copies else []
    if tags.get(ifd.SUB_IFDS):
        left_out.append("reduced or further pictures inside the page (SubIFDs)")
    if tags.get(ifd.LAYERS):
        left_out.append("Photoshop layers (ImageSourceData)")
    return Picture(
        samples,
        encoding,
        exif.to_metadata(tags),
        source,
        left_out=tuple(left_out),
        recompressed=recompressed,
    )
