"""Reading JPEG: segments taken apart here, samples through libjpeg-turbo.

After ITU-T T.81, JFIF 1.02, and the XMP and ICC specifications for what goes into APPn segments.
"""

import io
import mmap
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import simplejpeg
from PIL import JpegImagePlugin

from dunrestore.errors import InputError
from dunrestore.imaging.formats.encoded import BEHIND, Encoded
from dunrestore.imaging.limits import ASK_FOR_UNDAMAGED, check_size
from dunrestore.imaging.metadata import photoshop
from dunrestore.imaging.metadata.exif import orientation_of, resolution_of
from dunrestore.imaging.picture import Document, Encoding, Metadata, Picture, Resolution
from dunrestore.imaging.pixels import as_samples

Segment = tuple[int, bytes]

SOS, COM = 0xDA, 0xFE
APP0, APP1, APP2, APP13, APP14 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_READABLE_FRAMES = {0xC0, 0xC1, 0xC2}
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
EXIF_MARK = b"Exif\0\0"
XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED_XMP_MARK = b"http://ns.adobe.com/xmp/extension/\0"
ICC_MARK = b"ICC_PROFILE\0"
PHOTOSHOP_MARK = b"Photoshop 3.0\0"
MPF_MARK = b"MPF\0"
"""Of an index of further pictures, which stand behind the first one's end."""
FURTHER = "further pictures (MPF)"


@dataclass(frozen=True)
class JpegSegments:
    """A JPEG's header segments in file order, and how it was compressed.

    Attributes:
        segments: (marker, data) of APPn and COM.
        frame: data of the frame header.
        tables: quantisation tables by number, in natural order.
        subsampling: Pillow's name for the chroma subsampling; -1 where it has none.
        progressive: whether it was progressive.
        rgb: stored as RGB, not as brightness and colour differences.
    """

    segments: tuple[Segment, ...]
    frame: bytes
    tables: tuple[tuple[int, ...], ...]
    subsampling: int
    progressive: bool
    rgb: bool


def read(encoded: Encoded, max_mpixels: float | None) -> Document:
    """Read a JPEG file.

    Raises:
        FileAccessError: if there is no room for a large picture.
        InputError: if it is damaged, too large, or of a kind that is not supported.
    """
    data = encoded.data
    segments, scan, end = segments_of(data)
    marker, frame = _frame(segments)
    _, height, width, components = struct.unpack(">BHHB", frame[:6])
    check_size(width, height, max_mpixels)
    header = _needed_header(segments)
    first_scan = serialised(SOS, next(d for m, d in segments if m == SOS))
    samples = encoded.room(height, width, components, np.uint8)
    array = samples[:]
    try:
        # Unlike the other decoders at hand, this one can be told to refuse damaged scan data.
        space = "GRAY" if components == 1 else "RGB"
        bare = _after(header, data, scan, end)
        found: Any = simplejpeg.decode_jpeg(bare, colorspace=space, buffer=array, strict=True)
        opened = JpegImagePlugin.JpegImageFile(io.BytesIO(header + first_scan))
        tables = {key: tuple(table) for key, table in opened.quantization.items()}
        subsampling = JpegImagePlugin.get_sampling(opened)
    except (RuntimeError, ValueError, OSError, SyntaxError, struct.error) as error:
        raise InputError(f"it cannot be decoded ({error})", next_step=ASK_FOR_UNDAMAGED) from error
    if found.shape != array.shape:
        raise InputError("the JPEG header is damaged", next_step=ASK_FOR_UNDAMAGED)
    source = JpegSegments(
        tuple((m, d) for m, d in segments if APP0 <= m <= 0xEF or m == COM),
        frame,
        tuple(tables[key] for key in sorted(tables)),
        subsampling,
        marker == 0xC2,
        components == 3 and _is_rgb(segments, frame),
    )
    encoding = Encoding("grey" if components == 1 else "rgb")
    page = Picture(
        as_samples(samples),
        encoding,
        metadata_of(source.segments),
        source,
        _bound(segments),
        _left_out(segments, further=len(data) > end),
    )
    return Document((page,), "jpeg")


def _bound(segments: list[Segment]) -> tuple[str, ...]:
    """What only a JPEG can hold."""
    found: list[str] = []
    if any(data.startswith(EXTENDED_XMP_MARK) for _, data in segments):
        found.append("extended XMP")
    if _icc(segments) is None and any(data.startswith(ICC_MARK) for _, data in segments):
        found.append("ICC profile (incomplete in the source)")
    return tuple(found)


def _left_out(segments: list[Segment], *, further: bool) -> tuple[str, ...]:
    """What is never written again; ``further``: there is something behind the picture's end."""
    indexed = any(data.startswith(MPF_MARK) for _, data in segments)
    return (*([FURTHER] if indexed else []), *([BEHIND] if further else []))


