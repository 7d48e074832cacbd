"""Folded layers compute what those they are made of compute."""

import copy

import pytest
import torch
from torch.nn import functional as F

from dunrestore.models import edsr
from dunrestore.models.convolution import Conv
from dunrestore.models.edsr import EDSR, EDSRConfig
from dunrestore.models.folding import Folds, through_joint, through_shuffle


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@torch.no_grad()
@pytest.mark.parametrize(("cin", "size"), [(3, 3), (7, 3), (5, 1)])
def test_a_convolution_within_a_joint_one(cin, size):
    first, joint = Conv(cin, 12, size, padding=size // 2), Conv(20, 16, 1)
    x, y = torch.randn(2, cin, 9, 11), torch.randn(2, 8, 9, 11)
    one, other = through_joint(first, joint)
    expected = joint(torch.cat([first(x), y], dim=1))
    torch.testing.assert_close(one(x) + other(y), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_two_convolutions_around_a_shuffle():
    up, last = Conv(6, 32, 3, padding=1), Conv(8, 5, 3, padding=1)
    x = torch.randn(2, 6, 7, 10)
    expected = last(F.pixel_shuffle(up(x), 2))
    found = F.pixel_shuffle(through_shuffle(up, last)(x), 2)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(found[inside], expected[inside], atol=1e-5, rtol=1e-5)
    assert (found - expected).abs().max() > 0.01  # the outermost pixels: see its docstring


@torch.no_grad()
@pytest.mark.parametrize("size", [(3, 3), (2, 5), (1, 1), (8, 13)])
def test_a_tail_is_the_same_up_to_the_border(monkeypatch, size):
    network = EDSR(EDSRConfig(blocks=1, features=8)).eval()
    x = torch.randn(2, 8, *size)
    expected = network.tail(x)
    monkeypatch.setattr(edsr, "is_half_on_gpu", lambda _: True)
    found = network._enlarged(x)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(found, expected) == (max(size) <= 1)  # it was another way


def test_folds_follow_the_weights_and_are_no_state():
    network = EDSR(EDSRConfig(blocks=1, features=8))
    names = list(network.state_dict())
    folds, layers = Folds(), (network.tail[0][0], network.tail[1])
    made = folds.of(layers, through_shuffle)
    assert folds.of(layers, through_shuffle) is made
    with torch.no_grad():
        layers[1].bias += 1
    again = folds.of(layers, through_shuffle)
    torch.testing.assert_close(again.bias, made.bias + 1)
    network._folds = folds
    assert list(network.state_dict()) == names
    twin = copy.deepcopy(network)
    assert twin._folds.of((twin.tail[0][0], twin.tail[1]), through_shuffle) is not again
