"""Tiles with local statistics and enough overlap give the untiled picture."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dunrestore.imaging import tiling
from dunrestore.models.guided import Guided, GuidedConfig
from dunrestore.models.hinet import HINet, HINetConfig
from dunrestore.models.runner import Runner, size_multiple
from dunrestore.restoration import change
from dunrestore.restoration.change import propose
from dunrestore.restoration.options import RestoreOptions

HALF_A_STEP = 0.5 / 255
WINDOW = 16
CONTEXT = 9 * (1 + 2) * 2 + 2 * WINDOW // 2
"""Farther than this network sees: at most nine 3x3 convolutions at each of two levels in each of
two stages, and half the statistics' window once in each stage."""
ENOUGH = 2 * CONTEXT + tiling.RAMP


@pytest.fixture(scope="module")
def runner():
    torch.manual_seed(3)
    network = HINet(HINetConfig(width=4, depth=2, hin_first=1, hin_last=1)).eval()
    with torch.no_grad():
        network.last.weight.mul_(4)  # untrained networks change little
    return Runner(network.requires_grad_(False), torch.device("cpu"), window=WINDOW)


def deviation(runner, height, width, tile, overlap):
    picture = np.random.default_rng(height * 1000 + width).random((height, width, 3), np.float32)
    results = []
    for side in (None, tile):
        plan = tiling.plan(
            height, width, tile=side, overlap=overlap, multiple=size_multiple(runner.network)
        )
        changes = ((t, runner.change(tiling.extract(picture, t)[None])[0]) for t in plan.tiles())
        results.append(tiling.blend(plan, changes))
    return np.abs(results[0] - results[1]).max()


@settings(max_examples=12, deadline=None)
@given(
    height=st.integers(40, 330),
    width=st.integers(40, 330),
    extra=st.integers(6, 60),
    more=st.integers(0, 30),
)
def test_with_enough_overlap_seams_are_below_half_a_step(runner, height, width, extra, more):
    overlap = ENOUGH + more
    assert deviation(runner, height, width, overlap + extra, overlap) < HALF_A_STEP


def test_without_overlap_there_is_a_seam(runner):
    assert deviation(runner, 96, 96, 48, 0) > HALF_A_STEP


def test_the_seam_fades_with_the_overlap(runner):
    apart = [deviation(runner, 432, 96, 216, overlap) for overlap in (0, 24, 180)]
    assert apart[0] > max(apart[1:])
    assert apart[0] > HALF_A_STEP > apart[2]


class PaleIsLost(torch.nn.Module):
    """Of a mirrored picture it does not find the mirror."""

    def __init__(self, far=3):
        super().__init__()
        self.far = far

    def forward(self, x):
        pale, far = x.amin(dim=1, keepdim=True), self.far
        before = torch.nn.functional.pad(pale, (far, 0, far, 0), mode="replicate")
        before = before[..., :-far, :-far]
        return (torch.maximum(pale, before) - 0.6) * 60


@pytest.fixture(scope="module")
def guided():
    torch.manual_seed(3)
    inner = HINetConfig(width=4, depth=2, hin_first=1, hin_last=1, in_channels=7)
    network = Guided(GuidedConfig(finder_width=2, finder_depth=2, pyramid_levels=3, hinet=inner))
    network.finder = PaleIsLost()
    with torch.no_grad():
        network.hinet.last.weight.mul_(4)
    return network.requires_grad_(False).eval()


def scan(height, width, seed):
    """Dark paint with pale losses of two grounds, of which one shows in the upper half only."""
    rng = np.random.default_rng(seed)
    picture = 0.1 + 0.3 * rng.random((height, width, 3), np.float32)
    for number in range(height * width // 1500):
        top, left = rng.integers(0, height), rng.integers(0, width)
        ground = 0.55 if number % 2 and top < height / 2 else 0.8
        area = picture[top : top + rng.integers(2, 30), left : left + rng.integers(2, 40)]
        area[:] = ground + 0.05 * rng.random(area.shape, np.float32)
    return picture


REACH = 3 * 2**3
"""How far the pyramid of pre-filled losses reaches beside what HINet sees."""


@settings(max_examples=8, deadline=None)
@given(
    height=st.integers(40, 390),
    width=st.integers(40, 390),
    extra=st.integers(70, 160),
    more=st.integers(0, 30),
)
def test_a_model_that_looks_at_colours_knows_them_all(guided, height, width, extra, more):
    picture, overlap = scan(height, width, height * 1000 + width), ENOUGH + 2 * REACH + more
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(change, "WINDOW", WINDOW)
        patched.setattr(change, "ALIGNED_FROM", 0)  # tiles of any size are aligned
        whole, tiled = (
            propose(picture, guided, RestoreOptions(tile=tile, overlap=shared, **CPU))
            for tile, shared in ((400, 0), (overlap + extra, overlap))
        )
    assert whole.change.any()
    assert np.abs(tiled.change - whole.change).max() < HALF_A_STEP
    assert np.array_equal(tiled.damage > 0.5, whole.damage > 0.5)


def test_a_finder_that_sees_farther_than_what_tiles_share_sees_the_same(monkeypatch):
    torch.manual_seed(5)
    inner = HINetConfig(width=4, depth=2, hin_first=1, hin_last=1, in_channels=7)
    network = Guided(GuidedConfig(finder_width=2, finder_depth=5, pyramid_levels=3, hinet=inner))
    network.requires_grad_(False).eval()
    network.finder = PaleIsLost(124)
    monkeypatch.setattr(GuidedConfig, "look_bytes_per_pixel", GuidedConfig.bytes_per_pixel)
    picture = scan(560, 500, 1)

    def found(tile):
        return propose(picture, network, RestoreOptions(tile=tile, **CPU)).damage > 0.5

    whole = found(576)
    assert 0.05 < whole.mean() < 0.95
    assert np.array_equal(found(336), whole)
    monkeypatch.setattr(GuidedConfig, "finder_sees", 0)
    assert not np.array_equal(found(336), whole)


CPU = {"device": "cpu", "precision": "fp32"}
