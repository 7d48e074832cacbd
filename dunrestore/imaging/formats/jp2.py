"""JPEG 2000: boxes taken apart and put together here, samples through OpenJPEG (imagecodecs).

After ISO/IEC 15444-1 (JP2), and ExifTool's list of the UUIDs under which metadata are kept.
"""

import mmap
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, BinaryIO

import imagecodecs
import numpy as np

from dunrestore.errors import InputError
from dunrestore.imaging.formats.encoded import BEHIND, Encoded
from dunrestore.imaging.formats.jp2_rows import Jp2Rows
from dunrestore.imaging.formats.jp2_tiles import find_tiles
from dunrestore.imaging.limits import ASK_FOR_UNDAMAGED, check_size
from dunrestore.imaging.metadata.exif import orientation_of, resolution_of
from dunrestore.imaging.picture import Document, Encoding, Kind, Metadata, Picture, Resolution
from dunrestore.imaging.pixels import as_samples
from dunrestore.imaging.rows import Rows

Box = tuple[bytes, bytes]

SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
CODESTREAM = b"\xff\x4f\xff\x51"
"""What a bare codestream (.j2k, .jpc) begins with."""
_COD, _COM, _SOT = 0x52, 0x64, 0x90
"""Markers of the codestream (ITU-T T.800, annex A)."""
EXIF_UUID = b"JpgTiffExif->JP2"
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
IPTC_UUID = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
PHOTOSHOP_UUID = bytes.fromhex("2c4c0100850440b9a03e562148d6dfeb")
_SRGB, _GREY = 16, 17
_SPACES = {"grey": b"GRAY", "rgb": b"RGB "}
"""What a profile of either kind calls its colours; another kind of profile has no place."""
_CONVERT = "convert it to RGB with the colour management of your choice first"


@dataclass(frozen=True)
class Jp2Boxes:
    """A JP2's boxes in file order, the codestream empty; no boxes for a bare codestream."""

    boxes: tuple[Box, ...]
    lossless: bool
    comments: tuple[bytes, ...] = ()
    """Comment segments (COM) of the codestream's main header, with their marker."""


def read(encoded: Encoded, max_mpixels: float | None) -> Document:
    """Read a JP2 file or a bare codestream.

    Raises:
        FileAccessError: if there is no room for a large picture.
        InputError: if it is damaged, too large, or of a kind that is not supported.
    """
    data = encoded.data
    bare = data[:4] == CODESTREAM
    places = [(b"jp2c", 0, len(data))] if bare else _places(data)
    at, last = next(((start, end) for name, start, end in places if name == b"jp2c"), (0, 0))
    end = at + _length(memoryview(data)[at:last])
    stream = memoryview(data)[at:end]
    boxes = [
        (name, b"" if name == b"jp2c" else data[start:end])
        for name, start, end in places
        if not bare
    ]
    width, height, components, bits = _size(stream)
    check_size(width, height, max_mpixels)
    header = _boxes(next((body for name, body in boxes if name == b"jp2h"), b""))
    kind: Kind = "grey" if components <= 2 else "rgb"
    if boxes:
        kind = _kind(header, components)
    samples = _samples(encoded, at, end, (height, width, components), bits)
    segments = [bytes(stream[start:end]) for start, end in _main_header(stream)]
    comments = tuple(segment for segment in segments if segment[1] == _COM)
    source = Jp2Boxes(tuple(boxes), _is_reversible(segments), comments)
    encoding = Encoding(kind, 2**bits - 1, components - (3 if kind == "rgb" else 1))
    defined = {channel: type_ for channel, type_, _ in _definitions(header)}
    alpha = not encoding.extra or defined.get(encoding.channels) in (1, 2)
    encoding = replace(encoding, alpha=alpha)
    lossy = "" if source.lossless else "lossy JPEG 2000"
    metadata = _metadata(boxes, header)
    behind = (BEHIND,) if last > end or len(data) > places[-1][2] else ()
    page = Picture(
        as_samples(samples), encoding, metadata, source, left_out=behind, recompressed=lossy
    )
    return Document((page,), "jp2")


