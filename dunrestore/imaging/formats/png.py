"""Reading PNG: chunks taken apart here, samples through libpng (imagecodecs).

After the PNG specification, third edition (W3C, 2025).
"""

import logging
import mmap
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import imagecodecs
import numpy as np

from dunrestore.errors import InputError
from dunrestore.imaging.formats.encoded import BEHIND, Encoded
from dunrestore.imaging.limits import ASK_FOR_UNDAMAGED, check_size
from dunrestore.imaging.metadata.exif import orientation_of, resolution_of
from dunrestore.imaging.picture import (
    Document,
    Encoding,
    Kind,
    Metadata,
    Palette,
    Picture,
    Resolution,
)
from dunrestore.imaging.pixels import as_samples
from dunrestore.imaging.rows import WritableRows

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp"
PROFILE_KEYWORD = "Raw profile type "
_MOST_DEFLATE_CAN = 1040
"""Deflate makes at most about 1032 bytes of one."""
_LARGEST_ANCILLARY = 2**28
_KINDS: dict[int, tuple[Kind, int]] = {
    0: ("grey", 0),
    2: ("rgb", 0),
    3: ("palette", 0),
    4: ("grey", 1),
    6: ("rgb", 1),
}

_ONLY_HERE = {
    b"gAMA": "gamma (gAMA)",
    b"cHRM": "primaries (cHRM)",
    b"sRGB": "statement that it is sRGB",
    b"cICP": "coding of colours (cICP)",
    b"sBIT": "significant bits (sBIT)",
    b"bKGD": "background (bKGD)",
    b"tIME": "time of change (tIME)",
}

# libpng says so of every interlaced picture, all of which come out right.
logging.getLogger("imagecodecs").addFilter(
    lambda record: "Interlace handling should be turned on" not in record.getMessage()
)

Chunk = tuple[bytes, bytes]
Place = tuple[bytes, int, int]
"""(name, where its data begin, where they end) of a chunk in a file."""


@dataclass(frozen=True)
class PngChunks:
    """A PNG's chunks in file order; the image data as one empty ``IDAT``."""

    chunks: tuple[Chunk, ...]

    def get(self, name: bytes) -> bytes | None:
        """The data of the first chunk of that name."""
        return next((data for found, data in self.chunks if found == name), None)


def read(encoded: Encoded, max_mpixels: float | None) -> Document:
    """Read a PNG file.

    Raises:
        FileAccessError: if there is no room for a large picture.
        InputError: if it is damaged, too large, animated or has fewer than 8 bits a sample.
    """
    data = encoded.data
    places = _places(data)
    source = PngChunks(tuple(_joined(data, places)))
    header = source.chunks[0][1]
    width, height, bits, colour, _, _, _ = struct.unpack(">IIBBBBB", header)
    check_size(width, height, max_mpixels)
    if colour not in _KINDS or (bits, colour == 3) in ((16, True),):
        raise InputError("the PNG header is damaged", next_step=ASK_FOR_UNDAMAGED)
    kind, extra = _KINDS[colour]
    if bits < 8 and kind == "grey" and not encoded.any_depth:  # libpng spreads them over 0..255
        raise InputError(
            f"grey with {bits} bits a sample is not supported",
            next_step="convert it to 8 bits a sample",
        )
    if source.get(b"acTL") is not None:
        raise InputError("an animation is not supported", next_step="save one frame as a PNG")
    packed = sum(end - start for name, start, end in places if name == b"IDAT")
    channels = {"grey": 1, "rgb": 3, "palette": 1}[kind] + extra
    row_bits = width * bits * channels
    if packed * _MOST_DEFLATE_CAN < height * row_bits // 8:
        raise InputError("the file is cut short or damaged", next_step=ASK_FOR_UNDAMAGED)
    palette = _palette(source, bits) if kind == "palette" else None
    if palette is not None:
        samples = np.empty((height, width, 1), np.uint8)
        _decode(_bare(data, places, header[:9] + b"\0" + header[10:]), samples)  # as if grey
        if bits < 8:
            samples //= 255 // (2**bits - 1)  # libpng spreads 1, 2 and 4 bits over 0..255
        if int(samples.max()) >= len(palette.colours):
            raise InputError(
                "a pixel's colour is missing in the palette", next_step=ASK_FOR_UNDAMAGED
            )
    else:
        samples = encoded.room(height, width, channels, np.uint16 if bits == 16 else np.uint8)
        _decode(_bare(data, places, header), samples)
    encoding = Encoding(kind, 65535 if bits == 16 else 255, extra, palette=palette)
    encoding = replace(encoding, transparent=_transparent(source, encoding))
    bound = tuple(name for chunk, name in _ONLY_HERE.items() if source.get(chunk) is not None)
    if source.get(b"tRNS") is not None and palette is None:
        bound = (*bound, "transparent colour (tRNS)")
    behind = (BEHIND,) if len(data) > places[-1][2] + 4 else ()
    page = Picture(as_samples(samples), encoding, metadata_of(source), source, bound, behind)
    return Document((page,), "png")


