"""JPEG: segments taken apart and put together here, samples through libjpeg-turbo.

After ITU-T T.81, JFIF 1.02, and the XMP and ICC specifications for what goes into APPn segments.
"""

import io
import mmap
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO, Literal

import numpy as np
import simplejpeg
from PIL import Image, ImageFile, JpegImagePlugin

from dunrestore.errors import InputError
from dunrestore.imaging.formats.encoded import BEHIND, Encoded
from dunrestore.imaging.limits import ASK_FOR_UNDAMAGED, check_size
from dunrestore.imaging.metadata import photoshop
from dunrestore.imaging.metadata.exif import orientation_of, resolution_of
from dunrestore.imaging.picture import Document, Encoding, Metadata, Picture, Resolution
from dunrestore.imaging.pixels import as_samples, to_eight_bits

Segment = tuple[int, bytes]

SOS, COM = 0xDA, 0xFE
APP0, APP1, APP2, APP13, APP14 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_READABLE_FRAMES = {0xC0, 0xC1, 0xC2}
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
EXIF_MARK = b"Exif\0\0"
XMP_MARK = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED_XMP_MARK = b"http://ns.adobe.com/xmp/extension/\0"
ICC_MARK = b"ICC_PROFILE\0"
PHOTOSHOP_MARK = b"Photoshop 3.0\0"
_ONLY_HERE = {EXTENDED_XMP_MARK: "extended XMP", b"MPF\0": "further pictures (MPF)"}
_MOST = 65533
_QUALITY = 95


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
    segments, scan, end = _segments(data)
    marker, frame = _frame(segments)
    _, height, width, components = struct.unpack(">BHHB", frame[:6])
    check_size(width, height, max_mpixels)
    header = _needed_header(segments)
    first_scan = _segment(SOS, next(d for m, d in segments if m == SOS))
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
    bound = [name for mark, name in _ONLY_HERE.items() if any(mark in d[:40] for _, d in segments)]
    if _icc(segments) is None and any(d.startswith(ICC_MARK) for _, d in segments):
        bound.append("ICC profile (incomplete in the source)")
    behind = (BEHIND,) if len(data) > end else ()
    metadata = _metadata(source.segments)
    page = Picture(as_samples(samples), encoding, metadata, source, tuple(bound), behind)
    return Document((page,), "jpeg")


def _frame(segments: list[Segment]) -> Segment:
    """The frame header, if it is of a kind that is supported."""
    marker, frame = next(((m, d) for m, d in segments if m in _FRAMES), (0, b""))
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


def _segments(data: bytes | mmap.mmap) -> tuple[list[Segment], int, int]:
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
        _segment(marker, body)
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


def _metadata(segments: tuple[Segment, ...]) -> Metadata:
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


def write(file: BinaryIO, picture: Picture) -> tuple[str, ...]:
    """Write a picture as JPEG, a JPEG source's way: its tables, its subsampling, its segments.

    Args:
        file: an empty file to write to.
        picture: what to write; no palette.

    Returns:
        What could not be kept, in words.
    """
    lost: list[str] = []
    samples, encoding = picture.samples, picture.encoding
    if encoding.extra:
        lost.append("alpha")
        samples = samples[..., : encoding.channels]
    if encoding.maximum > 255:
        samples = to_eight_bits(samples)
        lost.append("16 bits a sample (written with 8)")
    if encoding.white_is_zero:
        samples = 255 - samples
    squeezed = samples[..., 0] if samples.shape[2] == 1 else samples
    image = Image.fromarray(np.ascontiguousarray(squeezed, np.uint8))
    source = picture.source
    encoded = _encode(image, source if isinstance(source, JpegSegments) else None)
    if isinstance(source, JpegSegments):
        lost += _form_lost(source, encoded)
        header, more = _with_metadata(source.segments, picture.metadata)
    else:
        header, more = _new_segments(picture.metadata)
        lost.append("samples exactly (JPEG)")
    head = b"".join(_segment(marker, data) for marker, data in header)
    file.write(b"\xff\xd8" + head)
    file.write(memoryview(encoded)[_first_table(encoded) :])
    return (*lost, *more)


def _encode(image: Image.Image, source: JpegSegments | None) -> bytes:
    options: dict[str, Any] = {"quality": _QUALITY, "subsampling": 0}
    if source is not None:
        options = {"progressive": source.progressive, "keep_rgb": source.rgb}
        options["qtables"] = [list(table) for table in source.tables]
        if image.mode == "RGB":
            options["subsampling"] = max(source.subsampling, 0)
    # Pillow's encoder fails where a file has more bytes than pixels, as with grain and fine tables.
    # Not set back: several threads may encode.
    room = 2 * image.width * image.height * len(image.getbands())
    ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, room)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", optimize=True, **options)
    return buffer.getvalue()


