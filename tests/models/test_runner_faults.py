"""What the runner takes for no restoration at all."""

import pytest
import torch

from dunrestore.models.runner import DOUBTFUL, WILD, fault_of

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
