import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from dunrestore.models.guided import Guided, GuidedConfig
from dunrestore.models.hinet import HINetConfig
from dunrestore.models.rims import FEWEST, LENGTH, count_rims, has_rims, with_rims

SIDE = 128


def scan(softness=0.0, colour=1.0, noise=0.02, squares=6):
    """Paint (3, H, W) with square losses whose edges are so soft, and what lies inside these."""
    rng = np.random.default_rng(0)
    paint = gaussian_filter(rng.normal(0, 4, (SIDE, SIDE, 3)), (8, 8, 0)) + 0.4
    paint += rng.normal(0, noise, paint.shape)
    lost = np.zeros((SIDE, SIDE))
    for top, left in rng.integers(0, 9, (squares, 2)) * 13:
        lost[top : top + 9, left : left + 9] = 1
    cover = gaussian_filter(lost, softness)[..., None]
    x = (paint * (1 - cover) + colour * cover).clip(0, 1).astype(np.float32)
    return torch.from_numpy(x).permute(2, 0, 1), torch.from_numpy(lost > 0)


@pytest.mark.parametrize("colour", [1.0, 0.05])
@pytest.mark.parametrize(
    ("softness", "soft"), [(0, False), (0.3, False), (1.0, True), (1.5, True), (2.0, True)]
)
def test_soft_edges_are_told_from_sharp_ones(softness, soft, colour):
    assert has_rims(count_rims(*scan(softness, colour))) is soft


def test_noise_is_no_rim():
    assert not has_rims(count_rims(*scan(noise=0.1)))
    assert has_rims(count_rims(*scan(1.0, noise=0.1)))


def test_what_is_hardly_lost_says_nothing():
    x, lost = scan(1.0)
    assert not has_rims(count_rims(x, torch.zeros_like(lost)))
    assert not has_rims(count_rims(x, torch.ones_like(lost)))
    one = torch.zeros_like(lost)
    one[40:43, 40:44] = True
    few = count_rims(x, one)
    assert 0 < few[2] < FEWEST
    assert not has_rims(few)


@pytest.mark.parametrize("size", [(3, 40), (40, 3), (LENGTH - 1, LENGTH - 1)])
def test_a_picture_shorter_than_a_profile_has_none_along_that_side(size):
    assert not has_rims(count_rims(torch.rand(3, *size), torch.rand(size) > 0.5))


def test_the_sums_of_bands_are_those_of_the_picture():
    x, lost = scan(1.0)
    whole, bands = count_rims(x, lost), torch.zeros(3, dtype=torch.float64)
    for top in range(0, SIDE, 24):
        rows = slice(top, top + 24 + LENGTH - 1)
        bands += count_rims(x[:, rows], lost[rows], 24)
    assert whole[2] > FEWEST
    torch.testing.assert_close(bands, whole)


@pytest.mark.parametrize("turn", [lambda t: t.flip(-1), lambda t: t.flip(-2), lambda t: t.mT])
def test_it_does_not_matter_how_the_picture_lies(turn):
    x, lost = scan(1.0)
    torch.testing.assert_close(count_rims(turn(x), turn(lost)), count_rims(x, lost))


def test_rims_are_the_pixels_around():
    lost = torch.zeros(1, 6, 6)
    lost[0, 2, 3] = 1
    expected = torch.zeros(1, 6, 6)
    expected[0, 1:4, 2:5] = 1
    assert torch.equal(with_rims(lost), expected)


class WhiteIsLost(torch.nn.Module):
    def forward(self, x):
        return torch.where(x.amin(1, keepdim=True) > 0.9, 8.0, -8.0)


@pytest.mark.parametrize("softness", [0.0, 1.2])
def test_rims_are_no_source_of_the_fill_where_edges_are_soft(softness):
    torch.manual_seed(0)
    inner = HINetConfig(width=2, in_channels=7)
    network = Guided(GuidedConfig(finder_width=2, finder_depth=3, hinet=inner)).eval()
    network.finder = WhiteIsLost()
    x = scan(softness)[0][None]
    with torch.inference_mode():
        logits, mask, _ = network.find(x)
        found = (logits > 0).float()
        expected = with_rims(found) if softness else found
        assert torch.equal(mask, expected)
        assert mask.any()
        given = torch.zeros_like(mask)
        given[..., 40:50, 40:50] = 1
        assert torch.equal(network.find(x, given)[1], given)
