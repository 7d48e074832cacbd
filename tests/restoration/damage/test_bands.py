"""What is found band by band is what is found in the whole picture."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold

from dunrestore.imaging import pixels, rows
from dunrestore.imaging.rows import StoredRows, TurnedRows
from dunrestore.provenance.regions import ChangedRegions
from dunrestore.restoration.damage.connected import keep_regions
from dunrestore.restoration.damage.preserve import CROSS, NEIGHBOURS, damage_weight
from dunrestore.restoration.damage.quantiles import Quantiles


@pytest.mark.parametrize("seed", range(30))
def test_regions_go_on_from_band_to_band(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 60, 2)
    monkeypatch.setattr(rows, "AT_ONCE", int(width * rng.integers(1, 9)))
    monkeypatch.setattr(rows, "FEWEST", 1)
    strength = ndimage.gaussian_filter(rng.random((height, width)), rng.choice([0, 0.5, 1]))
    low, high = np.quantile(strength, [0.6, 0.95])
    levels = (strength > low).astype(np.uint8) + (strength > high)
    keep_regions(levels, counted=2, enough=1, structure=CROSS)
    strong = apply_hysteresis_threshold(strength, low, high)
    np.testing.assert_array_equal(levels, strong)
    labels, _ = ndimage.label(strong, NEIGHBOURS)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    keep_regions(levels, counted=1, enough=4, structure=NEIGHBOURS)
    np.testing.assert_array_equal(levels, (sizes >= 4)[labels])


def test_damage_does_not_depend_on_the_bands(monkeypatch):
    rng = np.random.default_rng(1)
    change = ndimage.gaussian_filter(rng.normal(0, 0.02, (90, 70, 3)), (1, 1, 0))
    blobs = ndimage.gaussian_filter(rng.random((90, 70)), 4)
    change[blobs > np.quantile(blobs, 0.9)] += 0.4
    change = change.astype(np.float32)
    whole = damage_weight(change)
    assert 0.05 < (whole > 0).mean() < 0.2
    monkeypatch.setattr(rows, "AT_ONCE", 300)
    monkeypatch.setattr(rows, "FEWEST", 1)
    np.testing.assert_array_equal(damage_weight(change), whole)


def test_quantiles_are_those_of_numpy_rounded_down():
    values = np.random.default_rng(2).exponential(3, 10_001).astype(np.float32)
    quantiles = Quantiles()
    assert quantiles.at(0.5) == 0
    quantiles.add(values[:7])
    quantiles.add(values[7:])
    for share in (0.0, 0.2, 0.5, 1.0):
        exact = np.quantile(values, share)
        assert exact * (1 - 2**-12) <= quantiles.at(share) <= exact


def test_changed_regions_do_not_depend_on_the_bands():
    rng = np.random.default_rng(3)
    for density in (0.0, 0.002, 0.3):
        changed = rng.random((170, 131)) < density
        whole, regions = ChangedRegions(*changed.shape), ChangedRegions(*changed.shape)
        whole.add(0, changed)
        for top in range(0, 170, 32):
            regions.add(top, changed[top : top + 32])
        assert regions.boxes() == whole.boxes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rows_are_turned_both_ways(tmp_path, orientation):
    stored = np.random.default_rng(4).integers(0, 255, (7, 11, 3), np.uint8)
    upright = pixels.upright(stored, orientation)
    turned = TurnedRows(stored, orientation)
    np.testing.assert_array_equal(turned[:], upright)
    np.testing.assert_array_equal(turned[2:5], upright[2:5])
    copy = StoredRows(tmp_path / "rows", (7, 11, 3), np.uint8)
    target = TurnedRows(copy, orientation)
    target[0:3] = upright[0:3]
    target[3:11] = upright[3:]
    np.testing.assert_array_equal(copy[:], stored)
