import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from dunrestore.datasets.painter import paint_mural
from dunrestore.datasets.pigments import on_plaster


def painted(seed, height=160, width=192):
    return paint_mural(height, width, np.random.default_rng(seed))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (37, 150), (256, 64)])
def test_any_size_is_a_picture_in_range(height, width):
    picture = painted(3, height, width)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.float32
    assert picture.min() >= 0
    assert picture.max() <= 1


def test_the_seed_decides_everything():
    assert np.array_equal(painted(5), painted(5))
    assert np.abs(painted(5) - painted(6)).mean() > 0.02


def test_walls_have_outlines_colours_and_grain():
    for seed in range(4):
        picture = painted(seed)
        luminance = picture.mean(axis=2)
        assert (luminance < 0.35).mean() > 0.02, "no dark outlines"
        assert np.ptp(picture, axis=2).mean() > 0.06, "no colour"
        grain = luminance - gaussian_filter(luminance, 1)
        assert np.median(np.abs(grain)) > 0.002, "no grain"


def test_paint_rubs_off_to_the_plaster():
    blue = np.zeros((200, 200, 3), dtype=np.float32)
    blue[..., 2] = 1
    wall = on_plaster(blue, (255, 255, 0), np.random.default_rng(1))
    assert (wall[..., 0] > 0.4).mean() > 0.002
    assert (wall[..., 2] > 0.5).mean() > 0.6