def _samples(encoded: Encoded, at: int, end: int, shape: tuple[int, int, int], bits: int) -> Rows:
    """(H, W, C): of a large picture its tiles, or if it has none what is decoded to the disk."""
    height, width, components = shape
    dtype = np.uint8 if bits == 8 else np.uint16
    if encoded.is_large(height, width):
        tiles = find_tiles(encoded.data, at, end, components * bits // 8)
        if tiles is not None:
            return Jp2Rows(encoded.path, shape, dtype, tiles)
    samples = encoded.room(height, width, components, dtype)
    stream: Any = memoryview(encoded.data)[at:end]
    array = samples[:]
    try:
        imagecodecs.jpeg2k_decode(stream, out=array)
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"it cannot be decoded ({error})", next_step=ASK_FOR_UNDAMAGED) from error
    return samples


def _boxes(data: bytes) -> list[Box]:
    return [(name, data[start:end]) for name, start, end in _places(data)]


def _places(data: bytes | mmap.mmap) -> list[tuple[bytes, int, int]]:
    """(name, where its data begin, where they end) of each box.

    What comes behind the picture and does not begin like a box is no box, nor one cut short.
    """
    places: list[tuple[bytes, int, int]] = []
    at, shown = 0, False
    while at < len(data):
        head = data[at : at + 8]
        size, name = struct.unpack(">I4s", head.ljust(8, b"\0"))
        start = at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        end = at + size if size else len(data)
        named = all(32 <= letter < 127 for letter in head[4:])
        if shown and (end < start or end > len(data) or not size) and (head[0] or not named):
            break
        if end < start or end > len(data):
            raise InputError("the file is cut short or damaged", next_step=ASK_FOR_UNDAMAGED)
        places.append((name, start, end))
        shown |= name == b"jp2c"
        at = end
    return places


def _assembled(boxes: Sequence[Box]) -> bytes:
    parts: list[bytes] = []
    for name, body in boxes:
        if len(body) + 8 < 2**32:
            parts += [struct.pack(">I4s", len(body) + 8, name), body]
        else:
            parts += [struct.pack(">I4sQ", 1, name, len(body) + 16), body]
    return b"".join(parts)


def _size(stream: memoryview) -> tuple[int, int, int, int]:
    """(width, height, components, bits a sample) of a codestream."""
    if bytes(stream[:4]) != CODESTREAM or len(stream) < 45 or bytes(stream[-2:]) != b"\xff\xd9":
        raise InputError("the file is cut short or damaged", next_step=ASK_FOR_UNDAMAGED)
    x1, y1, x0, y0 = struct.unpack(">IIII", stream[8:24])
    (components,) = struct.unpack(">H", stream[40:42])
    each = stream[42 : 42 + 3 * components]
    if not 1 <= components <= 16 or len(each) < 3 * components:
        raise InputError("the JPEG 2000 header is damaged", next_step=ASK_FOR_UNDAMAGED)
    if {*each[1::3], *each[2::3]} != {1}:
        raise InputError("reduced colour resolution is not supported", next_step="convert to RGB")
    depths = {depth + 1 for depth in each[::3]}
    if len(depths) != 1 or not depths <= {8, 16}:
        shown = "/".join(str(depth & 127) for depth in sorted(depths))
        raise InputError(
            f"{shown} bits a sample are not supported",
            next_step="convert it to 8 or 16 bits a sample",
        )
    return x1 - x0, y1 - y0, components, depths.pop()


def _length(stream: memoryview) -> int:
    """Bytes of a codestream up to its end marker by the lengths of its tile-parts; all that there
    are if these do not tell."""
    at = max((end for _, end in _main_header(stream)), default=2)
    while bytes(stream[at : at + 2]) == bytes([0xFF, _SOT]):
        size = int.from_bytes(stream[at + 6 : at + 10], "big")
        if not size:
            break
        at += size
    return at + 2 if bytes(stream[at : at + 2]) == b"\xff\xd9" else len(stream)


def _main_header(stream: memoryview) -> Iterator[tuple[int, int]]:
    """Begin and end of each segment before the first tile's."""
    at = 2
    while at + 4 <= len(stream) and stream[at] == 0xFF and stream[at + 1] not in (_SOT, 0xD9):
        end = at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        yield at, end
        at = end


