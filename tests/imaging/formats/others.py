"""PNG, JPEG, JPEG 2000 and WebP files of every form, put together from other libraries' output."""

import io
import struct
import zlib

import imagecodecs
import numpy as np
from hypothesis import strategies as st
from PIL import Image

from tests.imaging.formats.tiffs import ICC, IPTC, PHOTOSHOP, XMP

SRGB = (b"sRGB", b"\0")


def exif_block(orientation=1):
    """An EXIF block as Pillow writes it."""
    exif = Image.Exif()
    exif[274] = orientation
    exif[315] = "Qiu Ying"
    exif[33432] = "(c) Archive"
    exif.get_ifd(34665)[37510] = b"ASCII\0\0\0Cave 112"
    return exif.tobytes()[6:]


def with_thumbnail(block):
    """An EXIF block of Pillow's, with a second directory of a JPEG thumbnail."""
    order = "<" if block[:2] == b"II" else ">"
    block += b"\0" * (len(block) % 2)
    buffer = io.BytesIO()
    Image.new("RGB", (16, 8), (250, 250, 250)).save(buffer, "JPEG")
    at = len(block)
    rows = [(259, 3, 6 if order == "<" else 6 << 16), (513, 4, at + 42), (514, 4, buffer.tell())]
    directory = struct.pack(order + "H", 3)
    directory += b"".join(struct.pack(order + "HHII", tag, t, 1, v) for tag, t, v in rows)
    (first,) = struct.unpack(order + "I", block[4:8])
    link = first + 2 + 12 * struct.unpack(order + "H", block[first : first + 2])[0]
    block = block[:link] + struct.pack(order + "I", at) + block[link + 4 :]
    return block + directory + bytes(4) + buffer.getvalue()


