"""Large pictures of other formats than TIFF: tiles one by one, or decoded into a file."""

import contextlib
import errno
import io
import itertools
import os
import struct
import tracemalloc
import zlib
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dunrestore.errors import FileAccessError, InputError, OutputCheckError
from dunrestore.imaging import files, rows
from dunrestore.imaging.formats import encoded, jp2_tiles, png_write
from dunrestore.imaging.formats.jp2_rows import Jp2Rows
from dunrestore.imaging.picture import Document, Encoding, Picture
from dunrestore.imaging.rows import StoredRows
from tests.imaging.formats.others import box, flat, jp2s, jpegs, png_chunks, png_file, pngs, webps

QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "I;16": 1}
SOT, EOC = b"\xff\x90", b"\xff\xd9"


def in_part(path, data, make=np.empty):
    """The samples of a file as those of a large picture are read."""
    path.write_bytes(data)
    return files.read(path, in_part=0, make=make).pages[0].samples


LEAST = 16
"""What a tile shows of a picture at least, along each side: for less, OpenJPEG's encoder fails on
assertions or writes beyond its memory."""


@st.composite
def sides(draw):
    """(start of the image, its length, length of a tile, start of the first) along one side."""
    tile, first = draw(st.integers(24, 60)), draw(st.integers(0, 20))
    into = draw(st.integers(0, tile - LEAST))
    inside = tile - into
    length = draw(
        st.one_of(
            st.integers(LEAST, inside),
            st.tuples(st.integers(0, 1), st.integers(LEAST, tile)).map(
                lambda more: inside + more[0] * tile + more[1]
            ),
        )
    )
    return first + into, length, tile, first


@st.composite
def tiled(draw):
    """Codestreams of every form that Pillow writes."""
    mode = draw(st.sampled_from(sorted(MODES)))
    channels = MODES[mode]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x, y = draw(sides()), draw(sides())
    offset, (width, height), tile, first = zip(x, y, strict=True)
    array = rng.integers(0, 65536 if mode == "I;16" else 256, (height, width, channels))
    image = Image.fromarray(flat(array.astype(np.uint16 if mode == "I;16" else np.uint8)))
    lossy = draw(st.booleans())
    levels = draw(st.integers(0, 2 if lossy else 4))
    options = {
        "tile_size": tile,
        "offset": offset,
        "tile_offset": first,
        "num_resolutions": levels + 1,
        "progression": draw(st.sampled_from(["LRCP", "RLCP", "RPCL", "PCRL", "CPRL"])),
        "irreversible": lossy,
        "mct": draw(st.integers(0, 1)) if channels >= 3 else 0,
        "plt": draw(st.booleans()),
    }
    if draw(st.booleans()):
        options |= {"quality_mode": "rates", "quality_layers": [20, 5, 2]}
    if draw(st.booleans()):
        options |= {"codeblock_size": (8, 16), "precinct_size": (32, 16)}
    buffer = io.BytesIO()
    image.save(buffer, "JPEG2000", no_jp2=True, **options)
    return buffer.getvalue()


@settings(QUICK, max_examples=100)
@given(tiled(), st.lists(st.integers(0, 180), min_size=4, max_size=4))
def test_tiles_one_by_one_are_what_the_whole_is(tmp_path, data, cuts):
    whole = imagecodecs.jpeg2k_decode(data)
    samples = in_part(tmp_path / "a.j2k", data)
    assert isinstance(samples, Jp2Rows) == (data.count(SOT + b"\0\x0a") > 1)
    assert samples.shape[:2] == whole.shape[:2]
    assert samples.dtype == whole.dtype
    whole = whole.reshape(samples.shape)
    np.testing.assert_array_equal(samples[:], whole)
    for start, stop in itertools.pairwise(cuts):
        np.testing.assert_array_equal(samples[start:stop], whole[start:stop])
    if isinstance(samples, Jp2Rows):
        parts = [samples[rows] for rows in samples.segment_rows()]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def one_tile(array, **options):
    """The main header of a codestream of one tile, and the tile's data from SOD on."""
    made = imagecodecs.jpeg2k_encode(flat(array), codecformat="j2k", mct=False, **options)
    stream = bytes(made)
    at = stream.index(SOT + b"\0\x0a")
    return stream[:at], stream[at + 12 : -2]


