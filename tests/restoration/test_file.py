from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from dunrestore.checkpoints.load import Model
from dunrestore.errors import FileAccessError, InputError, ModelError, UsageError
from dunrestore.imaging import files, pixels
from dunrestore.imaging.picture import Document, Encoding, Metadata, Picture
from dunrestore.models.edsr import EDSR, EDSRConfig
from dunrestore.restoration.api import restore
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.source import FileOptions, Job
from tests.restoration.batches import restore_file
from tests.restoration.networks import Toy, fill_white

OPTIONS = RestoreOptions(device="cpu", precision="fp32")


def toy_model(function=fill_white):
    return Model("toy", "hinet", Toy(function), {}, "0" * 64, Path("toy"))


def damaged(kind, dtype, orientation=1, seed=0):
    """A picture of one kind with a white loss, and the mask of the loss as stored."""
    top = np.iinfo(dtype).max
    channels = {"grey": 1, "grey+alpha": 2, "rgb": 3, "rgba": 4}[kind]
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, top * 3 // 4, (40, 56, channels)).astype(dtype)
    colours = channels - (channels in (2, 4))
    lost = np.zeros((40, 56), bool)
    lost[8:20, 30:44] = True
    samples[lost, :colours] = top
    samples[..., colours:] |= 1  # nowhere wholly transparent
    encoding = Encoding("grey" if channels < 3 else "rgb", int(top), extra=channels - colours)
    return Picture(samples, encoding, Metadata(orientation=orientation)), lost


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", ["grey", "grey+alpha", "rgb", "rgba"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_only_the_loss_changes_and_the_kind_stays(tmp_path, kind, dtype, orientation):
    picture, lost = damaged(kind, dtype, orientation)
    files.write(Document((picture,), "tiff"), tmp_path / "in.tif")
    job = Job(tmp_path / "in.tif", tmp_path / "new" / "out.tif")
    result = restore_file(job, toy_model(), OPTIONS)
    (page,) = files.read(job.target).pages
    assert page.samples.dtype == dtype
    assert page.encoding == picture.encoding
    assert page.metadata.orientation == orientation
    np.testing.assert_array_equal(page.samples[~lost], picture.samples[~lost])
    colours = picture.encoding.channels
    np.testing.assert_allclose(page.samples[lost, :colours] / np.iinfo(dtype).max, 0.4, atol=0.003)
    np.testing.assert_array_equal(page.samples[..., colours:], picture.samples[..., colours:])
    assert result.changed_percent == pytest.approx(100 * lost.mean())
    assert (result.width, result.height) == ((56, 40) if orientation == 1 else (40, 56))


def save_with_hole(path, mode, lost, hole):
    """A picture in one of Pillow's modes with a white loss and a white, transparent hole."""
    grey = np.random.default_rng(0).integers(20, 190, lost.shape, np.uint8)
    grey[lost | hole] = 255
    alpha = np.where(hole, 0, 255).astype(np.uint8)
    image = Image.fromarray(grey).convert("RGB" if "RGB" in mode else "L")
    if mode == "P":  # 255 stays for the hole
        index = np.where(hole, 255, np.where(lost, 254, grey)).astype(np.uint8)
        image = Image.fromarray(index).convert("P")
        image.putpalette([*np.repeat(np.arange(254), 3).tolist(), *[255] * 6])
        image.save(path, transparency=255)
    elif mode.endswith("A"):
        image.putalpha(Image.fromarray(alpha))
        image.save(path)
    else:
        off = np.asarray(image).copy()
        off[hole] = 1
        white = (1,) * 3 if mode == "RGB" else 1
        Image.fromarray(off).save(path, transparency=white)


@pytest.mark.parametrize("preserve", ["auto", "never"])
@pytest.mark.parametrize(
    "name", ["RGBA.png", "LA.png", "RGB.png", "L.png", "P.png", "RGBA.tif", "LA.tif", "RGBA.webp"]
)
def test_what_nobody_sees_is_never_changed(tmp_path, name, preserve):
    lost, hole = np.zeros((2, 60, 80), bool)
    lost[10:20, 20:40] = True
    hole[30:, 50:] = True
    path = tmp_path / name
    mode = path.stem
    save_with_hole(path, mode, lost, hole)
    model = toy_model(lambda x: torch.where(x < 0.02, 1.0, fill_white(x)))
    options = RestoreOptions(device="cpu", precision="fp32", preserve=preserve)
    job = Job(path, tmp_path / "new" / name)
    restore_file(job, model, options)
    with Image.open(path) as before, Image.open(job.target) as after:
        assert after.mode == before.mode
        assert after.info.get("transparency") == before.info.get("transparency")
        old, new = (np.asarray(image.convert("RGBA")) for image in (before, after))
        stored, written = (np.asarray(image) for image in (before, after))
    if path.suffix == ".webp":
        assert (new[lost] == (102, 102, 102, 255)).mean() > 0.5
    else:
        assert (np.abs(new[lost].astype(int) - (102, 102, 102, 255)) <= 1).all()
    np.testing.assert_array_equal(written[hole], stored[hole])
    np.testing.assert_array_equal(new[..., 3], old[..., 3])


