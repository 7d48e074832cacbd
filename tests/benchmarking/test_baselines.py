import importlib.util

import numpy as np
import pytest

from dunrestore.benchmarking import baselines
from dunrestore.errors import UsageError


@pytest.fixture
def picture():
    rows, columns = np.mgrid[:60, :80]
    return np.stack([rows * 2, columns * 2, 40 + rows + columns], axis=-1).astype(np.uint8)


def test_near_white_needs_all_three_samples():
    picture = np.array([[[250, 250, 250], [255, 255, 249], [255, 215, 230]]], dtype=np.uint8)
    assert baselines.near_white(picture, noisy=False).tolist() == [[True, False, False]]
    assert baselines.near_white(picture, noisy=True).tolist() == [[True, True, True]]
    assert not baselines.near_white(picture - 36, noisy=True).any()


@pytest.mark.parametrize("baseline", baselines.choose("all"), ids=lambda b: b.key)
def test_a_fill_restores_a_smooth_picture_and_touches_nothing_else(picture, baseline):
    mask = np.zeros(picture.shape[:2], dtype=bool)
    mask[20:26, 30:37] = mask[50, 10] = True
    damaged = np.where(mask[..., None], 255, picture).astype(np.uint8)
    filled = baseline.fill(damaged, mask)
    assert filled.dtype == np.uint8
    assert np.array_equal(filled[~mask], picture[~mask])
    assert np.abs(filled[mask].astype(int) - picture[mask]).max() <= 12


@pytest.mark.parametrize("baseline", baselines.choose("all"), ids=lambda b: b.key)
def test_nothing_or_everything_lost_stays_as_it_is(picture, baseline):
    for mask in (np.zeros((60, 80), bool), np.ones((60, 80), bool)):
        assert np.array_equal(baseline.fill(picture, mask), picture)


def test_without_opencv_the_biharmonic_fill_stands_in(monkeypatch):
    assert [b.key for b in baselines.choose("auto")] == ["navier-stokes", "telea"]
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "cv2" else real(name)
    )
    assert [b.key for b in baselines.choose("auto")] == ["biharmonic"]
    assert baselines.choose("none") == []
    with pytest.raises(UsageError, match="OpenCV is not installed"):
        baselines.choose("all")
