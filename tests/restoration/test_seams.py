"""Tiles with local statistics and enough overlap give the untiled picture."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dunrestore.imaging import tiling
from dunrestore.models.hinet import HINet, HINetConfig
from dunrestore.models.runner import Runner, size_multiple

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
