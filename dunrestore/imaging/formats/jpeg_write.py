"""Writing JPEG a JPEG source's way: its tables, its subsampling, its segments.

Segments are put together here, samples compressed by Pillow's libjpeg-turbo.
"""

import io
import struct
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile, JpegImagePlugin

from dunrestore.imaging.formats.jpeg import (
    APP0,
    APP1,
    APP2,
    APP13,
    COM,
    EXIF_MARK,
    FRAMES,
    ICC_MARK,
    MPF_MARK,
    PHOTOSHOP_MARK,
    XMP_MARK,
    JpegSegments,
    Segment,
    metadata_of,
    segments_of,
    serialised,
)
from dunrestore.imaging.metadata import photoshop
from dunrestore.imaging.picture import Metadata, Picture, Resolution
from dunrestore.imaging.pixels import to_eight_bits

_MOST = 65533
_QUALITY = 95


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
    head = b"".join(serialised(marker, data) for marker, data in header)
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
    frame = next(d for m, d in segments_of(encoded)[0] if m in FRAMES)
    opened = JpegImagePlugin.JpegImageFile(io.BytesIO(encoded))
    tables = [tuple(opened.quantization[key]) for key in sorted(opened.quantization)]
    if frame[7::3] != source.frame[7::3]:
        lost.append("chroma subsampling (written in full)")
    if tables != list(source.tables):
        lost.append("quantisation tables")
    return lost


def _with_metadata(
    segments: tuple[Segment, ...], metadata: Metadata
) -> tuple[list[Segment], list[str]]:
    """The segments with other EXIF, resources and XMP, without an index of further pictures, which
    are not written; and what is too long for them."""
    stood, kept = metadata_of(segments), [s for s in segments if not s[1].startswith(MPF_MARK)]
    if stood.exif is not None and metadata.exif is not None:
        new = (APP1, EXIF_MARK + metadata.exif)
        kept = [new if s == (APP1, EXIF_MARK + stood.exif) else s for s in kept]
    if metadata.photoshop != stood.photoshop:
        kept = _with_photoshop(kept, metadata.photoshop or b"")
    xmp = metadata.xmp
    if xmp is None or xmp == stood.xmp:
        return kept, []
    if len(xmp) > _MOST - len(XMP_MARK):
        stays = "" if stood.xmp is None else "; the source's stays, without what was done"
        return kept, [f"XMP (too long for JPEG{stays})"]
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