def tile_part(tile, data, number, count, *, is_open=False):
    size = 0 if is_open else 12 + len(data)
    return struct.pack(">2sHHIBB", SOT, 10, tile, size, number, count) + data


def joined(array, side=64, extra=b"", *, parts=1, is_open=False, **options):
    """A codestream of square tiles that begin where their wavelets' steps do."""
    height, width = array.shape[:2]
    corners = [(y, x) for y in range(0, height, side) for x in range(0, width, side)]
    tiles = [one_tile(array[y : y + side, x : x + side], **options) for y, x in corners]
    header = tiles[0][0]
    sizes = struct.pack(">8I", width, height, 0, 0, side, side, 0, 0)
    streams = [
        [tile_part(i, b"\xff\x93" if n < parts - 1 else data, n, parts) for n in range(parts)]
        for i, (_, data) in enumerate(tiles)
    ]
    if is_open:
        streams[-1][-1] = tile_part(len(tiles) - 1, tiles[-1][1], parts - 1, parts, is_open=True)
    body = b"".join(stream[n] for n in range(parts) for stream in streams)
    return header[:8] + sizes + header[40:] + extra + body + EOC


def soft(channels, dtype, size=(160, 224)):
    rng = np.random.default_rng(channels)
    coarse = rng.integers(0, np.iinfo(dtype).max - 9, (size[0] // 4, size[1] // 4, channels))
    whole = np.kron(coarse, np.ones((4, 4, 1), np.int64)) + rng.integers(0, 9, (*size, channels))
    return whole.astype(dtype)


UNUSED = b"\xff\x55\0\x04\0\0" + b"\xff\x57\0\x03\0" + b"\xff\x64\0\x08\0\1tile"
"""Empty lists of lengths, and a comment."""


@pytest.mark.parametrize("reversible", [True, False])
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tile_parts_in_turns(tmp_path, dtype, channels, parts, reversible):
    array = soft(channels, dtype)
    options = {"level": 0, "reversible": True} if reversible else {"level": 90}
    data = joined(array, extra=UNUSED, parts=parts, is_open=True, resolutions=2, **options)
    samples = in_part(tmp_path / "a.j2k", data)
    assert isinstance(samples, Jp2Rows)
    np.testing.assert_array_equal(samples[:], imagecodecs.jpeg2k_decode(data).reshape(array.shape))
    if reversible:
        np.testing.assert_array_equal(samples[:], array)


def test_a_tile_is_decoded_once_in_a_pass_from_top_to_bottom(tmp_path, monkeypatch):
    array = soft(3, np.uint8)
    data = joined(array, level=0, reversible=True, resolutions=2)
    samples = in_part(tmp_path / "a.j2k", data)
    decoded = []
    plain = Jp2Rows._read  # in the calling thread; what is read is decoded
    monkeypatch.setattr(
        Jp2Rows, "_read", lambda self, *which: decoded.append(which[1]) or plain(self, *which)
    )
    for top in range(0, 160, 23):
        np.testing.assert_array_equal(samples[top : top + 23], array[top : top + 23])
    assert decoded == list(range(3 * 4))


@pytest.mark.parametrize("extra", [b"", b"\xff\x60\0\x03\0"])
def test_one_tile_and_packed_headers_are_left_to_the_decoder(extra):
    array = soft(1, np.uint8)
    data = joined(array, side=64 if extra else 512, extra=extra, resolutions=2)
    assert jp2_tiles.find_tiles(data, 0, len(data), 1) is None


def test_tiles_are_found_behind_boxes(tmp_path):
    array = soft(3, np.uint8)
    stream = joined(array, level=0, reversible=True, resolutions=2)
    header = box(b"ihdr", struct.pack(">IIHBBBB", 160, 224, 3, 7, 7, 0, 0))
    header += box(b"colr", struct.pack(">BBBI", 1, 0, 0, 16))
    opening = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    data = opening + box(b"jp2h", header) + box(b"jp2c", stream) + box(b"uuid", bytes(40))
    samples = in_part(tmp_path / "a.jp2", data)
    assert isinstance(samples, Jp2Rows)
    np.testing.assert_array_equal(samples[:], array)


def nth_part(data, n):
    at = -1
    for _ in range(n + 1):
        at = data.index(SOT + b"\0\x0a", at + 1)
    return at


def spoilt(data, kind):
    """A codestream of twelve tiles, damaged."""
    at = nth_part(data, 2)
    patches = {
        "longer than the file": (6, struct.pack(">I", 2**32 - 1)),
        "shorter than its header": (6, struct.pack(">I", 5)),
        "open in the middle": (6, bytes(4)),
        "of another tile": (4, struct.pack(">H", 1)),
        "of no tile": (4, struct.pack(">H", 99)),
        "the wrong one": (10, b"\1"),
        "of another length": (2, b"\0\x0b"),
        "no tile-part": (0, b"\xff\x91"),
    }
    if kind == "missing":
        return data[:at] + data[nth_part(data, 3) :]
    if kind == "absurd tiles":
        return data[:24] + struct.pack(">II", 0, 1) + data[32:]
    if kind == "too many tiles":
        return data[:24] + struct.pack(">II", 1, 1) + data[32:]
    if kind == "tiles beside the image":
        return data[:32] + struct.pack(">II", 1, 1) + data[40:]
    if kind == "header without an end":
        first = nth_part(data, 0)
        return data[:first] + b"\xff\x64\0\x02" * 70_000 + data[first:]
    if kind == "far too large":
        tail = data[nth_part(data, 3) :]
        size = nth_part(data, 3) - at + 2_000_000
        return (
            data[: at + 6]
            + struct.pack(">I", size)
            + data[at + 10 : -len(tail)]
            + (bytes(2_000_000) + tail)
        )
    offset, patch = patches[kind]
    return data[: at + offset] + patch + data[at + offset + len(patch) :]


KINDS = (
    "longer than the file",
    "shorter than its header",
    "open in the middle",
    "of another tile",
    "of no tile",
    "the wrong one",
    "of another length",
    "no tile-part",
    "missing",
    "absurd tiles",
    "too many tiles",
    "tiles beside the image",
    "header without an end",
    "far too large",
)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_tile_parts_are_one_clear_line(tmp_path, kind):
    data = joined(soft(1, np.uint8), level=0, reversible=True, resolutions=2)
    assert isinstance(in_part(tmp_path / "a.j2k", data), Jp2Rows)
    with pytest.raises(InputError) as caught:
        in_part(tmp_path / "a.j2k", spoilt(data, kind))
    assert "damaged" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_many_tile_parts_are_refused(tmp_path, monkeypatch):
    data = joined(soft(1, np.uint8), parts=3, resolutions=2)
    assert in_part(tmp_path / "a.j2k", data).shape == (160, 224, 1)
    monkeypatch.setattr(jp2_tiles, "_MOST_PARTS", 10)
    with pytest.raises(InputError, match="too many tile-parts"):
        in_part(tmp_path / "a.j2k", data)


def test_a_file_cut_after_it_was_opened_is_one_line(tmp_path):
    path = tmp_path / "a.j2k"
    data = joined(soft(1, np.uint8), level=0, reversible=True, resolutions=2)
    samples = in_part(path, data)
    path.write_bytes(data[:-500])
    with pytest.raises(InputError, match="cut short") as caught:
        samples[:]
    assert str(caught.value).startswith(f"{path}: it cannot be decoded")


@settings(QUICK, max_examples=6)
@given(tiled(), st.lists(st.integers(0, 2**31), min_size=30, max_size=30))
def test_cut_or_flipped_tiles_end_in_an_error_or_a_picture(tmp_path, data, places):
    path = tmp_path / "a.j2k"
    whole = in_part(path, data)[:]
    for place in places:
        with contextlib.suppress(InputError):
            np.testing.assert_array_equal(in_part(path, data[: place % len(data)])[:], whole)
        flipped = bytearray(data)
        flipped[place % len(data)] ^= 1 << (place // len(data)) % 8
        with contextlib.suppress(InputError):
            assert in_part(path, flipped)[:].ndim == 3


def adam7(array):
    """An interlaced PNG of (H, W, C) samples."""
    height, width, channels = array.shape
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
    passes += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    lines = []
    for top, left, down, across in passes:
        part = array[top::down, left::across]
        stored = part.astype(part.dtype.newbyteorder(">"))
        lines += [b"\0" + row.tobytes() for row in stored if row.size]
    bits = array.dtype.itemsize * 8
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 1)
    image = zlib.compress(b"".join(lines))
    return png_file([(b"IHDR", header), (b"IDAT", image), (b"IEND", b"")])


@pytest.fixture
def stored(tmp_path):
    """A way to make room on the disk that lists what was made."""

    def make(shape, dtype):
        make.made.append(StoredRows(tmp_path / f"room {len(make.made)}", shape, dtype))
        return make.made[-1]

    make.made = []
    return make


@QUICK
@given(st.one_of(pngs(), jpegs(), jp2s(), webps()))
def test_the_same_samples_come_to_the_disk(tmp_path, data):
    path = tmp_path / "a"

    def make(shape, dtype):
        (tmp_path / "room").unlink(missing_ok=True)
        return StoredRows(tmp_path / "room", shape, dtype)

    path.write_bytes(data)
    (small,), (large,) = files.read(path).pages, files.read(path, in_part=0, make=make).pages
    assert isinstance(large.samples, StoredRows) == (small.encoding.palette is None)
    np.testing.assert_array_equal(large.samples[:], small.samples)
    assert (large.metadata, large.source) == (small.metadata, small.source)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_interlaced_pngs_come_to_the_disk(tmp_path, stored, channels, dtype, caplog):
    array = soft(channels, dtype, (44, 52))[:43, :51]
    samples = in_part(tmp_path / "a.png", adam7(array), stored)
    assert samples is stored.made[0]
    np.testing.assert_array_equal(samples[:], array)
    assert caplog.records == []  # libpng's own line would end on stderr


@QUICK
@given(st.one_of(pngs(), jpegs(), webps(), jp2s()))
def test_a_mapped_file_is_decoded_alike_and_never_changed(tmp_path, monkeypatch, data):
    path = tmp_path / "a"
    path.write_bytes(data)
    (page,) = files.read(path).pages
    with monkeypatch.context() as patch:
        patch.setattr(encoded, "READ_AT_ONCE", 0)
        (mapped,) = files.read(path).pages
    np.testing.assert_array_equal(mapped.samples, page.samples)
    assert (mapped.metadata, mapped.source) == (page.metadata, page.source)
    assert path.read_bytes() == data


def big(kind):
    array = soft(3, np.uint8, (600, 800))
    if kind == "interlaced png":
        return adam7(array)
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **({"lossless": True} if kind == "webp" else {}))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["png", "interlaced png", "jpeg", "webp"])
def test_samples_and_file_are_not_in_memory(tmp_path, monkeypatch, stored, kind):
    monkeypatch.setattr(encoded, "READ_AT_ONCE", 0)
    data = big(kind)
    in_part(tmp_path / "a", data)  # what the first call alone allocates
    tracemalloc.start()
    try:
        samples = in_part(tmp_path / "a", data, stored)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert samples is stored.made[0]
    assert peak < 600 * 800 * 3 / 4


