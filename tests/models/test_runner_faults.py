"""What the runner takes for no restoration at all."""

import numpy as np
import pytest
import torch

from dunrestore.errors import OutputCheckError
from dunrestore.models.colours import Part
from dunrestore.models.guided import Guided, GuidedConfig
from dunrestore.models.hinet import HINetConfig
from dunrestore.models.runner import DOUBTFUL, WILD, Runner, fault_of
from dunrestore.models.several_devices import Runners

TILE = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 0.4


@pytest.mark.parametrize(
    ("restored", "fault"),
    [
        (TILE * float("nan"), "not finite"),
        (torch.full_like(TILE, 0.7), "constant"),
        (1 - TILE * 0.2, "wildly different from the picture"),
        (TILE + 0.3, ""),
        (TILE, ""),
    ],
)
def test_faults_in_full_precision(restored, fault):
    assert fault_of(TILE, restored - TILE, WILD) == fault


def test_low_precision_is_doubted_sooner():
    assert fault_of(TILE, torch.full_like(TILE, 0.3), DOUBTFUL) != ""


def test_a_picture_that_is_mostly_lost_may_change_mostly():
    lost = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(1)) < 0.9
    damaged = torch.where(lost, torch.ones_like(TILE), TILE)
    assert fault_of(damaged, TILE - damaged, WILD) == ""


def test_a_tile_inside_a_loss_may_become_anything():
    white = torch.ones_like(TILE)
    assert fault_of(white, torch.full_like(TILE, -0.9), WILD) == ""


def test_what_else_a_network_says_is_not_judged_but_must_be_finite():
    change = torch.cat([torch.zeros_like(TILE), torch.full((1, 1, 48, 48), 0.99)], dim=1)
    assert fault_of(TILE, change, WILD) == ""
    change[0, 3, 0, 0] = float("inf")
    assert fault_of(TILE, change, WILD) == "not finite"


class Weak(torch.nn.Module):
    """A finder that fails at one pixel, in low precision or always."""

    def __init__(self, always):
        super().__init__()
        self.always = always

    def forward(self, x):
        logits = x[:, :1] - 0.5
        if self.always or torch.is_autocast_enabled("cpu"):
            logits[..., 3, 5] = float("nan")
        return logits


def weak_runners(always):
    inner = HINetConfig(width=2, in_channels=7)
    network = Guided(GuidedConfig(finder_width=2, finder_depth=3, hinet=inner)).eval()
    network.finder = Weak(always)
    return Runners(network, [torch.device("cpu")], torch.bfloat16)


STACK = (TILE.permute(0, 2, 3, 1).numpy(), [Part.whole(48, 48)], None)


def test_what_low_precision_cannot_find_is_looked_for_in_float32():
    runners = weak_runners(always=False)
    ((counts, logits),) = runners.looks([STACK])
    assert np.isfinite(logits).all()
    assert np.isfinite(counts).all()
    assert runners.redone == 1
    exact = Runner(weak_runners(always=False)._runners[0].network, torch.device("cpu"))
    np.testing.assert_array_equal(counts, exact.look(*STACK[:2])[0])


def test_a_finder_that_fails_in_float32_too_is_an_error():
    with pytest.raises(OutputCheckError, match="not finite"):
        list(weak_runners(always=True).looks([STACK]))