def _frame(segments: list[Segment]) -> Segment:
    """The frame header, if it is of a kind that is supported."""
    marker, frame = next(((m, d) for m, d in segments if m in FRAMES), (0, b""))
    if len(frame) < 6 + 3 or len(frame) < 6 + 3 * frame[5]:
        raise InputError("the JPEG header is damaged", next_step=ASK_FOR_UNDAMAGED)
    if marker not in _READABLE_FRAMES or frame[0] != 8:
        raise InputError(
            "this kind of JPEG (lossless, arithmetic or 12 bits) is not supported",
            next_step="convert it to TIFF",
        )
    if frame[5] not in (1, 3):
        raise InputError(
            "a CMYK JPEG is not supported",
            next_step="convert it to RGB with the colour management of your choice first",
        )
    return marker, frame


def segments_of(data: bytes | mmap.mmap) -> tuple[list[Segment], int, int]:
    """All marker segments, where the first scan begins, and where the picture ends."""
    segments: list[Segment] = []
    at, scan = 2, 0
    while True:
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        head = data[at : at + 4]
        if head[:2] == b"\xff\xd9" and any(m == SOS for m, _ in segments):
            return segments, scan, at + 2
        if len(head) < 4 or head[0] != 0xFF:
            raise InputError("the file is cut short or damaged", next_step=ASK_FOR_UNDAMAGED)
        size = int.from_bytes(head[2:], "big")
        body = data[at + 4 : at + 2 + size]
        if size < 2 or len(body) != size - 2:
            raise InputError("the file is cut short or damaged", next_step=ASK_FOR_UNDAMAGED)
        segments.append((head[1], body))
        at += 2 + size
        if head[1] == SOS:
            scan = scan or at - 2 - size
            found = _MARKER_IN_SCAN.search(data, at)
            if found is None:
                raise InputError("the file is cut short", next_step=ASK_FOR_UNDAMAGED)
            at = found.start()


def _needed_header(segments: list[Segment]) -> bytes:
    """What decoding needs of what stands before the first scan: a damaged profile says nothing
    about the samples."""
    first = next(i for i, (marker, _) in enumerate(segments) if marker == SOS)
    needed = [
        serialised(marker, body)
        for marker, body in segments[:first]
        if marker in (APP0, APP14) or not (APP0 <= marker <= 0xEF or marker == COM)
    ]
    return b"\xff\xd8" + b"".join(needed)


def _after(header: bytes, data: mmap.mmap, scan: int, end: int) -> memoryview:
    """A JPEG of a header and the scans, which stay where they are: the header, no longer than
    what stands before them, is written over that."""
    data[scan - len(header) : scan] = header
    return memoryview(data)[scan - len(header) : end]


def _is_rgb(segments: list[Segment], frame: bytes) -> bool:
    adobe = next((d for m, d in segments if m == APP14 and d[:5] == b"Adobe"), b"")
    if len(adobe) >= 12:
        return adobe[11] == 0
    if any(m == APP0 and d[:5] == b"JFIF\0" for m, d in segments):
        return False
    return bytes(frame[6 + 3 * i] for i in range(3)) == b"RGB"


def metadata_of(segments: tuple[Segment, ...]) -> Metadata:
    """What segments say."""

    def first(marker: int, mark: bytes) -> bytes | None:
        found = (d for m, d in segments if m == marker and d.startswith(mark))
        return next((d[len(mark) :] for d in found), None)

    exif = first(APP1, EXIF_MARK)
    blocks = b"".join(
        d[len(PHOTOSHOP_MARK) :] for m, d in segments if m == APP13 and d.startswith(PHOTOSHOP_MARK)
    )
    return Metadata(
        icc=_icc(segments),
        exif=exif,
        xmp=first(APP1, XMP_MARK),
        iptc=photoshop.iptc(blocks),
        photoshop=blocks or None,
        resolution=_resolution(first(APP0, b"JFIF\0"), exif),
        orientation=orientation_of(exif),
        texts=tuple(("Comment", d.decode("utf-8", "replace")) for m, d in segments if m == COM),
    )


def _icc(segments: Sequence[Segment]) -> bytes | None:
    """The profile, if all its parts are there."""
    parts = sorted(d[len(ICC_MARK) :] for m, d in segments if m == APP2 and d.startswith(ICC_MARK))
    numbers = [bytes([i, len(parts)]) for i in range(1, len(parts) + 1)]
    if not parts or [part[:2] for part in parts] != numbers:
        return None
    return b"".join(part[2:] for part in parts)


def _resolution(jfif: bytes | None, exif: bytes | None) -> Resolution | None:
    exact = resolution_of(exif)
    if exact is not None or jfif is None or len(jfif) < 7:
        return exact
    unit, x, y = struct.unpack(">BHH", jfif[2:7])
    units: dict[int, Literal["inch", "cm"]] = {1: "inch", 2: "cm"}
    if unit not in units or not x or not y:
        return None
    return Resolution(Fraction(x), Fraction(y), units[unit])


def serialised(marker: int, data: bytes) -> bytes:
    """A segment as it stands in a file."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data
