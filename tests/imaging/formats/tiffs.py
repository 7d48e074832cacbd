"""TIFFs of every form, written by tifffile, with an EXIF directory of our own below them."""

import io
import struct

import numpy as np
import tifffile
from hypothesis import strategies as st

ICC = b"\0\0\0\x80lcms\x04\x30\0\0mntrRGB XYZ " + bytes(range(104))
XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x='
    b'"adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="x"/>'
    b'</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
IPTC = b"\x1c\x02\x00\x00\x02\x00\x04\x1c\x02\x50\x00\x05Qiu Y\x1c\x02\x78\x00\x03\xe6\x95\xa6"
PHOTOSHOP = (
    b"8BIM\x03\xed\0\0\0\0\0\x10\x02X\0\0\0\x01\0\x01\x02X\0\0\0\x01\0\x01"
    b"8BIM\x04\x25\0\0\0\0\0\x10" + bytes(range(16))
)
PHOTOMETRICS = {"grey": ["minisblack", "miniswhite"], "rgb": ["rgb"], "palette": ["palette"]}
STAND_IN = 34664
USER_COMMENT = b"ASCII\0\0\0Cave 112"


def exif_directory(offset, order, big=False):
    """Bytes at ``offset``: an EXIF directory with three tags and interoperability below it."""
    code, inline = ("Q", 8) if big else ("I", 4)
    count = struct.pack(order + ("Q" if big else "H"), 4)
    rows = 4 * (20 if big else 12)
    tail_at = offset + len(count) + rows + inline
    comment_at = tail_at
    exposure_at = comment_at + len(USER_COMMENT) + len(USER_COMMENT) % 2
    below_at = exposure_at + 8
    exposure = struct.pack(order + "II", 1, 125)

    def row(tag, type_, number, value):
        return struct.pack(order + "HH" + code, tag, type_, number) + value.ljust(inline, b"\0")

    def at(where):
        return struct.pack(order + code, where)

    pointer = 16 if big else 4
    table = (
        row(33434, 5, 1, exposure if big else at(exposure_at))
        + row(36864, 7, 4, b"0232")
        + row(37510, 7, len(USER_COMMENT), at(comment_at))
        + row(40965, pointer, 1, at(below_at))
    )
    inner = struct.pack(order + ("Q" if big else "H"), 1) + row(1, 2, 4, b"R98\0") + at(0)
    tail = USER_COMMENT + b"\0" * (len(USER_COMMENT) % 2) + exposure + inner
    return count + table + at(0) + tail


@st.composite
def pages(draw, kinds=("grey", "rgb", "palette")):
    """(array as tifffile wants it, keywords for tifffile) of one page."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    kind = draw(st.sampled_from(kinds))
    bits = 8 if kind == "palette" else draw(st.sampled_from([8, 16]))
    extra = 0 if kind == "palette" else draw(st.sampled_from([0, 0, 1, 2]))
    channels = (3 if kind == "rgb" else 1) + extra
    dtype = np.dtype(f"u{bits // 8}")
    array = rng.integers(0, 2**bits, (height, width, channels), dtype)
    if draw(st.booleans()):  # something that compresses
        array[:] = array[:1, :1]
    planar = draw(st.booleans()) if channels > 1 else False
    compression = draw(st.sampled_from([None, "lzw", "zlib", "zstd", "packbits"]))
    packable = compression in ("lzw", "zlib", "zstd")
    keywords = {
        "photometric": kind
        if kind != "grey"
        else draw(st.sampled_from(["minisblack", "miniswhite"])),
        "planarconfig": ("separate" if planar else "contig") if channels > 1 else None,
        "compression": compression,
        "predictor": 2 if packable and kind != "palette" and draw(st.booleans()) else None,
        "extrasamples": ["unassalpha", "unspecified"][:extra] if extra else None,
        "metadata": None,
        "software": False,
    }
    if draw(st.booleans()):
        keywords["tile"] = (16 * draw(st.integers(1, 2)), 16 * draw(st.integers(1, 3)))
    else:
        keywords["rowsperstrip"] = draw(st.integers(1, 50))
    if kind == "palette":
        keywords["colormap"] = rng.integers(0, 65536, (3, 256), np.uint16)
    if planar:
        array = np.moveaxis(array, 2, 0)
    elif channels == 1:
        array = array[..., 0]
    return array, keywords


def extra_tags(draw):
    """Tags with what archives put into them, any subset."""
    possible = [
        (
            270,
            2,
            None,
            draw(st.text("abc ", max_size=30)),
            True,
        ),
        (306, 2, None, "2026:11:23 10:00:00", True),
        (315, 2, None, "Qiu Ying", True),
        (33432, 2, None, "(c) Archive, 1994", True),
        (274, 3, 1, draw(st.integers(1, 8)), True),
        (700, 1, len(XMP), XMP, True),
        (33723, 7, len(IPTC), IPTC, True),
        (34377, 1, len(PHOTOSHOP), PHOTOSHOP, True),
        (34675, 7, len(ICC), ICC, True),
        (42016, 2, None, "0123456789abcdef", True),
        (65000, 12, 3, (1.5, -2.25, 3e300), True),
    ]
    return [tag for tag in possible if draw(st.booleans())]


@st.composite
def tiffs(draw, kinds=("grey", "rgb", "palette"), most_pages=3):
    """(file bytes, what tifffile was told)."""
    order, big = draw(st.sampled_from("<>")), draw(st.booleans())
    told = draw(st.lists(pages(kinds), min_size=1, max_size=most_pages))
    tags = [extra_tags(draw) for _ in told]
    with_exif = draw(st.booleans())
    resolution = draw(st.sampled_from([None, ((600, 1), (600, 1), 2), ((11811, 50), (300, 7), 3)]))

    def written(exif_at):
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer, bigtiff=big, byteorder=order) as tif:
            for i, (array, keywords) in enumerate(told):
                with_it = with_exif and i == 0
                more = [(STAND_IN, 16 if big else 4, 1, exif_at, True)] if with_it else []
                given = (
                    {}
                    if resolution is None
                    else {
                        "resolution": resolution[:2],
                        "resolutionunit": resolution[2],
                    }
                )
                tif.write(array, extratags=[*tags[i], *more], **keywords, **given)
        data = buffer.getvalue()
        return data + b"\0" * (len(data) % 2)

    data = written(8)
    if with_exif:
        at = len(data)
        data = written(at) + exif_directory(at, order, big)
        # tifffile refuses to write the EXIF tag, so its neighbour stands in for it until here.
        packing = order + ("HHQ" if big else "HHI")
        stand_in = struct.pack(packing, STAND_IN, 16 if big else 4, 1)
        assert data.count(stand_in) == 1
        data = data.replace(stand_in, struct.pack(packing, 34665, 16 if big else 4, 1))
    return data, told