def _places(data: bytes | mmap.mmap) -> list[Place]:
    """The chunks of a file, each with its checksum verified."""
    places: list[Place] = []
    start = len(SIGNATURE) + 8
    while not places or places[-1][0] != b"IEND":
        head = data[start - 8 : start]
        end = start + int.from_bytes(head[:4], "big")
        if len(head) < 8 or end + 4 > len(data):
            raise InputError("the file is cut short", next_step=ASK_FOR_UNDAMAGED)
        with memoryview(data)[start:end] as body:
            check = zlib.crc32(body, zlib.crc32(head[4:]))
        if check != int.from_bytes(data[end : end + 4], "big"):
            raise InputError("a part of the file has a wrong checksum", next_step=ASK_FOR_UNDAMAGED)
        places.append((head[4:], start, end))
        start = end + 12
    name, start, end = places[0]
    if name != b"IHDR" or end - start != 13 or not any(name == b"IDAT" for name, _, _ in places):
        raise InputError("the PNG's parts are not in order", next_step=ASK_FOR_UNDAMAGED)
    return places


def _joined(data: mmap.mmap, places: Sequence[Place]) -> list[Chunk]:
    """The chunks with one empty IDAT where the first stood."""
    first = [name for name, _, _ in places].index(b"IDAT")
    return [
        (name, b"" if name == b"IDAT" else data[start:end])
        for i, (name, start, end) in enumerate(places)
        if name != b"IDAT" or i == first
    ]


def serialised(chunks: Sequence[Chunk]) -> bytes:
    """Chunks as they stand in a file."""
    parts: list[bytes] = []
    for name, body in chunks:
        check = zlib.crc32(body, zlib.crc32(name))
        parts += [struct.pack(">I", len(body)), name, body, struct.pack(">I", check)]
    return b"".join(parts)


def _bare(data: mmap.mmap, places: Sequence[Place], header: bytes) -> memoryview | bytes:
    """A PNG of the image data alone: what other chunks say must not change the samples.

    Its header and end are written over what stands around the image data, which are the largest
    part of the file and stay where they are.
    """
    image = [(start, end) for name, start, end in places if name == b"IDAT"]
    opening, ending = SIGNATURE + serialised([(b"IHDR", header)]), serialised([(b"IEND", b"")])
    first, last = image[0][0] - 8, image[-1][1] + 4
    if last - first != sum(12 + end - start for start, end in image):  # against the specification
        return opening + serialised([(b"IDAT", data[s:e]) for s, e in image]) + ending
    data[first - len(opening) : first] = opening
    data[last : last + len(ending)] = ending
    return memoryview(data)[first - len(opening) : last + len(ending)]


def _decode(png: Any, samples: WritableRows) -> None:
    """Decode into ``samples`` (H, W, C)."""
    array = samples[:]
    try:
        imagecodecs.png_decode(png, out=array)
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"it cannot be decoded ({error})", next_step=ASK_FOR_UNDAMAGED) from error


