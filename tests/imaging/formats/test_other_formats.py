"""PNG, JPEG, JPEG 2000 and WebP: in and out the same, chunk for chunk."""

import io
import struct
import zlib
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, JpegImagePlugin

from dunrestore.errors import InputError
from dunrestore.imaging import files, pixels
from dunrestore.imaging.formats.jp2 import SIGNATURE as JP2_SIGNATURE
from dunrestore.imaging.picture import Document, Encoding, Picture
from tests.imaging.formats.others import (
    ICC,
    PHOTOSHOP,
    XMP,
    exif_block,
    jp2s,
    jpeg_segments,
    jpegs,
    png_chunks,
    png_file,
    pngs,
    webps,
)

QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def through(tmp_path, data):
    """(document, bytes after reading and writing it, what was said)."""
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(data)
    document = files.read(source)
    written = files.write(document, target, overwrite=True)
    return document, target.read_bytes(), written


def open_pixels(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image), image.mode


@QUICK
@given(pngs())
def test_a_png_keeps_every_chunk(tmp_path, data):
    document, after, written = through(tmp_path, data)
    assert written.lost == ()

    def others(chunks):
        return [chunk for chunk in chunks if chunk[0] not in (b"IDAT", b"IHDR")]

    assert others(png_chunks(after)) == others(png_chunks(data))
    assert png_chunks(after)[0][1][:12] == png_chunks(data)[0][1][:12]
    decoded = imagecodecs.png_decode(data)
    assert np.array_equal(imagecodecs.png_decode(after), decoded)
    if document.pages[0].encoding.maximum == 255:
        assert np.array_equal(open_pixels(after)[0], open_pixels(data)[0])
        assert open_pixels(after)[1] == open_pixels(data)[1]


@QUICK
@given(jpegs())
def test_a_jpeg_keeps_segments_tables_and_subsampling(tmp_path, data):
    document, after, written = through(tmp_path, data)
    assert written.lost == ()

    def described(whole):
        return [s for s in jpeg_segments(whole) if 0xE0 <= s[0] <= 0xEF or s[0] == 0xFE]

    assert described(after) == described(data)
    one, other = (JpegImagePlugin.JpegImageFile(io.BytesIO(d)) for d in (data, after))
    assert one.quantization == other.quantization
    assert one.layer == other.layer  # sampling factors and tables of each component
    again = files.read(tmp_path / "out")
    shown, before = again.pages[0].samples, document.pages[0].samples
    assert abs(shown.mean() - before.mean()) < 8


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_of_more_bytes_than_pixels_is_written(tmp_path, monkeypatch, progressive):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(ImageFile, "MAXBLOCK", 1 << 20)  # or the source could not be written
    grain = Image.fromarray(rng.integers(0, 256, (300, 400, 3), np.uint8))
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    grain.save(source, quality=100, subsampling=0, progressive=progressive)
    assert source.stat().st_size > 2 * 300 * 400
    monkeypatch.setattr(ImageFile, "MAXBLOCK", 1 << 16)  # as it is in a new process
    files.write(files.read(source), target)
    with Image.open(source) as before, Image.open(target) as after:
        assert abs(np.asarray(after).astype(int) - np.asarray(before)).max() <= 4
        assert after.info.get("progressive", 0) == progressive
        assert after.quantization == before.quantization


@QUICK
@given(jp2s())
def test_a_jp2_keeps_every_box(tmp_path, data):
    document, after, written = through(tmp_path, data)
    assert written.lost == ()
    assert np.array_equal(files.read(tmp_path / "out").pages[0].samples, document.pages[0].samples)
    start_before, start_after = data.index(b"\xff\x4f\xff\x51"), after.index(b"\xff\x4f\xff\x51")
    assert after[: max(start_after - 8, 0)] == data[: max(start_before - 8, 0)]
    assert after.startswith(JP2_SIGNATURE) == data.startswith(JP2_SIGNATURE)
    tail = data[data.rindex(b"\xff\xd9") + 2 :]
    assert after.endswith(tail)
    assert np.array_equal(
        imagecodecs.jpeg2k_decode(after).reshape(document.pages[0].samples.shape),
        document.pages[0].samples,
    )


