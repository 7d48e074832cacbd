import numpy as np

from dunrestore.restoration.damage.noise import is_noisy, noise_level

RNG = np.random.default_rng


def test_noise_level_is_the_standard_deviation_in_spite_of_a_picture_below():
    y, x = np.mgrid[0:200, 0:200] / 200
    smooth = np.stack([x, y, (x + y) / 2], 2)
    noise = RNG(1).normal(0, 12 / 255, smooth.shape)
    nothing = np.zeros((200, 200), np.float32)
    measured = noise_level((smooth + noise).astype(np.float32), nothing)
    assert abs(measured - 12) < 0.6
    half = nothing.copy()
    half[:, 100:] = 1
    noise[:, 100:] *= 5
    measured = noise_level((smooth + noise).astype(np.float32), half)
    assert abs(measured - 12) < 1


def test_texture_that_is_not_everywhere_is_no_noise():
    rng = RNG(3)
    scan = rng.normal(0.5, 5 / 255, (96, 96, 3)).astype(np.float32)
    scan[:, 32:] += rng.normal(0, 40 / 255, (96, 64, 1))
    nothing = np.zeros((96, 96), np.float32)
    assert 0.8 * 5 < noise_level(scan, nothing) < 5.5


def test_blocks_that_are_mostly_lost_do_not_count():
    rng = RNG(4)
    scan = rng.normal(0.5, 20 / 255, (64, 64, 3)).astype(np.float32)
    weight = np.zeros((64, 64), np.float32)
    scan[:32], weight[:32] = 1, 1
    weight[2:31:8, 2:31:8] = 0  # a few sound pixels within the loss
    assert 0.8 * 20 < noise_level(scan, weight) < 21
    assert noise_level(scan, weight + 1) == 0


def test_only_noise_that_the_network_removes_makes_a_scan_noisy():
    clean = np.full((64, 64, 3), 0.5, np.float32)
    noise = RNG(2).normal(0, 16 / 255, clean.shape).astype(np.float32)
    none = np.zeros((64, 64), np.float32)
    assert is_noisy(clean + noise, -noise, none)
    assert not is_noisy(clean + noise, 0 * noise, none)
    assert not is_noisy(clean + noise / 8, -noise / 8, none)
    assert not is_noisy(clean + noise, -noise, none + 1)


def test_a_tenth_must_be_sound_to_tell():
    noise = RNG(6).normal(0, 16 / 255, (160, 160, 3)).astype(np.float32)
    weight = np.ones((160, 160), np.float32)
    assert not is_noisy(0.5 + noise, -noise, weight)
    weight[:16, :144] = 0  # 9 %
    assert noise_level(0.5 + noise, weight) > 14
    assert not is_noisy(0.5 + noise, -noise, weight)
    weight[16:32, :32] = 0  # 11 %
    assert is_noisy(0.5 + noise, -noise, weight)


def test_a_model_that_takes_texture_away_with_the_noise_does_not_clean():
    rng = RNG(5)
    noise = rng.normal(0, 10 / 255, (64, 64, 3)).astype(np.float32)
    texture = rng.normal(0, 30 / 255, (64, 64, 1)) * (rng.random((64, 64, 1)) < 0.05)
    texture = texture.astype(np.float32)
    none = np.zeros((64, 64), np.float32)
    assert not is_noisy(0.5 + noise + texture, -noise, none)  # it could be noise that stays
    texture[:, :32] = 0
    scan = 0.5 + noise + texture
    assert is_noisy(scan, -noise, none)
    assert not is_noisy(scan, -noise - 3 * texture, none)
