"""Into another format: the same colours, and every loss is named."""

import io
import struct
import zlib
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dunrestore.imaging import files, pixels
from dunrestore.imaging.metadata import exif, photoshop
from dunrestore.imaging.picture import Document, Encoding, Metadata, Palette, Picture, Resolution
from tests.imaging.formats.others import exif_block, jp2s, jpegs, pngs, webps
from tests.imaging.formats.tiffs import ICC, IPTC, PHOTOSHOP, XMP, tiffs

QUICK = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ANY = st.one_of(tiffs(most_pages=2).map(lambda made: made[0]), pngs(), jpegs(), jp2s(), webps())
FULL = Metadata(
    icc=ICC,
    exif=exif_block(6),
    xmp=XMP,
    iptc=IPTC,
    photoshop=PHOTOSHOP,
    resolution=Resolution(Fraction(600), Fraction(600), "inch"),
    orientation=6,
    texts=(("Title", "敦煌 112"),),
)


@QUICK
@given(ANY, st.sampled_from(["tiff", "png", "jp2", "webp"]))
def test_colours_survive_and_losses_are_named(tmp_path, data, target_format):
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(data)
    document = files.read(source)
    written = files.write(document, target, format=target_format, overwrite=True)
    again = files.read(target)
    assert again.format == target_format
    before, after = document.pages[0], again.pages[0]
    step = 0.51 / 255 if "16 bits a sample (written with 8)" in written.lost else 1e-6
    assert np.abs(pixels.to_rgb(after) - pixels.to_rgb(before)).max() <= step or (
        after.metadata.orientation != before.metadata.orientation
    )
    for name, field in (("ICC profile", "icc"), ("XMP", "xmp"), ("IPTC", "iptc")):
        mine, theirs = getattr(before.metadata, field), getattr(after.metadata, field)
        assert mine is None or mine == theirs or any(name in lost for lost in written.lost)
    if len(document.pages) > 1 and target_format != "tiff":
        assert "further pages" in written.lost


@QUICK
@given(ANY)
def test_a_jpeg_can_be_made_of_everything(tmp_path, data):
    (tmp_path / "in").write_bytes(data)
    document = files.read(tmp_path / "in")
    written = files.write(document, tmp_path / "out", format="jpeg", overwrite=True)
    again = files.read(tmp_path / "out")
    assert again.format == "jpeg"
    assert again.pages[0].encoding.maximum == 255
    if document.format != "jpeg":
        assert "samples exactly (JPEG)" in written.lost


@pytest.mark.parametrize("target_format", ["tiff", "png", "jpeg", "jp2", "webp"])
def test_what_each_format_holds(tmp_path, target_format):
    samples = np.full((4, 5, 3), 99, np.uint8)
    document = Document((Picture(samples, Encoding("rgb"), FULL),), "png")
    written = files.write(replace(document), tmp_path / "out", format=target_format)
    expected = {
        "tiff": {"text 'Title'"},
        "png": set(),
        "jpeg": {"samples exactly (JPEG)"},
        "jp2": {"text 'Title'"},
        "webp": {"text 'Title'", "IPTC", "8BIM", "resolution"},
    }
    if target_format == "png":  # what was lost would be an error: the formats are the same
        assert written.lost == ()
    assert set(written.lost) == expected[target_format]
    found = files.read(tmp_path / "out").pages[0].metadata
    assert (found.icc, found.xmp, found.orientation) == (ICC, XMP, 6)
    directory = exif.directory(found.exif)
    assert directory is not None
    assert (directory.get(315) or directory).data == b"Qiu Ying\0"


def test_an_independent_reader_finds_the_tags_of_a_converted_tiff(tmp_path):
    document = Document((Picture(np.zeros((4, 5, 3), np.uint8), Encoding("rgb"), FULL),), "png")
    files.write(document, tmp_path / "a.tif", format="tiff")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        tags = tif.pages[0].tags
        assert tags[315].value == "Qiu Ying"
        assert tags[274].value == 6
        assert tags[282].value == (600, 1)
        assert tags[296].value == 2
        assert tags[34675].value == ICC
        assert tags[34665].value["UserComment"] == "Cave 112"
    with Image.open(tmp_path / "a.tif") as image:
        assert image.info["dpi"] == (600, 600)
        assert image.info["icc_profile"] == ICC