def arrays(draw, kinds, bits):
    """(H, W, C) samples, sometimes noise, sometimes soft."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    channels = draw(st.sampled_from(kinds))
    depth = draw(st.sampled_from(bits))
    shape = draw(st.integers(1, 40)), draw(st.integers(1, 40)), channels
    array = rng.integers(0, 2**depth, shape, np.dtype(f"u{depth // 8}"))
    if draw(st.booleans()):
        array[:] = array[:1, :1]
    return array


def flat(array):
    return np.ascontiguousarray(array[..., 0] if array.shape[2] == 1 else array)


def png_chunks(data):
    """[(name, data)] of a PNG."""
    chunks, at = [], 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return chunks


def png_file(chunks):
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


PNG_EXTRAS = [
    (b"iCCP", b"a profile\0\0" + zlib.compress(ICC)),
    (b"gAMA", struct.pack(">I", 45455)),
    (b"cHRM", bytes(range(32))),
    (b"pHYs", struct.pack(">IIB", 23622, 23622, 1)),
    (b"eXIf", exif_block(6)),
    (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
    (b"tEXt", b"Title\0Cave 112"),
    (b"zTXt", b"Comment\0\0" + zlib.compress(b"long")),
    (b"tIME", bytes([7, 234, 11, 23, 10, 0, 0])),
    (b"prVt", b"a private chunk"),
]


@st.composite
def pngs(draw):
    if draw(st.booleans()):
        data = palette_png(draw)
    else:
        array = arrays(draw, [1, 2, 3, 4], [8, 16])
        data = bytes(imagecodecs.png_encode(flat(array)))
    chunks = png_chunks(data)
    extras = [extra for extra in PNG_EXTRAS if draw(st.booleans())]
    return png_file([chunks[0], *extras, *chunks[1:]])


def palette_png(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits = draw(st.sampled_from([1, 2, 4, 8]))
    shape = draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    indices = rng.integers(0, 2**bits, shape, np.uint8)
    image = Image.fromarray(indices, "L")
    image.putpalette(rng.integers(0, 256, 3 * 2**bits, np.uint8).tobytes())
    buffer = io.BytesIO()
    more = {"transparency": bytes(rng.integers(0, 256, 2**bits, np.uint8))}
    image.save(buffer, "PNG", bits=bits, **(more if draw(st.booleans()) else {}))
    return buffer.getvalue()


def jpeg_segments(data):
    """[(marker, data)] up to the first scan."""
    segments, at = [], 2
    while data[at + 1] != 0xDA:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        segments.append((data[at + 1], data[at + 4 : at + 2 + size]))
        at += 2 + size
    return segments


JPEG_EXTRAS = [
    (0xE1, b"Exif\0\0" + exif_block(8)),
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
    (0xE2, b"ICC_PROFILE\0\1\2" + ICC[:100]),
    (0xE2, b"ICC_PROFILE\0\2\2" + ICC[100:]),
    (0xED, b"Photoshop 3.0\0" + PHOTOSHOP),
    (0xE9, b"something private"),
    (0xFE, "敦煌".encode()),
]


@st.composite
def jpegs(draw):
    array = arrays(draw, [1, 3], [8])
    options = {"quality": draw(st.integers(30, 100)), "progressive": draw(st.booleans())}
    if array.shape[2] == 3:
        options["subsampling"] = draw(st.integers(0, 2))
        options["keep_rgb"] = options["subsampling"] == 0 and draw(st.booleans())
    if draw(st.booleans()):
        options["qtables"] = [[1 + (i * 7 + j) % 60 for j in range(64)] for i in range(2)]
        del options["quality"]
    buffer = io.BytesIO()
    soft = Image.fromarray(flat(array)).resize((draw(st.integers(1, 50)), draw(st.integers(1, 50))))
    soft.save(buffer, "JPEG", **options)
    data = buffer.getvalue()
    first = 4 + int.from_bytes(data[4:6], "big") if data[3] == 0xE0 else 2
    picked = [extra for extra in JPEG_EXTRAS if draw(st.booleans())]
    middle = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in picked
    )
    return data[:first] + middle + data[first:]


def box(name, body):
    return struct.pack(">I4s", len(body) + 8, name) + body


@st.composite
def jp2s(draw):
    array = arrays(draw, [1, 2, 3, 4], [8, 16])
    channels = array.shape[2]
    options = {"level": 0, "reversible": True, "codecformat": "j2k"}
    stream = bytes(imagecodecs.jpeg2k_encode(flat(array), **options))
    if draw(st.integers(0, 7)) == 0:
        return stream
    height, width = array.shape[:2]
    depth = array.dtype.itemsize * 8 - 1
    header = box(b"ihdr", struct.pack(">IIHBBBB", height, width, channels, depth, 7, 0, 0))
    space = b"\0\0\0\x10lcms\x04\x30\0\0mntr" + (b"RGB " if channels > 2 else b"GRAY") + bytes(40)
    colours = struct.pack(">BBBI", 1, 0, 0, 16 if channels > 2 else 17)
    header += box(b"colr", draw(st.sampled_from([colours, b"\2\0\0" + space])))
    if draw(st.booleans()):
        values = struct.pack(">HHHHbb", 30000, 127, 30000, 127, 2, 2)
        header += box(b"res ", box(b"resc", values))
    extras = [
        box(b"uuid", b"JpgTiffExif->JP2" + exif_block(3)),
        box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + XMP),
        box(b"uuid", bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38") + IPTC),
        box(b"xml ", b"<private/>"),
    ]
    before = b"".join(extra for extra in extras if draw(st.booleans()))
    after = box(b"uuid", bytes(16) + b"unknown") if draw(st.booleans()) else b""
    opening = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return opening + box(b"jp2h", header) + before + box(b"jp2c", stream) + after


@st.composite
def webps(draw):
    array = arrays(draw, [3, 4], [8])
    more = {"exif": b"Exif\0\0" + exif_block(5), "xmp": XMP, "icc_profile": ICC}
    picked = {name: value for name, value in more.items() if draw(st.booleans())}
    buffer = io.BytesIO()
    Image.fromarray(array).save(
        buffer, "WEBP", lossless=draw(st.booleans()), exact=True, method=0, **picked
    )
    return buffer.getvalue()
