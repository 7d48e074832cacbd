"""Writing PNG: what stood in a PNG source stays, chunk for chunk."""

import mmap
import struct
import zlib
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from dunrestore.imaging.formats.png import (
    PROFILE_KEYWORD,
    SIGNATURE,
    XMP_KEYWORD,
    Chunk,
    PngChunks,
    metadata_of,
    serialised,
)
from dunrestore.imaging.palettes import expanded
from dunrestore.imaging.picture import Encoding, Metadata, Palette, Picture, Resolution, Samples
from dunrestore.imaging.rows import reserve

_LEVEL = 4
"""Deflate level: a quarter of the time of level 6, files 2.5 % larger."""
IN_MEMORY = 1 << 27
"""Bytes of samples beyond which image data are made in the file, not in memory. What is restored in
memory seldom has more, and may lie on a disk whose files cannot be mapped."""
_BEFORE, _AFTER = 33, 12
"""Bytes of a PNG's signature with its header, and of its end."""


def write(file: BinaryIO, picture: Picture) -> tuple[str, ...]:
    """Write a picture as PNG; what stood in its PNG source stays, chunk for chunk.

    Args:
        file: an empty file to write to.
        picture: what to write; no negative.

    Returns:
        What could not be kept, in words.
    """
    lost: list[str] = []
    if picture.encoding.palette is not None and not _fits(picture):
        picture = expanded(picture)
        lost.append("palette (written as RGB)")
    samples, encoding = picture.samples, picture.encoding
    if encoding.extra > 1:
        samples = samples[..., : encoding.channels + 1]
        lost.append("channels beyond alpha")
    chunks = _source_chunks(picture) or _new_chunks(picture)
    header = chunks[0][1][:12] + b"\0"  # not interlaced
    at = [name for name, _ in chunks].index(b"IDAT")
    file.write(SIGNATURE + serialised([(b"IHDR", header), *chunks[1:at]]))
    _write_image(file, _as_encoded(samples, encoding))
    file.write(serialised(chunks[at + 1 :]))
    return tuple(lost)


