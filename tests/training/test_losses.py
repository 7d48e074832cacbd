import math

import pytest
import torch
from torch.nn import functional as F

from dunrestore.training.config import make_config
from dunrestore.training.losses import picture_loss, stages_loss


def pictures(*shape):
    torch.manual_seed(0)
    return torch.rand(3, *shape), torch.rand(3, *shape)


def ones(batch=3):
    return torch.ones(batch, 1, 8, 8)


def test_psnr_loss_is_half_the_negative_psnr():
    a, b = pictures(3, 8, 8)
    psnr = [-10 * math.log10((x - y).square().mean()) for x, y in zip(a, b, strict=True)]
    expected = -sum(psnr) / 3 / 2
    assert picture_loss(a, b, ones(), "psnr").item() == pytest.approx(expected, rel=1e-5)


def test_psnr_loss_of_the_losses_alone_stops_asking_at_its_floor():
    target = torch.zeros(2, 3, 8, 8)
    mask = torch.zeros(2, 1, 8, 8)
    mask[..., :2] = 1
    picture = target + 0.1 * mask + 0.5 * (1 - mask)
    values = {"loss": "psnr", "mask_weight": 1.0, "sound_weight": 0.0}
    loss = stages_loss([picture], target, mask, make_config(values))
    assert loss.item() == pytest.approx(-20 / 2, rel=1e-5)
    loss = stages_loss([picture], target, mask, make_config(values | {"psnr_floor": 0.99}))
    assert loss.item() == pytest.approx(0, abs=1e-5)


def test_l1_and_its_smooth_form():
    a, b = pictures(3, 8, 8)
    l1 = picture_loss(a, b, ones(), "l1")
    assert l1.item() == pytest.approx((a - b).abs().mean().item(), rel=1e-6)
    assert picture_loss(a, b, ones(), "charbonnier").item() == pytest.approx(l1.item(), abs=1e-3)
    at_zero = a.clone().requires_grad_()
    picture_loss(at_zero, a, ones(), "charbonnier").backward()
    assert (at_zero.grad == 0).all()


@pytest.mark.parametrize("kind", ["l1", "charbonnier", "psnr"])
def test_parts_average_to_the_whole(kind):
    a, b = pictures(3, 8, 8)
    mask = (torch.rand(3, 1, 8, 8) > 0.7).float()
    config = make_config({"loss": kind})
    whole = stages_loss([a, b * 0.9], b, mask, config)
    parts = [stages_loss([a[i : i + 1], b[i : i + 1] * 0.9], b[i : i + 1], mask[i : i + 1], config)
             for i in range(3)]  # fmt: skip
    assert sum(parts).item() / 3 == pytest.approx(whole.item(), rel=1e-5)


def test_errors_inside_the_losses_weigh_more():
    target = torch.zeros(1, 3, 8, 8)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    config = make_config({"mask_weight": 6.0})
    inside, outside = target + mask, target + (1 - mask)
    ratio = stages_loss([inside], target, mask, config) / stages_loss(
        [outside], target, mask, config
    )
    assert ratio.item() == pytest.approx(6)


def test_earlier_stages_weigh_less_and_logits_find_the_mask():
    a, b = pictures(3, 8, 8)
    mask = (torch.rand(3, 1, 8, 8) > 0.5).float()
    config = make_config({"first_stage_weight": 0.25, "finder_weight": 2.0, "mask_weight": 1.0})
    logits = torch.randn(3, 1, 8, 8)
    expected = 1.25 * (a - b).abs().mean() + 2 * F.binary_cross_entropy_with_logits(logits, mask)
    assert stages_loss([logits, a, a], b, mask, config).item() == pytest.approx(expected.item())
