import numpy as np
import pytest
import torch

from dunrestore.models.guided import (
    CAUTION,
    COUNTS,
    Evidence,
    Guided,
    GuidedConfig,
    count_colours,
    push_pull,
    weigh_colours,
)
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


def scan_with_a_loss():
    """Dark paint with a loss of light ground, and logits that see but half of the loss."""
    torch.manual_seed(0)
    x = 0.2 + 0.1 * torch.rand(3, 64, 64)
    x[:, 10:30, 10:30] = 0.8 + 0.02 * torch.rand(3, 20, 20)
    logits = torch.full((1, 64, 64), -3.0)
    logits[:, 10:30, 10:20] = 4
    logits[:, 10:30, 20:30] = -1
    return x, logits


def weighed(x, logits):
    return weigh_colours(x, logits, Evidence.of(count_colours(x, torch.sigmoid(logits[0]))))


def test_colours_of_certain_losses_find_the_rest_and_nothing_else():
    found = weighed(*scan_with_a_loss()) > 0
    assert found[:, 10:30, 10:30].all()
    assert found.sum() == 400


def test_paint_of_another_colour_is_not_taken_for_a_loss():
    x, logits = scan_with_a_loss()
    logits[:, 40:50, 40:50] = 1  # the finder's doubt
    assert not (weighed(x, logits) > 0)[:, 40:50, 40:50].any()


def test_where_little_is_certain_colours_are_not_believed():
    x, logits = scan_with_a_loss()
    logits[:, 10:30, 10:20] = -3
    logits[:, 10:12, 10:12] = 4
    torch.testing.assert_close(weighed(x, logits), logits - CAUTION)


def test_counts_of_the_parts_sum_up_to_those_of_the_picture_in_any_order():
    x, logits = scan_with_a_loss()
    likely = torch.sigmoid(logits[0] + torch.rand(64, 64))
    rows = [slice(0, 5), slice(5, 40), slice(40, 64)]
    parts = [count_colours(x[:, part], likely[part]) for part in rows]
    whole = count_colours(x, likely)
    assert whole.shape == (COUNTS,)
    assert torch.equal(sum(parts), whole)
    assert torch.equal(sum(reversed(parts)), whole)
    assert whole[-2:].tolist() == [(likely > 0.9).sum(), 64 * 64]


def test_ground_is_the_mean_colour_of_what_is_sound():
    x, _ = scan_with_a_loss()
    lost = torch.zeros(64, 64)
    lost[10:30, 10:30] = 1
    ground = Evidence.of(count_colours(x, lost)).ground
    expected = x[:, lost == 0].mean(dim=1).view(3, 1, 1)
    torch.testing.assert_close(ground, expected, atol=0.002, rtol=0)


def test_pictures_of_a_batch_are_weighed_by_themselves():
    network = Guided(SMALL).eval()
    network.finder = SeesHalf()
    x, _ = scan_with_a_loss()
    with torch.no_grad():
        both = network(torch.stack([x, 1 - x]))
        each = [network(one[None]) for one in (x, 1 - x)]
    for together, alone in zip(both, zip(*each, strict=True), strict=True):
        torch.testing.assert_close(together, torch.cat(alone))


def test_padding_is_no_evidence():
    network = Guided(SMALL).eval()
    network.finder = SeesHalf()
    x, _ = scan_with_a_loss()
    padded = torch.full((3, 64, 96), 0.8)
    padded[:, :, :64] = x
    area = (slice(64), slice(64))
    with torch.no_grad():
        alone, *_ = network(x[None])
        logits, *_ = network(padded[None], area=area)
        others, *_ = network(padded[None])
    assert torch.equal(logits[..., :64], alone)
    assert not torch.equal(others[..., :64], alone)


def test_a_part_with_the_evidence_of_the_whole_is_as_in_the_whole():
    network = Guided(SMALL).eval()
    network.finder = SeesHalf()
    x, _ = scan_with_a_loss()
    with torch.no_grad():
        whole, *_ = network(x[None])
        counts = network.count(x[None], None, [(slice(None), slice(None))])
        part, *_ = network(x[None, :, :32], evidence=Evidence.of(counts))
        alone, *_ = network(x[None, :, :32])
    assert torch.equal(part, whole[..., :32, :])
    assert not torch.equal(alone, part)


class SeesHalf(torch.nn.Module):
    """Finds the left half of the loss of ``scan_with_a_loss``, in any part that begins alike."""

    def forward(self, x):
        _, logits = scan_with_a_loss()
        seen = torch.full((len(x), 1, *x.shape[-2:]), -3.0)
        rows, columns = (min(a, b) for a, b in zip(seen.shape[-2:], (64, 64), strict=True))
        seen[..., :rows, :columns] = logits[:, :rows, :columns]
        return seen
