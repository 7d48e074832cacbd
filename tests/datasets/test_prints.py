import numpy as np
import pytest

from dunrestore.datasets import prints
from dunrestore.datasets.painter import paint_mural
from dunrestore.datasets.prints import print_of

PICTURE = paint_mural(96, 128, np.random.default_rng(0)).astype(np.float32)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def colours_of(picture) -> int:
    return len(np.unique(np.rint(picture * 255).reshape(-1, 3), axis=0))


def test_prints_are_pictures_of_the_same_size_and_leave_theirs_as_it_was():
    before = PICTURE.copy()
    for seed in range(60):
        printed = print_of(PICTURE, rng(seed))
        assert printed.dtype == np.float32
        assert printed.shape == PICTURE.shape
        assert printed.min() >= 0
        assert printed.max() <= 1
        assert not np.array_equal(printed, PICTURE)
    assert np.array_equal(PICTURE, before)


def test_the_same_generator_prints_the_same():
    first, again, other = (print_of(PICTURE, rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("process", [prints._drawn, prints._black])
def test_lines_are_in_one_ink_on_paper(process):
    hard = 0
    for seed in range(30):
        printed = process(PICTURE, rng(seed)).reshape(-1, 3)
        paper, ink = printed[printed.sum(axis=1).argmax()], printed[printed.sum(axis=1).argmin()]
        # Every colour lies between the two: nothing else is on the sheet.
        share = (printed - ink) @ (paper - ink) / max(((paper - ink) ** 2).sum(), 1e-6)
        assert np.allclose(printed, ink + share[:, None] * (paper - ink), atol=1e-5)
        hard += colours_of(printed) <= 2
    assert 3 < hard < 27


def test_ink_lies_where_the_picture_is_darkest():
    for seed in range(30):
        printed = prints._black(PICTURE, rng(seed)).mean(axis=2)
        ink = printed < 0.5 * (printed.min() + printed.max())
        assert PICTURE.mean(axis=2)[ink].mean() < PICTURE.mean(axis=2)[~ink].mean()


def test_a_screen_is_as_dark_as_the_picture():
    dark, light = (np.full((96, 96, 3), level, np.float32) for level in (0.25, 0.75))
    for seed in range(20):
        assert prints._screened(dark, rng(seed)).mean() < prints._screened(light, rng(seed)).mean()


@pytest.mark.parametrize("turn", [0.0, 30.0])
def test_a_screens_dots_stand_a_cell_apart(turn):
    screen = prints._screen((256, 256), 8.0, turn)
    spectrum = np.abs(np.fft.rfft2(screen - screen.mean()))
    row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
    frequency = np.hypot(min(row, 256 - row), column) / 256
    assert frequency == pytest.approx(np.sqrt(2) / 8, abs=1 / 256)


def test_flat_prints_have_few_colours():
    for seed in range(20):
        assert 2 <= colours_of(prints._flat(PICTURE, rng(seed))) <= 12


def test_what_lies_between_pictures_goes_from_edge_to_edge():
    crossed, picture = 0, np.full((96, 128, 3), 0.4, np.float32)
    for seed in range(30):
        changed = (prints._parted(picture, rng(seed)) != picture).any(axis=2)
        rows, columns = changed.all(axis=1), changed.all(axis=0)
        assert rows.any() or columns.any()
        assert np.array_equal(changed, rows[:, None] | columns)
        crossed += rows.any() and columns.any()
    assert 0 < crossed < 30


@pytest.mark.parametrize("shape", [(8, 8), (3, 200), (1, 1)])
def test_small_pictures_are_printed_too(shape):
    for seed in range(30):
        printed = print_of(np.full((*shape, 3), 0.5, np.float32), rng(seed))
        assert printed.shape == (*shape, 3)
        assert np.isfinite(printed).all()
