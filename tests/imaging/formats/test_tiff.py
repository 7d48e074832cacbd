"""TIFF: any form in, the same form out, every tag's bytes as they stood."""

import io
import logging
import threading
import time

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from dunrestore.errors import InputError
from dunrestore.imaging import files, in_order, pixels, rows
from dunrestore.imaging.formats import tiff
from dunrestore.imaging.formats.tiff_rows import TiffRows
from dunrestore.imaging.in_order import each_part
from dunrestore.imaging.metadata import ifd
from tests.imaging.formats.tiffs import ICC, IPTC, PHOTOSHOP, USER_COMMENT, XMP, tiffs

PLACES = {ifd.STRIP_OFFSETS, ifd.STRIP_BYTES, ifd.TILE_OFFSETS, ifd.TILE_BYTES}
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def raw_tags(data):
    directories, big = tiff.read_tags(io.BytesIO(data))
    return [flat(directory) for directory in directories], big


def flat(directory):
    """{tag: (type, count, bytes)}, with directories below in place of their offsets."""
    return {
        entry.tag: flat(entry.below) if entry.below else (entry.type, entry.count, entry.data)
        for entry in directory.entries
        if entry.tag not in PLACES
    }


def form(page):
    return (
        page.shape, page.dtype, page.compression, page.predictor, page.planarconfig,
        page.photometric, page.tile, page.rowsperstrip, page.extrasamples,
        page.parent.byteorder, page.parent.is_bigtiff,
    )  # fmt: skip


@QUICK
@given(tiffs())
def test_what_is_read_and_written_is_the_same_file_again(tmp_path, made):
    data, told = made
    source, target = tmp_path / "in.tif", tmp_path / "out.tif"
    source.write_bytes(data)
    document = files.read(source)
    assert len(document.pages) == len(told)
    written = files.write(document, target, overwrite=True)
    assert written.lost == ()
    assert written.notes == ()
    assert raw_tags(target.read_bytes()) == raw_tags(data)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(target) as after:
        for one, other, (array, _) in zip(before.pages, after.pages, told, strict=True):
            assert np.array_equal(other.asarray(), array)
            assert form(one) == form(other)


@QUICK
@given(tiffs(most_pages=2), st.integers(0, 2**32))
def test_a_changed_region_leaves_every_other_sample_and_tag(tmp_path, made, seed):
    rng = np.random.default_rng(seed)
    source, target = tmp_path / "in.tif", tmp_path / "out.tif"
    source.write_bytes(made[0])
    document = files.read(source)
    changed = []
    for page in document.pages:
        shape = page.upright_shape
        residual = rng.normal(0, 0.5, (*shape, 3)).astype(np.float32)
        weight = (rng.random(shape) < 0.2).astype(np.float32)
        changed.append(pixels.add_residual(page, residual, weight))
    files.write(files.Document(tuple(changed), "tiff"), target, overwrite=True)
    again = files.read(target)
    for before, meant, after in zip(document.pages, changed, again.pages, strict=True):
        assert np.array_equal(meant.samples, after.samples)
        n = before.encoding.channels
        assert np.array_equal(before.samples[..., n:], after.samples[..., n:])
        assert before.metadata == after.metadata
        assert before.samples.shape == after.samples.shape


def test_the_metadata_that_archives_fill_in_are_read(tmp_path):
    path = tmp_path / "a.tif"
    extratags = [
        (700, 1, len(XMP), XMP, True),
        (33723, 7, len(IPTC), IPTC, True),
        (34377, 1, len(PHOTOSHOP), PHOTOSHOP, True),
        (34675, 7, len(ICC), ICC, True),
        (274, 3, 1, 6, True),
    ]
    tifffile.imwrite(
        path, np.zeros((3, 4), np.uint16), extratags=extratags, resolution=(600, 600),
        resolutionunit=2,
    )  # fmt: skip
    found = files.read(path).pages[0].metadata
    assert (found.icc, found.xmp, found.iptc, found.photoshop) == (ICC, XMP, IPTC, PHOTOSHOP)
    assert found.orientation == 6
    assert found.resolution is not None
    assert (found.resolution.x, found.resolution.y, found.resolution.unit) == (600, 600, "inch")