def test_an_independent_reader_finds_the_metadata_of_a_converted_jpeg(tmp_path):
    samples = np.random.default_rng(0).integers(0, 65536, (8, 9, 4), np.uint16)
    page = Picture(samples, Encoding("rgb", 65535, extra=1), FULL)
    written = files.write(Document((page,), "tiff"), tmp_path / "a.jpg", format="jpeg")
    assert {"alpha", "16 bits a sample (written with 8)"} <= set(written.lost)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.info["dpi"] == (600, 600)
        assert image.info["icc_profile"] == ICC
        assert image.info["xmp"] == XMP
        assert image.getexif()[315] == "Qiu Ying"
        assert image.info["photoshop"][photoshop.IPTC] == IPTC


def test_a_transparent_palette_becomes_rgba_where_palettes_have_no_alpha(tmp_path):
    colours = np.array([[0, 0, 0], [200, 100, 50]], np.uint16)
    palette = Palette(colours, 255, np.array([0, 255], np.uint8))
    samples = np.array([[[0], [1]]], np.uint8)
    document = Document((Picture(samples, Encoding("palette", palette=palette)),), "png")
    for target_format in ("tiff", "jp2", "webp"):
        written = files.write(document, tmp_path / target_format, format=target_format)
        assert "palette (written as RGB)" in written.lost
        page = files.read(tmp_path / target_format).pages[0]
        assert page.samples.tolist() == [[[0, 0, 0, 0], [200, 100, 50, 255]]]


def test_a_palette_of_sixteen_bit_colours_becomes_sixteen_bit_rgb_in_a_png(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", np.array([[1, 2]], np.uint8), photometric="palette",
        colormap=np.arange(768, dtype=np.uint16).reshape(3, 256) * 85,
    )  # fmt: skip
    written = files.write(files.read(tmp_path / "a.tif"), tmp_path / "a.png", format="png")
    assert written.lost == ("palette (written as RGB)",)
    page = files.read(tmp_path / "a.png").pages[0]
    assert page.samples[0, 0].tolist() == [85, 257 * 85, 513 * 85]


def test_what_only_a_png_says_is_named(tmp_path):
    Image.new("RGB", (3, 3)).save(tmp_path / "a.png", transparency=(1, 2, 3))
    data = (tmp_path / "a.png").read_bytes()
    gamma = struct.pack(">I", 45455)
    buffer = io.BytesIO(data)
    head = buffer.read(33)
    chunk = struct.pack(">I", 4) + b"gAMA" + gamma + struct.pack(">I", zlib.crc32(b"gAMA" + gamma))
    (tmp_path / "a.png").write_bytes(head + chunk + buffer.read())
    written = files.write(files.read(tmp_path / "a.png"), tmp_path / "a.tif", format="tiff")
    assert written.lost == ("gamma (gAMA)", "transparent colour (tRNS)")


@pytest.mark.parametrize("dpi", [72, 96, 300, 400, 600, 1200, 2400, 4800, 12000])
@pytest.mark.parametrize("target_format", ["tiff", "png", "jp2", "jpeg"])
def test_usual_resolutions_survive(tmp_path, dpi, target_format):
    resolution = Resolution(Fraction(dpi), Fraction(dpi), "inch")
    page = Picture(np.zeros((2, 2, 1), np.uint8), Encoding("grey"), Metadata(resolution=resolution))
    source = Document((page,), "webp")
    written = files.write(source, tmp_path / "a", format=target_format)
    assert not any("resolution" in lost for lost in written.lost)
    found = files.read(tmp_path / "a").pages[0].metadata.resolution
    assert found is not None
    if target_format in ("tiff", "jp2", "jpeg"):
        assert found.per_metre() == pytest.approx(resolution.per_metre(), rel=1e-12)
    else:  # a PNG holds whole pixels per metre
        assert found.per_metre() == pytest.approx(resolution.per_metre(), abs=0.5)


def test_a_webp_cannot_be_larger_than_it_can_be(tmp_path):
    page = Picture(np.zeros((1, 16384, 3), np.uint8), Encoding("rgb"))
    with pytest.raises(files.InputError, match="16383"):
        files.write(Document((page,), "png"), tmp_path / "a.webp", format="webp")
    assert list(tmp_path.iterdir()) == []