def test_a_jp2_says_whether_its_fourth_channel_is_alpha(tmp_path):
    samples = np.zeros((20, 30, 4), np.uint8)
    for alpha, type_ in ((True, 1), (True, 2), (False, 65535)):
        picture = Picture(samples, Encoding("rgb", extra=1))
        files.write(Document((picture,), "jp2"), tmp_path / "a.jp2", format="jp2", overwrite=True)
        data = (tmp_path / "a.jp2").read_bytes()
        stated = struct.pack(">HHH", 3, 1, 0)
        assert data.count(stated) == 1
        (tmp_path / "a.jp2").write_bytes(data.replace(stated, struct.pack(">HHH", 3, type_, 0)))
        assert files.read(tmp_path / "a.jp2").pages[0].encoding.alpha == alpha


@pytest.mark.parametrize("kind", ["j2k", "jp2"])
def test_a_jp2_keeps_the_comments_of_its_codestream(tmp_path, kind):
    samples = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    stream = imagecodecs.jpeg2k_encode(samples, level=0, reversible=True, codecformat=kind)
    said = [b"\0\1Inventory 1234; scanned by Li", b"\0\0\xff\x90 bytes"]
    comments = [b"\xff\x64" + struct.pack(">H", len(each) + 2) + each for each in said]
    at = stream.index(b"\xff\x90", stream.index(b"\xff\x4f\xff\x51"))
    data = stream[:at] + b"".join(comments) + stream[at:]
    if kind == "jp2":  # the last box, which ends with the file
        box = data.index(b"jp2c") - 4
        data = data[:box] + struct.pack(">I", len(data) - box) + data[box + 4 :]
    document, after, written = through(tmp_path, data)
    assert written.lost == ()
    assert all(after.count(comment) == 1 for comment in comments)
    assert after.count(b"Created by OpenJPEG") == data.count(b"Created by OpenJPEG") == 1
    assert np.array_equal(imagecodecs.jpeg2k_decode(after), samples)
    assert files.read(tmp_path / "out").pages[0].source == document.pages[0].source


@QUICK
@given(webps())
def test_a_webp_keeps_its_pixels_and_metadata(tmp_path, data):
    document, after, written = through(tmp_path, data)
    assert written.lost == ()
    with Image.open(io.BytesIO(data)) as one, Image.open(io.BytesIO(after)) as other:
        assert one.mode == other.mode or one.mode == "RGB"
        assert np.array_equal(np.asarray(one), np.asarray(other.convert(one.mode)))
        for name in ("icc_profile", "exif", "xmp"):
            assert one.info.get(name) == other.info.get(name)
    lossy = "lossy WebP in the source, written without loss"
    assert written.notes == (() if b"VP8L" in data else (lossy,))
    assert document.pages[0].metadata == files.read(tmp_path / "out").pages[0].metadata


@QUICK
@given(st.one_of(pngs(), jp2s(), webps()), st.integers(0, 2**32))
def test_a_changed_region_leaves_every_other_sample(tmp_path, data, seed):
    rng = np.random.default_rng(seed)
    (tmp_path / "in").write_bytes(data)
    document = files.read(tmp_path / "in")
    page = document.pages[0]
    shape = page.upright_shape
    weight = (rng.random(shape) < 0.2).astype(np.float32)
    residual = rng.normal(0, 0.5, (*shape, 3)).astype(np.float32)
    changed = pixels.add_residual(page, residual, weight)
    files.write(replace(document, pages=(changed,)), tmp_path / "out", overwrite=True)
    after = files.read(tmp_path / "out").pages[0]
    assert np.array_equal(after.samples, changed.samples)
    assert after.metadata == page.metadata
    same = weight == 0
    assert np.array_equal(pixels.to_rgb(after)[same], pixels.to_rgb(page)[same])


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "jp2"])
def test_what_archives_fill_in_is_read(tmp_path, kind):
    image = Image.new("RGB", (5, 4), (9, 8, 7))
    block = exif_block(6)
    path = tmp_path / "a"
    if kind == "png":
        image.save(path, "PNG", dpi=(300, 300), exif=block, icc_profile=ICC)
        chunks = png_chunks(path.read_bytes())
        xmp = (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP))
        path.write_bytes(png_file([chunks[0], xmp, *chunks[1:]]))
    elif kind == "jpeg":
        image.save(path, "JPEG", dpi=(300, 300), exif=b"Exif\0\0" + block, icc_profile=ICC, xmp=XMP)
    elif kind == "webp":
        image.save(path, "WEBP", exif=block, icc_profile=ICC, xmp=XMP)
    else:
        document = files.Document(
            (replace(files.read(make_tiff(tmp_path, image, block)).pages[0]),), "jp2"
        )
        files.write(document, path, format="jp2")
    page = files.read(path).pages[0]
    found = page.metadata
    assert (found.icc, found.xmp) == (ICC, XMP)
    assert found.orientation == 6
    assert found.exif is not None
    assert b"Qiu Ying" in found.exif
    assert page.upright_shape == (5, 4)
    if kind in ("png", "jpeg"):
        assert found.resolution is not None
        across, _ = found.resolution.per_metre() or (0, 0)
        assert across == pytest.approx(300 / 0.0254, abs=0.5)


