"""What was found along a whole side of a picture is its margin, not a loss."""

import numpy as np
import pytest
from scipy import ndimage

from dunrestore.datasets.painter import paint_mural
from dunrestore.imaging import rows
from dunrestore.restoration.damage import margins
from dunrestore.restoration.damage.margins import OutsideMargins, margins_of

SIZE = (150, 210)
ALL = ("top", "bottom", "left", "right")


def mural(seed=0):
    return paint_mural(*SIZE, np.random.default_rng(seed)).astype(np.float32) * 0.8


def outside(picture, found):
    """The sides that have a margin, and what of the found is left."""
    weight = found.astype(np.float32)
    there = margins_of(picture, weight)
    if there is None:
        return (), found
    return there.sides, OutsideMargins(weight, there)[:] > 0


def on_white(kept, picture=None):
    picture = mural() if picture is None else picture
    return np.where(kept[..., None], picture, np.float32(0.98))


def inside(top=0, bottom=0, left=0, right=0):
    kept = np.zeros(SIZE, bool)
    kept[top : SIZE[0] - bottom, left : SIZE[1] - right] = True
    return kept


def tilted(degrees=4):
    wide = np.ones((128, 190))
    turned = ndimage.rotate(wide, degrees, order=1)
    kept = np.zeros(SIZE, bool)
    height, width = min(turned.shape[0], SIZE[0]), min(turned.shape[1], SIZE[1])
    kept[:height, :width] = turned[:height, :width] > 0.5
    return kept


@pytest.mark.parametrize(
    ("kept", "sides"),
    [
        (inside(30, 25, 20, 40), ALL),
        (inside(top=12), ("top",)),
        (inside(bottom=3), ("bottom",)),
        (inside(left=9, right=1), ("left", "right")),
        (tilted(), ALL),
    ],
    ids=["frame", "top", "narrow", "left and right", "tilted"],
)
def test_margins_are_no_losses(kept, sides):
    lost = np.zeros(SIZE, bool)
    lost[60:80, 90:130] = True
    picture = on_white(kept & ~lost)
    found = ndimage.binary_dilation(~kept, iterations=4) | lost  # and what it spoilt around it
    assert outside(picture, found)[0] == sides
    np.testing.assert_array_equal(outside(picture, found)[1], lost)


def test_a_margin_is_recognised_where_most_of_it_was_passed_over():
    kept = inside(30, 30, 30, 30)
    found = ~kept
    found[:, 15:-15] = found[12:-12] = False
    found[5:9, 100:120] = True
    sides, left = outside(on_white(kept), found)
    assert sides == ALL
    assert not left.any()


def test_specks_and_writing_on_a_margin_are_no_losses_either():
    kept = inside(top=60)
    picture = on_white(kept)
    picture[20:32, 40:120:5] = 0.1
    picture[40:45, 150:154] = 0.5
    picture += np.random.default_rng(1).normal(0, 0.02, picture.shape).astype(np.float32)
    assert not outside(picture, ~kept)[1].any()


def corner(size=70):
    down, across = np.indices(SIZE)
    return down + across < size


def torn():
    """A ragged edge along most of the top."""
    depth = 20 + 8 * np.sin(np.arange(SIZE[1]) / 9)
    depth[int(0.9 * SIZE[1]) :] = 0
    return np.arange(SIZE[0])[:, None] < depth


@pytest.mark.parametrize("lost", [corner(), torn()], ids=["corner", "torn edge"])
def test_losses_that_touch_a_side_are_losses(lost):
    sides, left = outside(on_white(~lost), lost)
    assert not sides
    np.testing.assert_array_equal(left, lost)


def test_an_even_ground_that_is_painted_is_no_margin():
    picture = mural()
    picture[:50] = (0.2, 0.3, 0.6)
    lost = np.zeros(SIZE, bool)
    lost[0:9, 60:68] = lost[30:36, 100:140] = True
    found = ndimage.binary_dilation(lost, iterations=4)
    sides, left = outside(on_white(~lost, picture), found)
    assert not sides
    np.testing.assert_array_equal(left, found)


def test_losses_of_many_colours_along_a_side_are_no_margin():
    picture = mural()
    picture[:20] = np.random.default_rng(2).random((20, SIZE[1], 3), np.float32)
    lost = ~inside(top=20)
    assert not outside(picture, lost)[0]


def test_a_loss_that_opens_on_the_margin_belongs_to_it_and_a_scratch_does_not():
    kept = inside(top=30)
    lost = np.zeros(SIZE, bool)
    lost[30:60, 40:70] = lost[30:100, 150:152] = lost[80:100, 140:170] = True
    _, left = outside(on_white(kept & ~lost), ~kept | lost)
    assert not left[:60, 30:80].any()
    np.testing.assert_array_equal(left[44:, 130:], lost[44:, 130:])


def test_an_empty_page_is_all_margin():
    everywhere = np.ones(SIZE, bool)
    sides, left = outside(on_white(~everywhere), everywhere)
    assert sides == ALL
    assert not left.any()


def test_nothing_found_is_no_margin():
    assert outside(on_white(inside(20, 20, 20, 20)), np.zeros(SIZE, bool))[0] == ()


@pytest.mark.parametrize("cells", [4096, 20])
def test_margins_do_not_depend_on_the_bands(monkeypatch, cells):
    monkeypatch.setattr(margins, "MOST_CELLS", cells)
    kept = tilted() & ~corner(40)
    picture, weight = on_white(kept), (~kept).astype(np.float32)
    whole = margins_of(picture, weight)
    monkeypatch.setattr(rows, "AT_ONCE", 2000)
    monkeypatch.setattr(rows, "FEWEST", 1)
    banded = margins_of(picture, weight)
    assert whole is not None
    assert banded is not None
    assert banded.sides == whole.sides
    np.testing.assert_array_equal(banded.cells, whole.cells)
    outside_it = OutsideMargins(weight, whole)
    np.testing.assert_array_equal(outside_it[37:52], outside_it[:][37:52])
