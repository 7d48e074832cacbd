import numpy as np
import pytest
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from dunrestore.benchmarking import previews
from dunrestore.benchmarking.cases import Case
from dunrestore.benchmarking.contestants import damaged_input
from dunrestore.benchmarking.previews import Previews, error_map

BRIGHTEST = [252, 253, 191]


def pictures(height, width):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)


def test_a_loss_of_one_pixel_shows_on_the_page(tmp_path):
    truth = np.full((1000, 1500, 3), 128, np.uint8)
    damaged = truth.copy()
    damaged[:, 700] = 255
    kept = Previews(tmp_path, frozenset({"input"}))
    kept.keep("white", Case("a", truth, damaged, None), damaged_input(), (damaged,))
    shown = Image.open(kept.path("white", "a", "error", "damaged input"))
    assert shown.size == (300, 200)
    light = np.asarray(shown)[..., 1].astype(int)
    assert light[:, 140].min() > 230
    assert light[:, [*range(138), *range(143, 300)]].max() < 10


@pytest.mark.parametrize(("shape", "size"), [((7, 9), (7, 9)), ((40, 61), (13, 20))])
def test_each_cell_is_its_largest_difference(monkeypatch, shape, size):
    monkeypatch.setattr(previews, "WORST_SHOWN", 200.0)
    picture, truth = pictures(*shape)
    difference = deltaE_ciede2000(rgb2lab(truth), rgb2lab(picture))
    shown = error_map(picture, truth, size)
    rows, columns = (
        [*np.arange(n) * whole // n, whole] for n, whole in zip(size, shape, strict=True)
    )
    for i in range(size[0]):
        for j in range(size[1]):
            cell = difference[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
            red = np.interp(cell.max() / 50, range(5), (0, 81, 183, 252, 252))
            assert shown[i, j, 0] == round(red)


def test_equal_pictures_are_black_and_far_ones_bright():
    white, black = np.full((5, 5, 3), 255, np.uint8), np.zeros((5, 5, 3), np.uint8)
    assert (error_map(white, white, (2, 2)) == [0, 0, 4]).all()
    assert (error_map(white, black, (2, 2)) == BRIGHTEST).all()