@QUICK
@given(pngs())
def test_a_png_made_in_its_file_has_the_same_bytes(tmp_path, monkeypatch, data):
    path = tmp_path / "a.png"
    path.write_bytes(data)
    document = files.read(path)
    files.write(document, path, overwrite=True)
    wanted = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(png_write, "IN_MEMORY", -1)
        files.write(document, path, overwrite=True)
    assert path.read_bytes() == wanted


class Unreadable:
    """Rows on the disk that nobody should ask for."""

    def __init__(self, samples):
        self.shape, self.dtype, self.nbytes = samples.shape, samples.dtype, samples.nbytes

    def __getitem__(self, rows):
        raise AssertionError("these rows are not written")


NARROW = [(300, 2, 1), (20_000, 3, 1), (3000, 1, 3), (200_000, 1, 1)]


@pytest.mark.parametrize("in_memory", [-1, 1 << 27])
@pytest.mark.parametrize("size", [(900, 1000, 3), (1, 200_000, 3), *NARROW])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_png_that_grows_has_room(tmp_path, monkeypatch, size, dtype, in_memory):
    monkeypatch.setattr(png_write, "IN_MEMORY", in_memory)
    top = np.iinfo(dtype).max
    noise = np.random.default_rng(0).integers(0, top, size, dtype, endpoint=True)
    encoding = Encoding("grey" if size[2] == 1 else "rgb", int(top))
    path = tmp_path / "a.png"
    files.write(Document((Picture(noise, encoding),), "png"), path)
    assert path.stat().st_size > noise.nbytes
    np.testing.assert_array_equal(files.read(path).pages[0].samples, noise)


