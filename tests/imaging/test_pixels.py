"""Samples to RGB and back: what is not weighted stays identical, in every kind of picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunrestore.imaging.picture import Encoding, Metadata, Palette, Picture
from dunrestore.imaging.pixels import add_residual, hidden, stored_order, to_rgb, upright

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@st.composite
def pictures(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    height, width = draw(SHAPES)
    kind = draw(st.sampled_from(["grey", "rgb", "palette"]))
    extra = draw(st.integers(0, 2))
    dtype = np.uint8 if kind == "palette" else draw(st.sampled_from([np.uint8, np.uint16]))
    channels = (3 if kind == "rgb" else 1) + extra
    samples = rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)
    palette = None
    if kind == "palette":
        size = draw(st.integers(1, 256))
        samples[..., 0] = samples[..., 0].astype(int) % size
        maximum = draw(st.sampled_from([255, 65535]))
        colours = rng.integers(0, maximum, (size, 3), np.uint16, endpoint=True)
        alpha = rng.choice([255, 255, 128, 0], size).astype(np.uint8)
        palette = Palette(colours, maximum, alpha, 256)
    white_is_zero = kind == "grey" and draw(st.booleans())
    encoding = Encoding(kind, int(np.iinfo(dtype).max), extra, white_is_zero, palette)
    return Picture(samples, encoding, Metadata(orientation=draw(st.integers(1, 8))))


@settings(max_examples=150, deadline=None)
@given(pictures(), st.integers(0, 2**32))
def test_samples_without_weight_stay_identical(picture, seed):
    rng = np.random.default_rng(seed)
    shape = picture.upright_shape
    residual = rng.normal(0, 0.3, (*shape, 3)).astype(np.float32)
    weight = rng.choice([0, 0, 0.5, 1], shape).astype(np.float32)
    changed = add_residual(picture, residual, weight)
    still = stored_order(weight, picture.metadata.orientation) == 0
    assert (changed.samples[still] == picture.samples[still]).all()
    n = picture.encoding.channels
    assert (changed.samples[..., n:] == picture.samples[..., n:]).all()
    assert (to_rgb(changed)[weight == 0] == to_rgb(picture)[weight == 0]).all()
    assert changed.samples.dtype == picture.samples.dtype
    assert changed.samples.shape == picture.samples.shape


@settings(max_examples=100, deadline=None)
@given(pictures().filter(lambda p: p.encoding.kind != "palette"), st.integers(0, 2**32))
def test_a_full_weight_reaches_the_target_within_half_a_step(picture, seed):
    rng = np.random.default_rng(seed)
    target = rng.random((*picture.upright_shape, 3), np.float32)
    if picture.encoding.kind == "grey":
        target[:] = target[..., :1]
    before = to_rgb(picture)
    after = to_rgb(add_residual(picture, target - before, np.ones(before.shape[:2], np.float32)))
    assert np.abs(after - target).max() <= 0.5001 / picture.encoding.maximum + 1e-6


def test_sixteen_bits_take_a_change_smaller_than_an_eight_bit_step():
    samples = np.full((2, 2, 3), 30000, np.uint16)
    residual = np.full((2, 2, 3), 7 / 65535, np.float32)
    changed = add_residual(
        Picture(samples, Encoding("rgb", 65535)), residual, np.ones((2, 2), np.float32)
    )
    assert (changed.samples == 30007).all()


def test_changed_palette_pixels_take_free_slots_and_the_others_keep_theirs():
    colours = np.array([[0, 0, 0], [200, 100, 50], [255, 255, 255]], np.uint16)
    palette = Palette(colours, 255, np.full(3, 255, np.uint8))
    samples = np.array([[[0], [1]], [[2], [2]]], np.uint8)
    picture = Picture(samples, Encoding("palette", palette=palette))
    residual = np.zeros((2, 2, 3), np.float32)
    residual[1, 1] = -100 / 255
    changed = add_residual(picture, residual, np.ones((2, 2), np.float32))
    assert changed.samples[..., 0].tolist() == [[0, 1], [2, 3]]
    assert changed.encoding.palette is not None
    assert changed.encoding.palette.colours.tolist() == [*colours.tolist(), [155, 155, 155]]


def test_a_full_palette_gives_the_nearest_entry():
    colours = np.stack([np.arange(256)] * 3, 1).astype(np.uint16)
    palette = Palette(colours, 255, np.full(256, 255, np.uint8))
    samples = np.arange(257).reshape(1, 257, 1).clip(0, 255).astype(np.uint8)
    residual = np.zeros((1, 257, 3), np.float32)
    residual[0, 256] = np.array([-55, -56, -54]) / 255  # 255 -> (200, 199, 201)
    changed = add_residual(
        Picture(samples, Encoding("palette", palette=palette)),
        residual,
        np.ones((1, 257), np.float32),
    )
    assert changed.samples[0, 256, 0] == 200
    assert (changed.samples[0, :256] == samples[0, :256]).all()


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, [[1, 2, 3], [4, 5, 6]]),
        (2, [[3, 2, 1], [6, 5, 4]]),
        (3, [[6, 5, 4], [3, 2, 1]]),
        (4, [[4, 5, 6], [1, 2, 3]]),
        (5, [[1, 4], [2, 5], [3, 6]]),
        (6, [[4, 1], [5, 2], [6, 3]]),
        (7, [[6, 3], [5, 2], [4, 1]]),
        (8, [[3, 6], [2, 5], [1, 4]]),
    ],
)
def test_upright_follows_the_exif_orientations(orientation, expected):
    stored = np.array([[1, 2, 3], [4, 5, 6]])
    turned = upright(stored, orientation)
    assert turned.tolist() == expected
    assert stored_order(turned, orientation).tolist() == stored.tolist()


@pytest.mark.parametrize("colours", [1, 3])
def test_where_alpha_is_zero_nothing_is_seen(colours):
    samples = np.full((5, 7, colours + 2), 9, np.uint8)
    samples[0, :3, colours] = 0
    samples[:, :, colours + 1] = 0
    kind = "grey" if colours == 1 else "rgb"
    alpha = Picture(samples, Encoding(kind, extra=2), Metadata(orientation=6))
    expected = np.zeros((7, 5), bool)
    expected[:3, -1] = True
    np.testing.assert_array_equal(hidden(alpha), expected)
    assert hidden(Picture(samples, Encoding(kind, extra=2, alpha=False))) is None
    assert hidden(Picture(samples[..., :colours], Encoding(kind))) is None


def test_transparent_entries_of_a_palette_are_not_seen():
    palette = Palette(np.zeros((3, 3), np.uint16), 255, np.array([255, 0, 128], np.uint8))
    samples = np.array([[0, 1, 2, 1]], np.uint8)[..., None]
    found = hidden(Picture(samples, Encoding("palette", palette=palette)))
    assert found is not None
    assert found.tolist() == [[False, True, False, True]]


@pytest.mark.parametrize("colour", [(0, 0, 0), (100, 0, 0), (7,)])
def test_what_is_seen_does_not_vanish_in_the_transparent_colour(colour):
    samples = np.full((2, 3, len(colour)), 50, np.uint8)
    samples[0, 0] = colour
    kind = "grey" if len(colour) == 1 else "rgb"
    picture = Picture(samples, Encoding(kind, transparent=colour))
    target = np.broadcast_to(np.array(colour, np.float32) / 255, (2, 3, 3))
    weight = np.ones((2, 3), np.float32)
    changed = add_residual(picture, target - to_rgb(picture), weight)
    np.testing.assert_array_equal(hidden(changed), hidden(picture))
    assert np.abs(changed.samples.astype(int) - np.array(colour)).max() == 1
