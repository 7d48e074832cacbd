import numpy as np
import pytest
import tifffile
from PIL import Image

from dunrestore.benchmarking import reading
from dunrestore.benchmarking.reading import read_mask, read_rgb
from dunrestore.errors import InputError


def test_pictures_of_every_kind_become_8_bit_rgb(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "STRIP", 7)
    samples = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", samples, photometric="rgb")
    assert np.array_equal(read_rgb(tmp_path / "deep.tif"), np.rint(samples / 257).astype(np.uint8))
    grey = (samples[..., 0] >> 8).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_rgb(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, axis=2))


def palette():
    picture = Image.new("P", (4, 6))
    picture.putpalette([200] * 6)
    return picture


@pytest.mark.parametrize(
    ("picture", "clear"),
    [
        (Image.new("RGBA", (4, 6), (200, 200, 200, 1)), {}),
        (Image.new("LA", (4, 6), (200, 1)), {}),
        (Image.new("RGB", (4, 6)), {"transparency": (0, 0, 0)}),
        (palette(), {"transparency": 0}),
    ],
)
def test_pictures_that_are_somewhere_wholly_transparent_are_refused(tmp_path, picture, clear):
    path = tmp_path / "a.png"
    picture.save(path)
    assert read_rgb(path).shape == (6, 4, 3)
    if not clear:
        picture.putpixel((1, 2), (200,) * (len(picture.mode) - 1) + (0,))
    picture.save(path, **clear)
    with pytest.raises(InputError, match=r"a\.png: .*wholly transparent.*; crop .* or flatten"):
        read_rgb(path)


def test_pictures_are_turned_upright(tmp_path):
    picture = Image.fromarray(np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.png", exif=exif)
    turned = read_rgb(tmp_path / "turned.png")
    assert np.array_equal(turned, np.rot90(np.asarray(picture), -1))


def test_masks_are_what_is_nearer_to_white(tmp_path):
    values = np.array([[0, 127, 128, 255]], dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", (1, 4)).tolist() == [[False, False, True, True]]
    with pytest.raises(InputError, match="the mask has 4x1 pixels, its picture 5x1"):
        read_mask(tmp_path / "mask.png", (1, 5))
    Image.fromarray(values > 127).save(tmp_path / "bits.png")
    assert read_mask(tmp_path / "bits.png", (1, 4)).tolist() == [[False, False, True, True]]
    with pytest.raises(InputError, match="1 bits"):
        read_rgb(tmp_path / "bits.png")


def test_a_mask_that_can_be_seen_through_is_refused(tmp_path):
    layer = np.full((6, 4, 4), 255, np.uint8)
    Image.fromarray(layer).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", (6, 4)).all()
    layer[5, 1, 3] = 0
    Image.fromarray(layer).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png: the mask has transparent pixels"):
        read_mask(tmp_path / "mask.png", (6, 4))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_mask_of_zeros_and_ones_is_refused_and_a_black_one_is_not(tmp_path, dtype):
    mask = np.zeros((6, 4), dtype)
    tifffile.imwrite(tmp_path / "mask.tif", mask)
    assert not read_mask(tmp_path / "mask.tif", (6, 4)).any()
    mask[2] = 1
    tifffile.imwrite(tmp_path / "mask.tif", mask)
    with pytest.raises(InputError, match="the mask marks nothing: its brightest value is 1 of"):
        read_mask(tmp_path / "mask.tif", (6, 4))