def make_tiff(folder, image, block):
    image.save(folder / "m.png", "PNG", exif=block, icc_profile=ICC)
    chunks = png_chunks((folder / "m.png").read_bytes())
    xmp = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    (folder / "m.png").write_bytes(png_file([chunks[0], xmp, *chunks[1:]]))
    files.write(files.read(folder / "m.png"), folder / "m.tif", format="tiff")
    return folder / "m.tif"


def test_xmp_can_be_replaced_in_every_format(tmp_path):
    Image.new("RGB", (5, 4), (9, 8, 7)).save(tmp_path / "a.png")
    page = files.read(tmp_path / "a.png").pages[0]
    for kind in ("tiff", "png", "jpeg", "jp2", "webp"):
        path = tmp_path / f"{kind}"
        xmp = page.metadata.xmp
        for packet in (XMP, XMP.replace(b"cave", b"Cave") + b" "):
            document = files.Document(
                (replace(page, metadata=replace(page.metadata, xmp=packet)),), kind
            )
            files.write(document, path, format=kind, overwrite=True)
            again = files.read(path)
            assert again.pages[0].metadata.xmp == packet
            again = replace(again, pages=(with_xmp(again.pages[0], packet + b"\n"),))
            files.write(again, path, overwrite=True)
            assert files.read(path).pages[0].metadata.xmp == packet + b"\n"
            assert path.read_bytes().count(b"<x:xmpmeta") == 1
        assert xmp is None


def with_xmp(page, packet):
    return replace(page, metadata=replace(page.metadata, xmp=packet))


def test_xmp_without_a_place_is_named_and_the_picture_is_written(tmp_path):
    stream = imagecodecs.jpeg2k_encode(np.zeros((4, 4, 3), np.uint8), level=0, codecformat="j2k")
    (tmp_path / "a.j2k").write_bytes(stream)
    Image.new("RGB", (5, 4), (9, 8, 7)).save(tmp_path / "a.jpg", xmp=XMP)
    for name, packet, said in (
        ("a.j2k", XMP, "XMP (a bare codestream has no place for it)"),
        (
            "a.jpg",
            XMP + b" " * 70000,
            "XMP (too long for JPEG; the source's stays, without what was done)",
        ),
    ):
        document = files.read(tmp_path / name)
        marked = replace(document, pages=(with_xmp(document.pages[0], packet),))
        assert files.write(marked, tmp_path / "out", overwrite=True).lost == (said,)
    assert files.read(tmp_path / "out").pages[0].metadata.xmp == XMP