def test_infrared_is_no_alpha(tmp_path):
    picture, lost = damaged("rgba", np.uint8)
    picture.samples[..., 3] = 0
    tifffile.imwrite(tmp_path / "in.tif", picture.samples, photometric="rgb", extrasamples=[0])
    restored = restore(tmp_path / "in.tif", toy_model(), OPTIONS)
    assert (restored[lost, :3] == 102).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [2, 4])
def test_arrays_with_alpha(dtype, channels):
    top = 1 if dtype is np.float32 else np.iinfo(dtype).max
    array = (np.random.default_rng(0).random((40, 56, channels)) * 0.7 * top).astype(dtype)
    array[8:20, 10:44] = top
    array[:, 30:, -1] = 0
    restored = restore(array, toy_model(), OPTIONS)
    assert (restored[8:20, 10:30, 0] < top / 2).all()
    np.testing.assert_array_equal(restored[:, 30:], array[:, 30:])


def test_sixteen_bits_keep_their_low_bits(tmp_path):
    picture, lost = damaged("rgb", np.uint16)
    files.write(Document((picture,), "tiff"), tmp_path / "in.tif")
    brighter = toy_model(lambda x: (x + 0.2).clamp(0, 1))
    options = RestoreOptions(device="cpu", precision="fp32", preserve="never")
    restored = restore(tmp_path / "in.tif", brighter, options)
    difference = restored[~lost].astype(int) - picture.samples[~lost]
    assert np.abs(difference - 0.2 * 65535).max() <= 1


def test_a_palette_stays_a_palette(tmp_path):
    picture, _ = damaged("rgb", np.uint8)
    flat = Image.fromarray(picture.samples).quantize(64)
    flat.save(tmp_path / "in.png")
    job = Job(tmp_path / "in.png", tmp_path / "out.png")
    restore_file(job, toy_model(), OPTIONS)
    with Image.open(tmp_path / "in.png") as before, Image.open(tmp_path / "out.png") as after:
        assert after.mode == "P"
        old, new = (np.asarray(image.convert("RGB")) for image in (before, after))
    pure_white = (old == 255).all(axis=2)
    np.testing.assert_array_equal(new[~pure_white], old[~pure_white])
    assert np.abs(new[pure_white].astype(int) - 102).max() <= 2


def fill_red(x):
    red = torch.tensor([0.8, 0.3, 0.1]).reshape(1, 3, 1, 1)
    return torch.where((x > 0.97).all(dim=1, keepdim=True), red, x)


