import numpy as np
import pytest

from dunrestore.degradations.fills import _uneven_light, fill_losses

SEEDS = range(300)


def filled(fill, seed, height=96, width=96, channels=3):
    """What a fill shows where all is lost."""
    clean = np.zeros((height, width, channels), np.float32)
    everywhere = np.ones((height, width), np.float32)
    return fill_losses(clean, everywhere, fill, np.random.default_rng(seed))


def saturation(colour):
    return (colour.max() - colour.min()) / max(colour.max(), 1e-6)


def test_flat_is_one_colour_of_any_kind():
    shown = [filled("flat", seed, 8, 8) for seed in SEEDS]
    assert max(np.ptp(one, (0, 1)).max() for one in shown) == 0
    colours = np.stack([one[0, 0] for one in shown])
    warm = (colours[:, 0] >= colours[:, 1]) & (colours[:, 1] >= colours[:, 2])
    pale = warm & (np.array([saturation(c) for c in colours]) <= 0.35)
    assert 0.4 < pale.mean() < 0.65  # the tones of grounds; of the others one in twelve at most
    assert np.array([saturation(c) for c in colours[~pale]]).mean() > 0.5
    assert colours[pale].min() < 0.3
    assert colours[pale].max() > 0.95


def test_grey_pictures_get_greys_from_black_to_white():
    tones = np.array([filled("flat", seed, 2, 2, channels=1)[0, 0, 0] for seed in SEEDS])
    assert (tones < 0.15).mean() > 0.05
    assert (tones > 0.85).mean() > 0.15


def slope(shown):
    """How much lighter one side is than the other, as a share, in the direction that rises most."""
    light = shown.mean(axis=2)
    height, width = light.shape
    down = light[-height // 8 :].mean() - light[: height // 8].mean()
    across = light[:, -width // 8 :].mean() - light[:, : width // 8].mean()
    return np.hypot(down, across) / light.mean()


def test_coloured_lies_in_uneven_light_and_others_do_not():
    clear = [s for seed in SEEDS if 0.3 < (s := filled("coloured", seed)).mean() < 0.8]
    slopes = np.array([slope(shown) for shown in clear])
    assert 0.03 < np.median(slopes) < 0.12
    assert slopes.max() < 0.25
    flat = np.array([slope(filled("flat", seed)) for seed in SEEDS[:20]])
    assert flat.max() < 1e-5


@pytest.mark.parametrize("size", [(100, 400), (400, 100), (96, 96)])
def test_the_light_leaves_the_mean_as_it_is(size):
    for seed in range(20):
        light = _uneven_light(*size, np.random.default_rng(seed))
        assert light.shape == (*size, 1)
        assert abs(light.mean() - 1) < 1e-4
        assert np.ptp(light) < 0.15 * np.sqrt(2)


def test_coloured_is_smooth_or_rough():
    grains = []
    for seed in SEEDS:
        shown = filled("coloured", seed)
        if shown.min() > 0.2 and shown.max() < 0.9:  # not clipped
            grains.append(np.diff(shown.mean(axis=2), axis=1).std())
    assert max(grains) > 4 * min(grains) > 0
