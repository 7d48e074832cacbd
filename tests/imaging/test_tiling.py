import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dunrestore.imaging import tiling

SIZES = st.integers(1, 150)


@st.composite
def plans(draw):
    multiple = draw(st.sampled_from([1, 6, 16, 24]))
    tile = draw(st.one_of(st.none(), st.integers(1, 90)))
    side = 10_000 if tile is None else -(-tile // multiple) * multiple
    overlap = draw(st.integers(0, max(side - multiple, 0))) if tile else 0
    overlap = min(overlap, (side // multiple - 1) * multiple)
    return tiling.plan(draw(SIZES), draw(SIZES), tile=tile, overlap=overlap, multiple=multiple)


@settings(deadline=None)
@given(plans(), st.integers(0, 2**32 - 1))
def test_an_identity_gives_the_picture_back(plan, seed):
    picture = np.random.default_rng(seed).random((plan.height, plan.width, 2), np.float32)
    blended = tiling.blend(plan, ((t, tiling.extract(picture, t)) for t in plan.tiles()))
    np.testing.assert_allclose(blended, picture, atol=1e-6)


@settings(deadline=None)
@given(plans())
def test_tiles_alike_in_size_but_for_the_last_cover_the_picture(plan):
    covered = np.zeros(plan.padded, bool)
    for tile in plan.tiles():
        assert tile.size == (plan.heights[tile.row], plan.widths[tile.column])
        rows = slice(tile.top, tile.top + tile.size[0])
        columns = slice(tile.left, tile.left + tile.size[1])
        covered[rows, columns] = True
        assert rows.stop <= plan.padded[0]
        assert columns.stop <= plan.padded[1]
    assert covered.all()
    for sizes in (plan.heights, plan.widths):
        assert len(set(sizes[:-1])) <= 1
        assert sizes[-1] <= sizes[0]


@settings(deadline=None)
@given(plans())
def test_weights_sum_to_one_everywhere(plan):
    total = np.zeros(plan.padded)
    for tile in plan.tiles():
        weight = plan.row_weights[tile.row][:, None] * plan.column_weights[tile.column]
        rows = slice(tile.top, tile.top + tile.size[0])
        total[rows, tile.left : tile.left + tile.size[1]] += weight
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_origins_and_sizes_are_multiples():
    plan = tiling.plan(1000, 700, tile=250, overlap=60, multiple=48)
    assert plan.padded == (1008, 720)
    assert (plan.tops, plan.heights) == ((0, 192, 384, 576, 768), (288, 288, 288, 288, 240))
    assert (plan.lefts, plan.widths) == ((0, 192, 384, 576), (288, 288, 288, 144))


@settings(deadline=None)
@given(st.integers(1, 150), st.integers(1, 90), st.integers(0, 89), st.sampled_from([1, 6, 16]))
def test_tiles_are_as_small_as_their_number_allows(length, tile, overlap, multiple):
    side = -(-tile // multiple) * multiple
    overlap = min(overlap, (side // multiple - 1) * multiple)
    plan = tiling.plan(length, 5, tile=tile, overlap=overlap, multiple=multiple)
    size, count = plan.heights[0], len(plan.tops)
    shared = -(-overlap // multiple) * multiple
    assert size <= side
    ends = [top + height for top, height in zip(plan.tops, plan.heights, strict=True)]
    assert all(end - top == shared for end, top in zip(ends, plan.tops[1:], strict=False))
    assert sum(plan.heights) == plan.padded[0] + (count - 1) * shared
    assert plan.computed == sum(tile.size[0] * tile.size[1] for tile in plan.tiles())
    if count > 1:  # a step less, and so many tiles would not reach the end; nor would fewer
        assert count * (size - multiple - shared) + shared < plan.padded[0]
        assert (count - 1) * (side - shared) + shared < plan.padded[0]


def test_a_picture_a_little_larger_than_a_tile_is_cut_into_halves():
    plan = tiling.plan(1104, 1104, tile=1056, overlap=240, multiple=48)
    assert plan.heights == plan.widths == (672, 672)
    assert plan.tops == (0, 432)


def test_padding_reflects_also_pictures_smaller_than_the_padding():
    picture = np.arange(3, dtype=np.float32).reshape(1, 3, 1)
    (tile,) = tiling.plan(1, 3, tile=None, overlap=0, multiple=6).tiles()
    padded = tiling.extract(picture, tile)[..., 0]
    assert padded.shape == (6, 6)
    assert padded.tolist() == [[0, 1, 2, 1, 0, 1]] * 6


def test_an_overlap_as_large_as_the_tile_is_refused():
    with pytest.raises(ValueError, match="leaves nothing"):
        tiling.plan(100, 100, tile=48, overlap=48, multiple=48)


def test_outer_part_of_an_overlap_is_discarded():
    plan = tiling.plan(96, 400, tile=200, overlap=100, multiple=1)
    first, second = plan.column_weights[:2]
    assert first[-34:].max() == 0
    assert second[:34].max() == 0
    assert first[100:134].min() == 1


@settings(deadline=None)
@given(plans(), st.booleans())
def test_own_areas_cover_the_picture_once(plan, padding):
    times = np.zeros(plan.padded if padding else (plan.height, plan.width), int)
    for tile in plan.tiles():
        rows, columns = tiling.own_area(plan, tile, padding=padding)
        assert 0 <= rows.start <= rows.stop <= tile.size[0]
        assert 0 <= columns.start <= columns.stop <= tile.size[1]
        times[tile.top :, tile.left :][rows, columns] += 1
    assert (times == 1).all()


@settings(deadline=None)
@given(st.integers(1, 9000), st.integers(480, 1008))
def test_origins_are_aligned_if_asked_for(length, tile):
    plan = tiling.plan(length, 7, tile=tile, overlap=192, multiple=48, aligned=64)
    plain = tiling.plan(length, 7, tile=tile, overlap=192, multiple=48)
    assert max(plan.heights) <= -(-tile // 48) * 48
    assert plan.padded == plain.padded
    assert all(top % 64 == 0 for top in plan.tops)
    assert all(height % 64 == 0 for height in plan.heights[:-1])
    assert all(
        top + height - following == 192
        for top, height, following in zip(plan.tops, plan.heights, plan.tops[1:], strict=False)
    )


@settings(deadline=None)
@given(st.integers(481, 4000), st.sampled_from([480, 500, 960]), st.sampled_from([0, 1, 64, 100]))
@example(3121, 480, 0)
def test_no_tile_lies_in_the_padding_alone(length, tile, overlap):
    plan = tiling.plan(length, 48, tile=tile, overlap=overlap, multiple=48, aligned=64)
    picture = np.zeros((length, 48, 1), np.float32)
    assert all(tile.top < length for tile in plan.tiles())
    assert all(tiling.extract(picture, tile).shape[:2] == tile.size for tile in plan.tiles())


def test_tiles_that_cannot_be_aligned_are_cut_without():
    plan = tiling.plan(192, 192, tile=48, overlap=0, multiple=48, aligned=64)
    assert plan.tops == (0, 48, 96, 144)


@settings(deadline=None)
@given(plans())
def test_a_row_of_tiles_meets_those_above_only_in_the_rows_they_share(plan):
    counting = np.zeros((len(plan.tops), plan.padded[0]), bool)
    for row, weights in enumerate(plan.row_weights):
        top = plan.tops[row]
        counting[row, top : top + len(weights)] = weights > 0
    for row in range(1, len(plan.tops)):
        shared = tiling.shared_rows(plan, row)
        assert not counting[row:, : shared.start].any()
        assert not counting[:row, max(shared.start, shared.stop) : plan.height].any()
        both = counting[:row].any(axis=0) & counting[row:].any(axis=0)
        places = np.flatnonzero(both[: plan.height])
        expected = range(places[0], places[-1] + 1) if places.size else range(0)
        assert list(expected) == list(range(shared.start, shared.stop))
