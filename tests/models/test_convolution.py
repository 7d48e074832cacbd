"""The fused convolutions against the plain layers, and when they are used."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dunrestore.models.car import CAR, CARConfig
from dunrestore.models.convolution import Conv, is_fused, reflected
from dunrestore.models.edsr import EDSRConfig
from dunrestore.models.hinet import HINet, HINetConfig

BF16 = torch.bfloat16


def make(**how):
    torch.manual_seed(4)
    return Conv(5, 6, 3, padding=1, **how).requires_grad_(False), torch.randn(2, 5, 9, 7)


@pytest.mark.parametrize("reflect", [False, True])
@pytest.mark.parametrize("slope", [None, 0, 0.2])
@pytest.mark.parametrize("scale", [1.0, 0.1])
@pytest.mark.parametrize("added", [None, torch.float32, BF16])
def test_fused_is_the_plain_layer_in_bfloat16(reflect, slope, scale, added):
    layer, x = make(reflect=reflect, slope=slope, scale=scale)
    plus = None if added is None else torch.randn(2, 6, 9, 7).to(added)
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect" if reflect else "constant")
    expected = F.conv2d(padded, layer.weight, layer.bias) * scale
    if slope is not None:
        expected = F.leaky_relu(expected, slope)
    if plus is not None:
        expected = expected + plus
    with torch.no_grad():
        torch.testing.assert_close(
            layer(x, None if plus is None else plus.float()), expected, rtol=1e-5, atol=1e-5
        )
        with torch.autocast("cpu", BF16):
            fused = layer(x, plus)
    assert fused.dtype == (torch.float32 if added is torch.float32 else BF16)
    torch.testing.assert_close(fused.float(), expected, rtol=0.03, atol=0.03)


def test_only_inference_on_the_cpu_in_bfloat16_is_fused():
    x = torch.zeros(1)
    assert not is_fused(x)
    with torch.autocast("cpu", BF16):
        assert not is_fused(x)  # with gradients
        with torch.no_grad():
            assert is_fused(x) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    with torch.no_grad():
        assert not is_fused(x)


def test_changed_weights_are_seen():
    layer, x = make()
    with torch.no_grad(), torch.autocast("cpu", BF16):
        before = layer(x)
        layer.weight.mul_(2)
        assert not torch.equal(layer(x), before)
        other = copy.deepcopy(layer)
        other.weight.mul_(2)
        assert not torch.equal(layer(x), other(x))


@pytest.mark.parametrize("pad", [1, 2, 3])
def test_reflection_is_torchs(pad):
    x = torch.randn(2, 3, 5, 4).to(BF16)
    assert torch.equal(reflected(x, pad), F.pad(x, (pad,) * 4, mode="reflect"))


@pytest.mark.parametrize(
    "network",
    [
        HINet(HINetConfig(width=4, depth=3, hin_first=1, hin_last=2)),
        CAR(CARConfig(width=8, residual_blocks=2, edsr=EDSRConfig(blocks=2, features=8))),
    ],
)
def test_a_network_gives_nearly_the_same_fused(network: nn.Module):
    network = network.eval()
    x = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(2))
    given = x.clone()
    with torch.inference_mode():
        plain = network(x)[-1]
        with torch.autocast("cpu", BF16):
            fused = network(x)[-1].float()
    assert torch.equal(x, given)
    assert not torch.equal(fused, plain)
    assert (fused - plain).square().mean() < 1e-4
