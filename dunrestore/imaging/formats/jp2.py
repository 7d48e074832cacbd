"""Reading JPEG 2000: boxes taken apart here, samples through OpenJPEG (imagecodecs).

After ISO/IEC 15444-1 (JP2), and ExifTool's list of the UUIDs under which metadata are kept.
"""

import mmap
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

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
SRGB, GREY = 16, 17
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
    segments = [bytes(stream[start:end]) for start, end in main_header(stream)]
    comments = tuple(segment for segment in segments if segment[1] == _COM)
    source = Jp2Boxes(tuple(boxes), _is_reversible(segments), comments)
    encoding = Encoding(kind, 2**bits - 1, components - (3 if kind == "rgb" else 1))
    defined = {channel: type_ for channel, type_, _ in _definitions(header)}
    alpha = not encoding.extra or defined.get(encoding.channels) in (1, 2)
    encoding = replace(encoding, alpha=alpha)
    lossy = "" if source.lossless else "lossy JPEG 2000"
    metadata = metadata_of(boxes, header)
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
    at = max((end for _, end in main_header(stream)), default=2)
    while bytes(stream[at : at + 2]) == bytes([0xFF, _SOT]):
        size = int.from_bytes(stream[at + 6 : at + 10], "big")
        if not size:
            break
        at += size
    return at + 2 if bytes(stream[at : at + 2]) == b"\xff\xd9" else len(stream)


def main_header(stream: memoryview) -> Iterator[tuple[int, int]]:
    """Begin and end of each segment before the first tile's."""
    at = 2
    while at + 4 <= len(stream) and stream[at] == 0xFF and stream[at + 1] not in (_SOT, 0xD9):
        end = at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        yield at, end
        at = end


def _is_reversible(segments: Iterable[bytes]) -> bool:
    """Whether the coding style names the reversible wavelet."""
    return next((segment[13] == 1 for segment in segments if segment[1] == _COD), False)


def _kind(header: list[Box], components: int) -> Kind:
    names = [name for name, _ in header]
    if b"pclr" in names:
        raise InputError("a JPEG 2000 with a palette is not supported", next_step="convert to RGB")
    colour = next((body for name, body in header if name == b"colr"), b"")
    method = colour[0] if colour else 0
    space = colour[3 + 16 : 3 + 20] if method in (2, 3) else colour[3:7]
    grey = {b"GRAY", struct.pack(">I", GREY)}
    if space not in {b"RGB ", struct.pack(">I", SRGB), *grey}:
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


def metadata_of(boxes: Sequence[Box], header: list[Box]) -> Metadata:
    """What boxes, and those in the header box, say."""
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
