import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000, rgb2lab

from dunrestore.provenance.drift import colour_drift
from dunrestore.provenance.regions import ChangedRegions


def changed_regions(changed):
    regions = ChangedRegions(*changed.shape)
    regions.add(0, changed)
    return regions.boxes()


def test_boxes_are_tight_and_the_largest_comes_first():
    changed = np.zeros((100, 130), bool)
    changed[3:5, 7:20] = True
    changed[60:90, 80:129] = True
    changed[70, 100] = False
    large, small = changed_regions(changed)
    assert (small.left, small.top, small.width, small.height) == (7, 3, 13, 2)
    assert (large.left, large.top, large.width, large.height) == (80, 60, 49, 30)
    assert (large.changed, small.changed) == (49 * 30 - 1, 26)


def test_nothing_changed_has_no_boxes():
    assert changed_regions(np.zeros((5, 7), bool)) == ()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_boxes_hold_every_changed_pixel_once(height, width, share, seed):
    changed = np.random.default_rng(seed).random((height, width)) < share**4
    boxes = changed_regions(changed)
    assert sum(box.changed for box in boxes) == changed.sum()
    covered = np.zeros_like(changed)
    for box in boxes:
        inside = (slice(box.top, box.top + box.height), slice(box.left, box.left + box.width))
        for edge in (0, -1):
            assert changed[inside][edge].any()
            assert changed[inside][:, edge].any()
        covered[inside] = True
    assert covered[changed].all()


def pictures(height=40, width=50):
    rng = np.random.default_rng(0)
    before = rng.random((height, width, 3), np.float32)
    sound = np.ones((height, width), bool)
    sound[5:15, 5:15] = False
    return before, sound


def test_drift_counts_only_what_was_sound():
    before, sound = pictures()
    after = before.copy()
    after[~sound] = 0
    drift = colour_drift(before, after, sound)
    assert (drift.mean, drift.largest, drift.patches, drift.differing_percent) == (0, 0, 0, 0)
    assert colour_drift(before, after, np.zeros_like(sound)) is None


def test_drift_is_the_mean_of_ciede2000():
    before, sound = pictures()
    after = (before * np.float32(0.9) + np.float32(0.03)).astype(np.float32)
    expected = deltaE_ciede2000(rgb2lab(before), rgb2lab(after))[sound]
    drift = colour_drift(before, after, sound)
    assert drift.mean == pytest.approx(expected.mean(), rel=1e-5)
    assert drift.largest == pytest.approx(expected.max(), rel=1e-5)
    assert drift.differing_percent > 99


def test_where_no_patch_is_sound_by_half_its_pixels_count():
    before, _ = pictures()
    after = (before * np.float32(0.9)).astype(np.float32)
    sound = np.zeros((40, 50), bool)
    sound[::2, ::2] = True
    drift = colour_drift(before, after, sound)
    assert drift.patches == drift.mean > 1


def test_noise_is_no_drift_of_the_patches_but_a_cast_is():
    rng = np.random.default_rng(1)
    before = np.full((64, 64, 3), 0.5, np.float32)
    noisy = (before + rng.normal(0, 0.08, before.shape)).astype(np.float32)
    sound = np.ones((64, 64), bool)
    noise = colour_drift(before, noisy, sound)
    assert noise.mean > 4
    assert noise.patches < 1.5
    cast = colour_drift(before, before + np.float32([0.1, 0, 0]), sound)
    assert cast.patches == pytest.approx(cast.mean, rel=1e-3)
    assert cast.patches > 3