def test_the_exif_directory_of_a_pillow_tiff_is_kept(tmp_path):
    path, target = tmp_path / "a.tif", tmp_path / "b.tif"
    told = TiffImagePlugin.ImageFileDirectory_v2()
    told[34665] = {37510: USER_COMMENT}
    told[34853] = {1: "N"}
    told[315] = "Qiu Ying"
    Image.new("RGB", (5, 4), (1, 2, 3)).save(path, tiffinfo=told)
    files.write(files.read(path), target)
    with Image.open(target) as image:
        assert image.getexif().get_ifd(34665)[37510] == USER_COMMENT
        assert image.getexif().get_ifd(34853)[1] == "N"
        assert image.getexif()[315] == "Qiu Ying"


@pytest.mark.parametrize("compression", ["jpeg", "webp", "jpegxl", "jpeg2000"])
def test_lossy_pages_are_written_without_loss_and_that_is_said(tmp_path, compression):
    rng = np.random.default_rng(0)
    soft = np.asarray(Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).resize((64, 64)))
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    tifffile.imwrite(
        source, soft, photometric="rgb", compression=compression, tile=(32, 32),
        extratags=[(34675, 7, len(ICC), ICC, True)],
    )  # fmt: skip
    written = files.write(files.read(source), target)
    assert np.array_equal(tifffile.imread(target), tifffile.imread(source))
    assert files.read(target).pages[0].metadata.icc == ICC
    assert written.lost == ()
    assert len(written.notes) == 1
    assert "written without loss" in written.notes[0]


@pytest.mark.parametrize("compression", ["none", "lzw", "deflate", "packbits", "zstd"])
def test_another_compression_on_request(tmp_path, compression):
    array = np.random.default_rng(0).integers(0, 65536, (30, 20, 3), np.uint16)
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    tifffile.imwrite(source, array, photometric="rgb", compression="lzw", predictor=2)
    files.write(files.read(source), target, compression=compression)
    with tifffile.TiffFile(target) as tif:
        assert np.array_equal(tif.pages[0].asarray(), array)
        names = {1: "none", 5: "lzw", 8: "deflate", 32773: "packbits", 50000: "zstd"}
        assert names[tif.pages[0].compression] == compression


@pytest.mark.parametrize(
    ("keywords", "dtype", "reason"),
    [
        ({"photometric": "separated"}, np.uint8, "CMYK"),
        ({"photometric": "cielab"}, np.uint8, r"L\*a\*b"),
        ({"photometric": "rgb"}, np.float32, "whole numbers"),
        ({"photometric": "rgb"}, np.int16, "whole numbers"),
        ({"photometric": "rgb"}, np.uint32, "32 bits"),
        ({"photometric": "minisblack"}, np.bool_, "1 bits"),
    ],
)
def test_other_kinds_of_samples_are_refused_with_advice(tmp_path, keywords, dtype, reason):
    path = tmp_path / "a.tif"
    channels = {"separated": (4,), "minisblack": ()}.get(keywords["photometric"], (3,))
    tifffile.imwrite(path, np.zeros((8, 8, *channels), dtype), **keywords)
    with pytest.raises(InputError, match=reason) as caught:
        files.read(path)
    assert "convert" in caught.value.next_step
    assert str(path) in str(caught.value)


