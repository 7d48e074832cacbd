"""Writing TIFF and BigTIFF: segments through imagecodecs, tags as they stood in the source."""

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from dunrestore.errors import UsageError
from dunrestore.imaging.formats import tiff
from dunrestore.imaging.formats.tiff_rows import is_coarse, is_raw
from dunrestore.imaging.in_order import in_threads
from dunrestore.imaging.metadata import exif, ifd
from dunrestore.imaging.metadata.ifd import ByteOrder, Entry, Ifd
from dunrestore.imaging.palettes import expanded
from dunrestore.imaging.picture import Document, Encoding, Picture, Samples
from dunrestore.imaging.rows import bands

Codec = Callable[[Any], bytes]

CODES = {"none": 1, "lzw": 5, "deflate": 8, "packbits": 32773, "zstd": 50000}
"""Names of the compressions that can be written, and their TIFF numbers."""
_WITH_PREDICTOR = {5, 8, 32946, 50000}
_CLASSIC_LIMIT = 2**32 - 2**26
_ZSTD_LEVEL = 9
_TILE = 512


def write(file: BinaryIO, document: Document, compression: str | None = None) -> tuple[str, ...]:
    """Write all pages, each in its own form: strips or tiles, planes, compression, tags.

    Args:
        file: an empty file to write to.
        document: the pages; a page from another format gets tiles with deflate and predictor.
        compression: one of ``CODES``, or None for each page's own. What would lose samples
            (JPEG) becomes deflate.

    Returns:
        What could not be kept, in words.
    """
    if compression is not None and compression not in CODES:
        raise UsageError(
            f"no TIFF compression is called {compression!r}", next_step=f"use {', '.join(CODES)}"
        )
    order, big = _container(document)
    lost: list[str] = []
    file.write(_header(order, big))
    link = 8 if big else 4
    for page in document.pages:
        if page.encoding.palette is not None and not page.encoding.palette.opaque.all():
            page = expanded(page)
            lost.append("palette (written as RGB)")
        tags = _tags(page, order, compression)
        tags = tags.having(*_write_segments(file, page.samples, tags, big))
        position = _align(file)
        file.write(ifd.serialise(tags, position, big=big))
        _patch(file, link, position, order, big)
        link = position + (8 + 20 * len(tags.entries) if big else 2 + 12 * len(tags.entries))
    file.seek(0, 2)
    return tuple(lost)


def _container(document: Document) -> tuple[ByteOrder, bool]:
    first = document.pages[0]
    total = sum(page.samples.nbytes + 2**16 for page in document.pages)
    if isinstance(first.source, tiff.TiffPage):
        return first.source.tags.byteorder, first.source.big or total > _CLASSIC_LIMIT
    exif = first.metadata.exif
    order = ifd.byte_order(exif[:2]) if exif else None
    return order or "<", total > _CLASSIC_LIMIT


def _header(order: ByteOrder, big: bool) -> bytes:
    mark = b"II" if order == "<" else b"MM"
    if big:
        return mark + struct.pack(order + "HHHQ", 43, 8, 0, 0)
    return mark + struct.pack(order + "HI", 42, 0)


def _align(file: BinaryIO) -> int:
    position = file.seek(0, 2)
    if position % 2:
        file.write(b"\0")
    return position + position % 2


def _patch(file: BinaryIO, at: int, offset: int, order: ByteOrder, big: bool) -> None:
    file.seek(at)
    file.write(struct.pack(order + ("Q" if big else "I"), offset))
    file.seek(0, 2)


