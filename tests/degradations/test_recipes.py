import numpy as np
import pytest

from dunrestore.degradations.recipes import (
    KINDS,
    RECIPES,
    Damage,
    Recipe,
    degrade,
    degrade_samples,
)

COVERING = [name for name, kind in KINDS.items() if kind.fill]


def picture(height=96, width=120, channels=3):
    return np.random.default_rng(1).uniform(0.2, 0.9, (height, width, channels)).astype("f4")


def one(kind, coverage, *fills):
    return Recipe((Damage(kind, (coverage, coverage), fills),))


def run(clean, recipe, seed=0):
    return degrade(clean, recipe, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("coverage", [0.0, 0.01, 0.15, 0.6, 1.0])
def test_coverage_is_met_and_nothing_else_changes(kind, coverage):
    clean = picture()
    result = run(clean, one(kind, coverage))
    assert abs(result.mask.mean() - coverage) < 0.005
    assert np.array_equal(result.picture[~result.mask], clean[~result.mask])
    changed = (result.picture != clean).any(axis=2)
    assert changed[result.mask].mean() > 0.98 if coverage else not changed.any()
    assert result.picture.dtype == np.float32
    assert result.picture.min() >= 0
    assert result.picture.max() <= 1


@pytest.mark.parametrize("name", RECIPES)
def test_the_seed_decides_and_the_input_stays(name):
    clean = picture()
    before = clean.copy()
    first, again, other = (run(clean, RECIPES[name], seed) for seed in (4, 4, 5))
    assert np.array_equal(first.picture, again.picture)
    assert np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.picture, other.picture)
    assert np.array_equal(clean, before)


def test_the_challenges_losses_are_pure_white():
    result = run(picture(), RECIPES["challenge"])
    assert (result.picture[result.mask] == 1).all()


@pytest.mark.parametrize("kind", COVERING)
def test_a_fill_changes_the_colour_and_not_the_place(kind):
    clean = picture(channels=3)
    white, dark = run(clean, one(kind, 0.2, "white")), run(clean, one(kind, 0.2, "dark"))
    assert np.array_equal(white.mask, dark.mask)
    assert white.picture[white.mask].mean() > dark.picture[dark.mask].mean() + 0.2


@pytest.mark.parametrize("fill", ["plaster", "grey", "dark"])
def test_fills_have_a_texture_and_their_order_of_brightness(fill):
    result = run(picture(), one("random-walk", 0.4, fill))
    inside = result.picture[result.mask]
    assert 0.005 < inside.mean(axis=1).std() < 0.2
    assert {"plaster": 0.5, "grey": 0.25, "dark": 0.0}[fill] < inside.mean()
    assert inside.mean() < {"plaster": 0.95, "grey": 0.75, "dark": 0.3}[fill]


def test_noise_on_top_leaves_the_losses_where_they_are():
    clean = picture()
    alone = run(clean, RECIPES["challenge"])
    noisy = run(clean, Recipe(RECIPES["challenge"].damages, gaussian=(8, 8), jpeg=(60, 60)))
    assert np.array_equal(alone.mask, noisy.mask)


def test_stains_darken_and_fading_takes_colour():
    clean = picture()
    stained = run(clean, one("stains", 0.3))
    assert (stained.picture <= clean).all()
    faded = run(clean, one("fading", 0.5))
    before, after = np.ptp(clean, axis=2), np.ptp(faded.picture, axis=2)
    assert after[faded.mask].mean() < 0.9 * before[faded.mask].mean()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_samples_keep_their_depth_and_what_was_not_touched(dtype, channels):
    maximum = np.iinfo(dtype).max
    samples = np.random.default_rng(2).integers(0, maximum, (80, 64, channels)).astype(dtype)
    damaged, mask = degrade_samples(samples, one("flakes", 0.2), np.random.default_rng(0))
    assert damaged.dtype == dtype
    assert np.array_equal(damaged[~mask], samples[~mask])
    noisy, _ = degrade_samples(
        np.full((200, 200, channels), maximum // 2, dtype),
        Recipe(gaussian=(8, 8)),
        np.random.default_rng(0),
    )
    sigma = noisy.astype(float).std() / maximum * 255
    assert sigma == pytest.approx(8, rel=0.02)


def test_sixteen_bits_are_not_cut_to_eight():
    grey = np.full((64, 64, 3), 30001, np.uint16)
    noisy, _ = degrade_samples(grey, Recipe(gaussian=(1, 1)), np.random.default_rng(0))
    assert len(np.unique(noisy)) > 500


def test_jpeg_loses_more_at_a_lower_quality():
    clean = picture()
    loss = [np.abs(run(clean, Recipe(jpeg=(q, q))).picture - clean).mean() for q in (60, 30)]
    assert 0 < loss[0] < loss[1]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Damage("rain"),
        lambda: Damage("flakes", (0.5, 0.1)),
        lambda: Damage("flakes", (0.5, 1.1)),
        lambda: Damage("stains", fills=("white",)),
        lambda: Damage("flakes", fills=("pink",)),
        lambda: Recipe(gaussian=(-1, 3)),
        lambda: Recipe(jpeg=(0, 30)),
        lambda: Recipe(soft_edges=(2, 1)),
        lambda: Recipe(soft_edges=(0, 11)),
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=r"unknown|must lie|takes no fill"):
        wrong()


def test_a_coverage_that_makes_no_sense_is_told_in_percent():
    with pytest.raises(ValueError, match=r"between 0 and 100 %, .*: here 50 and 10$"):
        Damage("flakes", (0.5, 0.1))


@pytest.mark.parametrize("kind", COVERING)
def test_soft_edges_cover_less_and_less_outwards_and_the_rest_stays(kind):
    clean = picture()
    sharp = run(clean, one(kind, 0.1, "white"))
    soft = run(clean, Recipe((Damage(kind, (0.1, 0.1), ("white",)),), soft_edges=(1.5, 1.5)))
    assert np.array_equal(soft.picture[~soft.mask], clean[~soft.mask])
    covered = ((soft.picture - clean) / (1 - clean)).mean(axis=2)
    assert covered[soft.mask].min() == pytest.approx(0.1, abs=0.02)
    assert ((covered > 0.2) & (covered < 0.8)).sum() > 100
    beside = ~sharp.mask & (covered > 0)
    assert beside.any()
    assert covered[sharp.mask].mean() > covered[beside].mean() > 0.1


def test_how_soft_edges_are_and_how_often():
    clean = np.full((200, 200, 3), 0.5, np.float32)

    def widths(**edges):
        recipe = Recipe((Damage("areas", (0.1, 0.1), ("white",)),), **edges)
        made = [run(clean, recipe, seed).picture for seed in range(24)]
        return [((p > 0.55) & (p < 0.95)).mean() for p in made]

    sharp, narrow, wide = widths(), widths(soft_edges=(0.5, 0.5)), widths(soft_edges=(3, 3))
    assert np.mean(sharp) < np.mean(narrow) < np.mean(wide) / 2
    assert all(a < b for a, b in zip(narrow, widths(soft_edges=(0.6, 2.5)), strict=True))
    sometimes = widths(soft_edges=(3, 3), soft_edges_probability=0.5)
    same = sum(a == b for a, b in zip(sometimes, wide, strict=True))
    assert 4 < same < 20
    assert sum(a == b for a, b in zip(sometimes, sharp, strict=True)) == 24 - same