def test_the_page_that_is_not_supported_is_named(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(np.zeros((8, 8, 3), np.uint8), photometric="rgb")
        tif.write(np.zeros((8, 8, 4), np.uint8), photometric="separated")
    with pytest.raises(InputError, match="page 2: CMYK") as caught:
        files.read(path)
    assert "or take that page out: all must be of supported kinds" in caught.value.next_step


@pytest.mark.parametrize("page", [1, 2])
def test_a_transparency_mask_is_no_matter_of_colour_management(tmp_path, page):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tif:
        if page == 2:
            tif.write(np.zeros((8, 8, 3), np.uint8), photometric="rgb")
        tif.write(np.ones((8, 8), np.bool_), photometric="mask", subfiletype=4)
    with pytest.raises(InputError, match="a transparency mask is not supported") as caught:
        files.read(path)
    assert caught.value.next_step.startswith("make it an alpha channel")
    assert ("take that page out" in caught.value.next_step) == (page == 2)


COPIES = "reduced copies of the page (further pages)"


def with_copies(path, samples, **keywords):
    """A page, and two reduced copies of it as further pages."""
    with tifffile.TiffWriter(path) as tif:
        for step in (1, 2, 4):
            more = {"subfiletype": 1} if step > 1 else {}
            tif.write(samples[::step, ::step], photometric="rgb", **more, **keywords)


@pytest.mark.parametrize("large", [None, 0])
def test_reduced_copies_are_left_out_and_named(tmp_path, large):
    samples = np.random.default_rng(0).integers(0, 256, (96, 64, 3), np.uint8)
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    with_copies(source, samples, tile=(16, 16))
    document = files.read(source, in_part=large)
    assert files.write(document, target).lost == (COPIES,)
    (page,) = files.read(target).pages
    np.testing.assert_array_equal(page.samples, samples)
    assert files.write(document, tmp_path / "b.png", format="png").lost == (COPIES,)


def test_reduced_copies_do_not_count_for_size_and_kind(tmp_path):
    samples = np.zeros((96, 64, 3), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(samples, photometric="rgb")
        tif.write(np.zeros((48, 32), np.float32), subfiletype=1)
        tif.write(np.ones((48, 32), np.bool_), photometric="mask", subfiletype=5)
    (page,) = files.read(tmp_path / "a.tif", in_part=96 * 64).pages
    assert not page.stays_on_disk


@pytest.mark.parametrize(("tag", "value", "kept"), [(254, 1, 1), (255, 2, 1), (255, 3, 2)])
def test_each_copy_belongs_to_the_page_before_it(tmp_path, tag, value, kept):
    samples = np.zeros((8, 8), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for _ in range(2):
            tif.write(samples, metadata=None)
            more = [(tag, 4 if tag == 254 else 3, 1, value, True)]
            tif.write(samples[::2], extratags=more if tag == 255 else [], metadata=None,
                      subfiletype=value if tag == 254 else 0)  # fmt: skip
    pages = files.read(tmp_path / "a.tif").pages
    assert len(pages) == 2 * kept
    assert [page.left_out for page in pages] == [(COPIES,) if kept == 1 else ()] * 2 * kept


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("others", [0, 2])
def test_pages_of_their_own_stay_whatever_the_first_is(tmp_path, first, others):
    pages = np.random.default_rng(0).integers(0, 256, (3, 20, 30), np.uint8)
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    with tifffile.TiffWriter(source) as tif:
        for page, kind in zip(pages, (first, others, others), strict=True):
            tif.write(page, subfiletype=kind, metadata=None)
    assert files.write(files.read(source), target).lost == ()
    assert raw_tags(target.read_bytes()) == raw_tags(source.read_bytes())
    for page, samples in zip(files.read(target).pages, pages, strict=True):
        np.testing.assert_array_equal(page.samples[..., 0], samples)


def test_a_reduced_copy_that_is_cut_short_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    with_copies(path, np.zeros((64, 64, 3), np.uint8))
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[2].tags["StripOffsets"].overwrite(10**6)
    with pytest.raises(InputError, match="page 3: the file is cut short"):
        files.read(path)


def test_pages_inside_a_page_are_left_out_and_named(tmp_path):
    samples = np.zeros((64, 64, 3), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(samples, photometric="rgb", subifds=1)
        tif.write(samples[::2, ::2], photometric="rgb", subfiletype=1)
    document = files.read(tmp_path / "a.tif")
    for name in ("b.tif", "b.png"):
        lost = files.write(document, tmp_path / name, format=files.format_of(name)).lost
        assert lost == ("reduced or further pictures inside the page (SubIFDs)",)


def test_pages_in_a_loop_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 4), np.uint8), byteorder="<")
    data = bytearray(path.read_bytes())
    at = int.from_bytes(data[4:8], "little")
    link = at + 2 + 12 * int.from_bytes(data[at : at + 2], "little")
    data[link : link + 4] = at.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(InputError, match="loop"):
        files.read(path)


def test_a_directory_reads_back_as_it_was_written():
    entries = (
        ifd.entry(256, ifd.SHORT, [7], "<"),
        ifd.entry(270, ifd.ASCII, b"a longer text\0", "<"),
        ifd.Entry(34665, ifd.LONG, 1, b"\0\0\0\0", ifd.Ifd((ifd.entry(1, 2, b"R98\0", "<"),), "<")),
    )
    again = ifd.parse_block(ifd.block(ifd.Ifd(entries, "<")))
    assert flat(again) == flat(ifd.Ifd(entries, "<"))


@pytest.mark.parametrize("tile", [(48, 32), None])
def test_threads_share_what_is_decoded_once_in_the_callers_order(tmp_path, monkeypatch, tile):
    array = np.random.default_rng(0).integers(0, 256, (900, 200, 3), np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="rgb", compression="lzw", tile=tile, rowsperstrip=48)
    samples = files.read(path, in_part=0).pages[0].samples
    assert isinstance(samples, TiffRows)
    monkeypatch.setattr(rows, "AT_ONCE", 1)  # bands of 32 rows
    monkeypatch.setattr(in_order, "processors", lambda: 4)
    monkeypatch.setattr(in_order, "_TURN", 1)
    decoded, fetching, working = [], set(), set()
    plain, plainly = TiffRows._decoded, TiffRows.decode

    def slowly(self, index, data):
        decoded.append(index)
        time.sleep(0.001)
        return plain(self, index, data)

    def fetched(self, *which):
        fetching.add(threading.current_thread())
        return plainly(self, *which)

    def right(band, own):
        working.add(threading.current_thread())
        return np.array_equal(own, array[band.start : band.stop + 3] / np.float32(255))

    monkeypatch.setattr(TiffRows, "_decoded", slowly)
    monkeypatch.setattr(TiffRows, "decode", fetched)
    picture = rows.DerivedRows(samples, lambda band: band / np.float32(255), (900, 200, 3), "f4")
    assert list(each_part(right, picture, below=3)) == [True] * 29
    assert sorted(decoded) == list(range(19 * (7 if tile else 1)))
    assert fetching == {threading.current_thread()}
    assert len(working - fetching) == 4


def test_many_small_strips_are_handed_over_together(tmp_path, monkeypatch):
    array = np.random.default_rng(0).integers(0, 256, (2000, 300, 3), np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="rgb", compression="packbits", rowsperstrip=1)
    monkeypatch.setattr(in_order, "processors", lambda: 4)
    handed = []
    plain = in_order.Future.set_result
    monkeypatch.setattr(
        in_order.Future, "set_result", lambda self, got: handed.append(len(got)) or plain(self, got)
    )
    np.testing.assert_array_equal(files.read(path, in_part=0).pages[0].samples[:], array)
    assert sum(handed) == 2000
    assert len(handed) == 3  # of 2**18 pixels


def test_tifffile_is_quiet_while_any_file_is_read_and_no_longer(caplog):
    complain = logging.getLogger("tifffile").warning
    first, second = tiff._quiet(), tiff._quiet()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    complain("while the second is read")
    second.__exit__(None, None, None)
    complain("afterwards")
    assert [record.message for record in caplog.records] == ["afterwards"]