def _is_reversible(segments: Iterable[bytes]) -> bool:
    """Whether the coding style names the reversible wavelet."""
    return next((segment[13] == 1 for segment in segments if segment[1] == _COD), False)


def _commented(stream: bytes, comments: Iterable[bytes]) -> bytes:
    """A codestream with comments that it does not hold yet at the end of its main header."""
    places = list(_main_header(memoryview(stream)))
    own, at = {stream[start:end] for start, end in places}, places[-1][1]
    return stream[:at] + b"".join(each for each in comments if each not in own) + stream[at:]


def _kind(header: list[Box], components: int) -> Kind:
    names = [name for name, _ in header]
    if b"pclr" in names:
        raise InputError("a JPEG 2000 with a palette is not supported", next_step="convert to RGB")
    colour = next((body for name, body in header if name == b"colr"), b"")
    method = colour[0] if colour else 0
    space = colour[3 + 16 : 3 + 20] if method in (2, 3) else colour[3:7]
    grey = {b"GRAY", struct.pack(">I", _GREY)}
    if space not in {b"RGB ", struct.pack(">I", _SRGB), *grey}:
        raise InputError("the JPEG 2000's colours are neither RGB nor grey", next_step=_CONVERT)
    kind: Kind = "grey" if space in grey else "rgb"
    for channel, type_, shown_as in _definitions(header):
        if type_ == 0 and shown_as != channel + 1:
            raise InputError("the order of the colours is not supported", next_step="convert it")
    if components < (3 if kind == "rgb" else 1):
        raise InputError("the JPEG 2000 header is damaged", next_step=ASK_FOR_UNDAMAGED)
    return kind


def _definitions(header: list[Box]) -> Iterator[tuple[int, int, int]]:
    """Of each channel: its number, what it is (0: a colour; 1, 2: alpha), and of which colour."""
    stated = next((body for name, body in header if name == b"cdef"), b"")[2:]
    for i in range(0, len(stated), 6):
        yield struct.unpack(">HHH", stated[i : i + 6])


def _metadata(boxes: Sequence[Box], header: list[Box]) -> Metadata:
    blocks = {body[:16]: body[16:] for name, body in boxes if name == b"uuid"}
    colour = next((body for name, body in header if name == b"colr"), b"\0")
    exif = blocks.get(EXIF_UUID)
    return Metadata(
        icc=colour[3:] if colour[0] in (2, 3) else None,
        exif=exif,
        xmp=blocks.get(XMP_UUID),
        iptc=blocks.get(IPTC_UUID),
        photoshop=blocks.get(PHOTOSHOP_UUID),
        resolution=_resolution(next((body for name, body in header if name == b"res "), b""))
        or resolution_of(exif),
        orientation=orientation_of(exif),
    )


def _resolution(body: bytes) -> Resolution | None:
    stated = dict(_boxes(body))
    values = stated.get(b"resc") or stated.get(b"resd") or b""
    if len(values) < 10:
        return None
    y, y_unit, x, x_unit, y_power, x_power = struct.unpack(">HHHHbb", values[:10])
    if not (x and y and x_unit and y_unit):
        return None
    across = Fraction(x, x_unit) * Fraction(10) ** x_power
    down = Fraction(y, y_unit) * Fraction(10) ** y_power
    return Resolution(across / 100, down / 100, "cm")


def write(file: BinaryIO, picture: Picture) -> tuple[str, ...]:
    """Write a picture as lossless JPEG 2000; what stood in its JP2 source stays, box for box.

    Args:
        file: an empty file to write to.
        picture: what to write; no palette, no negative.

    Returns:
        What could not be kept, in words.
    """
    samples = picture.samples
    array = np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    stream = bytes(
        imagecodecs.jpeg2k_encode(array, level=0, reversible=True, codecformat="j2k", mct=False)
    )
    source = picture.source
    if isinstance(source, Jp2Boxes):
        stream = _commented(stream, source.comments)
    if isinstance(source, Jp2Boxes) and not source.boxes:
        file.write(stream)
        return ("XMP",) if picture.metadata.xmp is not None else ()
    boxes = _source_boxes(source, picture) if isinstance(source, Jp2Boxes) else _new_boxes(picture)
    file.write(_assembled([(n, stream if n == b"jp2c" else b) for n, b in boxes]))
    return ()