@pytest.mark.parametrize("name", ["8.png", "16.png", "palette.png", "8.jpg", "8.webp"])
def test_black_and_white_that_is_stored_as_colours_stays_so(tmp_path, name):
    picture, _ = damaged("grey", np.uint16 if name == "16.png" else np.uint8)
    samples = np.repeat(picture.samples, 3, axis=2)
    if name == "palette.png":
        Image.fromarray(samples[..., 0]).quantize(64).save(tmp_path / name)
    else:
        encoding = Encoding("rgb", picture.encoding.maximum)
        kind = files.format_of(name)
        files.write(Document((Picture(samples, encoding, Metadata()),), kind), tmp_path / name)
    job = Job(tmp_path / name, tmp_path / f"out-{name}")
    result = restore_file(job, toy_model(fill_red), OPTIONS)
    assert result.changed_percent > 5
    filled = pixels.to_rgb(files.read(job.target).pages[0])
    assert (filled == filled[..., :1]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_black_and_white_arrays_stay_so(dtype):
    picture, lost = damaged("grey", np.uint8)
    array = np.repeat(picture.samples, 3, axis=2)
    array = array if dtype == np.uint8 else array.astype(dtype) / 255
    restored = restore(array, toy_model(fill_red), OPTIONS)
    assert (restored == restored[..., :1]).all()
    assert (restored[lost] != array[lost]).all()


def test_an_undamaged_jpeg_is_copied_byte_for_byte(tmp_path):
    picture, _ = damaged("rgb", np.uint8)
    Image.fromarray(picture.samples).save(tmp_path / "in.jpg", quality=80)
    job = Job(tmp_path / "in.jpg", tmp_path / "out.jpg")
    result = restore_file(job, toy_model(lambda x: x), OPTIONS)
    assert job.target.read_bytes() == job.source.read_bytes()
    assert result.changed_percent == 0


def test_the_name_of_the_output_chooses_its_format(tmp_path):
    picture, _ = damaged("rgb", np.uint8)
    Image.fromarray(picture.samples).save(tmp_path / "in.png")
    restore_file(Job(tmp_path / "in.png", tmp_path / "out.tif"), toy_model(), OPTIONS)
    assert files.read(tmp_path / "out.tif").format == "tiff"
    with pytest.raises(UsageError, match="the name asks for png"):
        restore_file(
            Job(tmp_path / "in.png", tmp_path / "no.png"),
            toy_model(),
            OPTIONS,
            FileOptions(image_format="tiff"),
        )


def test_a_compression_that_the_format_does_not_have_is_refused_before_it_is_computed(tmp_path):
    def compute(_):
        pytest.fail("computed")

    picture, _ = damaged("rgb", np.uint8)
    Image.fromarray(picture.samples).save(tmp_path / "in.png")
    job, lzw = Job(tmp_path / "in.png", tmp_path / "out.png"), FileOptions(compression="lzw")
    with pytest.raises(UsageError, match="png has no choice of compression"):
        restore_file(job, toy_model(compute), OPTIONS, lzw)
    assert not job.target.exists()


def test_an_existing_output_is_not_touched_unless_asked(tmp_path):
    picture, _ = damaged("rgb", np.uint8)
    Image.fromarray(picture.samples).save(tmp_path / "in.png")
    job = Job(tmp_path / "in.png", tmp_path / "out.png")
    job.target.write_bytes(b"precious")
    network = toy_model()
    with pytest.raises(FileAccessError, match="exists"):
        restore_file(job, network, OPTIONS)
    assert job.target.read_bytes() == b"precious"
    assert network.network.shapes == []
    restore_file(job, network, OPTIONS, existing="overwrite")
    assert files.read(job.target).pages[0].samples.shape == (40, 56, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
def test_arrays_come_back_in_their_own_shape_and_dtype(dtype, channels):
    kind = {None: "grey", 1: "grey", 2: "grey+alpha", 3: "rgb", 4: "rgba"}[channels]
    integer = dtype if np.issubdtype(dtype, np.integer) else np.uint16
    picture, lost = damaged(kind, integer)
    array = picture.samples if integer is dtype else (picture.samples / 65535).astype(dtype)
    array = array[..., 0] if channels is None else array
    restored = restore(array, toy_model(), OPTIONS)
    assert restored.shape == array.shape
    assert restored.dtype == array.dtype
    np.testing.assert_array_equal(restored[~lost], array[~lost])
    assert not np.array_equal(restored[lost], array[lost])


@pytest.mark.parametrize(
    "array", [np.zeros((3, 3), np.int64), np.zeros((2, 2, 5)), np.zeros(7), np.zeros((0, 4, 3))]
)
def test_what_is_no_picture_is_refused(array):
    with pytest.raises(InputError):
        restore(array, toy_model(), OPTIONS)


def test_an_upscaler_does_not_restore():
    upscaler = Model("edsr", "edsr", EDSR(EDSRConfig(1, 4)), {}, "0" * 64, Path("edsr"))
    with pytest.raises(ModelError, match="does not restore"):
        restore(np.zeros((8, 8, 3)), upscaler, OPTIONS)


@pytest.mark.parametrize("scale", [255, np.nan, -1])
def test_floats_of_another_scale_are_refused(scale):
    picture = np.linspace(0, 1, 40 * 56 * 3, dtype=np.float32).reshape(40, 56, 3)
    with pytest.raises(InputError, match=r"are not in \[0, 1\]; divide them by their white"):
        restore(picture * np.float32(scale), toy_model(), OPTIONS)
    overshot = picture * 1.1 - 0.05
    assert restore(overshot, toy_model(), OPTIONS).shape == picture.shape