def _first_table(encoded: bytes) -> int:
    at = 2
    while APP0 <= encoded[at + 1] <= 0xEF or encoded[at + 1] == COM:
        at += 2 + int.from_bytes(encoded[at + 2 : at + 4], "big")
    return at


def _form_lost(source: JpegSegments, encoded: bytes) -> list[str]:
    """Whether tables and subsampling came out as they were in the source."""
    lost: list[str] = []
    frame = next(d for m, d in _segments(encoded)[0] if m in _FRAMES)
    opened = JpegImagePlugin.JpegImageFile(io.BytesIO(encoded))
    tables = [tuple(opened.quantization[key]) for key in sorted(opened.quantization)]
    if frame[7::3] != source.frame[7::3]:
        lost.append("chroma subsampling (written in full)")
    if tables != list(source.tables):
        lost.append("quantisation tables")
    return lost


def _segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def _with_metadata(
    segments: tuple[Segment, ...], metadata: Metadata
) -> tuple[list[Segment], list[str]]:
    """The segments with other EXIF, resources and XMP, and what is too long for them."""
    stood, kept = _metadata(segments), list(segments)
    if stood.exif is not None and metadata.exif is not None:
        new = (APP1, EXIF_MARK + metadata.exif)
        kept = [new if s == (APP1, EXIF_MARK + stood.exif) else s for s in kept]
    if metadata.photoshop != stood.photoshop:
        kept = _with_photoshop(kept, metadata.photoshop or b"")
    xmp = metadata.xmp
    if xmp is None or xmp == stood.xmp:
        return kept, []
    if len(xmp) > _MOST - len(XMP_MARK):
        return kept, ["XMP (too long for JPEG)"]
    kept = [s for s in kept if not (s[0] == APP1 and s[1].startswith(XMP_MARK))]
    at = next((i for i, (m, d) in enumerate(kept) if m != APP0 and d[:6] != EXIF_MARK), len(kept))
    return [*kept[:at], (APP1, XMP_MARK + xmp), *kept[at:]], []


def _with_photoshop(segments: list[Segment], blocks: bytes) -> list[Segment]:
    """The segments with other resources where the first of them stood."""
    ours = [m == APP13 and d.startswith(PHOTOSHOP_MARK) for m, d in segments]
    at = ours.index(True) if any(ours) else len(ours)
    most = _MOST - len(PHOTOSHOP_MARK)
    new = [(APP13, PHOTOSHOP_MARK + blocks[i : i + most]) for i in range(0, len(blocks), most)]
    kept = [s for s, is_ours in zip(segments[at:], ours[at:], strict=True) if not is_ours]
    return [*segments[:at], *new, *kept]


def _new_segments(metadata: Metadata) -> tuple[list[Segment], list[str]]:
    """Segments for a picture that comes from another format, and what is too long for them."""
    segments: list[Segment] = [(APP0, _jfif(metadata.resolution))]
    blocks = metadata.photoshop or b""
    if metadata.iptc is not None and photoshop.iptc(blocks) is None:
        blocks += photoshop.resource(photoshop.IPTC, metadata.iptc)
    lost: list[str] = []
    for marker, mark, data, name in (
        (APP1, EXIF_MARK, metadata.exif, "EXIF"),
        (APP1, XMP_MARK, metadata.xmp, "XMP"),
        (APP13, PHOTOSHOP_MARK, blocks or None, "8BIM"),
    ):
        if data is None:
            continue
        if len(mark) + len(data) <= _MOST:
            segments.append((marker, mark + data))
        else:
            lost.append(f"{name} (too long for JPEG)")
    parts = (
        [metadata.icc[i : i + 65000] for i in range(0, len(metadata.icc or b""), 65000)]
        if metadata.icc
        else []
    )
    segments += [
        (APP2, ICC_MARK + bytes([i, len(parts)]) + part) for i, part in enumerate(parts, 1)
    ]
    return segments + [(COM, text.encode()[:_MOST]) for _, text in metadata.texts], lost


def _jfif(resolution: Resolution | None) -> bytes:
    unit, x, y = 0, 1, 1
    if resolution is not None and resolution.unit != "none":
        rounded = round(resolution.x), round(resolution.y)
        if min(rounded) > 0 and max(rounded) < 65536:
            unit, (x, y) = (1 if resolution.unit == "inch" else 2), rounded
    return b"JFIF\0" + struct.pack(">HBHHBB", 0x0102, unit, x, y, 0, 0)
