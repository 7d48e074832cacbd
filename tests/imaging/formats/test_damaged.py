"""Damaged files: one clear error, or exactly what the undamaged file shows; never a traceback."""

import contextlib
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dunrestore.errors import ExitCode, InputError
from dunrestore.imaging import files
from dunrestore.imaging.limits import DEFAULT_MAX_MPIXELS, check_size
from dunrestore.restoration.source import FileOptions
from tests.imaging.formats.others import jp2s, jpegs, png_file, pngs, webps
from tests.imaging.formats.tiffs import tiffs

QUICK = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
HEADS = ["", "II*\0", "MM\0*", "II+\0", "\x89PNG\r\n\x1a\n", "\xff\xd8\xff", "RIFF1234WEBP"]
KINDS = {
    "tiff": tiffs(most_pages=2).map(lambda made: made[0]),
    "png": pngs(),
    "jpeg": jpegs(),
    "jp2": jp2s(),
    "webp": webps(),
}


def same(one, other):
    return len(one.pages) == len(other.pages) and all(
        np.array_equal(a.samples, b.samples) and a.metadata == b.metadata
        for a, b in zip(one.pages, other.pages, strict=True)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_refused_wherever_it_is_cut(tmp_path, kind):
    path = tmp_path / "cut"

    @QUICK
    @given(KINDS[kind])
    def check(data):
        path.write_bytes(data)
        whole = files.read(path)
        for percent in range(0, 100):
            path.write_bytes(data[: len(data) * percent // 100])
            with contextlib.suppress(InputError):
                # Only what says nothing (padding, boxes after the picture) may be missing.
                assert same(files.read(path), whole), f"other pixels at {percent} %"

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits_end_in_an_error_or_a_picture(tmp_path, kind):
    path = tmp_path / "flipped"

    @QUICK
    @given(KINDS[kind], st.lists(st.integers(0, 2**31), min_size=20, max_size=20))
    def check(data, places):
        for place in places:
            flipped = bytearray(data)
            flipped[place % len(data)] ^= 1 << (place // len(data)) % 8
            path.write_bytes(flipped)
            with contextlib.suppress(InputError):
                assert files.read(path).pages

    check()


@QUICK
@given(st.binary(max_size=200), st.sampled_from(HEADS))
def test_noise_is_refused(tmp_path, noise, head):
    path = tmp_path / "noise"
    path.write_bytes(head.encode("latin-1") + noise)
    with pytest.raises(InputError):
        files.read(path)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_whose_scan_stops_early_is_refused_although_it_ends_rightly(tmp_path, mode):
    path = tmp_path / "a.jpg"
    rng = np.random.default_rng(0)
    soft = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).resize((90, 90))
    soft.convert(mode).save(path, quality=90)
    data = path.read_bytes()
    scan = data.rindex(b"\xff\xda") + 14
    for at in range(scan, len(data) - 10, 25):
        path.write_bytes(data[:at] + b"\xff\xd9")
        with pytest.raises(InputError):
            files.read(path)


def test_a_tiff_with_a_strip_outside_the_file_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), rowsperstrip=8, compression="zlib")
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tag = tif.pages[0].tags["StripOffsets"]
        tag.overwrite([*tag.value[:-1], 10**6])
    with pytest.raises(InputError, match="cut short or damaged"):
        files.read(path)


def bomb_png(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    image = zlib.compress(bytes(10**6))
    return png_file([(b"IHDR", header), (b"IDAT", image), (b"IEND", b"")])


def test_an_absurd_size_is_refused_before_anything_is_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb_png(2**31 - 1, 2**31 - 1))
    for limit, named in ((DEFAULT_MAX_MPIXELS, True), (None, False)):  # None: there is no option
        with pytest.raises(InputError, match="2147483647 x 2147483647") as caught:
            files.read(path, max_mpixels=limit)
        assert "than the 2000 megapixels" in caught.value.cause
        assert ("--max-image-mpixels" in caught.value.next_step) == named
    path.write_bytes(bomb_png(20000, 20000))
    with pytest.raises(InputError, match="cut short or damaged"):
        files.read(path)


def test_the_limit_is_the_same_with_and_without_an_option():
    assert FileOptions().max_mpixels == DEFAULT_MAX_MPIXELS
    for limit in (None, DEFAULT_MAX_MPIXELS):
        check_size(50_000, 40_000, limit)
        with pytest.raises(InputError, match="more than the 2000 megapixels"):
            check_size(50_000, 40_001, limit)


def test_the_limit_can_be_lowered_and_raised(tmp_path):
    Image.new("L", (1000, 1001)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="more than the 1 megapixels"):
        files.read(tmp_path / "a.png", max_mpixels=1)
    assert files.read(tmp_path / "a.png", max_mpixels=1.01).pages[0].samples.shape[1] == 1000


def test_a_bomb_in_the_metadata_is_refused(tmp_path):
    path = tmp_path / "bomb.png"
    stream = zlib.compressobj(9)
    packed = b"".join(stream.compress(bytes(2**24)) for _ in range(17)) + stream.flush()
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"iCCP", b"a\0\0" + packed)]
    path.write_bytes(png_file([*chunks, (b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b"")]))
    with pytest.raises(InputError, match="metadata"):
        files.read(path)


def wrong_input(folder, name):
    path = folder / f"{name}.png"
    if name == "folder":
        path.mkdir()
    elif name == "empty":
        path.touch()
    elif name == "text":
        path.write_text("no picture\n" * 50)
    elif name == "truncated":
        Image.effect_noise((60, 60), 50).save(path)
        path.write_bytes(path.read_bytes()[:-400])
    elif name == "absurd":
        path.write_bytes(bomb_png(2**30, 2**30))
    return path


@pytest.mark.parametrize("name", ["missing", "folder", "empty", "text", "truncated", "absurd"])
def test_wrong_input_is_one_clear_line(tmp_path, name):
    path = wrong_input(tmp_path, name)
    with pytest.raises(InputError) as caught:
        files.read(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    assert caught.value.next_step
    assert caught.value.exit_code == ExitCode.INPUT