def test_no_room_for_a_large_png_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor, _offset, size):
        os.ftruncate(descriptor, size // 2)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(png_write, "IN_MEMORY", -1)
    monkeypatch.setattr(os, "posix_fallocate", full)
    document = Document((Picture(soft(3, np.uint8, (40, 60)), Encoding("rgb")),), "png")
    with pytest.raises(FileAccessError, match="no space left"):
        files.write(document, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_without_the_systems_way_to_reserve_room_it_is_written_to(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with (tmp_path / "a").open("xb+", buffering=0) as file:
        file.write(b"begun")
        rows.reserve(file.fileno(), 3_000_001)
        assert os.fstat(file.fileno()).st_blocks * 512 >= 3_000_001
        assert os.fstat(file.fileno()).st_size == 3_000_001
        file.seek(0)
        assert file.read() == b"begun" + bytes(3_000_001 - 5)


@pytest.mark.parametrize("stays", [False, True])
def test_of_several_pages_only_the_first_is_encoded(tmp_path, stored, stays):
    pages = [Picture(soft(3, np.uint8, (40, 60)) + n, Encoding("rgb")) for n in range(3)]
    if stays:
        pages[1:] = [replace(page, samples=Unreadable(page.samples)) for page in pages[1:]]
    written = files.write(Document(tuple(pages), "tiff"), tmp_path / "a.png", format="png")
    assert written.lost == ("further pages",)
    np.testing.assert_array_equal(files.read(tmp_path / "a.png").pages[0].samples, pages[0].samples)


def test_a_large_file_that_is_not_as_written_leaves_no_room_behind(tmp_path, monkeypatch, stored):
    write = png_write.write

    def another_picture(file, page):
        return write(file, replace(page, samples=page.samples[::-1]))

    monkeypatch.setitem(files._WRITERS, "png", another_picture)
    samples = in_part(tmp_path / "a.png", big("png"), stored)
    document = Document((Picture(samples, Encoding("rgb")),), "png")
    with pytest.raises(OutputCheckError, match="other pixels") as caught:
        files.write(document, tmp_path / "b.png")
    assert caught.value.__traceback__ is not None  # which holds what was read back
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "room 0"]


def test_a_large_png_is_written_and_read_back_without_being_in_memory(
    tmp_path, monkeypatch, stored
):
    monkeypatch.setattr(png_write, "IN_MEMORY", 0)
    monkeypatch.setattr(encoded, "READ_AT_ONCE", 0)
    monkeypatch.setattr(rows, "AT_ONCE", 1 << 14)
    samples = in_part(tmp_path / "a.png", big("png"), stored)
    document = Document((Picture(samples, Encoding("rgb")),), "png")
    files.write(document, tmp_path / "first.png")  # what the first call alone allocates
    tracemalloc.start()
    try:
        files.write(document, tmp_path / "b.png")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 600 * 800 * 3 / 4
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.png",
        "b.png",
        "first.png",
        "room 0",
    ]


def test_a_png_whose_image_data_are_not_in_one_piece(tmp_path):
    array = soft(3, np.uint8, (40, 60))
    header, (_, image), end = png_chunks(bytes(imagecodecs.png_encode(array)))
    parts = [(b"IDAT", image[:100]), (b"tEXt", b"Title\0Cave 112"), (b"IDAT", image[100:])]
    samples = in_part(tmp_path / "a.png", png_file([header, *parts, end]))
    np.testing.assert_array_equal(samples, array)


def test_what_cannot_be_mapped_is_read(monkeypatch):
    monkeypatch.setattr(encoded, "READ_AT_ONCE", 0)
    assert encoded.read_encoded(io.BytesIO(b"picture"))[:] == b"picture"  # it has no descriptor


def test_a_file_that_becomes_shorter_is_refused():
    class Shrinking(io.BytesIO):
        def seek(self, offset, whence=0):
            return super().seek(offset, whence) + (5 if whence == 2 else 0)

    with pytest.raises(InputError, match="cut short"):
        encoded.read_encoded(Shrinking(b"picture"))


def test_an_old_jpeg_in_a_tiff_comes_to_the_disk(tmp_path, stored):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, soft(1, np.uint8)[..., 0], compression="jpeg", rowsperstrip=160)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["Compression"].overwrite(6)
    (page,) = files.read(path).pages
    (large,) = files.read(path, in_part=0, make=stored).pages
    assert large.samples is stored.made[0]
    np.testing.assert_array_equal(large.samples[:], page.samples)
