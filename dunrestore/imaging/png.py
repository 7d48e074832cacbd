"""PNG: chunks taken apart and put together here, samples through libpng (imagecodecs).

After the PNG specification, third edition (W3C, 2025).
"""

import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from dunrestore.errors import InputError
from dunrestore.imaging.exif import orientation_of, resolution_of
from dunrestore.imaging.limits import ASK_FOR_UNDAMAGED, check_size
from dunrestore.imaging.palettes import expanded
from dunrestore.imaging.picture import (
    Document,
    Encoding,
    Kind,
    Metadata,
    Palette,
    Picture,
    Resolution,
    Samples,
)

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp"
_PROFILE_KEYWORD = "Raw profile type "
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

Chunk = tuple[bytes, bytes]


@dataclass(frozen=True)
class PngChunks:
    """A PNG's chunks in file order; the image data as one empty ``IDAT``."""

    chunks: tuple[Chunk, ...]

    def get(self, name: bytes) -> bytes | None:
        """The data of the first chunk of that name."""
        return next((data for found, data in self.chunks if found == name), None)


def read(data: bytes, max_mpixels: float) -> Document:
    """Read a PNG file.

    Raises:
        InputError: if it is damaged, too large, animated or has fewer than 8 bits a sample.
    """
    chunks = _chunks(data)
    header = dict(chunks)[b"IHDR"]
    width, height, bits, colour, _, _, _ = struct.unpack(">IIBBBBB", header)
    check_size(width, height, max_mpixels)
    if colour not in _KINDS or (bits, colour == 3) in ((16, True),):
        raise InputError("the PNG header is damaged", next_step=ASK_FOR_UNDAMAGED)
    kind, extra = _KINDS[colour]
    if bits < 8 and kind == "grey":
        raise InputError(
            f"grey with {bits} bits a sample is not supported",
            next_step="convert it to 8 bits a sample",
        )
    if any(name == b"acTL" for name, _ in chunks):
        raise InputError("an animation is not supported", next_step="save one frame as a PNG")
    packed = sum(len(body) for name, body in chunks if name == b"IDAT")
    row_bits = width * bits * ({"grey": 1, "rgb": 3, "palette": 1}[kind] + extra)
    if packed * _MOST_DEFLATE_CAN < height * row_bits // 8:
        raise InputError("the file is cut short or damaged", next_step=ASK_FOR_UNDAMAGED)
    samples = _decode(chunks, bits, colour)
    source = PngChunks(tuple(_joined(chunks)))
    palette = _palette(source, bits) if kind == "palette" else None
    if palette is not None and int(samples.max()) >= len(palette.colours):
        raise InputError("a pixel's colour is missing in the palette", next_step=ASK_FOR_UNDAMAGED)
    encoding = Encoding(kind, 65535 if bits == 16 else 255, extra, palette=palette)
    bound = tuple(name for chunk, name in _ONLY_HERE.items() if source.get(chunk) is not None)
    if source.get(b"tRNS") is not None and palette is None:
        bound = (*bound, "transparent colour (tRNS)")
    return Document((Picture(samples, encoding, _metadata(source), source, bound),), "png")


def _chunks(data: bytes) -> list[Chunk]:
    chunks: list[Chunk] = []
    at = len(SIGNATURE)
    while not chunks or chunks[-1][0] != b"IEND":
        head = data[at : at + 8]
        size = int.from_bytes(head[:4], "big")
        body, check = data[at + 8 : at + 8 + size], data[at + 8 + size : at + 12 + size]
        if len(head) < 8 or len(check) < 4:
            raise InputError("the file is cut short", next_step=ASK_FOR_UNDAMAGED)
        if zlib.crc32(body, zlib.crc32(head[4:])) != int.from_bytes(check, "big"):
            raise InputError("a part of the file has a wrong checksum", next_step=ASK_FOR_UNDAMAGED)
        chunks.append((head[4:], body))
        at += 12 + size
    if chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13 or b"IDAT" not in dict(chunks):
        raise InputError("the PNG's parts are not in order", next_step=ASK_FOR_UNDAMAGED)
    return chunks


def _joined(chunks: list[Chunk]) -> list[Chunk]:
    """The chunks with one empty IDAT where the first stood."""
    first = [name for name, _ in chunks].index(b"IDAT")
    return [
        (name, b"" if name == b"IDAT" else body)
        for i, (name, body) in enumerate(chunks)
        if name != b"IDAT" or i == first
    ]


def _assembled(chunks: list[Chunk] | tuple[Chunk, ...]) -> bytes:
    parts = [SIGNATURE]
    for name, body in chunks:
        check = zlib.crc32(body, zlib.crc32(name))
        parts += [struct.pack(">I", len(body)), name, body, struct.pack(">I", check)]
    return b"".join(parts)


