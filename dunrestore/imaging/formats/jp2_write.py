"""Writing lossless JPEG 2000: what stood in a JP2 source stays, box for box."""

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import BinaryIO

import imagecodecs
import numpy as np

from dunrestore.imaging.formats.jp2 import (
    EXIF_UUID,
    GREY,
    IPTC_UUID,
    PHOTOSHOP_UUID,
    SRGB,
    XMP_UUID,
    Box,
    Jp2Boxes,
    main_header,
    metadata_of,
)
from dunrestore.imaging.picture import Encoding, Picture, Resolution

_SPACES = {"grey": b"GRAY", "rgb": b"RGB "}
"""What a profile of either kind calls its colours; another kind of profile has no place."""


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
        return ("XMP (a bare codestream has no place for it)",) if picture.metadata.xmp else ()
    boxes = _source_boxes(source, picture) if isinstance(source, Jp2Boxes) else _new_boxes(picture)
    file.write(_assembled([(n, stream if n == b"jp2c" else b) for n, b in boxes]))
    return ()


def _commented(stream: bytes, comments: Iterable[bytes]) -> bytes:
    """A codestream with comments that it does not hold yet at the end of its main header."""
    places = list(main_header(memoryview(stream)))
    own, at = {stream[start:end] for start, end in places}, places[-1][1]
    return stream[:at] + b"".join(each for each in comments if each not in own) + stream[at:]


def _source_boxes(source: Jp2Boxes, picture: Picture) -> list[Box]:
    metadata, xmp = picture.metadata, picture.metadata.xmp
    stood = metadata_of(source.boxes, [])
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
    space = struct.pack(">BBBI", 1, 0, 0, SRGB if encoding.kind == "rgb" else GREY)
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


def _assembled(boxes: Sequence[Box]) -> bytes:
    parts: list[bytes] = []
    for name, body in boxes:
        if len(body) + 8 < 2**32:
            parts += [struct.pack(">I4s", len(body) + 8, name), body]
        else:
            parts += [struct.pack(">I4sQ", 1, name, len(body) + 16), body]
    return b"".join(parts)
