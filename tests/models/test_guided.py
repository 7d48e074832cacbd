import numpy as np
import pytest
import torch

from dunrestore.models.guided import Finder, Guided, GuidedConfig, push_pull
from dunrestore.models.hinet import HINetConfig
from dunrestore.models.runner import Runner

SMALL = GuidedConfig(finder_width=2, finder_depth=3, hinet=HINetConfig(width=2, in_channels=7))


def picture(height, width, seed=0):
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(48, 48), (17, 31), (1, 5)])
def test_sound_pixels_pass_the_pyramid_unchanged(size):
    x = picture(*size)
    lost = (picture(*size, seed=1)[:, :1] > 0.6).float()
    filled = push_pull(x, lost, 6)
    assert torch.equal(filled[(lost == 0).expand_as(x)], x[(lost == 0).expand_as(x)])
    assert torch.isfinite(filled).all()


def test_a_constant_picture_is_filled_with_its_colour_whatever_stands_in_the_loss():
    x = torch.full((1, 3, 40, 56), 0.3)
    lost = torch.zeros(1, 1, 40, 56)
    lost[..., 5:30, 8:40] = 1
    x[lost.expand_as(x) == 1] = 1.0
    torch.testing.assert_close(push_pull(x, lost, 6), torch.full_like(x, 0.3))


def test_a_gradient_is_continued_across_a_loss():
    x = torch.linspace(0, 1, 64).expand(1, 3, 64, 64).contiguous()
    lost = torch.zeros(1, 1, 64, 64)
    lost[..., 28:36, 28:36] = 1
    damaged = torch.where(lost == 1, torch.ones_like(x), x)
    error = (push_pull(damaged, lost, 6) - x).abs().max()
    assert error < 0.06


def test_a_picture_without_a_sound_pixel_stays_finite():
    filled = push_pull(picture(16, 16), torch.ones(2, 1, 16, 16), 6)
    assert torch.isfinite(filled).all()


def test_it_is_differentiable():
    x = picture(8, 8)[:1].double().requires_grad_()
    lost = (torch.arange(64).view(1, 1, 8, 8) % 3 == 0).double()
    filled = push_pull(x, lost, 3)
    filled.sum().backward()
    assert x.grad is not None
    assert (x.grad[(lost == 1).expand_as(x)] == 0).all()
    assert (x.grad[(lost == 0).expand_as(x)] >= 1).all()


def test_stages_have_the_shapes_that_are_declared():
    torch.manual_seed(0)
    network = Guided(SMALL).eval()
    x = picture(48, 96)
    logits, filled, first, second = network(x)
    assert logits.shape == (2, 1, 48, 96)
    assert filled.shape == first.shape == second.shape == x.shape
    found = (logits > 0).expand_as(x)
    torch.testing.assert_close(filled[~found], x[~found])


def test_a_mask_that_is_given_replaces_the_one_that_is_found():
    torch.manual_seed(0)
    network = Guided(SMALL).eval()
    x = picture(48, 48)
    lost = torch.zeros(2, 1, 48, 48)
    lost[..., 10:20, 10:20] = 1
    _, filled, _, _ = network(x, lost)
    torch.testing.assert_close(filled, push_pull(x, lost, 6))


def test_a_loss_wider_than_the_pyramid_is_filled_with_the_ground():
    x, lost = picture(48, 96), torch.zeros(2, 1, 48, 96)
    lost[..., 16:] = 1
    filled = push_pull(x, lost, 3, torch.full((2, 3, 1, 1), 0.7))
    torch.testing.assert_close(filled[..., 40:], torch.full((2, 3, 48, 56), 0.7))


def test_the_runner_hands_on_where_damage_was_found():
    torch.manual_seed(0)
    runner = Runner(Guided(SMALL).eval(), torch.device("cpu"))
    tiles = np.random.default_rng(0).random((1, 48, 48, 3), np.float32)
    change = runner.change(tiles)
    assert change.shape == (1, 48, 48, 4)
    assert ((change[..., 3] >= 0) & (change[..., 3] <= 1)).all()


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_how_far_a_finder_sees_is_declared(depth):
    torch.manual_seed(0)
    finder, side = Finder(2, depth).double(), 2 ** (depth + 4)
    picture = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    found, far = finder(picture)[0, 0], 0
    for pixel in range(side // 2, side // 2 + 2 ** (depth - 1)):
        (seen,) = torch.autograd.grad(found[pixel, pixel], picture, retain_graph=True)
        far = max(far, int((seen.abs().sum((0, 1)).nonzero() - pixel).abs().max()))
    assert GuidedConfig(finder_depth=depth).finder_sees == far
