import numpy as np
from scipy import ndimage

from dunrestore.restoration.damage.preserve import MaskRule, damage_weight, found_weight
from dunrestore.restoration.damage.spoiling import RINGING

RNG = np.random.default_rng


def change_of(magnitude):
    """A change whose largest channel is ``magnitude`` on the 0..255 scale."""
    return np.stack([magnitude, -magnitude / 2, 0 * magnitude], axis=2).astype(np.float32) / 255


def test_a_hard_edged_loss_is_found_to_the_pixel():
    lost = np.zeros((40, 50), bool)
    lost[10:20, 15:30] = True
    weight = damage_weight(change_of(np.where(lost, 90, 3)))
    assert (weight[lost] == 1).all()
    assert (weight[~lost] == 0).all()


def test_a_region_needs_one_strong_pixel_and_extends_to_weak_ones():
    rule = MaskRule(low=20, certain=40, smallest=1, margin=0)
    magnitude = np.zeros((40, 20))
    magnitude[4, 2:8] = 25
    magnitude[4, 5] = 41
    magnitude[4, 12:18] = 39
    weight = damage_weight(change_of(magnitude), rule)
    assert weight[4, 2:8].all()
    assert not weight[:, 10:].any()


def test_texture_that_a_model_changes_everywhere_is_not_damage():
    texture = RNG(3).normal(0, 10 / 255, (60, 60, 3)).astype(np.float32)
    texture[20:30, 20:40] -= 140 / 255
    weight = damage_weight(texture)
    assert weight[20:30, 20:40].mean() > 0.99
    assert not weight[:, 45:].any()


def test_losses_hardly_paler_than_the_paint_are_found_though_a_model_removes_noise():
    change = RNG(6).normal(0, 8 / 255, (120, 120, 3)).astype(np.float32)
    lost = np.zeros((120, 120), bool)
    lost[30:60, 40:70] = True
    change[lost] += 62 / 255
    weight = damage_weight(change)
    assert (weight[lost] > 0).mean() > 0.97
    assert (weight[~lost] > 0).mean() < 0.01


def test_losses_are_found_though_a_model_removes_noise_everywhere():
    change = RNG(5).normal(0, 16 / 255, (120, 120, 3)).astype(np.float32)
    lost = np.zeros((120, 120), bool)
    lost[30:60, 40:70] = True
    change[lost] -= 0.5
    found = damage_weight(change) > 0
    assert found[lost].mean() > 0.99
    assert found[~lost].mean() < 0.01


def test_losses_are_found_though_a_model_shifts_colours_everywhere():
    change = RNG(6).normal(0, 4 / 255, (120, 120, 3)).astype(np.float32) + np.float32(8 / 255)
    change[30:60, 40:70] -= 0.5
    found = damage_weight(change) > 0
    assert found[30:60, 40:70].mean() > 0.99
    assert not found[:, 80:].any()


def test_a_picture_that_is_mostly_lost_is_still_restored():
    magnitude = RNG(4).uniform(0, 4, (60, 60))
    magnitude[8:, :40] += 120
    weight = damage_weight(change_of(magnitude))
    assert weight[8:, :40].all()
    assert not weight[:, 43:].any()


def test_specks_are_left_alone():
    magnitude = np.zeros((40, 40))
    magnitude[4, 4:7] = 200
    assert not damage_weight(change_of(magnitude), MaskRule(smallest=4)).any()
    assert damage_weight(change_of(magnitude), MaskRule(smallest=3)).any()


def test_soft_edges_are_feathered_inside_the_margin_only():
    distance = np.abs(np.arange(60) - 30.0)
    magnitude = np.tile(np.clip(60 - 8 * distance, 0, None), (9, 1))
    rule = MaskRule(low=20, certain=40, smallest=1, margin=3, faint=0.2)
    weight = damage_weight(change_of(magnitude), rule)
    damaged = weight == 1
    near = ndimage.binary_dilation(damaged, np.ones((3, 3)), iterations=3)
    assert ((weight > 0) & (weight < 1)).any()
    assert (weight[~near] == 0).all()
    assert (np.diff(weight[4, 30:]) <= 0).all()


def test_found_damage_becomes_a_hard_mask():
    probability = np.zeros((5, 9), np.float32)
    probability[2, 1:4] = 0.6
    probability[2, 2] = 0.95
    probability[2, 6:8] = 0.6
    nothing = np.zeros((*probability.shape, 3), np.float32)
    weight = found_weight(probability, nothing)
    assert weight[2].tolist() == [0, 1, 1, 1, 0, 0, 0, 0, 0]


def test_what_a_loss_spoilt_around_it_is_mended_too():
    probability = np.zeros((40, 60), np.float32)
    probability[10:14, 10:14] = 0.99
    change = np.zeros((40, 60, 3), np.float32)
    change[12, :, 1] = -30 / 255  # large, also far from the loss
    change[10, :, 0] = 20 / 255  # small
    weight = found_weight(probability, change)
    expected = probability > 0
    expected[12, 6:18] = True
    assert np.array_equal(weight, expected)


def test_rings_of_a_jpeg_are_mended_all_over_the_block():
    probability = np.zeros((40, 60), np.float32)
    probability[10:14, 20:24] = 0.99
    change = np.zeros((40, 60, 3), np.float32)
    change[12, :, 1] = -12 / 255
    expected = probability > 0
    assert np.array_equal(found_weight(probability, change), expected)
    expected[12, 12:32] = True
    assert np.array_equal(found_weight(probability, change, RINGING), expected)