def _tags(page: Picture, order: ByteOrder, compression: str | None) -> Ifd:
    """The page's tags but for the places of its segments and what is left out."""
    source = page.source
    if not isinstance(source, tiff.TiffPage):
        return _new_tags(page, order, compression)
    tags = source.tags
    own = tags.number(ifd.COMPRESSION, 1)
    code = CODES[compression] if compression else own if own in tiff.WRITABLE else CODES["deflate"]
    dropped = {ifd.SUB_IFDS, ifd.LAYERS, ifd.FILL_ORDER}
    if tags.number(ifd.PHOTOMETRIC, -1) == 6:
        dropped |= ifd.YCBCR_TAGS
        tags = tags.having(ifd.entry(ifd.PHOTOMETRIC, ifd.SHORT, [2], tags.byteorder))
    tags = tags.without(dropped)
    if code != own:
        tags = _compressed_with(tags, code)
    if is_coarse(tags):
        tags = _in_tiles(tags)
    if page.encoding.palette is not None:
        tags = _with_palette(tags, page.encoding)
    tags = _with_block(tags, ifd.PHOTOSHOP, page.metadata.photoshop)
    return _with_block(tags, ifd.XMP, page.metadata.xmp)


def _in_tiles(tags: Ifd) -> Ifd:
    """Small tiles for a page whose strips or tiles are so large that no part of it can be read."""
    structure = {ifd.TILE_WIDTH: _TILE, ifd.TILE_HEIGHT: _TILE, ifd.TILE_OFFSETS: 0}
    tags = tags.without({ifd.ROWS_PER_STRIP, ifd.STRIP_OFFSETS, ifd.STRIP_BYTES})
    return tags.having(
        *(ifd.entry(tag, ifd.LONG, [value], tags.byteorder) for tag, value in structure.items())
    )


def _with_block(tags: Ifd, tag: int, data: bytes | None) -> Ifd:
    """The tags with such bytes as one of them, and without it if there are none."""
    stood = tags.get(tag)
    if data is None:
        return tags.without({tag})
    if stood and stood.data == data:
        return tags
    type_ = stood.type if stood and stood.type in (ifd.BYTE, ifd.UNDEFINED) else ifd.BYTE
    return tags.having(Entry(tag, type_, len(data), data))


def _compressed_with(tags: Ifd, code: int) -> Ifd:
    order = tags.byteorder
    tags = tags.without({ifd.PREDICTOR})
    tags = tags.having(ifd.entry(ifd.COMPRESSION, ifd.SHORT, [code], order))
    if code in _WITH_PREDICTOR and tags.number(ifd.PHOTOMETRIC, 1) != 3:
        tags = tags.having(ifd.entry(ifd.PREDICTOR, ifd.SHORT, [2], order))
    return tags


def _with_palette(tags: Ifd, encoding: Encoding) -> Ifd:
    assert encoding.palette is not None
    colours = np.zeros((256, 3), np.uint16)
    colours[: len(encoding.palette.colours)] = encoding.palette.colours
    if encoding.palette.maximum == 255 and tags.get(ifd.COLOUR_MAP) is None:
        colours *= 257
    values = [int(value) for value in colours.T.ravel()]
    if values == list(tags.numbers(ifd.COLOUR_MAP)):
        return tags
    return tags.having(ifd.entry(ifd.COLOUR_MAP, ifd.SHORT, values, tags.byteorder))