def _source_boxes(source: Jp2Boxes, picture: Picture) -> list[Box]:
    metadata, xmp = picture.metadata, picture.metadata.xmp
    stood = _metadata(source.boxes, [])
    boxes = list(source.boxes)
    for mark, old, new in (
        (EXIF_UUID, stood.exif, metadata.exif),
        (PHOTOSHOP_UUID, stood.photoshop, metadata.photoshop),
    ):
        if old is not None and old != new:
            at = boxes.index((b"uuid", mark + old))
            boxes[at : at + 1] = [] if new is None else [(b"uuid", mark + new)]
    if xmp is None or (b"uuid", XMP_UUID + xmp) in boxes:
        return boxes
    kept = [(n, b) for n, b in boxes if not (n == b"uuid" and b.startswith(XMP_UUID))]
    at = [name for name, _ in kept].index(b"jp2c")
    return [*kept[:at], (b"uuid", XMP_UUID + xmp), *kept[at:]]


def _new_boxes(picture: Picture) -> list[Box]:
    """Boxes for a picture that comes from another format."""
    encoding, metadata = picture.encoding, picture.metadata
    height, width, components = picture.samples.shape
    depth = picture.samples.dtype.itemsize * 8 - 1
    space = struct.pack(">BBBI", 1, 0, 0, _SRGB if encoding.kind == "rgb" else _GREY)
    if metadata.icc is not None and metadata.icc[16:20] == _SPACES[encoding.kind]:
        space = b"\2\0\0" + metadata.icc
    header = [
        (b"ihdr", struct.pack(">IIHBBBB", height, width, components, depth, 7, 0, 0)),
        (b"colr", space),
    ]
    if encoding.extra:
        header.append((b"cdef", _channel_definitions(encoding)))
    if metadata.resolution is not None and metadata.resolution.unit != "none":
        header.append((b"res ", _assembled([(b"resc", _resolution_values(metadata.resolution))])))
    blocks = [
        (b"uuid", mark + data)
        for mark, data in (
            (EXIF_UUID, metadata.exif),
            (XMP_UUID, metadata.xmp),
            (IPTC_UUID, metadata.iptc),
            (PHOTOSHOP_UUID, metadata.photoshop),
        )
        if data is not None
    ]
    opening = [(b"jP  ", b"\r\n\x87\n"), (b"ftyp", b"jp2 \0\0\0\0jp2 ")]
    return [*opening, (b"jp2h", _assembled(header)), *blocks, (b"jp2c", b"")]


def _channel_definitions(encoding: Encoding) -> bytes:
    colours = [(i, 0, i + 1) for i in range(encoding.channels)]
    alpha = [(encoding.channels, 1, 0)]
    others = [(encoding.channels + i, 65535, 65535) for i in range(1, encoding.extra)]
    definitions = [*colours, *alpha, *others]
    return struct.pack(">H", len(definitions)) + b"".join(
        struct.pack(">HHH", *each) for each in definitions
    )


def _resolution_values(resolution: Resolution) -> bytes:
    scale = Fraction(10000, 254) if resolution.unit == "inch" else Fraction(100)
    y, y_unit, y_power = _scaled(resolution.y * scale)
    x, x_unit, x_power = _scaled(resolution.x * scale)
    return struct.pack(">HHHHbb", y, y_unit, x, x_unit, y_power, x_power)


def _scaled(per_metre: Fraction) -> tuple[int, int, int]:
    """Numerator, denominator (16 bits each) and power of ten that come nearest."""

    def fitting(power: int) -> Fraction:
        value = per_metre / Fraction(10) ** power
        most = min(65535, max(1, int(65535 / max(value, Fraction(1)))))
        return value.limit_denominator(most)

    def error(power: int) -> Fraction:
        value = fitting(power)
        if not 0 < value.numerator < 65536:
            return Fraction(10**30)
        return abs(value * Fraction(10) ** power - per_metre)

    best = min(range(-8, 12), key=error)
    value = fitting(best)
    return min(max(value.numerator, 1), 65535), value.denominator, best