def _fits(picture: Picture) -> bool:
    """Whether a PNG palette, of 8 bits a colour and without an alpha plane, can hold a picture."""
    palette = picture.encoding.palette
    return palette is None or (
        not picture.encoding.extra and bool((palette.colours % (palette.maximum // 255) == 0).all())
    )


def _as_encoded(samples: Samples, encoding: Encoding) -> NDArray[Any]:
    """What libpng is given. Palette indices are packed as grey, whose bytes are the same."""
    bits = _index_bits(encoding.palette) if encoding.palette else 8
    array: NDArray[Any] = samples
    if bits < 8:
        rows, columns = samples.shape[:2]
        spread = np.zeros((rows, -(-columns * bits // 8) * 8 // bits), np.uint8)
        spread[:, :columns] = samples[..., 0]
        digits = np.unpackbits(spread[..., None], axis=2)[..., 8 - bits :]
        array = np.packbits(digits.reshape(rows, -1), axis=1)[..., None]
    squeezed = array[..., 0] if array.shape[2] == 1 else array
    return np.ascontiguousarray(squeezed)


def _write_image(file: BinaryIO, array: NDArray[Any]) -> None:
    """Write the chunks of image data, as libpng makes them between a header and an end."""
    # A byte more a row; what imagecodecs would make room for is not enough for narrow noise.
    room = array.nbytes + array.nbytes // 64 + array.shape[0] + 2**16
    if array.nbytes <= IN_MEMORY:
        with memoryview(bytearray(room)) as out, memoryview(_encoded(array, out)) as encoded:
            file.write(encoded[_BEFORE:-_AFTER])
        return
    # A large one's are made in the file, whose pages do not count as the program's memory.
    file.flush()
    start = file.tell() - _BEFORE
    reserve(file.fileno(), start + room)
    with mmap.mmap(file.fileno(), start + room) as mapped, memoryview(mapped) as whole:
        written = bytes(whole[start : start + _BEFORE])
        with whole[start:] as out, memoryview(_encoded(array, out)) as encoded:
            size = len(encoded)
        whole[start : start + _BEFORE] = written
    file.truncate(start + size - _AFTER)
    file.seek(0, 2)


def _encoded(array: NDArray[Any], out: memoryview) -> bytes | memoryview:
    """A PNG file, in ``out``."""
    return imagecodecs.png_encode(array, level=_LEVEL, out=out)  # pyright: ignore[reportReturnType, reportArgumentType]


def _index_bits(palette: Palette) -> int:
    return {2: 1, 4: 2, 16: 4}.get(palette.slots, 8)


def _source_chunks(picture: Picture) -> list[Chunk] | None:
    if not isinstance(picture.source, PngChunks):
        return None
    chunks = list(picture.source.chunks)
    palette = picture.encoding.palette
    if palette is not None:
        colours = palette.colours.astype(np.uint8).tobytes()
        changed = colours != picture.source.get(b"PLTE")
        chunks = [(n, colours if n == b"PLTE" else b) for n, b in chunks]
        chunks = [c for c in chunks if not (changed and c[0] == b"hIST")]
    return _with_metadata(chunks, metadata_of(picture.source), picture.metadata)


def _with_metadata(chunks: list[Chunk], stood: Metadata, metadata: Metadata) -> list[Chunk]:
    """The chunks with other EXIF, resources and XMP where these are not what stood in them."""
    if metadata.exif is not None:
        chunks = [(n, metadata.exif if n == b"eXIf" else b) for n, b in chunks]
    if metadata.photoshop != stood.photoshop:
        chunks = [c for c in chunks if not _is_text(c, PROFILE_KEYWORD.encode() + b"8bim")]
        if metadata.photoshop is not None:
            chunks.insert(1, _raw_profile_chunk("8bim", metadata.photoshop))
    if metadata.xmp is not None and metadata.xmp != stood.xmp:
        chunks = [c for c in chunks if not _is_text(c, XMP_KEYWORD)]
        chunks.insert(1, _xmp_chunk(metadata.xmp))
    return chunks


def _is_text(chunk: Chunk, keyword: bytes) -> bool:
    return chunk[0] in (b"iTXt", b"tEXt", b"zTXt") and chunk[1].startswith(keyword + b"\0")


def _xmp_chunk(xmp: bytes) -> Chunk:
    return b"iTXt", XMP_KEYWORD + b"\0" + b"\0\0\0\0" + xmp


def _new_chunks(picture: Picture) -> list[Chunk]:
    """Chunks for a picture that comes from another format."""
    encoding, metadata = picture.encoding, picture.metadata
    height, width = picture.samples.shape[:2]
    colour = {"grey": 0, "rgb": 2, "palette": 3}[encoding.kind]
    if encoding.extra and colour != 3:
        colour += 4
    bits = _index_bits(encoding.palette) if encoding.palette else picture.samples.dtype.itemsize * 8
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))]
    if metadata.icc is not None:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc, 9)))
    if metadata.exif is not None:
        chunks.append((b"eXIf", metadata.exif))
    chunks += _resolution_chunk(metadata.resolution)
    if metadata.xmp is not None:
        chunks.append(_xmp_chunk(metadata.xmp))
    for name, data in (("iptc", metadata.iptc), ("8bim", metadata.photoshop)):
        if data is not None:
            chunks.append(_raw_profile_chunk(name, data))
    for keyword, text in metadata.texts:
        key = keyword.encode("latin-1", "replace")[:79] or b"Comment"
        chunks.append((b"iTXt", key + b"\0\0\0\0\0" + text.encode()))
    if encoding.palette is not None:
        chunks += _palette_chunks(encoding.palette)
    return [*chunks, (b"IDAT", b""), (b"IEND", b"")]


def _resolution_chunk(resolution: Resolution | None) -> list[Chunk]:
    if resolution is None:
        return []
    metres = resolution.per_metre()
    x, y = metres or (float(resolution.x), float(resolution.y))
    if max(x, y) >= 2**31:
        return []
    return [(b"pHYs", struct.pack(">IIB", round(x), round(y), metres is not None))]


def _raw_profile_chunk(name: str, data: bytes) -> Chunk:
    digits = data.hex()
    lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    text = f"\n{name}\n{len(data):8d}\n{lines}\n".encode()
    return b"zTXt", f"{PROFILE_KEYWORD}{name}".encode() + b"\0\0" + zlib.compress(text, 9)


def _palette_chunks(palette: Palette) -> list[Chunk]:
    colours = (palette.colours // (palette.maximum // 255)).astype(np.uint8)
    alpha = [] if palette.opaque.all() else [(b"tRNS", palette.alpha.tobytes())]
    return [(b"PLTE", colours.tobytes()), *alpha]
