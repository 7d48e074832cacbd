import numpy as np
import pytest

from dunrestore.datasets.charts import lay_charts

PICTURE = np.random.default_rng(0).uniform(0.3, 0.6, (96, 128, 3)).astype(np.float32)


def test_charts_cover_a_part_and_leave_the_rest():
    shares = []
    for seed in range(40):
        before = PICTURE.copy()
        laid = lay_charts(PICTURE, np.random.default_rng(seed))
        assert np.array_equal(PICTURE, before)
        assert laid.dtype == np.float32
        assert laid.shape == PICTURE.shape
        assert laid.min() >= 0
        assert laid.max() <= 1
        shares.append((laid != PICTURE).any(axis=2).mean())
    assert min(shares) < 0.2
    assert max(shares) < 1
    assert 0.1 < np.mean(shares) < 0.8


def test_what_lies_there_is_flat_and_has_edges():
    flat = edges = 0
    for seed in range(20):
        laid = lay_charts(PICTURE, np.random.default_rng(seed))
        on = (laid != PICTURE).any(axis=2)
        both = on[:, 1:] & on[:, :-1]
        steps = np.abs(np.diff(laid, axis=1)).max(axis=2)[both]
        flat += (steps < 0.01).sum()
        edges += (steps > 0.2).sum()
    assert flat > 3 * edges > 0


def test_the_same_generator_lays_the_same_charts():
    first, again, other = (lay_charts(PICTURE, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("shape", [(8, 8), (3, 200), (1, 1)])
def test_small_pictures_have_room_for_a_part(shape):
    for seed in range(20):
        laid = lay_charts(np.zeros((*shape, 3), np.float32), np.random.default_rng(seed))
        assert laid.shape == (*shape, 3)
        assert np.isfinite(laid).all()