def _decode(chunks: list[Chunk], bits: int, colour: int) -> Samples:
    """Samples (H, W, C); palette indices are read as if they were grey."""
    header = chunks[0][1]
    plain = header[:9] + bytes([0 if colour == 3 else colour]) + header[10:]
    image = [(name, body) for name, body in chunks if name in (b"IDAT", b"IEND")]
    try:
        array: Any = imagecodecs.png_decode(_assembled([(b"IHDR", plain), *image]))
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"it cannot be decoded ({error})", next_step=ASK_FOR_UNDAMAGED) from error
    if colour == 3 and bits < 8:
        array = array // (255 // (2**bits - 1))  # libpng spreads 1, 2 and 4 bits over 0..255
    return array.reshape(*array.shape[:2], -1)


def _palette(source: PngChunks, bits: int) -> Palette:
    data = source.get(b"PLTE") or b""
    if not data or len(data) % 3 or len(data) > 768:
        raise InputError("the palette is damaged", next_step=ASK_FOR_UNDAMAGED)
    colours = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.uint16)
    stated = np.frombuffer(source.get(b"tRNS") or b"", np.uint8)[: len(colours)]
    alpha = np.full(len(colours), 255, np.uint8)
    alpha[: len(stated)] = stated
    return Palette(colours, 255, alpha, 2**bits)


def _metadata(source: PngChunks) -> Metadata:
    texts: list[tuple[str, str]] = []
    blocks: dict[str, bytes] = {}
    xmp = None
    for name, body in source.chunks:
        if name not in (b"tEXt", b"zTXt", b"iTXt"):
            continue
        keyword, text = _text(name, body)
        if keyword == XMP_KEYWORD.decode():
            xmp = text
        elif keyword.startswith(_PROFILE_KEYWORD):
            blocks[keyword.removeprefix(_PROFILE_KEYWORD)] = _raw_profile(text)
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


def write(document: Document) -> tuple[bytes, tuple[str, ...]]:
    """Encode a picture as PNG; what stood in its PNG source stays, chunk for chunk.

    Returns:
        The file's bytes, and what could not be kept, in words.
    """
    picture = document.pages[0]
    lost = ["further pages"] if len(document.pages) > 1 else []
    if picture.encoding.palette is not None and not _fits(picture):
        picture = expanded(picture)
        lost.append("palette (written as RGB)")
    samples, encoding = picture.samples, picture.encoding
    if encoding.extra > 1:
        samples = samples[..., : encoding.channels + 1]
        lost.append("channels beyond alpha")
    if encoding.white_is_zero:
        samples = np.concatenate([encoding.maximum - samples[..., :1], samples[..., 1:]], 2)
    chunks = _source_chunks(picture) or _new_chunks(picture)
    image = _encode(samples, encoding)
    header = chunks[0][1][:12] + b"\0"  # not interlaced
    at = [name for name, _ in chunks].index(b"IDAT")
    return _assembled(
        [(b"IHDR", header), *chunks[1:at], (b"IDAT", image), *chunks[at + 1 :]]
    ), tuple(lost)


def _fits(picture: Picture) -> bool:
    """Whether a PNG palette, of 8 bits a colour and without an alpha plane, can hold a picture."""
    palette = picture.encoding.palette
    return palette is None or (
        not picture.encoding.extra and bool((palette.colours % (palette.maximum // 255) == 0).all())
    )


def _encode(samples: Samples, encoding: Encoding) -> bytes:
    """The compressed image data. Palette indices are packed as grey, whose bytes are the same."""
    bits = _index_bits(encoding.palette) if encoding.palette else 8
    array: NDArray[Any] = samples
    if bits < 8:
        rows, columns = samples.shape[:2]
        spread = np.zeros((rows, -(-columns * bits // 8) * 8 // bits), np.uint8)
        spread[:, :columns] = samples[..., 0]
        digits = np.unpackbits(spread[..., None], axis=2)[..., 8 - bits :]
        array = np.packbits(digits.reshape(rows, -1), axis=1)[..., None]
    squeezed = array[..., 0] if array.shape[2] == 1 else array
    data = imagecodecs.png_encode(np.ascontiguousarray(squeezed), level=6)
    return b"".join(body for name, body in _chunks(bytes(data)) if name == b"IDAT")


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
    xmp = picture.metadata.xmp
    if xmp is not None and xmp != _metadata(picture.source).xmp:
        chunks = [
            c for c in chunks if not (c[0] in _TEXTS and c[1].startswith(XMP_KEYWORD + b"\0"))
        ]
        chunks.insert(1, _xmp_chunk(xmp))
    return chunks


_TEXTS = (b"iTXt", b"tEXt", b"zTXt")


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
    return b"zTXt", f"{_PROFILE_KEYWORD}{name}".encode() + b"\0\0" + zlib.compress(text, 9)


def _palette_chunks(palette: Palette) -> list[Chunk]:
    colours = (palette.colours // (palette.maximum // 255)).astype(np.uint8)
    alpha = [] if palette.opaque.all() else [(b"tRNS", palette.alpha.tobytes())]
    return [(b"PLTE", colours.tobytes()), *alpha]