def test_iptc_inside_photoshop_resources_is_found(tmp_path):
    iptc = b"\x1c\x02\x50\x00\x03Qiu"
    blocks = PHOTOSHOP + b"8BIM\x04\x04\0\0\0\0\0\x08" + iptc
    Image.new("L", (3, 3)).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    body = b"Photoshop 3.0\0" + blocks
    segment = b"\xff\xed" + (len(body) + 2).to_bytes(2, "big") + body
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment + data[2:])
    found = files.read(tmp_path / "a.jpg").pages[0].metadata
    assert found.iptc == iptc
    assert found.photoshop == blocks


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: Image.new("CMYK", (4, 4)).save(p, "JPEG"), "CMYK"),
        (lambda p: Image.new("1", (9, 4)).save(p, "PNG"), "1 bits"),
        (lambda p: Image.new("P", (4, 4)).save(p, "GIF"), "GIF"),
        (lambda p: Image.new("RGB", (4, 4)).save(p, "BMP"), "BMP"),
        (lambda p: _animation(p, "PNG"), "animation"),
        (lambda p: _animation(p, "WEBP"), "animation"),
        (lambda p: Image.new("CMYK", (4, 4)).save(p, "TIFF"), "CMYK"),
        (lambda p: Image.new("LAB", (4, 4)).save(p, "TIFF"), r"L\*a\*b"),
        (lambda p: _twelve_bits(p), "12 bits"),
    ],
)
def test_other_kinds_are_refused_with_advice(tmp_path, make, reason):
    path = tmp_path / "a"
    make(path)
    with pytest.raises(InputError, match=reason) as caught:
        files.read(path)
    assert caught.value.next_step


BEHIND = "data after the picture's end"


def encoded_picture(kind):
    """A small picture's file, and its samples."""
    array = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    buffer = io.BytesIO()
    if kind == "j2k":
        return bytes(imagecodecs.jpeg2k_encode(array, level=0, codecformat="j2k"))
    options = {"jp2": ("JPEG2000", {}), "webp": ("WEBP", {"lossless": True})}
    name, more = options.get(kind, (kind, {}))
    Image.fromarray(array).save(buffer, name, **more)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "jp2", "j2k"])
@pytest.mark.parametrize(
    "behind",
    [b"\xff\xd8\xff\xe0 another picture", b"a note, in words", bytes(4096), b"\n", b"\0\0\0\0\0"],
)
def test_data_behind_the_picture_are_named(tmp_path, kind, behind):
    data = encoded_picture(kind)
    plain, clean, _ = through(tmp_path, data)
    document, written_bytes, written = through(tmp_path, data + behind)
    assert written.lost == (BEHIND,)
    assert written_bytes == clean
    assert np.array_equal(document.pages[0].samples, plain.pages[0].samples)
    lost = files.write(document, tmp_path / "other", format="tiff").lost
    assert lost == (*files.write(plain, tmp_path / "plain", format="tiff").lost, BEHIND)


@pytest.mark.parametrize("size", [0, 16])
def test_boxes_behind_the_picture_are_kept_and_not_cut_short(tmp_path, size):
    data = encoded_picture("jp2")
    box = struct.pack(">I4s", size, b"xml ") + b"<a></a>."
    _, after, written = through(tmp_path, data + box)
    assert written.lost == ()
    assert after.endswith(struct.pack(">I4s", 16, b"xml ") + b"<a></a>.")
    for cut in range(1 if size else 9, 16):
        (tmp_path / "cut").write_bytes((data + box)[:-cut])
        with pytest.raises(InputError, match="cut short"):
            files.read(tmp_path / "cut")


def test_padding_inside_the_codestreams_box_is_named(tmp_path):
    data = encoded_picture("jp2")
    at = data.index(b"jp2c") - 4
    length = struct.pack(">I", len(data) - at + 5)
    _, _, written = through(tmp_path, data[:at] + length + data[at + 4 :] + b"12345")
    assert written.lost == (BEHIND,)


def _animation(path, kind):
    frames = [Image.new("RGB", (4, 4), (i * 80, 0, 0)) for i in range(3)]
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], duration=50)


def _twelve_bits(path):
    array = np.zeros((8, 8, 3), np.uint16)
    options = {"level": 0, "reversible": True, "codecformat": "jp2", "bitspersample": 12}
    path.write_bytes(imagecodecs.jpeg2k_encode(array, **options))


def test_an_index_of_pictures_behind_a_jpeg_goes_with_them(tmp_path):
    first, second = Image.new("RGB", (9, 7), (200, 9, 9)), Image.new("RGB", (9, 7))
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second])
    document = files.read(tmp_path / "a.jpg")
    assert files.write(document, tmp_path / "b.jpg").lost == ("further pictures (MPF)", BEHIND)
    with Image.open(tmp_path / "b.jpg") as again:
        assert again.format == "JPEG"
