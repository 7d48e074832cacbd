import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dunrestore.models.areas import areas_of


def tile(height, width, *lost):
    mask = torch.zeros(1, 1, height, width)
    for row, column in lost:
        mask[..., row, column] = 1
    return mask


def test_nothing_lost_has_no_area():
    assert areas_of(tile(300, 200), 16, 40) == []


def test_a_loss_has_what_surrounds_it_to_whole_cells():
    assert areas_of(tile(640, 640, (200, 330)), 64, 64) == [(slice(128, 320), slice(256, 448))]
    assert areas_of(tile(640, 640, (200, 330)), 64, 65) == [(slice(64, 384), slice(192, 512))]


def test_an_area_ends_with_the_tile():
    assert areas_of(tile(600, 600, (0, 599)), 64, 64) == [(slice(0, 128), slice(512, 600))]


def test_two_far_apart_have_one_each_and_two_near_one_together():
    far = areas_of(tile(640, 640, (10, 10), (600, 600)), 64, 64)
    assert far == [(slice(0, 128), slice(0, 128)), (slice(512, 640), slice(512, 640))]
    near = areas_of(tile(640, 640, (10, 10), (140, 140)), 64, 64)
    assert near == [(slice(0, 256), slice(0, 256))]


def test_boxes_of_winding_losses_that_overlap_become_one():
    frame = [(row, 0) for row in range(0, 500, 20)] + [(0, column) for column in range(0, 500, 20)]
    assert areas_of(tile(1280, 1280, *frame, (260, 260)), 20, 20) == [(slice(0, 520),) * 2]


def test_what_is_hardly_less_than_the_tile_is_the_tile():
    everywhere = [(row, column) for row in range(0, 1101, 100) for column in range(0, 1101, 100)]
    assert areas_of(tile(1280, 1280, *everywhere), 64, 64) == [(slice(0, 1280),) * 2]


@pytest.mark.parametrize(("height", "width"), [(30, 40), (64, 20)])
def test_a_tile_smaller_than_a_cell_is_an_area(height, width):
    assert areas_of(tile(height, width, (3, 4)), 64, 64) == [(slice(0, height), slice(0, width))]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)).map(lambda s: (8 * s[0], 8 * s[1])),
    number=st.integers(1, 6),
    reach=st.integers(0, 24),
)
def test_all_that_is_lost_lies_deep_in_one_area(seed, size, number, reach):
    height, width = size
    rng = np.random.default_rng(seed)
    places = rng.integers(size, size=(number, 2)).tolist()
    areas = areas_of(tile(height, width, *places), 8, reach)
    held = np.zeros(size, int)
    for rows, columns in areas:
        held[rows, columns] += 1
        assert all(edge % 8 == 0 for edge in (rows.start, rows.stop, columns.start, columns.stop))
    assert held.max() <= 1
    for row, column in places:
        holding = [a for a in areas if held_in(a, row, column)]
        assert len(holding) == 1
        rows, columns = holding[0]
        assert rows.start <= max(row - reach, 0)
        assert rows.stop >= min(row + reach + 1, height)
        assert columns.start <= max(column - reach, 0)
        assert columns.stop >= min(column + reach + 1, width)


def held_in(area, row, column):
    rows, columns = area
    return rows.start <= row < rows.stop and columns.start <= column < columns.stop
