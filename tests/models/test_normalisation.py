"""Instance normalisation with local statistics, against a mean taken window by window."""

import pytest
import torch
from torch.nn import functional as F

from dunrestore.models.hinet import HINet, HINetConfig
from dunrestore.models.normalisation import EPS, InstanceNorm, set_window


def layer(channels, window):
    torch.manual_seed(10)
    norm = InstanceNorm(channels)
    norm.window = window
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
    return norm


def normalise_by_hand(x, weight, bias, window):
    """Mean and variance of the window around each pixel; where it would leave the picture, of the
    nearest window that does not."""
    height, width = x.shape[-2:]
    rows, columns = min(window, height), min(window, width)
    out = torch.empty_like(x)
    for y in range(height):
        top = min(max(y - (rows - 1) // 2, 0), height - rows)
        for c in range(width):
            left = min(max(c - (columns - 1) // 2, 0), width - columns)
            patch = x[..., top : top + rows, left : left + columns]
            mean = patch.mean(dim=(-2, -1))
            variance = patch.var(dim=(-2, -1), unbiased=False)
            out[..., y, c] = (x[..., y, c] - mean) / (variance + EPS).sqrt() * weight + bias
    return out


@pytest.mark.parametrize("window", [1, 2, 3, 4, 7, 9, 20])
@pytest.mark.parametrize("size", [(9, 7), (4, 13)])
def test_local_statistics_are_those_of_a_sliding_window(window, size):
    norm = layer(3, window)
    x = torch.randn(2, 3, *size) * 3 + 5
    if window >= max(size):
        expected = F.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=EPS)
    else:
        expected = normalise_by_hand(x, norm.weight, norm.bias, window)
    torch.testing.assert_close(norm(x), expected, rtol=1e-3, atol=1e-3)


def test_without_a_window_it_is_the_published_normalisation():
    norm = layer(4, None)
    x = torch.randn(1, 4, 6, 8)
    expected = F.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=EPS)
    assert torch.equal(norm(x), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_large_bright_picture_keeps_its_precision_in_half(dtype):
    """Sums over a large window of bright pixels, which half precision could not hold."""
    norm = layer(1, 65)
    x = (torch.randn(1, 1, 200, 200) + 30).to(dtype)
    got = norm(x).float()
    expected = norm(x.double().float())
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected, rtol=2e-2, atol=2e-2)
    assert 0.5 < float((got.std() / norm.weight).detach()) < 1.5


def test_far_from_a_tiles_edge_the_tile_does_not_matter():
    norm = layer(2, 8)
    x = torch.randn(1, 2, 40, 40)
    inner = norm(x[..., 5:35, 5:35])[..., 10:20, 10:20]
    torch.testing.assert_close(inner, norm(x)[..., 15:25, 15:25], rtol=1e-4, atol=1e-4)


def test_the_window_shrinks_with_the_level():
    network = HINet(HINetConfig(width=2, depth=3, hin_first=0, hin_last=2))
    set_window(network, 16)
    assert [b.norm.window for b in network.down_path_1] == [16, 8, 4]
    set_window(network, 2)
    assert [b.norm.window for b in network.down_path_2] == [2, 1, 1]
    set_window(network, None)
    assert [b.norm.window for b in network.down_path_2] == [None] * 3
