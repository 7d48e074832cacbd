import math

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dunrestore.errors import InputError
from dunrestore.metrics import fidelity
from dunrestore.metrics.fidelity import compare, share_kept


def pair(height, width, kind=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    truth = np.stack([rows, columns, 0.5 + 0.4 * np.sin(9 * (rows + columns))], axis=-1)
    noisy = np.clip(truth + rng.normal(0, 0.08, truth.shape), 0, 1)
    if np.issubdtype(kind, np.integer):
        top = np.iinfo(kind).max
        return (noisy * top).round().astype(kind), (truth * top).round().astype(kind)
    return noisy.astype(kind), truth.astype(kind)


def ssim_map(picture, truth):
    mean, by_channel = structural_similarity(
        fidelity.as_float64(truth),
        fidelity.as_float64(picture),
        data_range=1,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return mean, by_channel.mean(axis=2)


def colour_difference(picture, truth):
    return deltaE_ciede2000(
        rgb2lab(fidelity.as_float64(truth)), rgb2lab(fidelity.as_float64(picture))
    )


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("strip_pixels", [1, 1000, 1 << 20])
@pytest.mark.parametrize("size", [(97, 61), (11, 40), (45, 11)])
def test_whole_pictures_agree_with_scikit_image(monkeypatch, kind, strip_pixels, size):
    monkeypatch.setattr(fidelity, "STRIP_PIXELS", strip_pixels)
    picture, truth = pair(*size, kind)
    measured = compare(picture, truth).whole
    ours, theirs = fidelity.as_float64(picture), fidelity.as_float64(truth)
    difference = colour_difference(picture, truth)
    assert measured.psnr == pytest.approx(
        peak_signal_noise_ratio(theirs, ours, data_range=1), abs=1e-9
    )
    assert measured.ssim == pytest.approx(ssim_map(picture, truth)[0], abs=1e-9)
    assert measured.dssim == pytest.approx(1 - ssim_map(picture, truth)[0], abs=1e-9)
    assert measured.ciede2000 == pytest.approx(difference.mean(), abs=1e-9)
    assert measured.ciede2000_p95 == pytest.approx(np.percentile(difference, 95), abs=1e-9)


@pytest.mark.parametrize("strip_pixels", [1, 1 << 20])
def test_parts_agree_with_scikit_images_maps(monkeypatch, strip_pixels):
    monkeypatch.setattr(fidelity, "STRIP_PIXELS", strip_pixels)
    picture, truth = pair(90, 70)
    mask = np.zeros((90, 70), dtype=bool)
    mask[20:40, 5:30] = mask[60, 60] = mask[0, 0] = True
    measured = compare(picture, truth, mask)
    error = ((fidelity.as_float64(picture) - fidelity.as_float64(truth)) ** 2).mean(axis=2)
    difference, similarity = colour_difference(picture, truth), ssim_map(picture, truth)[1]
    windows = np.zeros_like(mask)
    windows[5:-5, 5:-5] = True
    near = np.zeros_like(mask)
    for row, column in np.argwhere(mask):
        near[max(0, row - 5) : row + 6, max(0, column - 5) : column + 6] = True
    for part, pixels, counted in (
        (measured.inside, mask, mask & windows),
        (measured.outside, ~mask, ~near & windows),
    ):
        assert part.psnr == pytest.approx(-10 * np.log10(error[pixels].mean()), abs=1e-9)
        assert part.ciede2000 == pytest.approx(difference[pixels].mean(), abs=1e-9)
        assert part.ssim == pytest.approx(similarity[counted].mean(), abs=1e-9)
        assert part.ciede2000_p95 is None


def test_outside_is_perfect_where_only_the_damage_changed():
    picture, truth = pair(60, 60)
    mask = np.zeros((60, 60), dtype=bool)
    mask[25:35, 25:35] = True
    picture = np.where(mask[..., None], picture, truth)
    measured = compare(picture, truth, mask)
    assert measured.outside.psnr == math.inf
    assert measured.outside.ssim == pytest.approx(1, abs=1e-12)
    assert measured.outside.ciede2000 == 0
    assert measured.inside.psnr < 30
    assert measured.inside.ssim < 0.9


def test_an_empty_or_full_mask_has_one_part():
    picture, truth = pair(20, 20)
    none = compare(picture, truth, np.zeros((20, 20), dtype=bool))
    assert none.inside is None
    assert none.outside.psnr == none.whole.psnr
    full = compare(picture, truth, np.ones((20, 20), dtype=bool))
    assert full.outside is None
    assert full.inside.ciede2000 == pytest.approx(full.whole.ciede2000)


@pytest.mark.parametrize("size", [(1, 1), (10, 300), (300, 10), (1, 20)])
def test_pictures_smaller_than_the_window_have_no_ssim(size):
    measured = compare(*pair(*size)).whole
    assert measured.ssim is None
    assert measured.dssim is None
    assert math.isfinite(measured.psnr)
    assert measured.ciede2000_p95 >= 0


def test_sizes_that_differ_are_refused():
    small, large = pair(20, 20)[0], pair(20, 30)[0]
    with pytest.raises(InputError, match="20x20 and 30x20"):
        compare(small, large)
    with pytest.raises(InputError, match="mask"):
        compare(small, small, np.zeros((3, 3), dtype=bool))
    with pytest.raises(InputError, match="without pixels"):
        compare(small[:0], small[:0])


def test_memory_does_not_grow_with_the_picture(monkeypatch):
    import tracemalloc

    monkeypatch.setattr(fidelity, "STRIP_PIXELS", 4000)

    def peak(height):
        picture, truth = pair(height, 100)
        compare(picture, truth)
        tracemalloc.start()
        compare(picture, truth)
        grown = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return grown

    # Eight times the rows cost no more than the tail that the percentile keeps.
    assert peak(1600) < peak(200) + 1400 * 100 * 2


def test_the_share_kept_counts_whole_pixels_outside_the_damage():
    original = np.zeros((4, 5, 3), dtype=np.uint8)
    picture = original.copy()
    picture[0, 0, 1] = 1
    picture[3, 4] = 9
    mask = np.zeros((4, 5), dtype=bool)
    mask[3] = True
    assert share_kept(picture, original) == pytest.approx(18 / 20)
    assert share_kept(picture, original, mask) == pytest.approx(14 / 15)
    assert share_kept(picture, original, np.ones((4, 5), dtype=bool)) is None