def _palette(source: PngChunks, bits: int) -> Palette:
    data = source.get(b"PLTE") or b""
    if not data or len(data) % 3 or len(data) > 768:
        raise InputError("the palette is damaged", next_step=ASK_FOR_UNDAMAGED)
    colours = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.uint16)
    stated = np.frombuffer(source.get(b"tRNS") or b"", np.uint8)[: len(colours)]
    alpha = np.full(len(colours), 255, np.uint8)
    alpha[: len(stated)] = stated
    return Palette(colours, 255, alpha, 2**bits)


def _transparent(source: PngChunks, encoding: Encoding) -> tuple[int, ...] | None:
    stated, channels = source.get(b"tRNS"), encoding.channels
    if stated is None or len(stated) != 2 * channels or encoding.kind == "palette":
        return None
    if encoding.extra:  # against the specification
        return None
    return tuple(value & encoding.maximum for value in struct.unpack(f">{channels}H", stated))


def metadata_of(source: PngChunks) -> Metadata:
    """What the chunks say beside the image."""
    texts: list[tuple[str, str]] = []
    blocks: dict[str, bytes] = {}
    xmp = None
    for name, body in source.chunks:
        if name not in (b"tEXt", b"zTXt", b"iTXt"):
            continue
        keyword, text = _text(name, body)
        if keyword == XMP_KEYWORD.decode():
            xmp = text
        elif keyword.startswith(PROFILE_KEYWORD):
            blocks[keyword.removeprefix(PROFILE_KEYWORD)] = _raw_profile(text)
        else:
            texts.append(
                (keyword, text.decode("utf-8" if name == b"iTXt" else "latin-1", "replace"))
            )
    exif = source.get(b"eXIf")
    return Metadata(
        icc=_icc(source.get(b"iCCP")),
        exif=exif,
        xmp=xmp,
        iptc=blocks.get("iptc"),
        photoshop=blocks.get("8bim"),
        resolution=_resolution(source.get(b"pHYs"), exif),
        orientation=orientation_of(exif),
        texts=tuple(texts),
    )


def _inflate(data: bytes) -> bytes:
    try:
        stream = zlib.decompressobj()
        plain = stream.decompress(data, _LARGEST_ANCILLARY)
    except zlib.error as error:
        raise InputError("its metadata are damaged", next_step=ASK_FOR_UNDAMAGED) from error
    if not stream.eof:
        raise InputError("its metadata are cut short", next_step=ASK_FOR_UNDAMAGED)
    return plain


def _icc(body: bytes | None) -> bytes | None:
    if body is None:
        return None
    _, _, rest = body.partition(b"\0")
    return _inflate(rest[1:])


def _text(name: bytes, body: bytes) -> tuple[str, bytes]:
    keyword, _, rest = body.partition(b"\0")
    if name == b"zTXt":
        rest = _inflate(rest[1:])
    elif name == b"iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:]
        _, _, rest = rest.partition(b"\0")  # language
        _, _, rest = rest.partition(b"\0")  # translated keyword
        rest = _inflate(rest) if packed else rest
    return keyword.decode("latin-1"), rest


def _raw_profile(text: bytes) -> bytes:
    """ImageMagick's and ExifTool's way of keeping a block in a PNG: name, length, hexadecimal."""
    _, _, digits = text.strip().split(b"\n", 1)[-1].strip().partition(b"\n")
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return b""


def _resolution(body: bytes | None, exif: bytes | None) -> Resolution | None:
    exact = resolution_of(exif)
    if body is None or len(body) != 9:
        return exact
    x, y, unit = struct.unpack(">IIB", body)
    if not x or not y:
        return exact
    if unit != 1:
        return Resolution(Fraction(x), Fraction(y), "none")
    stated = Resolution(Fraction(x, 100), Fraction(y, 100), "cm")
    metres = exact.per_metre() if exact else None
    rounded = metres is not None and (round(metres[0]), round(metres[1])) == (x, y)
    return exact if rounded else stated
