"""WebP: RIFF chunks taken apart and put together here, samples through libwebp (imagecodecs).

After RFC 9649. Pictures are always written lossless: what did not change stays exact.
"""

import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import imagecodecs
import numpy as np

from dunrestore.errors import InputError
from dunrestore.imaging.formats.encoded import BEHIND, Encoded
from dunrestore.imaging.limits import ASK_FOR_UNDAMAGED, check_size
from dunrestore.imaging.metadata.exif import block_of, orientation_of, resolution_of
from dunrestore.imaging.picture import Document, Encoding, Metadata, Picture
from dunrestore.imaging.pixels import as_samples, to_eight_bits

Chunk = tuple[bytes, bytes]

_ICC, _ALPHA, _EXIF, _XMP, _ANIMATION = 0x20, 0x10, 0x08, 0x04, 0x02
_EXIF_MARK = b"Exif\0\0"
"""Some programs write it, as in a JPEG, though it does not belong there."""
_IMAGE = {b"VP8 ", b"VP8L", b"ALPH"}


@dataclass(frozen=True)
class WebpChunks:
    """A WebP's chunks in file order without those of the image, and whether it was lossless."""

    before: tuple[Chunk, ...]
    after: tuple[Chunk, ...]
    lossless: bool


def recognise(head: bytes) -> bool:
    """Whether a file that begins with ``head`` (12 bytes at least) is a WebP."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def read(encoded: Encoded, max_mpixels: float | None) -> Document:
    """Read a WebP file.

    Raises:
        FileAccessError: if there is no room for a large picture.
        InputError: if it is damaged, too large or animated.
    """
    data = encoded.data
    chunks = [
        # Of the image only the header is taken apart here.
        (name, data[start : min(end, start + 10) if name in _IMAGE else end])
        for name, start, end in _places(data)
    ]
    names = [name for name, _ in chunks]
    found = dict(chunks)
    if b"ANIM" in names or b"ANMF" in names:
        raise InputError("an animation is not supported", next_step="save one frame as a PNG")
    at = next((i for i, name in enumerate(names) if name in _IMAGE), None)
    if at is None:
        raise InputError("the WebP holds no picture", next_step=ASK_FOR_UNDAMAGED)
    width, height, alpha = _header(found)
    check_size(width, height, max_mpixels)
    samples = encoded.room(height, width, 3 + alpha, np.uint8)
    array = samples[:]
    try:
        imagecodecs.webp_decode(data, hasalpha=alpha, out=array)
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"it cannot be decoded ({error})", next_step=ASK_FOR_UNDAMAGED) from error
    last = max(i for i, name in enumerate(names) if name in _IMAGE)
    before = tuple(chunk for chunk in chunks[:at] if chunk[0] != b"VP8X")
    source = WebpChunks(before, tuple(chunks[last + 1 :]), b"VP8L" in names)
    exif = found.get(b"EXIF")
    bare = exif.removeprefix(_EXIF_MARK) if exif is not None else None
    metadata = Metadata(
        icc=found.get(b"ICCP"),
        exif=bare,
        xmp=found.get(b"XMP "),
        resolution=resolution_of(bare),
        orientation=orientation_of(bare),
    )
    encoding, lossy = Encoding("rgb", extra=int(alpha)), "" if source.lossless else "lossy WebP"
    behind = (BEHIND,) if len(data) > _end(data) + _end(data) % 2 else ()
    page = Picture(
        as_samples(samples), encoding, metadata, source, left_out=behind, recompressed=lossy
    )
    return Document((page,), "webp")


def _end(data: bytes | mmap.mmap) -> int:
    """Where the file says that it ends."""
    return 8 + int.from_bytes(data[4:8], "little")


def _places(data: bytes | mmap.mmap) -> list[tuple[bytes, int, int]]:
    """(name, where its data begin, where they end) of each chunk."""
    last = _end(data)
    places: list[tuple[bytes, int, int]] = []
    start = 20
    while start - 8 < last:
        name = data[start - 8 : start - 4]
        end = start + int.from_bytes(data[start - 4 : start], "little")
        if end > last or last > len(data):
            raise InputError("the file is cut short or damaged", next_step=ASK_FOR_UNDAMAGED)
        places.append((name, start, end))
        start = end + (end - start) % 2 + 8
    return places


def _header(found: dict[bytes, bytes]) -> tuple[int, int, bool]:
    """(width, height, has alpha)."""
    if len(extended := found.get(b"VP8X", b"")) >= 10:
        width, height = (int.from_bytes(extended[i : i + 3], "little") + 1 for i in (4, 7))
        return width, height, bool(extended[0] & _ALPHA)
    if len(lossless := found.get(b"VP8L", b"")) >= 5:
        bits = int.from_bytes(lossless[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    lossy = found.get(b"VP8 ", b"").ljust(10, b"\0")
    width, height = struct.unpack("<HH", lossy[6:10])
    return width & 0x3FFF, height & 0x3FFF, False


def write(file: BinaryIO, picture: Picture) -> tuple[str, ...]:
    """Write a picture as lossless WebP; what stood in its WebP source stays, chunk for chunk.

    Args:
        file: an empty file to write to.
        picture: what to write; no palette.

    Returns:
        What could not be kept, in words.
    """
    height, width = picture.samples.shape[:2]
    samples, lost = _as_rgb(picture)
    whole = bytes(imagecodecs.webp_encode(samples, lossless=True, level=50, method=2))
    image = next(whole[start:end] for name, start, end in _places(whole) if name == b"VP8L")
    before, after = _around(picture)
    flags = _ALPHA * (samples.shape[2] == 4)
    for name, flag in ((b"ICCP", _ICC), (b"EXIF", _EXIF), (b"XMP ", _XMP)):
        flags |= flag * any(found == name for found, _ in (*before, *after))
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    extended = (b"VP8X", bytes([flags, 0, 0, 0]) + sides)
    file.write(_assembled([extended, *before, (b"VP8L", image), *after]))
    return tuple(lost)


def _as_rgb(picture: Picture) -> tuple[Any, list[str]]:
    """8-bit RGB, with alpha if there is one."""
    samples, encoding = picture.samples, picture.encoding
    lost: list[str] = []
    colour, alpha = samples[..., : encoding.channels], samples[..., encoding.channels :]
    if encoding.white_is_zero:
        colour = encoding.maximum - colour
    if encoding.kind == "grey":
        colour = np.repeat(colour, 3, axis=2)
        lost.append("grey (written as RGB)")
    if encoding.extra > 1:
        lost.append("channels beyond alpha")
    joined = np.concatenate([colour, alpha[..., :1]], axis=2)
    if encoding.maximum > 255:
        lost.append("16 bits a sample (written with 8)")
    return np.ascontiguousarray(to_eight_bits(joined)), lost


def _around(picture: Picture) -> tuple[Sequence[Chunk], Sequence[Chunk]]:
    """The chunks before and after the image."""
    metadata, source = picture.metadata, picture.source
    xmp = [] if metadata.xmp is None else [(b"XMP ", metadata.xmp)]
    if isinstance(source, WebpChunks):
        before, after = (
            [_with_exif(chunk, metadata.exif) for chunk in chunks]
            for chunks in (source.before, source.after)
        )
        if not xmp or xmp[0] in after:
            return before, after
        return before, [*(c for c in after if c[0] != b"XMP "), *xmp]
    icc = [] if metadata.icc is None else [(b"ICCP", metadata.icc)]
    block = block_of(metadata)
    exif = [] if block is None else [(b"EXIF", block)]
    return icc, [*exif, *xmp]


def _with_exif(chunk: Chunk, exif: bytes | None) -> Chunk:
    name, data = chunk
    if name != b"EXIF" or exif is None:
        return chunk
    return name, _EXIF_MARK + exif if data.startswith(_EXIF_MARK) else exif


def _assembled(chunks: Sequence[Chunk]) -> bytes:
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body