def _new_tags(page: Picture, order: ByteOrder, compression: str | None) -> Ifd:
    described = exif.from_metadata(page.metadata, order)
    order = described.byteorder
    height, width, channels = page.samples.shape
    encoding = page.encoding
    photometric = {"grey": 0 if encoding.white_is_zero else 1, "rgb": 2, "palette": 3}
    values = {
        ifd.WIDTH: [width],
        ifd.HEIGHT: [height],
        ifd.BITS: [page.samples.dtype.itemsize * 8] * channels,
        ifd.COMPRESSION: [1],
        ifd.PHOTOMETRIC: [photometric[encoding.kind]],
        ifd.SAMPLES: [channels],
        ifd.ROWS_PER_STRIP: [max(1, 2**18 // (width * channels))],
        ifd.STRIP_OFFSETS: [0],
    }
    if encoding.extra:
        values[ifd.EXTRA_SAMPLES] = [2] + [0] * (encoding.extra - 1)
    structure = [
        ifd.entry(tag, ifd.SHORT if max(v) < 2**16 else ifd.LONG, v, order)
        for tag, v in values.items()
    ]
    tags = _compressed_with(described.having(*structure), CODES[compression or "deflate"])
    return _with_palette(tags, encoding) if encoding.palette is not None else tags


def _write_segments(file: BinaryIO, samples: Samples, tags: Ifd, big: bool) -> list[Entry]:
    """Write the samples; return the tags that say where they are."""
    offsets: list[int] = []
    sizes: list[int] = []
    for parts in _encoded(samples, tags):
        offsets.append(_align(file))
        sizes.append(sum(map(file.write, parts)))
    tiled = tags.get(ifd.TILE_OFFSETS) is not None
    type_ = ifd.LONG8 if big else ifd.LONG
    places = (ifd.TILE_OFFSETS, ifd.TILE_BYTES) if tiled else (ifd.STRIP_OFFSETS, ifd.STRIP_BYTES)
    return [
        ifd.entry(tag, type_, v, tags.byteorder)
        for tag, v in zip(places, (offsets, sizes), strict=True)
    ]


def _encoded(samples: Samples, tags: Ifd) -> Iterator[Iterable[bytes]]:
    """The segments; raw strips band by band, for they may be as large as the picture."""
    encode = codec(tags)
    deep, wide = tiff.segment_shape(tags)
    if not is_raw(tags):
        for segment in in_threads(encode, segments(samples, tags), deep * wide):
            yield [segment]
        return
    height, width = samples.shape[:2]
    for top in range(0, height, deep):
        strip = bands(min(deep, height - top), width)
        yield (encode(samples[top + band.start : top + band.stop]) for band in strip)


def segments(samples: Samples, tags: Ifd) -> Iterator[Samples]:
    """A page's strips or tiles (rows, columns, channels) in file order, edge tiles filled up."""
    rows, columns = tiff.segment_shape(tags)
    tiled = tags.get(ifd.TILE_OFFSETS) is not None
    height, width, channels = samples.shape
    separate = tags.number(ifd.PLANAR, 1) == 2
    for plane in [slice(c, c + 1) for c in range(channels)] if separate else [slice(None)]:
        for top in range(0, height, rows):
            across = samples[top : top + rows]
            for left in range(0, width, columns):
                part = across[:, left : left + columns, plane]
                if tiled and part.shape[:2] != (rows, columns):
                    below, beside = rows - part.shape[0], columns - part.shape[1]
                    part = np.pad(part, ((0, below), (0, beside), (0, 0)), mode="edge")
                yield part


def codec(tags: Ifd) -> Callable[[Samples], bytes]:
    """What turns one segment's samples into the bytes that the tags promise."""
    compress = _COMPRESSORS[tags.number(ifd.COMPRESSION, 1)]
    predict = tags.number(ifd.PREDICTOR, 1) == 2
    order = tags.byteorder

    def encode(segment: Samples) -> bytes:
        values: NDArray[Any] = segment
        if predict:
            values = segment.copy()
            values[:, 1:] -= segment[:, :-1]  # modulo 2^bits
        return compress(np.ascontiguousarray(values, values.dtype.newbyteorder(order)))

    return encode


def _packbits(values: NDArray[Any]) -> bytes:
    # By rows, as the specification asks.
    return b"".join(imagecodecs.packbits_encode(row.tobytes()) for row in values)


_COMPRESSORS: dict[int, Codec] = {
    1: lambda values: values.tobytes(),
    5: lambda values: bytes(imagecodecs.lzw_encode(values.tobytes())),
    8: lambda values: bytes(imagecodecs.deflate_encode(values.tobytes())),
    32946: lambda values: bytes(imagecodecs.deflate_encode(values.tobytes())),
    32773: _packbits,
    50000: lambda values: bytes(imagecodecs.zstd_encode(values.tobytes(), level=_ZSTD_LEVEL)),
}
